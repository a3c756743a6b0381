package wechatpaytest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestServer_AddImage(t *testing.T) {
	s := newServer(t)
	jpeg := append([]byte("\xff\xd8\xff\xe0"), make([]byte, 100)...)
	mediaURL := s.AddImage("", jpeg)
	escaped, ok := strings.CutPrefix(mediaURL, s.URL+images)
	require.True(t, ok, mediaURL)
	for _, escape := range []string{"%2B", "%2F", "%3D"} {
		require.Contains(t, escaped, escape)
	}
	plain, err := url.PathUnescape(escaped)
	require.NoError(t, err)
	for _, element := range []string{
		escaped,
		plain,
		strings.ReplaceAll(plain, "=", "%3D"),
		strings.ReplaceAll(plain, "/", "%2f"),
	} {
		req := newRequest(s, "GET", images+element, "")
		req.header.Set("Accept", "*/*")
		r := req.sendOpaque(t, s)
		require.Equal(t, 200, r.StatusCode, "%s: %s", element, r.body)
		require.Equal(t, jpeg, r.body)
		require.Equal(t, "image/jpeg", r.Header.Get("Content-Type"))
		require.EqualValues(t, len(jpeg), r.ContentLength)
		require.Empty(t, r.Header.Get("Wechatpay-Signature"), "images are not signed")
	}
	do(t, s, 400, "GET", images+strings.ReplaceAll(escaped, "%", "%25"), "")

	media := uploadImage(t, s)
	require.Contains(t, do(t, s, 400, "GET", images+media, "").json(t)["message"], "upload")

	require.Equal(t, s.URL+images+"plain", s.AddImage("plain", png(1)))
	require.Equal(t, "image/png", do(t, s, 200, "GET", images+"plain", "").Header.Get("Content-Type"))
}

func TestServer_ServeHTTP_upload(t *testing.T) {
	s := newServer(t)
	for name, file := range map[string][]byte{
		"a.png": png(2<<20 - 8),
		"B.JPG": []byte("\xff\xd8\xff\xe0rest"),
		"c.bmp": []byte("BM rest"),
	} {
		req := newRequest(s, "POST", images+"upload", "")
		req.upload = &upload{meta: uploadMeta(name, file), file: file}
		r := req.send(t, s)
		require.Equal(t, 200, r.StatusCode, "%s", r.body)
		require.True(t, r.signedBy(s.Config().PublicKey))
		require.LessOrEqual(t, len(r.json(t)["media_id"].(string)), 512)

		req = newRequest(s, "POST", images+"upload", "")
		req.upload = &upload{meta: uploadMeta(name, file), file: file, parts: []string{"file", "meta"}}
		require.Equal(t, 200, req.send(t, s).StatusCode, "file before meta")
	}
}

// rejectWithImage rejects the complaint with an uploaded image and returns the
// link to it in the history.
func rejectWithImage(t *testing.T, s *wechatpaytest.Server) string {
	addComplaint(s)
	media := uploadImage(t, s)
	body := `{"action":"REJECT","reject_reason":"商品已使用","reject_media_list":["` + media + `"],"remark":"x"}`
	do(t, s, 204, "POST", decide, body)
	r := s.History(id)[1]
	require.Equal(t, "商品已使用", r.OperateDetails)
	require.Len(t, r.ImageList, 1)
	return r.ImageList[0]
}

func TestServer_storageLink(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			s, err := wechatpaytest.Listen(addr)
			if err != nil {
				t.Skip(err)
			}
			defer s.Close()
			rejectWithImage(t, s)
			s.Advance(2 * time.Hour)
			links := s.History(id)[1].ImageList
			var history struct {
				Data []struct {
					ImageList []string `json:"image_list"`
				}
			}
			require.NoError(t, json.Unmarshal(do(t, s, 200, "GET", path+"/negotiation-historys", "").body, &history))
			links = append(links, history.Data[0].ImageList...)
			require.Len(t, links, 2)
			for _, link := range links {
				resp, err := httpClient.Get(link)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, png(10), body, link)
				require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
			}
		})
	}
}

func TestServer_storageLink_errors(t *testing.T) {
	s := newServer(t)
	image := rejectWithImage(t, s)
	link, err := url.Parse(image)
	require.NoError(t, err)
	require.NotEqual(t, strings.TrimPrefix(s.URL, "http://"), link.Host, "another host")
	get := func(authorization string) int {
		req, err := http.NewRequest("GET", strings.Replace(image, "localhost", "127.0.0.1", 1), nil)
		require.NoError(t, err)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		r, err := try(req)
		require.NoError(t, err)
		return r.StatusCode
	}
	require.Equal(t, 200, get(""))
	require.Equal(t, 400, get("WECHATPAY2-SHA256-RSA2048 x"))
	s.Advance(time.Hour + time.Second)
	require.Equal(t, 403, get(""), "expired")
}
