package wechatpay_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func TestClient_Do_requests(t *testing.T) {
	const success = `{"state":"SUCCESS"}`
	for _, tt := range []struct {
		name, method, path string
		body               any
		sent               string
		status             int
		response           string
	}{
		{"GET with a query", http.MethodGet, "/v3/pay/transactions/id/1?mchid=1900000001", nil, "", 200, success},
		{"POST", http.MethodPost, "/v3/pay/x", map[string]any{"a": 1}, `{"a":1}`, 200, success},
		{"POST without a body", http.MethodPost, "/v3/pay/x", nil, "", 204, ""},
		{"POST with a nil pointer", http.MethodPost, "/v3/pay/x", (*struct{})(nil), "", 204, ""},
		{"PUT", http.MethodPut, "/v3/pay/x", json.RawMessage(`{"b":2}`), `{"b":2}`, 200, success},
		{"PATCH", http.MethodPatch, "/v3/pay/x", struct{}{}, `{}`, 204, ""},
		{"DELETE", http.MethodDelete, "/v3/pay/a%2Fb", nil, "", 204, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				require.Equal(t, tt.method, r.Method)
				require.Equal(t, tt.path, r.RequestURI)
				require.Equal(t, tt.sent, string(body))
				require.Equal(t, "application/json", r.Header.Get("Accept"))
				require.Empty(t, r.TransferEncoding)
				require.Equal(t, int64(len(tt.sent)), r.ContentLength)
				if tt.sent == "" {
					require.Empty(t, r.Header["Content-Type"])
				} else {
					require.Equal(t, "application/json", r.Header.Get("Content-Type"))
				}
				requireSigned(t, r, string(body))
				reply(t, tt.status, tt.response)(w, r)
			})
			var out struct{ State string }
			require.NoError(t, client.Do(context.Background(), tt.method, tt.path, tt.body, &out))
			if tt.response != "" {
				require.Equal(t, "SUCCESS", out.State)
			}
			require.NoError(t, client.Do(context.Background(), tt.method, tt.path, tt.body, nil))
		})
	}
}

func TestClient_Do_arguments(t *testing.T) {
	client, _ := newMock(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	for _, tt := range []struct {
		name, method, path string
		body               any
		field              string
	}{
		{"no method", "", "/v3/x", nil, "method"},
		{"unknown method", "TRACE", "/v3/x", nil, "method"},
		{"no path", "GET", "", nil, "path"},
		{"URL", "GET", "https://evil.example/v3/x", nil, "path"},
		{"another host", "GET", "@evil.example/v3/x", nil, "path"},
		{"not a v3 path", "GET", "/pay/x", nil, "path"},
		{"not escaped", "GET", "/v3/投诉", nil, "path"},
		{"bad escape", "GET", "/v3/%zz", nil, "path"},
		{"fragment", "GET", "/v3/x#y", nil, "path"},
		{"space in the query", "GET", "/v3/x?a=b c", nil, "path"},
		{"newline", "GET", "/v3/x\n", nil, "path"},
		{"GET with a body", "GET", "/v3/x", "body", "body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := client.Do(context.Background(), tt.method, tt.path, tt.body, nil)
			var argErr *wechatpay.ArgumentError
			require.ErrorAs(t, err, &argErr)
			require.Len(t, argErr.Faults, 1)
			require.Equal(t, tt.field, argErr.Faults[0].Field)
		})
	}
	require.ErrorContains(t, client.Do(context.Background(), "POST", "/v3/x", func() {}, nil), "encoding the body")
	for _, out := range []any{struct{}{}, (*struct{})(nil), map[string]any{}} {
		err := client.Do(context.Background(), "POST", "/v3/x", nil, out)
		require.ErrorContains(t, err, "must be a pointer that is not nil")
	}
}

// Only a write can have an unknown outcome.
func TestClient_Do_outcomes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		method   string
		status   int
		response string
		unknown  bool
	}{
		{"read, server error", http.MethodGet, 500, `{"code":"SYSTEM_ERROR"}`, false},
		{"read, accepted", http.MethodGet, 202, `{}`, false},
		{"read, not JSON", http.MethodGet, 200, `<html>`, false},
		{"write, rejected", http.MethodPost, 403, `{"code":"NO_AUTH"}`, false},
		{"write, accepted", http.MethodPost, 202, `{}`, true},
		{"write, not JSON", http.MethodPost, 200, `<html>`, true},
		{"write, server error", http.MethodDelete, 503, ``, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, _ := newMock(t, reply(t, tt.status, tt.response))
			err := client.Do(context.Background(), tt.method, "/v3/x?secret=1", nil, new(struct{}))
			require.Error(t, err)
			if tt.unknown {
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			} else {
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			}
			var apiErr *wechatpay.APIError
			if tt.status != 200 {
				require.ErrorAs(t, err, &apiErr)
				require.Equal(t, tt.status, apiErr.StatusCode)
				require.Equal(t, "/v3/x", apiErr.Path)
			} else {
				require.ErrorContains(t, err, "cannot be decoded [request id 08F7A1B2C30610-0]")
			}
		})
	}
}

