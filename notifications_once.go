package wechatpay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNotificationInProgress is wrapped by the error of a copy that came while
// another copy of the same notification is in work. WeChat Pay is told to send
// it again (503), since the other one may still fail.
var ErrNotificationInProgress = errors.New("another copy is in work")

// ErrNotificationNotRecorded is wrapped by the error of a notification that was
// handled, but that the store could not note down as such. WeChat Pay is told
// that it was handled (200), so as not to send it again; a copy that is on its
// way already may be handled a second time.
//
// A handle that does several jobs, each with a Once of its own, must not stop at
// this error, as the jobs that follow would never be done: run them all, and
// return errors.Join of what they return. 200 is told only if nothing but this
// is wrong: if one of them failed, the event comes again.
var ErrNotificationNotRecorded = errors.New("handled, but not recorded")

// notRecorded is ErrNotificationNotRecorded, and why.
type notRecorded struct{ err error }

func (e *notRecorded) Error() string {
	return ErrNotificationNotRecorded.Error() + ": " + e.err.Error()
}

func (e *notRecorded) Is(target error) bool { return target == ErrNotificationNotRecorded }

func (e *notRecorded) Unwrap() error { return e.err }

// isNothingBut reports whether an error is the target, and tells of nothing else
// that is wrong. errors.Is would find the target beside the failure of another
// job, too.
func isNothingBut(err, target error) bool {
	switch e := err.(type) {
	case nil:
		return false
	case *notRecorded:
		return e.Is(target)
	case interface{ Unwrap() []error }:
		errs := e.Unwrap()
		return len(errs) > 0 && !slices.ContainsFunc(errs, func(err error) bool { return !isNothingBut(err, target) })
	}
	return err == target || isNothingBut(errors.Unwrap(err), target)
}

// endTimeout bounds the last word to the store.
const endTimeout = 2 * time.Second

// Once makes a handle for NotificationHandler that runs the given one once for
// each event id that succeeded, however many copies come, and on however many
// machines that share the store. After a failure, an error or a panic, the next
// copy runs it again. A copy that comes while another one is in work is refused
// with ErrNotificationInProgress.
//
// If the machine dies in between, the store gives the event up when the claim
// expires, and the next copy runs handle again. So handle must bear to find its
// own half-done work, and must return when its context ends: what goes on for
// longer than the claim may run beside a copy.
//
// No machinery can do more: if handle succeeds and the store can then not be
// reached, a copy may run it again. Where that must not be, let handle itself
// write the event's id in the same database transaction as its work.
//
// A handle made of several is spoken of at ErrNotificationNotRecorded.
func Once(store NotificationStore, handle func(context.Context, *Notification) error) func(context.Context, *Notification) error {
	return func(ctx context.Context, n *Notification) (err error) {
		const op = "Once"
		if n.ID == "" {
			return faults{{"ID", "empty: copies of a notification are known by its id"}}.err(op)
		}
		id, holder := n.ID, rand.Text() // handle may change n, or give it away
		state, err := store.Begin(ctx, id, holder)
		if err != nil {
			// Perhaps it has the claim, and only the answer was lost.
			_ = endClaim(ctx, store, id, holder, false)
			return fmt.Errorf("wechatpay: %s: claiming notification %s: %w", op, oneLine(id), err)
		}
		switch state {
		case NotificationStateClaimed:
		case NotificationStateHandled:
			return nil
		case NotificationStateInProgress:
			return fmt.Errorf("wechatpay: %s: notification %s: %w", op, oneLine(id), ErrNotificationInProgress)
		default:
			return fmt.Errorf("wechatpay: %s: notification %s: the %T gives %.40q, which is no NotificationState", op, oneLine(id), store, state)
		}

		handled := false
		defer func() { // also when handle panics
			endErr := endClaim(ctx, store, id, holder, handled)
			switch {
			case endErr == nil:
			case handled:
				err = fmt.Errorf("wechatpay: %s: notification %s: %w", op, oneLine(id), &notRecorded{endErr})
			case err != nil:
				err = fmt.Errorf("%w; besides, its claim stands until it expires: %w", err, endErr)
			}
		}()
		if err := handle(ctx, n); err != nil {
			return err
		}
		handled = true
		return nil
	}
}

// endClaim ends a claim within endTimeout, whatever the context, which may have
// ended with the work. That something was handled is said once more if need be:
// otherwise it may be done twice.
func endClaim(ctx context.Context, store NotificationStore, id, holder string, handled bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	err := store.End(ctx, id, holder, handled)
	if err != nil && handled && ctx.Err() == nil {
		err = store.End(ctx, id, holder, handled)
	}
	return err
}

// NotificationState is what a store knows of a notification.
type NotificationState string

// The states of a notification.
const (
	NotificationStateClaimed    NotificationState = "CLAIMED"     // the holder that asks has it, and may work on it
	NotificationStateInProgress NotificationState = "IN_PROGRESS" // another holder has it
	NotificationStateHandled    NotificationState = "HANDLED"     // it was handled
)

// NotificationStore remembers which notifications are in work and which were
// handled. NewMemoryStore is for one process; for several machines there are the
// modules redisstore and sqlstore, and your own. Package storetest tests whether
// a store keeps what is written here.
//
// All methods are safe for concurrent use, and atomic: of any number of holders
// that begin at once, on all machines together, one gets the claim. A context
// that has ended is an error.
type NotificationStore interface {
	// Begin claims the notification with this id for a holder, a random text
	// of 26 letters and digits: NotificationStateClaimed. The claim expires after a
	// time of the store's, on the store's own clock, so that a holder that died
	// keeps nothing for ever: 30 s are usual, and 5 s, which WeChat Pay waits,
	// too few. The same holder may begin again, which renews its claim: a
	// driver may repeat what was lost on the way.
	//
	// It gives NotificationStateInProgress while another holder's claim stands, and
	// NotificationStateHandled once End said so, for as long as copies may come.
	// Ids are at most 64 bytes, and differ in letter case.
	Begin(ctx context.Context, id, holder string) (NotificationState, error)

	// End gives the claim up. handled says that the notification was handled:
	// that is recorded whoever holds the claim by now, and whether anybody
	// does, since the work is done. Otherwise only the holder's own claim is
	// released, and the next one that begins gets it; what another holder
	// claimed or recorded meanwhile stays.
	End(ctx context.Context, id, holder string, handled bool) error
}
