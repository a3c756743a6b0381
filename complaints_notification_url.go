package wechatpay

import (
	"cmp"
	"context"
	"errors"
	"net/http"
)

const notificationURLPath = "/v3/merchant-service/complaint-notifications"

// NotificationURL is the URL that WeChat Pay sends complaint notifications to.
// Each calling merchant has one. A service provider's URL receives the
// notifications of all its merchants.
type NotificationURL struct {
	MchID string `json:"mchid,omitempty"` // the calling merchant
	URL   string `json:"url,omitempty"`
}

// notificationURLRequest is the body of CreateNotificationURL and
// UpdateNotificationURL.
type notificationURLRequest struct {
	URL string `json:"url"`
}

// EnsureNotificationURL sets the URL for complaint notifications: https, at most
// 255 characters, no query. It reads the URL, and creates or updates it only if
// it is another one.
//
// Call it when the program starts. If several replicas start together, all calls
// succeed: after a write that failed because another replica was faster, the URL
// is read again. If replicas set different URLs, the last one wins.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012459014 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012459065)
func (s *ComplaintsV2Service) EnsureNotificationURL(ctx context.Context, url string) (*NotificationURL, error) {
	const op = "ComplaintsV2.EnsureNotificationURL"
	f := checkNotificationURL(url)
	if err := f.err(op); err != nil {
		return nil, err
	}
	var unknown error // of a write
	for tries := 1; ; tries++ {
		current, err := s.notificationURL(ctx, op)
		retry := false
		switch {
		case isNotFound(err):
			current, err = s.setNotificationURL(ctx, op, http.MethodPost, url, retryIfRejectedBusy)
			retry = mayBeOtherReplica(err)
		case err != nil:
			err = opError(op, err)
		case current.URL != url:
			current, err = s.setNotificationURL(ctx, op, http.MethodPut, url, retryAlways)
			retry = mayBeOtherReplica(err)
		}
		if err == nil {
			return current, nil
		}
		if errors.Is(err, ErrOutcomeUnknown) {
			unknown = err
		}
		if !retry || tries == maxEnsureTries || !sleep(ctx, s.client.retry.delay(tries)) {
			return nil, cmp.Or(unknown, err)
		}
	}
}

// maxEnsureTries bounds how often EnsureNotificationURL writes.
const maxEnsureTries = 5

// mayBeOtherReplica reports whether a write of the notification URL may have
// failed because the URL was created or deleted since it was read. WeChat Pay does
// not document that error. A write of unknown outcome is read back too.
func mayBeOtherReplica(err error) bool {
	var rejection *APIError
	return errors.Is(err, ErrOutcomeUnknown) || errors.As(err, &rejection) &&
		(rejection.StatusCode == http.StatusBadRequest || rejection.StatusCode == http.StatusNotFound)
}

// CreateNotificationURL sets the URL for complaint notifications: https, at most
// 255 characters, no query. If one is already set, use
// [ComplaintsV2Service.UpdateNotificationURL]: WeChat Pay does not document what
// a second CreateNotificationURL does. [ComplaintsV2Service.EnsureNotificationURL]
// does either.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012458679 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012458106)
func (s *ComplaintsV2Service) CreateNotificationURL(ctx context.Context, url string) (*NotificationURL, error) {
	const op = "ComplaintsV2.CreateNotificationURL"
	return s.setNotificationURL(ctx, op, http.MethodPost, url, retryIfRejectedBusy)
}

// UpdateNotificationURL changes the URL for complaint notifications: https, at
// most 255 characters, no query.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012459282 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012459287)
func (s *ComplaintsV2Service) UpdateNotificationURL(ctx context.Context, url string) (*NotificationURL, error) {
	const op = "ComplaintsV2.UpdateNotificationURL"
	return s.setNotificationURL(ctx, op, http.MethodPut, url, retryAlways)
}

func (s *ComplaintsV2Service) setNotificationURL(
	ctx context.Context, op, method, url string, retry mayRetry,
) (*NotificationURL, error) {
	f := checkNotificationURL(url)
	if err := f.err(op); err != nil {
		return nil, err
	}
	result := new(NotificationURL)
	err := s.client.call(ctx, &call{
		op:      op,
		method:  method,
		path:    notificationURLPath,
		body:    &notificationURLRequest{URL: url},
		success: http.StatusOK,
		out:     decoded(result, func() error { return mustRepeat("url", result.URL, url) }),
		retry:   retry,
		remedy:  "read it with NotificationURL",
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// NotificationURL returns the URL for complaint notifications. If none is set,
// the error is an *APIError with ErrorCodeResourceNotExists.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012459014 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012459065)
func (s *ComplaintsV2Service) NotificationURL(ctx context.Context) (*NotificationURL, error) {
	const op = "ComplaintsV2.NotificationURL"
	result, err := s.notificationURL(ctx, op)
	return result, opError(op, err)
}

// notificationURL reads the URL as part of any operation. Its error does not
// name one.
func (s *ComplaintsV2Service) notificationURL(ctx context.Context, op string) (*NotificationURL, error) {
	result := new(NotificationURL)
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    notificationURLPath,
		success: http.StatusOK,
		out:     decoded(result, func() error { return mustHave("url", result.URL) }),
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// DeleteNotificationURL removes the URL for complaint notifications. WeChat Pay
// then sends none.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012460452 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012460474)
func (s *ComplaintsV2Service) DeleteNotificationURL(ctx context.Context) error {
	const op = "ComplaintsV2.DeleteNotificationURL"
	return s.client.call(ctx, &call{
		op:      op,
		method:  http.MethodDelete,
		path:    notificationURLPath,
		success: http.StatusNoContent,
		retry:   retryAlways,
		remedy:  "read it with NotificationURL",
	})
}
