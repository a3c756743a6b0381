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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// acceptNotification handles any notification.
func acceptNotification(context.Context, *wechatpay.Notification) error { return nil }

func TestClient_NotificationHandler_nil(t *testing.T) {
	client := testClient(t)
	require.PanicsWithValue(t, "wechatpay: NotificationHandler: nil handle", func() { client.NotificationHandler(nil) })
}

func TestClient_NotificationHandler(t *testing.T) {
	type key struct{}
	tests := []struct {
		name   string
		handle handleFunc
		status int
		log    []string
	}{
		{"success", func(ctx context.Context, n *wechatpay.Notification) error {
			if n.ID != notificationID || n.ComplaintID != testComplaintID || ctx.Value(key{}) != "value" {
				return errors.New("something is missing")
			}
			return nil
		}, 200, []string{
			"level=DEBUG", "id=" + notificationID, "event_type=COMPLAINT.CREATE",
			"action_type=CREATE_COMPLAINT", "status=200",
		}},
		{"error", func(context.Context, *wechatpay.Notification) error {
			return errors.New("database down")
		}, 500, []string{"level=ERROR", "database down", "id=" + notificationID}},
		{"in progress", func(context.Context, *wechatpay.Notification) error {
			return fmt.Errorf("not now: %w", wechatpay.ErrNotificationInProgress)
		}, 503, []string{"level=DEBUG", "not now"}},
		{"panic", func(context.Context, *wechatpay.Notification) error {
			panic("bug in handle")
		}, 500, []string{"level=ERROR", "panic: bug in handle", "notifications_handler_test.go"}},
		{"panic with http.ErrAbortHandler", func(context.Context, *wechatpay.Notification) error {
			panic(http.ErrAbortHandler)
		}, 500, []string{"level=ERROR", "panic: net/http: abort Handler"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			for _, logger := range []*slog.Logger{logger, nil} {
				client := testClient(t, func(cfg *wechatpay.Config) { cfg.Logger = logger })
				recorder, req := httptest.NewRecorder(), notification(t)
				req = req.WithContext(context.WithValue(req.Context(), key{}, "value"))
				client.NotificationHandler(tt.handle).ServeHTTP(recorder, req)
				require.Equal(t, tt.status, recorder.Code)
				if tt.status == 200 {
					require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
					require.Equal(t, `{"code":"SUCCESS"}`, recorder.Body.String())
				} else {
					requireFail(t, recorder)
				}
			}
			for _, text := range tt.log {
				require.Contains(t, log.String(), text)
			}
		})
	}
}

func TestClient_NotificationHandler_noAPIv3Key(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.APIv3Key = ""
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	_, err := client.ParseNotification(notification(t))
	var invalid *wechatpay.ArgumentError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "APIv3Key", invalid.Faults[0].Field)

	handler := client.NotificationHandler(acceptNotification)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, notification(t))
	require.Equal(t, 500, recorder.Code)
	requireFail(t, recorder)
	require.Contains(t, log.String(), "level=ERROR")
	require.Contains(t, log.String(), "APIv3Key")

	// The status reveals this only to WeChat Pay.
	req := notification(t)
	req.Header.Set("Wechatpay-Nonce", "0")
	recorder = httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	require.Equal(t, 401, recorder.Code)
}

// A wrong APIv3 key is logged at level ERROR: no notification can be decrypted.
func TestClient_NotificationHandler_wrongAPIv3Key(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.APIv3Key = strings.Repeat("x", 32)
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	})
	recorder := httptest.NewRecorder()
	client.NotificationHandler(acceptNotification).ServeHTTP(recorder, notification(t))
	require.Equal(t, 400, recorder.Code)
	require.Contains(t, log.String(), "notification "+notificationID+": resource: ")
	require.Contains(t, log.String(), "API安全 → APIv3密钥")
}

