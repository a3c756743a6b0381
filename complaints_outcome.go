package wechatpay

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// This file finds out what became of a write whose outcome is unknown, by
// reading. The proof is a record in the complaint's negotiation history.

// A verdict is what looking for a write of unknown outcome found.
type verdict int

const (
	unproved  verdict = iota // it may stand or not
	stands                   // it stands
	absent                   // it does not stand, and may be sent again
	overruled                // it does not stand, and cannot any more
)

// lookUpDecision finds out whether a decision stands.
func (s *ComplaintsV2Service) lookUpDecision(ctx context.Context, complaintID string, action RefundAction, started, ended time.Time) (verdict, error) {
	own, opposite := OperateTypeMerchantApproveRefund, OperateTypeMerchantRefuseRefund
	if action == RefundReject {
		own, opposite = opposite, own
	}
	return s.lookUp(ctx, complaintID, started, ended, func(since, before recorded) (verdict, error) {
		refiled := since[OperateTypeUserContinueComplaint]
		switch {
		case !since[own].IsZero() && !since[own].Before(refiled): // some times are whole seconds
			return stands, nil
		// A new round: what was decided before it may be this decision, or that
		// of a round before; and nothing is sent into it.
		case !refiled.IsZero():
			return unproved, fmt.Errorf("the user has filed the complaint again since the call began, or shortly before")
		case !since[opposite].IsZero():
			return overruled, fmt.Errorf("the opposite decision stands: %s is in the negotiation history since the call began", opposite)
		// It is this one if records are stamped by a clock that is behind, and a
		// colleague's if not. Either way the service takes no other.
		case before[own].After(before[OperateTypeUserContinueComplaint]):
			return unproved, fmt.Errorf("an equal decision is in the negotiation history, from shortly before the call began")
		}
		return absent, nil
	})
}

// lookUpCompletion finds out whether a complaint was completed. It never proves
// that it was not.
func (s *ComplaintsV2Service) lookUpCompletion(ctx context.Context, complaintID string, started, ended time.Time) (verdict, error) {
	found, err := s.lookUp(ctx, complaintID, started, ended, func(since, _ recorded) (verdict, error) {
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

// recorded are operations, each with its latest time.
type recorded map[OperateType]time.Time

func (r recorded) add(record *lookedUp) {
	if at := time.Time(record.OperateTime); at.After(r[record.OperateType]) {
		r[record.OperateType] = at
	}
}

// lookedUp is what a look reads of a record, and no more: whatever else is in a
// record must not keep a decision from being found.
type lookedUp struct {
	LogID       string      `json:"log_id"`
	OperateType OperateType `json:"operate_type"`
	OperateTime emptyOrTime `json:"operate_time"`
}

// lookUp reads the history until judge finds something in it, or finds nothing
// twice: the second time not before the history has had RetryPolicy.HistoryLag to
// show what the last attempt did.
func (s *ComplaintsV2Service) lookUp(ctx context.Context, complaintID string, started, ended time.Time, judge func(since, before recorded) (verdict, error)) (verdict, error) {
	retry := &s.client.retry
	ctx, cancel := context.WithTimeout(ctx, retry.HistoryLag+retry.AttemptTimeout)
	defer cancel()
	for again := false; ; again = true {
		since, before, err := s.look(ctx, complaintID, started)
		if err != nil {
			return unproved, fmt.Errorf("looking whether it stands: %w", err)
		}
		if found, err := judge(since, before); found != absent || again {
			return found, err
		}
		if err := s.client.settle(ctx, ended); err != nil {
			return unproved, err
		}
	}
}

// settle waits until what the last attempt did must show.
func (c *Client) settle(ctx context.Context, ended time.Time) error {
	if sleep(ctx, time.Until(ended.Add(c.retry.HistoryLag))) {
		return nil
	}
	return fmt.Errorf("it does not show yet, and there is no time to look again: %w", cmp.Or(ctx.Err(), context.DeadlineExceeded))
}

// look reads the whole negotiation history for what was done since a call began,
// and in the minutes before. Records bear the service's time, and this machine's
// clock may be off: so the beginning is told by the time at which the service
// signed the first page, less what has passed here since. 2 s are added, because
// records may hold whole seconds.
func (s *ComplaintsV2Service) look(ctx context.Context, complaintID string, started time.Time) (since, before recorded, err error) {
	var begin time.Time
	since, before = make(recorded), make(recorded)
	p := historyPager(func(r *lookedUp) string { return r.LogID }, func(limit, offset int) (historyPage[lookedUp], error) {
		page, signedAt, err := readHistory[lookedUp](ctx, s.client, complaintID, limit, offset)
		if err == nil && begin.IsZero() {
			begin = signedAt.Add(-elapsed(started) - 2*time.Second)
		}
		return page, err
	})
	p.walk(ctx, func(record *lookedUp, failed error) bool {
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

// elapsed is the time since then by the clock that runs on while the machine
// sleeps, or by the one that nobody sets, whichever is more.
func elapsed(then time.Time) time.Duration {
	return max(time.Since(then), time.Now().Round(0).Sub(then.Round(0)))
}
