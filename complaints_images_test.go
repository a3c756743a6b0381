package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// picture is an image by its first bytes, of so many bytes in all.
func picture(kind string, size int) []byte {
	content := make([]byte, size)
	copy(content, map[string]string{"png": "\x89PNG\r\n\x1a\n", "jpg": "\xff\xd8\xff\xe0", "bmp": "BM"}[kind])
	for i := 16; i < size; i++ {
		content[i] = byte(i * 7)
	}
	return content
}

func TestUploadImage(t *testing.T) {
	for _, tt := range []struct {
		name, filename string
		content        []byte
		sent, kind     string
	}{
		{"png", "证据 \"1\".png", picture("png", 100), "证据 \"1\".png", "image/png"},
		{"jpg", "a.jpg", picture("jpg", 100), "a.jpg", "image/jpeg"},
		{"jpeg", "a.JPEG", picture("jpg", 100), "a.jpg", "image/jpeg"},
		{"bmp in capitals, in a folder", "/home/me/A.B.BMP", picture("bmp", 100), "A.B.bmp", "image/bmp"},
		{"in a Windows folder", `C:\me\a.png`, picture("png", 100), "a.png", "image/png"},
		{"2 MiB", "a.png", picture("png", 2<<20), "a.png", "image/png"},
		{"longest name", strings.Repeat("图", 124) + ".png", picture("png", 100), strings.Repeat("图", 124) + ".png", "image/png"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, http.MethodPost, r.Method)
				require.Equal(t, "/v3/merchant-service/images/upload", r.RequestURI)
				require.Equal(t, []string{"application/json"}, r.Header["Accept"])
				require.Positive(t, r.ContentLength)
				kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
				require.NoError(t, err)
				require.Equal(t, "multipart/form-data", kind)
				form := multipart.NewReader(r.Body, params["boundary"])

				part, err := form.NextPart()
				require.NoError(t, err)
				require.Equal(t, "meta", part.FormName())
				require.Equal(t, "application/json", part.Header.Get("Content-Type"))
				meta, err := io.ReadAll(part)
				require.NoError(t, err)
				digest := sha256.Sum256(tt.content)
				wantMeta, err := json.Marshal(struct {
					Filename string `json:"filename"`
					SHA256   string `json:"sha256"`
				}{tt.sent, hex.EncodeToString(digest[:])})
				require.NoError(t, err)
				require.Equal(t, string(wantMeta), string(meta))

				part, err = form.NextPart()
				require.NoError(t, err)
				require.Equal(t, "file", part.FormName())
				require.Equal(t, tt.sent, part.FileName())
				require.Equal(t, tt.kind, part.Header.Get("Content-Type"))
				content, err := io.ReadAll(part)
				require.NoError(t, err)
				require.True(t, bytes.Equal(tt.content, content))
				_, err = form.NextPart()
				require.ErrorIs(t, err, io.EOF)

				requireSigned(t, r, string(meta))
				reply(t, 200, `{"media_id":"file752398_7983424"}`)(w, r)
			})
			mediaID, err := client.ComplaintsV2.UploadImage(context.Background(), tt.filename, bytes.NewReader(tt.content))
			require.NoError(t, err)
			require.Equal(t, "file752398_7983424", mediaID)
		})
	}
}

func TestUploadImageFromAnyReader(t *testing.T) {
	for _, size := range []int{1, 100, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 2 << 20} {
		content := picture("png", max(size, 16))
		for name, reader := range map[string]func() io.Reader{
			"bytes.Reader": func() io.Reader { return bytes.NewReader(content) }, "bytes.Buffer": func() io.Reader { return bytes.NewBuffer(bytes.Clone(content)) },
			"strings.Reader": func() io.Reader { return strings.NewReader(string(content)) }, "stream": func() io.Reader { return io.MultiReader(bytes.NewReader(content)) },
			"half reads": func() io.Reader { return iotest.HalfReader(bytes.NewReader(content)) }, "end of file with the data": func() io.Reader { return iotest.DataErrReader(bytes.NewReader(content)) },
		} {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				file, _, err := r.FormFile("file")
				require.NoError(t, err)
				got, err := io.ReadAll(file)
				require.NoError(t, err)
				require.True(t, bytes.Equal(content, got), "%s, %d bytes", name, len(content))
				reply(t, 200, `{"media_id":"1"}`)(w, r)
			})
			_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", reader())
			require.NoError(t, err)
		}
	}
}

