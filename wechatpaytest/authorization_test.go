package wechatpaytest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestServer_ServeHTTP_signatureMistakes(t *testing.T) {
	const (
		reordered = `{"launch_refund_day":0,"action":"APPROVE"}`
		spaced    = `{"launch_refund_day": 0, "action": "APPROVE"}`
		list      = complaints + "?end_date=2026-03-04&begin_date=2026-03-04"
		sorted    = complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
		end       = "\nTIMESTAMP\nNONCE\n"
	)
	s := newServer(t)
	addComplaint(s)
	for _, tt := range []struct{ method, target, body, signed, want string }{
		{"POST", decide, approve, "POST\n" + decide + end + approve, "without the trailing newline"},
		{"POST", decide, approve, "POST\n" + decide + end + "\n", "without the body"},
		{"POST", decide, approve, "post\n" + decide + end + approve + "\n", "with the method in lower case"},
		{"POST", decide, approve, "POST\n" + s.URL + decide + end + approve + "\n", "with the host in the URL"},
		{"POST", decide, approve, "POST\n" + decide + end + reordered + "\n", "wrong string to sign"},
		{"POST", decide, spaced, "POST\n" + decide + end + approve + "\n", "encoded differently"},
		{"GET", list, "", "GET\n" + complaints + end + "\n", "without the query"},
		{"GET", list, "", "GET\n" + sorted + end + "\n", "with the query reordered"},
		{"GET", images + "a%2Bb%3D", "", "GET\n" + images + "a+b=" + end + "\n", "with the path unescaped"},
		{"GET", images + "a%2Bb%3D", "", "GET\n" + images + "a%252Bb%253D" + end + "\n", "with the path escaped twice"},
		{"GET", images + "a+b=", "", "GET\n" + images + "a%2Bb%3D" + end + "\n", "with the path escaped differently"},
	} {
		req := newRequest(s, tt.method, tt.target, tt.body)
		req.toSign = &tt.signed
		r := req.send(t, s)
		require.Equal(t, 401, r.StatusCode)
		require.True(t, strings.HasSuffix(r.Header.Get("Request-ID"), "-268443699"))
		require.Contains(t, r.json(t)["message"], tt.want)
	}
	first := s.Requests()[0].String()
	require.Contains(t, first, "401 SIGN_ERROR")
	require.Contains(t, first, "string to sign was built")
}

func TestServer_ServeHTTP_signErrorDetail(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	req := newRequest(s, "POST", decide, approve)
	req.toSign = ptr("POST\n" + decide + "\nTIMESTAMP\nNONCE\n\n")
	req.attributes["nonce_str"] = "N1"
	r := req.send(t, s)
	require.Equal(t, 401, r.StatusCode)
	got := r.json(t)
	require.Contains(t, got["message"], `"POST\n`+decide+`\n`)
	require.Contains(t, got["message"], `{\"action\":\"APPROVE\",\"launch_refund_day\":0}\n`)
	detail := got["detail"].(map[string]any)
	require.Equal(t, map[string]any{"issue": "sign not match"}, detail["detail"])
	require.Equal(t, "authorization", detail["location"])
	information := detail["sign_information"].(map[string]any)
	require.Equal(t, "POST", information["method"])
	require.Equal(t, decide, information["url"])
	truncated := information["truncated_sign_message"].(string)
	require.True(t, strings.HasSuffix(truncated, "\n{\"action\n"), "the body is cut to 8 characters")
	require.EqualValues(t, len("POST\n"+decide+"\n1234567890\nN1\n"+approve+"\n"), information["sign_message_length"])
}

func TestServer_ServeHTTP_otherCertificate(t *testing.T) {
	s := newServer(t)
	old := s.Config()
	s.RenewMerchantCertificate()
	req := newRequest(s, "GET", "/v3/certificates", "")
	req.attributes["serial_no"] = old.SerialNo
	r := req.send(t, s)
	require.Equal(t, 401, r.StatusCode)
	require.Contains(t, r.json(t)["message"], "with the key of certificate "+s.Config().SerialNo)
}

func TestServer_ServeHTTP_timestamp(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for offset, status := range map[time.Duration]int{
		-299 * time.Second: 200,
		300 * time.Second:  200,
		-301 * time.Second: 401,
		301 * time.Second:  401,
	} {
		req := newRequest(s, "GET", path, "")
		req.at = req.at.Add(offset)
		require.Equal(t, status, req.send(t, s).StatusCode, offset)
	}
}

