// Package storetest tests implementations of wechatpay.NotificationStore:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
//			return &Store{DB: db, ClaimFor: claimFor}
//		})
//	}
package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// NewStore returns a store whose claims expire after claimFor, by the store's
// own clock, which must be running. The store may contain data of earlier tests.
//
// Run calls it several times in one test to imitate several machines. Stores
// that it returns should share their backend, such as a database, and no memory
// of the process. If they do not share a backend, one test is skipped.
type NewStore func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore

// Run runs all tests as subtests. It waits for claims of 50 ms to expire, which
// takes a few seconds. The results do not depend on the speed of the machine.
func Run(t *testing.T, newStore NewStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, newStore NewStore)
	}{
		{"one claim per notification", testOneClaim},
		{"same holder claims again", testSameHolder},
		{"release", testRelease},
		{"release by another holder", testReleaseByOther},
		{"handled", testHandled},
		{"handled without a claim", testHandledWithoutClaim},
		{"handled outlives the claim", testHandledOutlivesClaim},
		{"distinct ids", testDistinctIDs},
		{"distinct holders", testDistinctHolders},
		{"expired claim", testExpiredClaim},
		{"renewed claim", testRenewedClaim},
		{"release of an expired claim", testLateRelease},
		{"concurrent claims", testConcurrentClaims},
		{"concurrent claims after expiry", testConcurrentClaimsAfterExpiry},
		{"concurrent claims from several stores", testSeveralStores},
		{"concurrent notifications", testConcurrentNotifications},
		{"ended context", testEndedContext},
		{"concurrent deliveries to two handlers", testTwoHandlers},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore) })
	}
}

const (
	claimed    = wechatpay.NotificationStateClaimed
	inProgress = wechatpay.NotificationStateInProgress
	handled    = wechatpay.NotificationStateHandled

	// longClaim does not expire during a test.
	longClaim = time.Hour
	// shortClaim is the first duration for claims that expire during a test.
	shortClaim = 50 * time.Millisecond
	// tolerance allows for the resolution of the store's clock.
	tolerance = 5 * time.Millisecond
	// patience limits the wait for a claim to expire.
	patience = 30 * time.Second
)

// wantClaim fails the test if Claim does not return the wanted state. why is the
// rule of NotificationStore that requires it.
func wantClaim(
	t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState, why string,
) {
	t.Helper()
	switch got, err := s.Claim(context.Background(), id, holder); {
	case err != nil:
		t.Fatalf("Claim(%q, %q) returned an error: %v", id, holder, err)
	case got != want:
		t.Fatalf("Claim(%q, %q) = %q, want %q: %s", id, holder, got, want, why)
	}
}

func markHandled(t *testing.T, s wechatpay.NotificationStore, id, holder string) {
	t.Helper()
	if err := s.MarkHandled(context.Background(), id, holder); err != nil {
		t.Fatalf("MarkHandled(%q, %q) returned an error: %v", id, holder, err)
	}
}

func release(t *testing.T, s wechatpay.NotificationStore, id, holder string) {
	t.Helper()
	if err := s.Release(context.Background(), id, holder); err != nil {
		t.Fatalf("Release(%q, %q) returned an error: %v", id, holder, err)
	}
}

// Rules of NotificationStore, for failure messages.
const (
	ruleNew         = "this notification has not been claimed before"
	ruleInProgress  = "another holder has a claim that has not expired"
	ruleSameHolder  = "a holder can claim again what it has already claimed"
	ruleReleased    = "the holder has released its claim"
	ruleNotReleased = "Release by a holder that does not have the claim must do nothing"
	ruleExpired     = "the claim of the other holder must expire after claimFor"
	ruleHandled     = "MarkHandled was called"
	ruleNotHandled  = "MarkHandled was not called"
	ruleAnyHolder   = "MarkHandled must record the notification even if its caller does not have the claim"
	ruleFinal       = "Release must not undo MarkHandled"
	ruleOutlives    = "MarkHandled was called: that must not expire together with the claim"

	ruleDistinctIDs     = "ids that differ only in case, trailing space or the last of 64 bytes are different"
	ruleDistinctHolders = "holders that differ only in case, trailing space or the last of 64 bytes are different"
)

