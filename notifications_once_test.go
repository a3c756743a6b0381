package wechatpay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

type handleFunc = func(context.Context, *wechatpay.Notification) error

var errConnectionLost = errors.New("connection lost")

// fakeStore is a NotificationStore with fixed results.
type fakeStore struct {
	state    wechatpay.NotificationState
	claimErr error
	endErr   error                     // result of MarkHandled and Release
	onEnd    func(ctx context.Context) // called by MarkHandled and Release, if not nil

	calls []string // method names in order
}

func (s *fakeStore) Claim(context.Context, string, string) (wechatpay.NotificationState, error) {
	s.calls = append(s.calls, "Claim")
	return s.state, s.claimErr
}

func (s *fakeStore) MarkHandled(ctx context.Context, _, _ string) error {
	return s.end(ctx, "MarkHandled")
}

func (s *fakeStore) Release(ctx context.Context, _, _ string) error {
	return s.end(ctx, "Release")
}

func (s *fakeStore) end(ctx context.Context, call string) error {
	s.calls = append(s.calls, call)
	if s.onEnd != nil {
		s.onEnd(ctx)
	}
	return s.endErr
}

func TestOnce(t *testing.T) {
	const claimed = wechatpay.NotificationStateClaimed
	errHandle := errors.New("handle failed")
	tests := []struct {
		name      string
		store     fakeStore
		handleErr error

		wantRuns   int
		wantCalls  []string
		wantErr    string
		wantErrors []error
		wantStatus int
	}{
		{"claimed", fakeStore{state: claimed}, nil,
			1, []string{"Claim", "MarkHandled"}, "", nil, 200},
		{"already handled", fakeStore{state: wechatpay.NotificationStateHandled}, nil,
			0, []string{"Claim"}, "", nil, 200},
		{"in progress", fakeStore{state: wechatpay.NotificationStateInProgress}, nil,
			0, []string{"Claim"}, "wechatpay: Once: notification 42: already in progress",
			[]error{wechatpay.ErrNotificationInProgress}, 503},
		{"handle fails", fakeStore{state: claimed}, errHandle,
			1, []string{"Claim", "Release"}, "handle failed", []error{errHandle}, 500},
		{"Claim fails", fakeStore{claimErr: errConnectionLost}, nil,
			0, []string{"Claim", "Release"}, "wechatpay: Once: claiming notification 42: connection lost",
			[]error{errConnectionLost}, 500},
		{"invalid state", fakeStore{state: "DONE"}, nil,
			0, []string{"Claim"},
			`wechatpay: Once: notification 42: invalid state "DONE" from *wechatpay_test.fakeStore`, nil, 500},
		{"empty state", fakeStore{}, nil,
			0, []string{"Claim"},
			`wechatpay: Once: notification 42: invalid state "" from *wechatpay_test.fakeStore`, nil, 500},
		{"MarkHandled fails", fakeStore{state: claimed, endErr: errConnectionLost}, nil,
			1, []string{"Claim", "MarkHandled", "MarkHandled"}, "", nil, 200},
		{"handle and Release fail", fakeStore{state: claimed, endErr: errConnectionLost}, errHandle,
			1, []string{"Claim", "Release"}, "handle failed; releasing the claim: connection lost",
			[]error{errHandle, errConnectionLost}, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			captureDefaultLog(t)
			runs := 0
			handle := wechatpay.Once(&tt.store, func(context.Context, *wechatpay.Notification) error {
				runs++
				return tt.handleErr
			})
			err := handle(context.Background(), &wechatpay.Notification{ID: "42"})
			require.Equal(t, tt.wantRuns, runs)
			require.Equal(t, tt.wantCalls, tt.store.calls)
			requireErrorText(t, err, tt.wantErr)
			for _, want := range tt.wantErrors {
				require.ErrorIs(t, err, want)
			}

			recorder := httptest.NewRecorder()
			testClient(t).NotificationHandler(handle).ServeHTTP(recorder, notification(t))
			require.Equal(t, tt.wantStatus, recorder.Code)
		})
	}
}

// requireErrorText requires an error with the given text, or no error if it is
// empty.
func requireErrorText(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
	} else {
		require.EqualError(t, err, want)
	}
}

