package wechatpaytest

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
)

// uploadParts are the parts of a multipart body. invalid is set unless there is
// exactly one meta and one file.
type uploadParts struct {
	meta, file []byte
	unsigned   []byte // a meta part that WeChat Pay takes for a file
	invalid    *invalidParam
}

func parseMultipart(body []byte, boundary string) *uploadParts {
	p := &uploadParts{}
	seen := map[string]bool{}
	reader := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF { // a truncated body wraps io.EOF
			break
		}
		var data []byte
		if err == nil {
			data, err = io.ReadAll(part)
		}
		if err != nil {
			p.addIssue("", "is a malformed multipart body: %v", err)
			return p
		}
		name := part.FormName()
		if seen[name] {
			p.addIssue("/"+name, "appears twice")
			return p
		}
		seen[name] = true
		switch {
		case name == "meta" && part.FileName() != "":
			p.unsigned = data
			p.addIssue("/meta", "must not have a filename")
		case name == "meta":
			p.meta = data
		case name == "file":
			p.file = data
		default:
			p.addIssue("/"+name, "must not be part of an upload, which has meta and file")
		}
	}
	for _, name := range []string{"meta", "file"} {
		if !seen[name] {
			p.addIssue("/"+name, "is required")
		}
	}
	return p
}

// addIssue records the first issue.
func (p *uploadParts) addIssue(field, format string, args ...any) {
	if p.invalid == nil {
		p.invalid = &invalidParam{field: field, issue: fmt.Sprintf(format, args...)}
	}
}