func testOneClaim(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	wantClaim(t, s, id, "b", inProgress, ruleInProgress)
	wantClaim(t, s, id, "b", inProgress, ruleInProgress)
}

func testSameHolder(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	wantClaim(t, s, id, "a", claimed, ruleSameHolder)
	wantClaim(t, s, id, "b", inProgress, ruleInProgress)
	release(t, s, id, "a")
	wantClaim(t, s, id, "b", claimed, ruleReleased)
}

func testRelease(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	release(t, s, id, "a")
	release(t, s, id, "a")
	wantClaim(t, s, id, "b", claimed, ruleReleased)
	wantClaim(t, s, id, "a", inProgress, ruleInProgress)
	markHandled(t, s, id, "b")
	wantClaim(t, s, id, "c", handled, ruleHandled)
}

func testReleaseByOther(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	release(t, s, id, "a")
	wantClaim(t, s, id, "a", claimed, ruleNew)
	release(t, s, id, "b")
	release(t, s, id, "")
	wantClaim(t, s, id, "b", inProgress, ruleNotReleased)
}

func testHandled(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	markHandled(t, s, id, "a")
	wantClaim(t, s, id, "b", handled, ruleHandled)
	wantClaim(t, s, id, "a", handled, ruleHandled)
	markHandled(t, s, id, "a")
	for _, holder := range []string{"a", "b", ""} {
		release(t, s, id, holder)
		wantClaim(t, s, id, "c", handled, ruleFinal)
	}
}

func testHandledWithoutClaim(t *testing.T, newStore NewStore) {
	s, id, unclaimed := newStore(t, longClaim), rand.Text(), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	markHandled(t, s, id, "b")
	wantClaim(t, s, id, "c", handled, ruleAnyHolder)
	release(t, s, id, "a")
	wantClaim(t, s, id, "c", handled, ruleFinal)
	markHandled(t, s, unclaimed, "a")
	wantClaim(t, s, unclaimed, "b", handled, ruleAnyHolder)
}

