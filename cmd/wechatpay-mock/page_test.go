package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// The headers allow the page to load only from this server.
func TestControl_page_files(t *testing.T) {
	m := start(t, "-dir", t.TempDir())
	for path, want := range map[string]struct{ contentType, content string }{
		"/":                    {"text/html; charset=utf-8", "<!doctype html>"},
		"/?lang=zh":            {"text/html; charset=utf-8", "<!doctype html>"},
		"/_mock/page/page.css": {"text/css; charset=utf-8", ":root"},
		"/_mock/page/page.js":  {"text/javascript; charset=utf-8", `"use strict"`},
		"/_mock/page/icon.svg": {"image/svg+xml", "<svg"},
	} {
		resp, err := http.Get(m.url + path)
		require.NoError(t, err)
		body := readBody(t, resp)
		require.Equal(t, 200, resp.StatusCode, path)
		require.Equal(t, want.contentType, resp.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Contains(t, string(body), want.content)
		policy := resp.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'")
		require.NotContains(t, policy, "unsafe")
		require.NotContains(t, string(body), "innerHTML")
	}
	for _, path := range []string{"/_mock/page/nothing.js", "/_mock/page/..%2Fpage.go"} {
		status, _ := m.do(t, "GET", path, "")
		require.Equal(t, 404, status, path)
	}
	req, err := http.NewRequest("GET", m.url+"/", nil)
	require.NoError(t, err)
	req.Host = "shop.example"
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, 403, resp.StatusCode, "a host name that resolves to loopback")
}

// The page gets the newest entries, at most pageLimit of each, with long bodies cut.
func TestControl_page_state(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	for i := range pageLimit + 5 {
		ok[any](t, m, 201, "POST", "/_mock/complaints", fmt.Sprintf(`{"complaint_id":"c%d","complaint_time":"2026-03-01T12:00:00+08:00"}`, i))
	}
	for range pageLimit + 1 {
		status, _ := m.do(t, "GET", "/v3/certificates", "")
		require.Equal(t, 400, status)
	}
	m.do(t, "POST", "/v3/security/echo", strings.Repeat("界", pageBody))
	newest := fmt.Sprintf("c%d", pageLimit+4)
	ok[any](t, m, 200, "POST", "/_mock/complaints/"+newest+"/user-reply", `{"text":"还没有"}`)

	state := ok[struct {
		URL        string `json:"url"`
		Now        string `json:"now"`
		Complaints latest[struct {
			ID      string                        `json:"complaint_id"`
			History []wechatpay.NegotiationRecord `json:"history"`
		}] `json:"complaints"`
		Requests latest[request] `json:"requests"`
		Refunds  latest[refund]  `json:"refunds"`
	}](t, m, 200, "GET", "/_mock/page", "")
	require.Equal(t, m.url, state.URL)
	require.NotEmpty(t, state.Now)
	require.Equal(t, pageLimit+5, state.Complaints.Total)
	require.Len(t, state.Complaints.Data, pageLimit)
	require.Equal(t, newest, state.Complaints.Data[0].ID)
	require.Len(t, state.Complaints.Data[0].History, 2)
	require.Equal(t, "还没有", state.Complaints.Data[0].History[1].OperateDetails)
	require.Equal(t, pageLimit+2, state.Requests.Total)
	require.Len(t, state.Requests.Data, pageLimit)
	last := state.Requests.Data[0]
	require.Equal(t, "POST", last.Method)
	require.True(t, strings.HasSuffix(last.Body, fmt.Sprintf("界… (%d bytes)", 3*pageBody)), last.Body)
	require.NotContains(t, last.Body, "�")
	require.NotNil(t, state.Refunds.Data)
}

// Both languages have the same keys, and every key in index.html exists.
func TestPage_translations(t *testing.T) {
	script, err := pageFiles.ReadFile("page/page.js")
	require.NoError(t, err)
	_, en, _ := bytes.Cut(script, []byte("\n  en: {"))
	en, rest, _ := bytes.Cut(en, []byte("\n  zh: {"))
	zh, _, _ := bytes.Cut(rest, []byte("\n};"))
	require.Equal(t, wordNames(en), wordNames(zh))

	html, err := pageFiles.ReadFile("page/index.html")
	require.NoError(t, err)
	for _, part := range strings.Split(string(html), `data-t="`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		require.Contains(t, wordNames(en), name)
	}
}

// wordNames returns the keys of a JavaScript object: identifiers before a colon.
func wordNames(object []byte) []string {
	var names []string
	inString := byte(0)
	word := ""
	depth := 0
	for _, c := range object {
		switch {
		case inString != 0:
			if c == inString {
				inString = 0
			}
		case c == '"' || c == '`':
			inString = c
		case c == '(' || c == '{':
			depth++
		case c == ')' || c == '}':
			depth--
			word = ""
		case depth == 0 && c == ':':
			if word != "" {
				names = append(names, word)
			}
			word = ""
		case depth == 0 && (c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'):
			word += string(c)
		case depth == 0:
			word = ""
		}
	}
	return names
}

func TestLatestOf_newestFirst(t *testing.T) {
	got, err := json.Marshal(latestOf([]int{1, 2, 3}, func(n int) int { return n * 10 }))
	require.NoError(t, err)
	require.JSONEq(t, `{"total":3,"data":[30,20,10]}`, string(got))
}
