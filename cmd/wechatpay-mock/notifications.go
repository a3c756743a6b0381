package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"time"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

type notification struct {
	URL         string                  `json:"url"`
	MchID       string                  `json:"mchid"`
	EventType   string                  `json:"event_type"`
	ComplaintID string                  `json:"complaint_id"`
	ActionType  string                  `json:"action_type"`
	OutRefundNo string                  `json:"out_refund_no"`
	ID          string                  `json:"id"`
	CreateTime  time.Time               `json:"create_time"`
	Serial      string                  `json:"serial"`
	Fault       wechatpaytest.FaultKind `json:"fault"`
}

func (n *notification) check() error {
	if n.URL == "" {
		return fmt.Errorf("url is required: no notification URL is set")
	}
	if err := checkURL(n.URL); err != nil {
		return err
	}
	switch {
	case n.EventType == "":
		return fmt.Errorf("event_type is required, for example COMPLAINT.CREATE")
	case n.OutRefundNo != "" && (n.ComplaintID != "" || n.ActionType != ""):
		return fmt.Errorf("out_refund_no cannot be combined with complaint_id or action_type")
	case n.OutRefundNo == "" && n.ComplaintID == "":
		return fmt.Errorf("complaint_id is required (or out_refund_no, for a REFUND event)")
	case n.OutRefundNo == "" && n.ActionType == "":
		return fmt.Errorf("action_type is required, for example CREATE_COMPLAINT")
	}
	return nil
}

func checkURL(raw string) error {
	if u, err := url.Parse(raw); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url must be an absolute http or https URL, got %q", raw)
	}
	return nil
}

func (c *control) notify(r *http.Request) (int, any, error) {
	var body notification
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	receiver, err := c.urlOwnerOf(body.MchID)
	if err != nil {
		return 0, nil, err
	}
	body.URL = cmp.Or(body.URL, receiver.NotificationURL())
	if err := body.check(); err != nil {
		return 0, nil, err
	}
	n := wechatpaytest.Notification{
		ID:          body.ID,
		CreateTime:  body.CreateTime,
		EventType:   body.EventType,
		ComplaintID: body.ComplaintID,
		ActionType:  body.ActionType,
		OutRefundNo: body.OutRefundNo,
		MchID:       body.MchID,
		Serial:      body.Serial,
		Fault:       body.Fault,
	}
	// A notification that cannot be built is 400, one that cannot be sent is 502.
	if _, err := c.server.NewNotification(r.Context(), body.URL, n); err != nil {
		return 0, nil, err
	}
	resp, err := c.server.Notify(r.Context(), body.URL, n)
	if err != nil {
		return 0, nil, statusErrorf(http.StatusBadGateway, "%s", errorText(err))
	}
	responseBody, _ := io.ReadAll(resp.Body) // in memory
	return http.StatusOK, struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}{resp.StatusCode, string(responseBody)}, nil
}

func (c *control) setNotificationURL(r *http.Request) (int, any, error) {
	var body struct {
		URL   *string `json:"url"`
		MchID string  `json:"mchid,omitempty"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.URL == nil {
		return 0, nil, fmt.Errorf("url is required; an empty string removes it")
	}
	if *body.URL != "" {
		if err := checkURL(*body.URL); err != nil {
			return 0, nil, err
		}
	}
	receiver, err := c.urlOwnerOf(body.MchID)
	if err != nil {
		return 0, nil, err
	}
	receiver.SetNotificationURL(*body.URL)
	return http.StatusOK, body, nil
}

// dueNotification is a notification that is to be or was delivered.
type dueNotification struct {
	ID          string    `json:"id"`
	EventType   string    `json:"event_type"`
	ComplaintID string    `json:"complaint_id,omitempty"`
	ActionType  string    `json:"action_type,omitempty"`
	OutRefundNo string    `json:"out_refund_no,omitempty"`
	MchID       string    `json:"mchid"`
	CreateTime  time.Time `json:"create_time"`
	URL         string    `json:"url"`
}

func dueNotificationOf(n wechatpaytest.Notification, url string) dueNotification {
	return dueNotification{
		ID:          n.ID,
		EventType:   n.EventType,
		ComplaintID: n.ComplaintID,
		ActionType:  n.ActionType,
		OutRefundNo: n.OutRefundNo,
		MchID:       n.MchID,
		CreateTime:  n.CreateTime,
		URL:         url,
	}
}

type pendingNotification struct {
	dueNotification
	Attempts int       `json:"attempts"`
	Due      time.Time `json:"due"`
}

// pendingList returns at most limit pending notifications, earliest due first.
func (c *control) pendingList(limit int) list[pendingNotification] {
	all := c.server.PendingNotifications()
	return listOf(all[:min(len(all), limit)], func(p wechatpaytest.PendingNotification) pendingNotification {
		return pendingNotification{dueNotificationOf(p.Notification, p.URL), p.Attempts, p.Due}
	})
}

func (c *control) pending(*http.Request) (int, any, error) {
	return http.StatusOK, c.pendingList(math.MaxInt), nil
}

// delivery is the result of one attempt to deliver a notification.
type delivery struct {
	dueNotification
	Attempt int    `json:"attempt"`
	Status  int    `json:"status"` // 0: no response
	Body    string `json:"body"`
	Error   string `json:"error,omitempty"`
}

func deliveryOf(d wechatpaytest.Delivery) delivery {
	out := delivery{
		dueNotification: dueNotificationOf(d.Notification, d.URL),
		Attempt:         d.Attempt,
		Status:          d.StatusCode,
		Body:            d.Body,
	}
	if d.Err != nil {
		out.Error = errorText(d.Err)
	}
	return out
}

func (c *control) deliver(r *http.Request) (int, any, error) {
	if err := requireEmptyBody(r); err != nil {
		return 0, nil, err
	}
	// Finish the deliveries even if the caller disconnects.
	done := c.server.DeliverDue(context.WithoutCancel(r.Context()))
	return http.StatusOK, listOf(done, deliveryOf), nil
}
