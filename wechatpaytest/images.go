package wechatpaytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	imagePattern = "/v3/merchant-service/images/{media_id}"
	maxImage     = 2 << 20 // "2M"
)

// media is an image of the server. One that was uploaded serves in replies and
// decisions, one that AddImage gave can be downloaded; none is both, as with
// WeChat Pay.
type media struct {
	data     []byte
	uploaded bool
}

// image is the answer of a download.
type image struct {
	data        []byte
	contentType string
}

// imageType says which image a file name promises: "jpg", "png" or "bmp", or ""
// for another.
func imageExt(filename string) string {
	switch ext := strings.ToLower(path.Ext(filename)); ext {
	case ".jpg", ".png", ".bmp":
		return ext[1:]
	}
	return ""
}

// contentOf says which image the bytes are.
func sniffImage(data []byte) (kind, contentType string) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		return "jpg", "image/jpeg"
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return "png", "image/png"
	case bytes.HasPrefix(data, []byte("BM")):
		return "bmp", "image/bmp"
	}
	return "", "application/octet-stream"
}

// Endpoint 12: upload.

type uploadMeta struct {
	Filename string `json:"filename" check:"required,max=128,form=image"`
	SHA256   string `json:"sha256" check:"required,max=256,form=sha256"`
}

func uploadImage(c *call) *response {
	if apiErr := c.decodeQuery(schemaOf[noParams](), nil); apiErr != nil {
		return c.errorResponse(apiErr)
	}
	contentType := c.r.Header.Get("Content-Type")
	if mediaType, _, err := mime.ParseMediaType(contentType); err != nil || mediaType != "multipart/form-data" {
		return c.errorResponse(protocolError("Content-Type", contentType, "must be multipart/form-data with a boundary"))
	}
	if c.parts.problem != nil {
		return c.errorResponse(paramError(inBody, c.parts.problem))
	}
	meta := new(uploadMeta)
	if apiErr := decodeJSON(schemaOf[uploadMeta](), c.parts.meta, meta); apiErr != nil {
		if detail, ok := apiErr.detail.(errorDetail); ok {
			detail.Field = "/meta" + detail.Field
			apiErr.detail = detail
		}
		return c.errorResponse(apiErr)
	}
	file := c.parts.file
	kind, _ := sniffImage(file)
	digest := sha256.Sum256(file)
	switch {
	case len(file) == 0:
		return c.errorResponse(bodyError("/file", nil, "is empty"))
	case len(file) > maxImage:
		return c.errorResponse(bodyError("/file", len(file), "has %d bytes, and may have %d", len(file), maxImage))
	case kind == "":
		return c.errorResponse(bodyError("/file", nil, "is no jpg, png or bmp"))
	case kind != imageExt(meta.Filename):
		return c.errorResponse(bodyError("/meta/filename", meta.Filename, "does not fit the file, which is a %s", kind))
	case !strings.EqualFold(meta.SHA256, hex.EncodeToString(digest[:])):
		return c.errorResponse(bodyError("/meta/sha256", meta.SHA256, "is not the digest of the file, which is %x", digest))
	}
	return serve(c, meta, (*call).storeUpload)
}

func (c *call) storeUpload(meta *uploadMeta) (any, *apiError) {
	id := "file" + c.s.digits(6, "media") + "_" + c.s.digits(14, "media", c.s.number("media")) + "." + imageExt(meta.Filename)
	c.s.media[id] = &media{data: bytes.Clone(c.parts.file), uploaded: true}
	return struct {
		MediaID string `json:"media_id"`
	}{id}, nil
}

// Endpoint 13: download. The answer is not signed.

func (c *call) downloadImage(*noParams) (any, *apiError) {
	m := c.s.media[c.id]
	if m == nil || m.uploaded {
		fault := &invalidParam{field: "media_id", value: detailValue(c.id), issue: "is of no image that a media_url names"}
		if m != nil {
			fault.issue = "comes from an upload: only the ids in a media_url can be downloaded"
		}
		return nil, paramError(inPath, fault)
	}
	_, contentType := sniffImage(m.data)
	return &image{m.data, contentType}, nil
}

// AddImage gives the server an image, as a user attaches it, and returns its
// media_url, for the ComplaintMediaList of a complaint and for UserReplies.
// With id "" the server makes a media id with the characters +, / and = in it,
// as real ones have. The media_url has them escaped; WeChat Pay gives them bare
// too, which the server takes as well: s.URL + "/v3/merchant-service/images/" +
// id.
func (s *Server) AddImage(id string, data []byte) (mediaURL string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == "" {
		sum := s.hash("image", s.number("image"))
		id = "ChsyMDAwMDIwMj/+" + base64.StdEncoding.EncodeToString(sum[:31])
	}
	s.media[id] = &media{data: bytes.Clone(data)}
	return s.URL + strings.TrimSuffix(imagePattern, "{media_id}") + url.QueryEscape(id)
}

// The image_list of a record has plain links to storage on another host, valid
// for an hour from the answer that has them. That host is this server under its
// other name, localhost; what reaches it must not have an Authorization.

const (
	storagePath = "/storage/"
	storageLife = time.Hour
)

func (s *Server) storageLink(id string, now time.Time) string {
	host, port, _ := net.SplitHostPort(s.listener.addr.String())
	if host == "127.0.0.1" || net.ParseIP(host).IsUnspecified() {
		host = "localhost" // which need not lead to other addresses
	}
	return "http://" + net.JoinHostPort(host, port) + storagePath + strconv.FormatInt(now.Add(storageLife).Unix(), 10) + "/" +
		base64.RawURLEncoding.EncodeToString([]byte(id)) // a media id may have slashes
}

func (s *Server) serveStorage(w http.ResponseWriter, r *http.Request) {
	expiry, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, storagePath), "/")
	until, _ := strconv.ParseInt(expiry, 10, 64)
	id, _ := base64.RawURLEncoding.DecodeString(name)
	s.mu.Lock()
	m := s.media[string(id)]
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "an Authorization came to a storage link: it belongs to WeChat Pay's own hosts alone", http.StatusBadRequest)
	case s.Now().Unix() > until:
		http.Error(w, fmt.Sprintf("the link was valid for %s", storageLife), http.StatusForbidden)
	case m == nil:
		http.NotFound(w, r)
	default:
		_, contentType := sniffImage(m.data)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(m.data)
	}
}
