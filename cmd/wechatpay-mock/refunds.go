package main

import (
	"net/http"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

type refund struct {
	OutRefundNo   string `json:"out_refund_no"`
	RefundID      string `json:"refund_id"`
	TransactionID string `json:"transaction_id"`
	OutTradeNo    string `json:"out_trade_no"`
	MchID         string `json:"mchid"`
	SubMchID      string `json:"sub_mchid,omitempty"`
	Amount        int64  `json:"amount"`
	Status        string `json:"status"`
}

func refundOf(r wechatpaytest.Refund) refund { return refund(r) }

func (c *control) refunds(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Refunds(), refundOf), nil
}

// setRefundStatus sets the final status of a refund.
func setRefundStatus(status string) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := requireEmptyBody(r); err != nil {
			return 0, nil, err
		}
		number := r.PathValue("out_refund_no")
		if _, found := c.refund(number); !found {
			return 0, nil, statusErrorf(http.StatusNotFound, "refund %s not found", number)
		}
		if err := c.server.SettleRefund(number, status); err != nil {
			return 0, nil, statusErrorf(http.StatusConflict, "%s", errorText(err))
		}
		changed, _ := c.refund(number)
		return http.StatusOK, changed, nil
	}
}

func (c *control) refund(number string) (refund, bool) {
	for _, r := range c.server.Refunds() {
		if r.OutRefundNo == number {
			return refundOf(r), true
		}
	}
	return refund{}, false
}
