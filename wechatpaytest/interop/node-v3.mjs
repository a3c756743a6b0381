// Tests wechatpay-node-v3 against wechatpay-mock. Run it with run.sh.
//
// The package has refunds and certificates, but no complaints: for these it
// signs and sends, as its documentation describes for other APIs. Its host is
// fixed, so an HTTP service replaces it.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  apiv3Key, baseURL, beijingDay, check, file, historyOf, mchid, mock, png, receiveNotification, report, setting, stateOf,
} from './harness.mjs';

const require = createRequire(import.meta.url);
const WxPay = require('wechatpay-node-v3');
const { PayRequest } = require('wechatpay-node-v3/dist/lib/pay-request');

const host = 'https://api.mch.weixin.qq.com';
const complaints = '/v3/merchant-service/complaints-v2';

const client = (privateKey) => {
  const pay = new WxPay({
    appid: 'wx0000000000000000', mchid, publicKey: readFileSync(setting('CERTIFICATE_FILE')), privateKey, key: apiv3Key,
  });
  const service = new PayRequest();
  const onMock = (url) => url.replace(host, baseURL);
  pay.createHttp({
    get: (url, headers) => service.get(onMock(url), headers),
    post: (url, params, headers) => service.post(onMock(url), params, headers),
    upload: (url, params, headers) => service.upload(onMock(url), params, headers),
  });
  return pay;
};
const pay = client(readFileSync(setting('PRIVATE_KEY_FILE')));

const get = (path, by = pay) => by.httpService.get(host + path, by.getHeaders(by.buildAuthorization('GET', path)));
const post = (path, params) => pay.httpService.post(
  host + path, params, pay.getHeaders(pay.buildAuthorization('POST', path, params), { 'Content-Type': 'application/json' }),
);

const phone = '13800138000';
const complaint = await file({ payer_phone: phone });
const { complaint_id, complainted_mchid, complaint_order_info: [{ transaction_id, out_trade_no, amount: total }] } = complaint;
const path = `${complaints}/${complaint_id}`;

await check('serial number of the certificate', async () => {
  assert.equal(pay.getSN().toUpperCase(), setting('SERIAL_NO'));
});

await check('list', async () => {
  const { status, data } = await get(`${complaints}?limit=5&offset=0&begin_date=${beijingDay(-7)}&end_date=${beijingDay()}`);
  assert.equal(status, 200);
  assert.deepEqual(data.data.map((one) => one.complaint_id), [complaint_id]);
});

await check('detail, with the phone number decrypted', async () => {
  const { data } = await get(path);
  assert.equal(data.complaint_state, 'PENDING');
  assert.equal(pay.privateDecrypt(data.payer_phone), phone);
});

await check('negotiation history', async () => {
  const { data } = await get(`${path}/negotiation-historys?limit=50&offset=0`);
  assert.deepEqual(data.data.map((record) => record.operate_type), ['USER_CREATE_COMPLAINT']);
});

let media_id;
await check('image upload', async () => {
  const upload = '/v3/merchant-service/images/upload';
  const meta = { filename: 'evidence.png', sha256: createHash('sha256').update(png).digest('hex') };
  const body = new FormData();
  body.append('meta', JSON.stringify(meta));
  body.append('file', new Blob([png], { type: 'image/png' }), meta.filename);
  const headers = pay.getHeaders(pay.buildAuthorization('POST', upload, meta));
  const response = await fetch(baseURL + upload, { method: 'POST', headers, body });
  assert.equal(response.status, 200);
  ({ media_id } = await response.json());
  assert.ok(media_id);
});

await check('reply, with an image', async () => {
  const { status } = await post(`${path}/response`, {
    complainted_mchid, response_content: '您好，我们正在核实 <订单> & "退款" 情况', response_images: [media_id],
  });
  assert.equal(status, 204);
  assert.equal(await stateOf(complaint), 'PROCESSING');
});

