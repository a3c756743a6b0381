package wechatpaytest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestDecisionIsSignedAndRecorded(t *testing.T) {
	s := start(t)
	file(s)
	r := call(t, s, 204, "POST", decide, approve)
	require.Empty(t, r.body)
	require.True(t, r.signedBy(s.Config().PublicKey))
	require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
	require.Equal(t, "WECHATPAY2-SHA256-RSA2048", r.Header.Get("Wechatpay-Signature-Type"))
	require.Regexp(t, `^08F7[0-9A-F]+-0$`, r.Header.Get("Request-ID"))
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND"}, operateTypes(s, id))
	require.True(t, s.Requests()[0].TookEffect)
	call(t, s, 200, "GET", path, "")
	require.False(t, s.Requests()[1].TookEffect)
}

func TestStates(t *testing.T) {
	type step struct {
		target, body string
		status       int
		state        string
	}
	post := func(target, body string, status int, state string) step { return step{target, body, status, state} }
	tests := map[string]struct {
		steps   []step
		records []string
	}{
		"the first reply": {
			[]step{post("/response", reply4, 204, "PROCESSING"), post("/response", reply4, 204, "PROCESSING")},
			[]string{"MERCHANT_RESPONSE", "MERCHANT_RESPONSE"},
		},
		"complete": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/complete", done, 400, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
		"a reply to a finished complaint": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/response", reply4, 204, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE", "MERCHANT_RESPONSE"},
		},
		"approved once": {
			[]step{post("/update-refund-progress", approve, 204, "PROCESSING"), post("/update-refund-progress", approve, 400, "PROCESSING"),
				post("/update-refund-progress", reject, 400, "PROCESSING")},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"rejected once": {
			[]step{post("/update-refund-progress", reject, 204, "PROCESSED"), post("/update-refund-progress", approve, 400, "PROCESSED"),
				post("/complete", done, 400, "PROCESSED")},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"rejected without a reason": {
			[]step{post("/update-refund-progress", `{"action":"REJECT"}`, 204, "PROCESSED")},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"approved without a day": {
			[]step{post("/update-refund-progress", `{"action":"APPROVE","remark":"好"}`, 204, "PROCESSING")},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"completed instead of decided": {
			[]step{post("/complete", done, 204, "PROCESSED"), post("/update-refund-progress", approve, 400, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			file(s)
			require.Equal(t, "PENDING", state(t, s))
			for _, step := range test.steps {
				r := call(t, s, step.status, "POST", path+step.target, step.body)
				require.Equal(t, step.state, state(t, s))
				if step.status == 400 {
					require.Equal(t, "INVALID_REQUEST", r.json(t)["code"])
				}
			}
			require.Equal(t, append([]string{"USER_CREATE_COMPLAINT"}, test.records...), operateTypes(s, id))
		})
	}
}

func TestRejectionSaysWhy(t *testing.T) {
	s := start(t)
	file(s)
	media := uploadImage(t, s)
	call(t, s, 204, "POST", decide, `{"action":"REJECT","reject_reason":"商品已使用","reject_media_list":["`+media+`"],"remark":"x"}`)
	last := s.History(id)[1]
	require.Equal(t, "商品已使用", last.OperateDetails)
	require.Len(t, last.ImageList, 1)

	// The image is a plain link on another host, for an hour, and no place for
	// an Authorization.
	link, err := url.Parse(last.ImageList[0])
	require.NoError(t, err)
	require.NotEqual(t, strings.TrimPrefix(s.URL, "http://"), link.Host)
	get := func(authorization string) int {
		req, err := http.NewRequest("GET", strings.Replace(last.ImageList[0], "localhost", "127.0.0.1", 1), nil)
		require.NoError(t, err)
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := httpClient.Do(req)
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	require.Equal(t, 200, get(""))
	require.Equal(t, 400, get("WECHATPAY2-SHA256-RSA2048 x"))
	s.Advance(time.Hour + time.Second)
	require.Equal(t, 403, get(""))
}

func TestKnobsOfTheDecision(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.TrustedOnly = true
		b.WrongState = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
		b.UnknownComplaint = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
	})
	require.Contains(t, call(t, s, 400, "POST", decide, approve).json(t)["message"], "TRUSTED")
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.UserTagList = []wechatpay.UserTag{wechatpay.UserTagTrusted} }))
	call(t, s, 204, "POST", decide, approve)
	require.Equal(t, "PARAM_ERROR", call(t, s, 400, "POST", decide, approve).json(t)["code"])
	require.Equal(t, "PARAM_ERROR", call(t, s, 400, "GET", complaints+"/1", "").json(t)["code"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.AnyMediaID = true; b.JumpLinks = true; b.ResponseContentMax = 200 })
	call(t, s, 204, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"好","response_images":["x"],"jump_url":"https://example.com/?a=1","jump_url_text":"看"}`)
	call(t, s, 400, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"`+strings.Repeat("字", 201)+`"}`)
}

