package storetest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/storetest"
)

// database is what several machines share. Each do is atomic, and nothing else.
type database struct {
	mu   sync.Mutex
	rows map[string]row
}

type row struct {
	holder  string
	until   time.Time
	handled bool
}

func (d *database) do(f func(rows map[string]row)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.rows)
}

// What is wrong with a store.
const (
	nothing     = ""
	forgets     = "what is handled expires with the claim"
	takesTwice  = "an expired claim is read, and then taken"
	ownMutex    = "a mutex of this process"
	renewsNever = "a renewal renews nothing"
)

// store is a right one, or wrong in one thing.
type store struct {
	*database
	claimFor time.Duration
	wrong    string
	mutex    sync.Mutex
}

func (s *store) Begin(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if s.wrong == ownMutex {
		s.mutex.Lock()
		defer s.mutex.Unlock()
	}
	at, state := time.Now(), wechatpay.NotificationStateClaimed
	later := false // whether it is written in another step
	s.do(func(rows map[string]row) {
		row, known := rows[id]
		expired := !at.Before(row.until)
		switch {
		case row.handled && (s.wrong != forgets || !expired):
			state = wechatpay.NotificationStateHandled
		case row.holder != holder && !expired:
			state = wechatpay.NotificationStateInProgress
		case s.wrong == renewsNever && row.holder == holder && !expired:
		case s.wrong == ownMutex, s.wrong == takesTwice && known:
			later = true
		default:
			rows[id] = s.claim(holder, at)
		}
	})
	if later {
		<-time.After(time.Millisecond) // the way to the database
		s.do(func(rows map[string]row) { rows[id] = s.claim(holder, at) })
	}
	return state, nil
}

func (s *store) claim(holder string, at time.Time) row {
	return row{holder: holder, until: at.Add(s.claimFor)}
}

func (s *store) End(ctx context.Context, id, holder string, handled bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.do(func(rows map[string]row) {
		switch known := rows[id]; {
		case handled:
			rows[id] = row{until: time.Now().Add(s.claimFor), handled: true}
		case !known.handled && known.holder == holder:
			delete(rows, id)
		}
	})
	return nil
}

func run(t *testing.T, wrong string) {
	shared := &database{rows: map[string]row{}}
	storetest.Run(t, func(_ *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		return &store{database: shared, claimFor: claimFor, wrong: wrong}
	})
}

func TestRightStore(t *testing.T) { run(t, nothing) }

// A wrong store fails in a process of its own, where its kind is set.
func TestWrongStores(t *testing.T) {
	const kind = "STORETEST_WRONG"
	if wrong := os.Getenv(kind); wrong != nothing {
		run(t, wrong)
		return
	}
	for wrong, by := range map[string]string{
		forgets:     "what is handled outlives the claim",
		takesTwice:  "many holders at once after a dead one",
		ownMutex:    "many machines at once",
		renewsNever: "a renewed claim stands for longer",
	} {
		t.Run(wrong, func(t *testing.T) {
			by = strings.ReplaceAll(by, " ", "_")
			wrongly := exec.Command(os.Args[0], "-test.run=^TestWrongStores$/^"+by+"$")
			wrongly.Env = append(os.Environ(), kind+"="+wrong)
			output, err := wrongly.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(output), "--- FAIL: TestWrongStores/"+by+" ")
		})
	}
}
