package main

import (
	"context"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestControl_changeBehavior(t *testing.T) {
	dir := t.TempDir()
	m := start(t, "-dir", dir)
	before := ok[behavior](t, m, 200, "GET", "/_mock/behavior", "")
	require.Equal(t, "switching", string(before.KeyMode))
	require.True(t, before.PathInBody)

	want := before
	want.SubMchIDs = []string{"1900000002", "1900000003"}
	want.WrongState.Code = "PARAM_ERROR"
	want.TrustedOnly, want.RefundsArrive, want.JumpLinks, want.AnyMediaID = true, true, true, true
	want.ListOldestFirst, want.HistoryOldestFirst, want.NotifyOwnActions = true, true, true
	want.UnknownComplaint = refusal{403, "NO_AUTH"}
	want.ResultTooLarge = refusal{400, "PARAM_ERROR"}
	want.RefundRefusal = refusal{403, "NOT_ENOUGH"}
	want.ListLagMS, want.RefundLagMS, want.VaryLag = 2500, 3500, true
	want.HistoryLagMS, want.MaxPage, want.ResponseContentMax, want.Seed = 1500, 20, 200, 9
	want.KeyMode, want.PathInBody = "public_key", false
	want.CompleteNeedsReply, want.NoEmptyLists, want.RefiledProcessing = true, true, true
	want.ListByChange, want.ListByLastFiling, want.LenientComplaints = true, true, true
	want.NotificationLoss, want.RateLimits = 0.25, rateLimits{200, 201, 60, 61, 1500}
	body, err := json.Marshal(want)
	require.NoError(t, err)
	require.Equal(t, want, ok[behavior](t, m, 200, "PATCH", "/_mock/behavior", string(body)), "every field can be set")
	require.Equal(t, want, ok[behavior](t, m, 200, "GET", "/_mock/behavior", ""))

	// Omitted fields stay unchanged, also within an object.
	want.TrustedOnly, want.SubMchIDs, want.WrongState.StatusCode = false, []string{}, 409
	want.CompleteNeedsReply, want.RateLimits.List = false, 1
	require.Equal(t, want, ok[behavior](t, m, 200, "PATCH", "/_mock/behavior",
		`{"trusted_only":false,"sub_mchids":[],"wrong_state":{"status":409},"complete_needs_reply":false,"rate_limits":{"list":1}}`))

	// Requests see the new behavior.
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1"}`)
	client, ctx := newClient(t, dir), context.Background()
	require.NoError(t, client.ComplaintsV2.Complete(ctx, "1", nil))
	var rejected *wechatpay.APIError
	require.ErrorAs(t, client.ComplaintsV2.Complete(ctx, "1", nil), &rejected)
	require.Equal(t, 409, rejected.StatusCode)
	require.Equal(t, wechatpay.ErrorCodeParamError, rejected.Code)
}

// Every field of wechatpaytest.Behavior can be set, except those listed here.
func TestBehavior_hasAllFields(t *testing.T) {
	var names []string
	for _, field := range reflect.VisibleFields(reflect.TypeFor[behavior]()) {
		names = append(names, strings.TrimSuffix(field.Name, "MS"))
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[wechatpaytest.Behavior]()) {
		switch field.Name {
		case "Time", "WireTime", "NotifyTransport", "Log": // functions
		default:
			require.Contains(t, names, field.Name)
		}
	}
}

func TestBehavior_documented(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, comment, _ := strings.Cut(string(source), "// The behavior has the fields of ")
	comment, _, _ = strings.Cut(comment, "// One default")
	for _, structure := range []any{new(behavior), new(rateLimits), new(refusal)} {
		for _, name := range fieldNames(structure) {
			require.Regexp(t, `\b`+name+`\b`, comment)
		}
	}
}
