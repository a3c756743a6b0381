package wechatpay_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// This example handles each kind of error, in the order in which to check.
func Example_errors() {
	const first, second = "200201820200101080076610000", "200201820200101080076610001"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: first})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: second})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	decide := func(complaintID string) {
		err := client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
		var argumentErr *wechatpay.ArgumentError
		var apiErr *wechatpay.APIError
		switch {
		case err == nil:
			fmt.Println("applied")
		case errors.Is(err, wechatpay.ErrOutcomeUnknown):
			fmt.Println("unknown: read the negotiation history before deciding again")
		case errors.As(err, &argumentErr):
			fmt.Println("invalid argument:", argumentErr.Faults[0].Field)
		case errors.As(err, &apiErr):
			fmt.Println("rejected:", apiErr.StatusCode, apiErr.Code)
		default:
			fmt.Println("not applied:", err)
		}
	}

	decide(first)
	decide(first) // it is decided already
	decide("")

	// From here on, the responses are forged.
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged, Probability: 1})
	decide(second)

	cancel()
	decide(second)
	// Output:
	// applied
	// rejected: 400 INVALID_REQUEST
	// invalid argument: complaintID
	// unknown: read the negotiation history before deciding again
	// not applied: wechatpay: ComplaintsV2.UpdateRefundProgress: context canceled
}

// This example configures a merchant, with keys from files.
func ExampleNewClient() {
	privateKeyPEM, err := os.ReadFile("testdata/merchant_key.pem") // apiclient_key.pem
	if err != nil {
		log.Fatal(err)
	}
	privateKey, err := wechatpay.ParsePrivateKey(privateKeyPEM)
	if err != nil {
		log.Fatal(err)
	}
	publicKeyPEM, err := os.ReadFile("testdata/platform_pub.pem") // pub_key.pem
	if err != nil {
		log.Fatal(err)
	}
	publicKey, err := wechatpay.ParsePublicKey(publicKeyPEM)
	if err != nil {
		log.Fatal(err)
	}

	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:       "1900000001",
		SerialNo:    "3775B6A45ACD588826D15E583A95F5DD01234567",
		PrivateKey:  privateKey,
		PublicKeyID: "PUB_KEY_ID_0119000000012026112400000000000001",
		PublicKey:   publicKey,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
	// Output: wechatpay.Client{MchID:"1900000001" BaseURL:"https://api.mch.weixin.qq.com"}
}

// NewClient reports all invalid fields of a Config in one error.
func ExampleNewClient_settings() {
	_, err := wechatpay.NewClient(wechatpay.Config{MchID: "1900000001", APIv3Key: "too short"})
	var argumentErr *wechatpay.ArgumentError
	if errors.As(err, &argumentErr) {
		for _, fault := range argumentErr.Faults {
			fmt.Println(fault.Field)
		}
	}
	// Output:
	// PrivateKey
	// SerialNo
	// APIv3Key
	// PublicKey
}

func ExampleConfigFromEnv() {
	// Usually set by the deployment.
	for name, value := range map[string]string{
		"WECHATPAY_MCHID":            "1900000001",
		"WECHATPAY_SERIAL_NO":        "3775B6A45ACD588826D15E583A95F5DD01234567",
		"WECHATPAY_PRIVATE_KEY_FILE": "testdata/merchant_key.pem",
		"WECHATPAY_PUBLIC_KEY_ID":    "PUB_KEY_ID_0119000000012026112400000000000001",
		"WECHATPAY_PUBLIC_KEY_FILE":  "testdata/platform_pub.pem",
	} {
		os.Setenv(name, value)
		defer os.Unsetenv(name)
	}

	cfg, err := wechatpay.ConfigFromEnv()
	if err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client)
	// Output: wechatpay.Client{MchID:"1900000001" BaseURL:"https://api.mch.weixin.qq.com"}
}