func TestClient_HTTPClient(t *testing.T) {
	var paths []string
	client, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.Path)
		requireSigned(t, r, "")
		require.Equal(t, testPublicKeyID, r.Header.Get("Wechatpay-Serial"))
		switch r.URL.Path {
		case "/v3/forged":
			io.WriteString(w, "{}")
		case "/v3/redirect":
			http.Redirect(w, r, "/v3/other", http.StatusFound)
		default:
			reply(t, 200, "{}")(w, r)
		}
	})
	c := client.HTTPClient()
	require.Equal(t, 20*time.Second, c.Timeout)
	resp, err := c.Get(server.URL + "/v3/genuine")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	_, err = c.Get(server.URL + "/v3/forged")
	var verErr *wechatpay.VerificationError
	require.ErrorAs(t, err, &verErr)

	resp, err = c.Get(server.URL + "/v3/redirect")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusFound, resp.StatusCode)

	_, err = c.Get("https://evil.example/v3/x")
	var argErr *wechatpay.ArgumentError
	require.ErrorAs(t, err, &argErr)

	require.Equal(t, []string{"/v3/genuine", "/v3/forged", "/v3/redirect"}, paths)

	// Changing it does not change the Client.
	c.Transport = nil
	require.NotNil(t, client.HTTPClient().Transport)
}

// With InsecureSkipVerify, a server that signs nothing is enough. Without it,
// the error names both remedies.
func TestConfig_InsecureSkipVerify_unsignedServer(t *testing.T) {
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/large") {
			chunk := make([]byte, 1<<20)
			for range 64 {
				w.Write(chunk)
			}
			return
		}
		w.WriteHeader(204)
	})
	cfg := testConfig(t, server.URL)
	cfg.InsecureSkipVerify, cfg.PublicKey, cfg.PublicKeyID = true, nil, ""
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	require.NoError(t, approve(context.Background(), client))
	err = client.Do(context.Background(), http.MethodGet, "/v3/large", nil, nil)
	require.ErrorContains(t, err, "the body exceeds the size limit")

	cfg.InsecureSkipVerify = false
	cfg.PublicKey, cfg.PublicKeyID = &privateKey(t, "platform_key.pem").PublicKey, testPublicKeyID
	client, err = wechatpay.NewClient(cfg)
	require.NoError(t, err)
	err = approve(context.Background(), client)
	require.ErrorContains(t, err, "InsecureSkipVerify")
	require.ErrorContains(t, err, "wechatpaytest")
}

func TestClient_concurrentUse(t *testing.T) {
	var mu sync.Mutex
	nonces := map[string]bool{}
	respond := reply(t, 204, "")
	client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		nonce := requireSigned(t, r, string(body))
		mu.Lock()
		nonces[nonce] = true
		mu.Unlock()
		respond(w, r)
	})
	var wg sync.WaitGroup
	for range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			if err := approve(context.Background(), client); err != nil {
				t.Error(err)
			}
		}()
	}
	wg.Wait()
	require.Len(t, nonces, 32)
}

// A verified response that cannot be decoded is not requested again: the retry
// would return the same, and two responses must not be mixed in one result.
func TestComplaintsV2_Get_undecodable(t *testing.T) {
	calls := 0
	_, server := newMock(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		const body = `{"complaint_id":"` + testComplaintID + `","complaint_full_refunded":"yesterday"}`
		reply(t, 200, body)(w, r)
	})
	complaint, err := retryClient(t, server.URL).ComplaintsV2.Get(context.Background(), testComplaintID)
	require.Nil(t, complaint)
	require.EqualError(t, err, "wechatpay: ComplaintsV2.Get: complaint "+testComplaintID+
		`: complaint_full_refunded: cannot read "yesterday" as true or false; use Do with json.RawMessage`+
		" [request id 08F7A1B2C30610-0]")
	require.Equal(t, 1, calls)
}

// Text from the network is cut and has no newline in an error, so that it can
// neither fill a log nor forge a line of it.
func TestClient_Do_errorText(t *testing.T) {
	t.Run("long", func(t *testing.T) {
		client, _ := newMock(t, func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			require.NoError(t, err)
			io.WriteString(conn, strings.Repeat("x", 50_000)+"\r\n")
			conn.Close()
		})
		err := approve(context.Background(), client)
		require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
		require.Less(t, len(err.Error()), 1000)
	})
	t.Run("newline", func(t *testing.T) {
		client := retryClient(t, "http://127.0.0.1:1", func(cfg *wechatpay.Config) {
			cfg.Transport = roundTripper(func(*http.Request) (*http.Response, error) {
				return nil, errors.New("refused\nlevel=INFO msg=paid")
			})
		})
		require.NotContains(t, approve(context.Background(), client).Error(), "\n")
	})
}
