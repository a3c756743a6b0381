// What the tests of the clients share: the settings, the control API of
// wechatpay-mock, and checks.
import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

export const setting = (name) => {
  const value = process.env[`WECHATPAY_${name}`];
  assert.ok(value, `WECHATPAY_${name} is not set: run run.sh`);
  return value;
};
export const baseURL = setting('BASE_URL');
export const mchid = setting('MCHID');
export const apiv3Key = setting('APIV3_KEY');

// workDirectory creates a directory that run.sh removes.
export const workDirectory = () => mkdtempSync(fileURLToPath(new URL('files-', import.meta.url)));

// mock sends a request to the control API.
export const mock = async (method, path, body) => {
  const data = body instanceof Buffer || !body ? body : JSON.stringify(body);
  const response = await fetch(`${baseURL}/_mock/${path}`, { method, body: data });
  const text = await response.text();
  assert.ok(response.ok, `${method} /_mock/${path}: ${response.status} ${text}`);
  return text && JSON.parse(text);
};
await mock('POST', 'reset');

export const file = (complaint = {}) => mock('POST', 'complaints', complaint);
export const stateOf = async ({ complaint_id: id }) => (await mock('GET', `complaints/${id}`)).complaint_state;
export const historyOf = async ({ complaint_id: id }) => {
  const { data } = await mock('GET', `complaints/${id}/history`);
  return data.map((record) => record.operate_type);
};

let passed = 0;
let failed = 0;
export const check = async (name, run) => {
  try {
    await run();
    passed += 1;
    console.log(`ok    ${name}`);
  } catch (error) {
    failed += 1;
    const { status, data } = error.response ?? {};
    const response = status ? ` ${status} ${inspect(data, { depth: 3, breakLength: Infinity }).slice(0, 500)}` : '';
    console.log(`FAIL  ${name}: ${error.message}${response}`);
  }
};

export const report = () => {
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed ? 1 : 0;
};

// refused returns the error of a call that must fail.
export const refused = async (promise) => {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  return assert.fail('it was not refused');
};

// receiveNotification makes the mock send a notification, and returns its
// headers and its body.
export const receiveNotification = async (body) => {
  let received;
  const receiver = createServer((request, response) => {
    const chunks = [];
    request.on('data', (chunk) => chunks.push(chunk)).on('end', () => {
      received = { headers: request.headers, text: Buffer.concat(chunks).toString() };
      response.writeHead(200, { 'Content-Type': 'application/json' }).end('{"code":"SUCCESS"}');
    });
  });
  await new Promise((resolve) => { receiver.listen(0, '127.0.0.1', resolve); });
  try {
    const url = `http://127.0.0.1:${receiver.address().port}/notify`;
    const response = await mock('POST', 'notify', { url, ...body });
    assert.deepEqual(response, { status: 200, body: '{"code":"SUCCESS"}' });
  } finally {
    receiver.close();
  }
  return received;
};

export const beijingDay = (offset = 0) => new Date(Date.now() + (8 * 3600 + offset * 86400) * 1000).toISOString().slice(0, 10);
export const png = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64',
);
