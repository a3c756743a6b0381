package main

import (
	"net/http"
	"slices"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

type refund struct {
	OutRefundNo   string `json:"out_refund_no"`
	RefundID      string `json:"refund_id"`
	TransactionID string `json:"transaction_id"`
	OutTradeNo    string `json:"out_trade_no"`
	SubMchID      string `json:"sub_mchid,omitempty"`
	Amount        int64  `json:"amount"`
	Status        string `json:"status"`
}

func (c *control) refunds(*http.Request) (int, any, error) {
	return http.StatusOK, listOf(c.server.Refunds(), func(r wechatpaytest.Refund) refund { return refund(r) }), nil
}

func settle(status string) operation {
	return func(c *control, r *http.Request) (int, any, error) {
		if err := decode(r, &struct{}{}); err != nil {
			return 0, nil, err
		}
		number := r.PathValue("out_refund_no")
		find := func() int {
			return slices.IndexFunc(c.server.Refunds(), func(r wechatpaytest.Refund) bool { return r.OutRefundNo == number })
		}
		if find() < 0 {
			return 0, nil, refuse(http.StatusNotFound, "there is no refund %s", number)
		}
		if err := c.server.SettleRefund(number, status); err != nil {
			return 0, nil, refuse(http.StatusConflict, "%s", sentence(err))
		}
		return http.StatusOK, refund(c.server.Refunds()[find()]), nil
	}
}
