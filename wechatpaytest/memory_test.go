package wechatpaytest_test

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// heapInUse returns the bytes of live objects.
func heapInUse() int {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

// Requests for unknown paths take no memory beyond that of the request log, which
// is 64 MiB.
func TestServer_ServeHTTP_memoryOfUnknownPaths(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	s := newServer(t)
	before := heapInUse()
	tail := strings.Repeat("a", 900_000)
	for i := range 60 {
		require.Equal(t, 401, unsigned(s, "GET", fmt.Sprintf("/%d/%s", i, tail), ""))
	}
	require.Less(t, heapInUse()-before, 80<<20)
}

// Only the latest uploads keep their bytes.
func TestServer_ServeHTTP_memoryOfUploads(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	s := newServer(t)
	addComplaint(s)
	send := func(n int) string {
		file := png(n)
		req := newRequest(s, "POST", images+"upload", "")
		req.upload = &upload{meta: uploadMeta("a.png", file), file: file}
		return req.send(t, s).json(t)["media_id"].(string)
	}
	first := send(10)
	for range 17 {
		send(2<<20 - 8)
	}
	last := send(10)
	body := `{"action":"REJECT","reject_media_list":["` + first + `","` + last + `"]}`
	do(t, s, 204, "POST", decide, body)
	var statuses []int
	for _, link := range s.History(id)[1].ImageList {
		resp, err := httpClient.Get(link)
		require.NoError(t, err)
		resp.Body.Close()
		statuses = append(statuses, resp.StatusCode)
	}
	require.Equal(t, []int{http.StatusGone, http.StatusOK}, statuses)
}
