package wechatpay_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The tests in this file put a broken or hostile gateway between a Client and
// WeChat Pay. They check the promise of every call: nil means applied,
// ErrOutcomeUnknown means unknown, and any other error means not applied.

const paidOrder = "4200000000000000000000000099"

// startFake starts a fake WeChat Pay with one complaint about one order.
func startFake(t testing.TB, change ...func(*wechatpay.Complaint)) *wechatpaytest.Server {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	complaint := wechatpay.Complaint{
		ComplaintID:          testComplaintID,
		ProblemType:          wechatpay.ProblemTypeRefund,
		ApplyRefundAmount:    600,
		NeedImmediateService: true,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
			{TransactionID: paidOrder, OutTradeNo: "20150806125399", Amount: 1000},
		},
	}
	for _, change := range change {
		change(&complaint)
	}
	server.AddComplaint(complaint)
	// Any other endpoint, for Do.
	for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE"} {
		server.Handle(method+" /v3/other", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"ok":true}`)
		}))
	}
	return server
}

// gatewayClient returns a Client for a fake that retries without long pauses.
func gatewayClient(t testing.TB, server *wechatpaytest.Server, change ...func(*wechatpay.Config)) *wechatpay.Client {
	t.Helper()
	return quickClient(t, server.Config(), change...)
}

func quickClient(t testing.TB, cfg wechatpay.Config, change ...func(*wechatpay.Config)) *wechatpay.Client {
	t.Helper()
	transport := wechatpay.NewTransport()
	t.Cleanup(transport.CloseIdleConnections)
	cfg.Transport = transport
	cfg.Retry = wechatpay.RetryPolicy{
		MinDelay:       time.Millisecond,
		MaxDelay:       time.Millisecond,
		AttemptTimeout: 10 * time.Second,
		HistoryLag:     time.Millisecond,
	}
	for _, change := range change {
		change(&cfg)
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

// gateway handles requests between a Client and WeChat Pay. It may change or
// replace responses, but has no key to sign them.
type gateway func(req *http.Request, weChatPay http.RoundTripper) (*http.Response, error)

// behind puts a gateway in front of WeChat Pay.
func behind(g gateway) func(*wechatpay.Config) {
	return func(cfg *wechatpay.Config) {
		base := cfg.Transport
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) { return g(req, base) })
	}
}

// discardResponse forwards a request and drops the response.
func discardResponse(t *testing.T, req *http.Request, weChatPay http.RoundTripper) {
	t.Helper()
	resp, err := weChatPay.RoundTrip(req)
	require.NoError(t, err)
	resp.Body.Close()
}

var platformKey = sync.OnceValues(func() (*rsa.PrivateKey, error) {
	content, err := os.ReadFile("testdata/platform_key.pem")
	if err != nil {
		return nil, err
	}
	return wechatpay.ParsePrivateKey(content)
})

// signResponse writes a response that WeChat Pay signed. Each has its own nonce,
// because a Client accepts a signed response once.
func signResponse(t testing.TB, w http.ResponseWriter, status int, body string) {
	t.Helper()
	key, err := platformKey()
	require.NoError(t, err)
	nonce, timestamp := rand.Text(), strconv.FormatInt(testTime.Unix(), 10)
	digest := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n" + body + "\n"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Wechatpay-Timestamp", timestamp)
	h.Set("Wechatpay-Nonce", nonce)
	h.Set("Wechatpay-Serial", testPublicKeyID)
	h.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signature))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

// signingClient returns a Client for a handler that signs with signResponse.
func signingClient(t testing.TB, handler http.HandlerFunc) *wechatpay.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return quickClient(t, testConfig(t, server.URL))
}

// apiCall is a call of the SDK as a merchant makes it.
type apiCall struct {
	name    string
	request string // method and end of the path of a write; empty for a read
	// resolved reports whether the SDK finds out what happened to a write in
	// doubt, by a lookup or because a second request does no harm.
	resolved bool
	prepare  func(*wechatpaytest.Server)
	do       func(context.Context, *wechatpay.Client) error
}

// matches reports whether a request is the call's own, not a lookup.
func (c *apiCall) matches(req *http.Request) bool {
	method, suffix, _ := strings.Cut(c.request, " ")
	return req.Method == method && strings.HasSuffix(req.URL.Path, suffix)
}

// applied counts how often the fake applied the call.
func (c *apiCall) applied(server *wechatpaytest.Server) (n int) {
	method, suffix, _ := strings.Cut(c.request, " ")
	for _, request := range server.Requests() {
		path, _, _ := strings.Cut(request.Path, "?")
		if request.Method == method && strings.HasSuffix(path, suffix) && request.TookEffect {
			n++
		}
	}
	return n
}

// requireAppliedOnce checks that the call was applied once. Some calls may be
// applied twice, because the second time changes nothing.
func (c *apiCall) requireAppliedOnce(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	switch c.name {
	case "UpdateNotificationURL", "UploadImage", "Echo":
	default:
		require.Equal(t, 1, c.applied(server))
	}
}

const merchantURL = "https://www.example.com/notify"

func setMerchantURL(s *wechatpaytest.Server) { s.SetNotificationURL(merchantURL) }

func refundRequest() *wechatpay.CreateRefundRequest {
	return &wechatpay.CreateRefundRequest{
		TransactionID: paidOrder,
		OutRefundNo:   "shop-refund-1",
		Amount:        wechatpay.CreateRefundAmount{Refund: 600, Total: 1000},
	}
}

func sendDecision(req *wechatpay.UpdateRefundProgressRequest) func(context.Context, *wechatpay.Client) error {
	return func(ctx context.Context, c *wechatpay.Client) error {
		return c.ComplaintsV2.UpdateRefundProgress(ctx, testComplaintID, req)
	}
}

func replyToUser(ctx context.Context, c *wechatpay.Client) error {
	return c.ComplaintsV2.Respond(ctx, testComplaintID, &wechatpay.RespondRequest{ResponseContent: "已退款"})
}

func doOther(method string) func(context.Context, *wechatpay.Client) error {
	return func(ctx context.Context, c *wechatpay.Client) error {
		var body any
		if method != http.MethodGet && method != http.MethodDelete {
			body = map[string]int{"a": 1}
		}
		return c.Do(ctx, method, "/v3/other", body, new(struct{}))
	}
}

// writeCalls are all writes of the SDK.
var writeCalls = []apiCall{
	{"approve", "POST /update-refund-progress", true, nil, sendDecision(wechatpay.ApproveRefund(0))},
	{"reject", "POST /update-refund-progress", true, nil, sendDecision(wechatpay.RejectRefund("已使用"))},
	{"Respond", "POST /response", false, nil, replyToUser},
	{"RespondImmediateService", "POST /response-immediate-service", true, nil,
		func(ctx context.Context, c *wechatpay.Client) error {
			_, err := c.ComplaintsV2.RespondImmediateService(ctx, testComplaintID, &wechatpay.ImmediateServiceRequest{
				Message: wechatpay.Message{Blocks: []wechatpay.MessageBlock{wechatpay.TextBlock("您好")}},
			})
			return err
		}},
	{"Complete", "POST /complete", true, nil, func(ctx context.Context, c *wechatpay.Client) error {
		return c.ComplaintsV2.Complete(ctx, testComplaintID, nil)
	}},
	{"CreateNotificationURL", "POST /complaint-notifications", false, nil,
		func(ctx context.Context, c *wechatpay.Client) error {
			_, err := c.ComplaintsV2.CreateNotificationURL(ctx, merchantURL)
			return err
		}},
	{"UpdateNotificationURL", "PUT /complaint-notifications", true, setMerchantURL,
		func(ctx context.Context, c *wechatpay.Client) error {
			_, err := c.ComplaintsV2.UpdateNotificationURL(ctx, merchantURL+"/new")
			return err
		}},
	{"DeleteNotificationURL", "DELETE /complaint-notifications", false, setMerchantURL,
		func(ctx context.Context, c *wechatpay.Client) error {
			return c.ComplaintsV2.DeleteNotificationURL(ctx)
		}},
	{"UploadImage", "POST /images/upload", true, nil, func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.ComplaintsV2.UploadImage(ctx, "a.png", strings.NewReader("\x89PNG\r\n\x1a\n"))
		return err
	}},
	{"Refunds.Create", "POST /refunds", true, nil, func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.Refunds.Create(ctx, refundRequest())
		return err
	}},
	{"ComplaintsV2.Refund", "POST /refunds", true, nil, func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.ComplaintsV2.Refund(ctx, testComplaintID, nil)
		return err
	}},
	{"Echo", "POST /echo", true, nil, func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.Echo(ctx, &wechatpay.EchoRequest{EchoMessage: "hello"})
		return err
	}},
	{"Do POST", "POST /other", false, nil, doOther(http.MethodPost)},
	{"Do PUT", "PUT /other", false, nil, doOther(http.MethodPut)},
	{"Do PATCH", "PATCH /other", false, nil, doOther(http.MethodPatch)},
	{"Do DELETE", "DELETE /other", false, nil, doOther(http.MethodDelete)},
}

// readCalls are all reads of the SDK.
var readCalls = []apiCall{
	{name: "List", do: func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.ComplaintsV2.List(ctx, &wechatpay.ListComplaintsRequest{BeginDate: testTime, EndDate: testTime})
		return err
	}},
	{name: "Get", do: readComplaint},
	{name: "NegotiationHistory", do: func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.ComplaintsV2.NegotiationHistory(ctx, testComplaintID, nil)
		return err
	}},
	{name: "NotificationURL", prepare: setMerchantURL, do: func(ctx context.Context, c *wechatpay.Client) error {
		_, err := c.ComplaintsV2.NotificationURL(ctx)
		return err
	}},
	{
		name: "Refunds.Get",
		prepare: func(s *wechatpaytest.Server) {
			client, err := wechatpay.NewClient(s.Config())
			if err == nil {
				_, err = client.Refunds.Create(context.Background(), refundRequest())
			}
			if err != nil {
				panic(err)
			}
		},
		do: func(ctx context.Context, c *wechatpay.Client) error {
			_, err := c.Refunds.Get(ctx, &wechatpay.GetRefundRequest{OutRefundNo: refundRequest().OutRefundNo})
			return err
		},
	},
	{name: "Do GET", do: doOther(http.MethodGet)},
}

func readComplaint(ctx context.Context, c *wechatpay.Client) error {
	_, err := c.ComplaintsV2.Get(ctx, testComplaintID)
	return err
}

var downloadImageCall = apiCall{name: "DownloadImage", do: func(ctx context.Context, c *wechatpay.Client) error {
	image, err := c.ComplaintsV2.DownloadImage(ctx, "ChsyMDAyMDE4MjAyMDAyMDE%3D")
	if err == nil {
		image.Close()
	}
	return err
}}

// callsNamed returns the calls with some names.
func callsNamed(names ...string) (calls []apiCall) {
	for _, call := range slices.Concat(writeCalls, readCalls, []apiCall{downloadImageCall}) {
		if slices.Contains(names, call.name) {
			calls = append(calls, call)
		}
	}
	return calls
}

func requireReason(t *testing.T, err error, reason wechatpay.VerificationReason) {
	t.Helper()
	var failed *wechatpay.VerificationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, reason, failed.Reason)
}

// gatewayPage is a response of a gateway itself.
type gatewayPage struct {
	name        string
	status      int
	location    string
	contentType string
	body        string
}

func (p *gatewayPage) response(req *http.Request) *http.Response {
	resp := &http.Response{
		StatusCode:    p.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        http.Header{},
		Body:          io.NopCloser(strings.NewReader(p.body)),
		ContentLength: int64(len(p.body)),
		Request:       req,
	}
	if p.contentType != "" {
		resp.Header.Set("Content-Type", p.contentType)
	}
	if p.location != "" {
		resp.Header.Set("Location", p.location)
	}
	return resp
}

// htmlPage and jsonPage have no error code of WeChat Pay.
func htmlPage(status int) gatewayPage {
	body := fmt.Sprintf("<html>\r\n<h1>%d %s</h1>\r\n</html>\r\n", status, http.StatusText(status))
	return gatewayPage{name: fmt.Sprintf("%d HTML", status), status: status, contentType: "text/html", body: body}
}

func jsonPage(status int, body string) gatewayPage {
	return gatewayPage{
		name:        fmt.Sprintf("%d %s", status, body),
		status:      status,
		contentType: "application/json",
		body:        body,
	}
}

var gatewayPages = []gatewayPage{
	{name: "302 login page", status: 302, location: "https://login.example.com/"},
	htmlPage(403),
	jsonPage(404, `{"message":"no Route matched with those values"}`),
	{name: "408 empty", status: 408},
	htmlPage(429),
	{name: "301 empty", status: 301},
	htmlPage(400),
	{name: "400 empty", status: 400},
	jsonPage(400, `{"code":400,"message":"Bad Request"}`),
	jsonPage(404, `{"status":404,"error":"Not Found"}`),
	jsonPage(404, `{"code":"404","message":"Not Found"}`),
	jsonPage(403, `[]`),
	htmlPage(407),
	{name: "429 empty", status: 429},
	{name: "499 empty", status: 499},
}

// pagesFor returns all pages for the calls that decide or move money, and one
// of each kind for the others.
func pagesFor(call *apiCall) []gatewayPage {
	switch call.name {
	case "approve", "ComplaintsV2.Refund":
		return sample(gatewayPages, 5)
	}
	return sample(gatewayPages[:5], 1)
}

// sample returns all elements, or only the first n under -short.
func sample[T any](all []T, n int) []T {
	if testing.Short() {
		return all[:n]
	}
	return all
}

const notWeChatPay = "not a WeChat Pay response"

// WeChat Pay applies the write, and a gateway answers with a page of its own. It
// answers everything that follows in the same way.
func TestClient_gatewayPage_afterWrite(t *testing.T) {
	for _, call := range writeCalls {
		for _, page := range pagesFor(&call) {
			t.Run(call.name+"/"+page.name, func(t *testing.T) {
				server, written := startFake(t), false
				if call.prepare != nil {
					call.prepare(server)
				}
				relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
					switch {
					case call.matches(req) && !written:
						written = true
						discardResponse(t, req, pay)
					case !written:
						return pay.RoundTrip(req)
					}
					return page.response(req), nil
				}
				client := gatewayClient(t, server, behind(relay))
				err := call.do(context.Background(), client)
				require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
				require.ErrorContains(t, err, notWeChatPay)
				require.NotContains(t, err.Error(), "\n")
			})
		}
	}
}

// The gateway answers one request, and the SDK finds out what happened if it
// can. No write is applied twice.
func TestClient_gatewayPage_oneResponse(t *testing.T) {
	for _, call := range writeCalls {
		for _, page := range pagesFor(&call) {
			t.Run(call.name+"/"+page.name, func(t *testing.T) {
				server, written := startFake(t), 0
				if call.prepare != nil {
					call.prepare(server)
				}
				relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
					if call.matches(req) {
						if written++; written == 1 {
							discardResponse(t, req, pay)
							return page.response(req), nil
						}
					}
					return pay.RoundTrip(req)
				}
				client := gatewayClient(t, server, behind(relay))
				err := call.do(context.Background(), client)
				call.requireAppliedOnce(t, server)
				if call.resolved {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
					require.ErrorContains(t, err, notWeChatPay)
				}
			})
		}
	}
}

// A read ends with the gateway's page at once: a retry would get it again.
func TestClient_gatewayPage_read(t *testing.T) {
	t.Parallel()
	for _, call := range append(slices.Clone(readCalls), downloadImageCall) {
		for _, page := range gatewayPages {
			t.Run(call.name+"/"+page.name, func(t *testing.T) {
				requests := 0
				relay := func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
					requests++
					return page.response(req), nil
				}
				client := gatewayClient(t, startFake(t), behind(relay))
				err := call.do(context.Background(), client)
				var rejected *wechatpay.APIError
				require.ErrorAs(t, err, &rejected)
				require.Equal(t, page.status, rejected.StatusCode)
				require.Equal(t, 4, requests, "a read is retried: the page may be transient")
				require.ErrorContains(t, err, notWeChatPay)
				require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			})
		}
	}
}

// newCertificateFake returns a fake whose merchant has platform certificates and
// no public key.
func newCertificateFake(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	server := startFake(t)
	server.Configure(func(b *wechatpaytest.Behavior) { b.KeyMode = wechatpaytest.KeyModeCertificate })
	return server
}

const certificateList = "GET /v3/certificates"

// deliverNotification hands a genuine notification to the NotificationHandler of
// a Client, and returns the HTTP status.
func deliverNotification(t *testing.T, server *wechatpaytest.Server, client *wechatpay.Client) int {
	t.Helper()
	req, err := server.NewNotification(context.Background(), "http://127.0.0.1/", wechatpaytest.Notification{
		EventType:   "COMPLAINT.CREATE",
		ComplaintID: testComplaintID,
		ActionType:  "CREATE_COMPLAINT",
	})
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	client.NotificationHandler(func(context.Context, *wechatpay.Notification) error { return nil }).
		ServeHTTP(recorder, req)
	return recorder.Code
}

// The certificates cannot be downloaded: no write is sent, and no notification
// is accepted.
func TestClient_gatewayPage_certificates(t *testing.T) {
	for _, page := range gatewayPages {
		t.Run(page.name, func(t *testing.T) {
			server, downloads := newCertificateFake(t), 0
			relay := func(req *http.Request, pay http.RoundTripper) (*http.Response, error) {
				if req.URL.Path != "/v3/certificates" {
					return pay.RoundTrip(req)
				}
				downloads++
				return page.response(req), nil
			}
			client := gatewayClient(t, server, behind(relay))
			err := sendDecision(wechatpay.ApproveRefund(0))(context.Background(), client)
			require.ErrorContains(t, err, notWeChatPay)
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.Equal(t, 4, downloads)
			require.Empty(t, server.Requests())
			require.GreaterOrEqual(t, deliverNotification(t, server, client), 400)
		})
	}
}
