package wechatpaytest

import (
	"fmt"
	"net/http"
	"time"
)

// Behavior is what a [Server] does where WeChat Pay's documents leave a choice
// or are silent, and what a test wants to fix. [Server.Configure] changes it.
// NewServer begins with the values in brackets.
type Behavior struct {
	// Time is the server's clock, before [Server.Advance] moves it [time.Now].
	// What happens to complaints and refunds, links, and the retries of
	// notifications go by it.
	Time func() time.Time
	// WireTime is the clock of what clients check by theirs: the timestamps of
	// requests, answers and notifications, the Date of answers, certificates
	// [nil: the server's clock]. With time.Now, clients that do not follow the
	// server's clock go on after Advance.
	WireTime func() time.Time
	// Seed is what ids are made from, together with what they name or how many
	// came before: equal seeds and an equal course of events give equal ids
	// [random]. Nonces, keys and ciphertexts are random always.
	Seed uint64

	// KeyMode says which key signs [KeyModeSwitching].
	KeyMode KeyMode
	// SubMchIDs makes the merchant a service provider for these sub-merchants:
	// their complaints are its own, and refunds need sub_mchid [none: an
	// ordinary merchant].
	SubMchIDs []string

	// WrongState answers a second decision of a round, a decision on a
	// complaint that is finished or refunded, and a second completion [400
	// INVALID_REQUEST]. The other value that a merchant may meet is 400
	// PARAM_ERROR.
	WrongState Refusal
	// UnknownComplaint answers for a complaint_id that nobody filed [404
	// RESOURCE_NOT_EXISTS].
	UnknownComplaint Refusal
	// TrustedOnly takes decisions only on complaints with the user tag TRUSTED [false].
	TrustedOnly bool
	// ResponseContentMax is how many characters a reply may have, 500 at most
	// [500, as the newest page says; older pages: 200].
	ResponseContentMax int
	// JumpLinks says that the merchant is on the list of those who may put jump
	// links into replies; others get 403 NO_AUTH [false].
	JumpLinks bool
	// AnyMediaID takes media ids that no upload of this server returned [false].
	AnyMediaID bool

	// PathInBody takes a body that repeats the parameter of the path,
	// complaint_id, with the same value [false: it is an unknown member]. The
	// samples of some clients do that; the documents have it in the path alone.
	PathInBody bool

	// HistoryLag is how long after it took effect a record appears in the
	// negotiation history of endpoint 3 [0]. [Server.History] always shows it
	// at once.
	HistoryLag time.Duration
	// MaxPage is how many entries the list and the history give in one page
	// before they refuse it as too large [0: no bound].
	MaxPage int
	// ResultTooLarge is that refusal [400 INVALID_REQUEST].
	ResultTooLarge Refusal
	// ListOldestFirst and HistoryOldestFirst turn the order of pages around
	// [false: newest first]. WeChat Pay documents no order.
	ListOldestFirst, HistoryOldestFirst bool

	// RefundsArrive lets refunds reach the user as soon as they are accepted
	// [false: when the test calls [Server.SettleRefund]].
	RefundsArrive bool
	// RefundRefusal refuses every new refund, for instance with 403 NOT_ENOUGH [none].
	RefundRefusal Refusal

	// AutoNotify sends notifications by themselves, and again by the retry
	// schedule on the server's clock [false: when the test calls
	// [Server.DeliverDue]].
	AutoNotify bool
	// NotifyOwnActions sends notifications about the merchant's own actions too [false].
	NotifyOwnActions bool
	// NotifyTransport sends notifications [nil: a transport that reaches
	// loopback only, so that a test never leaves its machine, and does not ask
	// who signed the receiver's TLS certificate. [Server.Notify], which names
	// its URL, is not so bound].
	NotifyTransport http.RoundTripper

	// Log is called after each request, before its answer is sent; it may be
	// called from several goroutines at once [nil]. Its String is made for
	// t.Log.
	Log func(Request)
}

// fillIn gives fields that cannot be zero their first value.
func (b *Behavior) setDefaults() {
	if b.Time == nil {
		b.Time = time.Now
	}
	switch b.KeyMode {
	case "":
		b.KeyMode = KeyModeSwitching
	case KeyModeSwitching, KeyModePublicKey, KeyModeCertificate:
	default:
		panic(fmt.Sprintf("wechatpaytest: there is no KeyMode %q", b.KeyMode))
	}
	if b.ResponseContentMax == 0 {
		b.ResponseContentMax = 500
	}
	for apiError, first := range map[*Refusal]Refusal{
		&b.WrongState:       invalidRequest,
		&b.UnknownComplaint: notExists,
		&b.ResultTooLarge:   invalidRequest,
	} {
		if apiError.StatusCode == 0 {
			*apiError = first
		}
	}
}

// KeyMode says which key signs answers and notifications.
type KeyMode string

const (
	// KeyModeSwitching is a merchant that switches from platform certificates
	// to the public key: an answer is signed as the request's Wechatpay-Serial
	// asks, by the current platform certificate for a hexadecimal serial
	// number, by the public key for everything else. Notifications are signed
	// by the public key. Certificates can be downloaded.
	KeyModeSwitching KeyMode = "switching"
	// KeyModePublicKey is a merchant that only ever had the public key: it
	// signs everything, and the certificates are 404 RESOURCE_NOT_EXISTS.
	KeyModePublicKey KeyMode = "public_key"
	// KeyModeCertificate is a merchant that has not switched: the platform
	// certificate signs everything, and a public key id in the request is
	// ignored.
	KeyModeCertificate KeyMode = "certificate"
)

// Refusal is the status and the code of an error answer.
type Refusal struct {
	StatusCode int
	Code       string
}