func TestPathInBody(t *testing.T) {
	s := start(t)
	file(s)
	body := `{"complaint_id":"` + id + `","action":"APPROVE","launch_refund_day":0}`
	call(t, s, 400, "POST", decide, body)
	s.Configure(func(b *wechatpaytest.Behavior) { b.PathInBody = true })
	other := call(t, s, 400, "POST", decide, strings.Replace(body, id, "1", 1)).json(t)
	require.Equal(t, "/complaint_id", other["detail"].(map[string]any)["field"])
	require.Len(t, s.History(id), 1)
	call(t, s, 204, "POST", decide, body)
	require.Len(t, s.History(id), 2)
}

func TestImmediateService(t *testing.T) {
	s := start(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, NeedImmediateService: true})
	media := uploadImage(t, s)
	body := `{"complainted_mchid":"1900000001","idempotent_id":"i-1","message":{"sender_identity":"MANUAL","custom_data":"x","blocks":[
		{"type":"TEXT","text":{"text":"您好","color":"SECONDARY","is_bold":false}},
		{"type":"IMAGE","image":{"media_id":"` + media + `","image_style_type":"IMAGE_STYLE_TYPE_WIDE"}},
		{"type":"LINK","link":{"text":"看","action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://example.com/"},"invalid_info":{"expired_time":"2026-03-05T00:00:00+08:00","multi_clickable":true}}},
		{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","faq_title":"问","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE","message_info":{"content":"问","custom_data":"y"},"action_id":"a"}}]}},
		{"type":"BUTTON","button":{"text":"去","action":{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM","mini_program_jump_info":{"appid":"wx1","path":"p","text":"t"}}}},
		{"type":"BUTTON_GROUP","button_group":{"buttons":[{"text":"是"}],"button_layout":"LAYOUT_VERTICAL","invalid_info":{}}}]}}`
	target := path + "/response-immediate-service"
	first := call(t, s, 200, "POST", target, body).json(t)["log_id"]
	again := call(t, s, 200, "POST", target, body).json(t)["log_id"]
	require.Equal(t, first, again)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_RESPONSE"}, operateTypes(s, id), "an equal idempotent_id is processed once")
	require.Equal(t, first, s.History(id)[1].LogID)
	require.Len(t, s.History(id)[1].NormalMessage.Blocks, 6)
	require.Equal(t, "PROCESSING", state(t, s))

	// The history gives the message back as it came.
	page := call(t, s, 200, "GET", path+"/negotiation-historys?limit=1", "").json(t)
	sent := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	require.Equal(t, sent["message"], page["data"].([]any)[0].(map[string]any)["normal_message"])
}

func TestHistoryLag(t *testing.T) {
	s := start(t)
	file(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Minute })
	call(t, s, 204, "POST", decide, approve)
	count := func() any { return call(t, s, 200, "GET", path+"/negotiation-historys", "").json(t)["total_count"] }
	require.EqualValues(t, 0, count())
	require.Len(t, s.History(id), 2, "the ledger does not lag")
	require.Equal(t, "PROCESSING", state(t, s))
	s.Advance(time.Minute)
	require.EqualValues(t, 2, count())
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintTime: noon.AddDate(0, 0, -3)})
	require.EqualValues(t, 1, count(), "filed long ago")
}

