package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// picture returns size bytes that start like an image of the given kind.
func picture(kind string, size int) []byte {
	content := make([]byte, size)
	copy(content, map[string]string{"png": "\x89PNG\r\n\x1a\n", "jpg": "\xff\xd8\xff\xe0", "bmp": "BM"}[kind])
	for i := 16; i < size; i++ {
		content[i] = byte(i * 7)
	}
	return content
}

// requireUpload checks an upload request and its signature.
func requireUpload(t *testing.T, r *http.Request, filename, contentType string, content []byte) {
	t.Helper()
	require.Equal(t, http.MethodPost, r.Method)
	require.Equal(t, "/v3/merchant-service/images/upload", r.RequestURI)
	require.Equal(t, []string{"application/json"}, r.Header["Accept"])
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/form-data", kind)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.EqualValues(t, len(body), r.ContentLength)
	form := multipart.NewReader(bytes.NewReader(body), params["boundary"])

	part, err := form.NextPart()
	require.NoError(t, err)
	require.Equal(t, "meta", part.FormName())
	require.Equal(t, "application/json", part.Header.Get("Content-Type"))
	meta, err := io.ReadAll(part)
	require.NoError(t, err)
	digest := sha256.Sum256(content)
	wantMeta, err := json.Marshal(struct {
		Filename string `json:"filename"`
		SHA256   string `json:"sha256"`
	}{filename, hex.EncodeToString(digest[:])})
	require.NoError(t, err)
	require.Equal(t, string(wantMeta), string(meta))

	part, err = form.NextPart()
	require.NoError(t, err)
	require.Equal(t, "file", part.FormName())
	require.Equal(t, filename, part.FileName())
	require.Equal(t, contentType, part.Header.Get("Content-Type"))
	got, err := io.ReadAll(part)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	_, err = form.NextPart()
	require.ErrorIs(t, err, io.EOF)
	requireSigned(t, r, string(meta))
}

func TestComplaintsV2_UploadImage_request(t *testing.T) {
	longest := strings.Repeat("图", 124) + ".png"
	for _, tt := range []struct {
		name, filename    string
		content           []byte
		sent, contentType string
	}{
		{"png", "a.png", picture("png", 100), "a.png", "image/png"},
		{"jpg", "a.jpg", picture("jpg", 100), "a.jpg", "image/jpeg"},
		{"jpeg", "a.JPEG", picture("jpg", 100), "a.jpg", "image/jpeg"},
		{"upper case, path", "/home/me/A.B.BMP", picture("bmp", 100), "A.B.bmp", "image/bmp"},
		{"Windows path", `C:\me\a.png`, picture("png", 100), "a.png", "image/png"},
		{"quotes", `证据 "1".png`, picture("png", 100), `证据 "1".png`, "image/png"},
		{"2 MiB", "a.png", picture("png", 2<<20), "a.png", "image/png"},
		{"longest name", longest, picture("png", 100), longest, "image/png"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				requireUpload(t, r, tt.sent, tt.contentType, tt.content)
				reply(t, 200, `{"media_id":"file752398_7983424"}`)(w, r)
			})
			r := bytes.NewReader(tt.content)
			mediaID, err := client.ComplaintsV2.UploadImage(context.Background(), tt.filename, r)
			require.NoError(t, err)
			require.Equal(t, "file752398_7983424", mediaID)
		})
	}
}

// A line end in a file name cannot add a header to the part.
func TestComplaintsV2_UploadImage_lineEndInName(t *testing.T) {
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Contains(t, string(body), `name="file"; filename="a%0D%0Ab.png"`+"\r\nContent-Type: image/png\r\n\r\n")
		reply(t, 200, `{"media_id":"1"}`)(w, r)
	})
	r := bytes.NewReader(picture("png", 100))
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a\r\nb.png", r)
	require.NoError(t, err)
}

