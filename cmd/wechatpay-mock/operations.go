package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// routes are the operations of the control plane.
var routes = []struct {
	pattern string
	do      operation
}{
	{"POST /_mock/complaints", (*control).addComplaint},
	{"GET /_mock/complaints", (*control).complaints},
	{"GET /_mock/complaints/{id}", (*control).complaint},
	{"PATCH /_mock/complaints/{id}", (*control).changeComplaint},
	{"GET /_mock/complaints/{id}/history", (*control).history},
	{"POST /_mock/complaints/{id}/records", (*control).addRecord},
	{"POST /_mock/complaints/{id}/user-reply", reply((*wechatpaytest.Server).UserReplies)},
	{"POST /_mock/complaints/{id}/user-click", (*control).userClick},
	{"POST /_mock/complaints/{id}/user-continue", step((*wechatpaytest.Server).UserContinues)},
	{"POST /_mock/complaints/{id}/user-ask-platform", (*control).userAskPlatform},
	{"POST /_mock/complaints/{id}/user-cancel-platform", step((*wechatpaytest.Server).UserCancelsPlatform)},
	{"POST /_mock/complaints/{id}/platform-reply", reply((*wechatpaytest.Server).PlatformReplies)},
	{"POST /_mock/complaints/{id}/platform-finish", step((*wechatpaytest.Server).PlatformFinishes)},
	{"POST /_mock/complaints/{id}/platform-refund", step((*wechatpaytest.Server).PlatformRefunds)},
	{"POST /_mock/complaints/{id}/merchant-decision", (*control).merchantDecision},
	{"GET /_mock/refunds", (*control).refunds},
	{"POST /_mock/refunds/{out_refund_no}/arrive", settle("SUCCESS")},
	{"POST /_mock/refunds/{out_refund_no}/close", settle("CLOSED")},
	{"POST /_mock/refunds/{out_refund_no}/abnormal", settle("ABNORMAL")},
	{"POST /_mock/images", (*control).addImage},
	{"GET /_mock/images/{media_id}", (*control).image},
	{"POST /_mock/faults", (*control).addFault},
	{"GET /_mock/faults", (*control).faults},
	{"DELETE /_mock/faults", (*control).clearFaults},
	{"POST /_mock/notify", (*control).notify},
	{"PUT /_mock/notification-url", (*control).setNotificationURL},
	{"GET /_mock/notifications", (*control).pending},
	{"POST /_mock/notifications/deliver", (*control).deliver},
	{"GET /_mock/requests", (*control).requests},
	{"GET /_mock/clock", (*control).clock},
	{"POST /_mock/clock", (*control).advance},
	{"POST /_mock/certificates/announce", (*control).announceCertificate},
	{"POST /_mock/certificates/rotate", (*control).rotateCertificate},
	{"GET /_mock/behavior", (*control).behavior},
	{"PATCH /_mock/behavior", (*control).changeBehaviour},
	{"POST /_mock/reset", (*control).reset},
	{"GET /_mock/page", (*control).state},
	{"GET /_mock/page/{file}", (*control).pagePart},
}

func (c *control) addComplaint(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	complaint, err := c.server.AddComplaintJSON(data)
	if err != nil {
		return 0, nil, fmt.Errorf("it is no complaint that WeChat Pay could send: %s", sentence(err))
	}
	return http.StatusCreated, complaint, nil
}

func (c *control) complaints(*http.Request) (int, any, error) {
	return http.StatusOK, list[wechatpay.Complaint]{c.server.Complaints()}, nil
}

// complaintOf finds the complaint of the path.
func (c *control) complaintOf(r *http.Request) (wechatpay.Complaint, error) {
	complaint, ok := c.server.Complaint(r.PathValue("id"))
	if !ok {
		return complaint, refuse(http.StatusNotFound, "there is no complaint %s", r.PathValue("id"))
	}
	return complaint, nil
}

func (c *control) complaint(r *http.Request) (int, any, error) {
	complaint, err := c.complaintOf(r)
	return http.StatusOK, complaint, err
}

