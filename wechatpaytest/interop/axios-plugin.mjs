// Tests wechatpay-axios-plugin against wechatpay-mock. Run it with run.sh.
//
// The calls are the snippets of the plugin's documentation. The plugin verifies
// the responses. The control API of the mock shows what took effect.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto';
import { createReadStream, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import {
  apiv3Key, baseURL, beijingDay, check, file, historyOf, mchid, mock, png, receiveNotification, refused, report,
  setting, stateOf, workDirectory,
} from './harness.mjs';

const require = createRequire(import.meta.url);
const { Wechatpay, Rsa, Formatter, Aes: { AesGcm }, Multipart } = require('wechatpay-axios-plugin');

const serial = setting('SERIAL_NO');
const privateKey = `file://${setting('PRIVATE_KEY_FILE')}`;
const platformPublicKeyId = setting('PUBLIC_KEY_ID');
const platformPublicKey = `file://${setting('PUBLIC_KEY_FILE')}`;
const work = workDirectory();

const client = (certs, config = {}) => new Wechatpay({ mchid, serial, privateKey, certs, baseURL, ...config });
let wxpay = client({ [platformPublicKeyId]: platformPublicKey });

const localFilePath = join(work, 'evidence.png');
writeFileSync(localFilePath, png);
const sha256 = createHash('sha256').update(png).digest('hex');

// Public key mode

const phone = '13800138000';
const complaint = await file({ payer_phone: phone });
const { complaint_id, complainted_mchid } = complaint;
const [{ transaction_id, amount: total }] = complaint.complaint_order_info;

await check('list', async () => {
  const { status, data } = await wxpay.v3.merchantService.complaintsV2.get({
    params: { limit: 5, offset: 0, begin_date: beijingDay(-7), end_date: beijingDay() },
  });
  assert.equal(status, 200);
  assert.equal(data.total_count, 1);
  assert.equal(data.data[0].complaint_id, complaint_id);
  assert.equal(data.data[0].payer_openid, undefined);
});

await check('detail, with the phone number decrypted', async () => {
  const { data } = await wxpay.v3.merchantService.complaintsV2._complaint_id_.get({ complaint_id });
  assert.equal(data.complaint_state, 'PENDING');
  assert.equal(data.payer_openid, complaint.payer_openid);
  assert.equal(Rsa.decrypt(data.payer_phone, Rsa.from(privateKey, Rsa.KEY_TYPE_PRIVATE)), phone);
});

await check('negotiation history', async () => {
  const { data } = await wxpay.v3.merchantService.complaintsV2._complaint_id_.negotiationHistorys
    .get({ complaint_id, params: { limit: 50, offset: 0 } });
  assert.deepEqual(data.data.map((record) => record.operate_type), ['USER_CREATE_COMPLAINT']);
});

let media_id;
await check('image upload, as a stream', async () => {
  const stream = createReadStream(localFilePath);
  const meta = { filename: basename(localFilePath), sha256 };
  const media = { meta: JSON.stringify(meta), file: stream };
  const { data } = await wxpay.v3.merchantService.images.upload.post(media, {
    meta,
    headers: { 'Content-Type': 'multipart/form-data' },
  });
  media_id = data.media_id;
  assert.ok(media_id);
});

await check('image upload, as the Multipart of the plugin', async () => {
  const meta = { filename: basename(localFilePath), sha256 };
  const form = new Multipart().append('meta', JSON.stringify(meta)).append('file', png, meta.filename);
  const { data } = await wxpay.v3.merchantService.images.upload.post(form.getBuffer(), { meta: form.toJSON(), headers: form.getHeaders() });
  assert.ok(data.media_id);
  assert.notEqual(data.media_id, media_id);
});

await check('reply, with an image', async () => {
  const { status } = await wxpay.v3.merchantService.complaintsV2._complaint_id_.response.post({
    complaint_id,
    complainted_mchid,
    response_content: '您好，我们正在核实 <订单> & "退款" 情况',
    response_images: [media_id],
  }, { complaint_id });
  assert.equal(status, 204);
  assert.equal(await stateOf(complaint), 'PROCESSING');
});

await check('refund decision: the documented snippet, APPROVE', async () => {
  const [action, launch_refund_day, remark] = ['APPROVE', 0, '同意退款'];
  let reject_reason;
  let reject_media_list;
  const ok = await wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress.post({
    complaint_id,
    action,
    launch_refund_day,
    reject_reason,
    reject_media_list,
    remark,
  }, { complaint_id })
    .then(({ status }) => status === 204);
  assert.ok(ok);
  assert.equal((await historyOf(complaint)).at(-1), 'MERCHANT_APPROVE_REFUND');
});

await check('refund decision: a second one is refused', async () => {
  const error = await refused(wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress
    .post({ action: 'APPROVE', launch_refund_day: 0 }, { complaint_id }));
  assert.equal(error.response.status, 400);
  assert.equal(error.response.data.code, 'INVALID_REQUEST');
});

await check('refund decision: REJECT with reason and image', async () => {
  const other = await file();
  const { status } = await wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress.post({
    action: 'REJECT',
    reject_reason: '商品已使用',
    reject_media_list: [media_id],
  }, { complaint_id: other.complaint_id });
  assert.equal(status, 204);
  assert.deepEqual(await historyOf(other), ['USER_CREATE_COMPLAINT', 'MERCHANT_REFUSE_RERUND']);
  assert.equal(await stateOf(other), 'PROCESSED');
});

const out_refund_no = `refund-${randomUUID()}`;
await check('refund', async () => {
  const { status, data } = await wxpay.v3.refund.domestic.refunds.post({
    transaction_id,
    out_refund_no,
    reason: '商品已售完',
    notify_url: 'https://example.com/refund',
    amount: { refund: total, total, currency: 'CNY' },
  });
  assert.equal(status, 200);
  assert.equal(data.status, 'PROCESSING');
});

await check('refund: a repeated number refunds once', async () => {
  const { data } = await wxpay.v3.refund.domestic.refunds.post({
    transaction_id,
    out_refund_no,
    reason: '商品已售完',
    notify_url: 'https://example.com/refund',
    amount: { refund: total, total, currency: 'CNY' },
  });
  assert.equal(data.out_refund_no, out_refund_no);
  assert.equal((await mock('GET', 'refunds')).data.length, 1);
});

await check('refund query, and the complaint is PROCESSED when the refund arrives', async () => {
  await mock('POST', `refunds/${out_refund_no}/arrive`);
  const { data } = await wxpay.v3.refund.domestic.refunds._out_refund_no_.get({ out_refund_no });
  assert.equal(data.status, 'SUCCESS');
  assert.ok(data.success_time);
  assert.equal(await stateOf(complaint), 'PROCESSED');
});

await check('complete', async () => {
  const other = await file({ problem_type: 'SERVICE_NOT_WORK' });
  const ok = await wxpay.v3.merchantService.complaintsV2._complaint_id_.complete.post({
    complainted_mchid: other.complainted_mchid,
  }, { complaint_id: other.complaint_id })
    .then(({ status }) => status === 204);
  assert.ok(ok);
  assert.equal(await stateOf(other), 'PROCESSED');
});

await check('immediate-service reply, processed once', async () => {
  const urgent = await file({ need_immediate_service: true });
  const reply = {
    complainted_mchid: urgent.complainted_mchid,
    message: {
      blocks: [
        { type: 'TEXT', text: { text: '您好', color: 'DEFAULT', is_bold: true } },
        { type: 'IMAGE', image: { media_id, image_style_type: 'IMAGE_STYLE_TYPE_NARROW' } },
        {
          type: 'BUTTON_GROUP',
          button_group: {
            buttons: [{
              text: '申请退款',
              action: { action_type: 'ACTION_TYPE_SEND_MESSAGE', message_info: { content: '我要退款', custom_data: 'refund' } },
              invalid_info: { expired_time: '2030-01-01T00:00:00+08:00', multi_clickable: false },
            }],
            button_layout: 'LAYOUT_VERTICAL',
          },
        },
      ],
      sender_identity: 'MACHINE',
      custom_data: 'ticket 42',
    },
    idempotent_id: randomUUID(),
  };
  const send = () => wxpay.v3.merchantService.complaintsV2._complaint_id_.responseImmediateService
    .post(reply, { complaint_id: urgent.complaint_id });
  const { status, data } = await send();
  assert.equal(status, 200);
  const { data: again } = await send();
  assert.equal(again.log_id, data.log_id);
  assert.deepEqual(await historyOf(urgent), ['USER_CREATE_COMPLAINT', 'MERCHANT_RESPONSE']);
});

await check('notification URL: none, created, read, changed, deleted', async () => {
  const urls = wxpay.v3.merchantService.complaintNotifications;
  const none = await refused(urls.get());
  assert.deepEqual([none.response.status, none.response.data.code], [400, 'RESOURCE_NOT_EXISTS']);
  let url = 'https://example.com/complaints';
  assert.deepEqual((await urls.post({ url })).data, { mchid, url });
  assert.deepEqual((await urls.get()).data, { mchid, url });
  url = 'https://example.com/other';
  assert.deepEqual((await urls.put({ url })).data, { mchid, url });
  assert.deepEqual((await urls.get()).data, { mchid, url });
  assert.equal((await urls.delete()).status, 204);
  assert.equal((await refused(urls.get())).response.status, 400);
});

// The documented snippet, with the response as a stream.
const download = async (id) => {
  const { data, headers } = await wxpay.v3.merchantService.images._media_id_.get({ media_id: id, responseType: 'stream', transformResponse: [] });
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  assert.equal(headers['content-type'], 'image/png');
  return Buffer.concat(chunks);
};
const { media_url } = await mock('POST', 'images', png);
const escaped = media_url.slice(media_url.lastIndexOf('/') + 1);
await check('image download, with the id of media_url', async () => assert.deepEqual(await download(escaped), png));
await check('image download, with an unescaped id', async () => assert.deepEqual(await download(decodeURIComponent(escaped)), png));
await check('image download: the id of an upload is refused', async () => {
  assert.equal((await refused(download(media_id))).response.status, 400);
});

await check('certificates, decrypted with the APIv3 key', async () => {
  const { data: { data } } = await wxpay.v3.certificates.get();
  const [{ serial_no, encrypt_certificate: { ciphertext, nonce, associated_data } }] = data;
  const certificate = new X509Certificate(AesGcm.decrypt(ciphertext, apiv3Key, nonce, associated_data));
  assert.equal(certificate.serialNumber, serial_no);
});

await check('self-test, plain and encrypted', async () => {
  const encrypted_echo_message = Rsa.encrypt('密文', Rsa.from(platformPublicKey, Rsa.KEY_TYPE_PUBLIC));
  const { data } = await wxpay.v3.security.echo.post({ echo_message: '你好', encrypted_echo_message }, {
    headers: { 'Wechatpay-Serial': platformPublicKeyId },
  });
  assert.equal(data.echo_message, '你好');
  assert.equal(Rsa.decrypt(data.encrypted_echo_message, Rsa.from(privateKey, Rsa.KEY_TYPE_PRIVATE)), '密文');
});

await check('an invalid parameter has the documented error detail', async () => {
  const { complaint_id: id } = await file();
  const { response: { status, data } } = await refused(wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress
    .post({ action: 'REJECT', launch_refund_day: 3 }, { complaint_id: id }));
  assert.equal(status, 400);
  assert.equal(data.code, 'PARAM_ERROR');
  assert.equal(data.detail.field, '/launch_refund_day');
  assert.equal(data.detail.location, 'body');
});

await check('another private key is 401 SIGN_ERROR', async () => {
  const { privateKey: another } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stranger = client({ [platformPublicKeyId]: platformPublicKey }, { privateKey: another });
  const { response: { status, data } } = await refused(stranger.v3.merchantService.complaintsV2._complaint_id_.get({ complaint_id }));
  assert.equal(status, 401);
  assert.equal(data.code, 'SIGN_ERROR');
  assert.equal(data.detail.sign_information.method, 'GET');
});

for (const [kind, code] of [
  ['forged', 'EV3_RES_HEADER_SIGNATURE_DIGEST'],
  ['probe', 'EV3_RES_HEADER_SIGNATURE_DIGEST'],
  ['unsigned', 'EV3_RES_HEADERS_INCOMPLATE'],
  ['old', 'EV3_RES_HEADER_TIMESTAMP_OFFSET'],
]) {
  await check(`the plugin rejects a response that is ${kind}`, async () => {
    const other = await file();
    await mock('POST', 'faults', { path: 'update-refund-progress', kind, times: 1 });
    const error = await refused(wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress
      .post({ action: 'APPROVE', launch_refund_day: 1 }, { complaint_id: other.complaint_id }));
    assert.equal(error.code, code);
    assert.equal((await historyOf(other)).at(-1), 'MERCHANT_APPROVE_REFUND');
  });
}

// genuine verifies a signature with the plugin's functions for notifications.
const genuine = (certs, headers, text) => {
  const { 'wechatpay-serial': id, 'wechatpay-timestamp': timestamp, 'wechatpay-nonce': nonce, 'wechatpay-signature': signature } = headers;
  assert.ok(certs[id], `signed by ${id}`);
  return Rsa.verify(Formatter.response(timestamp, nonce, text), signature, Rsa.from(certs[id], Rsa.KEY_TYPE_PUBLIC));
};

const receive = async (certs, body) => {
  const { headers, text } = await receiveNotification(body);
  assert.ok(genuine(certs, headers, text));
  const { resource: { ciphertext, nonce, associated_data }, ...envelope } = JSON.parse(text);
  return { ...envelope, resource: JSON.parse(AesGcm.decrypt(ciphertext, apiv3Key, nonce, associated_data)) };
};

await check('notification of a complaint', async () => {
  const { event_type, resource_type, resource } = await receive({ [platformPublicKeyId]: platformPublicKey }, {
    event_type: 'COMPLAINT.CREATE', complaint_id, action_type: 'CREATE_COMPLAINT',
  });
  assert.equal(event_type, 'COMPLAINT.CREATE');
  assert.equal(resource_type, 'encrypt-resource');
  assert.deepEqual(resource, { complaint_id, action_type: 'CREATE_COMPLAINT' });
});

await check('notification of a refund', async () => {
  const { resource } = await receive({ [platformPublicKeyId]: platformPublicKey }, { event_type: 'REFUND.SUCCESS', out_refund_no });
  assert.equal(resource.out_refund_no, out_refund_no);
  assert.equal(resource.refund_status, 'SUCCESS');
});

// Platform certificates

await mock('PATCH', 'behavior', { key_mode: 'certificate' });
const certificates = {};

await check('certificate mode: downloaded certificates verify their own response', async () => {
  await wxpay.v3.certificates.get({
    transformResponse: [(text, headers) => {
      JSON.parse(text).data.forEach(({ serial_no, encrypt_certificate: { ciphertext, nonce, associated_data } }) => {
        certificates[serial_no] = AesGcm.decrypt(ciphertext, apiv3Key, nonce, associated_data);
      });
      assert.ok(genuine(certificates, headers, text));
    }],
  });
  assert.equal(Object.keys(certificates).length, 1);
});

await check('certificate mode: a client with only the public key rejects the responses', async () => {
  const error = await refused(wxpay.v3.merchantService.complaintsV2._complaint_id_.get({ complaint_id }));
  assert.equal(error.code, 'EV3_RES_HEADER_PLATFORM_SERIAL');
});

wxpay = Object.keys(certificates).length ? client(certificates) : wxpay;

await check('certificate mode: list', async () => {
  const { data } = await wxpay.v3.merchantService.complaintsV2.get({
    params: { limit: 50, offset: 0, begin_date: beijingDay(-7), end_date: beijingDay(), complainted_mchid },
  });
  assert.ok(data.data.some((one) => one.complaint_id === complaint_id));
});

await check('certificate mode: refund decision', async () => {
  const other = await file();
  const { status } = await wxpay.v3.merchantService.complaintsV2._complaint_id_.updateRefundProgress
    .post({ action: 'APPROVE', launch_refund_day: 2 }, { complaint_id: other.complaint_id });
  assert.equal(status, 204);
  assert.equal((await historyOf(other)).at(-1), 'MERCHANT_APPROVE_REFUND');
});

await check('certificate mode: notification', async () => {
  const { resource } = await receive(certificates, {
    event_type: 'COMPLAINT.STATE_CHANGE', complaint_id, action_type: 'MERCHANT_APPROVE_REFUND',
  });
  assert.equal(resource.complaint_id, complaint_id);
});

await mock('PATCH', 'behavior', { key_mode: 'switching' });

await check('while switching: Wechatpay-Serial of the request selects the key of the response', async () => {
  const both = client({ ...certificates, [platformPublicKeyId]: platformPublicKey });
  for (const wanted of [Object.keys(certificates)[0], platformPublicKeyId]) {
    const { headers } = await both.v3.merchantService.complaintsV2._complaint_id_.get({ complaint_id, headers: { 'Wechatpay-Serial': wanted } });
    assert.equal(headers['wechatpay-serial'], wanted);
  }
});

await mock('PATCH', 'behavior', { key_mode: 'public_key' });

await check('a merchant without platform certificates gets 404 for them', async () => {
  const error = await refused(client({ [platformPublicKeyId]: platformPublicKey }).v3.certificates.get());
  assert.deepEqual([error.response.status, error.response.data.code], [404, 'RESOURCE_NOT_EXISTS']);
});

report();