func TestUploadImageRefuses(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for _, tt := range []struct {
		name, filename string
		r              io.Reader
		faults         []wechatpay.ArgumentFault
	}{
		{"3 MB", "a.png", bytes.NewReader(picture("png", 3<<20)), []wechatpay.ArgumentFault{{Field: "r", Problem: "more than 2097152 bytes, which is the most that WeChat Pay takes"}}},
		{"one byte too many, of a stream", "a.png", io.MultiReader(bytes.NewReader(picture("png", 2<<20+1))), []wechatpay.ArgumentFault{{Field: "r", Problem: "more than 2097152 bytes, which is the most that WeChat Pay takes"}}},
		{"endless", "a.png", zeros{}, []wechatpay.ArgumentFault{{Field: "r", Problem: "more than 2097152 bytes, which is the most that WeChat Pay takes"}}},
		{"text", "a.png", strings.NewReader("hello"), []wechatpay.ArgumentFault{{Field: "r", Problem: `text/plain; charset=utf-8 by its content, and image/png by the name "a.png"`}}},
		{"png named jpg", "a.jpg", bytes.NewReader(picture("png", 100)), []wechatpay.ArgumentFault{{Field: "r", Problem: `image/png by its content, and image/jpeg by the name "a.jpg"`}}},
		{"empty", "a.png", strings.NewReader(""), []wechatpay.ArgumentFault{{Field: "r", Problem: "empty"}}},
		{"nil", "a.png", nil, []wechatpay.ArgumentFault{{Field: "r", Problem: "nil"}}},
		{"nil *os.File", "a.png", (*os.File)(nil), []wechatpay.ArgumentFault{{Field: "r", Problem: "nil"}}},
		{"gif", "a.gif", strings.NewReader("GIF89a"), []wechatpay.ArgumentFault{{Field: "filename", Problem: `"a.gif" does not end in .jpg, .png or .bmp`}}},
		{"no name", "", strings.NewReader("x"), []wechatpay.ArgumentFault{{Field: "filename", Problem: `"" does not end in .jpg, .png or .bmp`}}},
		{"long name", strings.Repeat("图", 125) + ".png", strings.NewReader("x"), []wechatpay.ArgumentFault{{Field: "filename", Problem: "129 characters, at most 128 are allowed"}}},
		{"emoji", "🙂.png", strings.NewReader("x"), []wechatpay.ArgumentFault{{Field: "filename", Problem: "holds '🙂' (U+1F642), and WeChat Pay takes no character beyond U+FFFF (emoji)"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := client.ComplaintsV2.UploadImage(context.Background(), tt.filename, tt.r)
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, tt.faults, refused.Faults)
		})
	}
	torn := errors.New("the disk is gone")
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", io.MultiReader(bytes.NewReader(picture("png", 100)), errorReader{torn}))
	require.ErrorIs(t, err, torn)
	_, err = client.ComplaintsV2.UploadImage(context.Background(), "a.png", io.MultiReader(bytes.NewReader(picture("png", 100)), errorReader{io.ErrUnexpectedEOF}))
	require.ErrorIs(t, err, io.ErrUnexpectedEOF, "a torn image is sent")
	require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
}

func TestUploadImageErrors(t *testing.T) {
	for status, unknown := range map[int]bool{400: false, 401: false, 403: false, 429: false, 500: true, 200: true} {
		client, _ := newMock(t, reply(t, status, `<html>`))
		_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(picture("png", 100)))
		require.Error(t, err)
		require.Equal(t, unknown, errors.Is(err, wechatpay.ErrOutcomeUnknown), "%d", status)
	}
}

