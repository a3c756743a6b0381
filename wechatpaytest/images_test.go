package wechatpaytest_test

import (
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestImages(t *testing.T) {
	s := start(t)
	jpeg := append([]byte("\xff\xd8\xff\xe0"), make([]byte, 100)...)
	prefix := "/v3/merchant-service/images/"
	made := s.AddImage("", jpeg)
	require.Contains(t, made, s.URL+prefix)
	for _, escape := range []string{"%2B", "%2F", "%3D"} {
		require.Contains(t, made, escape)
	}
	bare, err := url.PathUnescape(strings.TrimPrefix(made, s.URL+prefix))
	require.NoError(t, err)
	for _, element := range []string{
		strings.TrimPrefix(made, s.URL+prefix),
		bare,
		strings.ReplaceAll(bare, "=", "%3D"),
		strings.ReplaceAll(bare, "/", "%2f"),
	} {
		m := newMessage(s, "GET", prefix+element, "")
		m.header.Set("Accept", "*/*")
		r := m.sendRaw(t, s)
		require.Equal(t, 200, r.StatusCode, "%s: %s", element, r.body)
		require.Equal(t, jpeg, r.body)
		require.Equal(t, "image/jpeg", r.Header.Get("Content-Type"))
		require.EqualValues(t, len(jpeg), r.ContentLength)
		require.Empty(t, r.Header.Get("Wechatpay-Signature"), "images are not signed")
	}
	twice := strings.ReplaceAll(strings.TrimPrefix(made, s.URL+prefix), "%", "%25")
	require.Equal(t, 400, newMessage(s, "GET", prefix+twice, "").send(t, s).StatusCode)

	media := uploadImage(t, s)
	require.Contains(t, call(t, s, 400, "GET", prefix+media, "").json(t)["message"], "upload")

	named := s.AddImage("plain", png(1))
	require.Equal(t, s.URL+prefix+"plain", named)
	require.Equal(t, "image/png", call(t, s, 200, "GET", prefix+"plain", "").Header.Get("Content-Type"))
}

// sendRaw sends the target byte for byte: net/url would escape some of it.
// The links of image_list work wherever the server listens, and are made anew
// for each answer.
func TestStorageLinks(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "0.0.0.0:0", "[::1]:0"} {
		t.Run(addr, func(t *testing.T) {
			s, err := wechatpaytest.Listen(addr)
			if err != nil {
				t.Skip(err)
			}
			defer s.Close()
			file(s)
			media := uploadImage(t, s)
			call(t, s, 204, "POST", decide, `{"action":"REJECT","reject_media_list":["`+media+`"]}`)
			s.Advance(2 * time.Hour)
			links := []string{s.History(id)[1].ImageList[0]}
			var history struct {
				Data []struct {
					ImageList []string `json:"image_list"`
				}
			}
			require.NoError(t, json.Unmarshal(call(t, s, 200, "GET", path+"/negotiation-historys", "").body, &history))
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

func TestUploads(t *testing.T) {
	s := start(t)
	for name, file := range map[string][]byte{
		"a.png": png(2<<20 - 8), "B.JPG": []byte("\xff\xd8\xff\xe0rest"), "c.bmp": []byte("BM rest"),
	} {
		m := newMessage(s, "POST", "/v3/merchant-service/images/upload", "")
		m.upload = &upload{meta: metaOf(name, file), file: file}
		r := m.send(t, s)
		require.Equal(t, 200, r.StatusCode, "%s", r.body)
		require.True(t, r.signedBy(s.Config().PublicKey))
		require.LessOrEqual(t, len(r.json(t)["media_id"].(string)), 512)
		m = newMessage(s, "POST", "/v3/merchant-service/images/upload", "")
		m.upload = &upload{meta: metaOf(name, file), file: file, parts: []string{"file", "meta"}}
		require.Equal(t, 200, m.send(t, s).StatusCode, "the order of the parts does not matter")
	}
}
