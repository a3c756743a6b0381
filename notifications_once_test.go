package wechatpay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/storetest"
)

func TestMemoryStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		store := wechatpay.NewMemoryStore()
		store.ClaimFor = claimFor
		return store
	})
}

// clock is moved by hand.
type clock struct{ at time.Time }

func (c *clock) now() time.Time       { return c.at }
func (c *clock) pass(d time.Duration) { c.at = c.at.Add(d) }
func requireState(t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState) {
	t.Helper()
	got, err := s.Begin(context.Background(), id, holder)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// A MemoryStore that NewMemoryStore did not make has its values all the same.
func TestMemoryStoreDefaults(t *testing.T) {
	c := &clock{testTime}
	store := &wechatpay.MemoryStore{Time: c.now}
	requireState(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.pass(30*time.Second - 1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.pass(1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	require.NoError(t, store.End(context.Background(), "1", "b", true))
	c.pass(7*24*time.Hour - 1)
	requireState(t, store, "1", "c", wechatpay.NotificationStateHandled)
	c.pass(1)
	requireState(t, store, "1", "c", wechatpay.NotificationStateClaimed)
}

func TestMemoryStoreRefusesNegativeFields(t *testing.T) {
	tests := map[string]*wechatpay.MemoryStore{
		"ClaimFor": {ClaimFor: -1},
		"KeepFor":  {KeepFor: -1},
		"Max":      {Max: -1},
	}
	for field, store := range tests {
		_, err := store.Begin(context.Background(), "1", "a")
		for _, err := range []error{err, store.End(context.Background(), "1", "a", true)} {
			var refused *wechatpay.ArgumentError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, field, refused.Faults[0].Field)
		}
	}
}

// What was claimed by a clock that ran ahead keeps no later claim.
func TestMemoryStoreWhoseClockIsSetBack(t *testing.T) {
	c := &clock{testTime.Add(24 * time.Hour)}
	store := &wechatpay.MemoryStore{Time: c.now}
	requireState(t, store, "before", "a", wechatpay.NotificationStateClaimed)
	c.at = testTime
	requireState(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.pass(30*time.Second - 1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.pass(1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateClaimed)
}

func TestMemoryStoreExpires(t *testing.T) {
	c := &clock{testTime}
	store := wechatpay.NewMemoryStore()
	store.Time = c.now
	require.Equal(t, 30*time.Second, store.ClaimFor)
	require.Equal(t, 7*24*time.Hour, store.KeepFor)

	requireState(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.pass(store.ClaimFor - 1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.pass(1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateClaimed)

	// A claim that is renewed stands for the whole time again.
	c.pass(store.ClaimFor - 1)
	requireState(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	c.pass(store.ClaimFor - 1)
	requireState(t, store, "1", "c", wechatpay.NotificationStateInProgress)

	require.NoError(t, store.End(context.Background(), "1", "b", true))
	c.pass(store.KeepFor - 1)
	requireState(t, store, "1", "c", wechatpay.NotificationStateHandled)
	c.pass(1)
	requireState(t, store, "1", "c", wechatpay.NotificationStateClaimed)
}

// What is handled makes room, what is in work does not.
func TestMemoryStoreIsBounded(t *testing.T) {
	store := wechatpay.NewMemoryStore()
	require.Equal(t, 100_000, store.Max)
	store.Max = 3
	for i := range 10 {
		requireState(t, store, fmt.Sprint("done ", i), "a", wechatpay.NotificationStateClaimed)
		require.NoError(t, store.End(context.Background(), fmt.Sprint("done ", i), "a", true))
	}
	for i := range 10 {
		if i < 7 {
			continue
		}
		requireState(t, store, fmt.Sprint("done ", i), "b", wechatpay.NotificationStateHandled)
	}
	for i := range 3 {
		requireState(t, store, fmt.Sprint("work ", i), "a", wechatpay.NotificationStateClaimed)
	}
	_, err := store.Begin(context.Background(), "work 4", "a")
	require.ErrorContains(t, err, "3 notifications are in work")
	requireState(t, store, "work 0", "a", wechatpay.NotificationStateClaimed)
	requireState(t, store, "work 2", "b", wechatpay.NotificationStateInProgress)
	require.NoError(t, store.End(context.Background(), "work 1", "a", false))
	requireState(t, store, "done 9", "a", wechatpay.NotificationStateClaimed)
}

// lossy is a store whose answers get lost: the first of Begin, the second of
// End.
type lossy struct {
	wechatpay.NotificationStore
	begins, ends int
}

func (s *lossy) Begin(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	state, err := s.NotificationStore.Begin(ctx, id, holder)
	if s.begins++; s.begins == 1 {
		return "", errLost
	}
	return state, err
}

func (s *lossy) End(ctx context.Context, id, holder string, handled bool) error {
	if s.ends++; s.ends == 2 {
		return errLost
	}
	return s.NotificationStore.End(ctx, id, holder, handled)
}

var errLost = errors.New("connection lost")

// storeFunc is a store that answers as it is told.
type storeFunc struct {
	begin func(ctx context.Context) (wechatpay.NotificationState, error)
	end   func(ctx context.Context, handled bool) error
}

func (s storeFunc) Begin(ctx context.Context, _, _ string) (wechatpay.NotificationState, error) {
	return s.begin(ctx)
}

func (s storeFunc) End(ctx context.Context, _, _ string, handled bool) error {
	return s.end(ctx, handled)
}

func TestOnce(t *testing.T) {
	failure := errors.New("merchant failed")
	give := func(state wechatpay.NotificationState, err error) func(context.Context) (wechatpay.NotificationState, error) {
		return func(context.Context) (wechatpay.NotificationState, error) { return state, err }
	}
	tests := []struct {
		name   string
		begin  func(context.Context) (wechatpay.NotificationState, error)
		endErr error
		handle error

		runs   int
		ends   []bool // what End is told
		errors []error
		text   string
		status int
	}{
		{name: "claimed", begin: give(wechatpay.NotificationStateClaimed, nil), runs: 1, ends: []bool{true}, status: 200},
		{name: "handled before", begin: give(wechatpay.NotificationStateHandled, nil), status: 200},
		{name: "in work", begin: give(wechatpay.NotificationStateInProgress, nil), errors: []error{wechatpay.ErrNotificationInProgress},
			text: "wechatpay: Once: notification 42: another copy is in work", status: 503},
		{name: "failed", begin: give(wechatpay.NotificationStateClaimed, nil), handle: failure, runs: 1, ends: []bool{false}, errors: []error{failure},
			text: "merchant failed", status: 500},
		{name: "begin fails", begin: give("", errLost), ends: []bool{false}, errors: []error{errLost}, text: "wechatpay: Once: claiming notification 42: connection lost", status: 500},
		{name: "a state that is none", begin: give("DONE", nil), text: `gives "DONE", which is no NotificationState`, status: 500},
		{name: "a store that gives nothing", begin: give("", nil), text: `gives "", which is no NotificationState`, status: 500},
		{name: "not recorded", begin: give(wechatpay.NotificationStateClaimed, nil), endErr: errLost, runs: 1, ends: []bool{true, true},
			errors: []error{wechatpay.ErrNotificationNotRecorded, errLost}, text: "wechatpay: Once: notification 42: handled, but not recorded: connection lost", status: 200},
		{name: "failed, and not given up", begin: give(wechatpay.NotificationStateClaimed, nil), endErr: errLost, handle: failure, runs: 1, ends: []bool{false},
			errors: []error{failure, errLost}, text: "merchant failed; besides, its claim stands until it expires: connection lost", status: 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ends []bool
			runs := 0
			handle := wechatpay.Once(storeFunc{tt.begin, func(_ context.Context, handled bool) error {
				ends = append(ends, handled)
				return tt.endErr
			}}, func(context.Context, *wechatpay.Notification) error {
				runs++
				return tt.handle
			})
			err := handle(context.Background(), &wechatpay.Notification{ID: "42"})
			require.Equal(t, tt.runs, runs)
			require.Equal(t, tt.ends, ends)
			if tt.text == "" {
				require.NoError(t, err)
			} else {
				require.ErrorContains(t, err, tt.text)
			}
			for _, want := range tt.errors {
				require.ErrorIs(t, err, want)
			}

			answer := httptest.NewRecorder()
			testClient(t).NotificationHandler(handle).ServeHTTP(answer, notification(t))
			require.Equal(t, tt.status, answer.Code)
		})
	}
}

// Two jobs of one handle, each with a Once of its own: what the one could not
// note down does not hide what the other failed in.
func TestOnceForTwoJobs(t *testing.T) {
	failure := errors.New("mail server gone")
	job := func(endErr, err error) func(context.Context, *wechatpay.Notification) error {
		return wechatpay.Once(storeFunc{
			func(context.Context) (wechatpay.NotificationState, error) {
				return wechatpay.NotificationStateClaimed, nil
			},
			func(context.Context, bool) error { return endErr },
		}, func(context.Context, *wechatpay.Notification) error { return err })
	}
	done, failed, notRecorded := job(nil, nil), job(nil, failure), job(errLost, nil)
	inWork := wechatpay.Once(storeFunc{
		begin: func(context.Context) (wechatpay.NotificationState, error) {
			return wechatpay.NotificationStateInProgress, nil
		},
	}, nil)
	tests := []struct {
		name       string
		book, mail func(context.Context, *wechatpay.Notification) error
		status     int
	}{
		{"both done", done, done, 200},
		{"done, and not recorded", notRecorded, done, 200},
		{"both not recorded", notRecorded, notRecorded, 200},
		{"not recorded, and failed", notRecorded, failed, 500},
		{"failed, and not recorded", failed, notRecorded, 500},
		{"both failed", failed, failed, 500},
		{"both in work", inWork, inWork, 503},
		{"done, and in work", done, inWork, 503},
		{"in work, and failed", inWork, failed, 500},
		{"in work, and not recorded", inWork, notRecorded, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			client := testClient(t, func(cfg *wechatpay.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
			})
			answer := httptest.NewRecorder()
			client.NotificationHandler(func(ctx context.Context, n *wechatpay.Notification) error {
				if err := errors.Join(tt.book(ctx, n), tt.mail(ctx, n)); err != nil {
					return fmt.Errorf("two jobs: %w", err)
				}
				return nil
			}).ServeHTTP(answer, notification(t))
			require.Equal(t, tt.status, answer.Code)
			require.Equal(t, tt.status == 500, strings.Contains(log.String(), "status=500"), &log)
		})
	}
}

// The claim whose answer was lost is given up, and that a notification was
// handled is said again.
func TestOnceWhenAnswersAreLost(t *testing.T) {
	store, runs := &lossy{NotificationStore: wechatpay.NewMemoryStore()}, 0
	handle := wechatpay.Once(store, func(context.Context, *wechatpay.Notification) error { runs++; return nil })
	require.ErrorIs(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}), errLost)
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.Equal(t, 1, runs)
	require.Equal(t, 3, store.ends)
}

func TestOnceNeedsAnID(t *testing.T) {
	var refused *wechatpay.ArgumentError
	err := wechatpay.Once(wechatpay.NewMemoryStore(), nil)(context.Background(), &wechatpay.Notification{})
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "ID", refused.Faults[0].Field)
}

// A panic gives the claim up, and goes on to whoever recovers it.
func TestOnceAndPanics(t *testing.T) {
	store := wechatpay.NewMemoryStore()
	runs := 0
	handle := wechatpay.Once(store, func(context.Context, *wechatpay.Notification) error {
		if runs++; runs == 1 {
			panic("merchant's bug")
		}
		return nil
	})
	require.PanicsWithValue(t, "merchant's bug", func() { _ = handle(context.Background(), &wechatpay.Notification{ID: "1"}) })
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.Equal(t, 2, runs)
}

// The claim is given up although the time of the work is over.
func TestOnceEndsWhenTheContextHas(t *testing.T) {
	type key struct{}
	for _, failure := range []error{nil, context.DeadlineExceeded} {
		ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "value"))
		told := 0
		handle := wechatpay.Once(storeFunc{
			func(context.Context) (wechatpay.NotificationState, error) {
				return wechatpay.NotificationStateClaimed, nil
			},
			func(ctx context.Context, handled bool) error {
				told++
				require.Equal(t, failure == nil, handled)
				require.NoError(t, ctx.Err())
				require.Equal(t, "value", ctx.Value(key{}))
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.WithinDuration(t, time.Now().Add(2*time.Second), deadline, 2*time.Second)
				return nil
			},
		}, func(context.Context, *wechatpay.Notification) error {
			cancel()
			return failure
		})
		require.Equal(t, failure, handle(ctx, &wechatpay.Notification{ID: "1"}))
		require.Equal(t, 1, told)
	}
}

// A merchant's code that fails is asked again; once it succeeded, no more. A copy
// that comes while it runs is answered with 503 FAIL.
func TestHandlerWithOnce(t *testing.T) {
	runs := 0
	var handler http.Handler
	handler = testClient(t).NotificationHandler(wechatpay.Once(wechatpay.NewMemoryStore(), func(context.Context, *wechatpay.Notification) error {
		copied := httptest.NewRecorder()
		handler.ServeHTTP(copied, notification(t))
		require.Equal(t, 503, copied.Code)
		require.JSONEq(t, `{"code":"FAIL","message":"Service Unavailable"}`, copied.Body.String())
		switch runs++; runs {
		case 1:
			return errors.New("failed")
		case 2:
			panic("failed")
		}
		return nil
	}))
	for _, want := range []int{500, 500, 200, 200} {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, notification(t))
		require.Equal(t, want, answer.Code)
	}
	require.Equal(t, 3, runs)
}
