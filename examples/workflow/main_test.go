package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const output = `== First run: killed after sending the refund, before the response arrives
complaint 200201820200101080076610000 is PENDING: 商品与描述不符，要求退款
  saved image 200201820200101080076610000-1
  killed; ComplaintsV2.Resolve: REFUND: unknown outcome

== Second run: starts without any state
complaint 200201820200101080076610000 is PROCESSING: 商品与描述不符，要求退款
  saved image 200201820200101080076610000-1
  did [REPLY]; refund of 1000 fen is PROCESSING

== Third run: the refund has arrived
complaint 200201820200101080076610000 is PROCESSED: 商品与描述不符，要求退款

== Records of WeChat Pay
  USER_CREATE_COMPLAINT
  MERCHANT_APPROVE_REFUND
  COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE
  MERCHANT_RESPONSE
  COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE
  refunds: 1
`

func TestRun_output(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(context.Background(), &out))
	require.Equal(t, output, out.String())
}

// killAt runs the program until request n kills it. It reports whether that
// happened.
func killAt(t *testing.T, server *wechatpaytest.Server, n int, point killPoint) bool {
	t.Helper()
	killed := false
	err := process(context.Background(), server, t.TempDir(), io.Discard, func(request int, _ *http.Request) killPoint {
		if request != n {
			return notKilled
		}
		killed = true
		return point
	})
	if killed {
		require.ErrorIs(t, err, context.Canceled)
	} else {
		require.NoError(t, err)
	}
	return killed
}

// requireDoneOnce checks that each step was done once, with the right amount.
func requireDoneOnce(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	var types []wechatpay.OperateType
	for _, record := range server.History(complaintID) {
		types = append(types, record.OperateType)
	}
	require.Equal(t, []wechatpay.OperateType{
		wechatpay.OperateTypeUserCreateComplaint,
		wechatpay.OperateTypeMerchantApproveRefund,
		wechatpay.OperateTypeComplaintPartialRefundedSystemMessage,
		wechatpay.OperateTypeMerchantResponse,
		wechatpay.OperateTypeComplaintRefundReceivedSystemMessage,
	}, types)
	refunds := server.Refunds()
	require.Len(t, refunds, 1)
	require.EqualValues(t, 1000, refunds[0].Amount)
	complaint, _ := server.Complaint(complaintID)
	require.Equal(t, wechatpay.ComplaintStateProcessed, complaint.ComplaintState)
}

// finish runs the program, lets the refund arrive, and runs it again.
func finish(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverKilled))
	for _, refund := range server.Refunds() {
		if refund.Status == "PROCESSING" {
			require.NoError(t, server.SettleRefund(refund.OutRefundNo, "SUCCESS"))
		}
	}
	before := len(server.Requests())
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverKilled))
	requireOnlyRead(t, server.Requests()[before:])
}

// requireOnlyRead checks that the requests only read complaints.
func requireOnlyRead(t *testing.T, requests []wechatpaytest.Request) {
	t.Helper()
	require.NotEmpty(t, requests)
	for _, request := range requests {
		require.Contains(t, request.String(), "GET /v3/merchant-service/complaints-v2")
	}
}

// The program is killed at any request, before or after it is applied. The next
// run finishes the work and does nothing twice.
func TestProcess_killedAtEveryRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	server := newServer(complaintID)
	defer server.Close()
	require.False(t, killAt(t, server, 0, notKilled))
	requests := len(server.Requests())
	finish(t, server)
	requireDoneOnce(t, server)
	require.Greater(t, requests, 10, "list, detail, image, and those of Resolve")
	for point, name := range map[killPoint]string{beforeSending: "before", afterSending: "after"} {
		for n := 1; n <= requests; n++ {
			t.Run(fmt.Sprintf("%s request %d", name, n), func(t *testing.T) {
				t.Parallel()
				server := newServer(complaintID)
				defer server.Close()
				require.True(t, killAt(t, server, n, point))
				finish(t, server)
				requireDoneOnce(t, server)
			})
		}
	}
}

func TestProcess_killedTwice(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	for n := 1; n <= 10; n++ {
		t.Run(fmt.Sprintf("requests %d and %d", 11-n, n), func(t *testing.T) {
			t.Parallel()
			server := newServer(complaintID)
			defer server.Close()
			killAt(t, server, 11-n, afterSending)
			killAt(t, server, n, afterSending)
			finish(t, server)
			requireDoneOnce(t, server)
		})
	}
}

