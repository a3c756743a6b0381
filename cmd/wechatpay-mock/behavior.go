package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// behavior is wechatpaytest.Behavior without the fields that JSON cannot represent.
type behavior struct {
	Seed               uint64                `json:"seed"`
	KeyMode            wechatpaytest.KeyMode `json:"key_mode"`
	SubMchIDs          []string              `json:"sub_mchids"`
	WrongState         refusal               `json:"wrong_state"`
	UnknownComplaint   refusal               `json:"unknown_complaint"`
	TrustedOnly        bool                  `json:"trusted_only"`
	CompleteNeedsReply bool                  `json:"complete_needs_reply"`
	RateLimits         rateLimits            `json:"rate_limits"`
	NoEmptyLists       bool                  `json:"no_empty_lists"`
	ResponseContentMax int                   `json:"response_content_max"`
	JumpLinks          bool                  `json:"jump_links"`
	AnyMediaID         bool                  `json:"any_media_id"`
	PathInBody         bool                  `json:"path_in_body"`
	HistoryLagMS       int64                 `json:"history_lag_ms"`
	ListLagMS          int64                 `json:"list_lag_ms"`
	RefundLagMS        int64                 `json:"refund_lag_ms"`
	VaryLag            bool                  `json:"vary_lag"`
	MaxPage            int                   `json:"max_page"`
	ResultTooLarge     refusal               `json:"result_too_large"`
	ListOldestFirst    bool                  `json:"list_oldest_first"`
	HistoryOldestFirst bool                  `json:"history_oldest_first"`
	ListByChange       bool                  `json:"list_by_change"`
	ListByLastFiling   bool                  `json:"list_by_last_filing"`
	RefiledProcessing  bool                  `json:"refiled_processing"`
	LenientComplaints  bool                  `json:"lenient_complaints"`
	RefundsArrive      bool                  `json:"refunds_arrive"`
	RefundRefusal      refusal               `json:"refund_refusal"`
	AutoNotify         bool                  `json:"auto_notify"`
	NotifyOwnActions   bool                  `json:"notify_own_actions"`
	NotificationLoss   float64               `json:"notification_loss"`
}

type rateLimits struct {
	List     int `json:"list"`
	History  int `json:"history"`
	Reply    int `json:"reply"`
	Upload   int `json:"upload"`
	Complete int `json:"complete"`
}

type refusal struct {
	StatusCode int    `json:"status"`
	Code       string `json:"code"`
}

func behaviorOf(b *wechatpaytest.Behavior) behavior {
	return behavior{
		Seed:               b.Seed,
		KeyMode:            b.KeyMode,
		SubMchIDs:          append([]string{}, b.SubMchIDs...), // a copy, because JSON is decoded into it
		WrongState:         refusal(b.WrongState),
		UnknownComplaint:   refusal(b.UnknownComplaint),
		TrustedOnly:        b.TrustedOnly,
		CompleteNeedsReply: b.CompleteNeedsReply,
		RateLimits:         rateLimits(b.RateLimits),
		NoEmptyLists:       b.NoEmptyLists,
		ResponseContentMax: b.ResponseContentMax,
		JumpLinks:          b.JumpLinks,
		AnyMediaID:         b.AnyMediaID,
		PathInBody:         b.PathInBody,
		HistoryLagMS:       b.HistoryLag.Milliseconds(),
		ListLagMS:          b.ListLag.Milliseconds(),
		RefundLagMS:        b.RefundLag.Milliseconds(),
		VaryLag:            b.VaryLag,
		MaxPage:            b.MaxPage,
		ResultTooLarge:     refusal(b.ResultTooLarge),
		ListOldestFirst:    b.ListOldestFirst,
		HistoryOldestFirst: b.HistoryOldestFirst,
		ListByChange:       b.ListByChange,
		ListByLastFiling:   b.ListByLastFiling,
		RefiledProcessing:  b.RefiledProcessing,
		LenientComplaints:  b.LenientComplaints,
		RefundsArrive:      b.RefundsArrive,
		RefundRefusal:      refusal(b.RefundRefusal),
		AutoNotify:         b.AutoNotify,
		NotifyOwnActions:   b.NotifyOwnActions,
		NotificationLoss:   b.NotificationLoss,
	}
}

