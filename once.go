package wechatpay

import (
	"cmp"
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// ErrNotificationInWork is wrapped by the error of a copy that came while
// another copy of the same notification is in work. WeChat Pay is told to send
// it again (503), since the other one may still fail.
var ErrNotificationInWork = errors.New("another copy is in work")

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
func (e *notRecorded) Unwrap() error        { return e.err }

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
// with ErrNotificationInWork.
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
		case NotificationClaimed:
		case NotificationHandled:
			return nil
		case NotificationInWork:
			return fmt.Errorf("wechatpay: %s: notification %s: %w", op, oneLine(id), ErrNotificationInWork)
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
	NotificationClaimed NotificationState = "CLAIMED" // the holder that asks has it, and may work on it
	NotificationInWork  NotificationState = "IN_WORK" // another holder has it
	NotificationHandled NotificationState = "HANDLED" // it was handled
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
	// of 26 letters and digits: NotificationClaimed. The claim expires after a
	// time of the store's, on the store's own clock, so that a holder that died
	// keeps nothing for ever: 30 s are usual, and 5 s, which WeChat Pay waits,
	// too few. The same holder may begin again, which renews its claim: a
	// driver may repeat what was lost on the way.
	//
	// It gives NotificationInWork while another holder's claim stands, and
	// NotificationHandled once End said so, for as long as copies may come.
	// Ids are at most 64 bytes, and differ in letter case.
	Begin(ctx context.Context, id, holder string) (NotificationState, error)

	// End gives the claim up. handled says that the notification was handled:
	// that is recorded whoever holds the claim by now, and whether anybody
	// does, since the work is done. Otherwise only the holder's own claim is
	// released, and the next one that begins gets it; what another holder
	// claimed or recorded meanwhile stays.
	End(ctx context.Context, id, holder string, handled bool) error
}

// MemoryStore is a NotificationStore in memory: it knows the copies that come to
// this process, and forgets them with it. A zero field has the value in
// brackets. Its fields must not be changed after the first use.
type MemoryStore struct {
	ClaimFor time.Duration // how long a claim stands [30 s]

	// KeepFor is how long it is remembered that a notification was handled
	// [7 days]. A complaint's copies come for 2 hours by the newer pages and for
	// a week by older ones, those of a refund up to 6 h apart: a day is the
	// least.
	KeepFor time.Duration

	// Max is how many notifications it remembers [100,000, about 20 MB]. Beyond
	// them, those handled longest ago are forgotten.
	Max int

	Time func() time.Time // nil: time.Now

	mu      sync.Mutex
	events  map[string]*list.Element // of memoryEvent, by id
	claims  list.List                // those in work, by the time that they were claimed
	handled list.List                // those handled, by that time
}

const (
	defaultClaimFor  = 30 * time.Second
	defaultKeepFor   = 7 * 24 * time.Hour
	defaultMaxEvents = 100_000
)

// NewMemoryStore makes a MemoryStore with the values in brackets.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{ClaimFor: defaultClaimFor, KeepFor: defaultKeepFor, Max: defaultMaxEvents}
}

// check refuses what would let copies through.
func (s *MemoryStore) check(op string) error {
	var f faults
	if s.ClaimFor < 0 {
		f.add("ClaimFor", "%v: a claim would have ended when it begins", s.ClaimFor)
	}
	if s.KeepFor < 0 {
		f.add("KeepFor", "%v: what is handled would be forgotten at once", s.KeepFor)
	}
	if s.Max < 0 {
		f.add("Max", "%d: there would be room for none", s.Max)
	}
	return f.err(op)
}

// memoryEvent is a notification in work, or handled.
type memoryEvent struct {
	id, holder string
	handled    bool
	until      time.Time
}

// Begin claims a notification. It is an error if Max notifications are in work.
func (s *MemoryStore) Begin(ctx context.Context, id, holder string) (NotificationState, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := s.check("MemoryStore.Begin"); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now(s.Time)
	s.forget(at)
	if known := s.events[id]; known != nil {
		switch event := known.Value.(memoryEvent); {
		case !at.Before(event.until): // behind one that stays, as the clock was set back
		case event.handled:
			return NotificationHandled, nil
		case event.holder != holder:
			return NotificationInWork, nil
		}
		s.remove(known)
	}
	for len(s.events) >= cmp.Or(s.Max, defaultMaxEvents) {
		oldest := s.handled.Front()
		if oldest == nil {
			return "", fmt.Errorf("wechatpay: MemoryStore: %d notifications are in work, and no more are allowed (MemoryStore.Max)", len(s.events))
		}
		s.remove(oldest)
	}
	s.add(&s.claims, memoryEvent{id: id, holder: holder, until: at.Add(cmp.Or(s.ClaimFor, defaultClaimFor))})
	return NotificationClaimed, nil
}

// End gives a claim up.
func (s *MemoryStore) End(ctx context.Context, id, holder string, handled bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.check("MemoryStore.End"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.events[id]
	switch {
	case handled:
		if known != nil {
			s.remove(known)
		}
		s.add(&s.handled, memoryEvent{id: id, handled: true, until: now(s.Time).Add(cmp.Or(s.KeepFor, defaultKeepFor))})
	case known != nil:
		if event := known.Value.(memoryEvent); !event.handled && event.holder == holder {
			s.remove(known)
		}
	}
	return nil
}

// forget drops what has expired, which stands at the front of each list.
func (s *MemoryStore) forget(at time.Time) {
	for _, l := range []*list.List{&s.claims, &s.handled} {
		for first := l.Front(); first != nil && !at.Before(first.Value.(memoryEvent).until); first = l.Front() {
			s.remove(first)
		}
	}
}

func (s *MemoryStore) add(l *list.List, event memoryEvent) {
	if s.events == nil {
		s.events = make(map[string]*list.Element)
	}
	s.events[event.id] = l.PushBack(event)
}

func (s *MemoryStore) remove(e *list.Element) {
	event := e.Value.(memoryEvent)
	delete(s.events, event.id)
	// Remove leaves alone what is in another list.
	s.claims.Remove(e)
	s.handled.Remove(e)
}
