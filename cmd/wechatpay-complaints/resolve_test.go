package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func TestResolve_approve(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	args := []string{"resolve", id, "approve", "--yes", "--reply", "您好", "--amount", "6.00"}
	got := run(t, env, args...)
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Regexp(t, `^The refund request was approved\.\nThe refund was created\.\nThe reply was sent\.\n`+
		`Refund cr[0-9a-f]{40}-1-1 of 6\.00 yuan is PROCESSING\.\nWaiting for the refund to arrive: .*\n$`, got.stdout)
	got = run(t, env, args...)
	require.Regexp(t, `^Refund .* is PROCESSING\.\nWaiting .*\n$`, got.stdout)

	require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, "ABNORMAL"))
	got = run(t, env, args...)
	require.Regexp(t, `^Refund .* is ABNORMAL\.\nThe bank rejected the refund: .*\n$`, got.stdout)
	require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, "SUCCESS"))
	got = run(t, env, args...)
	require.Regexp(t, `^Refund .* is SUCCESS\.\nThe complaint is resolved\.\n$`, got.stdout)
	require.Len(t, server.Refunds(), 1)
}

func TestResolve_reject(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	got := run(t, env, "resolve", id, "reject", "--yes", "--reason", "已使用", "--reply", "您好")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Equal(t, "The refund request was rejected.\nThe reply was sent.\nThe complaint is resolved.\n", got.stdout)

	// The opposite decision is a conflict.
	got = run(t, env, "resolve", id, "approve", "--yes")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "the refund was rejected in this round")
}

func TestResolve_decisionNotTaken(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	require.NoError(t, server.ChangeComplaint(id, func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers }))
	got := run(t, env, "resolve", id, "approve", "--yes", "--reply", "您好")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "set --amount")
	require.Empty(t, applied(server))
	got = run(t, env, "resolve", id, "approve", "--yes", "--reply", "您好", "--amount", "300fen")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, "The complaint was completed.\n")
	require.Contains(t, got.stdout, "The complaint is resolved.\n")
}

func TestResolve_closedRefund(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	require.Equal(t, exitDone, run(t, env, "resolve", id, "approve", "--yes").status)
	require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, "CLOSED"))
	got := run(t, env, "resolve", id, "approve", "--yes")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stderr, "increase --attempt by 1")
}

func TestResolve_confirm(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	no := func(_ *exec.Cmd, terminal *os.File) { _, _ = terminal.WriteString("n\n") }
	for args, want := range map[string]string{
		"approve --reply 您好":  `Approve the refund request. Refund 10.00 yuan. Reply to the user "您好"? [y/N]`,
		"approve --round 1":   `Approve the refund request. Refund 10.00 yuan for round 1? [y/N]`,
		"reject --reason 已使用": `Reject the refund request: 已使用? [y/N]`,
	} {
		status, shown := onTerminal(t, env, no, append([]string{"resolve", id}, strings.Fields(args)...)...)
		require.Equal(t, exitFailed, status, shown)
		require.Contains(t, shown, want)
	}
	require.Empty(t, applied(server))
	got := run(t, env, "resolve", id, "approve")
	require.Equal(t, exitUsage, got.status)
	require.Contains(t, got.stderr, "cannot prompt")
}

func TestResolve_usage(t *testing.T) {
	server := newServer(t)
	env := settings(t, server.Config())
	for want, args := range map[string][]string{
		`unknown action "pay"`:             {"pay"},
		"missing required flag --reason":   {"reject"},
		"--reason requires reject":         {"approve", "--reason", "a"},
		"--order and --attempt require":    {"reject", "--reason", "a", "--amount", "1.00"},
		"missing argument approve|reject":  {},
		"Round: must be 0 or more, got -1": {"approve", "--yes", "--round", "-1"},
	} {
		got := run(t, env, append([]string{"resolve", id}, args...)...)
		require.Equal(t, exitUsage, got.status, got.stderr)
		require.Contains(t, got.stderr, want)
	}
	require.Empty(t, applied(server))
}

func TestResolve_unknownOutcome(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	server.AddFault(wechatpaytest.Fault{Path: "/response", Kind: wechatpaytest.FaultLostResponse})
	got := run(t, env, "resolve", id, "approve", "--yes", "--reply", "您好")
	require.Equal(t, exitUnknown, got.status, got.stderr)
	require.Contains(t, got.stderr, "ComplaintsV2.Resolve: REPLY: outcome unknown")
	require.Contains(t, got.stderr, "run the command again with --round 1 --amount 1000fen: steps that are done are not repeated")
	got = run(t, env, "resolve", id, "approve", "--yes", "--reply", "您好", "--round", "1", "--amount", "1000fen")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Len(t, server.Refunds(), 1)
}
