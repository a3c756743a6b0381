// Package wechatpaytest is a WeChat Pay in the test's own process: an HTTP
// server on loopback with the complaint API, platform certificates, refunds and
// the self-test, for a merchant's tests. WeChat Pay has no sandbox for
// complaints.
//
//	server := wechatpaytest.NewServer()
//	defer server.Close()
//	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
//	client, err := wechatpay.NewClient(server.Config())
//
// It is strict. A request with a wrong signature, an old timestamp, a nonce
// used before, a header missing, an unknown field, a text too long or a second
// decision is refused with the status and the code that WeChat Pay documents,
// and a sentence for the developer. A refused request has no effect.
// [Server.Requests] tells what came and why it was refused; [Server.History] is
// the ledger of what took effect. To see refusals as they happen:
//
//	server.Configure(func(b *wechatpaytest.Behavior) {
//		b.Log = func(r wechatpaytest.Request) { t.Log(r) }
//	})
//
// It is a double of WeChat Pay, not of the SDK: it shares no code with it but
// Config and the types that go in and out, neither cryptography nor checks nor
// wire names.
//
// A test moves things on with the methods of [Server]: the user replies
// ([Server.UserReplies]), taps ([Server.UserClicks]), files again
// ([Server.UserContinues]) or asks for help ([Server.UserAsksPlatform],
// [Server.UserCancelsPlatform]); the platform writes ([Server.PlatformReplies]),
// ends its help ([Server.PlatformFinishes]) or refunds ([Server.PlatformRefunds]);
// a colleague decides on the merchant's website ([Server.MerchantDecides]); a
// refund arrives ([Server.SettleRefund]), a certificate is rotated
// ([Server.RotateCertificate]), the clock moves ([Server.Advance]), an answer is
// lost ([Server.AddFault]), a notification comes ([Server.Notify],
// [Server.DeliverDue]).
//
// # Endpoints
//
//	GET    /v3/merchant-service/complaints-v2
//	GET    /v3/merchant-service/complaints-v2/{complaint_id}
//	GET    /v3/merchant-service/complaints-v2/{complaint_id}/negotiation-historys
//	POST   /v3/merchant-service/complaints-v2/{complaint_id}/response
//	POST   /v3/merchant-service/complaints-v2/{complaint_id}/response-immediate-service
//	POST   /v3/merchant-service/complaints-v2/{complaint_id}/complete
//	POST   /v3/merchant-service/complaints-v2/{complaint_id}/update-refund-progress
//	POST   /v3/merchant-service/complaint-notifications
//	GET    /v3/merchant-service/complaint-notifications
//	PUT    /v3/merchant-service/complaint-notifications
//	DELETE /v3/merchant-service/complaint-notifications
//	POST   /v3/merchant-service/images/upload
//	GET    /v3/merchant-service/images/{media_id}
//	GET    /v3/certificates
//	POST   /v3/refund/domestic/refunds
//	GET    /v3/refund/domestic/refunds/{out_refund_no}
//	POST   /v3/security/echo
//
// Others are the user's to add, with [Server.Handle].
//
// # Where WeChat Pay's documents are silent
//
// The server had to choose. A test that passes by one of these choices proves
// nothing about WeChat Pay. Where a field of [Behavior] is named, it chooses
// otherwise.
//
// Order of checks: headers (400 INVALID_REQUEST), signature (401 SIGN_ERROR),
// path and method, content type, parameters, permission, state.
//
// Headers and signature:
//   - Accept must admit application/json ("*/*" does); that of an image
//     download may admit images instead. Any User-Agent that is not empty will
//     do.
//   - Content-Type must be application/json, in UTF-8 if it says so. A
//     Content-Encoding is refused. Both are 400 INVALID_REQUEST.
//   - Timestamps may be 300 s away from the server's clock (WireTime), which
//     the Date of answers shows; nonces may have 32 characters. Blanks after
//     the commas of Authorization are taken, a serial number in either case
//     too.
//   - A nonce that was used is refused, also after a request that was refused
//     for its parameters; an identical GET is answered again.
//   - A Wechatpay-Serial that names no key of the server is ignored; several
//     are 400 INVALID_REQUEST.
//   - Answers that are errors are signed, 401 and those of gateways (see [Fault]) apart.
//   - In a 401, sign_message_length counts bytes; field is Authorization where
//     the header itself is wrong. The message says which usual mistake the
//     signature fits, if any.
//
// Parameters:
//   - An unknown path, and a method that a path does not have, are 404
//     RESOURCE_NOT_EXISTS.
//   - An unknown member of a body is refused at all endpoints as it is at the
//     refunds: value is an array of pointers, location null; field is the first
//     of them. So is the parameter of the path, repeated in a body
//     (PathInBody). An unknown query parameter, a query where there is none,
//     and a body on GET or DELETE are 400 PARAM_ERROR too.
//   - location is body, query, path, header or authorization.
//   - JSON null, a member that comes twice, an integer written as 1.0 or 1e0,
//     text after the object, and nesting deeper than 32 are refused.
//   - An optional string may be empty, where no rule says otherwise; a required
//     one may not.
//   - Characters beyond U+FFFF are refused in bodies, names, queries and paths.
//   - launch_refund_day has no upper bound. APPROVE with reject_reason or
//     reject_media_list, even empty, is refused, as is REJECT with
//     launch_refund_day. REJECT needs no reason.
//   - A media id that no upload returned is 400 PARAM_ERROR (AnyMediaID).
//     Unlike real ones, media ids do not expire.
//   - The list spans at most 30 days, both ends counted; begin_date after
//     end_date is refused.
//   - Uploads: 2 MB are 2,097,152 bytes; the file must be what the name's
//     ending says, of which upper and lower case count the same; all that is
//     wrong is 400 PARAM_ERROR. Downloads of an unknown id, and of one that an
//     upload returned, are 400 PARAM_ERROR.
//   - A message may be without blocks; a block must have the payload of its
//     type and no other, an action that of its type.
//   - Refunds: transaction_id and out_trade_no together are refused; sub_mchid
//     of a service provider is required; notify_url may be http.
//   - complainted_mchid of a body that is not the complaint's is 400
//     PARAM_ERROR; that of the list that is not the caller's is 403 NO_AUTH.
//
// Permission and state:
//   - An unknown complaint_id is 404 RESOURCE_NOT_EXISTS (UnknownComplaint).
//   - A second decision, one on a finished or refunded complaint, and a second
//     completion are 400 INVALID_REQUEST (WrongState).
//   - A complaint that is no refund request is refused with 400 PARAM_ERROR;
//     without the user tag TRUSTED only if TrustedOnly says so.
//   - After APPROVE a complaint is PROCESSING; filed again it is PENDING. A
//     finished complaint takes replies, and stays finished.
//   - A complaint that is PENDING, or awaits a decision or its refund, can be completed.
//   - An immediate-service reply to a complaint that does not need it is 400
//     INVALID_REQUEST. Repeated with its idempotent_id it is answered with the
//     first log_id, whatever its content.
//   - A notification URL that exists is not created again: 400 INVALID_REQUEST.
//     Updating or deleting none is 400 RESOURCE_NOT_EXISTS, as reading it is.
//   - Jump links are 403 NO_AUTH (JumpLinks), and an empty jump_url always is.
//   - complaint_full_refunded becomes true when refunds reach the user, not
//     when they are accepted. A refund that the platform made does not lessen
//     what endpoint 15 refunds, and is told to all complaints about the order.
//     A refund that arrives without an approval does not finish the complaint;
//     with one, a partial refund does too.
//   - A complaint about an order that was paid back before is filed as refunded in full.
//   - in_platform_service is true from when the user asks for help until he
//     cancels it or the staff end it. A tap of the user's waits for a reply as
//     a message does, and is told as USER_RESPONSE.
//   - A wrong amount.total, more than is left of an order, a 51st partial
//     refund and other parameters under a number that was used are 400
//     INVALID_REQUEST; a partial refund within a minute of the last, 429
//     FREQUENCY_LIMITED; sub_mchid of a stranger, 403 NO_AUTH.
//   - The 365 days after payment and the rate limits are not enforced. A 429 is a fault.
//
// Answers:
//   - Newest first (ListOldestFirst, HistoryOldestFirst). limit is 10 in the
//     list and 100 in the history if it is left out. data is absent from an
//     empty page. A page that is too large is 400 INVALID_REQUEST (MaxPage,
//     ResultTooLarge).
//   - complaint_time has milliseconds, all other times whole seconds; all are +08:00.
//   - The history has one record for an event: no system notices of filing. The
//     images of replies, rejections and of the staff are in image_list, with
//     links that are valid for an hour from the answer. An approval has no
//     operate_details.
//   - payer_phone is encrypted for the certificate that signed the request.
//   - Request-ID is 08F7, 32 hexadecimal digits, a hyphen and the internal
//     code: those that are known, 1 for other errors, 0 for none.
//   - The echo of an encrypted message is encrypted for the merchant. Nothing
//     is sent to an echo's notify_url, since what comes there is not
//     documented.
//
// Notifications:
//   - They are due while there is a URL, not about the merchant's own actions
//     (NotifyOwnActions), and signed by the public key, by the certificate only
//     in [KeyModeCertificate]. The gradual move of a merchant who switches is a
//     test's to play, with [Notification].Serial.
//   - 200 and 204 acknowledge. Others are repeated by the schedule of 2024,
//     refund notifications too. associated_data is "complaint" or "refund".
package wechatpaytest
