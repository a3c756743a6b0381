package wechatpay_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// Compare each benchmark with its floor in the same run:
//
//	go test -run '^$' -bench 'Sign|Call|Upload' -benchmem -count 10

// BenchmarkSign compares Signer.Sign with a plain RSA signature.
func BenchmarkSign(b *testing.B) {
	message := string(testdata(b, "request_approve.txt"))
	b.Run("floor", func(b *testing.B) {
		key := privateKey(b, "merchant_key.pem")
		b.ReportAllocs()
		for b.Loop() {
			digest := sha256.Sum256([]byte(message))
			if _, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Signer", func(b *testing.B) {
		signer := newSigner(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := signer.Sign(message); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkCall compares a call with the minimum it needs: net/http, one
// signature and one verification. The server's allocations count in both.
func BenchmarkCall(b *testing.B) {
	// A Client accepts a signed response once. Signing each would dilute the
	// comparison, so the responses go round, and a new Client starts each round.
	headers := make([]http.Header, 500)
	for i := range headers {
		headers[i] = http.Header{}
		signed(b, "").set(b, headers[i])
	}
	var next atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		maps.Copy(w.Header(), headers[next.Add(1)%int64(len(headers))])
		w.WriteHeader(204)
	}))
	b.Cleanup(server.Close)

	b.Run("floor", func(b *testing.B) {
		floor := plainClient{
			url:      server.URL + "/v3/merchant-service/complaints-v2/",
			http:     &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
			key:      privateKey(b, "merchant_key.pem"),
			platform: &privateKey(b, "platform_key.pem").PublicKey,
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := floor.approve(context.Background(), testComplaintID, 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Client", func(b *testing.B) {
		cfg := testConfig(b, server.URL)
		transport := wechatpay.NewTransport()
		transport.ResponseHeaderTimeout = 0 // as NewClient does for a nil Transport
		cfg.Retry, cfg.Transport = wechatpay.RetryPolicy{}, transport
		var client *wechatpay.Client
		b.ReportAllocs()
		for calls := 0; b.Loop(); calls++ {
			if calls%len(headers) == 0 {
				b.StopTimer()
				var err error
				client, err = wechatpay.NewClient(cfg)
				require.NoError(b, err)
				b.StartTimer()
			}
			if err := approve(context.Background(), client); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// plainClient is a client without the SDK.
type plainClient struct {
	url      string
	http     *http.Client
	key      *rsa.PrivateKey
	platform *rsa.PublicKey
}

func (c *plainClient) approve(ctx context.Context, complaintID string, day int) error {
	body, err := json.Marshal(struct {
		Action          string `json:"action"`
		LaunchRefundDay int    `json:"launch_refund_day"`
	}{"APPROVE", day})
	if err != nil {
		return err
	}
	url := c.url + complaintID + "/update-refund-progress"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := c.sign(req, body); err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "merchant/1.0")
	req.Header.Set("Wechatpay-Serial", testPublicKeyID)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Wechatpay-Serial") != testPublicKeyID {
		return errors.New(resp.Status)
	}
	return c.verify(resp)
}

func (c *plainClient) sign(req *http.Request, body []byte) error {
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), rand.Text()
	digest := sha256.Sum256([]byte(req.Method + "\n" + req.URL.RequestURI() + "\n" + timestamp + "\n" +
		nonce + "\n" + string(body) + "\n"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, c.key, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", `WECHATPAY2-SHA256-RSA2048 mchid="`+testMchID+`",nonce_str="`+nonce+
		`",timestamp="`+timestamp+`",serial_no="`+testSerialNo+
		`",signature="`+base64.StdEncoding.EncodeToString(signature)+`"`)
	return nil
}

func (c *plainClient) verify(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	signature, err := base64.StdEncoding.DecodeString(resp.Header.Get("Wechatpay-Signature"))
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte(resp.Header.Get("Wechatpay-Timestamp") + "\n" +
		resp.Header.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"))
	return rsa.VerifyPKCS1v15(c.platform, crypto.SHA256, digest[:], signature)
}
