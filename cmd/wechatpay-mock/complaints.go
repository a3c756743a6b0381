package main

import (
	"encoding/json"
	"errors"
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
		return 0, nil, fmt.Errorf("invalid complaint: %s", errorText(err))
	}
	return http.StatusCreated, complaint, nil
}

func (c *control) complaints(*http.Request) (int, any, error) {
	return http.StatusOK, list[wechatpay.Complaint]{c.server.Complaints()}, nil
}

// complaintOf returns the complaint that the path names.
func (c *control) complaintOf(r *http.Request) (wechatpay.Complaint, error) {
	complaint, ok := c.server.Complaint(r.PathValue("id"))
	if !ok {
		return complaint, statusErrorf(http.StatusNotFound, "complaint %s not found", r.PathValue("id"))
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
	if err := checkComplaint(data); err != nil {
		return 0, nil, err
	}
	var mergeErr error
	err = c.server.ChangeComplaint(r.PathValue("id"), func(complaint *wechatpay.Complaint) {
		mergeErr = merge(complaint, data)
	})
	if err := errors.Join(mergeErr, err); err != nil {
		return 0, nil, err
	}
	return c.complaint(r)
}

// checkComplaint rejects fields that a complaint does not have.
func checkComplaint(data []byte) error {
	type plain wechatpay.Complaint // without UnmarshalJSON, which accepts unknown fields
	return decodeJSON(data, new(plain))
}

// merge replaces the fields of a complaint that the JSON object contains.
func merge(complaint *wechatpay.Complaint, object []byte) error {
	fields := map[string]json.RawMessage{}
	for _, data := range [][]byte{encode(complaint), object} {
		if err := json.Unmarshal(data, &fields); err != nil {
			return err
		}
	}
	var merged wechatpay.Complaint
	if err := json.Unmarshal(encode(fields), &merged); err != nil {
		return err
	}
	*complaint = merged
	return nil
}

// reply writes a message of the user or of WeChat Pay's staff.
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
			return 0, nil, fmt.Errorf("text or media_urls is required")
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
		return 0, nil, fmt.Errorf("action must be %s or %s, got %q", wechatpay.RefundApprove, wechatpay.RefundReject, body.Action)
	}
	return c.takeStep(r, func() error {
		return c.server.MerchantDecides(r.PathValue("id"), body.Action, body.Reason)
	})
}

// step performs an operation that has no parameters.
func step(do func(*wechatpaytest.Server, string) error) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := requireEmptyBody(r); err != nil {
			return 0, nil, err
		}
		return c.takeStep(r, func() error { return do(c.server, r.PathValue("id")) })
	}
}

// takeStep performs an operation. If the state of the complaint does not allow
// it, the status is 409.
func (c *control) takeStep(r *http.Request, do func() error) (int, any, error) {
	if _, err := c.complaintOf(r); err != nil {
		return 0, nil, err
	}
	if err := do(); err != nil {
		return 0, nil, statusErrorf(http.StatusConflict, "%s", errorText(err))
	}
	return c.complaint(r)
}