// handle may modify the notification, even after it has returned.
func TestClient_NotificationHandler_modifiedNotification(t *testing.T) {
	var log bytes.Buffer
	client := testClient(t, func(cfg *wechatpay.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	store := wechatpay.NewMemoryStore()
	var modified sync.WaitGroup
	modified.Add(1)
	handle := wechatpay.Once(store, func(_ context.Context, n *wechatpay.Notification) error {
		go func() { // for the race detector
			defer modified.Done()
			*n = wechatpay.Notification{ID: "modified"}
		}()
		return nil
	})
	recorder := httptest.NewRecorder()
	client.NotificationHandler(handle).ServeHTTP(recorder, notification(t))
	modified.Wait()
	require.Equal(t, 200, recorder.Code)
	require.Contains(t, log.String(), "id="+notificationID)
	requireClaim(t, store, notificationID, "a", wechatpay.NotificationStateHandled)
}

// A forged notification with an unknown certificate, whose sender disconnects,
// neither cancels the certificate download nor delays a genuine notification.
func TestClient_NotificationHandler_disconnect(t *testing.T) {
	ctx, disconnect := context.WithCancel(context.Background())
	rotated := false
	base := wechatpay.NewTransport()
	t.Cleanup(base.CloseIdleConnections)
	pay, client := newCertificateMode(t, func(cfg *wechatpay.Config) {
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path != "/v3/certificates" || !rotated {
				return base.RoundTrip(r)
			}
			disconnect()
			resp, err := base.RoundTrip(r)
			if r.Context().Err() != nil {
				return nil, r.Context().Err()
			}
			return resp, err
		})
	})
	require.NoError(t, get(context.Background(), client))
	pay.RotateCertificate()
	rotated = true
	handler := client.NotificationHandler(acceptNotification)

	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader("{}"))
	req.Header = forged(pay.Now(), "AB")
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, req)
	require.Equal(t, 401, recorder.Code)
	require.Error(t, ctx.Err(), "no certificates were downloaded")

	genuine, err := pay.NewNotification(context.Background(), "/", wechatpaytest.Notification{
		EventType:   "COMPLAINT.CREATE",
		ComplaintID: testComplaintID,
		ActionType:  "CREATE_COMPLAINT",
	})
	require.NoError(t, err)
	recorder = httptest.NewRecorder()
	handler.ServeHTTP(recorder, genuine)
	require.Equal(t, 200, recorder.Code)
}

// The context of handle ends after 5 s, or with the request's context.
func TestClient_NotificationHandler_context(t *testing.T) {
	start := time.Now()
	handler := testClient(t).NotificationHandler(func(ctx context.Context, _ *wechatpay.Notification) error {
		deadline, ok := ctx.Deadline()
		require.True(t, ok)
		require.False(t, deadline.Before(start.Add(5*time.Second)))
		require.False(t, deadline.After(time.Now().Add(5*time.Second)))
		return nil
	})
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, notification(t))
	require.Equal(t, 200, recorder.Code)

	ctx, cancel := context.WithCancel(context.Background())
	handler = testClient(t).NotificationHandler(func(ctx context.Context, _ *wechatpay.Notification) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	recorder = httptest.NewRecorder()
	handler.ServeHTTP(recorder, notification(t).WithContext(ctx))
	require.Equal(t, 500, recorder.Code)
}

// Package wechatpaytest encrypts and signs independently of this package.
func TestClient_NotificationHandler_wechatpaytest(t *testing.T) {
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	client := fakeClient(t, pay)
	got := make(chan *wechatpay.Notification, 1)
	server := httptest.NewServer(client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
		got <- n
		return nil
	}))
	t.Cleanup(server.Close)
	tests := []struct {
		fault  wechatpaytest.FaultKind
		status int
	}{
		{"", 200},
		{wechatpaytest.FaultForged, 401},
		{wechatpaytest.FaultUnsigned, 401},
		{wechatpaytest.FaultProbe, 401},
		{wechatpaytest.FaultOld, 401},
	}
	for _, tt := range tests {
		t.Run(string(tt.fault), func(t *testing.T) {
			resp, err := pay.Notify(context.Background(), server.URL, wechatpaytest.Notification{
				EventType:   "COMPLAINT.CREATE",
				ComplaintID: testComplaintID,
				ActionType:  "CREATE_COMPLAINT",
				Fault:       tt.fault,
			})
			require.NoError(t, err)
			require.Equal(t, tt.status, resp.StatusCode)
			if tt.status == 200 {
				require.Equal(t, testComplaintID, (<-got).ComplaintID)
			}
		})
	}
}

func TestClient_NotificationHandler_concurrent(t *testing.T) {
	const count = 300
	pay := wechatpaytest.NewServer()
	t.Cleanup(pay.Close)
	client := fakeClient(t, pay)
	var mu sync.Mutex
	handled := map[string]int{}
	handle := wechatpay.Once(wechatpay.NewMemoryStore(), func(_ context.Context, n *wechatpay.Notification) error {
		mu.Lock()
		defer mu.Unlock()
		handled[n.ComplaintID]++
		return nil
	})
	server := httptest.NewServer(client.NotificationHandler(handle))
	t.Cleanup(server.Close)
	var succeeded atomic.Int32
	var wg sync.WaitGroup
	start := time.Now()
	for i := range count {
		wg.Add(1)
		go func() {
			defer wg.Done()
			resp, err := pay.Notify(context.Background(), server.URL, wechatpaytest.Notification{
				EventType:   "COMPLAINT.STATE_CHANGE",
				ComplaintID: fmt.Sprint(i),
				ActionType:  "USER_RESPONSE",
			})
			if err != nil {
				t.Error(err)
			} else if resp.StatusCode == 200 {
				succeeded.Add(1)
			}
		}()
	}
	wg.Wait()
	t.Logf("%d concurrent notifications in %v", count, time.Since(start))
	require.EqualValues(t, count, succeeded.Load())
	require.Len(t, handled, count)
	for id, n := range handled {
		require.Equal(t, 1, n, id)
	}
}