await check('refund decision: APPROVE', async () => {
  const { status } = await post(`${path}/update-refund-progress`, { action: 'APPROVE', launch_refund_day: 0, remark: '同意退款' });
  assert.equal(status, 204);
  assert.equal((await historyOf(complaint)).at(-1), 'MERCHANT_APPROVE_REFUND');
});

await check('refund decision: a second one is refused', async () => {
  const { status, error } = await post(`${path}/update-refund-progress`, { action: 'APPROVE', launch_refund_day: 0 });
  assert.equal(status, 400);
  assert.equal(JSON.parse(error).code, 'INVALID_REQUEST');
});

const out_refund_no = `refund-${randomUUID()}`;
await check('refund, with both numbers of the order', async () => {
  const { status, data } = await pay.refunds({
    transaction_id, out_trade_no, out_refund_no, reason: '商品已售完', amount: { refund: total, total, currency: 'CNY' },
  });
  assert.equal(status, 200);
  assert.equal(data.status, 'PROCESSING');
});

await check('refund query', async () => {
  await mock('POST', `refunds/${out_refund_no}/arrive`);
  const { data } = await pay.find_refunds(out_refund_no);
  assert.equal(data.status, 'SUCCESS');
  assert.equal(await stateOf(complaint), 'PROCESSED');
});

await check('complete', async () => {
  const other = await file({ problem_type: 'SERVICE_NOT_WORK' });
  const { status } = await post(`${complaints}/${other.complaint_id}/complete`, { complainted_mchid });
  assert.equal(status, 204);
  assert.equal(await stateOf(other), 'PROCESSED');
});

let serial;
await check('certificates, decrypted with the APIv3 key', async () => {
  const certificates = await pay.get_certificates(apiv3Key);
  assert.equal(certificates.length, 1);
  assert.match(certificates[0].publicKey, /BEGIN PUBLIC KEY/);
  serial = certificates[0].serial_no;
});

await check('notification, verified with the platform certificate', async () => {
  const { headers, text } = await receiveNotification({
    serial, event_type: 'COMPLAINT.STATE_CHANGE', complaint_id, action_type: 'REFUND_SUCCESS',
  });
  const genuine = (body) => pay.verifySign({
    timestamp: headers['wechatpay-timestamp'],
    nonce: headers['wechatpay-nonce'],
    serial: headers['wechatpay-serial'],
    signature: headers['wechatpay-signature'],
    body,
    apiSecret: apiv3Key,
  });
  assert.equal(await genuine(text), true);
  assert.equal(await genuine(`${text} `), false);
  const { resource: { ciphertext, associated_data, nonce } } = JSON.parse(text);
  assert.deepEqual(pay.decipher_gcm(ciphertext, associated_data, nonce, apiv3Key), { complaint_id, action_type: 'REFUND_SUCCESS' });
});

await check('an unknown member is refused with its pointer', async () => {
  const { status, error } = await pay.refunds({
    mchid, transaction_id, out_refund_no, amount: { refund: total, total, currency: 'CNY', fee: 1 },
  });
  assert.equal(status, 400);
  assert.deepEqual(JSON.parse(error).detail, { location: null, value: ['/body/mchid', '/body/amount/fee'] });
});

// The package leaves the line of the body out if there is none, except for GET.
await check('a wrong string to sign is named', async () => {
  const url = '/v3/merchant-service/complaint-notifications';
  const headers = pay.getHeaders(pay.buildAuthorization('DELETE', url));
  const response = await fetch(baseURL + url, { method: 'DELETE', headers });
  assert.equal(response.status, 401);
  assert.match((await response.json()).message, /string to sign was built without the trailing newline/);
});

await check('another private key is 401 SIGN_ERROR', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const { status, error } = await get(path, client(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  assert.equal(status, 401);
  assert.equal(JSON.parse(error).code, 'SIGN_ERROR');
});

report();
