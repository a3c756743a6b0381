package wechatpay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The tests in this file use payloads that differ from the documents, as they
// were seen in production.

func listOf(t *testing.T, complaints ...string) *wechatpay.Client {
	client, _ := newMock(t, reply(t, 200, fmt.Sprintf(`{"data":[%s],"limit":50,"offset":0,"total_count":%d}`,
		strings.Join(complaints, ","), len(complaints))))
	return client
}

var oneDay = &wechatpay.ListComplaintsRequest{BeginDate: day(2026, 1, 1), EndDate: day(2026, 1, 1)}

// One odd time does not hide the other complaints.
func TestComplaintsV2_All_oddTime(t *testing.T) {
	want := time.Date(2019, 3, 5, 1, 46, 1, 0, time.UTC)
	for value, want := range map[string]time.Time{
		`"2019-03-05 09:46:01"`:       want,
		`"20190305094601"`:            want,
		`1551750361`:                  want,
		`1551750361000`:               want,
		`"2019-03-05T09:46:01.5"`:     want.Add(time.Second / 2),
		`"2019-03-05T01:46:01+0000"`:  want,
		`"2019-03-05T09:46:01+08:00"`: want,
		`"yesterday"`:                 {},
		`""`:                          {},
		`null`:                        {},
		`{"time":1}`:                  {},
	} {
		client := listOf(t, `{"complaint_id":"1"}`,
			`{"complaint_id":"2","complaint_time":`+value+`,"complaint_detail":"x"}`, `{"complaint_id":"3"}`)
		var ids string
		for c, err := range client.ComplaintsV2.All(context.Background(), oneDay) {
			require.NoError(t, err, value)
			ids += c.ComplaintID
			if c.ComplaintID == "2" {
				require.True(t, c.ComplaintTime.Equal(want), "%s: %s", value, c.ComplaintTime)
				require.Equal(t, "x", c.ComplaintDetail)
			}
		}
		require.Equal(t, "123", ids)
	}
}

// An amount that cannot be read is never zero: the error names the complaint, the
// field and the way out.
func TestComplaintsV2_All_unreadableAmount(t *testing.T) {
	client := listOf(t, `{"complaint_id":"1"}`,
		`{"complaint_id":"2","complaint_order_info":[{"transaction_id":"T","amount":"3.00"}]}`)
	_, err := collect(client.ComplaintsV2.All(context.Background(), oneDay))
	require.EqualError(t, err, "wechatpay: ComplaintsV2.All: complaint 2: complaint_order_info[0].amount: "+
		`cannot read "3.00" as fen; use Do with json.RawMessage [request id 08F7A1B2C30610-0]`)
	requireShort(t, err, " [request id 08F7A1B2C30610-0]")

	var raw json.RawMessage // the way out
	path := complaintsURI + "?begin_date=2026-01-01&end_date=2026-01-01&limit=50&offset=0"
	client = listOf(t, `{"complaint_id":"2","added_later":1}`)
	require.NoError(t, client.Do(context.Background(), http.MethodGet, path, nil, &raw))
	require.Contains(t, string(raw), `"added_later":1`)
}

// Lists that come as one value.
func TestComplaintsV2_Get_singleValues(t *testing.T) {
	client, _ := newMock(t, reply(t, 200, `{"complaint_id":"`+testComplaintID+`",
		"complaint_order_info":{"transaction_id":"T","amount":"7"},
		"service_order_info":{"order_id":"S"},
		"complaint_media_list":{"media_type":"USER_COMPLAINT_IMAGE","media_url":"https://a/"},
		"user_tag_list":"TRUSTED","complaint_full_refunded":"false","payer_phone":null,"is_agent_mode":1,
		"additional_info":[{"type":"SHARE_POWER_TYPE","share_power_info":{"return_time":"20190305094601",
			"return_address_info":{"longitude":113.93,"latitude":"22.54"}}}]}`))
	c, err := client.ComplaintsV2.Get(context.Background(), testComplaintID)
	require.NoError(t, err)
	require.True(t, c.AdditionalInfo.SharePowerInfo.ReturnTime.Equal(time.Date(2019, 3, 5, 1, 46, 1, 0, time.UTC)))
	c.AdditionalInfo.SharePowerInfo.ReturnTime = time.Time{}
	require.Equal(t, &wechatpay.Complaint{
		ComplaintID:        testComplaintID,
		ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{{TransactionID: "T", Amount: 7}},
		ServiceOrderInfo:   []wechatpay.ServiceOrderInfo{{OrderID: "S"}},
		ComplaintMediaList: []wechatpay.ComplaintMedia{{
			MediaType: wechatpay.MediaTypeUserComplaintImage,
			MediaURL:  []string{"https://a/"},
		}},
		UserTagList: []wechatpay.UserTag{wechatpay.UserTagTrusted},
		AdditionalInfo: wechatpay.AdditionalInfo{
			Type: wechatpay.AdditionalInfoTypeSharePowerType,
			SharePowerInfo: &wechatpay.SharePowerInfo{
				ReturnAddressInfo: wechatpay.ReturnAddressInfo{Longitude: "113.93", Latitude: "22.54"},
			},
		},
		IsAgentMode: true,
	}, c)
}

