package wechatpay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

const (
	imagesPath = "/v3/merchant-service/images/"

	// maxUpload is WeChat Pay's "2M".
	maxUpload = 2 << 20

	// maxDownload limits downloads. WeChat Pay documents no limit for them.
	maxDownload = 32 << 20

	// uploadChunk is the size of the chunks that an image is read in.
	uploadChunk = 32 << 10
)

// uploadMeta is the meta part of an upload. Its JSON is what is signed.
type uploadMeta struct {
	Filename string `json:"filename"`
	SHA256   string `json:"sha256"`
}

// uploadResponse is the response to an upload.
type uploadResponse struct {
	MediaID string `json:"media_id"`
}

// UploadImage uploads an image and returns its media id, for RejectRefund,
// RespondRequest.ResponseImages or ImageBlock.
//
// The image is a JPEG, PNG or BMP of at most 2 MiB. filename must end in .jpg,
// .jpeg, .png or .bmp, in lower or upper case, and match the content. Only its
// last path element is sent, at most 128 characters, with .jpeg replaced by .jpg.
//
// The image is read into memory before anything is sent. Uploads are retried
// like reads, because an unused image does no harm.
// [ComplaintsV2Service.DownloadImage] cannot download the returned media id.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467250 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467222)
func (s *ComplaintsV2Service) UploadImage(
	ctx context.Context, filename string, r io.Reader,
) (mediaID string, err error) {
	const op = "ComplaintsV2.UploadImage"
	var f faults
	name, contentType := checkImageName(&f, filename)
	if isNil(r) {
		f.add("r", "is required")
	}
	if err := f.err(op); err != nil {
		return "", err
	}
	image, err := readImage(ctx, r)
	if err != nil {
		return "", fmt.Errorf("wechatpay: %s: reading the image: %w", op, err)
	}
	checkImage(&f, image, contentType)
	if err := f.err(op); err != nil {
		return "", err
	}
	meta, err := json.Marshal(uploadMeta{Filename: name, SHA256: hex.EncodeToString(image.sha256)})
	if err != nil {
		return "", fmt.Errorf("wechatpay: %s: encoding the body: %w", op, err)
	}
	var resp uploadResponse
	err = s.client.call(WithSignedBody(ctx, meta), &call{
		op:      op,
		method:  http.MethodPost,
		path:    imagesPath + "upload",
		body:    multipartPayload(meta, name, contentType, image),
		success: http.StatusOK,
		out:     decoded(&resp, func() error { return mustHave("media_id", resp.MediaID) }),
		retry:   retryAlways,
		remedy:  "upload the image again",
	})
	if err != nil {
		return "", err
	}
	if resp.MediaID == "" {
		return "", fmt.Errorf("wechatpay: %s: the response has no media_id", op)
	}
	return resp.MediaID, nil
}

// imageContent is an image in memory. It is split into chunks, so that a stream
// of unknown length is read without copying.
type imageContent struct {
	chunks [][]byte
	size   int
	sha256 []byte
}