func testDistinctIDs(t *testing.T, newStore NewStore) {
	s, stem := newStore(t, longClaim), rand.Text()
	padding := strings.Repeat("x", 64-len(stem)-1)
	for i, id := range []string{
		stem + "a", stem + "A", stem + "a ", stem + "a%", stem + "a_", stem + "a:",
		stem + `a'`, stem + `a"; --`, stem + `a\`,
		stem + padding + "1", stem + padding + "2",
	} {
		// Each id has its own holder, because a holder may claim an id twice.
		wantClaim(t, s, id, fmt.Sprint("holder ", i), claimed, ruleDistinctIDs)
		wantClaim(t, s, id, "b", inProgress, ruleInProgress)
	}
}

func testDistinctHolders(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	padding := strings.Repeat("x", 63)
	wantClaim(t, s, id, "a", claimed, ruleNew)
	wantClaim(t, s, id, "A", inProgress, ruleDistinctHolders)
	wantClaim(t, s, id, "a ", inProgress, ruleDistinctHolders)
	wantClaim(t, s, id, "a", claimed, ruleSameHolder)
	release(t, s, id, "A")
	release(t, s, id, "a ")
	wantClaim(t, s, id, "b", inProgress, ruleNotReleased)
	release(t, s, id, "a")
	wantClaim(t, s, id, padding+"1", claimed, ruleReleased)
	wantClaim(t, s, id, padding+"2", inProgress, ruleDistinctHolders)
}

// awaitClaim calls Claim until it succeeds, and returns when the last call
// started.
func awaitClaim(t *testing.T, s wechatpay.NotificationStore, id, holder string) time.Time {
	t.Helper()
	for start := time.Now(); ; {
		called := time.Now()
		got, err := s.Claim(context.Background(), id, holder)
		switch {
		case err != nil:
			t.Fatalf("Claim(%q, %q) returned an error: %v", id, holder, err)
		case got == claimed:
			return called
		case got != inProgress:
			t.Fatalf("Claim(%q, %q) = %q, want %q or %q: %s", id, holder, got, claimed, inProgress, ruleNotHandled)
		case time.Since(start) > patience:
			t.Fatalf("Claim(%q, %q) = %q for %v, want %q: %s", id, holder, got, patience, claimed, ruleExpired)
		}
		<-time.After(time.Millisecond)
	}
}

func testHandledOutlivesClaim(t *testing.T, newStore NewStore) {
	s, id, later := newStore(t, shortClaim), rand.Text(), rand.Text()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	markHandled(t, s, id, "a")
	// Once this later claim has expired, the first one has too.
	wantClaim(t, s, later, "a", claimed, ruleNew)
	awaitClaim(t, s, later, "b")
	wantClaim(t, s, id, "b", handled, ruleOutlives)
	wantClaim(t, s, id, "a", handled, ruleOutlives)
}

func testExpiredClaim(t *testing.T, newStore NewStore) {
	s, id := newStore(t, shortClaim), rand.Text()
	start := time.Now()
	wantClaim(t, s, id, "a", claimed, ruleNew)
	awaitClaim(t, s, id, "b")
	if took := time.Since(start); took < shortClaim-tolerance {
		t.Fatalf("Claim(%q, %q) = %q after %v, want at least %v: %s",
			id, "b", claimed, took, shortClaim, ruleInProgress)
	}
	// The first holder was late and has done the work.
	markHandled(t, s, id, "a")
	wantClaim(t, s, id, "c", handled, ruleAnyHolder)
	release(t, s, id, "b")
	wantClaim(t, s, id, "c", handled, ruleFinal)
}

// withLongerClaims runs test with longer and longer claims until it reports
// true. It reports false if a slow machine let a claim expire too early.
func withLongerClaims(t *testing.T, test func(claimFor time.Duration) (conclusive bool)) {
	t.Helper()
	for claimFor := shortClaim; claimFor < patience; claimFor *= 2 {
		if test(claimFor) {
			return
		}
	}
	t.Fatalf("claims of up to %v expire before the test can use them", patience)
}

// isInProgress reports whether the notification is claimed. It fails the test
// if it is not, although the claim of calledAt cannot have expired yet.
func isInProgress(
	t *testing.T, s wechatpay.NotificationStore, id string, calledAt time.Time, claimFor time.Duration, why string,
) bool {
	t.Helper()
	got, err := s.Claim(context.Background(), id, "other")
	if err != nil {
		t.Fatalf("Claim(%q, %q) returned an error: %v", id, "other", err)
	}
	if got == inProgress {
		return true
	}
	if age := time.Since(calledAt); age < claimFor-tolerance {
		t.Fatalf("Claim(%q, %q) = %q, want %q: %s (claimed for %v, %v ago)",
			id, "other", got, inProgress, why, claimFor, age)
	}
	return false
}

func testRenewedClaim(t *testing.T, newStore NewStore) {
	withLongerClaims(t, func(claimFor time.Duration) bool {
		s, id, later := newStore(t, claimFor), rand.Text(), rand.Text()
		wantClaim(t, s, id, "a", claimed, ruleNew)
		wantClaim(t, s, later, "a", claimed, ruleNew)
		<-time.After(claimFor / 2)
		renewed := time.Now()
		wantClaim(t, s, id, "a", claimed, ruleSameHolder)
		// Once this later claim has expired, the first one would have too.
		awaitClaim(t, s, later, "b")
		return isInProgress(t, s, id, renewed, claimFor, "Claim by the same holder must renew the claim")
	})
}

func testLateRelease(t *testing.T, newStore NewStore) {
	withLongerClaims(t, func(claimFor time.Duration) bool {
		s, id := newStore(t, claimFor), rand.Text()
		wantClaim(t, s, id, "a", claimed, ruleNew)
		calledAt := awaitClaim(t, s, id, "b")
		release(t, s, id, "a")
		return isInProgress(t, s, id, calledAt, claimFor, ruleNotReleased)
	})
}

// concurrently calls f(0) to f(n-1) concurrently.
func concurrently(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			f(i)
		}()
	}
	close(start)
	wg.Wait()
}

const (
	holders = 32 // that claim concurrently
	rounds  = 10
)

// claimConcurrently lets all holders claim the notification, spread over the
// stores, and returns those that got it.
func claimConcurrently(t *testing.T, id string, stores ...wechatpay.NotificationStore) (winners []string) {
	t.Helper()
	var mu sync.Mutex
	concurrently(holders, func(i int) {
		holder := fmt.Sprint("holder ", i)
		switch got, err := stores[i%len(stores)].Claim(context.Background(), id, holder); {
		case err != nil:
			t.Errorf("Claim(%q, %q) returned an error: %v", id, holder, err)
		case got == claimed:
			mu.Lock()
			defer mu.Unlock()
			winners = append(winners, holder)
		case got != inProgress:
			t.Errorf("Claim(%q, %q) = %q, want %q or %q: %s", id, holder, got, claimed, inProgress, ruleNotHandled)
		}
	})
	return winners
}

// wantOne fails the test unless there is one winner.
func wantOne(t *testing.T, winners []string) string {
	t.Helper()
	if len(winners) != 1 {
		t.Fatalf("%d of %d concurrent calls of Claim returned %q, want 1: Claim must be atomic",
			len(winners), holders, claimed)
	}
	return winners[0]
}

func testConcurrentClaims(t *testing.T, newStore NewStore) {
	s := newStore(t, longClaim)
	for range rounds {
		id := rand.Text()
		for range 2 {
			release(t, s, id, wantOne(t, claimConcurrently(t, id, s)))
		}
		wantClaim(t, s, id, "last", claimed, ruleReleased)
		markHandled(t, s, id, "last")
	}
}

func testConcurrentClaimsAfterExpiry(t *testing.T, newStore NewStore) {
	for range rounds / 2 {
		withLongerClaims(t, func(claimFor time.Duration) bool {
			s, id, later := newStore(t, claimFor), rand.Text(), rand.Text()
			wantClaim(t, s, id, "dead", claimed, ruleNew)
			wantClaim(t, s, later, "dead", claimed, ruleNew)
			awaitClaim(t, s, later, "a")
			start := time.Now()
			winners := claimConcurrently(t, id, s)
			if len(winners) > 1 && time.Since(start) >= claimFor-tolerance {
				return false
			}
			wantOne(t, winners)
			return true
		})
	}
}

func testSeveralStores(t *testing.T, newStore NewStore) {
	id := rand.Text()
	markHandled(t, newStore(t, longClaim), id, "a")
	switch got, err := newStore(t, longClaim).Claim(context.Background(), id, "b"); {
	case err != nil:
		t.Fatalf("Claim(%q, %q) returned an error: %v", id, "b", err)
	case got == claimed:
		t.Skip("the stores share no backend")
	}
	stores := make([]wechatpay.NotificationStore, holders)
	for i := range stores {
		stores[i] = newStore(t, longClaim)
	}
	for range rounds {
		wantOne(t, claimConcurrently(t, rand.Text(), stores...))
	}
}

func testConcurrentNotifications(t *testing.T, newStore NewStore) {
	const count = 300
	s, stem := newStore(t, longClaim), rand.Text()
	id := func(i int) string { return fmt.Sprint(stem, i) }
	concurrently(count, func(i int) {
		got, err := s.Claim(context.Background(), id(i), "a")
		if err != nil || got != claimed {
			t.Errorf("Claim(%q, %q) = %q, %v, want %q: %s", id(i), "a", got, err, claimed, ruleNew)
			return
		}
		name, end := "MarkHandled", s.MarkHandled
		if i%3 == 0 {
			name, end = "Release", s.Release
		}
		if err := end(context.Background(), id(i), "a"); err != nil {
			t.Errorf("%s(%q, %q) returned an error: %v", name, id(i), "a", err)
		}
	})
	for i := range count {
		if i%3 == 0 {
			wantClaim(t, s, id(i), "b", claimed, ruleReleased)
		} else {
			wantClaim(t, s, id(i), "b", handled, ruleHandled)
		}
	}
}

func testEndedContext(t *testing.T, newStore NewStore) {
	s, id := newStore(t, longClaim), rand.Text()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	const why = "the context has ended"
	if got, err := s.Claim(ctx, id, "a"); err == nil {
		t.Errorf("Claim = %q, want an error: %s", got, why)
	}
	wantClaim(t, s, id, "b", claimed, "Claim with an ended context must not claim")
	if err := s.MarkHandled(ctx, id, "b"); err == nil {
		t.Errorf("MarkHandled returned nil, want an error: %s", why)
	}
	wantClaim(t, s, id, "c", inProgress, "MarkHandled with an ended context must do nothing")
	if err := s.Release(ctx, id, "b"); err == nil {
		t.Errorf("Release returned nil, want an error: %s", why)
	}
	wantClaim(t, s, id, "c", inProgress, "Release with an ended context must do nothing")
}

const (
	notifications = 8
	deliveries    = 16 // concurrent, per notification
)

// testTwoHandlers delivers notifications concurrently to two handlers that share
// only the store. The merchant's function fails once for each notification, and
// must then succeed once.
func testTwoHandlers(t *testing.T, newStore NewStore) {
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	var mu sync.Mutex
	failed, succeeded := map[string]int{}, map[string]int{}
	handle := func(_ context.Context, n *wechatpay.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		if failed[n.ID] == 0 {
			failed[n.ID]++
			return errors.New("first attempt fails")
		}
		succeeded[n.ID]++
		return nil
	}
	store := newStore(t, longClaim)
	var handlers [2]http.Handler
	for i := range handlers {
		client, err := wechatpay.NewClient(server.Config())
		if err != nil {
			t.Fatal(err)
		}
		handlers[i] = client.NotificationHandler(wechatpay.Once(store, handle))
	}

	stem := rand.Text()
	var ids []string
	for i := range notifications {
		ids = append(ids, fmt.Sprint(stem, i))
	}
	acknowledged := make(map[string]bool)
	for round := 1; len(acknowledged) < len(ids); round++ {
		if round > 10 {
			t.Fatalf("%d of %d notifications got status 200 in %d rounds", len(acknowledged), len(ids), round-1)
		}
		for _, id := range deliver(t, server, handlers, ids) {
			acknowledged[id] = true
		}
	}
	for _, id := range ids {
		if failed[id] != 1 || succeeded[id] != 1 {
			t.Errorf("Once: the function for notification %q failed %d times and succeeded %d times, want once each",
				id, failed[id], succeeded[id])
		}
	}
}

// deliver delivers each notification several times concurrently, and returns
// the ids that got a 200.
func deliver(
	t *testing.T, server *wechatpaytest.Server, handlers [2]http.Handler, ids []string,
) (acknowledged []string) {
	t.Helper()
	requests := make([]*http.Request, len(ids))
	for i, id := range ids {
		req, err := server.NewNotification(context.Background(), "/", wechatpaytest.Notification{
			ID:          id,
			EventType:   "COMPLAINT.CREATE",
			ComplaintID: "200201820200101080076610000",
			ActionType:  "CREATE_COMPLAINT",
		})
		if err != nil {
			t.Fatal(err)
		}
		requests[i] = req
	}
	var mu sync.Mutex
	concurrently(len(ids)*deliveries, func(i int) {
		n, handler := i%len(ids), handlers[i/len(ids)%2]
		body, err := requests[n].GetBody()
		if err != nil {
			t.Error(err)
			return
		}
		req := httptest.NewRequest(http.MethodPost, "/", body)
		req.Header = requests[n].Header
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, req)
		switch recorder.Code {
		case http.StatusOK:
			mu.Lock()
			defer mu.Unlock()
			acknowledged = append(acknowledged, ids[n])
		case http.StatusInternalServerError, http.StatusServiceUnavailable:
			if !bytes.Contains(recorder.Body.Bytes(), []byte(`"FAIL"`)) {
				t.Errorf("status %d with the body %s, want FAIL", recorder.Code, recorder.Body)
			}
		default:
			t.Errorf("status %d for notification %q, want 200, 500 or 503", recorder.Code, ids[n])
		}
	})
	return acknowledged
}