// What Refund does not use may be odd, and what it uses may be in another form.
func TestComplaintsV2_Refund_oddPayloads(t *testing.T) {
	const record = `"operate_type":"USER_RESPONSE"`
	for name, tt := range map[string]struct{ complaint, record string }{
		"media as an object":   {`"complaint_media_list":{"media_type":"x","media_url":"y"}`, record},
		"media as a string":    {`"complaint_media_list":"x"`, record},
		"time":                 {`"complaint_time":"2019-03-05 09:46:01","additional_info":"x"`, record},
		"order as an object":   {`"complaint_order_info":{"transaction_id":` + testOrder + `,"amount":"1000"}`, record},
		"state and openid":     {`"complaint_state":{},"payer_openid":5,"user_tag_list":7`, record},
		"numbers as strings":   {`"apply_refund_amount":"600","user_complaint_times":"1"`, record},
		"full_refunded as 0":   {`"complaint_full_refunded":0`, record},
		"null":                 {`"complaint_full_refunded":null,"problem_type":null`, record},
		"message of a record":  {``, record + `,"normal_message":{"blocks":[{"text":"odd"}]},"image_list":{}`},
		"time of a record":     {``, record + `,"operate_time":"yesterday"`},
		"operator of a record": {``, record + `,"operator":{"a":1},"operate_details":[1,2]`},
		"log_id of a record":   {``, record + `,"log_id":17`},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			respond(server, complaintPattern, refundDoc(t, tt.complaint))
			respond(server, historyPattern, historyJSON("{"+tt.record+"}"))
			refund, err := refundComplaint(client, nil)
			require.NoError(t, err)
			require.Equal(t, int64(600), refund.Amount.Refund)
			require.Len(t, server.Refunds(), 1)
		})
	}
}

// Nothing is paid if what Refund uses cannot be read. The error names the field.
func TestComplaintsV2_Refund_unreadable(t *testing.T) {
	const record = `"log_id":"L","operate_type":"USER_RESPONSE"`
	for name, tt := range map[string]struct{ complaint, record, text string }{
		"full_refunded": {`"complaint_full_refunded":"partly"`, record,
			"complaint_full_refunded: cannot read \"partly\" as true or false"},
		"orders": {`"complaint_order_info":"x"`, record,
			`complaint_order_info[0]: cannot read "x" as an object`},
		"amount of the order": {`"complaint_order_info":[{"transaction_id":"T","amount":"10.00"}]`, record,
			`complaint_order_info[0].amount: cannot read "10.00" as fen`},
		"order id": {`"complaint_order_info":[{"transaction_id":{},"amount":1000}]`, record,
			`complaint_order_info[0].transaction_id: cannot read {} as a string`},
		"amount applied for": {`"apply_refund_amount":6.0`, record, `apply_refund_amount: cannot read 6.0 as fen`},
		"round":              {`"user_complaint_times":"twice"`, record, `user_complaint_times: cannot read "twice" as an integer`},
		"problem type":       {`"problem_type":{}`, record, `problem_type: cannot read {} as a string`},
		"merchant":           {`"complainted_mchid":[]`, record, `complainted_mchid: cannot read [] as a string`},
		"operation":          {``, `"log_id":"L","operate_type":{"x":1}`, `record L: operate_type: cannot read {"x":1} as a string`},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			respond(server, complaintPattern, refundDoc(t, tt.complaint))
			respond(server, historyPattern, historyJSON("{"+tt.record+"}"))
			_, err := refundComplaint(client, nil)
			require.ErrorContains(t, err, tt.text+"; use Do with json.RawMessage")
			require.NotErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			requireShort(t, err, testComplaintID, requestID(err))
			if tt.record == record {
				require.ErrorContains(t, err, "wechatpay: ComplaintsV2.Refund: complaint "+testComplaintID+": ")
			}
			require.Empty(t, server.Refunds())
		})
	}
}