// readImage reads r to its end, or one byte more than maxUpload.
func readImage(ctx context.Context, r io.Reader) (*imageContent, error) {
	var image imageContent
	hash := sha256.New()
	r = io.LimitReader(r, maxUpload+1)
	for {
		chunk := make([]byte, uploadChunk)
		n, err := readFull(ctx, r, chunk)
		if n > 0 {
			image.chunks = append(image.chunks, chunk[:n])
			image.size += n
			hash.Write(chunk[:n])
		}
		if err == io.EOF {
			image.sha256 = hash.Sum(nil)
			return &image, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// readFull reads until p is full or r ends, with io.EOF. Unlike io.ReadFull, it
// returns io.ErrUnexpectedEOF only if r does.
func readFull(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if empty == 100 { // as in package bufio
			return n, io.ErrNoProgress
		}
		var more int
		more, err = r.Read(p[n:])
		n += more
		if empty++; more > 0 {
			empty = 0
		}
	}
	return n, err
}

// multipartPayload returns the body of an upload: the parts meta and file.
func multipartPayload(meta []byte, name, contentType string, image *imageContent) *payload {
	boundary := rand.Text()
	filename := strings.NewReplacer(`"`, `\"`, "\r", "%0D", "\n", "%0A").Replace(name) // it has no backslash
	head := "--" + boundary + "\r\n" +
		`Content-Disposition: form-data; name="meta"` + "\r\n" +
		"Content-Type: application/json\r\n\r\n" +
		string(meta) + "\r\n" +
		"--" + boundary + "\r\n" +
		`Content-Disposition: form-data; name="file"; filename="` + filename + `"` + "\r\n" +
		"Content-Type: " + contentType + "\r\n\r\n"
	tail := "\r\n--" + boundary + "--\r\n"
	content := slices.Concat([][]byte{[]byte(head)}, image.chunks, [][]byte{[]byte(tail)})
	return &payload{
		contentType: "multipart/form-data; boundary=" + boundary,
		size:        int64(len(head) + image.size + len(tail)),
		open: func() io.ReadCloser {
			unread := net.Buffers(slices.Clone(content)) // reading consumes it
			return io.NopCloser(&unread)
		},
	}
}

// Image is an image being downloaded. The caller reads and closes it. Read
// returns an error after 32 MiB.
type Image struct {
	io.ReadCloser
	ContentType string // such as image/jpeg, in lower case
	Size        int64  // in bytes; -1: unknown
}

// DownloadImage starts the download of an image of a complaint. media is a
// media_url of a [Complaint] or a [NegotiationRecord], with or without its scheme
// and host, or the media id at its end. It is sent as it is, escaped or not,
// except that slashes in a media id are escaped. ctx must not end before the
// image is read.
//
// WeChat Pay does not sign images: only TLS authenticates them. The media id from
// [ComplaintsV2Service.UploadImage] cannot be downloaded.
//
// Do not pass URLs of NegotiationRecord.ImageList. They point to storage on other
// hosts: use an ordinary http.Client without Authorization.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467251 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467223)
func (s *ComplaintsV2Service) DownloadImage(ctx context.Context, media string) (*Image, error) {
	const op = "ComplaintsV2.DownloadImage"
	var f faults
	imagePath := s.client.checkMedia(&f, media)
	if err := f.err(op); err != nil {
		return nil, err
	}
	var out stream
	err := s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    imagePath,
		success: http.StatusOK,
		out:     &out,
	})
	if err != nil {
		return nil, err
	}
	resp := out.resp
	contentType, err := imageType(ctx, resp)
	if err != nil {
		resp.Body.Close()
		return nil, fmt.Errorf("wechatpay: %s: reading the image: %w", op, err)
	}
	var problem string
	switch {
	case !strings.HasPrefix(contentType, "image/"):
		problem = fmt.Sprintf("Content-Type is %q, not an image", shownHeader(resp, "Content-Type"))
	case resp.ContentLength > maxDownload:
		problem = fmt.Sprintf("has %d bytes, at most %d allowed", resp.ContentLength, maxDownload)
	default:
		return &Image{
			ReadCloser:  &limitedImage{ReadCloser: resp.Body, left: maxDownload},
			ContentType: contentType,
			Size:        resp.ContentLength,
		}, nil
	}
	resp.Body.Close()
	e := newAPIError(resp, http.MethodGet, "://"+resp.Request.URL.Host, imagePath, nil)
	e.Message = problem
	return nil, fmt.Errorf("wechatpay: %s: %w", op, e)
}

// imageType returns the media type of a response in lower case. If the response
// does not say more than that it has bytes, their first 512 decide.
func imageType(ctx context.Context, resp *http.Response) (string, error) {
	contentType, _, _ := strings.Cut(strings.ToLower(resp.Header.Get("Content-Type")), ";")
	switch contentType = strings.TrimSpace(contentType); contentType {
	case "", "application/octet-stream", "binary/octet-stream":
	default:
		return contentType, nil
	}
	head := make([]byte, 512)
	n, err := readFull(ctx, resp.Body, head)
	if err != nil && err != io.EOF {
		return "", err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head[:n]), resp.Body), resp.Body}
	return http.DetectContentType(head[:n]), nil
}

// limitedImage is a body that returns an error after left bytes.
type limitedImage struct {
	io.ReadCloser
	left int64
}

func (b *limitedImage) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("wechatpay: ComplaintsV2.DownloadImage: the image exceeds %d bytes", maxDownload)
	}
	return n, err
}
