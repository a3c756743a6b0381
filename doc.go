// Package wechatpay is an SDK for the complaint API of WeChat Pay v3
// ("消费者投诉2.0", /v3/merchant-service/complaints-v2). When a user complains in
// WeChat and asks for the money back, a merchant's backend answers with it:
//
//	key, err := wechatpay.ParsePrivateKey(pem) // apiclient_key.pem
//	client, err := wechatpay.NewClient(wechatpay.Config{
//		MchID: "1900000001", SerialNo: "3775B6A4…", PrivateKey: key,
//		PublicKeyID: "PUB_KEY_ID_01…", PublicKey: pub,
//	})
//	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.ApproveRefund(0))
//	err = client.ComplaintsV2.UpdateRefundProgress(ctx, complaintID, wechatpay.RejectRefund("商品已使用，不符合退款条件", mediaID))
//
// ConfigFromEnv reads the settings from the environment.
//
// An approval moves no money. ComplaintsV2.Refund does, once however often it is
// called, and reads the complaint and its history again before each attempt:
//
//	refund, err := client.ComplaintsV2.Refund(ctx, complaintID, &wechatpay.RefundComplaintRequest{Round: complaint.UserComplaintTimes})
//
// Round is the filing that was decided on: if the user files again meanwhile,
// nothing is paid for the new one.
//
// # What nil and each error mean
//
// nil means that WeChat Pay said so: the answer's status is the documented one,
// and its signature was verified; or the negotiation history shows it, where the
// answer was lost. Of an error ask first whether a write may have taken effect:
//
//   - errors.Is(err, ErrOutcomeUnknown): it may or may not have. Look before you
//     repeat it. The cause is wrapped too, so that the types below fit as well.
//   - *ArgumentError: refused before anything was sent, with every fault.
//   - *APIError: WeChat Pay refused, or a gateway before it; its Code says why.
//   - *VerificationError: the answer to a read, or a notification, does not prove
//     to be WeChat Pay's.
//   - *NotificationError: a notification cannot be read.
//   - *RefundRefusedError: a refund would, or might, pay the wrong amount or twice.
//   - anything else: the transport's or the context's own error, or what a look
//     at the history found. No write has taken effect.
//
// # Layers
//
// A Client encodes a request and hands it to SigningTransport, which adds the
// Authorization header; VerifyingTransport verifies the answer; and NewTransport
// holds the connections. Both transports are plain http.RoundTrippers, and work
// in any http.Client. Nothing runs in the background, and nothing needs closing.
//
// Package wechatpaytest is a WeChat Pay for your own tests. The modules redisstore
// and sqlstore let several machines handle a notification once, and package
// storetest tests a store of your own.
package wechatpay
