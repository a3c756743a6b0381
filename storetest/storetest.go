// Package storetest tests whether a wechatpay.NotificationStore keeps what that
// interface promises. It is for those who write one:
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
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// NewStore makes a store whose claims stand for claimFor, on the store's own
// clock, which must run. Stores may hold what earlier ones left behind.
//
// Run makes several, as several machines would: those of one kind should share
// what is behind them, such as a database, and nothing in this process. If they
// do not, one test is skipped.
type NewStore func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore

// Run tests the store. It takes a few seconds beside the store's own time: it
// waits for claims of 50 ms to expire, but no result depends on how fast the
// machine is.
func Run(t *testing.T, newStore NewStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, newStore NewStore)
	}{
		{"one holder has the claim", oneHolder},
		{"a holder that asks again", sameHolder},
		{"a failure gives the claim up", failure},
		{"what is handled stays handled", handled},
		{"a stranger gives up no claim", stranger},
		{"ids are told apart", ids},
		{"what is handled outlives the claim", outlives},
		{"a dead holder is taken over", takeover},
		{"a renewed claim stands for longer", renewal},
		{"a late failure gives up no later claim", lateFailure},
		{"many holders at once", contention},
		{"many holders at once after a dead one", takeoverContention},
		{"many machines at once", machines},
		{"many notifications at once", load},
		{"a context that has ended", endedContext},
		{"copies at once over two handlers", twoHandlers},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore) })
	}
}

const (
	claimed = wechatpay.NotificationStateClaimed
	inWork  = wechatpay.NotificationStateInProgress
	done    = wechatpay.NotificationStateHandled

	// long is a claim that no test outlives.
	long = time.Hour
	// short is one that is waited for, and is doubled where the machine turns
	// out to be too slow for it.
	short = 50 * time.Millisecond
	// coarse is what the store's clock may be off by, as it may have other ticks
	// than ours.
	coarse = 5 * time.Millisecond
	// patience bounds the wait for a claim to expire.
	patience = 30 * time.Second
)

// begin demands a state.
func begin(t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState) {
	t.Helper()
	got, err := s.Begin(context.Background(), id, holder)
	if err != nil || got != want {
		t.Fatalf("Begin(%q, %q) = %q, %v; want %q", id, holder, got, err, want)
	}
}

func end(t *testing.T, s wechatpay.NotificationStore, id, holder string, handled bool) {
	t.Helper()
	if err := s.End(context.Background(), id, holder, handled); err != nil {
		t.Fatalf("End(%q, %q, %v) = %v", id, holder, handled, err)
	}
}

func oneHolder(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	begin(t, s, id, "a", claimed)
	begin(t, s, id, "b", inWork)
	begin(t, s, id, "b", inWork)
	end(t, s, id, "a", true)
	begin(t, s, id, "b", done)
	begin(t, s, id, "a", done)
}

func sameHolder(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	begin(t, s, id, "a", claimed)
	begin(t, s, id, "a", claimed)
	begin(t, s, id, "b", inWork)
	end(t, s, id, "a", false)
	begin(t, s, id, "b", claimed)
}

func failure(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	begin(t, s, id, "a", claimed)
	end(t, s, id, "a", false)
	end(t, s, id, "a", false)
	begin(t, s, id, "b", claimed)
	begin(t, s, id, "a", inWork)
	end(t, s, id, "b", true)
	begin(t, s, id, "c", done)
}

func handled(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	begin(t, s, id, "a", claimed)
	end(t, s, id, "a", true)
	end(t, s, id, "a", true)
	end(t, s, id, "a", false)
	end(t, s, id, "b", false)
	end(t, s, id, "", false)
	begin(t, s, id, "c", done)

	// It was handled, whoever has the claim by now, or if nobody has.
	other, none := rand.Text(), rand.Text()
	begin(t, s, other, "a", claimed)
	end(t, s, other, "b", true)
	end(t, s, other, "a", false)
	begin(t, s, other, "c", done)
	end(t, s, none, "a", true)
	begin(t, s, none, "b", done)
}

