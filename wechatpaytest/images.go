package wechatpaytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	imagePattern  = "/v3/merchant-service/images/{media_id}"
	uploadPattern = "/v3/merchant-service/images/upload"
	maxImage      = 2 << 20 // "2M"
)

// media is an image. As with WeChat Pay, an uploaded one can be used in replies
// and decisions but not downloaded, and one from AddImage the other way around.
type media struct {
	data     []byte
	uploaded bool
}

// image is the response of a download.
type image struct {
	data        []byte
	contentType string
}

// imageExt returns "jpg", "png" or "bmp" if the file name has that extension,
// otherwise "".
func imageExt(filename string) string {
	switch ext := strings.ToLower(path.Ext(filename)); ext {
	case ".jpg", ".png", ".bmp":
		return ext[1:]
	}
	return ""
}

// sniffImage returns the format of the data by its first bytes.
func sniffImage(data []byte) (ext, contentType string) {
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

// POST /v3/merchant-service/images/upload

type uploadMeta struct {
	Filename string `json:"filename" check:"required,max=128,form=image"`
	SHA256   string `json:"sha256" check:"required,max=256,form=sha256"`
}

func uploadImage(c *call) *response {
	meta := new(uploadMeta)
	apiErr := c.decodeUpload(meta)
	if apiErr == nil {
		apiErr = c.checkUpload(meta)
	}
	if apiErr != nil {
		return errorResponse(apiErr)
	}
	return serve(c, meta, (*call).storeUpload)
}

func (c *call) decodeUpload(meta *uploadMeta) *apiError {
	if apiErr := c.decodeQuery(schemaOf[noParams](), nil); apiErr != nil {
		return apiErr
	}
	if c.parts.invalid != nil {
		return paramError(inBody, c.parts.invalid)
	}
	apiErr := decodeJSON(schemaOf[uploadMeta](), c.parts.meta, meta)
	if apiErr == nil {
		return nil
	}
	switch detail := apiErr.detail.(type) {
	case errorDetail:
		detail.Field = "/meta" + detail.Field
		apiErr.detail = detail
	case unknownDetail:
		for i, pointer := range detail.Value {
			detail.Value[i] = strings.Replace(pointer, "/body", "/body/meta", 1)
		}
	}
	return apiErr
}

func (c *call) isUpload() bool { return c.endpoint != nil && c.endpoint.pattern == uploadPattern }

// checkMultipart checks the Content-Type of an upload. It is called before the
// signature is verified, which depends on the parts.
func (c *call) checkMultipart() *apiError {
	contentType := c.r.Header.Get("Content-Type")
	mediaType, params, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil || mediaType != "multipart/form-data":
		return headerError("Content-Type", contentType, "must be multipart/form-data with a boundary")
	case params["boundary"] == "":
		return headerError("Content-Type", contentType, "multipart/form-data has no boundary")
	}
	return nil
}

func (c *call) checkUpload(meta *uploadMeta) *apiError {
	file := c.parts.file
	ext, _ := sniffImage(file)
	digest := sha256.Sum256(file)
	switch {
	case len(file) == 0:
		return bodyError("/file", nil, "must not be empty")
	case len(file) > maxImage:
		return bodyError("/file", len(file), "must have at most %d bytes, got %d", maxImage, len(file))
	case ext == "":
		return bodyError("/file", nil, "must be a jpg, png or bmp image")
	case ext != imageExt(meta.Filename):
		return bodyError("/meta/filename", meta.Filename, "does not match the file, which is a %s", ext)
	case !strings.EqualFold(meta.SHA256, hex.EncodeToString(digest[:])):
		return bodyError("/meta/sha256", meta.SHA256, "does not match the file, whose digest is %x", digest)
	}
	return nil
}

func (c *call) storeUpload(meta *uploadMeta) (any, *apiError) {
	group, n := c.s.digits(6, "media"), c.s.digits(14, "media", c.s.number("media"))
	id := "file" + group + "_" + n + "." + imageExt(meta.Filename)
	c.s.media[id] = &media{data: bytes.Clone(c.parts.file), uploaded: true}
	c.s.uploads.add(c.s.media[id])
	return struct {
		MediaID string `json:"media_id"`
	}{id}, nil
}