func (c *control) history(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, list[wechatpay.NegotiationRecord]{c.server.History(r.PathValue("id"))}, nil
}

func (c *control) addRecord(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	var record wechatpay.NegotiationRecord
	if err := decode(r, &record); err != nil {
		return 0, nil, err
	}
	if err := c.server.AddRecord(r.PathValue("id"), record); err != nil {
		return 0, nil, err
	}
	complaint, err := c.complaintOf(r)
	return http.StatusCreated, complaint, err
}

func (c *control) changeComplaint(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := c.server.ChangeComplaintJSON(r.PathValue("id"), data); err != nil {
		return 0, nil, err
	}
	return c.complaint(r)
}

// reply is a message of somebody who is not the merchant.
func reply(do func(s *wechatpaytest.Server, id, text string, mediaURLs ...string) error) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if _, err := c.complaintOf(r); err != nil {
			return 0, nil, err
		}
		var body struct {
			Text      string   `json:"text"`
			MediaURLs []string `json:"media_urls"`
		}
		if err := decode(r, &body); err != nil {
			return 0, nil, err
		}
		if body.Text == "" && len(body.MediaURLs) == 0 {
			return 0, nil, fmt.Errorf("nothing is said: text or media_urls is needed")
		}
		if err := do(c.server, r.PathValue("id"), body.Text, body.MediaURLs...); err != nil {
			return 0, nil, err
		}
		return c.complaint(r)
	}
}

func (c *control) userClick(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	var click wechatpay.ClickMessage
	if err := decode(r, &click); err != nil {
		return 0, nil, err
	}
	if err := c.server.UserClicks(r.PathValue("id"), click); err != nil {
		return 0, nil, err
	}
	return c.complaint(r)
}

func (c *control) userAskPlatform(r *http.Request) (int, any, error) {
	var body struct {
		Reason      string `json:"reason"`
		Description string `json:"description"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	return c.takeStep(r, func() error {
		return c.server.UserAsksPlatform(r.PathValue("id"), body.Reason, body.Description)
	})
}

func (c *control) merchantDecision(r *http.Request) (int, any, error) {
	var body struct {
		Action wechatpay.RefundAction `json:"action"`
		Reason string                 `json:"reason"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.Action != wechatpay.RefundApprove && body.Action != wechatpay.RefundReject {
		return 0, nil, fmt.Errorf("action is %q: there are %s and %s", body.Action, wechatpay.RefundApprove, wechatpay.RefundReject)
	}
	return c.takeStep(r, func() error { return c.server.MerchantDecides(r.PathValue("id"), body.Action, body.Reason) })
}

// step is an operation on a complaint that takes nothing, and that the state of
// the complaint may not allow.
func step(do func(*wechatpaytest.Server, string) error) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := decode(r, &struct{}{}); err != nil {
			return 0, nil, err
		}
		return c.takeStep(r, func() error { return do(c.server, r.PathValue("id")) })
	}
}

func (c *control) takeStep(r *http.Request, do func() error) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	if err := do(); err != nil {
		return 0, nil, refuse(http.StatusConflict, "%s", sentence(err))
	}
	return c.complaint(r)
}

type refund struct {
	OutRefundNo   string `json:"out_refund_no"`
	RefundID      string `json:"refund_id"`
	TransactionID string `json:"transaction_id"`
	OutTradeNo    string `json:"out_trade_no"`
	SubMchID      string `json:"sub_mchid,omitempty"`
	Amount        int64  `json:"amount"`
	Status        string `json:"status"`
}

func (c *control) refunds(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Refunds(), func(r wechatpaytest.Refund) refund { return refund(r) }), nil
}

func settle(status string) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := decode(r, &struct{}{}); err != nil {
			return 0, nil, err
		}
		number := r.PathValue("out_refund_no")
		find := func() int {
			return slices.IndexFunc(c.server.Refunds(), func(r wechatpaytest.Refund) bool { return r.OutRefundNo == number })
		}
		if find() < 0 {
			return 0, nil, refuse(http.StatusNotFound, "there is no refund %s", number)
		}
		if err := c.server.SettleRefund(number, status); err != nil {
			return 0, nil, refuse(http.StatusConflict, "%s", sentence(err))
		}
		return http.StatusOK, refund(c.server.Refunds()[find()]), nil
	}
}

