package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// notificationTimeout is how long WeChat Pay waits for the answer.
	notificationTimeout = 5 * time.Second

	// maxNotification bounds the body of a notification: 1 MiB. Real ones have
	// a kilobyte or two.
	maxNotification = 1 << 20
)

// Notification is an event that WeChat Pay told, verified and decrypted: that a
// complaint came or changed, or what became of a refund. It says that something
// happened, and no more: read the complaint with ComplaintsV2.Get and its
// history with ComplaintsV2.NegotiationHistory.
//
// An event may come several times, also at once (see Once), out of order, or
// never: ask ComplaintsV2.All from time to time too.
//
// As JSON it holds the decrypted event, for a queue of your own. It is not what
// WeChat Pay sends, which ParseNotification alone can read.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
type Notification struct {
	ID         string    `json:"id,omitempty"`         // of the event, at most 36 characters; all copies have the same
	CreateTime time.Time `json:"create_time,omitzero"` // when WeChat Pay made it
	EventType  EventType `json:"event_type,omitempty"` // what kind of event; others than the constants pass through
	Summary    string    `json:"summary,omitempty"`    // Chinese text, at most 64 characters; may be missing

	// ComplaintID and ActionType are of the decrypted resource, and empty where
	// it has none: that of a refund.
	ComplaintID string                 `json:"complaint_id,omitempty"`
	ActionType  NotificationActionType `json:"action_type,omitempty"`

	// Resource is the decrypted resource as it came: a JSON object. That of a
	// refund names the user's account.
	Resource json.RawMessage `json:"resource,omitempty"`
}

// EventType is the kind of event that a notification tells.
type EventType string

// The documented events.
const (
	EventComplaintCreate      EventType = "COMPLAINT.CREATE"       // a complaint was filed
	EventComplaintStateChange EventType = "COMPLAINT.STATE_CHANGE" // something happened to one

	EventRefundSuccess  EventType = "REFUND.SUCCESS"  // a refund reached the user
	EventRefundAbnormal EventType = "REFUND.ABNORMAL" // the bank refused a refund; the merchant must act in the merchant platform
	EventRefundClosed   EventType = "REFUND.CLOSED"   // a refund failed for good
)

// NotificationActionType says what happened to a complaint. It does not follow
// from the event type, nor the other way round.
type NotificationActionType string

// The documented actions. A merchant's own are said to be told no more: do not
// wait for them.
const (
	NotificationActionTypeCreateComplaint         NotificationActionType = "CREATE_COMPLAINT"          // the user filed it
	NotificationActionTypeContinueComplaint       NotificationActionType = "CONTINUE_COMPLAINT"        // the user filed it again
	NotificationActionTypeUserResponse            NotificationActionType = "USER_RESPONSE"             // a message of the user
	NotificationActionTypeResponseByPlatform      NotificationActionType = "RESPONSE_BY_PLATFORM"      // a message of WeChat Pay's staff
	NotificationActionTypeSellerRefund            NotificationActionType = "SELLER_REFUND"             // the merchant launched a full refund
	NotificationActionTypeMerchantResponse        NotificationActionType = "MERCHANT_RESPONSE"         // a message of the merchant
	NotificationActionTypeMerchantConfirmComplete NotificationActionType = "MERCHANT_CONFIRM_COMPLETE" // the merchant finished it
	NotificationActionTypeMerchantApproveRefund   NotificationActionType = "MERCHANT_APPROVE_REFUND"   // the merchant approved the refund
	NotificationActionTypeMerchantRejectRefund    NotificationActionType = "MERCHANT_REJECT_REFUND"    // the merchant rejected it (OperateTypeMerchantRefuseRefund in the history)
	NotificationActionTypeRefundSuccess           NotificationActionType = "REFUND_SUCCESS"            // the refund reached the user

	// The user asks WeChat Pay's staff for help. WeChat Pay has announced it in
	// another spelling, SERIVCE: ParseNotification gives this value for both,
	// and leaves Resource as it came.
	NotificationActionTypeUserApplyPlatformService  NotificationActionType = "USER_APPLY_PLATFORM_SERVICE"
	NotificationActionTypeUserCancelPlatformService NotificationActionType = "USER_CANCEL_PLATFORM_SERVICE" // the user takes that back
	NotificationActionTypePlatformServiceFinished   NotificationActionType = "PLATFORM_SERVICE_FINISHED"    // the staff ended it
)