// This example calls a server that does not sign its responses. NewClient allows
// that on loopback only.
func ExampleConfig_insecureSkipVerify() {
	mock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.Method, r.URL.Path)
		fmt.Println(string(body))
		w.WriteHeader(http.StatusNoContent)
	}))
	defer mock.Close()

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		log.Fatal(err)
	}
	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:              "1900000001",
		SerialNo:           "3775B6A45ACD588826D15E583A95F5DD01234567",
		PrivateKey:         key,
		BaseURL:            mock.URL,
		InsecureSkipVerify: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = client.ComplaintsV2.UpdateRefundProgress(ctx, "200201820200101080076610000", wechatpay.ApproveRefund(3))
	fmt.Println(err)
	// Output:
	// POST /v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress
	// {"action":"APPROVE","launch_refund_day":3}
	// <nil>
}

// This example decrypts the user's phone number, which WeChat Pay encrypts for
// the merchant API certificate.
func ExampleClient_Decrypt() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, PayerPhone: "13900000000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), complaintID)
	if err != nil {
		log.Fatal(err)
	}
	if complaint.PayerPhone == "" {
		return // the user left none
	}
	phone, err := client.Decrypt(complaint.PayerPhone)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(phone)
	// Output: 13900000000
}

// This example calls an endpoint of the v3 API that has no method of its own.
func ExampleClient_Do() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	var certificates struct {
		Data []struct {
			SerialNo   string    `json:"serial_no"`
			ExpireTime time.Time `json:"expire_time"`
		} `json:"data"`
	}
	err = client.Do(context.Background(), http.MethodGet, "/v3/certificates", nil, &certificates)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(certificates.Data), "platform certificate")
	// Output: 1 platform certificate
}

// This example sends a request of its own through the http.Client that signs and
// verifies.
func ExampleClient_HTTPClient() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.SetNotificationURL("https://www.example.com/wechatpay/complaints")
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	req, err := http.NewRequest(http.MethodGet, server.URL+"/v3/merchant-service/complaint-notifications", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "my-shop/1.0")
	resp, err := client.HTTPClient().Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.StatusCode, string(body))
	// Output: 200 {"mchid":"1900000001","url":"https://www.example.com/wechatpay/complaints"}
}

// This example checks the keys for signing and encryption, in both directions.
// It changes nothing.
func ExampleClient_Echo() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	resp, err := client.Echo(context.Background(), &wechatpay.EchoRequest{
		EchoMessage:          "hello",
		EncryptedEchoMessage: "secret",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(resp.EchoMessage, resp.EncryptedEchoMessage)
	// Output: hello secret
}

// This example configures a merchant without a WeChat Pay public key. The Client
// downloads the platform certificates when it first needs one.
func ExampleNewClient_platformCertificates() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	merchant := server.Config()

	client, err := wechatpay.NewClient(wechatpay.Config{
		MchID:      merchant.MchID,
		SerialNo:   merchant.SerialNo,
		PrivateKey: merchant.PrivateKey,
		APIv3Key:   merchant.APIv3Key,
		BaseURL:    server.URL,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for range 2 {
		if _, err := client.ComplaintsV2.Get(ctx, complaintID); err != nil {
			log.Fatal(err)
		}
	}
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.Path)
	}
	// Output:
	// GET /v3/certificates
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000
	// GET /v3/merchant-service/complaints-v2/200201820200101080076610000
}

// This example allows more connections than the default, and sets the proxy.
func ExampleNewTransport() {
	server := wechatpaytest.NewServer()
	defer server.Close()

	transport := wechatpay.NewTransport()
	transport.MaxConnsPerHost = 400
	transport.MaxIdleConnsPerHost = 400
	transport.Proxy = nil // or http.ProxyURL(…)

	cfg := server.Config()
	cfg.Transport = transport
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	list, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{
		BeginDate: time.Now(),
		EndDate:   time.Now(),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(list.Data), "complaints")
	// Output: 0 complaints
}

func ExampleSigner_Sign() {
	pem, err := os.ReadFile("testdata/merchant_key.pem") // apiclient_key.pem
	if err != nil {
		log.Fatal(err)
	}
	key, err := wechatpay.ParsePrivateKey(pem)
	if err != nil {
		log.Fatal(err)
	}
	signer, err := wechatpay.NewSigner("1900000001", "3775B6A45ACD588826D15E583A95F5DD01234567", key)
	if err != nil {
		log.Fatal(err)
	}
	signature, err := signer.Sign("GET\n/v3/certificates\n1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n\n")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(signature), "base64 characters")
	// Output: 344 base64 characters
}