// apply sets these fields of the server's behavior and keeps the others.
func (b behavior) apply(to *wechatpaytest.Behavior) {
	to.Seed = b.Seed
	to.KeyMode = b.KeyMode
	to.SubMchIDs = b.SubMchIDs
	to.WrongState = wechatpaytest.Refusal(b.WrongState)
	to.UnknownComplaint = wechatpaytest.Refusal(b.UnknownComplaint)
	to.TrustedOnly = b.TrustedOnly
	to.CompleteNeedsReply = b.CompleteNeedsReply
	to.RateLimits = wechatpaytest.RateLimits(b.RateLimits)
	to.NoEmptyLists = b.NoEmptyLists
	to.ResponseContentMax = b.ResponseContentMax
	to.JumpLinks = b.JumpLinks
	to.AnyMediaID = b.AnyMediaID
	to.PathInBody = b.PathInBody
	to.HistoryLag = time.Duration(b.HistoryLagMS) * time.Millisecond
	to.ListLag = time.Duration(b.ListLagMS) * time.Millisecond
	to.RefundLag = time.Duration(b.RefundLagMS) * time.Millisecond
	to.VaryLag = b.VaryLag
	to.MaxPage = b.MaxPage
	to.ResultTooLarge = wechatpaytest.Refusal(b.ResultTooLarge)
	to.ListOldestFirst = b.ListOldestFirst
	to.HistoryOldestFirst = b.HistoryOldestFirst
	to.ListByChange = b.ListByChange
	to.ListByLastFiling = b.ListByLastFiling
	to.RefiledProcessing = b.RefiledProcessing
	to.LenientComplaints = b.LenientComplaints
	to.RefundsArrive = b.RefundsArrive
	to.RefundRefusal = wechatpaytest.Refusal(b.RefundRefusal)
	to.AutoNotify = b.AutoNotify
	to.NotifyOwnActions = b.NotifyOwnActions
	to.NotificationLoss = b.NotificationLoss
}

func (b behavior) check() error {
	modes := []wechatpaytest.KeyMode{wechatpaytest.KeyModeSwitching, wechatpaytest.KeyModePublicKey, wechatpaytest.KeyModeCertificate}
	switch {
	case !slices.Contains(modes, b.KeyMode):
		return fmt.Errorf("key_mode must be %s, %s or %s, got %q", modes[0], modes[1], modes[2], b.KeyMode)
	case b.ResponseContentMax < 1:
		return fmt.Errorf("response_content_max must be at least 1, got %d", b.ResponseContentMax)
	case b.MaxPage < 0:
		return fmt.Errorf("max_page must be 0 or more, got %d", b.MaxPage)
	case b.NotificationLoss < 0 || b.NotificationLoss > 1:
		return fmt.Errorf("notification_loss must be from 0 to 1, got %v", b.NotificationLoss)
	}
	for name, lag := range map[string]int64{
		"history_lag_ms": b.HistoryLagMS,
		"list_lag_ms":    b.ListLagMS,
		"refund_lag_ms":  b.RefundLagMS,
	} {
		if lag < 0 || lag > maxDelay.Milliseconds() {
			return fmt.Errorf("%s must be from 0 to %d, got %d", name, maxDelay.Milliseconds(), lag)
		}
	}
	for name, limit := range map[string]int{
		"list":     b.RateLimits.List,
		"history":  b.RateLimits.History,
		"reply":    b.RateLimits.Reply,
		"upload":   b.RateLimits.Upload,
		"complete": b.RateLimits.Complete,
	} {
		if limit < 0 {
			return fmt.Errorf("rate_limits.%s must be 0 (none) or more, got %d", name, limit)
		}
	}
	for _, r := range []struct {
		name string
		refusal
		optional bool
	}{
		{"wrong_state", b.WrongState, false},
		{"unknown_complaint", b.UnknownComplaint, false},
		{"result_too_large", b.ResultTooLarge, false},
		{"refund_refusal", b.RefundRefusal, true},
	} {
		if r.optional && r.refusal == (refusal{}) {
			continue
		}
		if r.StatusCode < 400 || r.StatusCode > 599 || r.Code == "" {
			return fmt.Errorf("%s must have a status from 400 to 599 and a code, got status %d and code %q", r.name, r.StatusCode, r.Code)
		}
	}
	return nil
}

func (c *control) behavior(*http.Request) (int, any, error) {
	var current behavior
	c.server.Configure(func(b *wechatpaytest.Behavior) { current = behaviorOf(b) })
	return http.StatusOK, current, nil
}

func (c *control) changeBehavior(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	var current behavior
	c.server.Configure(func(b *wechatpaytest.Behavior) {
		current = behaviorOf(b)
		if err = decodeJSON(data, &current); err != nil {
			return
		}
		if err = current.check(); err == nil {
			current.apply(b)
		}
	})
	return http.StatusOK, current, err
}
