package wechatpay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Lookups of decisions and completions whose outcome is unknown. The evidence
// is a record in the negotiation history. The results:
//
//	applied       the history shows this write since the call began
//	notApplied    it shows neither this write nor the opposite, twice
//	superseded    it shows the opposite decision since the call began
//	undetermined  anything else: the outcome stays unknown

// lookUpDecision finds out whether a decision was applied.
func (s *ComplaintsV2Service) lookUpDecision(
	ctx context.Context, complaintID string, action RefundAction, sent *attempts,
) (lookupResult, error) {
	own, opposite := OperateTypeMerchantApproveRefund, OperateTypeMerchantRefuseRefund
	if action == RefundReject {
		own, opposite = opposite, own
	}
	return s.lookUp(ctx, complaintID, sent, func(since, before operations) (lookupResult, error) {
		refiled := since[OperateTypeUserContinueComplaint]
		switch {
		case !since[own].IsZero() && !since[own].Before(refiled): // equal times: some are whole seconds
			return applied, nil
		// A new round. A decision before it may be this one or an older one.
		case !refiled.IsZero():
			return undetermined, errors.New("the user filed the complaint again during the call, or shortly before")
		case !since[opposite].IsZero():
			return superseded, fmt.Errorf("the opposite decision was applied: the history shows %s", opposite)
		// This decision, if the clock of the records is behind; else a colleague's.
		case before[own].After(before[OperateTypeUserContinueComplaint]):
			return undetermined, errors.New("the history shows the same decision shortly before the call")
		}
		return notApplied, nil
	})
}

// lookUpCompletion finds out whether a complaint was completed. It cannot show
// that it was not.
func (s *ComplaintsV2Service) lookUpCompletion(
	ctx context.Context, complaintID string, sent *attempts,
) (lookupResult, error) {
	result, err := s.lookUp(ctx, complaintID, sent, func(since, _ operations) (lookupResult, error) {
		if since[OperateTypeMerchantConfirmComplete].IsZero() {
			return notApplied, nil
		}
		complaint, err := s.get(ctx, sent.op, complaintID)
		if err != nil || complaint.ComplaintState != ComplaintStateProcessed {
			return undetermined, err
		}
		return applied, nil
	})
	if result == notApplied {
		return undetermined, nil
	}
	return result, err
}

// operations maps each operation to the latest time it was recorded.
type operations map[OperateType]time.Time

func (o operations) add(record *operationRecord) {
	if at := time.Time(record.OperateTime); at.After(o[record.OperateType]) {
		o[record.OperateType] = at
	}
}

// operationRecord is the part of a NegotiationRecord that lookups use. An odd
// field elsewhere in a record must not hide a decision.
type operationRecord struct {
	LogID       string      `json:"log_id"`
	OperateType OperateType `json:"operate_type"`
	OperateTime emptyOrTime `json:"operate_time"`
}

// lookUp reads the history until judge finds something, or finds nothing twice:
// the second time after RetryPolicy.HistoryLag.
func (s *ComplaintsV2Service) lookUp(
	ctx context.Context, complaintID string, sent *attempts, judge func(since, before operations) (lookupResult, error),
) (lookupResult, error) {
	retry := &s.client.retry
	ctx, cancel := context.WithTimeout(ctx, retry.HistoryLag+retry.AttemptTimeout)
	defer cancel()
	for again := false; ; again = true {
		since, before, err := s.operations(ctx, complaintID, sent)
		if err != nil {
			return undetermined, fmt.Errorf("lookup: %w", err)
		}
		if result, err := judge(since, before); result != notApplied || again {
			return result, err
		}
		if err := s.client.waitHistoryLag(ctx, sent.ended); err != nil {
			return undetermined, err
		}
	}
}

// waitHistoryLag waits until RetryPolicy.HistoryLag has passed since the last
// attempt ended.
func (c *Client) waitHistoryLag(ctx context.Context, ended time.Time) error {
	if sleep(ctx, time.Until(ended.Add(c.retry.HistoryLag))) {
		return nil
	}
	err := cmp.Or(ctx.Err(), context.DeadlineExceeded)
	return fmt.Errorf("not visible yet, and no time to look it up again: %w", err)
}

// operations reads the negotiation history for what was done since a call began
// and in the 5 minutes before. Records carry WeChat Pay's time, and this
// machine's clock may be wrong, so the start of the call is computed from the
// time at which WeChat Pay signed the first page. 2 s are subtracted because
// records may have whole seconds.
func (s *ComplaintsV2Service) operations(
	ctx context.Context, complaintID string, sent *attempts,
) (since, before operations, err error) {
	var begin time.Time
	since, before = make(operations), make(operations)
	read := func(limit, offset int) (*historyPage[operationRecord], error) {
		page, err := readHistory[operationRecord](ctx, s.client, sent.op, complaintID, limit, offset)
		if err == nil && begin.IsZero() {
			begin = page.signedAt.Add(-elapsed(sent.started) - 2*time.Second)
		}
		return page, err
	}
	p := historyPager(func(r *operationRecord) string { return r.LogID }, read)
	p.walk(ctx, func(record *operationRecord, failed error) bool {
		if failed != nil {
			err = failed
			return false
		}
		switch at := time.Time(record.OperateTime); {
		case !at.Before(begin):
			since.add(record)
		case !at.Before(begin.Add(-maxSkew)):
			before.add(record)
		}
		return true
	})
	return since, before, err
}

// elapsed returns the time since then by the wall clock or the monotonic clock,
// whichever is more: the monotonic clock stops while the machine sleeps, and
// the wall clock may be set.
func elapsed(then time.Time) time.Duration {
	return max(time.Since(then), time.Now().Round(0).Sub(then.Round(0)))
}
