package wechatpaytest

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
)

// uploadParts are the parts of a multipart body. problem says why they are not
// one meta and one file.
type uploadParts struct {
	meta, file []byte
	problem    *invalidParam
}

func parseMultipart(body []byte, boundary string) *uploadParts {
	p := &uploadParts{}
	bad := func(field, format string, args ...any) *uploadParts {
		if p.problem == nil {
			p.problem = &invalidParam{field: field, issue: fmt.Sprintf(format, args...)}
		}
		return p
	}
	if boundary == "" {
		return bad("", "Content-Type names no boundary")
	}
	seen := map[string]bool{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			break
		}
		if err != nil {
			return bad("", "the multipart body is malformed: %v", err)
		}
		data, err := io.ReadAll(part)
		if err != nil {
			return bad("", "the multipart body is malformed: %v", err)
		}
		name := part.FormName()
		if seen[name] {
			return bad("/"+name, "is there twice")
		}
		seen[name] = true
		switch name {
		case "meta":
			p.meta = data
		case "file":
			p.file = data
		default:
			bad("/"+name, "is no part of an upload: there are meta and file")
		}
	}
	for _, name := range []string{"meta", "file"} {
		if !seen[name] {
			bad("/"+name, "is required, and is missing")
		}
	}
	return p
}