func TestHistoryPages(t *testing.T) {
	s := start(t)
	file(s)
	for range 4 {
		call(t, s, 204, "POST", path+"/response", reply4)
	}
	all := s.History(id)
	ids := func(query string) (ids []string, page map[string]any) {
		page = call(t, s, 200, "GET", path+"/negotiation-historys"+query, "").json(t)
		data, _ := page["data"].([]any)
		for _, r := range data {
			ids = append(ids, r.(map[string]any)["log_id"].(string))
		}
		return ids, page
	}
	newest, page := ids("?limit=2")
	require.Equal(t, []string{all[4].LogID, all[3].LogID}, newest)
	require.EqualValues(t, 5, page["total_count"])
	next, page := ids("?limit=2&offset=4")
	require.Equal(t, []string{all[0].LogID}, next)
	require.NotContains(t, page, "total_count")
	require.EqualValues(t, 4, page["offset"])
	none, page := ids("?offset=5")
	require.Empty(t, none)
	require.NotContains(t, page, "data")
	require.EqualValues(t, 100, page["limit"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryOldestFirst = true; b.MaxPage = 2 })
	oldest, _ := ids("?limit=2")
	require.Equal(t, []string{all[0].LogID, all[1].LogID}, oldest)
	require.Contains(t, call(t, s, 400, "GET", path+"/negotiation-historys?limit=3", "").json(t)["message"], "too large")
}

func TestList(t *testing.T) {
	s := start(t)
	beijing := time.FixedZone("", 8*3600)
	for i, at := range []time.Time{
		time.Date(2026, 2, 28, 23, 59, 59, 0, beijing),
		time.Date(2026, 3, 1, 0, 0, 0, 0, beijing),
		time.Date(2026, 3, 2, 23, 59, 59, 999e6, beijing),
		time.Date(2026, 3, 3, 0, 0, 0, 0, beijing),
	} {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ComplaintTime: at, PayerOpenID: "o1"})
	}
	s.AddComplaint(wechatpay.Complaint{ComplaintID: "foreign", ComplaintedMchID: "1900000009", ComplaintTime: time.Date(2026, 3, 1, 12, 0, 0, 0, beijing)})
	ids := func(query string) (ids []string) {
		data, _ := call(t, s, 200, "GET", complaints+"?"+query, "").json(t)["data"].([]any)
		for _, c := range data {
			ids = append(ids, c.(map[string]any)["complaint_id"].(string))
			require.NotContains(t, c, "payer_openid", "only the detail has it")
		}
		return ids
	}
	require.Equal(t, []string{"2", "1"}, ids("begin_date=2026-03-01&end_date=2026-03-02"), "days of Beijing")
	require.Equal(t, []string{"3", "2", "1", "0"}, ids("begin_date=2026-02-28&end_date=2026-03-29"), "30 days")
	require.Equal(t, []string{"2"}, ids("begin_date=2026-02-28&end_date=2026-03-29&limit=1&offset=1"))
	require.Empty(t, ids("begin_date=2026-01-01&end_date=2026-01-02"))
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListOldestFirst = true })
	require.Equal(t, []string{"0", "1", "2", "3"}, ids("begin_date=2026-02-28&end_date=2026-03-29&complainted_mchid=1900000001"))
	require.Equal(t, "o1", call(t, s, 200, "GET", complaints+"/0", "").json(t)["payer_openid"])
	require.Equal(t, "2026-02-28T23:59:59.000+08:00", call(t, s, 200, "GET", complaints+"/0", "").json(t)["complaint_time"])
}

func TestListGivesTenByDefault(t *testing.T) {
	s := start(t)
	for range 12 {
		s.AddComplaint(wechatpay.Complaint{})
	}
	page := call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04", "").json(t)
	require.Len(t, page["data"], 10)
	require.EqualValues(t, 12, page["total_count"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.MaxPage = 5 })
	call(t, s, 400, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&limit=6", "")
	call(t, s, 200, "GET", complaints+"?begin_date=2026-03-04&end_date=2026-03-04&limit=5", "")
}
