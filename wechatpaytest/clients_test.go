package wechatpaytest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// A foreignClient has what the requests of another SDK differ in.
type foreignClient struct {
	name       string
	header     map[string]string
	attributes []string // of Authorization, in this order
	newline    bool     // after a JSON body
	metaHeader string   // of the meta part of an upload
	boundary   string   // of an upload, in Content-Type; "" leaves it out
}

const (
	metaDisposition = `Content-Disposition: form-data; name="meta"`
	jsonPart        = "Content-Type: application/json"
)

var foreignClients = []foreignClient{
	{
		name: "gopay",
		header: map[string]string{
			"Accept":           "application/json",
			"Content-Type":     "application/json",
			"User-Agent":       "Go-http-client/1.1",
			"Request-ID":       "ZtMq0Hk3rB9cWx2LsVdYe-1772596800",
			"Wechatpay-Serial": "",
		},
		attributes: []string{"mchid", "nonce_str", "timestamp", "serial_no", "signature"},
		metaHeader: metaDisposition,
		boundary:   "b",
	},
	{
		name: "wechatpay-go",
		header: map[string]string{
			"Accept":       "*/*",
			"Content-Type": "application/json",
			"User-Agent":   "WechatPay-Go/0.2.21 (linux) GO/1.24",
		},
		attributes: []string{"mchid", "nonce_str", "timestamp", "serial_no", "signature"},
		newline:    true,
		metaHeader: metaDisposition + ";\r\n" + jsonPart,
		boundary:   "b",
	},
	{
		name: "wechatpay-php",
		header: map[string]string{
			"Accept":       "application/json, text/plain, application/x-gzip, application/pdf, image/png, image/*;q=0.5",
			"Content-Type": "application/json; charset=utf-8",
			"User-Agent":   "wechatpay-php/1.4.12 GuzzleHttp/7 curl/8.5.0 (Linux/6.1) PHP/8.2",
		},
		attributes: []string{"mchid", "nonce_str", "signature", "timestamp", "serial_no"},
		metaHeader: jsonPart + "\r\n" + metaDisposition + "\r\nContent-Length: 99",
		boundary:   "b",
	},
	{
		name: "wechatpayv3 for Python",
		header: map[string]string{
			"Accept":          "application/json",
			"Accept-Encoding": "gzip, deflate",
			"Content-Type":    "application/json",
			"User-Agent":      "wechatpay v3 api python sdk(https://github.com/minibear2021/wechatpayv3)",
		},
		attributes: []string{"mchid", "nonce_str", "signature", "timestamp", "serial_no"},
		metaHeader: metaDisposition,
	},
}

// send sends a request. signed is what the client signs as the body.
func (c *foreignClient) send(t *testing.T, s *wechatpaytest.Server, method, target, body, signed string) response {
	req, err := http.NewRequest(method, s.URL+target, strings.NewReader(body))
	require.NoError(t, err)
	for name, value := range c.header {
		req.Header[name] = []string{value}
	}
	cfg := s.Config()
	values := map[string]string{
		"mchid":     cfg.MchID,
		"nonce_str": strings.Repeat("N", 22) + strconv.FormatInt(1e9+nonces.Add(1), 10),
		"timestamp": strconv.FormatInt(s.Now().Unix(), 10),
		"serial_no": cfg.SerialNo,
	}
	toSign := []string{
		method, strings.TrimSuffix(target, "?"), values["timestamp"], values["nonce_str"], signed, "",
	}
	values["signature"] = sign(t, cfg.PrivateKey, strings.Join(toSign, "\n"))
	var list []string
	for _, name := range c.attributes {
		list = append(list, name+`="`+values[name]+`"`)
	}
	req.Header.Set("Authorization", "WECHATPAY2-SHA256-RSA2048 "+strings.Join(list, ","))
	r, err := try(req)
	require.NoError(t, err)
	return r
}

// do sends a request with a JSON body, or without one, and checks the status.
func (c *foreignClient) do(t *testing.T, s *wechatpaytest.Server, status int, method, target, body string) {
	t.Helper()
	if c.newline && body != "" {
		body += "\n"
	}
	r := c.send(t, s, method, target, body, body)
	require.Equal(t, status, r.StatusCode, "%s %s: %s", method, target, r.body)
	require.True(t, r.signedBy(s.Config().PublicKey))
}

// upload uploads an image.
func (c foreignClient) upload(t *testing.T, s *wechatpaytest.Server) response {
	meta := uploadMeta("a.png", png(10))
	body := "--b\r\n" + c.metaHeader + "\r\n\r\n" + meta +
		"\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n" +
		string(png(10)) + "\r\n--b--\r\n"
	header := map[string]string{}
	for name, value := range c.header {
		header[name] = value
	}
	header["Content-Type"] = "multipart/form-data"
	if c.boundary != "" {
		header["Content-Type"] += "; boundary=" + c.boundary
	}
	c.header = header
	return c.send(t, s, "POST", images+"upload", body, meta)
}

