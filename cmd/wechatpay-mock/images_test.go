package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestControl_images(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	for i := range 20 { // some ids contain two slashes
		picture := fmt.Sprintf("\x89PNG\r\n\x1a\nnumber %d", i)
		resp := roundTripImage(t, m, picture)
		require.Equal(t, picture, string(readBody(t, resp)))
		require.Equal(t, "image/png", resp.Header.Get("Content-Type"))
	}
	resp := roundTripImage(t, m, "<script>alert(1)</script>")
	resp.Body.Close()
	require.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"), "browsers must not run it")
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))

	for path, want := range map[string]int{"/_mock/images/unknown": 404, "/_mock/images/a%252Fb": 404, "/_mock/images/%25zz": 400} {
		status, response := m.do(t, "GET", path, "")
		require.Equal(t, want, status, response)
	}
}

// roundTripImage adds an image and gets it.
func roundTripImage(t *testing.T, m *mock, content string) *http.Response {
	mediaURL := ok[map[string]string](t, m, 201, "POST", "/_mock/images", content)["media_url"]
	id := mediaURL[strings.LastIndex(mediaURL, "/")+1:]
	resp, err := http.Get(m.url + "/_mock/images/" + strings.ReplaceAll(id, "%", "%25"))
	require.NoError(t, err)
	return resp
}
