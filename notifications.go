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
	// notificationTimeout is how long WeChat Pay waits for the response.
	notificationTimeout = 5 * time.Second

	// maxNotification limits the body of a notification, in bytes. Typical
	// bodies are 1 to 2 KB.
	maxNotification = 1 << 20
)

// Notification is a verified and decrypted event from WeChat Pay: a complaint
// was filed or changed, or a refund ended. It carries no details. To read them,
// call ComplaintsV2.Get and ComplaintsV2.NegotiationHistory.
//
// An event may arrive more than once, concurrently (see Once), out of order, or
// never. Also poll ComplaintsV2.All.
//
// Notification can be encoded as JSON and decoded again, for example to put it
// into a queue. This JSON is decrypted and differs from the body that
// WeChat Pay sends.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
type Notification struct {
	ID         string    `json:"id,omitempty"`         // event id, at most 36 characters; the same in every redelivery
	CreateTime time.Time `json:"create_time,omitzero"` // when WeChat Pay created the event
	EventType  EventType `json:"event_type,omitempty"` // values other than the constants pass through
	Summary    string    `json:"summary,omitempty"`    // Chinese text, at most 64 characters; may be empty

	// ComplaintID and ActionType are empty for refund events.
	ComplaintID string                 `json:"complaint_id,omitempty"`
	ActionType  NotificationActionType `json:"action_type,omitempty"`

	// Resource is the decrypted resource, a JSON object, unchanged. For refund
	// events it contains the user's account, which is personal data.
	Resource json.RawMessage `json:"resource,omitempty"`
}

// EventType is the type of the event that a notification reports.
type EventType string

// The documented event types.
const (
	EventComplaintCreate      EventType = "COMPLAINT.CREATE"       // a complaint was filed
	EventComplaintStateChange EventType = "COMPLAINT.STATE_CHANGE" // a complaint changed

	EventRefundSuccess  EventType = "REFUND.SUCCESS"  // a refund reached the user
	EventRefundAbnormal EventType = "REFUND.ABNORMAL" // the bank rejected a refund; act in the merchant platform
	EventRefundClosed   EventType = "REFUND.CLOSED"   // a refund failed permanently
)

// NotificationActionType reports what happened to a complaint. It cannot be
// derived from the EventType, nor the EventType from it.
type NotificationActionType string

// The documented actions. WeChat Pay may not send notifications of the
// merchant's own actions: do not wait for them.
const (
	// The user filed the complaint.
	NotificationActionTypeCreateComplaint NotificationActionType = "CREATE_COMPLAINT"
	// The user filed it again: a new round.
	NotificationActionTypeContinueComplaint NotificationActionType = "CONTINUE_COMPLAINT"
	// The user sent a message.
	NotificationActionTypeUserResponse NotificationActionType = "USER_RESPONSE"
	// WeChat Pay's staff sent a message.
	NotificationActionTypeResponseByPlatform NotificationActionType = "RESPONSE_BY_PLATFORM"
	// The merchant launched a full refund.
	NotificationActionTypeSellerRefund NotificationActionType = "SELLER_REFUND"
	// The merchant sent a message.
	NotificationActionTypeMerchantResponse NotificationActionType = "MERCHANT_RESPONSE"
	// The merchant completed the complaint.
	NotificationActionTypeMerchantConfirmComplete NotificationActionType = "MERCHANT_CONFIRM_COMPLETE"
	// The merchant approved the refund.
	NotificationActionTypeMerchantApproveRefund NotificationActionType = "MERCHANT_APPROVE_REFUND"
	// The merchant rejected the refund. The history has
	// OperateTypeMerchantRefuseRefund instead.
	NotificationActionTypeMerchantRejectRefund NotificationActionType = "MERCHANT_REJECT_REFUND"
	// The refund reached the user.
	NotificationActionTypeRefundSuccess NotificationActionType = "REFUND_SUCCESS"

	// The user asked WeChat Pay's staff for help. WeChat Pay also announced the
	// spelling USER_APPLY_PLATFORM_SERIVCE. ParseNotification sets ActionType to
	// this constant for both, and leaves Resource unchanged.
	NotificationActionTypeUserApplyPlatformService NotificationActionType = "USER_APPLY_PLATFORM_SERVICE"
	// The user withdrew the request for help.
	NotificationActionTypeUserCancelPlatformService NotificationActionType = "USER_CANCEL_PLATFORM_SERVICE"
	// WeChat Pay's staff finished helping.
	NotificationActionTypePlatformServiceFinished NotificationActionType = "PLATFORM_SERVICE_FINISHED"
)

