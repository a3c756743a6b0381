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

// What each kind of error means, in the order in which to ask.
func Example_errors() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610001"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	decide := func(complaintID string) {
		err := client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
		var argument *wechatpay.ArgumentError
		var refusal *wechatpay.APIError
		switch {
		case err == nil:
			fmt.Println("decided")
		case errors.Is(err, wechatpay.ErrOutcomeUnknown):
			fmt.Println("unknown: read the negotiation history before deciding again")
		case errors.As(err, &argument):
			fmt.Println("not sent:", argument.Faults[0].Field, argument.Faults[0].Problem)
		case errors.As(err, &refusal):
			fmt.Println("refused:", refusal.StatusCode, refusal.Code)
		default:
			fmt.Println("not done:", err)
		}
	}

	decide("200201820200101080076610000")
	decide("200201820200101080076610000") // the same again
	decide("")

	// From here on somebody else answers.
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged, Probability: 1})
	decide("200201820200101080076610001")

	cancel()
	decide("200201820200101080076610001")
	// Output:
	// decided
	// refused: 400 INVALID_REQUEST
	// not sent: complaintID empty, 1 to 64 characters are required
	// unknown: read the negotiation history before deciding again
	// not done: wechatpay: ComplaintsV2.UpdateRefundProgress: context canceled
}

// The settings of a merchant, with the keys read from files.
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

// Wrong settings come back in one error, each with its remedy.
func ExampleNewClient_settings() {
	_, err := wechatpay.NewClient(wechatpay.Config{MchID: "1900000001", APIv3Key: "too short"})
	var argument *wechatpay.ArgumentError
	if errors.As(err, &argument) {
		for _, fault := range argument.Faults {
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
	// The deployment sets these.
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

// A plain mock signs nothing, so the client must not ask for signatures.
// NewClient allows that on loopback only.
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
	err = client.ComplaintsV2.UpdateRefundProgress(context.Background(), "200201820200101080076610000", wechatpay.ApproveRefund(3))
	fmt.Println(err)
	// Output:
	// POST /v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress
	// {"action":"APPROVE","launch_refund_day":3}
	// <nil>
}

// The user's phone number comes encrypted for the merchant API certificate.
func ExampleClient_Decrypt() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", PayerPhone: "13900000000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	if complaint.PayerPhone == "" {
		return // the user gave none
	}
	phone, err := client.Decrypt(complaint.PayerPhone)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(phone)
	// Output: 13900000000
}

// Any other endpoint of the v3 API, signed and verified.
func ExampleClient_Do() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	var answer struct {
		Data []struct {
			SerialNo   string    `json:"serial_no"`
			ExpireTime time.Time `json:"expire_time"`
		} `json:"data"`
	}
	err = client.Do(context.Background(), http.MethodGet, "/v3/certificates", nil, &answer)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(answer.Data), "platform certificate")
	// Output: 1 platform certificate
}

// An http.Client that signs and verifies, for code that builds its own requests.
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

// Do the keys fit, in both directions, encryption included? It touches nothing.
func ExampleClient_Echo() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	answer, err := client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "hello", EncryptedEchoMessage: "secret"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.EchoMessage, answer.EncryptedEchoMessage)
	// Output: hello secret
}

// A merchant without a WeChat Pay public key. With the APIv3 key the Client
// downloads the platform certificates when it first needs one.
func ExampleNewClient_platformCertificates() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
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
		if _, err := client.ComplaintsV2.Get(ctx, "200201820200101080076610000"); err != nil {
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

// More connections than the default, through a proxy.
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
	list, err := client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: time.Now(), EndDate: time.Now()})
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
	fmt.Println(len(signature), "characters of base64")
	// Output: 344 characters of base64
}

// Signing and verifying in an http.Client of your own, without the rest.
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
			Hosts:  []string{strings.TrimPrefix(server.URL, "http://")}, // leave it out for the real WeChat Pay
			Base: &wechatpay.VerifyingTransport{
				Verifier: &wechatpay.Verifier{Keys: map[string]*rsa.PublicKey{cfg.PublicKeyID: cfg.PublicKey}},
				Base:     wechatpay.NewTransport(),
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}

	req, err := http.NewRequest(http.MethodPost, server.URL+"/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress",
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
	var argument *wechatpay.ArgumentError
	if errors.As(err, &argument) {
		for _, fault := range argument.Faults {
			fmt.Println(fault.Field+":", fault.Problem)
		}
	}
	// Output:
	// RejectReason: 202 characters, at most 200 are allowed
	// RejectReason: holds '😀' (U+1F600), and WeChat Pay takes no character beyond U+FFFF (emoji)
}

// A refusal of WeChat Pay's. Branch on the code, and log the error: it has the
// request id, which their support asks for.
func ExampleAPIError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), "no-such-complaint")
	var refusal *wechatpay.APIError
	if errors.As(err, &refusal) {
		fmt.Println(refusal.StatusCode, refusal.Code)
		fmt.Println(refusal.Method, refusal.Path)
		fmt.Println(refusal.RequestID != "")
	}
	// Output:
	// 404 RESOURCE_NOT_EXISTS
	// GET /v3/merchant-service/complaints-v2/no-such-complaint
	// true
}

// An answer that is not WeChat Pay's is never taken for one.
func ExampleVerificationError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultForged})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // the next answer would be genuine
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	_, err = client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	var unproved *wechatpay.VerificationError
	if errors.As(err, &unproved) {
		fmt.Println(unproved.Reason)
	}
	// Output: SIGNATURE_MISMATCH
}

// The answer to an immediate-service reply got lost. Repeated with the key that
// the error carries, it is done once.
func ExampleOutcomeUnknownError() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", NeedImmediateService: true})
	server.AddFault(wechatpaytest.Fault{Path: "response-immediate-service", Kind: wechatpaytest.FaultLostResponse})
	cfg := server.Config()
	cfg.Retry.MaxAttempts = 1 // the Client would repeat it by itself
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()

	req := &wechatpay.ImmediateServiceRequest{Message: wechatpay.NewMessage(wechatpay.TextBlock("正在为您处理"))}
	_, err = client.ComplaintsV2.RespondImmediateService(ctx, "200201820200101080076610000", req)
	var unknown *wechatpay.OutcomeUnknownError
	if errors.As(err, &unknown) {
		fmt.Println("unknown, so once more")
		req.IdempotentID = unknown.IdempotencyKey
		_, err = client.ComplaintsV2.RespondImmediateService(ctx, "200201820200101080076610000", req)
	}
	if err != nil {
		log.Fatal(err)
	}

	for _, record := range server.History("200201820200101080076610000") {
		fmt.Println(record.OperateType)
	}
	// Output:
	// unknown, so once more
	// USER_CREATE_COMPLAINT
	// MERCHANT_RESPONSE
}

// A job that runs at night may be more patient than a web request.
func ExampleRetryPolicy() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultError503, Times: 2})
	cfg := server.Config()
	cfg.Retry = wechatpay.RetryPolicy{MaxAttempts: 10, MinDelay: 10 * time.Millisecond, MaxDelay: time.Minute}
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
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
