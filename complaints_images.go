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
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strings"
)

const (
	imagesPath = "/v3/merchant-service/images/"

	// maxUpload is WeChat Pay's "2M".
	maxUpload = 2 << 20

	// maxDownload bounds an image that is downloaded. WeChat Pay documents no
	// limit for users' images; its own for merchants' is 2 MiB.
	maxDownload = 32 << 20
)

// uploadMeta is the meta part of an upload, whose JSON is what is signed.
type uploadMeta struct {
	Filename string `json:"filename"`
	SHA256   string `json:"sha256"`
}

// uploadAnswer is the answer to an upload.
type uploadAnswer struct {
	MediaID string `json:"media_id"`
}

// UploadImage uploads an image and gives its media id, for RejectRefund, for a
// reply, or for an ImageBlock. The image is jpg, png or bmp, at most 2 MiB. Its
// content must fit the extension of filename, which may be in any case; .jpeg is
// sent as .jpg, and of a path only the last element is sent, at most 128
// characters.
//
// The whole image is read before anything is sent. An upload is repeated like a
// read, since an image that is not used does no harm. A media id of an upload
// cannot be downloaded.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012467250 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012467222)
func (s *ComplaintsV2Service) UploadImage(ctx context.Context, filename string, r io.Reader) (mediaID string, err error) {
	const op = "ComplaintsV2.UploadImage"
	var f faults
	name, contentType := checkImageName(&f, filename)
	if isNil(r) {
		f.add("r", "is required")
	}
	if err := f.err(op); err != nil {
		return "", err
	}

	// The envelope is as long for any digest, so that the image can be read
	// into its place behind it.
	boundary := rand.Text()
	placeholder, err := envelope(boundary, name, contentType, [sha256.Size]byte{})
	if err != nil {
		return "", fmt.Errorf("wechatpay: %s: %w", op, err)
	}
	const ending = 64 // more than the closing boundary takes
	body, err := readBehind(ctx, len(placeholder.head), ending, r)
	if err != nil {
		return "", fmt.Errorf("wechatpay: %s: reading the image: %w", op, err)
	}
	image := body[len(placeholder.head):]
	checkImage(&f, image, contentType)
	if err := f.err(op); err != nil {
		return "", err
	}
	sealed, err := envelope(boundary, name, contentType, sha256.Sum256(image))
	if err != nil {
		return "", fmt.Errorf("wechatpay: %s: %w", op, err)
	}
	copy(body, sealed.head)
	body = append(body, sealed.tail...)

	var answer uploadAnswer
	err = s.client.call(WithSignedBody(ctx, sealed.meta), &call{
		op:      op,
		method:  http.MethodPost,
		path:    imagesPath + "upload",
		body:    &payload{"multipart/form-data; boundary=" + boundary, int64(len(body)), func() io.ReadCloser { return io.NopCloser(bytes.NewReader(body)) }},
		success: http.StatusOK,
		out:     &answer,
		retry:   retryAlways,
		remedy:  "upload the image again: one that is not used does no harm",
	})
	if err != nil {
		return "", err
	}
	if answer.MediaID == "" {
		return "", fmt.Errorf("wechatpay: %s: the response has no media_id", op)
	}
	return answer.MediaID, nil
}

// A multipartEnvelope is what stands around the image.
type multipartEnvelope struct{ head, meta, tail []byte }

func envelope(boundary, name, contentType string, digest [sha256.Size]byte) (*multipartEnvelope, error) {
	meta, err := json.Marshal(uploadMeta{Filename: name, SHA256: hex.EncodeToString(digest[:])})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	if err := w.SetBoundary(boundary); err != nil {
		return nil, err
	}
	part, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="meta"`},
		"Content-Type":        {"application/json"},
	})
	if err != nil {
		return nil, err
	}
	if _, err := part.Write(meta); err != nil {
		return nil, err
	}
	if _, err := w.CreatePart(textproto.MIMEHeader{
		"Content-Disposition": {`form-data; name="file"; filename="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\r", "%0D", "\n", "%0A").Replace(name) + `"`},
		"Content-Type":        {contentType},
	}); err != nil {
		return nil, err
	}
	head := bytes.Clone(b.Bytes())
	if err := w.Close(); err != nil {
		return nil, err
	}
	return &multipartEnvelope{head: head, meta: meta, tail: b.Bytes()[len(head):]}, nil
}

// readBehind reads at most one byte more than maxUpload, behind so many bytes
// that are left free, with so many to spare at the end. What a reader holds that
// says how much it is, is read into one piece; a stream is read in pieces, and
// then joined.
func readBehind(ctx context.Context, free, spare int, r io.Reader) ([]byte, error) {
	const piece = 128 << 10
	size := piece
	if sized, ok := r.(interface{ Len() int }); ok {
		size = min(max(sized.Len(), 0), maxUpload) + 1 // one more, to see the end
	}
	r = io.LimitReader(r, maxUpload+1)
	body := make([]byte, free, free+size+spare)
	n, err := readFull(ctx, r, body[free:free+size])
	body = body[:free+n]
	if err == io.EOF {
		return body, nil
	}
	var more [][]byte
	for err == nil {
		next := make([]byte, piece)
		n, err = readFull(ctx, r, next)
		more = append(more, next[:n])
	}
	if err != io.EOF {
		return nil, err
	}
	size = len(body)
	for _, next := range more {
		size += len(next)
	}
	joined := append(make([]byte, 0, size+spare), body...)
	for _, next := range more {
		joined = append(joined, next...)
	}
	return joined, nil
}

// readFull fills p. At the end of r it gives io.EOF; unlike io.ReadFull it
// passes io.ErrUnexpectedEOF on, which is a torn file and no end.
func readFull(ctx context.Context, r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && err == nil; empty++ {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		if empty == 100 { // as package bufio has it
			return n, io.ErrNoProgress
		}
		var more int
		if more, err = r.Read(p[n:]); more > 0 {
			n, empty = n+more, 0
		}
	}
	return n, err
}

// Image is an image being downloaded. The caller reads and closes it. Read
// returns an error after 32 MiB.
type Image struct {
	io.ReadCloser
	ContentType string // such as image/jpeg
	Size        int64  // in bytes; -1: unknown
}

// DownloadImage starts the download of an image of a complaint. media is a
// media_url of a [Complaint] or a [NegotiationRecord], or the media id at its
// end. It is sent as it is, escaped or not, except that slashes in a media id are
// escaped. ctx must not end before the image is read.
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
	image := &Image{
		ReadCloser:  &limitedImage{ReadCloser: resp.Body, left: maxDownload},
		ContentType: resp.Header.Get("Content-Type"),
		Size:        resp.ContentLength,
	}
	var problem string
	switch {
	case !strings.HasPrefix(image.ContentType, "image/"):
		problem = fmt.Sprintf("Content-Type is %.100q, not an image", image.ContentType)
	case image.Size > maxDownload:
		problem = fmt.Sprintf("has %d bytes, at most %d allowed", image.Size, maxDownload)
	default:
		return image, nil
	}
	resp.Body.Close()
	e := newAPIError(resp, http.MethodGet, "://"+resp.Request.URL.Host, imagePath, nil)
	e.Message = problem
	return nil, fmt.Errorf("wechatpay: %s: %w", op, e)
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