// The requests that other SDKs send for the complaint API are accepted.
func TestServer_ServeHTTP_foreignClients(t *testing.T) {
	const url = `{"url":"https://example.com/n"}`
	for _, c := range foreignClients {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			addComplaint(s)
			s.AddComplaint(wechatpay.Complaint{ComplaintID: othersID, ProblemType: wechatpay.ProblemTypeOthers})
			c.do(t, s, 200, "GET", march+"&limit=50&offset=0&complainted_mchid=1900000001", "")
			c.do(t, s, 200, "GET", path, "")
			c.do(t, s, 200, "GET", historyOf(id)+"?limit=100&offset=0", "")
			c.do(t, s, 204, "POST", path+"/response", reply)
			c.do(t, s, 204, "POST", decide, `{"action": "REJECT", "reject_reason": "\u5df2\u53d1\u8d27"}`)
			c.do(t, s, 204, "POST", complaints+"/"+othersID+"/complete", completion)
			c.do(t, s, 200, "POST", notificationURL, url)
			c.do(t, s, 200, "GET", notificationURL, "")
			c.do(t, s, 200, "PUT", notificationURL, url)
			c.do(t, s, 204, "DELETE", notificationURL, "")
			c.do(t, s, 200, "POST", refunds, refundOf("r-1", 100))
			r := c.upload(t, s)
			if c.boundary == "" {
				require.Equal(t, 400, r.StatusCode, "%s", r.body)
				require.Contains(t, r.json(t)["message"], "Content-Type: multipart/form-data has no boundary")
				return
			}
			require.Equal(t, 200, r.StatusCode, "%s", r.body)
		})
	}
}

// gopay sends an empty query as a question mark, and does not sign it.
func TestServer_ServeHTTP_emptyQuery(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	foreignClients[0].do(t, s, 200, "GET", historyOf(id)+"?", "")

	do(t, s, 200, "GET", historyOf(id)+"?", "") // signs it
	req := newRequest(s, "GET", march+"?", "")
	req.toSign = ptr("GET\n" + march + "\nTIMESTAMP\nNONCE\n\n")
	require.Equal(t, 401, req.send(t, s).StatusCode, "part of a value")
}

// What clients of other SDKs do wrong is rejected with a message that says so.
func TestServer_ServeHTTP_namedCauses(t *testing.T) {
	refund := func(numbers string) string { return `{` + numbers + `,"out_refund_no":"r-1",` + amount + `}` }
	withImage := func(r *request) { r.upload = &upload{meta: meta1, file: png(1)} }
	for name, tt := range map[string]struct {
		method, target, body string
		change               func(*request)
		status               int
		want                 string
	}{
		"DELETE with a null body": {
			"DELETE", notificationURL, "null", nil, 400, "body: must be empty for DELETE, got null",
		},
		"DELETE with a body that is not signed": {
			"DELETE", notificationURL, "null", toSign("DELETE\n" + notificationURL + "\nTIMESTAMP\nNONCE\n\n"),
			400, "body: must be empty for DELETE, got null",
		},
		"long nonce": {
			"GET", path, "", attribute("nonce_str", repeat("n", 33)),
			401, "nonce_str must have at most 32 characters, got 33",
		},
		"charset utf8": {
			"POST", decide, approve, header("Content-Type", "application/json; charset=utf8"),
			400, "Content-Type: charset must be utf-8, got utf8",
		},
		"empty parameters": {"GET", historyOf(id) + "?limit=&offset=", "", nil, 400, "limit: must not be empty; omit it"},
		"upload without a boundary": {
			"POST", images + "upload", "", func(r *request) {
				withImage(r)
				r.header.Set("Content-Type", "multipart/form-data")
			}, 400, "Content-Type: multipart/form-data has no boundary",
		},
		"upload with another boundary": {
			"POST", images + "upload", "", func(r *request) {
				withImage(r)
				r.header.Set("Content-Type", "multipart/form-data; boundary=other")
			}, 401, "; body: is a malformed multipart body",
		},
		"meta with a filename": {
			"POST", images + "upload", "", func(r *request) {
				withImage(r)
				r.upload.named = true
			}, 401, "built with a meta part that has a filename",
		},
		"numbers of two orders": {
			"POST", refunds, refund(`"transaction_id":"4200001","out_trade_no":"trade-2"`), nil,
			400, "/out_trade_no: is not the number of order 4200001",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			addComplaint(s)
			s.SetNotificationURL("https://example.com/n")
			req := newRequest(s, tt.method, tt.target, tt.body)
			if tt.change != nil {
				tt.change(req)
			}
			r := req.send(t, s)
			require.Equal(t, tt.status, r.StatusCode, "%s", r.body)
			require.Contains(t, r.json(t)["message"], tt.want)
			require.False(t, tookEffect(s))
		})
	}
}

// A refund may name its order by both numbers.
func TestServer_ServeHTTP_refundByBothNumbers(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	both := strings.Replace(refundOf("r-1", 100), "{", `{"out_trade_no":"trade-1",`, 1)
	do(t, s, 200, "POST", refunds, both)
	do(t, s, 200, "POST", refunds, both)
	require.Len(t, s.Refunds(), 1)
}

// A jump link may have a fragment, as links of single-page apps do.
func TestBehavior_jumpLinks_fragment(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.JumpLinks = true })
	const link = `,"jump_url":"https://m.example.com/#/pages/order?id=1"` + jumpURLText + `}`
	do(t, s, 204, "POST", response4, hello+link)
	r := do(t, s, 400, "POST", notificationURL, `{"url":"https://example.com/n#a"}`)
	require.Contains(t, r.json(t)["message"], "/url: must not have a fragment")
}
