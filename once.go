package wechatpay

import (
	"container/list"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
var ErrNotificationNotRecorded = errors.New("handled, but not recorded")

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
func Once(store NotificationStore, handle func(context.Context, *Notification) error) func(context.Context, *Notification) error {
	return func(ctx context.Context, n *Notification) (err error) {
		const op = "Once"
		if n.ID == "" {
			return faults{{"ID", "empty: copies of a notification are known by its id"}}.err(op)
		}
		holder := rand.Text()
		state, err := store.Begin(ctx, n.ID, holder)
		if err != nil {
			return fmt.Errorf("wechatpay: %s: claiming notification %s: %w", op, oneLine(n.ID), err)
		}
		switch state {
		case NotificationClaimed:
		case NotificationHandled:
			return nil
		case NotificationInWork:
			return fmt.Errorf("wechatpay: %s: notification %s: %w", op, oneLine(n.ID), ErrNotificationInWork)
		default:
			return fmt.Errorf("wechatpay: %s: notification %s: the %T gives %.40q, which is no NotificationState", op, oneLine(n.ID), store, state)
		}

		handled := false
		defer func() { // also when handle panics
			// The context may have ended with the work.
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
			defer cancel()
			endErr := store.End(ctx, n.ID, holder, handled)
			switch {
			case endErr == nil:
			case handled:
				err = fmt.Errorf("wechatpay: %s: notification %s: %w: %w", op, oneLine(n.ID), ErrNotificationNotRecorded, endErr)
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
// this process, and forgets them with it. Make it with NewMemoryStore, and
// change its fields before it is used.
type MemoryStore struct {
	ClaimFor time.Duration    // how long a claim stands [30 s]
	KeepFor  time.Duration    // how long it is remembered that a notification was handled [7 days: older pages repeat for a week, newer ones for 2 hours]
	Max      int              // notifications that it remembers; beyond them, those handled longest ago are forgotten [100,000, about 20 MB]
	Time     func() time.Time // nil: time.Now

	mu      sync.Mutex
	events  map[string]*list.Element // of memoryEvent, by id
	claims  list.List                // those in work, by the time that they were claimed
	handled list.List                // those handled, by that time
}

// NewMemoryStore makes a MemoryStore with the values in brackets.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{ClaimFor: 30 * time.Second, KeepFor: 7 * 24 * time.Hour, Max: 100_000}
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
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now(s.Time)
	s.forget(at)
	if known := s.events[id]; known != nil {
		event := known.Value.(memoryEvent)
		if event.handled {
			return NotificationHandled, nil
		}
		if event.holder != holder {
			return NotificationInWork, nil
		}
		s.remove(known)
	}
	for len(s.events) >= s.Max {
		oldest := s.handled.Front()
		if oldest == nil {
			return "", fmt.Errorf("wechatpay: MemoryStore: %d notifications are in work, and no more are allowed (MemoryStore.Max)", len(s.events))
		}
		s.remove(oldest)
	}
	s.add(&s.claims, memoryEvent{id: id, holder: holder, until: at.Add(s.ClaimFor)})
	return NotificationClaimed, nil
}

// End gives a claim up.
func (s *MemoryStore) End(ctx context.Context, id, holder string, handled bool) error {
	if err := ctx.Err(); err != nil {
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
		s.add(&s.handled, memoryEvent{id: id, handled: true, until: now(s.Time).Add(s.KeepFor)})
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