// The path is signed and sent as it was given; the answer is not signed.
func TestDownloadImage(t *testing.T) {
	const official = "ChsyMDAyMDEyMDIwMDIyMDIwMDQwMDAwMTAzNzUYACCE4cn%3D%3D"
	for _, tt := range []struct{ name, media, uri string }{
		{"escaped URL", "https://api.mch.weixin.qq.com/v3/merchant-service/images/" + official, "/v3/merchant-service/images/" + official},
		{"bare URL", "https://api2.mch.weixin.qq.com/v3/merchant-service/images/a+b/c==", "/v3/merchant-service/images/a+b/c=="},
		{"mixed URL", "https://api.wechatpay.cn/v3/merchant-service/images/a%2Bb+c%2Fd/e%3d==", "/v3/merchant-service/images/a%2Bb+c%2Fd/e%3d=="},
		{"with a query", "https://api2.wechatpay.cn/v3/merchant-service/images/a?b=c%2F+", "/v3/merchant-service/images/a?b=c%2F+"},
		{"http, as old samples have it", "http://api.mch.weixin.qq.com/v3/merchant-service/images/a", "/v3/merchant-service/images/a"},
		{"scheme in capitals", "HTTPS://api.mch.weixin.qq.com/v3/merchant-service/images/a", "/v3/merchant-service/images/a"},
		{"the client's own host", "OWN/v3/merchant-service/images/a%3D", "/v3/merchant-service/images/a%3D"},
		{"escaped id", official, "/v3/merchant-service/images/" + official},
		{"bare id", "a+b/c==", "/v3/merchant-service/images/a+b%2Fc=="},
		{"mixed id", "a%2Bb+c%2Fd==", "/v3/merchant-service/images/a%2Bb+c%2Fd=="},
	} {
		t.Run(tt.name, func(t *testing.T) {
			content := picture("jpg", 3000)
			client, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				require.Equal(t, http.MethodGet, r.Method)
				require.Equal(t, tt.uri, r.RequestURI)
				require.Equal(t, []string{"*/*"}, r.Header["Accept"])
				requireSigned(t, r, "")
				w.Header().Set("Content-Type", "image/jpeg")
				w.Write(content)
			})
			image, err := client.ComplaintsV2.DownloadImage(context.Background(), strings.Replace(tt.media, "OWN", server.URL, 1))
			require.NoError(t, err)
			got, err := io.ReadAll(image)
			require.NoError(t, err)
			require.NoError(t, image.Close())
			require.True(t, bytes.Equal(content, got))
			require.Equal(t, "image/jpeg", image.ContentType)
		})
	}
}

func TestDownloadImageRefuses(t *testing.T) {
	client, server := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for _, media := range []string{
		"", ".", "..", "a?b", "a#b", "a%zz", "a\nb", "a b", "图", strings.Repeat("a", 257), "https://api.mch.weixin.qq.com/v3/merchant-service/images/" + strings.Repeat("a", 512),
		"https://api.mch.weixin.qq.com/v3/certificates", "https://api.mch.weixin.qq.com/v3/merchant-service/images/a?b=c d",
		"https://storage.example.com/v3/merchant-service/images/a", "https://api.mch.weixin.qq.com@evil.example/v3/merchant-service/images/a",
		"https://u:p@api.mch.weixin.qq.com/v3/merchant-service/images/a", "ftp://api.mch.weixin.qq.com/v3/merchant-service/images/a",
		"https://api.mch.weixin.qq.com:444/v3/merchant-service/images/a", "https://api.mch.weixin.qq.com", "https://api.mch.weixin.qq.com/elsewhere",
		"https://api.mch.weixin.qq.com/v3/a%zz", "https://api.mch.weixin.qq.com/v3/a#b", server.URL + "0/v3/merchant-service/images/a",
	} {
		image, err := client.ComplaintsV2.DownloadImage(context.Background(), media)
		require.Nil(t, image)
		var refused *wechatpay.ArgumentError
		require.ErrorAs(t, err, &refused, media)
		require.Equal(t, "media", refused.Faults[0].Field)
	}
}

func TestDownloadImageErrors(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    wechatpay.APIError
	}{
		{"refused", reply(t, 400, `{"code":"PARAM_ERROR","message":"m"}`), wechatpay.APIError{StatusCode: 400, Code: "PARAM_ERROR", Message: "m", RequestID: "08F7A1B2C30610-0"}},
		{"a signed 204", reply(t, 204, ``), wechatpay.APIError{StatusCode: 204, Message: "not the documented success", RequestID: "08F7A1B2C30610-0"}},
		{"no image", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }, wechatpay.APIError{StatusCode: 200, Message: `not an image, but "text/html; charset=utf-8"`}},
		{"redirect", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(302) }, wechatpay.APIError{StatusCode: 302, Message: "a redirect, which was not followed"}},
		{"too large by its length", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "image/png")
			w.Header().Set("Content-Length", "33554433")
			w.WriteHeader(200)
		}, wechatpay.APIError{StatusCode: 200, Message: "33554433 bytes, and 33554432 are the most"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, tt.handler)
			image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
			require.Nil(t, image)
			var refusal *wechatpay.APIError
			require.ErrorAs(t, err, &refusal)
			tt.want.Method, tt.want.Path = "GET", "/v3/merchant-service/images/a"
			require.True(t, strings.HasPrefix(refusal.Host, "127.0.0.1:"), refusal.Host)
			tt.want.Host = refusal.Host
			require.Equal(t, tt.want, *refusal)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		})
	}
}

func TestDownloadImageIsAStream(t *testing.T) {
	release := make(chan struct{})
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
		w.(http.Flusher).Flush()
		<-release
		for range 33 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(-1), image.Size)
	first := make([]byte, 64)
	_, err = io.ReadFull(image, first)
	require.NoError(t, err, "the image is read before it is given")
	require.Equal(t, picture("png", 64), first)
	close(release)
	n, err := io.Copy(io.Discard, image)
	require.ErrorContains(t, err, "the image is larger than 33554432 bytes")
	require.LessOrEqual(t, n, int64(32<<20))
	require.NoError(t, image.Close())
}

