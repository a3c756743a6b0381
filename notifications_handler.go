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

// NotificationHandler receives the notifications sent to the URL that
// ComplaintsV2.CreateNotificationURL set, and to the notify_url of refunds. It
// verifies and decrypts each one as ParseNotification does, hands it to handle,
// and answers WeChat Pay:
//
//   - 200 if handle returns nil: the event will not come again. Return nil for
//     events and actions that you do not know.
//   - 500 if handle returns an error or panics, or if Config.APIv3Key is missing:
//     the event comes again, by the pages of 2024 ten times after 60 s each, then
//     every 300 s, for 2 hours at most; that of a refund after 15 s at first, up
//     to 6 h at last.
//   - 503 if the error wraps ErrNotificationInProgress, and nothing else is wrong.
//   - 401 for what does not prove to be WeChat Pay's, 400 for what cannot be
//     read, 405 for what is no POST.
//
// What went wrong stands in Config.Logger, and not in the answer: at level ERROR
// what is the merchant's to mend, such as a wrong Config.APIv3Key, and at WARN
// what may be forged.
//
// An answer is due within 5 s of the request, when the context of handle ends;
// it holds the values of the request's context, and ends early with it. Work
// that takes longer belongs into a queue of your own. The same event may come
// several times, also at once: Once makes a handle that bears it.
//
// Give the http.Server that it is mounted in a ReadTimeout, since nothing else
// bounds how slowly a body comes.
//
// https://pay.weixin.qq.com/doc/v3/partner/4012076174
func (c *Client) NotificationHandler(handle func(context.Context, *Notification) error) http.Handler {
	return &notificationHandler{client: c, handle: handle}
}

type notificationHandler struct {
	client *Client
	handle func(context.Context, *Notification) error
}

// ServeHTTP answers one notification.
func (h *notificationHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerNotification(w, http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), notificationTimeout)
	defer cancel()
	// It has the request's own context: who sends a body slowly leaves a
	// download of certificates no less time.
	n, err := h.client.ParseNotification(r)
	status := http.StatusOK
	var told Notification // for the log: handle may change n, or give it away
	if err != nil {
		status = refusalStatus(err)
	} else {
		told = *n
		if err = h.call(ctx, n); err != nil {
			status = failureStatus(err)
		}
	}
	answerNotification(w, status)
	h.log(r.Context(), &told, status, err, time.Since(began))
}

// refusalStatus is the answer to what ParseNotification refuses.
func refusalStatus(err error) int {
	var (
		unverified *VerificationError
		unreadable *NotificationError
	)
	switch {
	case errors.As(err, &unverified):
		return http.StatusUnauthorized
	case errors.As(err, &unreadable):
		return http.StatusBadRequest
	}
	return http.StatusInternalServerError
}

// failureStatus is the answer to what the merchant's code returns.
func failureStatus(err error) int {
	switch {
	case isNothingBut(err, ErrNotificationNotRecorded):
		// It was handled. A copy would be handled again.
		return http.StatusOK
	case isNothingBut(err, ErrNotificationInProgress):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// call runs the merchant's code, and makes an error of its panic: any, since
// not even http.ErrAbortHandler is a reason to leave WeChat Pay without answer.
func (h *notificationHandler) call(ctx context.Context, n *Notification) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return h.handle(ctx, n)
}

// panicError is a panic of the merchant's code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// answerNotification says the same to all who get one status: whoever forges
// notifications learns nothing from it.
func answerNotification(w http.ResponseWriter, status int) {
	body := `{"code":"SUCCESS"}`
	if status != http.StatusOK {
		body = `{"code":"FAIL","message":"` + http.StatusText(status) + `"}`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// Whether it arrives is out of our hands: WeChat Pay asks again.
	_, _ = io.WriteString(w, body)
}

// log tells what became of a request: what is the merchant's to mend is an
// error, what may be forged is a warning, all else is for debugging. No record
// holds a header, a body, or a secret; the merchant's error is the merchant's.
func (h *notificationHandler) log(ctx context.Context, n *Notification, status int, err error, took time.Duration) {
	logger := h.client.logger
	if logger == nil {
		return
	}
	level := slog.LevelError
	var unreadable *NotificationError
	switch {
	case err == nil, status == http.StatusServiceUnavailable:
		level = slog.LevelDebug
	case status == http.StatusUnauthorized,
		status == http.StatusBadRequest && errors.As(err, &unreadable) && !unreadable.proved:
		level = slog.LevelWarn
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := []slog.Attr{slog.Int("status", status), slog.Duration("duration", took)}
	if n.ID != "" {
		attrs = append(attrs, slog.String("id", n.ID), slog.String("event_type", string(n.EventType)), slog.String("action_type", string(n.ActionType)))
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
