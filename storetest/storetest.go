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
type NewStore func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore

// Run tests the store. It takes a second or two beside the store's own time:
// it waits for claims of 50 ms to expire, but no result depends on how fast the
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
		{"a dead holder is taken over", takeover},
		{"a late failure gives up no later claim", lateFailure},
		{"many holders at once", contention},
		{"many notifications at once", load},
		{"a context that has ended", endedContext},
		{"copies at once over two handlers", twoHandlers},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newStore) })
	}
}

const (
	claimed = wechatpay.NotificationClaimed
	inWork  = wechatpay.NotificationInWork
	done    = wechatpay.NotificationHandled

	// long is a claim that no test outlives.
	long = time.Hour
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

func takeover(t *testing.T, newStore NewStore) {
	const claimFor = 50 * time.Millisecond
	s, id := newStore(t, claimFor), rand.Text()
	started := time.Now()
	begin(t, s, id, "a", claimed)
	awaitClaim(t, s, id, "b")
	// The store's clock may be coarser than ours.
	if took := time.Since(started); took < claimFor-5*time.Millisecond {
		t.Fatalf("the claim of %v was taken over after %v", claimFor, took)
	}
	// The first holder was late, not dead, and the work is done.
	end(t, s, id, "a", true)
	begin(t, s, id, "c", done)
	end(t, s, id, "b", false)
	begin(t, s, id, "c", done)
}

func lateFailure(t *testing.T, newStore NewStore) {
	for claimFor := 50 * time.Millisecond; claimFor < patience; claimFor *= 2 {
		s, id := newStore(t, claimFor), rand.Text()
		begin(t, s, id, "a", claimed)
		asked := awaitClaim(t, s, id, "b")
		end(t, s, id, "a", false)
		got, err := s.Begin(context.Background(), id, "c")
		if err != nil {
			t.Fatal(err)
		}
		if got == inWork {
			return
		}
		if took := time.Since(asked); took < claimFor-5*time.Millisecond {
			t.Fatalf("Begin = %q %v after another holder got the claim for %v", got, took, claimFor)
		}
		// The claim had expired by itself: the machine is slow, or busy.
	}
	t.Fatal("no claim stood for long enough to be looked at")
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

func contention(t *testing.T, newStore NewStore) {
	const holders, rounds = 32, 10
	s := newStore(t, long)
	for range rounds {
		id := rand.Text()
		// Two generations: the first winner fails.
		for range 2 {
			var winner atomic.Pointer[string]
			var won atomic.Int32
			together(holders, func(i int) {
				holder := fmt.Sprint("holder ", i)
				switch got, err := s.Begin(context.Background(), id, holder); {
				case err != nil:
					t.Errorf("Begin: %v", err)
				case got == claimed:
					won.Add(1)
					winner.Store(&holder)
				case got != inWork:
					t.Errorf("Begin = %q, and nobody handled it", got)
				}
			})
			if n := won.Load(); n != 1 {
				t.Fatalf("%d of %d holders got the claim", n, holders)
			}
			end(t, s, id, *winner.Load(), false)
		}
		begin(t, s, id, "last", claimed)
		end(t, s, id, "last", true)
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