func stranger(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	end(t, s, id, "a", false)
	begin(t, s, id, "a", claimed)
	end(t, s, id, "b", false)
	end(t, s, id, "", false)
	begin(t, s, id, "b", inWork)
}

func ids(t *testing.T, newStore NewStore) {
	s, stem := newStore(t, long), rand.Text()
	for _, id := range []string{
		stem + "a", stem + "A", stem + "a ", stem + "a%", stem + "a_", stem + "a:", stem + `a'`, stem + `a"; --`, stem + `a\`,
		stem + strings.Repeat("x", 64-len(stem)-1) + "1", stem + strings.Repeat("x", 64-len(stem)-1) + "2",
	} {
		begin(t, s, id, "a", claimed)
		begin(t, s, id, "b", inWork)
	}
	// Holders too.
	begin(t, s, stem+"a", "A", inWork)
	begin(t, s, stem+"a", "a ", inWork)
	begin(t, s, stem+"a", "a", claimed)
}

// awaitClaim begins until the claim is given, and tells when it asked for it.
func awaitClaim(t *testing.T, s wechatpay.NotificationStore, id, holder string) time.Time {
	t.Helper()
	for start := time.Now(); ; {
		asked := time.Now()
		got, err := s.Begin(context.Background(), id, holder)
		switch {
		case err != nil:
			t.Fatalf("Begin(%q, %q): %v", id, holder, err)
		case got == claimed:
			return asked
		case got != inWork:
			t.Fatalf("Begin(%q, %q) = %q, and nobody handled it", id, holder, got)
		case time.Since(start) > patience:
			t.Fatalf("the claim does not expire: a second holder waited for %v", patience)
		}
		<-time.After(time.Millisecond)
	}
}

// outlives: what was handled does not expire with the claim, and is not taken
// over as that is.
func outlives(t *testing.T, newStore NewStore) {
	s, id, later := newStore(t, short), rand.Text(), rand.Text()
	begin(t, s, id, "a", claimed)
	end(t, s, id, "a", true)
	// When this claim has expired, the one before has.
	begin(t, s, later, "a", claimed)
	awaitClaim(t, s, later, "b")
	begin(t, s, id, "b", done)
	begin(t, s, id, "a", done)
}

func takeover(t *testing.T, newStore NewStore) {
	s, id := newStore(t, short), rand.Text()
	started := time.Now()
	begin(t, s, id, "a", claimed)
	awaitClaim(t, s, id, "b")
	if took := time.Since(started); took < short-coarse {
		t.Fatalf("the claim of %v was taken over after %v", short, took)
	}
	// The first holder was late, not dead, and the work is done.
	end(t, s, id, "a", true)
	begin(t, s, id, "c", done)
	end(t, s, id, "b", false)
	begin(t, s, id, "c", done)
}

// withTime runs a test of a claim that stands, with longer claims as long as it
// says that the claim may have expired by itself: the machine is slow, or busy.
func withTime(t *testing.T, test func(claimFor time.Duration) (conclusive bool)) {
	t.Helper()
	for claimFor := short; claimFor < patience; claimFor *= 2 {
		if test(claimFor) {
			return
		}
	}
	t.Fatal("no claim stood for long enough to be looked at")
}

// stands reports whether others are refused. If they are not, the claim that was
// asked for at the given time must have had its time.
func stands(t *testing.T, s wechatpay.NotificationStore, id string, asked time.Time, claimFor time.Duration) bool {
	t.Helper()
	got, err := s.Begin(context.Background(), id, "another")
	if err != nil {
		t.Fatal(err)
	}
	if got == inWork {
		return true
	}
	if took := time.Since(asked); took < claimFor-coarse {
		t.Fatalf("Begin = %q %v after another holder got the claim for %v", got, took, claimFor)
	}
	return false
}

func lateFailure(t *testing.T, newStore NewStore) {
	withTime(t, func(claimFor time.Duration) bool {
		s, id := newStore(t, claimFor), rand.Text()
		begin(t, s, id, "a", claimed)
		asked := awaitClaim(t, s, id, "b")
		end(t, s, id, "a", false)
		return stands(t, s, id, asked, claimFor)
	})
}

func renewal(t *testing.T, newStore NewStore) {
	withTime(t, func(claimFor time.Duration) bool {
		s, id, later := newStore(t, claimFor), rand.Text(), rand.Text()
		begin(t, s, id, "a", claimed)
		begin(t, s, later, "a", claimed)
		<-time.After(claimFor / 2)
		asked := time.Now()
		begin(t, s, id, "a", claimed)
		// When this claim has expired, the first one would have.
		awaitClaim(t, s, later, "b")
		return stands(t, s, id, asked, claimFor)
	})
}

// together runs n functions at once.
func together(n int, do func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Add(1)
		go func() {
			defer wg.Done()
			<-start
			do(i)
		}()
	}
	close(start)
	wg.Wait()
}

const (
	holders = 32 // at once
	rounds  = 10
)

// contend lets holders begin at once, each by the next of the stores, and tells
// who got the claim.
func contend(t *testing.T, id string, stores ...wechatpay.NotificationStore) (winners []string) {
	t.Helper()
	var mu sync.Mutex
	together(holders, func(i int) {
		holder := fmt.Sprint("holder ", i)
		switch got, err := stores[i%len(stores)].Begin(context.Background(), id, holder); {
		case err != nil:
			t.Errorf("Begin: %v", err)
		case got == claimed:
			mu.Lock()
			defer mu.Unlock()
			winners = append(winners, holder)
		case got != inWork:
			t.Errorf("Begin = %q, and nobody handled it", got)
		}
	})
	return winners
}

// winner demands one winner.
func winner(t *testing.T, winners []string) string {
	t.Helper()
	if len(winners) != 1 {
		t.Fatalf("%d of %d holders got the claim", len(winners), holders)
	}
	return winners[0]
}

func contention(t *testing.T, newStore NewStore) {
	s := newStore(t, long)
	for range rounds {
		id := rand.Text()
		// Two generations: the first winner fails.
		for range 2 {
			end(t, s, id, winner(t, contend(t, id, s)), false)
		}
		begin(t, s, id, "last", claimed)
		end(t, s, id, "last", true)
	}
}

// takeoverContention: a dead holder is taken over by one.
func takeoverContention(t *testing.T, newStore NewStore) {
	for range rounds / 2 {
		withTime(t, func(claimFor time.Duration) bool {
			s, id, later := newStore(t, claimFor), rand.Text(), rand.Text()
			begin(t, s, id, "dead", claimed)
			begin(t, s, later, "dead", claimed)
			awaitClaim(t, s, later, "a")
			asked := time.Now()
			winners := contend(t, id, s)
			if len(winners) > 1 && time.Since(asked) >= claimFor-coarse {
				return false
			}
			winner(t, winners)
			return true
		})
	}
}

// machines: the claim is one, not one for each machine.
func machines(t *testing.T, newStore NewStore) {
	id := rand.Text()
	end(t, newStore(t, long), id, "a", true)
	switch got, err := newStore(t, long).Begin(context.Background(), id, "b"); {
	case err != nil:
		t.Fatal(err)
	case got == claimed:
		t.Skip("each store is for itself, as one in memory is")
	}
	stores := make([]wechatpay.NotificationStore, holders)
	for i := range stores {
		stores[i] = newStore(t, long)
	}
	for range rounds {
		winner(t, contend(t, rand.Text(), stores...))
	}
}

func load(t *testing.T, newStore NewStore) {
	s, stem := newStore(t, long), rand.Text()
	together(300, func(i int) {
		id := fmt.Sprint(stem, i)
		got, err := s.Begin(context.Background(), id, "a")
		if err != nil || got != claimed {
			t.Errorf("Begin(%q) = %q, %v", id, got, err)
			return
		}
		if err := s.End(context.Background(), id, "a", i%3 > 0); err != nil {
			t.Errorf("End(%q) = %v", id, err)
		}
	})
	for i := range 300 {
		want := done
		if i%3 == 0 {
			want = claimed
		}
		begin(t, s, fmt.Sprint(stem, i), "b", want)
	}
}

func endedContext(t *testing.T, newStore NewStore) {
	s, id := newStore(t, long), rand.Text()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := s.Begin(ctx, id, "a"); err == nil {
		t.Errorf("Begin = %q, and its context had ended", got)
	}
	begin(t, s, id, "b", claimed)
	if err := s.End(ctx, id, "b", true); err == nil {
		t.Error("End = nil, and its context had ended")
	}
	begin(t, s, id, "c", inWork)
}

// twoHandlers sends copies of notifications at once to two handlers that share
// nothing but the store: the merchant's code runs once for each, and once more
// after a failure.
func twoHandlers(t *testing.T, newStore NewStore) {
	const notifications, copies = 8, 16
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	var mu sync.Mutex
	failed, succeeded := map[string]int{}, map[string]int{}
	handle := func(_ context.Context, n *wechatpay.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		if failed[n.ID] == 0 {
			failed[n.ID]++
			return errors.New("the merchant fails at first")
		}
		succeeded[n.ID]++
		return nil
	}
	var handlers []http.Handler
	shared := newStore(t, long)
	for range 2 {
		client, err := wechatpay.NewClient(server.Config())
		if err != nil {
			t.Fatal(err)
		}
		handlers = append(handlers, client.NotificationHandler(wechatpay.Once(shared, handle)))
	}

	// WeChat Pay repeats what is not answered with 200.
	stem, acknowledged := rand.Text(), make([]atomic.Int32, notifications)
	for round := 1; ; round++ {
		var requests [notifications]*http.Request
		for i := range requests {
			req, err := server.NewNotification(context.Background(), "/", wechatpaytest.Notification{
				ID: fmt.Sprint(stem, i), EventType: "COMPLAINT.CREATE", ComplaintID: "200201820200101080076610000", ActionType: "CREATE_COMPLAINT",
			})
			if err != nil {
				t.Fatal(err)
			}
			requests[i] = req
		}
		together(notifications*copies, func(i int) {
			n, req := i%notifications, httptest.NewRequest(http.MethodPost, "/", nil)
			body, err := requests[n].GetBody()
			if err != nil {
				t.Error(err)
				return
			}
			req.Header, req.Body = requests[n].Header, body
			answer := httptest.NewRecorder()
			handlers[i/notifications%2].ServeHTTP(answer, req)
			switch answer.Code {
			case http.StatusOK:
				acknowledged[n].Add(1)
			case http.StatusInternalServerError, http.StatusServiceUnavailable:
				if body, _ := io.ReadAll(answer.Body); !bytes.Contains(body, []byte(`"FAIL"`)) {
					t.Errorf("%d with %s", answer.Code, body)
				}
			default:
				t.Errorf("status %d", answer.Code)
			}
		})
		missing := 0
		for i := range acknowledged {
			if acknowledged[i].Load() == 0 {
				missing++
			}
		}
		if missing == 0 {
			break
		}
		if round == 10 {
			t.Fatalf("%d of %d notifications were not acknowledged in %d rounds", missing, notifications, round)
		}
	}
	for i := range notifications {
		id := fmt.Sprint(stem, i)
		if failed[id] != 1 || succeeded[id] != 1 {
			t.Errorf("notification %d: the merchant's code failed %d times and succeeded %d times; want once each", i, failed[id], succeeded[id])
		}
	}
}