// captureDefaultLog redirects slog.Default until the test ends.
func captureDefaultLog(t *testing.T) *bytes.Buffer {
	t.Helper()
	var buf bytes.Buffer
	logger, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	t.Cleanup(func() {
		slog.SetDefault(logger)
		log.SetOutput(writer) // slog.SetDefault changed both
		log.SetFlags(flags)
	})
	return &buf
}

// A success that cannot be recorded is logged and is not an error.
func TestOnce_notRecorded(t *testing.T) {
	store := &fakeStore{state: wechatpay.NotificationStateClaimed, endErr: errConnectionLost}
	handle := wechatpay.Once(store, func(context.Context, *wechatpay.Notification) error { return nil })
	const record = `^time=\S+ level=WARN msg="wechatpay: notification handled but not recorded" ` +
		`id=%s error="connection lost"\n$`
	deliver := func(t *testing.T, logger *slog.Logger) {
		client := testClient(t, func(cfg *wechatpay.Config) { cfg.Logger = logger })
		recorder := httptest.NewRecorder()
		client.NotificationHandler(handle).ServeHTTP(recorder, notification(t))
		require.Equal(t, 200, recorder.Code)
		require.Equal(t, `{"code":"SUCCESS"}`, recorder.Body.String())
	}

	t.Run("NotificationHandler with a logger", func(t *testing.T) {
		defaultLog := captureDefaultLog(t)
		var buf bytes.Buffer
		deliver(t, slog.New(slog.NewTextHandler(&buf, nil)))
		require.Regexp(t, fmt.Sprintf(record, notificationID), buf.String())
		require.Empty(t, defaultLog)
	})
	t.Run("NotificationHandler without a logger", func(t *testing.T) {
		defaultLog := captureDefaultLog(t)
		deliver(t, nil)
		require.Empty(t, defaultLog)
	})
	t.Run("outside a NotificationHandler", func(t *testing.T) {
		defaultLog := captureDefaultLog(t)
		require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "42"}))
		require.Regexp(t, fmt.Sprintf(record, "42"), defaultLog.String())
	})
}

// Two jobs, each with its own Once: 503 only if nothing but "in progress" is
// wrong.
func TestOnce_twoJobs(t *testing.T) {
	job := func(state wechatpay.NotificationState, endErr, err error) handleFunc {
		return wechatpay.Once(&fakeStore{state: state, endErr: endErr},
			func(context.Context, *wechatpay.Notification) error { return err })
	}
	succeeds := job(wechatpay.NotificationStateClaimed, nil, nil)
	fails := job(wechatpay.NotificationStateClaimed, nil, errors.New("mail server down"))
	notRecorded := job(wechatpay.NotificationStateClaimed, errConnectionLost, nil)
	inProgress := job(wechatpay.NotificationStateInProgress, nil, nil)
	tests := []struct {
		name          string
		first, second handleFunc
		wantStatus    int
	}{
		{"both succeed", succeeds, succeeds, 200},
		{"not recorded, succeeds", notRecorded, succeeds, 200},
		{"both not recorded", notRecorded, notRecorded, 200},
		{"not recorded, fails", notRecorded, fails, 500},
		{"fails, not recorded", fails, notRecorded, 500},
		{"both fail", fails, fails, 500},
		{"both in progress", inProgress, inProgress, 503},
		{"succeeds, in progress", succeeds, inProgress, 503},
		{"in progress, fails", inProgress, fails, 500},
		{"in progress, not recorded", inProgress, notRecorded, 503},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var buf bytes.Buffer
			client := testClient(t, func(cfg *wechatpay.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelError}))
			})
			recorder := httptest.NewRecorder()
			client.NotificationHandler(func(ctx context.Context, n *wechatpay.Notification) error {
				if err := errors.Join(tt.first(ctx, n), tt.second(ctx, n)); err != nil {
					return fmt.Errorf("two jobs: %w", err)
				}
				return nil
			}).ServeHTTP(recorder, notification(t))
			require.Equal(t, tt.wantStatus, recorder.Code)
			if tt.wantStatus == 500 {
				require.Contains(t, buf.String(), "status=500")
			} else {
				require.Empty(t, buf.String())
			}
		})
	}
}

