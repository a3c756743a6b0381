#!/bin/sh
# Generates the files of this folder with OpenSSL 3. The keys are for tests only.
# Each run generates new keys, and therefore new signatures.
set -eu
cd "$(dirname "$0")"

# The merchant's private key in both encodings, public key, and API certificate.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out merchant_key.pem
openssl rsa -in merchant_key.pem -traditional -out merchant_key_pkcs1.pem
openssl rsa -in merchant_key.pem -pubout -out merchant_pub.pem
openssl req -x509 -new -key merchant_key.pem -days 36500 -set_serial 0x3775B6A45ACD588826D15E583A95F5DD01234567 \
	-subj "/CN=1900000001/O=Test merchant" -out merchant_cert.pem

# WeChat Pay's private key, and its public key in both encodings.
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out platform_key.pem
openssl rsa -in platform_key.pem -pubout -out platform_pub.pem
openssl rsa -in platform_key.pem -RSAPublicKey_out -out platform_pub_pkcs1.pem

# Keys that must be rejected.
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out ec_key.pem
openssl ec -in ec_key.pem -pubout -out ec_pub.pem
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 -out short_key.pem
openssl genpkey -algorithm ED25519 -out ed25519_key.pem
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:SM2 -out sm2_key.pem
openssl req -x509 -new -key sm2_key.pem -sm3 -days 36500 -subj "/CN=1900000001" -out sm2_cert.pem

# The merchant's key in forms that must be converted first.
openssl pkcs8 -topk8 -in merchant_key.pem -passout pass:secret -out encrypted_key.pem
openssl rsa -in merchant_key.pem -traditional -aes256 -passout pass:secret -out encrypted_key_pkcs1.pem
openssl pkcs12 -export -inkey merchant_key.pem -in merchant_cert.pem -passout pass:secret -out merchant_cert.p12
openssl req -new -key merchant_key.pem -subj "/CN=1900000001/O=Test merchant" -out merchant_csr.pem
(umask 077 && cp merchant_key.pem merchant_key.openssh && ssh-keygen -q -p -N "" -f merchant_key.openssh)

# Strings to sign of requests: five lines, each ending in \n.
printf 'POST\n/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress\n1700000000\n593BEC0C930BF1AFEB40B4A08C8FB242\n{"action":"APPROVE","launch_refund_day":0}\n' > request_approve.txt
printf 'POST\n/v3/merchant-service/complaints-v2/200201820200101080076610000/update-refund-progress\n1700000000\n593BEC0C930BF1AFEB40B4A08C8FB242\n{"action":"REJECT","reject_reason":"商品已使用，不符合退款条件"}\n' > request_reject.txt
printf 'GET\n/v3/merchant-service/complaints-v2?limit=10&offset=0&begin_date=2026-01-01&end_date=2026-01-30\n1700000000\n593BEC0C930BF1AFEB40B4A08C8FB242\n\n' > request_list.txt
for name in request_approve request_reject request_list; do
	openssl dgst -sha256 -sign merchant_key.pem $name.txt | openssl base64 -A > $name.sig
done

# Strings to sign of responses: timestamp, nonce and body, each ending in \n.
printf '1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n\n' > response_204.txt
printf '1700000000\nEqYtEtmd8XJ1Q2ZFVkAAM3pNSDWg5KYF\n{"media_id":"文件"}\n' > response_200.txt
for name in response_204 response_200; do
	openssl dgst -sha256 -sign platform_key.pem $name.txt | openssl base64 -A > $name.sig
done

# An encrypted payer_phone.
printf 13800000000 | openssl pkeyutl -encrypt -pubin -inkey merchant_pub.pem -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:sha1 -pkeyopt rsa_mgf1_md:sha1 |
	openssl base64 -A > phone.enc
