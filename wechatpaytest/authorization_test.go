package wechatpaytest_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestSignErrorShowsBothMessages(t *testing.T) {
	s := start(t)
	path := complaint(s, wechatpay.Complaint{})
	body := `{"action":"APPROVE","launch_refund_day":0}`
	target := path + "/update-refund-progress"
	send := func(method, target, body, signed string) map[string]any {
		m := newMessage(s, method, target, body)
		m.signed = &signed
		m.attributes["nonce_str"] = "N" + time.Now().Format("150405.000000000")
		r := m.send(t, s)
		require.Equal(t, 401, r.StatusCode)
		require.True(t, strings.HasSuffix(r.Header.Get("Request-ID"), "-268443699"))
		return r.json(t)
	}

	got := send("POST", target, body, "POST\n"+target+"\nTIMESTAMP\nNONCE\n\n")
	require.Contains(t, got["message"], "without the body")
	require.Contains(t, got["message"], `"POST\n`+target+`\n`)
	require.Contains(t, got["message"], `{\"action\":\"APPROVE\",\"launch_refund_day\":0}\n`)
	detail := got["detail"].(map[string]any)
	require.Equal(t, map[string]any{"issue": "sign not match"}, detail["detail"])
	require.Equal(t, "authorization", detail["location"])
	information := detail["sign_information"].(map[string]any)
	require.Equal(t, "POST", information["method"])
	require.Equal(t, target, information["url"])
	require.True(t, strings.HasSuffix(information["truncated_sign_message"].(string), "\n{\"action\n"), "the body line is cut to 8 characters")
	require.EqualValues(t, len("POST\n"+target+"\n1234567890\nN150405.000000000\n"+body+"\n"), information["sign_message_length"])

	for _, test := range []struct{ method, target, body, signed, want string }{
		{"POST", target, body, "POST\n" + target + "\nTIMESTAMP\nNONCE\n" + body, "not ended"},
		{"POST", target, body, "post\n" + target + "\nTIMESTAMP\nNONCE\n" + body + "\n", "lower case"},
		{"POST", target, body, "POST\n" + s.URL + target + "\nTIMESTAMP\nNONCE\n" + body + "\n", "host"},
		{"POST", target, body, "POST\n" + target + "\nTIMESTAMP\nNONCE\n" + `{"launch_refund_day":0,"action":"APPROVE"}` + "\n", "another key signed, or another message"},
		{"POST", target, `{"launch_refund_day": 0, "action": "APPROVE"}`, "POST\n" + target + "\nTIMESTAMP\nNONCE\n" + body + "\n", "encoded another way"},
		{"GET", complaints + "?end_date=2026-03-04&begin_date=2026-03-04", "", "GET\n" + complaints + "\nTIMESTAMP\nNONCE\n\n", "without the query"},
		{"GET", complaints + "?end_date=2026-03-04&begin_date=2026-03-04", "", "GET\n" + complaints + "?begin_date=2026-03-04&end_date=2026-03-04\nTIMESTAMP\nNONCE\n\n", "another order"},
		{"GET", "/v3/merchant-service/images/a%2Bb%3D", "", "GET\n/v3/merchant-service/images/a+b=\nTIMESTAMP\nNONCE\n\n", "unescaped"},
		{"GET", "/v3/merchant-service/images/a%2Bb%3D", "", "GET\n/v3/merchant-service/images/a%252Bb%253D\nTIMESTAMP\nNONCE\n\n", "twice"},
		{"GET", "/v3/merchant-service/images/a+b=", "", "GET\n/v3/merchant-service/images/a%2Bb%3D\nTIMESTAMP\nNONCE\n\n", "escaped another way"},
	} {
		require.Contains(t, send(test.method, test.target, test.body, test.signed)["message"], test.want)
	}
	last := s.Requests()[0]
	require.Contains(t, last.String(), "401 SIGN_ERROR")
	require.Contains(t, last.String(), "signed was")
}

func TestSignedByAnotherCertificate(t *testing.T) {
	s := start(t)
	old := s.Config()
	s.RenewMerchantCertificate()
	m := newMessage(s, "GET", "/v3/certificates", "")
	m.attributes["serial_no"] = old.SerialNo
	r := m.send(t, s)
	require.Equal(t, 401, r.StatusCode)
	require.Contains(t, r.json(t)["message"], "by the key of certificate "+s.Config().SerialNo)
}

func TestTimestampWindow(t *testing.T) {
	s := start(t)
	path := complaint(s, wechatpay.Complaint{})
	for offset, status := range map[time.Duration]int{-299 * time.Second: 200, 300 * time.Second: 200, -301 * time.Second: 401, 301 * time.Second: 401} {
		m := newMessage(s, "GET", path, "")
		m.at = m.at.Add(offset)
		require.Equal(t, status, m.send(t, s).StatusCode, offset)
	}
}

