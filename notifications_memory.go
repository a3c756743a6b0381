package wechatpay

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryStore is a NotificationStore in the memory of one process. Zero fields
// have the defaults in brackets. Do not change them after the first use.
type MemoryStore struct {
	ClaimFor time.Duration // lifetime of a claim [30 s]

	// KeepFor is how long a handled notification is remembered [7 days]. It
	// should be at least a day: current pages of WeChat Pay describe redeliveries
	// for 2 hours, older ones for up to a week.
	KeepFor time.Duration

	// Max is the maximum number of notifications [100,000, about 20 MB]. At the
	// limit, the notification that was handled first is forgotten.
	Max int

	Time func() time.Time // clock; nil means time.Now

	mu      sync.Mutex
	events  map[string]*list.Element // of memoryEvent, by id
	claims  list.List                // in progress, in order of claiming
	handled list.List                // handled, in order of handling
}

const (
	defaultClaimFor  = 30 * time.Second
	defaultKeepFor   = 7 * 24 * time.Hour
	defaultMaxEvents = 100_000
)

// NewMemoryStore returns a MemoryStore with the default settings.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{ClaimFor: defaultClaimFor, KeepFor: defaultKeepFor, Max: defaultMaxEvents}
}

// check reports invalid settings.
func (s *MemoryStore) check(op string) error {
	var f faults
	if s.ClaimFor < 0 {
		f.add("ClaimFor", "must not be negative, got %v", s.ClaimFor)
	}
	if s.KeepFor < 0 {
		f.add("KeepFor", "must not be negative, got %v", s.KeepFor)
	}
	if s.Max < 0 {
		f.add("Max", "must not be negative, got %d", s.Max)
	}
	return f.err(op)
}

// memoryEvent is a notification that is in progress or was handled.
type memoryEvent struct {
	id, holder string
	handled    bool
	until      time.Time
}

// Claim implements NotificationStore. It returns an error if Max notifications
// are in progress.
func (s *MemoryStore) Claim(ctx context.Context, id, holder string) (NotificationState, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if err := s.check("MemoryStore.Claim"); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now(s.Time)
	s.removeExpired(at)
	if element := s.events[id]; element != nil {
		switch event := element.Value.(memoryEvent); {
		case !at.Before(event.until):
			// Expired, but not at the front of its list: the clock was set back.
		case event.handled:
			return NotificationStateHandled, nil
		case event.holder != holder:
			return NotificationStateInProgress, nil
		}
		s.remove(element)
	}
	for len(s.events) >= cmp.Or(s.Max, defaultMaxEvents) {
		oldest := s.handled.Front()
		if oldest == nil {
			const format = "wechatpay: MemoryStore.Claim: %d notifications are in progress, the maximum"
			return "", fmt.Errorf(format, len(s.events))
		}
		s.remove(oldest)
	}
	until := at.Add(cmp.Or(s.ClaimFor, defaultClaimFor))
	s.add(&s.claims, memoryEvent{id: id, holder: holder, until: until})
	return NotificationStateClaimed, nil
}

// MarkHandled implements NotificationStore.
func (s *MemoryStore) MarkHandled(ctx context.Context, id, holder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.check("MemoryStore.MarkHandled"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if element := s.events[id]; element != nil {
		s.remove(element)
	}
	until := now(s.Time).Add(cmp.Or(s.KeepFor, defaultKeepFor))
	s.add(&s.handled, memoryEvent{id: id, handled: true, until: until})
	return nil
}

// Release implements NotificationStore.
func (s *MemoryStore) Release(ctx context.Context, id, holder string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.check("MemoryStore.Release"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if element := s.events[id]; element != nil {
		if event := element.Value.(memoryEvent); !event.handled && event.holder == holder {
			s.remove(element)
		}
	}
	return nil
}

// removeExpired removes expired events from the front of each list.
func (s *MemoryStore) removeExpired(at time.Time) {
	for _, l := range []*list.List{&s.claims, &s.handled} {
		for e := l.Front(); e != nil && !at.Before(e.Value.(memoryEvent).until); e = l.Front() {
			s.remove(e)
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
	delete(s.events, e.Value.(memoryEvent).id)
	// Remove does nothing for an element of the other list.
	s.claims.Remove(e)
	s.handled.Remove(e)
}
