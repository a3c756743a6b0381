package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every media_url that the control plane gives leads to its bytes, whatever its
// id has in it.
func TestImages(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	for i := range 20 { // ids with two slashes are among them now and then
		picture := fmt.Sprintf("\x89PNG\r\n\x1a\nnumber %d", i)
		mediaURL := ok[map[string]string](t, m, 201, "POST", "/_mock/images", picture)["media_url"]
		id := mediaURL[strings.LastIndex(mediaURL, "/")+1:]
		resp, err := http.Get(m.url + "/_mock/images/" + strings.ReplaceAll(id, "%", "%25"))
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		require.Equal(t, picture, string(got))
		require.Equal(t, "image/png", resp.Header.Get("Content-Type"))
	}
	mediaURL := ok[map[string]string](t, m, 201, "POST", "/_mock/images", "<script>alert(1)</script>")["media_url"]
	resp, err := http.Get(m.url + "/_mock/images/" + strings.ReplaceAll(mediaURL[strings.LastIndex(mediaURL, "/")+1:], "%", "%25"))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, "application/octet-stream", resp.Header.Get("Content-Type"), "no page of a stranger")
	require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))

	for path, status := range map[string]int{"/_mock/images/unknown": 404, "/_mock/images/a%252Fb": 404, "/_mock/images/%25zz": 400} {
		got, answer := m.do(t, "GET", path, "")
		require.Equal(t, status, got, answer)
	}
}
