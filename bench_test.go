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
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// Each benchmark stands beside its floor, to be read from one run:
//
//	go test -run '^$' -bench 'Sign|Call' -benchmem -count 10

// BenchmarkSign compares Signer.Sign with the bare RSA signature below it.
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

// BenchmarkCall compares a decision through the SDK with what it cannot do
// without, written by hand: net/http, one signature, one verification. The
// server answers both with one signature made beforehand; its own allocations
// count in both.
func BenchmarkCall(b *testing.B) {
	answer := http.Header{}
	signed(b, "").set(b, answer)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		for name, values := range answer {
			w.Header()[name] = values
		}
		w.WriteHeader(204)
	}))
	b.Cleanup(server.Close)

	b.Run("floor", func(b *testing.B) {
		floor := handWritten{
			url: server.URL + "/v3/merchant-service/complaints-v2/", http: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()},
			key: privateKey(b, "merchant_key.pem"), platform: &privateKey(b, "platform_key.pem").PublicKey,
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
		cfg.Retry, cfg.Transport = wechatpay.RetryPolicy{}, nil // the defaults
		client, err := wechatpay.NewClient(cfg)
		require.NoError(b, err)
		b.Cleanup(client.HTTPClient().CloseIdleConnections)
		b.ReportAllocs()
		for b.Loop() {
			if err := approve(context.Background(), client); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// handWritten is what a merchant would write without an SDK.
type handWritten struct {
	url      string
	http     *http.Client
	key      *rsa.PrivateKey
	platform *rsa.PublicKey
}

func (h *handWritten) approve(ctx context.Context, complaintID string, day int) error {
	body, err := json.Marshal(struct {
		Action          string `json:"action"`
		LaunchRefundDay int    `json:"launch_refund_day"`
	}{"APPROVE", day})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+complaintID+"/update-refund-progress", bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp, nonce := strconv.FormatInt(time.Now().Unix(), 10), rand.Text()
	digest := sha256.Sum256([]byte("POST\n" + req.URL.RequestURI() + "\n" + timestamp + "\n" + nonce + "\n" + string(body) + "\n"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, h.key, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", `WECHATPAY2-SHA256-RSA2048 mchid="`+testMchID+`",nonce_str="`+nonce+`",timestamp="`+timestamp+
		`",serial_no="`+testSerialNo+`",signature="`+base64.StdEncoding.EncodeToString(signature)+`"`)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "merchant/1.0")
	req.Header.Set("Wechatpay-Serial", testPublicKeyID)
	resp, err := h.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Wechatpay-Serial") != testPublicKeyID {
		return errors.New(resp.Status)
	}
	raw, err := base64.StdEncoding.DecodeString(resp.Header.Get("Wechatpay-Signature"))
	if err != nil {
		return err
	}
	digest = sha256.Sum256([]byte(resp.Header.Get("Wechatpay-Timestamp") + "\n" + resp.Header.Get("Wechatpay-Nonce") + "\n" + string(answer) + "\n"))
	return rsa.VerifyPKCS1v15(h.platform, crypto.SHA256, digest[:], raw)
}
