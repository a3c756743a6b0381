package main

import (
	"context"
	"io"
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

// Nothing of the output changes from run to run: the number of the refund
// follows from complaint, order and round.
const output = `== First run. It dies when the refund has been sent, before the answer is there.
complaint 200201820200101080076610000 is PENDING: 商品与描述不符，要求退款
  picture 200201820200101080076610000-1 saved: image/png, 8 bytes
  phone 139****0000
  answered
  approved, to be refunded today
  dead. Refund crfab9daebfbfda1c2705b0b0faa06cb3aca6d8da3-1-1: nobody here knows whether it was accepted.

== Second run. It knows nothing of the first.
complaint 200201820200101080076610000 is PROCESSING: 商品与描述不符，要求退款
  picture 200201820200101080076610000-1 saved: image/png, 8 bytes
  phone 139****0000
  answered before
  approved before
  refund crfab9daebfbfda1c2705b0b0faa06cb3aca6d8da3-1-1 of 1000 fen is PROCESSING

== The money arrives. Third run.
complaint 200201820200101080076610000 is PROCESSED: 商品与描述不符，要求退款
  nothing is left to do

== What WeChat Pay has on record
  USER_CREATE_COMPLAINT
  MERCHANT_RESPONSE
  MERCHANT_APPROVE_REFUND
  COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE
  COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE
  refunds: 1
  crfab9daebfbfda1c2705b0b0faa06cb3aca6d8da3-1-1  1000 fen  SUCCESS
`

func TestOutput(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(context.Background(), &out))
	require.Equal(t, output, out.String())
}

func TestMask(t *testing.T) {
	for phone, want := range map[string]string{"13900000001": "139****0001", "+8613900000001": "+86****0001", "110": "****", "": "****"} {
		require.Equal(t, want, mask(phone))
	}
}

// killed runs the program until it dies at its n-th request, and tells whether
// it came so far.
func killed(t *testing.T, server *wechatpaytest.Server, n int, how death) bool {
	t.Helper()
	died := false
	err := process(context.Background(), server, t.TempDir(), io.Discard, func(request int, _ *http.Request) death {
		if request != n {
			return alive
		}
		died = true
		return how
	})
	if died {
		require.ErrorIs(t, err, context.Canceled)
	} else {
		require.NoError(t, err)
	}
	return died
}

// requireDoneOnce checks what took effect: each step once, and the right amount.
func requireDoneOnce(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	var types []wechatpay.OperateType
	for _, record := range server.History(complaintID) {
		types = append(types, record.OperateType)
	}
	require.Equal(t, []wechatpay.OperateType{
		wechatpay.OperateTypeUserCreateComplaint,
		wechatpay.OperateTypeMerchantResponse,
		wechatpay.OperateTypeMerchantApproveRefund,
		wechatpay.OperateTypeComplaintPartialRefundedSystemMessage,
		wechatpay.OperateTypeComplaintRefundReceivedSystemMessage,
	}, types)
	refunds := server.Refunds()
	require.Len(t, refunds, 1)
	require.EqualValues(t, 1000, refunds[0].Amount)
	complaint, _ := server.Complaint(complaintID)
	require.Equal(t, wechatpay.ComplaintStateProcessed, complaint.ComplaintState)
}

// finish starts the program anew, lets the money arrive, and starts it again.
func finish(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverDies))
	for _, refund := range server.Refunds() {
		if refund.Status == "PROCESSING" {
			require.NoError(t, server.SettleRefund(refund.OutRefundNo, "SUCCESS"))
		}
	}
	before := len(server.Requests())
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverDies))
	requireOnlyRead(t, server.Requests()[before:])
}

// requireOnlyRead checks that complaints were read, and nothing was done.
func requireOnlyRead(t *testing.T, requests []wechatpaytest.Request) {
	t.Helper()
	require.NotEmpty(t, requests)
	for _, request := range requests {
		require.Contains(t, request.String(), "GET /v3/merchant-service/complaints-v2")
	}
}