func TestComplaintsV2_UploadImage_readers(t *testing.T) {
	const chunk = 32 << 10
	for _, size := range []int{16, 100, chunk - 1, chunk, chunk + 1, 1 << 20, 2 << 20} {
		content := picture("png", size)
		for name, reader := range map[string]func() io.Reader{
			"bytes.Reader":   func() io.Reader { return bytes.NewReader(content) },
			"bytes.Buffer":   func() io.Reader { return bytes.NewBuffer(bytes.Clone(content)) },
			"strings.Reader": func() io.Reader { return strings.NewReader(string(content)) },
			"stream":         func() io.Reader { return io.MultiReader(bytes.NewReader(content)) },
			"short reads":    func() io.Reader { return iotest.HalfReader(bytes.NewReader(content)) },
			"data with EOF":  func() io.Reader { return iotest.DataErrReader(bytes.NewReader(content)) },
			"empty reads":    func() io.Reader { return emptyReads(bytes.NewReader(content), 99) },
		} {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				requireUpload(t, r, "a.png", "image/png", content)
				reply(t, 200, `{"media_id":"1"}`)(w, r)
			})
			_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", reader())
			require.NoError(t, err, "%s, %d bytes", name, size)
		}
	}
}

// emptyReads returns a reader that returns no bytes n times before each read.
func emptyReads(r io.Reader, n int) io.Reader {
	empty := 0
	return readerFunc(func(p []byte) (int, error) {
		if empty++; empty <= n {
			return 0, nil
		}
		empty = 0
		return r.Read(p)
	})
}

// A retry sends the whole image again, however much the first attempt sent.
func TestComplaintsV2_UploadImage_retry(t *testing.T) {
	t.Parallel()
	content := picture("png", 2<<20)
	requests := 0
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if requests++; requests < 3 {
			_, err := io.CopyN(io.Discard, r.Body, 100_000)
			require.NoError(t, err)
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		requireUpload(t, r, "a.png", "image/png", content)
		reply(t, 200, `{"media_id":"1"}`)(w, r)
	})
	client := retryClient(t, server.URL, func(*wechatpay.Config) {})
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(content))
	require.NoError(t, err)
	require.Equal(t, 3, requests)
}

func TestComplaintsV2_UploadImage_invalidArguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	const tooLarge = "must have at most 2097152 bytes"
	const wrongName = "must end in .jpg, .jpeg, .png or .bmp, got "
	x := strings.NewReader("x")
	for _, tt := range []struct {
		name, filename string
		r              io.Reader
		field, problem string
	}{
		{"3 MB", "a.png", bytes.NewReader(picture("png", 3<<20)), "r", tooLarge},
		{"stream of 2 MiB and 1", "a.png", io.MultiReader(bytes.NewReader(picture("png", 2<<20+1))), "r", tooLarge},
		{"endless stream", "a.png", zeros{}, "r", tooLarge},
		{"text", "a.png", x, "r", "is text/plain; charset=utf-8, but the filename says image/png"},
		{"png named jpg", "a.jpg", bytes.NewReader(picture("png", 100)), "r",
			"is image/png, but the filename says image/jpeg"},
		{"empty", "a.png", strings.NewReader(""), "r", "is empty"},
		{"nil", "a.png", nil, "r", "is required"},
		{"nil *os.File", "a.png", (*os.File)(nil), "r", "is required"},
		{"gif", "a.gif", x, "filename", wrongName + `"a.gif"`},
		{"no name", "", x, "filename", wrongName + `""`},
		{"long name", strings.Repeat("图", 125) + ".png", x, "filename", "has 129 characters, at most 128 allowed"},
		{"emoji", "🙂.png", x, "filename", "contains an emoji (U+1F642), which WeChat Pay does not accept"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client.ComplaintsV2.UploadImage(context.Background(), tt.filename, tt.r)
			var invalid *wechatpay.ArgumentError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, []wechatpay.ArgumentFault{{Field: tt.field, Problem: tt.problem}}, invalid.Faults)
		})
	}
}

