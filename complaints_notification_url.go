package wechatpay

import (
	"context"
	"net/http"
)

const notificationURLPath = "/v3/merchant-service/complaint-notifications"

// NotificationURL is where WeChat Pay sends complaint notifications of the
// calling merchant. A service provider's receives those of all its merchants.
type NotificationURL struct {
	MchID string `json:"mchid,omitempty"` // the calling merchant
	URL   string `json:"url,omitempty"`
}

// notificationURLRequest is the body of CreateNotificationURL and
// UpdateNotificationURL.
type notificationURLRequest struct {
	URL string `json:"url"`
}

// CreateNotificationURL sets the URL for complaint notifications: https, at
// most 255 characters, no query. What happens when there is one already is not
// documented: UpdateNotificationURL changes it.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012458679 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012458106)
func (s *ComplaintsV2Service) CreateNotificationURL(ctx context.Context, url string) (*NotificationURL, error) {
	return s.setNotificationURL(ctx, "ComplaintsV2.CreateNotificationURL", http.MethodPost, url)
}

// UpdateNotificationURL changes the URL for complaint notifications: https, at
// most 255 characters, no query.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012459282 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012459287)
func (s *ComplaintsV2Service) UpdateNotificationURL(ctx context.Context, url string) (*NotificationURL, error) {
	return s.setNotificationURL(ctx, "ComplaintsV2.UpdateNotificationURL", http.MethodPut, url)
}

func (s *ComplaintsV2Service) setNotificationURL(ctx context.Context, op, method, url string) (*NotificationURL, error) {
	var f faults
	f.required("url", url, 255)
	if url != "" {
		f.https("url", url)
	}
	f.noQuery("url", url)
	if err := f.err(op); err != nil {
		return nil, err
	}
	set := new(NotificationURL)
	retry := retryIfRejectedBusy
	if method == http.MethodPut {
		retry = retryAlways
	}
	err := s.client.call(ctx, &call{
		op: op, method: method, path: notificationURLPath, body: &notificationURLRequest{URL: url}, success: http.StatusOK, out: set,
		retry: retry, remedy: "read it with NotificationURL",
	})
	if err != nil {
		return nil, err
	}
	return set, nil
}

// NotificationURL reads the URL for complaint notifications. Without one the
// error is an *APIError with ErrorCodeResourceNotExists.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012459014 (for service providers
// https://pay.weixin.qq.com/doc/v3/partner/4012459065)
func (s *ComplaintsV2Service) NotificationURL(ctx context.Context) (*NotificationURL, error) {
	const op = "ComplaintsV2.NotificationURL"
	current, err := s.notificationURL(ctx, op)
	return current, opError(op, err)
}

// notificationURL reads the URL as a part of any operation. Its error does not
// name one.
func (s *ComplaintsV2Service) notificationURL(ctx context.Context, op string) (*NotificationURL, error) {
	current := new(NotificationURL)
	err := s.client.exchange(ctx, &call{
		op:      op,
		method:  http.MethodGet,
		path:    notificationURLPath,
		success: http.StatusOK,
		out:     current,
	})
	if err != nil {
		return nil, err
	}
	return current, nil
}

// DeleteNotificationURL removes the URL: no complaint notification is sent any
// more.
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
		// A second DELETE may be rejected because the first was applied.
		lookUp: func(ctx context.Context, _ *attempts) (lookupResult, error) {
			_, err := s.notificationURL(ctx, op)
			if isNotFound(err) {
				return applied, nil
			}
			return undetermined, err
		},
	})
}