// A refund of an earlier round: what the rules use must be readable, the rest need
// not be.
func TestComplaintsV2_Refund_oddEarlierRefund(t *testing.T) {
	for name, tt := range map[string]struct{ old, odd, text string }{
		"success_time":  {`"status":"SUCCESS"`, `"status":"SUCCESS","success_time":"yesterday"`, ""},
		"total":         {`"total":1000`, `"total":"x"`, ""},
		"channel":       {`"status":"SUCCESS"`, `"status":"SUCCESS","channel":{},"promotion_detail":"x"`, ""},
		"refund amount": {`"refund":600`, `"refund":"6.00"`, `amount.refund: cannot read "6.00" as fen`},
		"status":        {`"status":"SUCCESS"`, `"status":{}`, `status: cannot read {} as a string`},
		"create_time":   {`"create_time":"`, `"create_time":"on `, `as a time`},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			_, err := refundComplaint(client, nil)
			require.NoError(t, err)
			require.NoError(t, server.SettleRefund(refundNo(1, 1), "SUCCESS"))
			fileAgain(t, server)
			client = gatewayClient(t, server, behind(func(
				req *http.Request, pay http.RoundTripper,
			) (*http.Response, error) {
				resp, err := pay.RoundTrip(req)
				if err == nil && strings.HasSuffix(req.URL.Path, refundNo(1, 1)) {
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					require.Contains(t, string(body), tt.old)
					resp.Body = io.NopCloser(strings.NewReader(strings.Replace(string(body), tt.old, tt.odd, 1)))
				}
				return resp, err
			}), func(cfg *wechatpay.Config) { cfg.InsecureSkipVerify = true })
			_, err = refundComplaint(client, &wechatpay.RefundComplaintRequest{Amount: 300})
			if tt.text == "" {
				require.NoError(t, err)
				require.Len(t, server.Refunds(), 2)
				return
			}
			require.ErrorContains(t, err, "refund "+refundNo(1, 1)+": ")
			require.ErrorContains(t, err, tt.text+"; use Do with json.RawMessage")
			require.Len(t, server.Refunds(), 1)
		})
	}
}

// Before a decision is sent again, a complaint that cannot be read, and a filing
// at an unknown time, leave the outcome unknown.
func TestComplaintsV2_UpdateRefundProgress_unreadable(t *testing.T) {
	const filed = `{"operate_type":"USER_CREATE_COMPLAINT","operate_time":"2019-03-05T09:46:01+08:00"}`
	for name, tt := range map[string]struct{ complaint, history, text string }{
		"round": {`"user_complaint_times":{}`, filed, `user_complaint_times: cannot read {} as an integer`},
		"state": {`"complaint_state":[]`, filed, `complaint_state: cannot read [] as a string`},
		"time of the second filing": {`"user_complaint_times":2`,
			filed + `,{"operate_type":"USER_CONTINUE_COMPLAINT","operate_time":"yesterday"}`,
			"the user may have filed the complaint again"},
		"operation": {`"user_complaint_times":2`, `{"operate_type":{}}`, `operate_type: cannot read {} as a string`},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newFakeRefund(t)
			respond(server, complaintPattern, refundDoc(t, tt.complaint))
			respond(server, historyPattern, historyJSON(tt.history))
			server.AddFault(wechatpaytest.Fault{Path: "update-refund-progress", Kind: wechatpaytest.FaultDrop})
			err := approve(context.Background(), client)
			require.ErrorIs(t, err, wechatpay.ErrOutcomeUnknown)
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, 1, count(server, postDecision))
		})
	}
}

// An empty page has a list, which the code of a web page needs.
func TestComplaintsV2_List_emptyPage(t *testing.T) {
	for _, body := range []string{
		`{"limit":50,"offset":0,"total_count":0}`, `{"data":null,"limit":50,"offset":0,"total_count":0}`,
		`{"data":[],"limit":50,"offset":0,"total_count":0}`,
	} {
		client, _ := newMock(t, reply(t, 200, body))
		list, err := client.ComplaintsV2.List(context.Background(), oneDay)
		require.NoError(t, err)
		history, err := client.ComplaintsV2.NegotiationHistory(context.Background(), testComplaintID, nil)
		require.NoError(t, err)
		for _, page := range []any{list, history} {
			out, err := json.Marshal(page)
			require.NoError(t, err)
			require.JSONEq(t, `{"data":[],"limit":50,"offset":0,"total_count":0}`, string(out))
		}
	}
}