func TestComplaintsV2_UploadImage_readError(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	start := func() io.Reader { return bytes.NewReader(picture("png", 100)) }
	failure := errors.New("disk error")
	for name, tt := range map[string]struct {
		r    io.Reader
		want error
	}{
		"error":             {io.MultiReader(start(), errorReader{failure}), failure},
		"unexpected EOF":    {io.MultiReader(start(), errorReader{io.ErrUnexpectedEOF}), io.ErrUnexpectedEOF},
		"reads of no bytes": {readerFunc(func([]byte) (int, error) { return 0, nil }), io.ErrNoProgress},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", tt.r)
			require.ErrorIs(t, err, tt.want)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "wechatpay: ComplaintsV2.UploadImage: reading the image: ")
		})
	}
	t.Run("canceled context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		image := bytes.NewReader(picture("png", 100))
		_, err := client.ComplaintsV2.UploadImage(ctx, "a.png", image)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, int(image.Size()), image.Len(), "the image was read")
	})
}

func TestComplaintsV2_UploadImage_errorResponses(t *testing.T) {
	rejected := map[int]bool{400: true, 401: true, 403: true, 429: true, 500: false, 200: false}
	for status, definite := range rejected {
		for body, fromWeChatPay := range map[string]bool{`<html>`: false, `{"code":"PARAM_ERROR"}`: true} {
			client, _ := newMock(t, reply(t, status, body))
			r := bytes.NewReader(picture("png", 100))
			_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", r)
			require.Error(t, err)
			require.Equal(t, !definite || !fromWeChatPay, errors.Is(err, wechatpay.ErrOutcomeUnknown), "%d %s", status, body)
		}
	}
}

