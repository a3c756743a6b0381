package main

import (
	"fmt"
	"io"
	"net/http"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func (c *control) addComplaint(r *http.Request) (int, any, error) {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	complaint, err := c.server.AddComplaintJSON(data)
	if err != nil {
		return 0, nil, fmt.Errorf("it is no complaint that WeChat Pay could send: %s", sentence(err))
	}
	return http.StatusCreated, complaint, nil
}

func (c *control) complaints(*http.Request) (int, any, error) {
	return http.StatusOK, list[wechatpay.Complaint]{c.server.Complaints()}, nil
}

// complaintOf finds the complaint of the path.
func (c *control) complaintOf(r *http.Request) (wechatpay.Complaint, error) {
	complaint, ok := c.server.Complaint(r.PathValue("id"))
	if !ok {
		return complaint, refuse(http.StatusNotFound, "there is no complaint %s", r.PathValue("id"))
	}
	return complaint, nil
}

func (c *control) complaint(r *http.Request) (int, any, error) {
	complaint, err := c.complaintOf(r)
	return http.StatusOK, complaint, err
}

func (c *control) history(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, list[wechatpay.NegotiationRecord]{c.server.History(r.PathValue("id"))}, nil
}

func (c *control) addRecord(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	var record wechatpay.NegotiationRecord
	if err := decode(r, &record); err != nil {
		return 0, nil, err
	}
	if err := c.server.AddRecord(r.PathValue("id"), record); err != nil {
		return 0, nil, err
	}
	complaint, err := c.complaintOf(r)
	return http.StatusCreated, complaint, err
}

func (c *control) changeComplaint(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := c.server.ChangeComplaintJSON(r.PathValue("id"), data); err != nil {
		return 0, nil, err
	}
	return c.complaint(r)
}

// reply is a message of somebody who is not the merchant.
func reply(do func(s *wechatpaytest.Server, id, text string, mediaURLs ...string) error) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if _, err := c.complaintOf(r); err != nil {
			return 0, nil, err
		}
		var body struct {
			Text      string   `json:"text"`
			MediaURLs []string `json:"media_urls"`
		}
		if err := decode(r, &body); err != nil {
			return 0, nil, err
		}
		if body.Text == "" && len(body.MediaURLs) == 0 {
			return 0, nil, fmt.Errorf("nothing is said: text or media_urls is needed")
		}
		if err := do(c.server, r.PathValue("id"), body.Text, body.MediaURLs...); err != nil {
			return 0, nil, err
		}
		return c.complaint(r)
	}
}

func (c *control) userClick(r *http.Request) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	var click wechatpay.ClickMessage
	if err := decode(r, &click); err != nil {
		return 0, nil, err
	}
	if err := c.server.UserClicks(r.PathValue("id"), click); err != nil {
		return 0, nil, err
	}
	return c.complaint(r)
}

func (c *control) userAskPlatform(r *http.Request) (int, any, error) {
	var body struct {
		Reason      string `json:"reason"`
		Description string `json:"description"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	return c.takeStep(r, func() error {
		return c.server.UserAsksPlatform(r.PathValue("id"), body.Reason, body.Description)
	})
}

func (c *control) merchantDecision(r *http.Request) (int, any, error) {
	var body struct {
		Action wechatpay.RefundAction `json:"action"`
		Reason string                 `json:"reason"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if body.Action != wechatpay.RefundApprove && body.Action != wechatpay.RefundReject {
		return 0, nil, fmt.Errorf("action is %q: there are %s and %s", body.Action, wechatpay.RefundApprove, wechatpay.RefundReject)
	}
	return c.takeStep(r, func() error { return c.server.MerchantDecides(r.PathValue("id"), body.Action, body.Reason) })
}

// step is an operation on a complaint that takes nothing, and that the state of
// the complaint may not allow.
func step(do func(*wechatpaytest.Server, string) error) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := decode(r, &struct{}{}); err != nil {
			return 0, nil, err
		}
		return c.takeStep(r, func() error { return do(c.server, r.PathValue("id")) })
	}
}

func (c *control) takeStep(r *http.Request, do func() error) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	if err := do(); err != nil {
		return 0, nil, refuse(http.StatusConflict, "%s", sentence(err))
	}
	return c.complaint(r)
}
