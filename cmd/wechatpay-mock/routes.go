package main

import "github.com/wechatpay-complaints/wechatpay/wechatpaytest"

// routes are the operations of the control API. The comment of package main
// documents them.
var routes = []struct {
	pattern string
	do      operation
}{
	{"POST /_mock/complaints", (*control).addComplaint},
	{"GET /_mock/complaints", (*control).complaints},
	{"GET /_mock/complaints/{id}", (*control).complaint},
	{"PATCH /_mock/complaints/{id}", (*control).changeComplaint},
	{"GET /_mock/complaints/{id}/history", (*control).history},
	{"POST /_mock/complaints/{id}/records", (*control).addRecord},
	{"POST /_mock/complaints/{id}/user-reply", reply((*wechatpaytest.Server).UserReplies)},
	{"POST /_mock/complaints/{id}/user-click", (*control).userClick},
	{"POST /_mock/complaints/{id}/user-continue", step((*wechatpaytest.Server).UserContinues)},
	{"POST /_mock/complaints/{id}/user-ask-platform", (*control).userAskPlatform},
	{"POST /_mock/complaints/{id}/user-cancel-platform", step((*wechatpaytest.Server).UserCancelsPlatform)},
	{"POST /_mock/complaints/{id}/platform-reply", reply((*wechatpaytest.Server).PlatformReplies)},
	{"POST /_mock/complaints/{id}/platform-finish", step((*wechatpaytest.Server).PlatformFinishes)},
	{"POST /_mock/complaints/{id}/platform-refund", step((*wechatpaytest.Server).PlatformRefunds)},
	{"POST /_mock/complaints/{id}/merchant-decision", (*control).merchantDecision},
	{"GET /_mock/refunds", (*control).refunds},
	{"POST /_mock/refunds/{out_refund_no}/arrive", setRefundStatus("SUCCESS")},
	{"POST /_mock/refunds/{out_refund_no}/close", setRefundStatus("CLOSED")},
	{"POST /_mock/refunds/{out_refund_no}/abnormal", setRefundStatus("ABNORMAL")},
	{"POST /_mock/images", (*control).addImage},
	{"GET /_mock/images/{media_id}", (*control).image},
	{"POST /_mock/faults", (*control).addFault},
	{"GET /_mock/faults", (*control).faults},
	{"DELETE /_mock/faults", (*control).clearFaults},
	{"POST /_mock/notify", (*control).notify},
	{"PUT /_mock/notification-url", (*control).setNotificationURL},
	{"GET /_mock/notifications", (*control).pending},
	{"POST /_mock/notifications/deliver", (*control).deliver},
	{"POST /_mock/merchants", (*control).addMerchant},
	{"GET /_mock/merchants", (*control).listMerchants},
	{"GET /_mock/requests", (*control).requests},
	{"GET /_mock/clock", (*control).clock},
	{"POST /_mock/clock", (*control).advance},
	{"POST /_mock/certificates/announce", certificate((*wechatpaytest.Server).AnnounceCertificate)},
	{"POST /_mock/certificates/rotate", certificate((*wechatpaytest.Server).RotateCertificate)},
	{"GET /_mock/behavior", (*control).behavior},
	{"PATCH /_mock/behavior", (*control).changeBehavior},
	{"POST /_mock/reset", (*control).reset},
	{"GET /_mock/page", (*control).state},
	{"GET /_mock/page/{file}", (*control).pagePart},
}