func TestComplaintsV2_UploadImage_noMediaID(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{}`))
	r := bytes.NewReader(picture("png", 100))
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", r)
	requireMismatch(t, err, "it has no media_id")
	require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

// newUploadClient returns a Client whose transport reads and discards uploads.
func newUploadClient(t testing.TB) *wechatpay.Client {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.InsecureSkipVerify = true
	cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, req.Body)
		req.Body.Close()
		body := io.NopCloser(strings.NewReader(`{"media_id":"1"}`))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, Request: req}, err
	})
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

var uploadReaders = []struct {
	name string
	new  func(content []byte) io.Reader
}{
	{"memory", func(content []byte) io.Reader { return bytes.NewReader(content) }},
	{"stream", func(content []byte) io.Reader { return io.MultiReader(bytes.NewReader(content)) }},
}

// BenchmarkUpload uploads an image of 2 MiB. The budget is 1.1 allocated bytes
// per byte of the image.
func BenchmarkUpload(b *testing.B) {
	content, client := picture("png", 2<<20), newUploadClient(b)
	for _, reader := range uploadReaders {
		b.Run(reader.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			allocated := measureAllocated(func() {
				for b.Loop() {
					_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", reader.new(content))
					if err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(len(content)), "image-B/op")
			b.ReportMetric(float64(allocated)/float64(b.N)/float64(len(content)), "B/image-B")
		})
	}
}

// measureAllocated returns how many bytes f allocates.
func measureAllocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestComplaintsV2_UploadImage_allocations(t *testing.T) {
	client := newUploadClient(t)
	for _, size := range []int{1 << 20, 2<<20 - 1, 2 << 20} {
		content := picture("png", size)
		for _, reader := range uploadReaders {
			const runs = 10
			allocated := measureAllocated(func() {
				for range runs {
					_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", reader.new(content))
					require.NoError(t, err)
				}
			})
			require.Less(t, float64(allocated)/runs/float64(size), 1.1, "%d bytes from %s", size, reader.name)
		}
	}
}

// media is sent and signed as it is.
func TestComplaintsV2_DownloadImage_request(t *testing.T) {
	long := strings.Repeat("a", 455)
	const official = "ChsyMDAyMDEyMDIwMDIyMDIwMDQwMDAwMTAzNzUYACCE4cn%3D%3D"
	for _, tt := range []struct{ name, media, uri string }{
		{"escaped URL", "https://api.mch.weixin.qq.com/v3/merchant-service/images/" + official, official},
		{"unescaped URL", "https://api2.mch.weixin.qq.com/v3/merchant-service/images/a+b/c==", "a+b/c=="},
		{"mixed URL", "https://api.wechatpay.cn/v3/merchant-service/images/a%2Bb+c%2Fd/e%3d==", "a%2Bb+c%2Fd/e%3d=="},
		{"query", "https://api2.wechatpay.cn/v3/merchant-service/images/a?b=c%2F+", "a?b=c%2F+"},
		{"http, as in old samples", "http://api.mch.weixin.qq.com/v3/merchant-service/images/a", "a"},
		{"upper-case scheme", "HTTPS://api.mch.weixin.qq.com/v3/merchant-service/images/a", "a"},
		{"port", "https://api.mch.weixin.qq.com:443/v3/merchant-service/images/a", "a"},
		{"longest URL", "https://api.mch.weixin.qq.com/v3/merchant-service/images/" + long[:455], long[:455]},
		{"host of the Client", "OWN/v3/merchant-service/images/a%3D", "a%3D"},
		{"escaped id", official, official},
		{"unescaped id", "a+b/c==", "a+b%2Fc=="},
		{"mixed id", "a%2Bb+c%2Fd==", "a%2Bb+c%2Fd=="},
		{"longest id", long[:256], long[:256]},
		{"path", "/v3/merchant-service/images/" + official, official},
		{"path with slashes and a query", "/v3/merchant-service/images/a+b/c==?d=e", "a+b/c==?d=e"},
		{"path without the first slash", "v3/merchant-service/images/a", "a"},
		{"URL without a scheme", "api2.mch.weixin.qq.com/v3/merchant-service/images/a%3D", "a%3D"},
		{"URL that begins with the host", "//api.mch.weixin.qq.com/v3/merchant-service/images/a", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := picture("jpg", 3000)
			client, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, http.MethodGet, r.Method)
				require.Equal(t, "/v3/merchant-service/images/"+tt.uri, r.RequestURI)
				require.Equal(t, []string{"*/*"}, r.Header["Accept"])
				requireSigned(t, r, "")
				w.Header().Set("Content-Type", "image/jpeg")
				w.Write(content)
			})
			media := strings.Replace(tt.media, "OWN", server.URL, 1)
			image, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
			require.NoError(t, err)
			got, err := io.ReadAll(image)
			require.NoError(t, err)
			require.NoError(t, image.Close())
			require.True(t, bytes.Equal(content, got))
			require.Equal(t, "image/jpeg", image.ContentType)
			require.EqualValues(t, -1, image.Size)
		})
	}
}

func TestComplaintsV2_DownloadImage_invalidArguments(t *testing.T) {
	client, server := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	const (
		images     = "https://api.mch.weixin.qq.com/v3/merchant-service/images/"
		notASCII   = "must be printable ASCII, got "
		notID      = "is not a media id: "
		notURL     = "is not a URL: "
		otherHost  = "is not a WeChat Pay API URL: "
		notMedia   = "is not a media_url: "
		longID     = "has 257 characters, at most 256 allowed"
		longURL    = "has 513 characters, at most 512 allowed"
		isRequired = "is required"
	)
	for media, problem := range map[string]string{
		"":                                      isRequired,
		".":                                     notID,
		"..":                                    notID,
		"a?b":                                   notID,
		"a#b":                                   notID,
		"a%zz":                                  notID,
		"a\nb":                                  notASCII,
		"a b":                                   notASCII,
		"a\x7f":                                 notASCII,
		"图":                                     notASCII,
		images + "a?b=c d":                      notASCII,
		strings.Repeat("a", 257):                longID,
		images + strings.Repeat("a", 456):       longURL,
		"https://api.mch.weixin.qq.com/v3/a%zz": notURL,
		"https://storage.example.com/v3/merchant-service/images/a":                otherHost,
		"https://api.mch.weixin.qq.com@evil.example/v3/merchant-service/images/a": otherHost,
		"https://u:p@api.mch.weixin.qq.com/v3/merchant-service/images/a":          otherHost,
		"ftp://api.mch.weixin.qq.com/v3/merchant-service/images/a":                otherHost,
		"https://api.mch.weixin.qq.com:444/v3/merchant-service/images/a":          otherHost,
		server.URL + "0/v3/merchant-service/images/a":                             otherHost,
		"https://api.mch.weixin.qq.com/v3/certificates":                           notMedia,
		"https://api.mch.weixin.qq.com":                                           notMedia,
		"https://api.mch.weixin.qq.com/elsewhere":                                 notMedia,
		images + "a#b": notMedia,
		"https://api.mch.weixin.qq.com/a/v3/merchant-service/images/a": notMedia,
		"storage.example.com/v3/merchant-service/images/a":             otherHost,
		"//storage.example.com/v3/merchant-service/images/a":           otherHost,
		"/v3/merchant-service/images/../../certificates":               notMedia,
		"/v3/merchant-service/images/a#b":                              notMedia,
	} {
		image, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
		require.Nil(t, image)
		var invalid *wechatpay.ArgumentError
		require.ErrorAs(t, err, &invalid, media)
		require.Len(t, invalid.Faults, 1)
		require.Equal(t, "media", invalid.Faults[0].Field)
		require.True(t, strings.HasPrefix(invalid.Faults[0].Problem, problem), "%s: %v", media, err)
	}
}

func TestComplaintsV2_DownloadImage_errorResponses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    wechatpay.APIError
	}{
		{"400", reply(t, 400, `{"code":"PARAM_ERROR","message":"m"}`), wechatpay.APIError{
			StatusCode: 400, Code: "PARAM_ERROR", Message: "m", RequestID: "08F7A1B2C30610-0",
		}},
		{"signed 204", reply(t, 204, ``), wechatpay.APIError{
			StatusCode: 204, Message: "expected 200", RequestID: "08F7A1B2C30610-0",
		}},
		{"HTML", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, wechatpay.APIError{
			StatusCode: 200, Message: `Content-Type is "text/html; charset=utf-8", not an image`,
		}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) }, wechatpay.APIError{
			StatusCode: 302, Message: "not a WeChat Pay response",
		}},
		{"Content-Length too large", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Length", "33554433")
			w.WriteHeader(200)
		}, wechatpay.APIError{StatusCode: 200, Message: "has 33554433 bytes, at most 33554432 allowed"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, tt.handler)
			image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
			require.Nil(t, image)
			var rejection *wechatpay.APIError
			require.ErrorAs(t, err, &rejection)
			tt.want.Method, tt.want.Path = "GET", "/v3/merchant-service/images/a"
			require.True(t, strings.HasPrefix(rejection.Host, "127.0.0.1:"), rejection.Host)
			tt.want.Host = rejection.Host
			require.Equal(t, tt.want, *rejection)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		})
	}
}

func TestComplaintsV2_DownloadImage_contentType(t *testing.T) {
	for _, tt := range []struct {
		header  []string // of Content-Type; nil: none
		content []byte
		want    string // "": refused
	}{
		{[]string{"IMAGE/JPEG"}, picture("jpg", 3000), "image/jpeg"},
		{[]string{"Image/Png; charset=binary"}, picture("png", 3000), "image/png"},
		{nil, picture("jpg", 3000), "image/jpeg"},
		{[]string{"application/octet-stream"}, picture("png", 3000), "image/png"},
		{[]string{"Application/Octet-Stream"}, picture("bmp", 100), "image/bmp"},
		{[]string{"binary/octet-stream"}, picture("jpg", 512), "image/jpeg"},
		{nil, []byte("<html>no image</html>"), ""},
		{nil, nil, ""},
		{[]string{"application/octet-stream"}, []byte(`{"code":"FAIL"}`), ""},
		{[]string{"application/json"}, picture("jpg", 3000), ""},
	} {
		client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Content-Type"] = tt.header
			w.Write(tt.content)
		})
		image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
		if tt.want == "" {
			var rejection *wechatpay.APIError
			require.ErrorAs(t, err, &rejection)
			want := fmt.Sprintf("Content-Type is %q, not an image", strings.Join(tt.header, ""))
			require.Equal(t, want, rejection.Message)
			continue
		}
		require.NoError(t, err, "%q", tt.header)
		require.Equal(t, tt.want, image.ContentType)
		got, err := io.ReadAll(image)
		require.NoError(t, err)
		require.True(t, bytes.Equal(tt.content, got))
		require.NoError(t, image.Close())
	}
}

// The connection breaks before the type of the image is known.
func TestComplaintsV2_DownloadImage_brokenStart(t *testing.T) {
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Content-Length", "3000")
		w.Write(picture("jpg", 100))
	})
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.Nil(t, image)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.DownloadImage: reading the image: unexpected EOF")
}

func TestComplaintsV2_DownloadImage_size(t *testing.T) {
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Content-Length", "33554432")
		w.WriteHeader(200)
	})
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.NoError(t, err)
	require.EqualValues(t, 32<<20, image.Size)
	require.NoError(t, image.Close())
}

func TestComplaintsV2_DownloadImage_stream(t *testing.T) {
	for size, tooLarge := range map[int]bool{32 << 20: false, 32<<20 + 1: true} {
		release := make(chan struct{})
		client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Write(picture("png", 64))
			w.(http.Flusher).Flush()
			<-release
			w.Write(make([]byte, size-64))
		})
		image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
		require.NoError(t, err)
		require.EqualValues(t, -1, image.Size)
		first := make([]byte, 64)
		_, err = io.ReadFull(image, first)
		require.NoError(t, err)
		require.Equal(t, picture("png", 64), first, "the image must be readable before it ends")
		close(release)
		n, err := io.Copy(io.Discard, image)
		require.LessOrEqual(t, n, int64(32<<20))
		if tooLarge {
			require.EqualError(t, err, "wechatpay: ComplaintsV2.DownloadImage: the image exceeds 33554432 bytes")
		} else {
			require.NoError(t, err)
			require.EqualValues(t, size-64, n)
		}
		require.NoError(t, image.Close())
	}
}

// Only DownloadImage accepts an unsigned response.
func TestComplaintsV2_DownloadImage_unsigned(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
	}))
	t.Cleanup(server.Close)
	client, err := wechatpay.NewClient(testConfig(t, server.URL))
	require.NoError(t, err)
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.NoError(t, err)
	require.NoError(t, image.Close())
	var failed *wechatpay.VerificationError
	const path = "/v3/merchant-service/images/a"
	require.ErrorAs(t, client.Do(context.Background(), http.MethodGet, path, nil, nil), &failed)
	_, err = client.HTTPClient().Get(server.URL + path)
	require.ErrorAs(t, err, &failed)
}

// A read that gets no data ends after AttemptTimeout, even without a deadline.
func TestComplaintsV2_DownloadImage_stalledBody(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
		w.(http.Flusher).Flush()
		<-release
	})
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
		cfg.Retry.AttemptTimeout = 50 * time.Millisecond
	})
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, image)
	require.Equal(t, int64(64), n)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, image.Close())
}

// AttemptTimeout covers the whole body of a response that is not an image.
func TestComplaintsV2_DownloadImage_stalledError(t *testing.T) {
	for name, header := range map[string]func(http.ResponseWriter){
		"500":  func(w http.ResponseWriter) { w.WriteHeader(500) },
		"HTML": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html") },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			defer close(release)
			_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				header(w)
				io.WriteString(w, "{")
				w.(http.Flusher).Flush()
				<-release
			})
			client := retryClient(t, server.URL, func(cfg *wechatpay.Config) {
				cfg.Retry.AttemptTimeout, cfg.Retry.MaxAttempts = 50*time.Millisecond, 1
			})
			_, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
			require.Error(t, err)
		})
	}
}

// A response that arrives after AttemptTimeout is requested again.
func TestComplaintsV2_DownloadImage_lateResponse(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for _, content := range []string{"{}", "null", string(picture("png", 64))} {
		t.Run(content[:2], func(t *testing.T) {
			t.Parallel()
			requests := 0
			client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
				cfg.Retry.AttemptTimeout = time.Second // enough for the second attempt
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if requests++; requests == 1 {
						<-req.Context().Done()
					}
					header := http.Header{"Content-Type": {"image/png"}}
					body := io.NopCloser(strings.NewReader(content))
					return &http.Response{StatusCode: 200, Header: header, Body: body, Request: req}, nil
				})
			})
			image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
			require.NoError(t, err)
			got, err := io.ReadAll(image)
			require.NoError(t, err)
			require.Equal(t, content, string(got))
			require.NoError(t, image.Close())
			require.Equal(t, 2, requests)
		})
	}
}
