package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

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
