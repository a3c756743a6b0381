package wechatpaytest

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
)

// mixUp returns the response of another object for FaultMixedUp, or the own one
// if there is none or the request was not authorized.
func (c *call) mixUp(own *response) *response {
	if c.merchant == nil {
		return own
	}
	other := c.endpoint.other(c)
	if other == nil || other.status >= 400 {
		return own
	}
	for _, name := range []string{"Request-Id", "Date"} {
		if values, ok := own.header[name]; ok {
			other.header[name] = values
		}
	}
	return other
}

// otherPage returns the second page instead of the first, and the first instead
// of the others.
func (c *call) otherPage() *response {
	query, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return nil
	}
	offset := query.Get("offset")
	query.Set("offset", "0")
	if offset == "" || offset == "0" {
		query.Set("offset", cmp.Or(query.Get("limit"), "10"))
	}
	other := *c
	other.rawQuery = query.Encode()
	return c.endpoint.serve(&other)
}

func (c *call) otherComplaint() *response {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	own := c.s.complaints[c.id]
	at := slices.Index(c.s.filed, own)
	for i := range c.s.filed {
		cm := c.s.filed[(at+1+i)%len(c.s.filed)]
		if cm != own && c.owns(cm.wire.ComplaintedMchID) {
			return jsonResponse(c.s.detail(cm, c.cert))
		}
	}
	if own == nil {
		return nil
	}
	invented := c.s.detail(own, c.cert)
	invented.ComplaintID = c.s.digits(27, "mixed up", c.id)
	invented.ComplaintOrderInfo = slices.Clone(invented.ComplaintOrderInfo)
	for i := range invented.ComplaintOrderInfo {
		o := &invented.ComplaintOrderInfo[i]
		o.TransactionID, o.OutTradeNo = c.s.otherOrder(o.TransactionID)
	}
	return jsonResponse(invented)
}

// otherOrder returns the numbers of an invented order.
func (s *Server) otherOrder(transactionID string) (otherID, outTradeNo string) {
	return "42000" + s.digits(23, "mixed up", transactionID), "order-" + s.digits(20, "mixed up", transactionID)
}

// otherRefund is for the creation and the query of a refund.
func (c *call) otherRefund() *response {
	number := c.id
	if c.r.Method == http.MethodPost {
		var b refundBody
		if c.decodeBody(schemaOf[refundBody](), &b) != nil {
			return nil
		}
		number = b.OutRefundNo
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	own := c.s.refunds[refundKey{c.merchant.mchid, number}]
	at := slices.Index(c.s.refundOrder, own)
	for i := range c.s.refundOrder {
		if r := c.s.refundOrder[(at+1+i)%len(c.s.refundOrder)]; r != own && r.caller == c.merchant {
			return jsonResponse(r.wire)
		}
	}
	if own == nil {
		return nil
	}
	invented := own.wire
	invented.OutRefundNo = "other-" + c.s.digits(20, "mixed up", number)
	invented.RefundID = "50" + c.s.digits(26, "mixed up", number)
	invented.TransactionID, invented.OutTradeNo = c.s.otherOrder(invented.TransactionID)
	return jsonResponse(invented)
}

// otherNotificationURL is for the creation and the change of the URL.
func (c *call) otherNotificationURL() *response {
	return jsonResponse(notificationURL{c.merchant.mchid, "https://other.invalid/notifications"})
}

func jsonResponse(v any) *response {
	resp := &response{status: http.StatusOK, header: http.Header{}, body: encode(v)}
	resp.header.Set("Content-Type", jsonType)
	return resp
}
