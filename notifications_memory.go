package wechatpay

import (
	"cmp"
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"
)

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
			return NotificationStateHandled, nil
		case event.holder != holder:
			return NotificationStateInProgress, nil
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
	return NotificationStateClaimed, nil
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
