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

// database is the backend that stores share. Each call of update is atomic.
type database struct {
	mu   sync.Mutex
	rows map[string]row
}

type row struct {
	holder  string
	until   time.Time
	handled bool
}

func (d *database) update(f func(rows map[string]row)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d.rows)
}

// A bug is a mistake in a store.
type bug string

const (
	noBug            bug = ""
	handledExpires   bug = "handled expires with the claim"
	claimsTwice      bug = "reads an expired claim and then overwrites it"
	localMutex       bug = "synchronizes within one store"
	neverRenews      bug = "does not renew"
	neverReleases    bug = "does not release"
	releasesAny      bug = "releases the claim of any holder"
	releasesHandled  bug = "Release undoes MarkHandled"
	handledByHolder  bug = "MarkHandled requires the claim"
	foldsIDs         bug = "ignores the case of ids"
	foldsHolders     bug = "ignores the case of holders"
	ignoresContext   bug = "ignores the context"
	refusesOwnClaims bug = "refuses a second claim of the same holder"
)

// store is correct except for its bug.
type store struct {
	*database
	claimFor time.Duration
	bug      bug
	mutex    sync.Mutex
}

// prepare returns the id and holder to use, and an error if ctx has ended.
func (s *store) prepare(ctx context.Context, id, holder string) (string, string, error) {
	switch s.bug {
	case foldsIDs:
		id = strings.ToLower(id)
	case foldsHolders:
		holder = strings.ToLower(holder)
	case ignoresContext:
		return id, holder, nil
	}
	return id, holder, ctx.Err()
}

func (s *store) Claim(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	id, holder, err := s.prepare(ctx, id, holder)
	if err != nil {
		return "", err
	}
	if s.bug == localMutex {
		s.mutex.Lock()
		defer s.mutex.Unlock()
	}
	at, state := time.Now(), wechatpay.NotificationStateClaimed
	newRow := row{holder: holder, until: at.Add(s.claimFor)}
	deferred := false // whether newRow is written in a second step
	s.update(func(rows map[string]row) {
		row, known := rows[id]
		expired := !at.Before(row.until)
		switch {
		case row.handled && (s.bug != handledExpires || !expired):
			state = wechatpay.NotificationStateHandled
		case known && !expired && (row.holder != holder || s.bug == refusesOwnClaims):
			state = wechatpay.NotificationStateInProgress
		case s.bug == neverRenews && row.holder == holder && !expired:
		case s.bug == localMutex, s.bug == claimsTwice && known:
			deferred = true
		default:
			rows[id] = newRow
		}
	})
	if deferred {
		<-time.After(time.Millisecond) // let other holders read the old row
		s.update(func(rows map[string]row) { rows[id] = newRow })
	}
	return state, nil
}

func (s *store) MarkHandled(ctx context.Context, id, holder string) error {
	id, holder, err := s.prepare(ctx, id, holder)
	if err != nil {
		return err
	}
	s.update(func(rows map[string]row) {
		if s.bug == handledByHolder && rows[id].holder != holder {
			return
		}
		rows[id] = row{holder: holder, until: time.Now().Add(s.claimFor), handled: true}
	})
	return nil
}

func (s *store) Release(ctx context.Context, id, holder string) error {
	id, holder, err := s.prepare(ctx, id, holder)
	if err != nil {
		return err
	}
	s.update(func(rows map[string]row) {
		row := rows[id]
		switch {
		case s.bug == neverReleases,
			row.handled && s.bug != releasesHandled,
			row.holder != holder && s.bug != releasesAny:
			return
		}
		delete(rows, id)
	})
	return nil
}

func run(t *testing.T, b bug) {
	shared := &database{rows: map[string]row{}}
	storetest.Run(t, func(_ *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		return &store{database: shared, claimFor: claimFor, bug: b}
	})
}

func TestRun(t *testing.T) { run(t, noBug) }

// Each bug fails one test with a message that names the broken rule. A test that
// is meant to fail runs in its own process, which finds the bug in its
// environment.
func TestRun_bugs(t *testing.T) {
	const env = "STORETEST_BUG"
	if b := bug(os.Getenv(env)); b != noBug {
		run(t, b)
		return
	}
	if testing.Short() {
		t.Skip("slow")
	}
	tests := []struct {
		bug     bug
		test    string
		message string
	}{
		{handledExpires, "handled outlives the claim", `= "CLAIMED", want "HANDLED": MarkHandled was called: `},
		{claimsTwice, "concurrent claims after expiry", `returned "CLAIMED", want 1: Claim must be atomic`},
		{localMutex, "concurrent claims from several stores", `returned "CLAIMED", want 1: Claim must be atomic`},
		{neverRenews, "renewed claim", `= "CLAIMED", want "IN_PROGRESS": Claim by the same holder must renew`},
		{neverReleases, "release", `= "IN_PROGRESS", want "CLAIMED": the holder has released its claim`},
		{releasesAny, "release by another holder", `= "CLAIMED", want "IN_PROGRESS": Release by a holder that`},
		{releasesHandled, "handled", `= "CLAIMED", want "HANDLED": Release must not undo MarkHandled`},
		{handledByHolder, "handled without a claim", `= "IN_PROGRESS", want "HANDLED": MarkHandled must record`},
		{foldsIDs, "distinct ids", `= "IN_PROGRESS", want "CLAIMED": ids that differ only in case`},
		{foldsHolders, "distinct holders", `= "CLAIMED", want "IN_PROGRESS": holders that differ only in case`},
		{ignoresContext, "ended context", `Claim = "CLAIMED", want an error: the context has ended`},
		{refusesOwnClaims, "same holder claims again", `want "CLAIMED": a holder can claim again`},
	}
	for _, tt := range tests {
		t.Run(string(tt.bug), func(t *testing.T) {
			name := strings.ReplaceAll(tt.test, " ", "_")
			cmd := exec.Command(os.Args[0], "-test.run=^TestRun_bugs$/^"+name+"$")
			cmd.Env = append(os.Environ(), env+"="+string(tt.bug))
			output, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Contains(t, string(output), "--- FAIL: TestRun_bugs/"+name+" ")
			require.Contains(t, string(output), tt.message)
		})
	}
}
