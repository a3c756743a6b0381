#!/bin/sh
# How the files of this folder were made: encrypted by Node's crypto (20 or
# newer), signed by OpenSSL 3 with ../platform_key.pem, so that nothing here was
# made by the package that reads it.
#
#   NAME.plain  the resource before it was encrypted
#   NAME.body   the body of the notification, as it is sent
#   NAME.sig    Wechatpay-Signature, with timestamp 1700000000 and the nonce below
set -eu
cd "$(dirname "$0")"

# name, event type, nonce of 12 bytes, associated data or "-" for none at all
notification() {
	node -e '
		const [name, eventType, nonce, associatedData] = process.argv.slice(1);
		const key = "0123456789abcdef0123456789ABCDEF"; // the APIv3 key, 32 bytes as they stand
		const cipher = require("crypto").createCipheriv("aes-256-gcm", key, nonce);
		if (associatedData !== "-") cipher.setAAD(Buffer.from(associatedData));
		const parts = [cipher.update(require("fs").readFileSync(name + ".plain")), cipher.final(), cipher.getAuthTag()];
		process.stdout.write(JSON.stringify({
			id: "EV-2018022511223320873", create_time: "2023-11-15T06:13:20+08:00",
			resource_type: "encrypt-resource", event_type: eventType, summary: "投诉通知",
			resource: {
				algorithm: "AEAD_AES_256_GCM", ciphertext: Buffer.concat(parts).toString("base64"), nonce,
				...(associatedData !== "-" && { associated_data: associatedData }), original_type: name,
			},
		}));
	' "$@" > "$1.body"
	{ printf '1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n'; cat "$1.body"; echo; } |
		openssl dgst -sha256 -sign ../platform_key.pem | openssl base64 -A > "$1.sig"
}

printf '{"complaint_id":"200201820200101080076610000","action_type":"CREATE_COMPLAINT"}' > complaint.plain
notification complaint COMPLAINT.CREATE fdasflkja484 complaint

# Nothing is bound to the text: associated_data is empty, or not there.
printf '{"complaint_id":"200201820200101080076610000","action_type":"USER_APPLY_PLATFORM_SERIVCE"}' > empty_data.plain
notification empty_data COMPLAINT.STATE_CHANGE fdasflkja485 ''
printf '{"complaint_id":"200201820200101080076610000","action_type":"USER_APPLY_PLATFORM_SERVICE"}' > no_data.plain
notification no_data COMPLAINT.STATE_CHANGE fdasflkja486 -

cat > refund.plain <<'END'
{"mchid":"1900000001","transaction_id":"1008450740201411110005820873","out_trade_no":"20150806125346","refund_id":"50200207182018070300011301001",
"out_refund_no":"7752501201407033233368018","refund_status":"SUCCESS","success_time":"2023-11-15T06:13:18+08:00",
"user_received_account":"招商银行信用卡0403","amount":{"total":999,"refund":998,"payer_total":997,"payer_refund":996}}
END
notification refund REFUND.SUCCESS fdasflkja487 refund
