package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"
)

// Version of this package, which the User-Agent header carries.
const Version = "0.1.0"

var userAgent = "wechatpay-complaints-go/" + Version + " (" + runtime.GOOS + "/" + runtime.GOARCH + ") " + runtime.Version()

// Client calls WeChat Pay for one merchant. It never changes, holds nothing
// that needs closing, and is safe for concurrent use: make one, and keep it.
type Client struct {
	// ComplaintsV2 is the complaint API ("消费者投诉2.0").
	ComplaintsV2 *ComplaintsV2Service

	signer  *Signer
	time    func() time.Time
	baseURL string
	hosts   []string // that the signer signs for
	serial  string   // for Wechatpay-Serial; empty: not sent
	http    *http.Client
	resty   *resty.Client
}

// NewClient checks the settings and makes a Client from them. It sends nothing.
// The error is an *ArgumentError that lists every fault with its remedy.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	signer, err := NewSigner(cfg.MchID, cfg.SerialNo, cfg.PrivateKey)
	if err != nil {
		return nil, err
	}
	verifier := cfg.verifier()
	transport := cfg.Transport
	if !cfg.InsecureSkipVerify {
		transport = &VerifyingTransport{Verifier: verifier, Base: transport}
	}
	hosts := cfg.hosts()
	c := &Client{
		signer:  signer,
		time:    cfg.Time,
		baseURL: cfg.BaseURL,
		hosts:   hosts,
		serial:  verifier.serial(),
		http: &http.Client{
			Transport: &SigningTransport{Signer: signer, Hosts: hosts, Time: cfg.Time, Base: transport},
			// A signature is for one host and one path; WeChat Pay documents
			// no redirect.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	// resty would change an http.Client that it is given: it gets a copy. Its
	// own retry stays off, since it repeats POSTs.
	restyHTTP := *c.http
	c.resty = resty.NewWithClient(&restyHTTP).
		SetLogger(discard{}).
		SetHeader("User-Agent", userAgent).
		SetPreRequestHook(dropEmptyContentType)
	c.ComplaintsV2 = &ComplaintsV2Service{client: c}
	return c, nil
}

// discard is resty's logger: its messages may hold URLs and bodies.
type discard struct{}

func (discard) Errorf(string, ...any) {}
func (discard) Warnf(string, ...any)  {}
func (discard) Debugf(string, ...any) {}

// dropEmptyContentType takes back the Content-Type that resty invents for a
// DELETE or POST without a body.
func dropEmptyContentType(_ *resty.Client, req *http.Request) error {
	if req.Body == nil || req.Body == http.NoBody {
		req.Header.Del("Content-Type")
	}
	return nil
}

// Format prints the settings that are no secrets, whatever the verb.
func (c Client) Format(w fmt.State, _ rune) {
	fmt.Fprintf(w, "wechatpay.Client{MchID:%q BaseURL:%q}", c.signer.mchID, c.baseURL)
}

// HTTPClient gives an http.Client over the same connections, for other
// libraries and for what Do does not cover. It signs each request, verifies
// each 2xx answer, follows no redirect, and repeats nothing. The caller sets
// Accept and User-Agent, without which WeChat Pay refuses a request; a
// Wechatpay-Serial header is added where there is none.
//
// It refuses other hosts than the Client's own, and, on the network, all that
// SigningTransport and VerifyingTransport refuse.
func (c *Client) HTTPClient() *http.Client {
	client := *c.http
	return &client
}

// Do calls any other endpoint of the v3 API, signed and verified. path begins
// with /v3/, is escaped, and may have a query. body is encoded as JSON, and nil
// sends none; a verified answer is decoded into out unless out is nil or the
// answer is empty.
//
// Success is a 200 or a 204. Any other answer is an *APIError; of these a 202
// ("accepted, pending") of a write also wraps ErrOutcomeUnknown, like every
// failure after which the write may stand.
func (c *Client) Do(ctx context.Context, method, path string, body, out any) error {
	const op = "Do"
	var f faults
	switch method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		f.add("method", "%.20q is none of GET, POST, PUT, PATCH, DELETE", method)
	}
	if u, err := url.ParseRequestURI(path); err != nil || !strings.HasPrefix(path, "/v3/") || strings.Contains(path, "#") || u.RequestURI() != path {
		f.add("path", "%.100q is not the escaped path of a v3 endpoint, such as /v3/merchant-service/complaints-v2", path)
	}
	if method == http.MethodGet && body != nil {
		f.add("body", "a GET has none")
	}
	if err := f.err(op); err != nil {
		return err
	}
	return c.call(ctx, &call{op: op, method: method, path: path, body: body, out: out})
}

// A call is one request as its endpoint describes it.
type call struct {
	op      string // the method's name, for errors
	method  string
	path    string // escaped, with the query: sent as it is
	body    any    // encoded as JSON, or an encoded body; nil: no body
	success int    // the documented status; 0: 200 or 204
	out     any    // what the answer is decoded into, or a *stream; nil: nothing is expected
	remedy  string // what to look at when the outcome is unknown
	key     string // what makes a repeated call the same to the service; empty: nothing
}