func (c *control) addImage(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	if len(data) == 0 {
		return 0, nil, fmt.Errorf("the body is empty: it must be the bytes of an image")
	}
	mediaURL := c.server.AddImage("", data)
	id, err := url.PathUnescape(mediaURL[strings.LastIndex(mediaURL, "/")+1:])
	if err != nil {
		return 0, nil, err
	}
	c.images.Store(id, data)
	return http.StatusCreated, map[string]string{"media_url": mediaURL}, nil
}

// image gives an image of the user back without a signature, which a browser
// has not. The media id stands in the path as it does in a media_url, escaped,
// and escaped once more: an id with two slashes would not come through
// otherwise.
func (c *control) image(r *http.Request) (int, any, error) {
	id, err := url.PathUnescape(r.PathValue("media_id"))
	if err != nil {
		return 0, nil, fmt.Errorf("the media id %q is not escaped as in a media_url", r.PathValue("media_id"))
	}
	data, found := c.images.Load(id)
	if !found {
		return 0, nil, refuse(http.StatusNotFound, "there is no image %s of the user", id)
	}
	contentType := http.DetectContentType(data.([]byte))
	if !strings.HasPrefix(contentType, "image/") {
		contentType = "application/octet-stream"
	}
	return http.StatusOK, file{contentType, data.([]byte)}, nil
}

type fault struct {
	Path        string                  `json:"path"`
	Kind        wechatpaytest.FaultKind `json:"kind"`
	Times       int                     `json:"times"`
	Probability float64                 `json:"probability"`
	Seed        uint64                  `json:"seed"`
	DelayMS     int64                   `json:"delay_ms"`
	TakesEffect bool                    `json:"takes_effect"`
}

// maxDelay keeps a slip of the unit from blocking a test for years.
const maxDelay = time.Hour

func (c *control) addFault(r *http.Request) (int, any, error) {
	var body fault
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.DelayMS < 0 || body.DelayMS > maxDelay.Milliseconds() {
		return 0, nil, fmt.Errorf("delay_ms is %d, and must be from 0 to %d", body.DelayMS, maxDelay.Milliseconds())
	}
	f := wechatpaytest.Fault{
		Path:        body.Path,
		Kind:        body.Kind,
		Times:       body.Times,
		Probability: body.Probability,
		Seed:        body.Seed,
		Delay:       time.Duration(body.DelayMS) * time.Millisecond,
		TakesEffect: body.TakesEffect,
	}
	if err := f.Check(); err != nil {
		return 0, nil, err
	}
	if f.Kind == wechatpaytest.FaultRefuse && f.Delay == 0 {
		return 0, nil, fmt.Errorf("the fault %s needs delay_ms, how long it lasts: nobody could come to end it", f.Kind)
	}
	c.server.AddFault(f)
	return http.StatusCreated, body, nil
}

func (c *control) faults(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Faults(), func(f wechatpaytest.Fault) fault {
		return fault{f.Path, f.Kind, f.Times, f.Probability, f.Seed, f.Delay.Milliseconds(), f.TakesEffect}
	}), nil
}

func (c *control) clearFaults(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	c.server.ClearFaults()
	return http.StatusNoContent, nil, nil
}

type notification struct {
	URL         string                  `json:"url"`
	EventType   string                  `json:"event_type"`
	ComplaintID string                  `json:"complaint_id"`
	ActionType  string                  `json:"action_type"`
	OutRefundNo string                  `json:"out_refund_no"`
	ID          string                  `json:"id"`
	CreateTime  time.Time               `json:"create_time"`
	Serial      string                  `json:"serial"`
	Fault       wechatpaytest.FaultKind `json:"fault"`
}