const maxUploadBytes = 32 << 20

// uploadLog has the uploads whose bytes are kept, for image_list. Server.mu
// guards it.
type uploadLog struct {
	latest []*media
	bytes  int
}

// add drops the bytes of the oldest uploads if there are too many.
func (l *uploadLog) add(m *media) {
	l.latest = append(l.latest, m)
	l.bytes += len(m.data)
	for l.bytes > maxUploadBytes {
		l.bytes -= len(l.latest[0].data)
		l.latest[0].data = nil
		l.latest = l.latest[1:]
	}
}

// checkMediaIDs returns an error if one of the ids at a JSON pointer is not from
// an upload.
func (c *call) checkMediaIDs(pointer string, ids []string) *apiError {
	for i, id := range ids {
		if apiErr := c.checkMediaID(fmt.Sprintf("%s/%d", pointer, i), id); apiErr != nil {
			return apiErr
		}
	}
	return nil
}

func (c *call) checkMediaID(pointer, id string) *apiError {
	if m := c.s.media[id]; c.b.AnyMediaID && id != "" || m != nil && m.uploaded {
		return nil
	}
	return bodyError(pointer, id, "is not the media_id of an upload")
}

// GET /v3/merchant-service/images/{media_id}. The response is not signed.

func (c *call) downloadImage(*noParams) (any, *apiError) {
	m := c.s.media[c.id]
	if m == nil || m.uploaded {
		invalid := &invalidParam{field: "media_id", value: detailValue(c.id), issue: "is not from a media_url"}
		if m != nil {
			invalid.issue = "is from an upload; only images in a media_url can be downloaded"
		}
		return nil, paramError(inPath, invalid)
	}
	_, contentType := sniffImage(m.data)
	return &image{m.data, contentType}, nil
}

// AddImage adds an image, as attached by a user, and returns its media_url, for
// the ComplaintMediaList of a complaint and for UserReplies.
//
// If id is "", AddImage generates a media id. Like real ones, it contains the
// characters +, / and =, which the media_url has escaped. The server also
// accepts them unescaped, as WeChat Pay sometimes sends them: s.URL +
// "/v3/merchant-service/images/" + id.
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

// The image_list of a record has storage links on another host, valid for an
// hour. That host is this server under the name localhost. Requests for them
// must not have an Authorization.

const (
	storagePath = "/storage/"
	storageLife = time.Hour
)

// storageLink returns a link to an image, valid for an hour from now.
func (s *Server) storageLink(id string, now time.Time) string {
	// Other addresses than 127.0.0.1 need not resolve from localhost.
	host := strings.Replace(s.URL, "//127.0.0.1:", "//localhost:", 1)
	expiry := strconv.FormatInt(now.Add(storageLife).Unix(), 10)
	name := base64.RawURLEncoding.EncodeToString([]byte(id)) // a media id may contain slashes
	return host + storagePath + expiry + "/" + name
}

func (s *Server) serveStorage(w http.ResponseWriter, r *http.Request) {
	expiry, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, storagePath), "/")
	until, _ := strconv.ParseInt(expiry, 10, 64)
	id, _ := base64.RawURLEncoding.DecodeString(name)
	s.mu.Lock()
	m := s.media[string(id)]
	var data []byte
	if m != nil {
		data = m.data
	}
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		http.Error(w, "storage links are not part of the API: send no Authorization to them", http.StatusBadRequest)
	case s.Now().Unix() > until:
		http.Error(w, fmt.Sprintf("link expired: it was valid for %s", storageLife), http.StatusForbidden)
	case m == nil:
		http.NotFound(w, r)
	case m.uploaded && data == nil:
		problem := fmt.Sprintf("the server keeps only the latest %d bytes of uploads", maxUploadBytes)
		http.Error(w, problem, http.StatusGone)
	default:
		_, contentType := sniffImage(data)
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		_, _ = w.Write(data)
	}
}
