// Package wechatpaytest is a fake of WeChat Pay for tests: an HTTP server on
// loopback with the complaint API, platform certificates, refunds and the
// self-test. WeChat Pay has no sandbox for complaints.
//
//	server := wechatpaytest.NewServer()
//	defer server.Close()
//	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
//	client, err := wechatpay.NewClient(server.Config())
//
// The fake is strict. It verifies signatures, timestamps and nonces, and rejects
// missing headers, unknown fields, texts that are too long and second decisions,
// with the status and code that WeChat Pay documents and a message for the
// developer. A rejected request changes nothing. [Server.Requests] returns the
// requests with the reasons, and [Server.History] returns what took effect. To
// log the requests:
//
//	server.Configure(func(b *wechatpaytest.Behavior) {
//		b.Log = func(r wechatpaytest.Request) { t.Log(r) }
//	})
//
// The fake has its own cryptography, checks and field names. It shares only
// Config and the exported models with the SDK, so that it finds errors in both.
// With GODEBUG=fips140=only it needs Go 1.26.
//
// # Events
//
// Methods of [Server] make things happen:
//   - The user: [Server.UserReplies], [Server.UserClicks],
//     [Server.UserContinues] (files the complaint again),
//     [Server.UserAsksPlatform], [Server.UserCancelsPlatform].
//   - The platform: [Server.PlatformReplies], [Server.PlatformFinishes],
//     [Server.PlatformRefunds].
//   - The merchant, on its website: [Server.MerchantDecides].
//   - Refunds: [Server.SettleRefund].
//   - Notifications: [Server.Notify], [Server.DeliverDue].
//   - Certificates and time: [Server.RotateCertificate], [Server.Advance].
//   - Failures: [Server.AddFault].
//
// [Server.AddMerchant] adds merchants and service providers, for tests that use
// several clients.
//
// # Faults
//
// A [Fault] makes requests fail, a number of times or with a seeded probability.
// Its kinds are connections that break, gateways that respond instead of WeChat
// Pay, signatures that do not verify, and genuine responses that belong to
// something else: see [FaultKind]. [Behavior] has the lags.
//
// # HTTP/2
//
// The server accepts HTTP/1.1 and unencrypted HTTP/2 on the same port. A client
// speaks HTTP/2 if its transport speaks nothing else:
//
//	protocols := new(http.Protocols)
//	protocols.SetUnencryptedHTTP2(true)
//	cfg := server.Config()
//	cfg.Transport = &http.Transport{Protocols: protocols}
//
// There, a [Fault] that closes the connection resets the stream instead, with
// INTERNAL_ERROR. Only after [FaultReset] does net/http resend the request.
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
// [Server.Handle] adds others.
//
// # Undocumented behavior
//
// Where WeChat Pay's documents are silent, the fake had to choose. Tests must not
// rely on these choices. A field of [Behavior] in parentheses changes one.
//
// Order of checks: headers (400 INVALID_REQUEST), signature (401 SIGN_ERROR),
// path and method, content type (of an upload: with the headers), parameters,
// permission, state.
//
// Headers and signature:
//   - Accept must allow application/json, for image downloads alternatively
//     images. Any non-empty User-Agent is valid.
//   - Content-Type must be application/json, in UTF-8. Content-Encoding is not
//     supported. Both errors are 400 INVALID_REQUEST.
//   - Timestamps may differ from the server's clock (WireTime), which the Date
//     header shows, by 300 s. Nonces have at most 32 characters. Authorization
//     may have spaces after commas and a serial_no in lower case.
//   - A used nonce is rejected, even if its request had invalid parameters. An
//     identical GET may be sent again.
//   - An unknown Wechatpay-Serial is ignored. Several are 400 INVALID_REQUEST.
//   - Error responses are signed, except 401 and those of [Fault].
//   - The question mark of an empty query need not be signed.
//   - A meta part with a filename is not signed, as reported.
//   - In a 401, sign_message_length is in bytes, and field is Authorization if
//     the header itself is invalid. The message names the mistake if the string
//     to sign was built in a wrong but common way.
//
// Parameters:
//   - An unknown path, or method of a path, is 404 RESOURCE_NOT_EXISTS.
//   - Unknown fields of a body are rejected as reported of refunds: the detail has
//     only their pointers, below /body, as value, and null as location. The path
//     parameter is such a field (PathInBody). An unknown query parameter, a query
//     for an endpoint without one, and a body with GET or DELETE are 400
//     PARAM_ERROR.
//   - location is body, query, path, header or authorization.
//   - These are rejected: JSON null, duplicate members, integers such as 1.0 or
//     1e0, data after the object, and more than 32 levels of nesting.
//   - Optional strings and arrays may be empty unless a rule says otherwise
//     (NoEmptyLists).
//   - Characters beyond U+FFFF are rejected in bodies, names, queries and paths.
//   - launch_refund_day has no maximum. reject_reason and reject_media_list, even
//     empty, are rejected with APPROVE, and launch_refund_day with REJECT.
//     reject_reason is optional.
//   - A media_id that is not from an upload is 400 PARAM_ERROR (AnyMediaID).
//     Media ids do not expire.
//   - The list may span 30 days, including both ends. begin_date must not be
//     after end_date.
//   - Uploads may have 2,097,152 bytes. The content must match the file
//     extension, in any case. All errors are 400 PARAM_ERROR, as are downloads of
//     unknown and of uploaded images.
//   - A message may have no blocks. A block must have exactly the payload of its
//     type, and an action that of its type.
//   - Refunds: transaction_id, out_trade_no, or both of the same order. A service
//     provider must send sub_mchid. notify_url may be http.
//   - A complainted_mchid that does not match the complaint is 400 PARAM_ERROR;
//     a foreign one in the list is 403 NO_AUTH.
//
// Permission and state:
//   - An unknown complaint_id is 404 RESOURCE_NOT_EXISTS (UnknownComplaint).
//   - A second decision in a round, one on a finished or refunded complaint, and
//     a second completion are 400 INVALID_REQUEST (WrongState).
//   - A decision on a complaint that is not a refund request is 400 PARAM_ERROR,
//     and without the user tag TRUSTED only if TrustedOnly is set.
//   - APPROVE makes a complaint PROCESSING, and filing it again PENDING
//     (RefiledProcessing). A finished complaint can be replied to and stays
//     finished.
//   - A complaint can be completed at any time, even before a reply
//     (CompleteNeedsReply) or a decision, or while its refund is pending.
//   - An immediate-service reply to a complaint that does not need it is 400
//     INVALID_REQUEST. A repeated idempotent_id returns the first log_id, whatever
//     the content.
//   - Creating an existing notification URL is 400 INVALID_REQUEST. Changing or
//     deleting a missing one is 400 RESOURCE_NOT_EXISTS, as documented for GET.
//   - Jump links are 403 NO_AUTH (JumpLinks). An empty jump_url always is.
//   - complaint_full_refunded becomes true when refunds arrive, not when they are
//     accepted. A complaint about an order that is already refunded starts with
//     true.
//   - A refund that arrives finishes approved complaints, even if it is partial,
//     and no others.
//   - A refund by the platform applies to all complaints about the order, and
//     does not reduce what the merchant can refund.
//   - in_platform_service is true from the user's request for help until the user
//     cancels it or the staff end it. A tap of the user waits for a reply like a
//     message, and is notified as USER_RESPONSE.
//   - Refunds: a wrong amount.total, more than the refundable amount, a 51st
//     partial refund, and a used number with other parameters are 400
//     INVALID_REQUEST. Partial refunds less than a minute apart are 429
//     FREQUENCY_LIMITED. A foreign sub_mchid is 403 NO_AUTH.
//   - Orders can be refunded after 365 days. Requests are not limited
//     (RateLimits); use a [Fault] for a single 429.
//
// Responses:
//   - Pages are newest first (ListOldestFirst, HistoryOldestFirst). The list is
//     sorted by filing (ListByChange). A complaint that is filed again stays under
//     its first date (ListByLastFiling).
//   - The default limit is 10 in the list and 100 in the history. An empty page
//     has no data. A page that is too large is 400 INVALID_REQUEST (MaxPage,
//     ResultTooLarge).
//   - Complaints, records and refunds can be read at once (ListLag, HistoryLag,
//     RefundLag, VaryLag). The state of a complaint never lags.
//   - Each signature has a random nonce of its own.
//   - complaint_time has milliseconds, other times do not. All are +08:00.
//   - The history has one record per event and no system notice of the filing.
//     Images of replies, rejections and staff are links in image_list that are
//     valid for an hour. An approval has no operate_details.
//   - payer_phone is encrypted for the certificate that signed the request.
//   - Request-ID ends in a hyphen and the internal error code if it is known, 1
//     for other errors, or 0.
//   - encrypted_echo_message is encrypted for the merchant. The notify_url of the
//     self-test receives nothing, as the notification is not documented.
//
// Notifications:
//   - They are sent while there is a notification URL, except for the merchant's
//     own actions (NotifyOwnActions). None is lost (NotificationLoss). A service
//     provider receives those about its sub-merchants.
//   - The public key signs them, in [KeyModeCertificate] the platform certificate.
//     Set Serial of [Notification] to test the gradual switch.
//   - 200 and 204 acknowledge. Anything else is redelivered on the schedule of
//     2024, for refunds too. associated_data is "complaint" or "refund".
package wechatpaytest
