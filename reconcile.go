package wechatpay

import (
	"context"
	"fmt"
	"time"
)

// This file finds out what became of a write whose outcome is unknown, by
// reading. The proof is a record in the complaint's negotiation history.

// lookUpDecision finds out whether a decision stands.
func (s *ComplaintsV2Service) lookUpDecision(ctx context.Context, complaintID string, action RefundAction, started, ended time.Time) (verdict, error) {
	own, opposite := OperateTypeMerchantApproveRefund, OperateTypeMerchantRefuseRefund
	if action == RefundReject {
		own, opposite = opposite, own
	}
	return s.lookUp(ctx, complaintID, started, ended, func(since recorded) (verdict, error) {
		refiled := since[OperateTypeUserContinueComplaint]
		switch {
		case since[own].After(refiled):
			return stands, nil
		// A new round: what was decided before it may be this decision, or that
		// of a round before; and nothing is sent into it.
		case !refiled.IsZero():
			return unproved, fmt.Errorf("the user has filed the complaint again since the call began")
		case !since[opposite].IsZero():
			return overruled, fmt.Errorf("the opposite decision stands: %s is in the negotiation history since the call began", opposite)
		}
		return absent, nil
	})
}

// lookUpCompletion finds out whether a complaint was completed. It never proves
// that it was not.
func (s *ComplaintsV2Service) lookUpCompletion(ctx context.Context, complaintID string, started, ended time.Time) (verdict, error) {
	found, err := s.lookUp(ctx, complaintID, started, ended, func(since recorded) (verdict, error) {
		if since[OperateTypeMerchantConfirmComplete].IsZero() {
			return absent, nil
		}
		complaint, err := s.Get(ctx, complaintID)
		if err != nil || complaint.ComplaintState != ComplaintStateProcessed {
			return unproved, err
		}
		return stands, nil
	})
	if found == absent {
		return unproved, nil
	}
	return found, err
}

// recorded are the operations since a call began, each with its latest time.
type recorded map[OperateType]time.Time

// lookUp reads the history until judge finds something in it, or finds nothing
// twice: the second time not before the history has had RetryPolicy.Settle to
// show what the last attempt did.
func (s *ComplaintsV2Service) lookUp(ctx context.Context, complaintID string, started, ended time.Time, judge func(recorded) (verdict, error)) (verdict, error) {
	retry := &s.client.retry
	ctx, cancel := context.WithTimeout(ctx, retry.Settle+retry.AttemptTimeout)
	defer cancel()
	for again := false; ; again = true {
		since, err := s.since(ctx, complaintID, started)
		if err != nil {
			return unproved, fmt.Errorf("looking whether it stands: %w", err)
		}
		if found, err := judge(since); found != absent || again {
			return found, err
		}
		if !sleep(ctx, time.Until(ended.Add(retry.Settle))) {
			return unproved, fmt.Errorf("it is not in the negotiation history yet, and there is no time to look again: %w", context.DeadlineExceeded)
		}
	}
}

// since reads the whole negotiation history for what was done since a call
// began. Records bear the service's time, and this machine's clock may be off by
// minutes: so the beginning is told by the time at which the service signed the
// first page, less what has passed here since. 2 s are added, because records
// may hold whole seconds.
func (s *ComplaintsV2Service) since(ctx context.Context, complaintID string, started time.Time) (recorded, error) {
	var begin time.Time
	since := make(recorded)
	var failed error
	p := historyPager(func(limit, offset int) ([]NegotiationRecord, int, error) {
		page, signedAt, err := s.history(ctx, "ComplaintsV2.NegotiationHistory", complaintID, limit, offset)
		if err != nil {
			return nil, 0, err
		}
		if begin.IsZero() {
			begin = signedAt.Add(-time.Since(started) - 2*time.Second)
		}
		return page.Data, page.TotalCount, nil
	})
	p.walk(ctx, func(record *NegotiationRecord, err error) bool {
		if err != nil {
			failed = err
			return false
		}
		if !record.OperateTime.Before(begin) && record.OperateTime.After(since[record.OperateType]) {
			since[record.OperateType] = record.OperateTime
		}
		return true
	})
	return since, failed
}