// Answers that are not signed are taken from an image download, and from
// nothing else.
func TestOnlyImagesMayBeUnsigned(t *testing.T) {
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
	require.ErrorAs(t, client.Do(context.Background(), http.MethodGet, "/v3/merchant-service/images/a", nil, nil), &failed)
	_, err = client.HTTPClient().Get(server.URL + "/v3/merchant-service/images/a")
	require.ErrorAs(t, err, &failed)
}

// discarding makes a Client whose transport discards what is uploaded.
func discarding(t testing.TB) *wechatpay.Client {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.InsecureSkipVerify = true
	cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, req.Body)
		req.Body.Close()
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"media_id":"1"}`)), Request: req}, err
	})
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// uploads are the two kinds of readers, and how many times the image each may
// allocate.
var uploads = []struct {
	name   string
	reader func(content []byte) io.Reader
	most   float64
}{
	{"memory", func(content []byte) io.Reader { return bytes.NewReader(content) }, 1.25},
	{"stream", func(content []byte) io.Reader { return io.MultiReader(bytes.NewReader(content)) }, 2.5},
}

// BenchmarkUpload shows what an image of 2 MiB allocates.
func BenchmarkUpload(b *testing.B) {
	content, client := picture("png", 2<<20), discarding(b)
	for _, upload := range uploads {
		b.Run(upload.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", upload.reader(content)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestUploadAllocatesLittle(t *testing.T) {
	client := discarding(t)
	for _, size := range []int{1 << 20, 2<<20 - 1, 2 << 20} {
		content := picture("png", size)
		for _, upload := range uploads {
			const runs = 10
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", upload.reader(content))
				require.NoError(t, err)
			}
			runtime.ReadMemStats(&after)
			require.Less(t, float64(after.TotalAlloc-before.TotalAlloc)/runs/float64(size), upload.most, "%d bytes from %s", size, upload.name)
		}
	}
}

// An image that stops to come ends its reading, though no context does.
func TestDownloadImageThatStalls(t *testing.T) {
	release := make(chan struct{})
	defer close(release)
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		w.Write(picture("png", 64))
		w.(http.Flusher).Flush()
		<-release
	})
	client := retryClient(t, server.URL, func(cfg *wechatpay.Config) { cfg.Retry.AttemptTimeout = 50 * time.Millisecond })
	image, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, image)
	require.Equal(t, int64(64), n)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, image.Close())
}

// The body of an error, and that of what is no image, have no more time than
// any answer.
func TestDownloadImageThatNeverEnds(t *testing.T) {
	for name, header := range map[string]func(http.ResponseWriter){
		"an error":     func(w http.ResponseWriter) { w.WriteHeader(500) },
		"a login page": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/html") },
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
			client := retryClient(t, server.URL, func(cfg *wechatpay.Config) { cfg.Retry.AttemptTimeout, cfg.Retry.MaxAttempts = 50*time.Millisecond, 1 })
			_, err := client.ComplaintsV2.DownloadImage(context.Background(), "a")
			require.Error(t, err)
		})
	}
}

// An image that comes when the time has just run out is asked for again.
func TestDownloadImageThatComesTooLate(t *testing.T) {
	for _, content := range []string{"{}", "null", string(picture("png", 64))} {
		t.Run(content[:2], func(t *testing.T) {
			t.Parallel()
			requests := 0
			client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
				cfg.Retry.AttemptTimeout = time.Second // enough for the second
				cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
					if requests++; requests == 1 {
						<-req.Context().Done()
					}
					return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"image/png"}}, Body: io.NopCloser(strings.NewReader(content)), Request: req}, nil
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

// A reader that gives nothing, and a context that has ended, end the reading.
func TestUploadImageThatCannotBeRead(t *testing.T) {
	client, _ := newMock(t, nil)
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", readerFunc(func([]byte) (int, error) { return 0, nil }))
	require.ErrorIs(t, err, io.ErrNoProgress)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	image := bytes.NewReader(picture("png", 100))
	_, err = client.ComplaintsV2.UploadImage(ctx, "a.png", image)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, int(image.Size()), image.Len(), "nothing was read")
}

// An upload whose answer lacks the media id is no success.
func TestUploadImageWithoutAMediaID(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{}`))
	_, err := client.ComplaintsV2.UploadImage(context.Background(), "a.png", bytes.NewReader(picture("png", 100)))
	require.ErrorContains(t, err, "the answer has no media_id")
}