// notificationWire is the body of a notification. What it holds besides is not
// needed.
type notificationWire struct {
	ID         string      `json:"id"`
	CreateTime emptyOrTime `json:"create_time"`
	EventType  EventType   `json:"event_type"`
	Summary    string      `json:"summary"`
	Resource   *struct {
		Algorithm      string `json:"algorithm"`
		Ciphertext     string `json:"ciphertext"`
		Nonce          string `json:"nonce"`
		AssociatedData string `json:"associated_data"` // may be empty or absent
	} `json:"resource"`
}

// ParseNotification reads a notification from the request that brought it: it
// verifies the signature over the raw body, decrypts with Config.APIv3Key, and
// decodes, in this order. Notifications are verified even with
// Config.InsecureSkipVerify. It is for those who answer WeChat Pay themselves,
// such as in a framework; NotificationHandler does it all.
//
// The body must be unread, and is read up to 1 MiB. An answer is due within 5 s:
// 200 or 204 if the event was handled or is in safe hands; otherwise the status
// that stands below, and {"code":"FAIL","message":"…"}. The status decides: 200
// with FAIL is a success. The errors are
//
//   - *VerificationError: it does not prove to be WeChat Pay's. Answer 401.
//   - *NotificationError: it cannot be read. Answer 400.
//   - *ArgumentError: Config.APIv3Key is missing. Answer 500.
//
// It ends when the deadline of the request's context has passed, or after 5 s
// from when the body was read; that the sender hangs up does not end it.
//
// If the error says that something read the body before, such as a framework,
// set the request's Body to the bytes that were read, as they came.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
func (c *Client) ParseNotification(r *http.Request) (*Notification, error) {
	const op = "ParseNotification"
	if r.Method != http.MethodPost {
		return nil, &NotificationError{Problem: fmt.Sprintf("a notification is a POST, not %.20q", r.Method)}
	}
	body, err := readNotification(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := whoeverHangsUp(r.Context())
	defer cancel()
	if err := c.verifier.Verify(ctx, r.Header, body); err != nil {
		return nil, fmt.Errorf("wechatpay: %s: %w", op, err)
	}
	if *c.apiv3Key == "" {
		return nil, faults{{"APIv3Key", "missing: notifications are encrypted with it; set it in the merchant platform under API安全 → APIv3密钥, and in Config (WECHATPAY_APIV3_KEY)"}}.err(op)
	}
	n, err := c.openNotification(body)
	if unreadable, ok := err.(*NotificationError); ok {
		unreadable.proved = true
	}
	return n, err
}

// whoeverHangsUp gives a context that does not end when the sender of a request
// hangs up: a forger who names a made-up certificate would end, by that, the
// download that genuine notifications wait for, and hold up the next one. The
// deadline stands, and is 5 s away at most.
func whoeverHangsUp(request context.Context) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(request)
	deadline := time.Now().Add(notificationTimeout)
	if earlier, ok := request.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return context.WithDeadline(ctx, deadline)
}

// openNotification decrypts and decodes a body whose signature holds.
func (c *Client) openNotification(body []byte) (*Notification, error) {
	var wire notificationWire
	if err := json.Unmarshal(body, &wire); err != nil {
		return nil, &NotificationError{ID: wire.ID, Problem: "the body cannot be decoded", Err: err}
	}
	plain, err := wire.decrypt(*c.apiv3Key)
	if err != nil {
		return nil, err
	}
	n := &Notification{ID: wire.ID, CreateTime: time.Time(wire.CreateTime), EventType: wire.EventType, Summary: wire.Summary, Resource: plain}
	if err := n.readResource(); err != nil {
		return nil, err
	}
	return n, nil
}

// readNotification reads the raw body, which the signature is over.
func readNotification(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, tooLarge, err := readBounded(r.Body, r.ContentLength, maxNotification)
	if tooLarge {
		return nil, fmt.Errorf("wechatpay: ParseNotification: %w", &VerificationError{
			Reason: VerificationReasonBodyTooLarge, SerialNo: r.Header.Get(headerSerial), RequestID: r.Header.Get(headerRequestID),
		})
	}
	if err != nil {
		return nil, &NotificationError{Problem: "the body broke off", Err: err}
	}
	return body, nil
}

// decrypt gives the plain resource.
func (w *notificationWire) decrypt(apiv3Key string) ([]byte, error) {
	switch {
	case w.ID == "":
		return nil, &NotificationError{Problem: "it has no id"}
	case w.Resource == nil:
		return nil, &NotificationError{ID: w.ID, Problem: "it has no resource"}
	case w.Resource.Algorithm != aeadAlgorithm:
		return nil, &NotificationError{ID: w.ID, Problem: fmt.Sprintf("the resource is encrypted with %.40q, and %s is expected", w.Resource.Algorithm, aeadAlgorithm)}
	}
	plain, err := decryptAEAD(apiv3Key, w.Resource.Nonce, w.Resource.AssociatedData, w.Resource.Ciphertext)
	if err != nil {
		return nil, &NotificationError{ID: w.ID, Problem: "the resource", Err: err}
	}
	return plain, nil
}