// check says what is missing.
func (n *notification) check() error {
	if err := checkURL(n.URL); err != nil {
		return err
	}
	switch {
	case n.EventType == "":
		return fmt.Errorf("event_type is missing, such as COMPLAINT.CREATE")
	case n.OutRefundNo != "" && (n.ComplaintID != "" || n.ActionType != ""):
		return fmt.Errorf("out_refund_no is there beside complaint_id or action_type: a notification is about a refund or about a complaint")
	case n.OutRefundNo == "" && n.ComplaintID == "":
		return fmt.Errorf("complaint_id is missing (or out_refund_no, of a REFUND event)")
	case n.OutRefundNo == "" && n.ActionType == "":
		return fmt.Errorf("action_type is missing, such as CREATE_COMPLAINT")
	}
	return nil
}

func checkURL(raw string) error {
	if raw == "" {
		return fmt.Errorf("url is missing")
	}
	if u, err := url.Parse(raw); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url is %q, which is no URL of scheme, host and path", raw)
	}
	return nil
}

func (c *control) notify(r *http.Request) (int, any, error) {
	var body notification
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if err := body.check(); err != nil {
		return 0, nil, err
	}
	n := wechatpaytest.Notification{
		ID:          body.ID,
		CreateTime:  body.CreateTime,
		EventType:   body.EventType,
		ComplaintID: body.ComplaintID,
		ActionType:  body.ActionType,
		OutRefundNo: body.OutRefundNo,
		Serial:      body.Serial,
		Fault:       body.Fault,
	}
	// What cannot be built is the request's fault, what cannot be sent is not.
	if _, err := c.server.NewNotification(r.Context(), body.URL, n); err != nil {
		return 0, nil, err
	}
	resp, err := c.server.Notify(r.Context(), body.URL, n)
	if err != nil {
		return 0, nil, refuse(http.StatusBadGateway, "%s", sentence(err))
	}
	said, _ := io.ReadAll(resp.Body) // in memory
	return http.StatusOK, struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}{resp.StatusCode, string(said)}, nil
}

func (c *control) setNotificationURL(r *http.Request) (int, any, error) {
	var body struct {
		URL *string `json:"url"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.URL == nil {
		return 0, nil, fmt.Errorf("url is missing; an empty one removes it")
	}
	if *body.URL != "" {
		if err := checkURL(*body.URL); err != nil {
			return 0, nil, err
		}
	}
	c.server.SetNotificationURL(*body.URL)
	return http.StatusOK, body, nil
}

// dueNotification is a notification that is to be delivered, or was.
type dueNotification struct {
	ID          string    `json:"id"`
	EventType   string    `json:"event_type"`
	ComplaintID string    `json:"complaint_id,omitempty"`
	ActionType  string    `json:"action_type,omitempty"`
	OutRefundNo string    `json:"out_refund_no,omitempty"`
	CreateTime  time.Time `json:"create_time"`
	URL         string    `json:"url"`
}

func due(n wechatpaytest.Notification, url string) dueNotification {
	return dueNotification{n.ID, n.EventType, n.ComplaintID, n.ActionType, n.OutRefundNo, n.CreateTime, url}
}

type pendingNotification struct {
	dueNotification
	Attempts int       `json:"attempts"`
	Due      time.Time `json:"due"`
}

// pendingList are the first of the pending notifications, those that are due first.
func (c *control) pendingList(most int) list[pendingNotification] {
	all := c.server.PendingNotifications()
	return listOf(all[:min(len(all), most)], func(p wechatpaytest.PendingNotification) pendingNotification {
		return pendingNotification{due(p.Notification, p.URL), p.Attempts, p.Due}
	})
}

func (c *control) pending(*http.Request) (int, any, error) {
	return http.StatusOK, c.pendingList(math.MaxInt), nil
}

func (c *control) deliver(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	type delivery struct {
		dueNotification
		Attempt int    `json:"attempt"`
		Status  int    `json:"status"` // 0: there was no answer
		Body    string `json:"body"`
		Error   string `json:"error,omitempty"`
	}
	// Deliveries that have begun are not given up because who asked for them has gone.
	done := c.server.DeliverDue(context.WithoutCancel(r.Context()))
	return http.StatusOK, listOf(done, func(d wechatpaytest.Delivery) delivery {
		out := delivery{due(d.Notification, d.URL), d.Attempt, d.StatusCode, d.Body, ""}
		if d.Err != nil {
			out.Error = sentence(d.Err)
		}
		return out
	}), nil
}

// summary is what the log says of a request.
type summary struct {
	Time       time.Time               `json:"time"`
	Method     string                  `json:"method"`
	Path       string                  `json:"path"`
	Status     int                     `json:"status"`
	Code       string                  `json:"code,omitempty"`
	Problem    string                  `json:"problem,omitempty"`
	RequestID  string                  `json:"request_id"`
	Fault      wechatpaytest.FaultKind `json:"fault,omitempty"`
	TookEffect bool                    `json:"took_effect"`
	DurationMS float64                 `json:"duration_ms"`
}

func summaryOf(r wechatpaytest.Request) summary {
	return summary{r.Time, r.Method, r.Path, r.StatusCode, r.Code, r.Problem, r.RequestID, r.Fault, r.TookEffect,
		float64(r.Duration.Microseconds()) / 1000}
}

func (c *control) requests(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Requests(), requestOf), nil
}

func (c *control) clock(*http.Request) (int, any, error) {
	return http.StatusOK, map[string]time.Time{"now": c.server.Now()}, nil
}

func (c *control) advance(r *http.Request) (int, any, error) {
	var body struct {
		AdvanceMS int64 `json:"advance_ms"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	const most = 100 * 365 * 24 * time.Hour
	if body.AdvanceMS <= 0 || body.AdvanceMS > most.Milliseconds() {
		return 0, nil, fmt.Errorf("advance_ms is %d, and must be from 1 to %d: the clock only moves on", body.AdvanceMS, most.Milliseconds())
	}
	c.server.Advance(time.Duration(body.AdvanceMS) * time.Millisecond)
	return c.clock(r)
}

func (c *control) announceCertificate(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]string{"serial_no": fmt.Sprintf("%X", c.server.AnnounceCertificate().SerialNumber)}, nil
}

