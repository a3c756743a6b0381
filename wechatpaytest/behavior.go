package wechatpaytest

import (
	"fmt"
	"net/http"
	"time"
)

// Behavior configures a [Server]. Most fields choose between possibilities that
// WeChat Pay's documents leave open. [Server.Configure] changes it.
type Behavior struct {
	// Time is the clock of complaints, refunds, links and notification retries.
	// [Server.Advance] moves it forward. Default: time.Now.
	Time func() time.Time
	// WireTime is the clock that clients compare with theirs: of signatures, of
	// the Date header and of certificates. Set it to time.Now if the clients
	// cannot follow Advance. Default: the server's clock, Time plus Advance.
	WireTime func() time.Time
	// Seed determines generated ids: the same seed and sequence of events gives
	// the same ids. Nonces, keys and ciphertexts stay random. Default: random.
	Seed uint64

	// KeyMode selects the key that signs. Default: KeyModeSwitching.
	KeyMode KeyMode
	// SubMchIDs makes the first merchant a service provider of these sub-merchants:
	// it may access their complaints, and refunds require sub_mchid. Default: none,
	// an ordinary merchant.
	SubMchIDs []string

	// WrongState is the error of a second decision in a round, a decision on a
	// finished or refunded complaint, and a second completion. 400 PARAM_ERROR
	// is possible too. Default: 400 INVALID_REQUEST.
	WrongState Refusal
	// UnknownComplaint is the error for an unknown complaint_id. Default: 404
	// RESOURCE_NOT_EXISTS.
	UnknownComplaint Refusal
	// TrustedOnly rejects decisions on complaints without the user tag TRUSTED.
	// Default: false.
	TrustedOnly bool
	// CompleteNeedsReply rejects the completion of a complaint without a reply of
	// the merchant in this round, as reported, with WrongState. Default: false.
	CompleteNeedsReply bool
	// RateLimits are maximum numbers of requests per minute. Requests above them
	// fail with 429 FREQUENCY_LIMITED. Default: none.
	RateLimits RateLimits
	// NoEmptyLists rejects empty arrays in bodies, as reported of
	// response_images. Default: false.
	NoEmptyLists bool
	// ResponseContentMax is the maximum length of a reply in characters, at most
	// 500. Older pages say 200. Default: 500.
	ResponseContentMax int
	// JumpLinks allows the merchant to put jump links into replies. Without it,
	// they fail with 403 NO_AUTH. Default: false.
	JumpLinks bool
	// AnyMediaID accepts media ids that are not from an upload. Default: false.
	AnyMediaID bool
	// PathInBody accepts complaint_id in a body too, as the samples of some
	// clients send it, if it equals that in the path. Default: false, an unknown
	// parameter.
	PathInBody bool

	// HistoryLag delays the appearance of records in negotiation-historys,
	// ListLag that of complaints in the list, and RefundLag that of refunds that
	// are read by their number. [Server.History], [Server.Complaints] and
	// [Server.Refunds] are not delayed. Default: 0.
	HistoryLag, ListLag, RefundLag time.Duration
	// VaryLag gives each record, complaint and refund its own lag, from 0 to the
	// one above, determined by Seed. A newer one may then appear before an older
	// one. Default: false.
	VaryLag bool
	// MaxPage is the maximum number of entries in a page of the list or the
	// history. Larger ones fail with ResultTooLarge. Default: 0, no limit.
	MaxPage int
	// ResultTooLarge is the error of a page over MaxPage. Default: 400
	// INVALID_REQUEST.
	ResultTooLarge Refusal
	// ListOldestFirst and HistoryOldestFirst reverse the order of pages. WeChat
	// Pay documents no order. Default: false, newest first.
	ListOldestFirst, HistoryOldestFirst bool

	// ListByChange sorts the list by the last change of each complaint: a new
	// record, or ChangeComplaint. Default: false, by filing.
	ListByChange bool
	// ListByLastFiling lists a complaint that was filed again under the date of
	// its last filing, and no longer under that of its first. complaint_time stays
	// the first. Default: false.
	ListByLastFiling bool
	// RefiledProcessing makes a complaint that is filed again PROCESSING. Default:
	// false, PENDING.
	RefiledProcessing bool
	// LenientComplaints makes AddComplaintJSON accept captured complaints: it
	// ignores null, and unknown members of nested objects. Other unknown members
	// are returned with the complaint. Default: false.
	LenientComplaints bool

	// RefundsArrive makes refunds reach the user as soon as they are accepted.
	// Default: false, they wait for [Server.SettleRefund].
	RefundsArrive bool
	// RefundRefusal is the error of every new refund, such as 403 NOT_ENOUGH.
	// Default: none.
	RefundRefusal Refusal

	// AutoNotify sends notifications, and retries of them, as soon as they are
	// due on the server's clock. Default: false, they wait for
	// [Server.DeliverDue].
	AutoNotify bool
	// NotifyOwnActions sends notifications about the merchant's own actions too.
	// Default: false.
	NotifyOwnActions bool
	// NotificationLoss is the share of notifications, from 0 to 1, that are never
	// sent. Seed determines which. Default: 0.
	NotificationLoss float64
	// NotifyTransport sends notifications. Default: one that only reaches
	// loopback, and accepts any TLS certificate there. [Server.Notify] is not
	// limited to loopback.
	NotifyTransport http.RoundTripper

	// Log is called after each request, before the response is sent, possibly
	// from several goroutines at once. Default: nil.
	Log func(Request)
}

// setDefaults sets the fields whose default is not their zero value. It panics
// if KeyMode or NotificationLoss is invalid.
func (b *Behavior) setDefaults() {
	if b.Time == nil {
		b.Time = time.Now
	}
	switch b.KeyMode {
	case "":
		b.KeyMode = KeyModeSwitching
	case KeyModeSwitching, KeyModePublicKey, KeyModeCertificate:
	default:
		panic(fmt.Sprintf("wechatpaytest: Behavior: unknown KeyMode %q", b.KeyMode))
	}
	if !(b.NotificationLoss >= 0 && b.NotificationLoss <= 1) {
		panic(fmt.Sprintf("wechatpaytest: Behavior: NotificationLoss must be from 0 to 1, got %v", b.NotificationLoss))
	}
	if b.ResponseContentMax == 0 {
		b.ResponseContentMax = 500
	}
	for r, def := range map[*Refusal]Refusal{
		&b.WrongState:       invalidRequest,
		&b.UnknownComplaint: notExists,
		&b.ResultTooLarge:   invalidRequest,
	} {
		if r.StatusCode == 0 {
			*r = def
		}
	}
}

// KeyMode selects the key that signs responses and notifications.
type KeyMode string

const (
	// KeyModeSwitching is a merchant that switches from platform certificates to
	// the public key. Responses are signed with the platform certificate if
	// Wechatpay-Serial is hexadecimal, otherwise with the public key.
	// Notifications are signed with the public key. Certificates can be
	// downloaded.
	KeyModeSwitching KeyMode = "switching"
	// KeyModePublicKey is a merchant that never had platform certificates. The
	// public key signs everything. Downloading certificates fails with 404
	// RESOURCE_NOT_EXISTS.
	KeyModePublicKey KeyMode = "public_key"
	// KeyModeCertificate is a merchant without a public key. The platform
	// certificate signs everything. A public key id in Wechatpay-Serial is
	// ignored.
	KeyModeCertificate KeyMode = "certificate"
)

// Refusal is the status and code of an error response.
type Refusal struct {
	StatusCode int
	Code       string
}
