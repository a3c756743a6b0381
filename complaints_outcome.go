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
//	notApplied    it shows neither this write nor the opposite, twice; after a
//	              rejection, also: the complaint is not a refund request
//	superseded    it shows the opposite decision since the call began
//	undetermined  anything else: the outcome stays unknown

// decisionRecovery is the recovery of a decision. After a lost response:
//
//  1. lookUp reads the history, and again after HistoryLag. It shows the decision:
//     nil. The opposite: an error. A new round: the outcome is unknown.
//  2. If it shows none of them, beforeRetry reads the complaint. The outcome is
//     unknown if it is PROCESSED or the user may have filed it again.
//  3. The decision is sent again. If it is rejected, lookUp runs once more, and
//     explainRejection decides whether the rejection is definite.
type decisionRecovery struct {
	service     *ComplaintsV2Service
	complaintID string
	action      RefundAction
}

func (d *decisionRecovery) lookUp(ctx context.Context, sent *attempts) (lookupResult, error) {
	own, opposite := OperateTypeMerchantApproveRefund, OperateTypeMerchantRefuseRefund
	if d.action == RefundReject {
		own, opposite = opposite, own
	}
	result, err := d.service.lookUp(ctx, d.complaintID, sent, func(h *operationHistory) (lookupResult, error) {
		decided, refiled := h.lastSince(own), h.lastSince(OperateTypeUserContinueComplaint)
		switch {
		case decided.After(refiled):
			return applied, nil
		// A new round. A decision before it, or in the same second, may be this one
		// or an older one.
		case !refiled.IsZero():
			return undetermined, errors.New("the user filed the complaint again during the call, or shortly before")
		case !h.lastSince(opposite).IsZero():
			return superseded, fmt.Errorf("the opposite decision was applied: the history shows %s", opposite)
		// This decision, if the clock of the records is behind; else a colleague's.
		case h.lastBefore(own).After(h.lastBefore(OperateTypeUserContinueComplaint)):
			return undetermined, errors.New("the history shows the same decision shortly before the call")
		}
		return notApplied, nil
	})
	if result == notApplied && sent.rejected {
		return d.explainRejection(ctx, sent)
	}
	return result, err
}

// explainRejection decides about a decision that WeChat Pay rejected after an
// attempt in doubt. The rejection may be a consequence of that attempt, which
// the history does not show yet, unless no decision is possible at all.
func (d *decisionRecovery) explainRejection(ctx context.Context, sent *attempts) (lookupResult, error) {
	ctx, cancel := context.WithTimeout(ctx, d.service.client.retry.AttemptTimeout)
	defer cancel()
	complaint, err := d.service.state(ctx, sent.op, d.complaintID)
	switch {
	case err != nil:
		return undetermined, fmt.Errorf("lookup: %w", err)
	case complaint.ProblemType != "" && complaint.ProblemType != ProblemTypeRefund:
		return notApplied, nil
	}
	return undetermined, errors.New("an earlier attempt may be the reason, and not visible yet")
}

// beforeRetry reports whether a decision in doubt may be sent again. It may not
// if the user filed the complaint again meanwhile, or may have: one call must not
// decide in two rounds.
func (d *decisionRecovery) beforeRetry(ctx context.Context, sent *attempts) (lookupResult, error) {
	if !sent.inDoubt {
		return notApplied, nil
	}
	ctx, cancel := context.WithTimeout(ctx, d.service.client.retry.AttemptTimeout)
	defer cancel()
	complaint, err := d.service.state(ctx, sent.op, d.complaintID)
	switch {
	case err != nil:
		return undetermined, fmt.Errorf("not retried: %w", asOther(err))
	case complaint.ComplaintState == ComplaintStateProcessed:
		return undetermined, errors.New("not retried: the complaint is PROCESSED by now")
	case complaint.UserComplaintTimes == 1:
		return notApplied, nil
	}
	history, err := d.service.operations(ctx, d.complaintID, sent)
	if err != nil {
		return undetermined, fmt.Errorf("not retried: %w", asOther(err))
	}
	filings, last := history.filings()
	if filings != complaint.UserComplaintTimes || !last.Before(history.begin) {
		return undetermined, errors.New("not retried: the user may have filed the complaint again during the call")
	}
	return notApplied, nil
}

// complaintState is the part of a Complaint that lookups use. All of it must be
// readable.
type complaintState struct {
	ComplaintID        string         `json:"complaint_id" wire:"strict"`
	ComplaintState     ComplaintState `json:"complaint_state" wire:"strict"`
	UserComplaintTimes int            `json:"user_complaint_times" wire:"strict"`
	ProblemType        ProblemType    `json:"problem_type" wire:"strict"`
}

// state reads a part of a complaint. Its error does not name the operation.
func (s *ComplaintsV2Service) state(ctx context.Context, op, complaintID string) (*complaintState, error) {
	state := new(complaintState)
	if err := s.read(ctx, op, complaintID, state, &state.ComplaintID); err != nil {
		return nil, err
	}
	return state, nil
}

// completionRecovery is the recovery of a completion.
type completionRecovery struct {
	service     *ComplaintsV2Service
	complaintID string
}