// readResource takes what all complaint events have out of the resource. Of
// other events nothing is known but that they carry an object.
func (n *Notification) readResource() error {
	aboutComplaint := strings.HasPrefix(string(n.EventType), "COMPLAINT.")
	if !bytes.HasPrefix(bytes.TrimSpace(n.Resource), []byte("{")) || !aboutComplaint && !json.Valid(n.Resource) {
		return &NotificationError{ID: n.ID, Problem: "the decrypted resource is not a JSON object"}
	}
	if !aboutComplaint {
		return nil
	}
	var complaint struct {
		ComplaintID string                 `json:"complaint_id"`
		ActionType  NotificationActionType `json:"action_type"`
	}
	if err := json.Unmarshal(n.Resource, &complaint); err != nil {
		return &NotificationError{ID: n.ID, Problem: "the decrypted resource cannot be decoded", Err: err}
	}
	n.ComplaintID, n.ActionType = complaint.ComplaintID, complaint.ActionType
	if n.ActionType == "USER_APPLY_PLATFORM_SERIVCE" {
		n.ActionType = NotificationActionTypeUserApplyPlatformService
	}
	return nil
}

// NotificationError is a notification that cannot be read: it was cut off, or
// it is not one, or Config.APIv3Key is another than WeChat Pay's.
type NotificationError struct {
	ID      string // of the event, where it could be read
	Problem string // with the remedy, where there is one; it shows nothing of the resource
	Err     error  // the cause; nil: Problem says it all

	proved bool // its signature holds: it is WeChat Pay's
}

// Error tells event, problem and cause, in one line.
func (e *NotificationError) Error() string {
	text := "wechatpay: ParseNotification: "
	if e.ID != "" {
		text += "notification " + oneLine(e.ID) + ": "
	}
	text += e.Problem
	if e.Err != nil {
		text += ": " + oneLine(e.Err.Error())
	}
	return text
}

// Unwrap gives the cause.
func (e *NotificationError) Unwrap() error { return e.Err }

// RefundNotification is what a REFUND event tells of a refund.
type RefundNotification struct {
	MchID         string       `json:"mchid,omitempty"`
	TransactionID string       `json:"transaction_id,omitempty"` // WeChat Pay's number of the order
	OutTradeNo    string       `json:"out_trade_no,omitempty"`   // the merchant's number of the order
	RefundID      string       `json:"refund_id,omitempty"`      // WeChat Pay's number of the refund
	OutRefundNo   string       `json:"out_refund_no,omitempty"`  // the merchant's number of the refund
	RefundStatus  RefundStatus `json:"refund_status,omitempty"`
	SuccessTime   time.Time    `json:"success_time,omitzero"` // when it reached the user; zero: not said

	UserReceivedAccount string                   `json:"user_received_account,omitempty"` // Chinese text, such as a bank and last digits: personal data
	Amount              RefundNotificationAmount `json:"amount"`
}

// UnmarshalJSON decodes the wire form.
func (r *RefundNotification) UnmarshalJSON(data []byte) error {
	type plain RefundNotification
	return json.Unmarshal(data, &struct {
		*plain
		SuccessTime *emptyOrTime `json:"success_time"`
	}{(*plain)(r), (*emptyOrTime)(&r.SuccessTime)})
}

// RefundNotificationAmount is what a refund comes to, in fen.
type RefundNotificationAmount struct {
	Total       int64 `json:"total"`        // of the order
	Refund      int64 `json:"refund"`       // refunded
	PayerTotal  int64 `json:"payer_total"`  // what the user paid of Total
	PayerRefund int64 `json:"payer_refund"` // what the user gets of Refund
}

// Refund decodes the resource of a REFUND event, of which WeChat Pay sends one
// to the NotifyURL of a refund when its fate is known. Any other event is an
// error.
func (n *Notification) Refund() (*RefundNotification, error) {
	if !strings.HasPrefix(string(n.EventType), "REFUND.") {
		return nil, fmt.Errorf("wechatpay: Notification.Refund: a %.40q event is not about a refund, only REFUND.… events are", n.EventType)
	}
	refund := new(RefundNotification)
	if err := json.Unmarshal(n.Resource, refund); err != nil {
		return nil, fmt.Errorf("wechatpay: Notification.Refund: notification %s: the resource cannot be decoded: %w", oneLine(n.ID), err)
	}
	return refund, nil
}