func (c *control) rotateCertificate(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, map[string]string{"serial_no": fmt.Sprintf("%X", c.server.RotateCertificate().SerialNumber)}, nil
}

// behavior is wechatpaytest.Behavior as far as JSON can hold it.
type behavior struct {
	Seed               uint64                `json:"seed"`
	KeyMode            wechatpaytest.KeyMode `json:"key_mode"`
	SubMchIDs          []string              `json:"sub_mchids"`
	WrongState         refusal               `json:"wrong_state"`
	UnknownComplaint   refusal               `json:"unknown_complaint"`
	TrustedOnly        bool                  `json:"trusted_only"`
	ResponseContentMax int                   `json:"response_content_max"`
	JumpLinks          bool                  `json:"jump_links"`
	AnyMediaID         bool                  `json:"any_media_id"`
	PathInBody         bool                  `json:"path_in_body"`
	HistoryLagMS       int64                 `json:"history_lag_ms"`
	MaxPage            int                   `json:"max_page"`
	ResultTooLarge     refusal               `json:"result_too_large"`
	ListOldestFirst    bool                  `json:"list_oldest_first"`
	HistoryOldestFirst bool                  `json:"history_oldest_first"`
	RefundsArrive      bool                  `json:"refunds_arrive"`
	RefundRefusal      refusal               `json:"refund_refusal"`
	AutoNotify         bool                  `json:"auto_notify"`
	NotifyOwnActions   bool                  `json:"notify_own_actions"`
}

type refusal struct {
	StatusCode int    `json:"status"`
	Code       string `json:"code"`
}

func behaviorOf(b *wechatpaytest.Behavior) behavior {
	subMchIDs := append([]string{}, b.SubMchIDs...) // its own: JSON is decoded into it
	return behavior{b.Seed, b.KeyMode, subMchIDs, refusal(b.WrongState), refusal(b.UnknownComplaint), b.TrustedOnly, b.ResponseContentMax,
		b.JumpLinks, b.AnyMediaID, b.PathInBody, b.HistoryLag.Milliseconds(), b.MaxPage, refusal(b.ResultTooLarge), b.ListOldestFirst, b.HistoryOldestFirst,
		b.RefundsArrive, refusal(b.RefundRefusal), b.AutoNotify, b.NotifyOwnActions}
}