func TestNonces(t *testing.T) {
	send := func(s *wechatpaytest.Server, method, target, body, nonce string) int {
		m := newMessage(s, method, target, body)
		m.attributes["nonce_str"] = nonce
		return m.send(t, s).StatusCode
	}
	const callback = "/v3/merchant-service/complaint-notifications"
	t.Run("an identical GET is answered again", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{})
		require.Equal(t, 200, send(s, "GET", path, "", "n"))
		require.Equal(t, 200, send(s, "GET", path, "", "n"))
	})
	t.Run("another GET is not", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{})
		require.Equal(t, 200, send(s, "GET", path, "", "n"))
		require.Equal(t, 401, send(s, "GET", path+"/negotiation-historys", "", "n"))
		s.Advance(time.Second)
		require.Equal(t, 401, send(s, "GET", path, "", "n"), "another timestamp is another message")
	})
	t.Run("no write is repeated", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{})
		body := `{"complainted_mchid":"1900000001","response_content":"好"}`
		require.Equal(t, 204, send(s, "POST", path+"/response", body, "a"))
		require.Equal(t, 401, send(s, "POST", path+"/response", body, "a"))
		require.Len(t, s.History("200201820200101080076610000"), 2)
		require.Equal(t, 200, send(s, "POST", callback, `{"url":"https://example.com/n"}`, "b"))
		require.Equal(t, 200, send(s, "PUT", callback, `{"url":"https://example.com/n"}`, "c"))
		require.Equal(t, 401, send(s, "PUT", callback, `{"url":"https://example.com/n"}`, "c"))
		require.Equal(t, 204, send(s, "DELETE", callback, "", "d"))
		require.Equal(t, 401, send(s, "DELETE", callback, "", "d"))
	})
	t.Run("a refused request uses its nonce up", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{})
		require.Equal(t, 400, send(s, "POST", path+"/complete", `{}`, "n"))
		require.Equal(t, 401, send(s, "POST", path+"/complete", `{"complainted_mchid":"1900000001"}`, "n"))
	})
	t.Run("a wrong signature does not", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{})
		m := newMessage(s, "GET", path, "")
		m.attributes["nonce_str"] = "n"
		wrong := "wrong"
		m.signed = &wrong
		require.Equal(t, 401, m.send(t, s).StatusCode)
		require.Equal(t, 200, send(s, "GET", path, "", "n"))
	})
	t.Run("remembered for as long as its timestamp is taken", func(t *testing.T) {
		s := start(t)
		path := complaint(s, wechatpay.Complaint{}) + "/complete"
		first := newMessage(s, "POST", path, `{}`)
		first.at = first.at.Add(300 * time.Second)
		first.attributes["nonce_str"] = "n"
		require.Equal(t, 400, first.send(t, s).StatusCode)
		for range 10 {
			s.Advance(60 * time.Second)
			_ = newMessage(s, "GET", path, "").send(t, s) // lets time be looked at
			require.Equal(t, 401, first.send(t, s).StatusCode)
		}
	})
}

func TestAuthorizationIsReadAsWritten(t *testing.T) {
	s := start(t)
	path := complaint(s, wechatpay.Complaint{})
	req := newMessage(s, "GET", path, "").request(t, s)
	req.Header.Set("Authorization", strings.ReplaceAll(req.Header.Get("Authorization"), ",", ", "))
	resp, err := httpClient.Do(req)
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode, "a blank after a comma is HTTP's own grammar")
}

func TestAcceptedForms(t *testing.T) {
	s := start(t)
	path := complaint(s, wechatpay.Complaint{})
	for _, accept := range []string{"*/*", "application/*", "application/json, text/plain, */*", "text/html, application/json;q=0.9"} {
		m := newMessage(s, "GET", path, "")
		m.header.Set("Accept", accept)
		require.Equal(t, 200, m.send(t, s).StatusCode, accept)
	}
	for _, contentType := range []string{"application/json", "application/json;charset=UTF-8", "application/json; charset=utf-8"} {
		m := newMessage(s, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"`+strings.Repeat("字", 500)+`"}`)
		m.header.Set("Content-Type", contentType)
		require.Equal(t, 204, m.send(t, s).StatusCode, contentType)
	}
}

// What is wrong with a signature is told in fields too.
func TestSignatureProblem(t *testing.T) {
	s := start(t)
	first := s.Config()
	second := s.RenewMerchantCertificate()
	const target = "/v3/certificates"
	right := func(r wechatpaytest.Request) string {
		for _, part := range strings.Split(r.Header.Get("Authorization"), ",") {
			if nonce, found := strings.CutPrefix(part, "nonce_str="); found {
				return "GET\n" + target + "\n1772596800\n" + strings.Trim(nonce, `"`) + "\n\n"
			}
		}
		return ""
	}
	send := func(change func(*message)) wechatpaytest.Request {
		m := newMessage(s, "GET", target, "")
		change(m)
		require.Equal(t, 401, m.send(t, s).StatusCode)
		all := s.Requests()
		return all[len(all)-1]
	}
	signed := func(text string) func(*message) { return func(m *message) { m.signed = &text } }

	r := send(signed("get\n" + target + "\nTIMESTAMP\nNONCE\n\n"))
	require.Equal(t, &wechatpaytest.SignatureProblem{
		Verified: right(r), Signed: "get" + strings.TrimPrefix(right(r), "GET"), Mistake: "with the method in lower case", SerialNo: second.SerialNo,
	}, r.Signature)
	r = send(signed("something"))
	require.Equal(t, &wechatpaytest.SignatureProblem{Verified: right(r)}, r.Signature)
	r = send(func(m *message) { m.attributes["serial_no"] = first.SerialNo })
	require.Equal(t, &wechatpaytest.SignatureProblem{Verified: right(r), SerialNo: second.SerialNo}, r.Signature)
	r = send(func(m *message) { m.attributes["timestamp"] = "1" })
	require.Nil(t, r.Signature, "there is nothing to verify")
}