// An encoded body is sent as it is, under its own Content-Type.
type encoded struct {
	contentType string
	content     []byte
}

// A stream takes an answer that is not read, nor signed: an image.
type stream struct{ resp *http.Response }

// call encodes, sends and decodes. Every error of a write that may stand wraps
// ErrOutcomeUnknown here, and nowhere else.
func (c *Client) call(ctx context.Context, cl *call) error {
	var body *encoded
	switch content := cl.body.(type) {
	case nil:
	case *encoded:
		body = content
	default:
		text, err := json.Marshal(content)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: encoding the body: %w", cl.op, err)
		}
		body = &encoded{"application/json", text}
	}
	mayStand, err := c.attempt(ctx, cl, body)
	switch {
	case err == nil:
		return nil
	case mayStand && cl.method != http.MethodGet:
		remedy := cl.remedy
		if remedy == "" {
			remedy = "look at what became of it before repeating the call"
		}
		return &OutcomeUnknownError{Op: cl.op, IdempotencyKey: cl.key, Remedy: remedy, Err: err}
	default:
		return fmt.Errorf("wechatpay: %s: %w", cl.op, err)
	}
}

// attempt sends one request and reads the answer. On an error, mayStand tells
// whether the request may have taken effect nevertheless.
func (c *Client) attempt(ctx context.Context, cl *call, body *encoded) (mayStand bool, err error) {
	resp, mayStand, err := c.send(ctx, cl, body)
	if err != nil {
		return mayStand, err
	}
	if s, ok := cl.out.(*stream); ok && resp.StatusCode == cl.success {
		s.resp = resp // the caller closes it
		return false, nil
	}
	defer resp.Body.Close()
	return cl.read(resp)
}

// send gives the answer with its body unread.
func (c *Client) send(ctx context.Context, cl *call, body *encoded) (_ *http.Response, mayStand bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	accept := "application/json"
	if _, ok := cl.out.(*stream); ok {
		accept = "*/*"
		ctx = context.WithValue(ctx, unsignedAnswerKey{}, true)
	}
	var conn connection
	req := c.resty.R().
		SetContext(conn.trace(ctx)).
		SetDoNotParseResponse(true).
		SetHeader("Accept", accept)
	if c.serial != "" {
		req.SetHeader(headerSerial, c.serial)
	}
	if body != nil {
		req.SetHeader("Content-Type", body.contentType).SetBody(bytes.NewReader(body.content))
	}
	resp, err := req.Execute(cl.method, c.baseURL+cl.path)
	if err != nil {
		// The URL and the method, which url.Error repeats, are the caller's.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, !conn.neverGot(err), fmt.Errorf("%s %s: %w", cl.method, c.baseURL, err)
	}
	return resp.RawResponse, false, nil
}

// maxErrorBody bounds what is read of an answer that is an error anyway.
const maxErrorBody = 64 << 10

// read decodes the documented success, and makes any other answer an error.
func (cl *call) read(resp *http.Response) (mayStand bool, err error) {
	status, requestID := resp.StatusCode, resp.Header.Get(headerRequestID)
	if status < 200 || status > 299 {
		// The status decides, however much of the body can be read.
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		return status < 200 || status >= 500, newAPIError(status, requestID, cl.method, cl.path, body)
	}
	body, err := readBody(resp, maxBody)
	if err != nil {
		return true, err
	}
	if status != cl.success && (cl.success != 0 || status != http.StatusOK && status != http.StatusNoContent) {
		e := newAPIError(status, requestID, cl.method, cl.path, body)
		e.Message = strings.TrimSuffix("not the documented success: "+e.Message, ": ")
		return true, e
	}
	if cl.out == nil || len(body) == 0 && cl.success == 0 {
		return false, nil
	}
	if err := json.Unmarshal(body, cl.out); err != nil {
		return true, fmt.Errorf("%s %s: the %d answer cannot be decoded [request id %s]: %w", cl.method, cl.path, status, oneLine(requestID), err)
	}
	return false, nil
}

// A connection records whether net/http asked for a connection and got one.
type connection struct {
	asked, got atomic.Bool
}

func (c *connection) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { c.asked.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { c.got.Store(true) },
	})
}

// neverGot reports whether a request that ended in err certainly did not reach
// the server: it was refused or failed before it was signed, or no connection
// was got. A RoundTripper that does not report to httptrace leaves the question
// open, unless its error says that it could not connect.
func (c *connection) neverGot(err error) bool {
	if c.got.Load() {
		return false
	}
	var refused *ArgumentError
	var unsigned *signingError
	var unresolved *net.DNSError
	var failed *net.OpError
	return c.asked.Load() || errors.As(err, &refused) || errors.As(err, &unsigned) ||
		errors.As(err, &unresolved) || errors.As(err, &failed) && failed.Op == "dial"
}
