// Package wechatpay is an SDK for the complaint API of WeChat Pay v3
// ("消费者投诉2.0", /v3/merchant-service/complaints-v2). A merchant's backend uses
// it to answer users who complain in WeChat and ask for a refund:
//
//	cfg, err := wechatpay.ConfigFromEnv()
//	client, err := wechatpay.NewClient(cfg)
//	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
//
// An approval moves no money. Refund does, once per round however often it is
// called:
//
//	refund, err := client.ComplaintsV2.Refund(ctx, complaintID,
//		&wechatpay.RefundComplaintRequest{Round: complaint.UserComplaintTimes})
//
// Round is the round (第 N 次投诉) that the merchant decided on. If the user files again
// meanwhile, the new round is not paid.
//
// # Errors
//
// nil means that the request was applied: the response has the documented
// status and a verified signature, or, if it was lost, a lookup found the write.
// After an error, ask first whether a write may have been applied:
//
//   - errors.Is(err, ErrOutcomeUnknown): it may have been. Check before you
//     repeat the call. The cause is wrapped too and has one of the types below.
//   - *ArgumentError: invalid arguments; nothing was sent.
//   - *APIError: WeChat Pay, or a gateway, responded with an error; see Code.
//   - *VerificationError: the signature of a response or notification could not
//     be verified.
//   - *NotificationError: a notification could not be decoded.
//   - *RefundRefusedError: a refund would, or might, pay twice or a wrong amount.
//   - any other error: from the transport, the context, or a lookup. The write
//     was not applied.
//
// # Layers
//
// A Client encodes a request and sends it through SigningTransport, which adds
// the Authorization header, VerifyingTransport, which verifies the response, and
// the connection pool of NewTransport. Both transports are http.RoundTrippers
// that work in any http.Client. No goroutine outlives a call, and a Client needs
// no Close.
//
// Package wechatpaytest is a fake of WeChat Pay for tests. The modules redisstore
// and sqlstore let several machines handle a notification once, and package
// storetest tests a store of your own.
package wechatpay