func (*completionRecovery) beforeRetry(context.Context, *attempts) (lookupResult, error) {
	return notApplied, nil
}

// lookUp cannot show that a complaint was not completed.
func (c *completionRecovery) lookUp(ctx context.Context, sent *attempts) (lookupResult, error) {
	result, err := c.service.lookUp(ctx, c.complaintID, sent, func(h *operationHistory) (lookupResult, error) {
		if h.lastSince(OperateTypeMerchantConfirmComplete).IsZero() {
			return notApplied, nil
		}
		complaint, err := c.service.state(ctx, sent.op, c.complaintID)
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

// lookUp reads the history until judge returns anything but notApplied, at most
// twice: the second time after RetryPolicy.HistoryLag.
func (s *ComplaintsV2Service) lookUp(
	ctx context.Context, complaintID string, sent *attempts, judge func(*operationHistory) (lookupResult, error),
) (lookupResult, error) {
	retry := &s.client.retry
	ctx, cancel := context.WithTimeout(ctx, retry.HistoryLag+retry.AttemptTimeout)
	defer cancel()
	for again := false; ; again = true {
		history, err := s.operations(ctx, complaintID, sent)
		if err != nil {
			return undetermined, fmt.Errorf("lookup: %w", err)
		}
		if result, err := judge(history); result != notApplied || again {
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

// operationRecord is the part of a NegotiationRecord that lookups use. An odd
// field elsewhere in a record must not hide a decision.
type operationRecord struct {
	LogID       string      `json:"log_id"`
	OperateType OperateType `json:"operate_type" wire:"strict"`
	OperateTime time.Time   `json:"operate_time"`
}

// operationHistory is the negotiation history, seen from a call.
type operationHistory struct {
	begin   time.Time // of the call, by the clock of the records
	records []operationRecord
}

// operations reads the negotiation history. Records carry WeChat Pay's time, and
// this machine's clock may be wrong, so the start of the call is computed from
// the time at which WeChat Pay signed the first page. 2 s are subtracted because
// records may have whole seconds.
func (s *ComplaintsV2Service) operations(
	ctx context.Context, complaintID string, sent *attempts,
) (*operationHistory, error) {
	records, signedAt, err := readOperations(ctx, s.client, sent.op, complaintID)
	if err != nil {
		return nil, err
	}
	return &operationHistory{signedAt.Add(-elapsed(sent.started) - 2*time.Second), records}, nil
}

// maxHistory bounds the records that are read of a complaint. Real histories have
// a few dozen.
const maxHistory = 10_000

// readOperations reads the operations of the whole history.
func readOperations(
	ctx context.Context, c *Client, op, complaintID string,
) (records []operationRecord, signedAt time.Time, err error) {
	return readRecords(ctx, c, op, complaintID, func(r *operationRecord) string { return r.LogID })
}

// readRecords reads the whole history. It also returns when WeChat Pay signed the
// first page.
func readRecords[R any](
	ctx context.Context, c *Client, op, complaintID string, id func(*R) string,
) (records []R, signedAt time.Time, err error) {
	read := func(limit, offset int) (*page[R], error) {
		page, err := readHistory[R](ctx, c, op, complaintID, limit, offset)
		if err == nil && signedAt.IsZero() {
			signedAt = page.signedAt
		}
		return page, err
	}
	historyPager(id, read).walk(ctx, func(record *R, failed error) bool {
		if err = failed; err == nil && len(records) == maxHistory {
			err = fmt.Errorf("the history has more than %d records", maxHistory)
		}
		if err != nil {
			return false
		}
		records = append(records, *record)
		return true
	})
	return records, signedAt, err
}

// lastSince returns the latest time of an operation since the call began.
func (h *operationHistory) lastSince(operation OperateType) (last time.Time) {
	for _, record := range h.records {
		at := record.OperateTime
		if record.OperateType == operation && !at.Before(h.begin) && at.After(last) {
			last = at
		}
	}
	return last
}

// lastBefore returns the latest time of an operation in the 5 minutes before the
// call began.
func (h *operationHistory) lastBefore(operation OperateType) (last time.Time) {
	for _, record := range h.records {
		at := record.OperateTime
		recent := at.Before(h.begin) && !at.Before(h.begin.Add(-maxSkew))
		if record.OperateType == operation && recent && at.After(last) {
			last = at
		}
	}
	return last
}

// filings returns how often the user filed the complaint, and when last. A filing
// whose time is unknown counts as filed during the call.
func (h *operationHistory) filings() (n int, last time.Time) {
	for _, record := range h.records {
		switch record.OperateType {
		case OperateTypeUserCreateComplaint, OperateTypeUserContinueComplaint:
			n++
			at := record.OperateTime
			if at.IsZero() {
				at = h.begin
			}
			if at.After(last) {
				last = at
			}
		}
	}
	return n, last
}

// elapsed returns the time since then by the wall clock or the monotonic clock,
// whichever is more: the monotonic clock stops while the machine sleeps, and
// the wall clock may be set.
func elapsed(then time.Time) time.Duration {
	return max(time.Since(then), time.Now().Round(0).Sub(then.Round(0)))
}