// lossyStore loses the response of the first Claim and of the first MarkHandled.
type lossyStore struct {
	wechatpay.NotificationStore
	claims, marks, releases int
}

func (s *lossyStore) Claim(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	state, err := s.NotificationStore.Claim(ctx, id, holder)
	if s.claims++; s.claims == 1 {
		return "", errConnectionLost
	}
	return state, err
}

func (s *lossyStore) MarkHandled(ctx context.Context, id, holder string) error {
	if s.marks++; s.marks == 1 {
		return errConnectionLost
	}
	return s.NotificationStore.MarkHandled(ctx, id, holder)
}

func (s *lossyStore) Release(ctx context.Context, id, holder string) error {
	s.releases++
	return s.NotificationStore.Release(ctx, id, holder)
}

// Once releases a claim whose response was lost, and retries MarkHandled.
func TestOnce_lostResponses(t *testing.T) {
	store, runs := &lossyStore{NotificationStore: wechatpay.NewMemoryStore()}, 0
	handle := wechatpay.Once(store, func(context.Context, *wechatpay.Notification) error { runs++; return nil })
	require.ErrorIs(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}), errConnectionLost)
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.NoError(t, handle(context.Background(), &wechatpay.Notification{ID: "1"}))
	require.Equal(t, 1, runs)
	require.Equal(t, 2, store.marks)
	require.Equal(t, 1, store.releases)
}

func TestOnce_emptyID(t *testing.T) {
	handle := wechatpay.Once(wechatpay.NewMemoryStore(), nil)
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, handle(context.Background(), &wechatpay.Notification{}), &invalid)
	require.Equal(t, "ID", invalid.Faults[0].Field)
}

// A panic of handle releases the claim and propagates.
func TestOnce_panic(t *testing.T) {
	runs := 0
	handle := wechatpay.Once(wechatpay.NewMemoryStore(), func(context.Context, *wechatpay.Notification) error {
		if runs++; runs == 1 {
			panic("bug in handle")
		}
		return nil
	})
	n := &wechatpay.Notification{ID: "1"}
	require.PanicsWithValue(t, "bug in handle", func() { _ = handle(context.Background(), n) })
	require.NoError(t, handle(context.Background(), n))
	require.NoError(t, handle(context.Background(), n))
	require.Equal(t, 2, runs)
}

// The claim is recorded or released even if the context of handle has ended.
func TestOnce_contextEnded(t *testing.T) {
	type key struct{}
	for _, handleErr := range []error{nil, context.DeadlineExceeded} {
		t.Run(fmt.Sprint(handleErr), func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "value"))
			store := &fakeStore{state: wechatpay.NotificationStateClaimed, onEnd: func(ctx context.Context) {
				require.NoError(t, ctx.Err())
				require.Equal(t, "value", ctx.Value(key{}))
				deadline, ok := ctx.Deadline()
				require.True(t, ok)
				require.WithinDuration(t, time.Now().Add(2*time.Second), deadline, 2*time.Second)
			}}
			handle := wechatpay.Once(store, func(context.Context, *wechatpay.Notification) error {
				cancel()
				return handleErr
			})
			require.Equal(t, handleErr, handle(ctx, &wechatpay.Notification{ID: "1"}))
			want := "MarkHandled"
			if handleErr != nil {
				want = "Release"
			}
			require.Equal(t, []string{"Claim", want}, store.calls)
		})
	}
}

// Failures run handle again, success does not. A delivery during a run gets 503.
func TestOnce_redeliveries(t *testing.T) {
	runs := 0
	var handler http.Handler
	handle := func(context.Context, *wechatpay.Notification) error {
		concurrent := httptest.NewRecorder()
		handler.ServeHTTP(concurrent, notification(t))
		require.Equal(t, 503, concurrent.Code)
		require.JSONEq(t, `{"code":"FAIL","message":"Service Unavailable"}`, concurrent.Body.String())
		switch runs++; runs {
		case 1:
			return errors.New("failed")
		case 2:
			panic("failed")
		}
		return nil
	}
	handler = testClient(t).NotificationHandler(wechatpay.Once(wechatpay.NewMemoryStore(), handle))
	for _, want := range []int{500, 500, 200, 200} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, notification(t))
		require.Equal(t, want, recorder.Code)
	}
	require.Equal(t, 3, runs)
}