// notificationWire is the body of a notification, without unused fields.
type notificationWire struct {
	ID         string    `json:"id" wire:"strict"`
	CreateTime time.Time `json:"create_time"`
	EventType  EventType `json:"event_type" wire:"strict"`
	Summary    string    `json:"summary"`
	Resource   *struct {
		Algorithm      string `json:"algorithm" wire:"strict"`
		Ciphertext     string `json:"ciphertext" wire:"strict"`
		Nonce          string `json:"nonce" wire:"strict"`
		AssociatedData string `json:"associated_data" wire:"strict"` // may be empty or absent
	} `json:"resource" wire:"strict"`
}

// ParseNotification verifies the signature of a notification over the raw body,
// decrypts its resource with Config.APIv3Key, and decodes it. It verifies even
// if Config.InsecureSkipVerify is set. Use it to write the response yourself;
// otherwise use NotificationHandler.
//
// The body must be unread; at most 1 MiB is read. If a framework has read it,
// set r.Body to the original bytes first. Parsing ends at the deadline of the
// request's context, and 5 s after the body was read at the latest. It
// continues if the client disconnects.
//
// Respond within 5 s: with 200 or 204 if the event was handled or stored;
// otherwise with an error status and {"code":"FAIL","message":"…"}. Only the
// status counts: WeChat Pay takes 200 with FAIL as success. The errors are
//
//   - *VerificationError: signature verification failed. Respond with 401.
//   - *NotificationError: the notification is malformed. Respond with 400.
//   - *ArgumentError: r is nil or Config.APIv3Key is empty. Respond with 500.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
func (c *Client) ParseNotification(r *http.Request) (*Notification, error) {
	const op = "ParseNotification"
	if r == nil {
		return nil, faults{{"r", "must not be nil"}}.err(op)
	}
	if r.Method != http.MethodPost {
		return nil, &NotificationError{Problem: fmt.Sprintf("method must be POST, got %.20q", r.Method)}
	}
	body, err := readNotification(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := withoutDisconnect(r.Context())
	defer cancel()
	if err := c.verifier.Verify(ctx, r.Header, body); err != nil {
		return nil, fmt.Errorf("wechatpay: %s: %w", op, err)
	}
	if *c.apiv3Key == "" {
		const problem = "must be set to decrypt notifications (merchant platform: API安全 → APIv3密钥; WECHATPAY_APIV3_KEY)"
		return nil, faults{{"APIv3Key", problem}}.err(op)
	}
	n, err := c.decodeNotification(body)
	if malformed, ok := err.(*NotificationError); ok {
		malformed.verified = true
	}
	return n, err
}

// withoutDisconnect returns a context that keeps the values and the deadline of
// a request's context but is not canceled when the client disconnects. Its
// deadline is at most notificationTimeout away.
//
// Otherwise a forged notification with an unknown serial number could abort the
// certificate download that genuine notifications wait for.
func withoutDisconnect(request context.Context) (context.Context, context.CancelFunc) {
	deadline := time.Now().Add(notificationTimeout)
	if d, ok := request.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	return context.WithDeadline(context.WithoutCancel(request), deadline)
}

// readNotification reads the raw body.
func readNotification(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, tooLarge, err := readBounded(r.Body, r.ContentLength, maxNotification)
	if tooLarge {
		return nil, fmt.Errorf("wechatpay: ParseNotification: %w", &VerificationError{
			Reason:    VerificationReasonBodyTooLarge,
			SerialNo:  boundedHeader(r.Header, headerSerial),
			RequestID: boundedHeader(r.Header, headerRequestID),
		})
	}
	if err != nil {
		return nil, &NotificationError{Problem: "reading the body", Err: err}
	}
	return body, nil
}

// decodeNotification decodes and decrypts a verified body.
func (c *Client) decodeNotification(body []byte) (*Notification, error) {
	var wire notificationWire
	if err := unmarshal(body, &wire); err != nil {
		return nil, &NotificationError{ID: wire.ID, Problem: "decoding the body", Err: err}
	}
	resource, err := wire.decrypt(*c.apiv3Key)
	if err != nil {
		return nil, err
	}
	n := &Notification{
		ID:         wire.ID,
		CreateTime: wire.CreateTime,
		EventType:  wire.EventType,
		Summary:    wire.Summary,
		Resource:   resource,
	}
	if err := n.decodeResource(); err != nil {
		return nil, err
	}
	return n, nil
}

// decrypt returns the decrypted resource.
func (w *notificationWire) decrypt(apiv3Key string) ([]byte, error) {
	switch {
	case w.ID == "":
		return nil, &NotificationError{Problem: "missing id"}
	case w.Resource == nil:
		return nil, &NotificationError{ID: w.ID, Problem: "missing resource"}
	case w.Resource.Algorithm != aeadAlgorithm:
		problem := fmt.Sprintf("resource.algorithm must be %s, got %.40q", aeadAlgorithm, w.Resource.Algorithm)
		return nil, &NotificationError{ID: w.ID, Problem: problem}
	}
	plain, err := decryptAEAD(apiv3Key, w.Resource.Nonce, w.Resource.AssociatedData, w.Resource.Ciphertext)
	if err != nil {
		return nil, &NotificationError{ID: w.ID, Problem: "resource", Err: err}
	}
	return plain, nil
}

// decodeResource sets ComplaintID and ActionType from the resource of a
// complaint event. The resource of any other event only has to be an object.
func (n *Notification) decodeResource() error {
	isComplaint := strings.HasPrefix(string(n.EventType), "COMPLAINT.")
	isObject := bytes.HasPrefix(bytes.TrimSpace(n.Resource), []byte("{"))
	if !isObject || !isComplaint && !json.Valid(n.Resource) {
		return &NotificationError{ID: n.ID, Problem: "the decrypted resource is not a JSON object"}
	}
	if !isComplaint {
		return nil
	}
	var complaint notificationResource
	if err := unmarshal(n.Resource, &complaint); err != nil {
		if unreadable, ok := err.(*unreadableError); ok {
			unreadable.value = nil // the error must not contain text of the resource
		}
		return &NotificationError{ID: n.ID, Problem: "decoding the decrypted resource", Err: err}
	}
	n.ComplaintID, n.ActionType = complaint.ComplaintID, complaint.ActionType
	if n.ActionType == "USER_APPLY_PLATFORM_SERIVCE" {
		n.ActionType = NotificationActionTypeUserApplyPlatformService
	}
	return nil
}

// notificationResource is the decrypted resource of a complaint event.
type notificationResource struct {
	ComplaintID string                 `json:"complaint_id" wire:"strict"`
	ActionType  NotificationActionType `json:"action_type"`
}

// NotificationError reports a malformed notification: it was truncated, it is
// not a notification, or Config.APIv3Key does not decrypt it.
type NotificationError struct {
	ID      string // event id; empty if it could not be read
	Problem string // never contains text of the resource
	Err     error  // the cause; may be nil

	verified bool // the signature was verified
}

// Error returns the event id, the problem and the cause in one line.
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

// Unwrap returns the cause.
func (e *NotificationError) Unwrap() error { return e.Err }

// RefundNotification is the resource of a REFUND event. It has either MchID or,
// for service providers, SpMchID and SubMchID.
type RefundNotification struct {
	MchID         string       `json:"mchid,omitempty"`
	SpMchID       string       `json:"sp_mchid,omitempty"`                     // the service provider
	SubMchID      string       `json:"sub_mchid,omitempty"`                    // its sub-merchant
	TransactionID string       `json:"transaction_id,omitempty" wire:"strict"` // WeChat Pay's order number
	OutTradeNo    string       `json:"out_trade_no,omitempty" wire:"strict"`   // the merchant's order number
	RefundID      string       `json:"refund_id,omitempty"`                    // WeChat Pay's refund number
	OutRefundNo   string       `json:"out_refund_no,omitempty" wire:"strict"`  // the merchant's refund number
	RefundStatus  RefundStatus `json:"refund_status,omitempty" wire:"strict"`
	SuccessTime   time.Time    `json:"success_time,omitzero"` // when it reached the user; zero if absent or unreadable

	// UserReceivedAccount is Chinese text, such as a bank and the last digits of
	// the card. It is personal data.
	UserReceivedAccount string                   `json:"user_received_account,omitempty"`
	Amount              RefundNotificationAmount `json:"amount" wire:"strict"`
}

// UnmarshalJSON implements json.Unmarshaler. It accepts what Notification.Refund
// accepts.
func (r *RefundNotification) UnmarshalJSON(data []byte) error {
	type plain RefundNotification
	return unmarshal(data, (*plain)(r))
}

// RefundNotificationAmount holds the amounts of a refund, in fen.
type RefundNotificationAmount struct {
	Total       int64 `json:"total" wire:"strict"`        // order amount
	Refund      int64 `json:"refund" wire:"strict"`       // refund amount
	PayerTotal  int64 `json:"payer_total" wire:"strict"`  // part of Total that the user paid
	PayerRefund int64 `json:"payer_refund" wire:"strict"` // part of Refund that the user receives
}

// Refund decodes the resource of a REFUND event, which WeChat Pay sends to the
// NotifyURL of a refund when it succeeded or failed. For any other event it
// returns an error.
func (n *Notification) Refund() (*RefundNotification, error) {
	const op = "wechatpay: Notification.Refund"
	if !strings.HasPrefix(string(n.EventType), "REFUND.") {
		return nil, fmt.Errorf("%s: event type must start with REFUND., got %.40q", op, n.EventType)
	}
	refund := new(RefundNotification)
	if err := json.Unmarshal(n.Resource, refund); err != nil {
		return nil, fmt.Errorf("%s: notification %s: decoding the resource: %w", op, oneLine(n.ID), err)
	}
	return refund, nil
}
