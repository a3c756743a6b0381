package wechatpaytest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestServer_ServeHTTP_decision(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	r := do(t, s, 204, "POST", decide, approve)
	require.Empty(t, r.body)
	require.True(t, r.signedBy(s.Config().PublicKey))
	require.Equal(t, s.Config().PublicKeyID, r.Header.Get("Wechatpay-Serial"))
	require.Equal(t, "WECHATPAY2-SHA256-RSA2048", r.Header.Get("Wechatpay-Signature-Type"))
	require.Regexp(t, `^08F7[0-9A-F]+-0$`, r.Header.Get("Request-ID"))
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND"}, operateTypes(s, id))
	require.True(t, s.Requests()[0].TookEffect)
	do(t, s, 200, "GET", path, "")
	require.False(t, s.Requests()[1].TookEffect)
}

type stateStep struct {
	target, body string
	status       int
	state        string
}

// decideStep sends a decision.
func decideStep(body string, status int, state string) stateStep {
	return stateStep{"/update-refund-progress", body, status, state}
}

func TestServer_ServeHTTP_complaintState(t *testing.T) {
	for name, tt := range map[string]struct {
		steps   []stateStep
		records []string
	}{
		"two replies": {
			[]stateStep{{"/response", reply, 204, "PROCESSING"}, {"/response", reply, 204, "PROCESSING"}},
			[]string{"MERCHANT_RESPONSE", "MERCHANT_RESPONSE"},
		},
		"complete twice": {
			[]stateStep{{"/complete", completion, 204, "PROCESSED"}, {"/complete", completion, 400, "PROCESSED"}},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
		"complete and reply": {
			[]stateStep{{"/complete", completion, 204, "PROCESSED"}, {"/response", reply, 204, "PROCESSED"}},
			[]string{"MERCHANT_CONFIRM_COMPLETE", "MERCHANT_RESPONSE"},
		},
		"approve and decide again": {
			[]stateStep{
				decideStep(approve, 204, "PROCESSING"),
				decideStep(approve, 400, "PROCESSING"),
				decideStep(reject, 400, "PROCESSING"),
			},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"reject and decide again": {
			[]stateStep{
				decideStep(reject, 204, "PROCESSED"),
				decideStep(approve, 400, "PROCESSED"),
				{"/complete", completion, 400, "PROCESSED"},
			},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"reject without reason": {
			[]stateStep{decideStep(`{"action":"REJECT"}`, 204, "PROCESSED")},
			[]string{"MERCHANT_REFUSE_RERUND"},
		},
		"approve without day": {
			[]stateStep{decideStep(`{"action":"APPROVE","remark":"好"}`, 204, "PROCESSING")},
			[]string{"MERCHANT_APPROVE_REFUND"},
		},
		"complete and decide": {
			[]stateStep{{"/complete", completion, 204, "PROCESSED"}, decideStep(approve, 400, "PROCESSED")},
			[]string{"MERCHANT_CONFIRM_COMPLETE"},
		},
	} {
		t.Run(name, func(t *testing.T) { testStates(t, tt.steps, tt.records) })
	}
}

func testStates(t *testing.T, steps []stateStep, records []string) {
	s := newServer(t)
	addComplaint(s)
	require.Equal(t, "PENDING", complaintState(t, s))
	for _, step := range steps {
		r := do(t, s, step.status, "POST", path+step.target, step.body)
		require.Equal(t, step.state, complaintState(t, s))
		if step.status == 400 {
			require.Equal(t, "INVALID_REQUEST", r.code(t))
		}
	}
	require.Equal(t, append([]string{"USER_CREATE_COMPLAINT"}, records...), operateTypes(s, id))
}

func TestBehavior_decision(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.TrustedOnly = true
		b.WrongState = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
		b.UnknownComplaint = wechatpaytest.Refusal{StatusCode: 400, Code: "PARAM_ERROR"}
	})
	require.Contains(t, do(t, s, 400, "POST", decide, approve).json(t)["message"], "TRUSTED")
	require.NoError(t, s.ChangeComplaint(id, func(c *wechatpay.Complaint) {
		c.UserTagList = []wechatpay.UserTag{wechatpay.UserTagTrusted}
	}))
	do(t, s, 204, "POST", decide, approve)
	require.Equal(t, "PARAM_ERROR", do(t, s, 400, "POST", decide, approve).code(t))
	require.Equal(t, "PARAM_ERROR", do(t, s, 400, "GET", complaints+"/1", "").code(t))
}

func TestBehavior_reply(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) {
		b.AnyMediaID = true
		b.JumpLinks = true
		b.ResponseContentMax = 200
	})
	do(t, s, 204, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"好",
		"response_images":["x"],"jump_url":"https://example.com/?a=1","jump_url_text":"看"}`)
	long := strings.Repeat("字", 201)
	do(t, s, 400, "POST", path+"/response", `{"complainted_mchid":"1900000001","response_content":"`+long+`"}`)
}

func TestBehavior_pathInBody(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	body := `{"complaint_id":"` + id + `","action":"APPROVE","launch_refund_day":0}`
	do(t, s, 400, "POST", decide, body)
	s.Configure(func(b *wechatpaytest.Behavior) { b.PathInBody = true })
	other := do(t, s, 400, "POST", decide, strings.Replace(body, id, "1", 1)).json(t)
	require.Equal(t, "/complaint_id", other["detail"].(map[string]any)["field"])
	require.Len(t, s.History(id), 1)
	do(t, s, 204, "POST", decide, body)
	require.Len(t, s.History(id), 2)
}

func TestServer_ServeHTTP_immediateService(t *testing.T) {
	s := newServer(t)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, NeedImmediateService: true})
	media := uploadImage(t, s)
	body := `{"complainted_mchid":"1900000001","idempotent_id":"i-1",
		"message":{"sender_identity":"MANUAL","custom_data":"x","blocks":[
		{"type":"TEXT","text":{"text":"您好","color":"SECONDARY","is_bold":false}},
		{"type":"IMAGE","image":{"media_id":"` + media + `","image_style_type":"IMAGE_STYLE_TYPE_WIDE"}},
		{"type":"LINK","link":{"text":"看",
			"action":{"action_type":"ACTION_TYPE_JUMP_URL","jump_url":"https://example.com/"},
			"invalid_info":{"expired_time":"2026-03-05T00:00:00+08:00","multi_clickable":true}}},
		{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","faq_title":"问",
			"action":{"action_type":"ACTION_TYPE_SEND_MESSAGE",
				"message_info":{"content":"问","custom_data":"y"},"action_id":"a"}}]}},
		{"type":"BUTTON","button":{"text":"去",
			"action":{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM",
				"mini_program_jump_info":{"appid":"wx1","path":"p","text":"t"}}}},
		{"type":"BUTTON_GROUP","button_group":{"buttons":[{"text":"是"}],
			"button_layout":"LAYOUT_VERTICAL","invalid_info":{}}}]}}`
	target := path + "/response-immediate-service"
	first := do(t, s, 200, "POST", target, body).json(t)["log_id"]
	again := do(t, s, 200, "POST", target, body).json(t)["log_id"]
	require.Equal(t, first, again)
	require.Equal(t, []string{"USER_CREATE_COMPLAINT", "MERCHANT_RESPONSE"}, operateTypes(s, id), "processed once")
	require.Equal(t, first, s.History(id)[1].LogID)
	require.Len(t, s.History(id)[1].NormalMessage.Blocks, 6)
	require.Equal(t, "PROCESSING", complaintState(t, s))

	// The history returns the message unchanged.
	page := do(t, s, 200, "GET", path+"/negotiation-historys?limit=1", "").json(t)
	sent := map[string]any{}
	require.NoError(t, json.Unmarshal([]byte(body), &sent))
	require.Equal(t, sent["message"], page["data"].([]any)[0].(map[string]any)["normal_message"])
}

func TestBehavior_historyLag(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag = time.Minute })
	do(t, s, 204, "POST", decide, approve)
	count := func() any { return do(t, s, 200, "GET", path+"/negotiation-historys", "").json(t)["total_count"] }
	require.EqualValues(t, 0, count())
	require.Len(t, s.History(id), 2, "History does not lag")
	require.Equal(t, "PROCESSING", complaintState(t, s))
	s.Advance(time.Minute)
	require.EqualValues(t, 2, count())
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintTime: noon.AddDate(0, 0, -3)})
	require.EqualValues(t, 1, count(), "filed long ago")
}

func TestBehavior_listLag(t *testing.T) {
	s := newServer(t)
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListLag = time.Minute })
	s.AddComplaint(wechatpay.Complaint{ComplaintID: id, ComplaintTime: noon.Add(-time.Hour)})
	const today = complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
	count := func() any { return do(t, s, 200, "GET", today, "").json(t)["total_count"] }
	require.EqualValues(t, 0, count())
	do(t, s, 200, "GET", path, "")
	require.Len(t, s.Complaints(), 1, "Complaints does not lag")
	s.Advance(time.Minute)
	require.EqualValues(t, 1, count())
}

// With VaryLag, each record appears at a time of its own, the same in each run
// with a seed.
func TestBehavior_varyLag(t *testing.T) {
	run := func() (shown []int) {
		s := newServer(t)
		addComplaint(s)
		for range 19 {
			do(t, s, 204, "POST", path+"/response", reply)
		}
		s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryLag, b.VaryLag = 20*time.Second, true })
		for range 5 {
			count := do(t, s, 200, "GET", path+"/negotiation-historys", "").json(t)["total_count"]
			shown = append(shown, int(count.(float64)))
			s.Advance(5 * time.Second)
		}
		return shown
	}
	shown := run()
	require.True(t, slices.IsSorted(shown), shown)
	require.Less(t, shown[0], 10)
	require.Greater(t, shown[2], 2)
	require.Less(t, shown[2], 18)
	require.Equal(t, 20, shown[4])
	require.Equal(t, shown, run())
}

func TestServer_ServeHTTP_historyPages(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	for range 4 {
		do(t, s, 204, "POST", path+"/response", reply)
	}
	all := s.History(id)
	get := func(query string) (ids []string, page map[string]any) {
		page = do(t, s, 200, "GET", path+"/negotiation-historys"+query, "").json(t)
		data, _ := page["data"].([]any)
		for _, r := range data {
			ids = append(ids, r.(map[string]any)["log_id"].(string))
		}
		return ids, page
	}
	ids, page := get("?limit=2")
	require.Equal(t, []string{all[4].LogID, all[3].LogID}, ids, "newest first")
	require.EqualValues(t, 5, page["total_count"])
	ids, page = get("?limit=2&offset=4")
	require.Equal(t, []string{all[0].LogID}, ids)
	require.NotContains(t, page, "total_count")
	require.EqualValues(t, 4, page["offset"])
	ids, page = get("?offset=5")
	require.Empty(t, ids)
	require.NotContains(t, page, "data")
	require.EqualValues(t, 100, page["limit"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.HistoryOldestFirst = true; b.MaxPage = 2 })
	ids, _ = get("?limit=2")
	require.Equal(t, []string{all[0].LogID, all[1].LogID}, ids)
	tooLarge := do(t, s, 400, "GET", path+"/negotiation-historys?limit=3", "")
	require.Contains(t, tooLarge.json(t)["message"], "too large")
}

func TestServer_ServeHTTP_list(t *testing.T) {
	s := newServer(t)
	beijing := time.FixedZone("", 8*3600)
	for i, at := range []time.Time{
		time.Date(2026, 2, 28, 23, 59, 59, 0, beijing),
		time.Date(2026, 3, 1, 0, 0, 0, 0, beijing),
		time.Date(2026, 3, 2, 23, 59, 59, 999e6, beijing),
		time.Date(2026, 3, 3, 0, 0, 0, 0, beijing),
	} {
		s.AddComplaint(wechatpay.Complaint{ComplaintID: fmt.Sprint(i), ComplaintTime: at, PayerOpenID: "o1"})
	}
	s.AddComplaint(wechatpay.Complaint{
		ComplaintID:      "foreign",
		ComplaintedMchID: "1900000009",
		ComplaintTime:    time.Date(2026, 3, 1, 12, 0, 0, 0, beijing),
	})
	list := func(query string) (ids []string) {
		data, _ := do(t, s, 200, "GET", complaints+"?"+query, "").json(t)["data"].([]any)
		for _, c := range data {
			ids = append(ids, c.(map[string]any)["complaint_id"].(string))
			require.NotContains(t, c, "payer_openid", "only in the detail")
		}
		return ids
	}
	const thirtyDays = "begin_date=2026-02-28&end_date=2026-03-29"
	require.Equal(t, []string{"2", "1"}, list("begin_date=2026-03-01&end_date=2026-03-02"), "Beijing time")
	require.Equal(t, []string{"3", "2", "1", "0"}, list(thirtyDays))
	require.Equal(t, []string{"2"}, list(thirtyDays+"&limit=1&offset=1"))
	require.Empty(t, list("begin_date=2026-01-01&end_date=2026-01-02"))
	s.Configure(func(b *wechatpaytest.Behavior) { b.ListOldestFirst = true })
	require.Equal(t, []string{"0", "1", "2", "3"}, list(thirtyDays+"&complainted_mchid=1900000001"))
	detail := do(t, s, 200, "GET", complaints+"/0", "").json(t)
	require.Equal(t, "o1", detail["payer_openid"])
	require.Equal(t, "2026-02-28T23:59:59.000+08:00", detail["complaint_time"])
}

func TestServer_ServeHTTP_listLimit(t *testing.T) {
	s := newServer(t)
	for range 12 {
		s.AddComplaint(wechatpay.Complaint{})
	}
	const today = complaints + "?begin_date=2026-03-04&end_date=2026-03-04"
	page := do(t, s, 200, "GET", today, "").json(t)
	require.Len(t, page["data"], 10)
	require.EqualValues(t, 12, page["total_count"])
	s.Configure(func(b *wechatpaytest.Behavior) { b.MaxPage = 5 })
	do(t, s, 400, "GET", today+"&limit=6", "")
	do(t, s, 200, "GET", today+"&limit=5", "")
}