func TestDesk_work_manualHandling(t *testing.T) {
	tests := map[string]func(*wechatpay.Complaint){
		"over the limit":     func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 5001 },
		"no amount":          func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 0 },
		"not about a refund": func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers },
		"already finished":   func(c *wechatpay.Complaint) { c.ComplaintState = wechatpay.ComplaintStateProcessed },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer(complaintID)
			defer server.Close()
			require.NoError(t, server.ChangeComplaint(complaintID, edit))
			require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverKilled))
			require.Len(t, server.History(complaintID), 1)
			requireOnlyRead(t, server.Requests())
		})
	}
}

// If WeChat Pay refunds the user meanwhile, the desk does not.
func TestDesk_work_refundedByPlatform(t *testing.T) {
	server := newServer(complaintID)
	defer server.Close()
	n := 0
	err := process(context.Background(), server, t.TempDir(), io.Discard, func(request int, req *http.Request) killPoint {
		if strings.HasSuffix(req.URL.Path, "/update-refund-progress") {
			n = request
		}
		if n > 0 && request == n+1 {
			require.NoError(t, server.PlatformRefunds(complaintID))
		}
		return notKilled
	})
	var rejected *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &rejected)
	require.Empty(t, server.Refunds())
}

// A failed refund is not retried automatically.
func TestDesk_work_refundFails(t *testing.T) {
	for status, want := range map[string]string{"CLOSED": "set Attempt: 2", "ABNORMAL": "in the merchant platform"} {
		server := newServer(complaintID)
		require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverKilled))
		require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, status))
		require.ErrorContains(t, process(context.Background(), server, t.TempDir(), io.Discard, neverKilled), want)
		require.Len(t, server.Refunds(), 1)
		server.Close()
	}
}

// A second round is replied to, approved and refunded separately.
func TestDesk_work_secondRound(t *testing.T) {
	server := newServer(complaintID)
	defer server.Close()
	finish(t, server)
	server.Advance(90 * time.Second) // partial refunds of an order are a minute apart
	require.NoError(t, server.UserContinues(complaintID))
	require.NoError(t, server.ChangeComplaint(complaintID, func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 500 }))
	finish(t, server)
	refunds := server.Refunds()
	require.Len(t, refunds, 2)
	require.EqualValues(t, 500, refunds[1].Amount)
	require.NotEqual(t, refunds[0].OutRefundNo, refunds[1].OutRefundNo)
}

// Images are saved inside the directory, whatever the complaint is called.
func TestDesk_saveImages(t *testing.T) {
	for _, id := range []string{complaintID, "../../outside", `..\..\outside`, "/etc/outside", "a b%2F..", "..."} {
		t.Run(id, func(t *testing.T) {
			server := newServer(id)
			defer server.Close()
			parent := t.TempDir()
			dir := filepath.Join(parent, "a", "b")
			require.NoError(t, os.MkdirAll(dir, 0o700))
			require.NoError(t, process(context.Background(), server, dir, io.Discard, neverKilled))
			var files []string
			require.NoError(t, filepath.WalkDir(parent, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					files = append(files, path)
				}
				return err
			}))
			require.Len(t, files, 1)
			require.Equal(t, dir, filepath.Dir(files[0]))
			image, err := os.ReadFile(files[0])
			require.NoError(t, err)
			require.Equal(t, "\x89PNG\r\n\x1a\n", string(image))
			require.Len(t, server.Refunds(), 1)
		})
	}
}

// The desk decides on the current complaint, not on the listed one: here the user
// raises the amount after the list was read.
func TestDesk_work_changedAfterList(t *testing.T) {
	server := newServer(complaintID)
	defer server.Close()
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, func(n int, _ *http.Request) killPoint {
		if n == 2 {
			require.NoError(t, server.ChangeComplaint(complaintID, func(c *wechatpay.Complaint) {
				c.ApplyRefundAmount, c.ComplaintOrderInfo[0].Amount = 90_000, 90_000
			}))
		}
		return notKilled
	}))
	require.Len(t, server.History(complaintID), 1, "needs manual handling")
	require.Empty(t, server.Refunds())
}
