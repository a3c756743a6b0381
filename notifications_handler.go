package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// NotificationHandler returns a handler for the URL set with
// ComplaintsV2.CreateNotificationURL and for the notify_url of refunds. It
// parses each request with ParseNotification, calls handle, and responds with
//
//   - 200 if handle returns nil. Return nil for unknown events and actions too.
//   - 500 if handle returns an error or panics, or Config.APIv3Key is empty.
//   - 503 if the error wraps ErrNotificationInProgress and no other error.
//   - 401 if signature verification failed, 400 if the notification is
//     malformed, 405 if the method is not POST.
//
// WeChat Pay redelivers after any status but 200: complaint events 10 times
// every 60 s, then every 300 s for up to 2 hours; refund events after 15 s at
// first and 6 hours at last. Wrap handle with Once to handle each event once.
// The context of handle is derived from the request's and ends after 5 s: put
// longer work into a queue. Set a ReadTimeout on the http.Server. Config.Logger
// gets the details, at level WARN if the request may be forged, else at ERROR;
// responses contain none. Routers on fasthttp need an adaptor: fiber's
// adaptor.HTTPHandler, hertz's adaptor.HertzHandler. A nil handle panics.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
func (c *Client) NotificationHandler(handle func(context.Context, *Notification) error) http.Handler {
	if handle == nil {
		panic("wechatpay: NotificationHandler: nil handle")
	}
	return &notificationHandler{client: c, handle: handle}
}

type notificationHandler struct {
	client *Client
	handle func(context.Context, *Notification) error
}

// ServeHTTP handles one notification.
func (h *notificationHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		respondNotification(w, http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), notificationTimeout)
	defer cancel()
	// ParseNotification gets the request's own context, so that the time spent
	// reading a slow body does not shorten a certificate download.
	n, err := h.client.ParseNotification(r)
	status := http.StatusOK
	var received Notification // a copy for the log, because handle may modify n
	if err != nil {
		status = parseErrorStatus(err)
	} else {
		received = *n
		if err = h.call(withNotificationLogger(ctx, h.client.logger), n); err != nil {
			status = handleErrorStatus(err)
		}
	}
	respondNotification(w, status)
	h.log(r.Context(), &received, status, err, time.Since(start))
}

// parseErrorStatus returns the HTTP status for an error of ParseNotification.
func parseErrorStatus(err error) int {
	var (
		unverified *VerificationError
		malformed  *NotificationError
	)
	switch {
	case errors.As(err, &unverified):
		return http.StatusUnauthorized
	case errors.As(err, &malformed):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// handleErrorStatus returns the HTTP status for an error of the merchant's
// handle function.
func handleErrorStatus(err error) int {
	if isOnlyInProgress(err) {
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// call calls the merchant's handle function and converts a panic to an error,
// including http.ErrAbortHandler.
func (h *notificationHandler) call(ctx context.Context, n *Notification) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return h.handle(ctx, n)
}

// panicError is a panic of the merchant's handle function.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// respondNotification writes a response that depends on the status alone, so
// that it reveals nothing to an attacker.
func respondNotification(w http.ResponseWriter, status int) {
	body := `{"code":"SUCCESS"}`
	if status != http.StatusOK {
		body = `{"code":"FAIL","message":"` + http.StatusText(status) + `"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// If the response is lost, WeChat Pay redelivers.
	_, _ = io.WriteString(w, body)
}

// log logs the result of a request: at level WARN if the request may be forged,
// at DEBUG for success and 503, else at ERROR. It logs no header, body or
// secret.
func (h *notificationHandler) log(ctx context.Context, n *Notification, status int, err error, took time.Duration) {
	logger := h.client.logger
	if logger == nil {
		return
	}
	level := slog.LevelError
	var malformed *NotificationError
	switch {
	case err == nil, status == http.StatusServiceUnavailable:
		level = slog.LevelDebug
	case status == http.StatusUnauthorized,
		status == http.StatusBadRequest && errors.As(err, &malformed) && !malformed.verified:
		level = slog.LevelWarn
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("status", status), slog.Duration("duration", took)}
	if n.ID != "" {
		attrs = append(attrs,
			slog.String("id", n.ID),
			slog.String("event_type", string(n.EventType)),
			slog.String("action_type", string(n.ActionType)))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	var panicked *panicError
	if errors.As(err, &panicked) {
		attrs = append(attrs, slog.String("stack", string(panicked.stack)))
	}
	logger.LogAttrs(ctx, level, "wechatpay: notification", attrs...)
}

// notificationLoggerKey is the context key of the NotificationHandler's logger.
type notificationLoggerKey struct{}

// withNotificationLogger returns a context that carries the logger for Once. A
// nil logger means silence.
func withNotificationLogger(ctx context.Context, logger *slog.Logger) context.Context {
	return context.WithValue(ctx, notificationLoggerKey{}, logger)
}

// notificationLogger returns the logger of the NotificationHandler that ctx
// comes from, or slog.Default outside of one. It may be nil.
func notificationLogger(ctx context.Context) *slog.Logger {
	if logger, ok := ctx.Value(notificationLoggerKey{}).(*slog.Logger); ok {
		return logger
	}
	return slog.Default()
}
