package main

import (
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
	EventType   string                  `json:"event_type"`
	ComplaintID string                  `json:"complaint_id"`
	ActionType  string                  `json:"action_type"`
	OutRefundNo string                  `json:"out_refund_no"`
	ID          string                  `json:"id"`
	CreateTime  time.Time               `json:"create_time"`
	Serial      string                  `json:"serial"`
	Fault       wechatpaytest.FaultKind `json:"fault"`
}

// check says what is missing.
func (n *notification) check() error {
	if err := checkURL(n.URL); err != nil {
		return err
	}
	switch {
	case n.EventType == "":
		return fmt.Errorf("event_type is missing, such as COMPLAINT.CREATE")
	case n.OutRefundNo != "" && (n.ComplaintID != "" || n.ActionType != ""):
		return fmt.Errorf("out_refund_no is there beside complaint_id or action_type: a notification is about a refund or about a complaint")
	case n.OutRefundNo == "" && n.ComplaintID == "":
		return fmt.Errorf("complaint_id is missing (or out_refund_no, of a REFUND event)")
	case n.OutRefundNo == "" && n.ActionType == "":
		return fmt.Errorf("action_type is missing, such as CREATE_COMPLAINT")
	}
	return nil
}

func checkURL(raw string) error {
	if raw == "" {
		return fmt.Errorf("url is missing")
	}
	if u, err := url.Parse(raw); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url is %q, which is no URL of scheme, host and path", raw)
	}
	return nil
}

func (c *control) notify(r *http.Request) (int, any, error) {
	var body notification
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
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
		Serial:      body.Serial,
		Fault:       body.Fault,
	}
	// What cannot be built is the request's fault, what cannot be sent is not.
	if _, err := c.server.NewNotification(r.Context(), body.URL, n); err != nil {
		return 0, nil, err
	}
	resp, err := c.server.Notify(r.Context(), body.URL, n)
	if err != nil {
		return 0, nil, refuse(http.StatusBadGateway, "%s", sentence(err))
	}
	said, _ := io.ReadAll(resp.Body) // in memory
	return http.StatusOK, struct {
		Status int    `json:"status"`
		Body   string `json:"body"`
	}{resp.StatusCode, string(said)}, nil
}

func (c *control) setNotificationURL(r *http.Request) (int, any, error) {
	var body struct {
		URL *string `json:"url"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.URL == nil {
		return 0, nil, fmt.Errorf("url is missing; an empty one removes it")
	}
	if *body.URL != "" {
		if err := checkURL(*body.URL); err != nil {
			return 0, nil, err
		}
	}
	c.server.SetNotificationURL(*body.URL)
	return http.StatusOK, body, nil
}

// dueNotification is a notification that is to be delivered, or was.
type dueNotification struct {
	ID          string    `json:"id"`
	EventType   string    `json:"event_type"`
	ComplaintID string    `json:"complaint_id,omitempty"`
	ActionType  string    `json:"action_type,omitempty"`
	OutRefundNo string    `json:"out_refund_no,omitempty"`
	CreateTime  time.Time `json:"create_time"`
	URL         string    `json:"url"`
}

func due(n wechatpaytest.Notification, url string) dueNotification {
	return dueNotification{n.ID, n.EventType, n.ComplaintID, n.ActionType, n.OutRefundNo, n.CreateTime, url}
}

type pendingNotification struct {
	dueNotification
	Attempts int       `json:"attempts"`
	Due      time.Time `json:"due"`
}

// pendingList are the first of the pending notifications, those that are due first.
func (c *control) pendingList(most int) list[pendingNotification] {
	all := c.server.PendingNotifications()
	return listOf(all[:min(len(all), most)], func(p wechatpaytest.PendingNotification) pendingNotification {
		return pendingNotification{due(p.Notification, p.URL), p.Attempts, p.Due}
	})
}

func (c *control) pending(*http.Request) (int, any, error) {
	return http.StatusOK, c.pendingList(math.MaxInt), nil
}

func (c *control) deliver(r *http.Request) (int, any, error) {
	if err := decode(r, &struct{}{}); err != nil {
		return 0, nil, err
	}
	type delivery struct {
		dueNotification
		Attempt int    `json:"attempt"`
		Status  int    `json:"status"` // 0: there was no answer
		Body    string `json:"body"`
		Error   string `json:"error,omitempty"`
	}
	// Deliveries that have begun are not given up because who asked for them has gone.
	done := c.server.DeliverDue(context.WithoutCancel(r.Context()))
	return http.StatusOK, listOf(done, func(d wechatpaytest.Delivery) delivery {
		out := delivery{due(d.Notification, d.URL), d.Attempt, d.StatusCode, d.Body, ""}
		if d.Err != nil {
			out.Error = sentence(d.Err)
		}
		return out
	}), nil
}