// Dead at any request, before and after it took effect: what was begun is
// finished by the next run, and nothing is done twice.
func TestKilledAtEveryRequest(t *testing.T) {
	for _, how := range []death{beforeSending, afterSending} {
		requests := 0
		for n := 1; ; n++ {
			server := newServer()
			died := killed(t, server, n, how)
			finish(t, server)
			requireDoneOnce(t, server)
			server.Close()
			if !died {
				break
			}
			requests = n
		}
		require.Greater(t, requests, 8, "list, picture, history, answer, approval, and those of the refund")
	}
}

// Dead twice in a row.
func TestKilledTwice(t *testing.T) {
	for n := 1; n <= 10; n++ {
		server := newServer()
		killed(t, server, 11-n, afterSending)
		killed(t, server, n, afterSending)
		finish(t, server)
		requireDoneOnce(t, server)
		server.Close()
	}
}

func TestLeftToAPerson(t *testing.T) {
	tests := map[string]func(*wechatpay.Complaint){
		"over the limit":       func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 5001 },
		"no amount":            func(c *wechatpay.Complaint) { c.ApplyRefundAmount = 0 },
		"not about a refund":   func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers },
		"finished by somebody": func(c *wechatpay.Complaint) { c.ComplaintState = wechatpay.ComplaintStateProcessed },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			server := newServer()
			defer server.Close()
			require.NoError(t, server.ChangeComplaint(complaintID, edit))
			require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverDies))
			require.Len(t, server.History(complaintID), 1)
			requireOnlyRead(t, server.Requests())
		})
	}
}

// WeChat Pay has paid the user: the desk does not.
func TestPaidByWeChatPay(t *testing.T) {
	server := newServer()
	defer server.Close()
	n := 0
	err := process(context.Background(), server, t.TempDir(), io.Discard, func(request int, req *http.Request) death {
		if strings.HasSuffix(req.URL.Path, "/update-refund-progress") {
			n = request
		}
		if n > 0 && request == n+1 {
			require.NoError(t, server.PlatformRefunds(complaintID))
		}
		return alive
	})
	var refused *wechatpay.RefundRefusedError
	require.ErrorAs(t, err, &refused)
	require.Empty(t, server.Refunds())
}

// A refund that fails is not tried again by itself.
func TestRefundThatFails(t *testing.T) {
	for status, want := range map[string]string{"CLOSED": "ask for attempt 2", "ABNORMAL": "in the merchant platform"} {
		server := newServer()
		require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, neverDies))
		require.NoError(t, server.SettleRefund(server.Refunds()[0].OutRefundNo, status))
		require.ErrorContains(t, process(context.Background(), server, t.TempDir(), io.Discard, neverDies), want)
		require.Len(t, server.Refunds(), 1)
		server.Close()
	}
}

// Filed again after it was paid: the second round is answered, approved and
// refunded by itself, with what is left of the order.
func TestSecondRound(t *testing.T) {
	server := newServer()
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

func TestPicturesAreSaved(t *testing.T) {
	server := newServer()
	defer server.Close()
	dir := t.TempDir()
	require.NoError(t, process(context.Background(), server, dir, io.Discard, neverDies))
	picture, err := os.ReadFile(filepath.Join(dir, complaintID+"-1"))
	require.NoError(t, err)
	require.Equal(t, "\x89PNG\r\n\x1a\n", string(picture))
}

// The user asks for more, and files again, once the list was read: what was
// listed is not what is decided on.
func TestChangedSinceItWasListed(t *testing.T) {
	server := newServer()
	defer server.Close()
	require.NoError(t, process(context.Background(), server, t.TempDir(), io.Discard, func(n int, _ *http.Request) death {
		if n == 2 {
			require.NoError(t, server.ChangeComplaint(complaintID, func(c *wechatpay.Complaint) {
				c.ApplyRefundAmount, c.ComplaintOrderInfo[0].Amount = 90_000, 90_000
			}))
		}
		return alive
	}))
	require.Len(t, server.History(complaintID), 1, "left to a person")
	require.Empty(t, server.Refunds())
}
