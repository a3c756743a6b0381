package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// newMock starts the server of --mock, with sample complaints.
func newMock() *wechatpaytest.Server {
	server := wechatpaytest.NewServer()
	ago := func(d time.Duration) time.Time { return server.Now().Add(-d) }
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        "200201820200101080076610000",
		ComplaintTime:      ago(3 * time.Hour),
		ComplaintDetail:    "商品与描述不符，要求退款",
		ProblemDescription: "商品质量问题",
		ProblemType:        wechatpay.ProblemTypeRefund,
		ApplyRefundAmount:  1000,
		PayerPhone:         "13800138000",
		UserTagList:        []wechatpay.UserTag{wechatpay.UserTagTrusted},
		ComplaintMediaList: []wechatpay.ComplaintMedia{{
			MediaType: wechatpay.MediaTypeUserComplaintImage,
			MediaURL:  []string{server.AddImage("", sampleImage()), server.AddImage("", sampleImage())},
		}},
	})
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        "200201820200101080076610001",
		ComplaintTime:      ago(2 * time.Hour),
		ComplaintDetail:    "会员权益一直没有生效",
		ProblemDescription: "服务未生效",
		ProblemType:        wechatpay.ProblemTypeServiceNotWork,
	})
	server.AddComplaint(wechatpay.Complaint{
		ComplaintID:        "200201820200101080076610002",
		ComplaintTime:      ago(time.Hour),
		ComplaintDetail:    "重复扣款，请退还一笔",
		ProblemDescription: "重复扣款",
		ProblemType:        wechatpay.ProblemTypeRefund,
		ApplyRefundAmount:  2550,
		ComplaintState:     wechatpay.ComplaintStateProcessing,
	})
	return server
}

func sampleImage() []byte {
	img := image.NewRGBA(image.Rect(0, 0, 8, 8))
	img.Set(4, 4, color.RGBA{R: 7, G: 193, B: 96, A: 255})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // a bytes.Buffer cannot fail
	}
	return b.Bytes()
}
