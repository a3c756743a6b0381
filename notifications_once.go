package wechatpay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// ErrNotificationInProgress is wrapped by the error that Once returns while
// another delivery of the same notification is in progress. NotificationHandler
// responds with 503, so that WeChat Pay redelivers in case the other one fails.
var ErrNotificationInProgress = errors.New("already in progress")

// isOnlyInProgress reports whether ErrNotificationInProgress is all that err
// wraps. errors.Is would also match if it were joined with another failure.
func isOnlyInProgress(err error) bool {
	if err == nil {
		return false
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs := joined.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return !isOnlyInProgress(err) })
	}
	return err == ErrNotificationInProgress || isOnlyInProgress(errors.Unwrap(err))
}

// storeTimeout limits the time to record or release a claim.
const storeTimeout = 2 * time.Second

// Once returns a function for NotificationHandler that calls handle once per
// event id, even if WeChat Pay delivers the event to several machines that share
// the store. If handle returns an error or panics, the next delivery calls it
// again. While one call is in progress, other deliveries of the event get
// ErrNotificationInProgress.
//
// handle must be idempotent: it runs again if the machine dies, if it outlives
// its claim, or if the store cannot record its success. In the last case Once
// still returns nil and logs the failure at level WARN: to Config.Logger inside
// a NotificationHandler (not at all if that is nil), otherwise to
// slog.Default. To exclude a second run, store the event id in the database
// transaction that does the work.
//
// To run several jobs per event, give each its own Once and its own store (or
// prefix, or table), call all of them, and return errors.Join of their results.
func Once(
	store NotificationStore, handle func(context.Context, *Notification) error,
) func(context.Context, *Notification) error {
	return func(ctx context.Context, n *Notification) error {
		const op = "Once"
		if n.ID == "" {
			return faults{{"ID", "must not be empty"}}.err(op)
		}
		id, holder := n.ID, rand.Text() // handle may modify n
		state, err := store.Claim(ctx, id, holder)
		if err != nil {
			// The claim may have been stored although the response was lost.
			_ = releaseClaim(ctx, store, id, holder)
			return fmt.Errorf("wechatpay: %s: claiming notification %s: %w", op, oneLine(id), err)
		}
		switch state {
		case NotificationStateClaimed:
			return handleClaimed(ctx, store, id, holder, func() error { return handle(ctx, n) })
		case NotificationStateHandled:
			return nil
		case NotificationStateInProgress:
			return fmt.Errorf("wechatpay: %s: notification %s: %w", op, oneLine(id), ErrNotificationInProgress)
		}
		return fmt.Errorf("wechatpay: %s: notification %s: invalid state %.40q from %T", op, oneLine(id), state, store)
	}
}

// handleClaimed runs handle and then records or releases the claim. It also
// releases the claim if handle panics.
func handleClaimed(ctx context.Context, store NotificationStore, id, holder string, handle func() error) (err error) {
	handled := false
	defer func() {
		if handled {
			return
		}
		if releaseErr := releaseClaim(ctx, store, id, holder); err != nil && releaseErr != nil {
			err = fmt.Errorf("%w; releasing the claim: %w", err, releaseErr)
		}
	}()
	if err := handle(); err != nil {
		return err
	}
	handled = true
	if err := markHandled(ctx, store, id, holder); err != nil {
		logNotRecorded(ctx, id, err)
	}
	return nil
}

// markHandled records the notification as handled, even if ctx has ended. It
// retries once, because otherwise handle may run again.
func markHandled(ctx context.Context, store NotificationStore, id, holder string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	err := store.MarkHandled(ctx, id, holder)
	if err != nil && ctx.Err() == nil {
		err = store.MarkHandled(ctx, id, holder)
	}
	return err
}

// releaseClaim releases the claim, even if ctx has ended.
func releaseClaim(ctx context.Context, store NotificationStore, id, holder string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return store.Release(ctx, id, holder)
}

// logNotRecorded logs that a notification was handled but not recorded.
func logNotRecorded(ctx context.Context, id string, err error) {
	logger := notificationLogger(ctx)
	if logger == nil {
		return
	}
	logger.LogAttrs(ctx, slog.LevelWarn, "wechatpay: notification handled but not recorded",
		slog.String("id", id), slog.String("error", err.Error()))
}

// NotificationState is the result of NotificationStore.Claim.
type NotificationState string

// The states of a notification.
const (
	NotificationStateClaimed    NotificationState = "CLAIMED"     // the caller has the claim and may handle it
	NotificationStateInProgress NotificationState = "IN_PROGRESS" // another holder has the claim
	NotificationStateHandled    NotificationState = "HANDLED"     // it was handled
)

// NotificationStore records which notifications are in progress and which were
// handled. NewMemoryStore is for one process. For several machines use the
// modules redisstore and sqlstore, or write your own store and test it with the
// package storetest.
//
// All methods must be atomic and safe for concurrent use: if several holders on
// several machines claim a notification concurrently, exactly one gets it.
// Methods must return an error if the context has ended. Ids and holders are
// case-sensitive and at most 64 bytes.
type NotificationStore interface {
	// Claim tries to claim the notification with this id for holder, a random
	// string of 26 letters and digits. It returns
	//
	//   - NotificationStateClaimed if no other holder has a claim. The claim
	//     expires by the store's clock, usually after 30 s; it must last longer
	//     than 5 s. Another Claim by the same holder renews it.
	//   - NotificationStateInProgress while another holder has a claim.
	//   - NotificationStateHandled after MarkHandled, for as long as
	//     redeliveries are possible.
	Claim(ctx context.Context, id, holder string) (NotificationState, error)

	// MarkHandled records that the notification was handled, even if holder does
	// not have the claim.
	MarkHandled(ctx context.Context, id, holder string) error

	// Release removes the claim of holder, so that the next Claim succeeds. It
	// does nothing if holder does not have the claim or the notification was
	// handled.
	Release(ctx context.Context, id, holder string) error
}