func TestServer_ServeHTTP_nonce(t *testing.T) {
	send := func(s *wechatpaytest.Server, method, target, body, nonce string) int {
		req := newRequest(s, method, target, body)
		req.attributes["nonce_str"] = nonce
		return req.send(t, s).StatusCode
	}
	for name, test := range map[string]func(*testing.T, *wechatpaytest.Server){
		"identical GET": func(t *testing.T, s *wechatpaytest.Server) {
			require.Equal(t, 200, send(s, "GET", path, "", "n"))
			require.Equal(t, 200, send(s, "GET", path, "", "n"))
		},
		"other GET": func(t *testing.T, s *wechatpaytest.Server) {
			require.Equal(t, 200, send(s, "GET", path, "", "n"))
			require.Equal(t, 401, send(s, "GET", path+"/negotiation-historys", "", "n"))
			s.Advance(time.Second)
			require.Equal(t, 401, send(s, "GET", path, "", "n"), "with another timestamp")
		},
		"identical write": func(t *testing.T, s *wechatpaytest.Server) {
			require.Equal(t, 204, send(s, "POST", path+"/response", reply, "a"))
			require.Equal(t, 401, send(s, "POST", path+"/response", reply, "a"))
			require.Len(t, s.History(id), 2)
			require.Equal(t, 200, send(s, "POST", notificationURL, `{"url":"https://example.com/n"}`, "b"))
			require.Equal(t, 200, send(s, "PUT", notificationURL, `{"url":"https://example.com/n"}`, "c"))
			require.Equal(t, 401, send(s, "PUT", notificationURL, `{"url":"https://example.com/n"}`, "c"))
			require.Equal(t, 204, send(s, "DELETE", notificationURL, "", "d"))
			require.Equal(t, 401, send(s, "DELETE", notificationURL, "", "d"))
		},
		"after an invalid request": func(t *testing.T, s *wechatpaytest.Server) {
			require.Equal(t, 400, send(s, "POST", path+"/complete", `{}`, "n"))
			require.Equal(t, 401, send(s, "POST", path+"/complete", completion, "n"))
		},
		"after an invalid signature": func(t *testing.T, s *wechatpaytest.Server) {
			req := newRequest(s, "GET", path, "")
			req.attributes["nonce_str"] = "n"
			req.toSign = ptr("wrong")
			require.Equal(t, 401, req.send(t, s).StatusCode)
			require.Equal(t, 200, send(s, "GET", path, "", "n"))
		},
		"as long as the timestamp is valid": func(t *testing.T, s *wechatpaytest.Server) {
			first := newRequest(s, "POST", path+"/complete", `{}`)
			first.at = first.at.Add(300 * time.Second)
			first.attributes["nonce_str"] = "n"
			require.Equal(t, 400, first.send(t, s).StatusCode)
			for range 10 {
				s.Advance(60 * time.Second)
				_ = newRequest(s, "GET", path+"/complete", "").send(t, s) // lets the server forget old nonces
				require.Equal(t, 401, first.send(t, s).StatusCode)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t)
			addComplaint(s)
			test(t, s)
		})
	}
}

func TestServer_ServeHTTP_spacesInAuthorization(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	req := newRequest(s, "GET", path, "").build(t, s)
	req.Header.Set("Authorization", strings.ReplaceAll(req.Header.Get("Authorization"), ",", ", "))
	r, err := try(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode)
}

func TestServer_ServeHTTP_acceptedHeaders(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for _, accept := range []string{
		"*/*", "application/*", "application/json, text/plain, */*", "text/html, application/json;q=0.9",
	} {
		req := newRequest(s, "GET", path, "")
		req.header.Set("Accept", accept)
		require.Equal(t, 200, req.send(t, s).StatusCode, accept)
	}
	long := `{` + replyTo + `,"response_content":"` + strings.Repeat("字", 500) + `"}`
	for _, contentType := range []string{
		"application/json", "application/json;charset=UTF-8", "application/json; charset=utf-8",
	} {
		req := newRequest(s, "POST", path+"/response", long)
		req.header.Set("Content-Type", contentType)
		require.Equal(t, 204, req.send(t, s).StatusCode, contentType)
	}
}

func TestSignatureProblem(t *testing.T) {
	s := newServer(t)
	first := s.Config()
	second := s.RenewMerchantCertificate()
	const target = "/v3/certificates"
	expected := func(r wechatpaytest.Request) string {
		for _, part := range strings.Split(r.Header.Get("Authorization"), ",") {
			if nonce, found := strings.CutPrefix(part, "nonce_str="); found {
				return "GET\n" + target + "\n1772596800\n" + strings.Trim(nonce, `"`) + "\n\n"
			}
		}
		return ""
	}
	send := func(change func(*request)) wechatpaytest.Request {
		req := newRequest(s, "GET", target, "")
		change(req)
		require.Equal(t, 401, req.send(t, s).StatusCode)
		return lastRequest(s)
	}

	r := send(toSign("get\n" + target + "\nTIMESTAMP\nNONCE\n\n"))
	require.Equal(t, &wechatpaytest.SignatureProblem{
		Verified: expected(r),
		Signed:   "get" + strings.TrimPrefix(expected(r), "GET"),
		Mistake:  "with the method in lower case",
		SerialNo: second.SerialNo,
	}, r.Signature)
	r = send(toSign("something"))
	require.Equal(t, &wechatpaytest.SignatureProblem{Verified: expected(r)}, r.Signature)
	r = send(attribute("serial_no", first.SerialNo))
	require.Equal(t, &wechatpaytest.SignatureProblem{Verified: expected(r), SerialNo: second.SerialNo}, r.Signature)
	r = send(attribute("timestamp", "1"))
	require.Nil(t, r.Signature, "the Authorization is invalid")
}