// put gives the server's behavior these values, and leaves what JSON cannot hold.
func (b behavior) put(into *wechatpaytest.Behavior) {
	into.Seed, into.KeyMode, into.SubMchIDs = b.Seed, b.KeyMode, b.SubMchIDs
	into.WrongState, into.UnknownComplaint = wechatpaytest.Refusal(b.WrongState), wechatpaytest.Refusal(b.UnknownComplaint)
	into.TrustedOnly, into.ResponseContentMax, into.JumpLinks = b.TrustedOnly, b.ResponseContentMax, b.JumpLinks
	into.AnyMediaID, into.PathInBody = b.AnyMediaID, b.PathInBody
	into.HistoryLag = time.Duration(b.HistoryLagMS) * time.Millisecond
	into.MaxPage, into.ResultTooLarge = b.MaxPage, wechatpaytest.Refusal(b.ResultTooLarge)
	into.ListOldestFirst, into.HistoryOldestFirst = b.ListOldestFirst, b.HistoryOldestFirst
	into.RefundsArrive, into.RefundRefusal = b.RefundsArrive, wechatpaytest.Refusal(b.RefundRefusal)
	into.AutoNotify, into.NotifyOwnActions = b.AutoNotify, b.NotifyOwnActions
}

func (b behavior) check() error {
	modes := []wechatpaytest.KeyMode{wechatpaytest.KeyModeSwitching, wechatpaytest.KeyModePublicKey, wechatpaytest.KeyModeCertificate}
	switch {
	case !slices.Contains(modes, b.KeyMode):
		return fmt.Errorf("key_mode is %q: there are %s, %s and %s", b.KeyMode, modes[0], modes[1], modes[2])
	case b.ResponseContentMax < 1:
		return fmt.Errorf("response_content_max is %d, and must be at least 1", b.ResponseContentMax)
	case b.HistoryLagMS < 0 || b.HistoryLagMS > maxDelay.Milliseconds():
		return fmt.Errorf("history_lag_ms is %d, and must be from 0 to %d", b.HistoryLagMS, maxDelay.Milliseconds())
	case b.MaxPage < 0:
		return fmt.Errorf("max_page is %d, and must not be negative", b.MaxPage)
	}
	for _, r := range []struct {
		name string
		refusal
		none bool // may be nothing
	}{
		{"wrong_state", b.WrongState, false},
		{"unknown_complaint", b.UnknownComplaint, false},
		{"result_too_large", b.ResultTooLarge, false},
		{"refund_refusal", b.RefundRefusal, true},
	} {
		if r.none && r.refusal == (refusal{}) {
			continue
		}
		if r.StatusCode < 400 || r.StatusCode > 599 || r.Code == "" {
			return fmt.Errorf("%s is the status %d with the code %q: it must have a status from 400 to 599 and a code", r.name, r.StatusCode, r.Code)
		}
	}
	return nil
}

func (c *control) behavior(*http.Request) (int, any, error) {
	var now behavior
	c.server.Configure(func(b *wechatpaytest.Behavior) { now = behaviorOf(b) })
	return http.StatusOK, now, nil
}

func (c *control) changeBehaviour(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	var now behavior
	c.server.Configure(func(b *wechatpaytest.Behavior) {
		now = behaviorOf(b)
		if err = decodeJSON(json.RawMessage(data), &now); err != nil {
			return
		}
		if err = now.check(); err == nil {
			now.put(b)
		}
	})
	return http.StatusOK, now, err
}

// reset makes the server what it was when it began, apart from its clock and its
// certificates.
func (c *control) reset(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	c.server.Reset()
	c.images.Clear()
	if err := c.begin(); err != nil {
		return 0, nil, err
	}
	return http.StatusNoContent, nil, nil
}
