// Package wechatpay is an SDK for the complaint API of WeChat Pay v3
// ("消费者投诉2.0", /v3/merchant-service/complaints-v2). With it, a merchant's
// backend handles the complaints and refund requests that users file in WeChat:
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
// A round begins each time the user files the complaint. Round is the one that
// the merchant decided on: a later round is not paid.
//
// # Errors
//
// nil means that a write was applied, ErrOutcomeUnknown that it may have been,
// and any other error that it was not. Check in this order:
//
//   - errors.Is(err, ErrOutcomeUnknown): check whether the write was applied
//     before you repeat the call. The error also wraps the cause, which may have
//     one of the types below.
//   - *ArgumentError: invalid arguments; nothing was sent.
//   - *RefundRefusedError: a refund would, or might, pay twice or a wrong amount.
//   - *APIError: the response is an error; see Code.
//   - *VerificationError: a response or notification failed verification.
//   - *NotificationError: a notification is malformed.
//   - any other error: from the transport, the context or a lookup.
//
// # The promise and its limits
//
// SECURITY.md says what this promise rests on. In short:
//
//   - A signature proves the body, the time and the sender of a response, but
//     neither the status nor the request. TLS alone binds a response to its
//     request. A Client accepts a signed response once.
//   - Error responses are not signed.
//   - If the history lags longer than RetryPolicy.HistoryLag, more outcomes are
//     unknown, and Refund may not notice a refund that someone else launched.
//   - No endpoint lists refunds: see RefundComplaintRequest.OutRefundNo.
//   - Complaint notifications do not name the merchant.
//   - The APIv3 key is a trust anchor unless Config.PublicKeyOnly is set.
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