// This example signs and verifies in an http.Client of its own.
func ExampleSigningTransport() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	cfg := server.Config()

	signer, err := wechatpay.NewSigner(cfg.MchID, cfg.SerialNo, cfg.PrivateKey)
	if err != nil {
		log.Fatal(err)
	}
	client := &http.Client{
		Transport: &wechatpay.SigningTransport{
			Signer: signer,
			Hosts:  []string{strings.TrimPrefix(server.URL, "http://")}, // not needed for the real service
			Base: &wechatpay.VerifyingTransport{
				Verifier: &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{cfg.PublicKeyID: cfg.PublicKey}},
				Base:     wechatpay.NewTransport(),
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	req, err := http.NewRequest(http.MethodPost,
		server.URL+"/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress",
		strings.NewReader(`{"action":"APPROVE","launch_refund_day":0}`))
	if err != nil {
		log.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "my-shop/1.0")
	resp, err := client.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 204 No Content
}

func ExampleArgumentError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), "200201820200101080076610000",
		wechatpay.RejectRefund(strings.Repeat("不", 201)+"😀"))
	var argumentErr *wechatpay.ArgumentError
	if errors.As(err, &argumentErr) {
		for _, fault := range argumentErr.Faults {
			fmt.Println(fault.Field+":", fault.Problem)
		}
	}
	// Output:
	// RejectReason: has 202 characters, at most 200 allowed
	// RejectReason: contains an emoji (U+1F600), which WeChat Pay does not accept
}

// This example inspects an error from WeChat Pay. Branch on Code, and log the
// error: it includes the request id, which support asks for.
func ExampleAPIError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), "no-such-complaint")
	var apiErr *wechatpay.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.StatusCode, apiErr.Code)
		fmt.Println(apiErr.Method, apiErr.Path)
		fmt.Println(apiErr.RequestID != "")
	}
	// Output:
	// 404 RESOURCE_NOT_EXISTS
	// GET /v3/merchant-service/complaints-v2/no-such-complaint
	// true
}

// In this example, a response is forged.
func ExampleVerificationError() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // a retry would get a genuine response
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), complaintID)
	var verificationErr *wechatpay.VerificationError
	if errors.As(err, &verificationErr) {
		fmt.Println(verificationErr.Reason)
	}
	// Output: SIGNATURE_MISMATCH
}

// In this example, the response to an immediate-service reply is lost. Retrying
// with the key in the error sends the reply once.
func ExampleOutcomeUnknownError() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID, NeedImmediateService: true})
	server.AddFault(wechatpaytest.Fault{Path: "response-immediate-service", Kind: wechatpaytest.FaultLostResponse})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // the Client would retry by itself
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("正在为您处理"))}
	_, err = client.ComplaintsV2.RespondImmediateService(ctx, complaintID, req)
	var unknownErr *wechatpay.OutcomeUnknownError
	if errors.As(err, &unknownErr) {
		fmt.Println("unknown: retry")
		req.IdempotentID = unknownErr.IdempotencyKey
		_, err = client.ComplaintsV2.RespondImmediateService(ctx, complaintID, req)
	}
	if err != nil {
		log.Fatal(err)
	}

	for _, record := range server.History(complaintID) {
		fmt.Println(record.OperateType)
	}
	// Output:
	// unknown: retry
	// USER_CREATE_COMPLAINT
	// MERCHANT_RESPONSE
}

// This example retries longer than the default, such as in a nightly job.
func ExampleRetryPolicy() {
	const complaintID = "200201820200101080076610000"
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: complaintID})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503, Times: 2})
	cfg := server.Config()
	cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 10, MinDelay: 10 * time.Millisecond, MaxDelay: time.Minute}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), complaintID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(complaint.ComplaintState)
	for _, request := range server.Requests() {
		fmt.Println(request.Method, request.StatusCode)
	}
	// Output:
	// PENDING
	// GET 503
	// GET 503
	// GET 200
}
