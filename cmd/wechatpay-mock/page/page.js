// The page of wechatpay-mock. It loads GET /_mock/page every second. Its buttons send requests to the control API.
// Data is always inserted as text, never as markup.
"use strict";

const words = {
  en: {
    other: "中文", tagline: "A mock WeChat Pay server for tests: requests, errors and outcomes",
    address: "Address", clock: "Server time (Beijing)", connection: "Connection", live: "live", gone: "the server does not respond",
    complaints: "Complaints", id: "Complaint", filedAt: "Filed", state: "State", asksFor: "Asks for",
    noComplaints: "No complaints yet. File one here, or start the server with -seed.",
    fileComplaint: "File a complaint as the user", words: "Description", amount: "Amount (yuan)", phone: "Phone (optional)", pictures: "Pictures",
    trusted: "Trusted user (TRUSTED)", urgent: "Needs immediate service", file: "File the complaint",
    complaint: "Complaint", history: "Negotiation history", userMessage: "Message from the user", sendMessage: "Send as the user",
    fileAgain: "User files it again", platformRefund: "WeChat Pay refunds",
    refunds: "Refunds", refundNo: "Refund number", whatHappens: "Actions", arrive: "succeed", close: "close", abnormal: "make abnormal", final: "final",
    noRefunds: "No refunds yet.",
    notifications: "Notifications", receiver: "Receiver URL", event: "Event", about: "About", action: "Action", sendNow: "Send now, once",
    setURL: "Set as the merchant's notification URL", due: "Due", attempts: "Attempts", deliver: "Deliver due notifications",
    requests: "Requests", refusedOnly: "rejected only", time: "Time", request: "Request", response: "Response", problem: "Problem", details: "Details", hide: "Hide",
    noRequests: "No requests yet. Load the env file into your program's environment, then send a request.",
    PENDING: "pending", PROCESSING: "in progress", PROCESSED: "finished", SUCCESS: "succeeded", CLOSED: "closed", ABNORMAL: "abnormal",
    REFUND: "refund", SERVICE_NOT_WORK: "service not working", OTHERS: "other",
    orders: "Orders", phoneOf: "Phone", encrypted: "provided, encrypted for the merchant", times: "Times filed", merchant: "Merchant", problemText: "Problem",
    waits: "waiting for a reply", unanswered: "unanswered", refunded: "refunded in full", tagTRUSTED: "trusted user", tagHIGH_RISK: "high risk", immediate: "needs immediate service", staff: "WeChat Pay staff assisting",
    pictureOf: (n) => `Picture ${n}`, notShown: "is not on this server",
    of: (shown, total) => shown < total ? `the latest ${shown} of ${total}` : `${total}`,
    filed: (id) => `Filed: ${id}`, sent: "Sent", done: "Done", urlSet: "Set: events are sent to this URL", urlRemoved: "Removed",
    responded: (status, body) => `The receiver responded ${status}${body ? ": " + body : ""}`,
    delivered: (n, bad) => `Delivered: ${n - bad} of ${n}`, nothingDue: "No notification is due yet by the server time",
    pending: (n) => n ? `${n} to be delivered` : "",
    signedMessage: "Signed string", verifiedMessage: "String the server verifies", sentHeaders: "Request headers", sentAuthorization: "Authorization (without the signature)",
    sentBody: "Request body", responseBody: "Response", nothing: "(empty)", unknownMessage: "The server could not determine what was signed.",
    tookEffect: "applied", fault: "fault",
    USER_CREATE_COMPLAINT: "Filed by the user", USER_CONTINUE_COMPLAINT: "Filed again by the user", USER_RESPONSE: "Message from the user",
    PLATFORM_RESPONSE: "Message from WeChat Pay", MERCHANT_RESPONSE: "Message from the merchant", USER_CLICK_RESPONSE: "The user tapped a reply",
    MERCHANT_CONFIRM_COMPLETE: "Completed by the merchant", MERCHANT_APPROVE_REFUND: "The merchant approved the refund",
    MERCHANT_REFUSE_RERUND: "The merchant rejected the refund", COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE: "A full refund was launched",
    COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE: "A partial refund was launched", COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE: "Refunded by WeChat Pay",
    COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE: "A refund reached the user", PLATFORM_HELP_APPLICATION: "WeChat Pay urged the merchant",
    USER_APPLY_PLATFORM_SERVICE: "The user asked WeChat Pay for help", USER_CANCEL_PLATFORM_SERVICE: "The user canceled the request for help", PLATFORM_SERVICE_FINISHED: "WeChat Pay ended its help",
  },
  zh: {
    other: "English", tagline: "用于测试的微信支付模拟服务：请求、错误与结果",
    address: "地址", clock: "服务器时间（北京）", connection: "连接", live: "实时", gone: "服务器没有响应",
    complaints: "投诉单", id: "投诉单号", filedAt: "投诉时间", state: "状态", asksFor: "诉求",
    noComplaints: "暂无投诉单。可在此新建，或使用 -seed 选项启动服务器。",
    fileComplaint: "以用户身份发起投诉", words: "投诉内容", amount: "金额（元）", phone: "手机号（选填）", pictures: "图片",
    trusted: "可信用户（TRUSTED）", urgent: "需要即时服务", file: "提交投诉",
    complaint: "投诉单", history: "协商历史", userMessage: "用户留言", sendMessage: "以用户身份发送",
    fileAgain: "用户再次投诉", platformRefund: "平台代为退款",
    refunds: "退款", refundNo: "商户退款单号", whatHappens: "操作", arrive: "退款到账", close: "退款关闭", abnormal: "退款异常", final: "已终结",
    noRefunds: "暂无退款。",
    notifications: "回调通知", receiver: "接收通知的 URL", event: "事件类型", about: "对象", action: "动作类型", sendNow: "立即发送一次",
    setURL: "设为商户的投诉通知地址", due: "应发送时间", attempts: "次数", deliver: "发送到期的通知",
    requests: "请求日志", refusedOnly: "仅显示被拒绝的请求", time: "时间", request: "请求", response: "应答", problem: "问题", details: "详情", hide: "收起",
    noRequests: "暂无请求。请将 env 文件加载到程序的环境变量中，然后发起调用。",
    PENDING: "待处理", PROCESSING: "处理中", PROCESSED: "已处理完成", SUCCESS: "已到账", CLOSED: "已关闭", ABNORMAL: "退款异常",
    REFUND: "申请退款", SERVICE_NOT_WORK: "服务权益未生效", OTHERS: "其他类型",
    orders: "订单", phoneOf: "手机号", encrypted: "已提供（已用商户证书加密）", times: "投诉次数", merchant: "被诉商户号", problemText: "问题描述",
    waits: "有待回复的留言", unanswered: "待回复", refunded: "已全额退款", tagTRUSTED: "可信用户", tagHIGH_RISK: "高风险，优先处理", immediate: "需要即时服务", staff: "平台客服协助中",
    pictureOf: (n) => `图片 ${n}`, notShown: "不在本服务器上，未显示",
    of: (shown, total) => shown < total ? `最近 ${shown} / 共 ${total}` : `共 ${total}`,
    filed: (id) => `已提交：${id}`, sent: "已发送", done: "已完成", urlSet: "已设置：投诉单的变化会通知到该地址", urlRemoved: "已删除",
    responded: (status, body) => `接收方应答 ${status}${body ? "：" + body : ""}`,
    delivered: (n, bad) => `已送达 ${n - bad} / ${n} 条`, nothingDue: "按服务器时间，暂无到期的通知",
    pending: (n) => n ? `${n} 条待发送` : "",
    signedMessage: "实际签名的内容（签名串）", verifiedMessage: "服务器验签的内容（验签串）", sentHeaders: "请求头", sentAuthorization: "Authorization（不含签名值）",
    sentBody: "请求体", responseBody: "应答体", nothing: "（空）", unknownMessage: "服务器无法确定实际签名的内容。",
    tookEffect: "已生效", fault: "故障",
    USER_CREATE_COMPLAINT: "用户提交投诉", USER_CONTINUE_COMPLAINT: "用户再次投诉", USER_RESPONSE: "用户留言",
    PLATFORM_RESPONSE: "平台留言", MERCHANT_RESPONSE: "商户留言", USER_CLICK_RESPONSE: "用户点击回复",
    MERCHANT_CONFIRM_COMPLETE: "商户反馈处理完成", MERCHANT_APPROVE_REFUND: "商户同意退款",
    MERCHANT_REFUSE_RERUND: "商户拒绝退款", COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE: "已发起全额退款",
    COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE: "已发起部分退款", COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE: "平台代为退款",
    COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE: "退款已到账", PLATFORM_HELP_APPLICATION: "平台催办",
    USER_APPLY_PLATFORM_SERVICE: "用户申请平台协助", USER_CANCEL_PLATFORM_SERVICE: "用户取消平台协助", PLATFORM_SERVICE_FINISHED: "平台协助结束",
  },
};

const $ = (id) => document.getElementById(id);
const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const store = (name, value) => { try { localStorage.setItem(name, value); } catch { /* a private window */ } };

const has = (lang) => Object.hasOwn(words, lang ?? "");
let language = [new URLSearchParams(location.search).get("lang"), stored("lang")].find(has) ?? (/^zh\b/i.test(navigator.language) ? "zh" : "en");
let state = null;     // the latest data
let selected = "";    // id of the complaint shown in detail
const opened = new Set(); // ids of the requests shown in detail

// t returns the translation of a key. A key without one, such as a new enumeration value, is returned unchanged.
const t = (name) => Object.hasOwn(words[language], name) ? words[language][name] : name;

// el creates an element. Strings become text nodes.
function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "onclick") e.addEventListener("click", value);
    else if (value === true) e.setAttribute(name, "");
    else if (value !== false && value != null) e.setAttribute(name, value);
  }
  e.append(...children.flat().filter((c) => c != null && c !== false && c !== ""));
  return e;
}

const badge = (kind, text) => el("span", { class: "badge " + kind }, text);
const yuan = (fen) => "¥" + (fen / 100).toFixed(2);
const beijing = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Shanghai", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clock = (time, seconds) => {
  if (!time) return "";
  const p = Object.fromEntries(beijing.formatToParts(new Date(time)).map(({ type, value }) => [type, value]));
  return `${p.month}-${p.day} ${p.hour}:${p.minute}` + (seconds ? ":" + p.second : "");
};
const kinds = { PENDING: "wait", PROCESSING: "info", PROCESSED: "good", SUCCESS: "good", CLOSED: "bad", ABNORMAL: "bad" };
const stateBadge = (value) => badge(kinds[value] ?? "", t(value));

// fill replaces the children of an element if the data has changed. The focus stays where it is.
const shown = new Map();
function fill(parent, data, make) {
  // Storage links differ in each response, but not what they link to.
  const key = JSON.stringify([language, data]).replace(/\/storage\/[0-9]+\//g, "");
  if (shown.get(parent) === key) return;
  shown.set(parent, key);
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...make().filter((child) => child));
  if (focused) parent.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// ask sends a request to the control API. It throws the error that the API returns.
async function ask(method, path, body) {
  const raw = body instanceof Blob;
  const response = await fetch("/_mock/" + path, { method, body: body === undefined || raw ? body : JSON.stringify(body) });
  const text = await response.text();
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* not from the control API */ }
  if (!response.ok) throw new Error(json?.error ?? `${response.status} ${text}`);
  return json;
}

// act performs the action of a button, shows its result and refreshes the page.
async function act(output, button, what) {
  output.className = "";
  output.textContent = "…";
  if (button) button.disabled = true;
  try {
    output.textContent = await what();
    output.className = "good";
    return true;
  } catch (error) {
    output.textContent = error.message;
    output.className = "bad";
    return false;
  } finally {
    if (button) button.disabled = false;
    await refresh();
  }
}

async function upload(input) {
  const urls = [];
  for (const picture of input.files) urls.push((await ask("POST", "images", picture)).media_url);
  return urls;
}

// pictures shows images of this server. For other images it shows the address.
function pictures(urls) {
  if (!urls.length) return null;
  return el("div", { class: "pictures" }, urls.map((address, i) => {
    let path = address;
    try { path = new URL(address).pathname; } catch { /* no URL */ }
    const user = /^\/v3\/merchant-service\/images\/(.+)$/.exec(path);
    const src = user ? "/_mock/images/" + encodeURIComponent(user[1]) : /^\/storage\/[0-9]+\//.test(path) ? path : null;
    if (!src) return el("code", {}, address, " ", t("notShown"));
    return el("img", { src, alt: t("pictureOf")(i + 1), title: address });
  }));
}

function renderComplaints() {
  const { data, total } = state.complaints;
  $("complaints-count").textContent = total ? t("of")(data.length, total) : "";
  $("complaints-empty").hidden = total > 0;
  $("complaints").hidden = total === 0;
  if (!data.some((c) => c.complaint_id === selected)) selected = data[0]?.complaint_id ?? "";
  fill($("complaints").tBodies[0], [selected, data], () => data.map((c) => el("tr", { class: c.complaint_id === selected ? "selected" : null },
    el("td", {}, el("button", {
      type: "button", class: "link", "data-key": c.complaint_id, "aria-current": c.complaint_id === selected ? "true" : null,
      onclick: () => { selected = c.complaint_id; $("reply-form").querySelector("output").textContent = ""; render(); },
    }, el("code", {}, c.complaint_id))),
    el("td", { class: "time" }, clock(c.complaint_time)),
    el("td", { class: "state" }, stateBadge(c.complaint_state), c.incoming_user_response && badge("wait", t("unanswered")), c.complaint_full_refunded && badge("good", t("refunded"))),
    el("td", {}, t(c.problem_type ?? ""), c.problem_type === "REFUND" && " " + yuan(c.apply_refund_amount)),
  )));
}

function renderDetail() {
  const c = state.complaints.data.find((one) => one.complaint_id === selected);
  $("detail").hidden = !c;
  if (!c) return;
  $("detail-id").textContent = c.complaint_id;
  fill($("detail-body"), c, () => {
    const facts = (name, ...value) => [el("dt", {}, t(name)), el("dd", {}, ...value)];
    return [
      el("p", { class: "quote" }, c.complaint_detail ?? ""),
      el("div", {}, stateBadge(c.complaint_state), el("span", { class: "badge" }, el("code", {}, c.complaint_state ?? "")),
        (c.user_tag_list ?? []).map((tag) => badge("info", t("tag" + tag))),
        c.incoming_user_response && badge("wait", t("waits")),
        c.need_immediate_service && badge("wait", t("immediate")),
        c.in_platform_service && badge("wait", t("staff")),
        c.complaint_full_refunded && badge("good", t("refunded"))),
      pictures((c.complaint_media_list ?? []).flatMap((m) => m.media_url ?? [])),
      el("dl", { class: "facts" },
        facts("asksFor", t(c.problem_type ?? ""), c.problem_type === "REFUND" && " " + yuan(c.apply_refund_amount)),
        c.problem_description ? facts("problemText", c.problem_description) : [],
        facts("orders", (c.complaint_order_info ?? []).map((o) => el("div", {}, el("code", {}, o.transaction_id ?? o.out_trade_no ?? ""), " ", yuan(o.amount)))),
        facts("merchant", el("code", {}, c.complainted_mchid ?? "")),
        facts("times", String(c.user_complaint_times)),
        c.payer_phone ? facts("phoneOf", t("encrypted")) : []),
    ];
  });
  fill($("history"), [c.complaint_id, c.history], () => c.history.map((r) => {
    const type = r.operate_type ?? "";
    const who = type.endsWith("SYSTEM_MESSAGE") || type.startsWith("PLATFORM") ? "platform" : type.startsWith("MERCHANT") ? "merchant" : "user";
    const rich = r.normal_message ?? r.click_message;
    return el("li", { class: who },
      el("div", { class: "head" }, el("strong", {}, t(type)), el("time", { datetime: r.operate_time }, clock(r.operate_time, true)), el("code", {}, type)),
      r.operate_details && el("p", {}, r.operate_details),
      rich && el("pre", {}, JSON.stringify(rich, null, 2)),
      pictures([...(r.image_list ?? []), ...[r.complaint_media_list ?? []].flat().flatMap((m) => m.media_url ?? [])]));
  }));
}

function renderRefunds() {
  const { data, total } = state.refunds;
  $("refunds-count").textContent = total ? t("of")(data.length, total) : "";
  $("refunds-empty").hidden = total > 0;
  $("refunds").hidden = total === 0;
  fill($("refunds").tBodies[0], data, () => data.map((r) => {
    const button = (step) => el("button", {
      type: "button", class: "small", "data-key": r.out_refund_no + " " + step, "data-step": step,
      onclick: (e) => act($("refunds-output"), e.currentTarget, async () => {
        await ask("POST", `refunds/${encodeURIComponent(r.out_refund_no)}/${step}`);
        return `${r.out_refund_no}: ${t("done")}`;
      }),
    }, t(step));
    const open = r.status === "PROCESSING" || r.status === "ABNORMAL";
    return el("tr", {},
      el("td", {}, el("code", {}, r.out_refund_no)),
      el("td", { class: "number" }, yuan(r.amount)),
      el("td", { class: "state" }, stateBadge(r.status)),
      el("td", {}, el("div", { class: "actions" }, open ? [button("arrive"), button("close"), r.status === "PROCESSING" && button("abnormal")] : t("final"))));
  }));
}

function renderNotifications() {
  const { data } = state.notifications;
  $("pending-count").textContent = t("pending")(data.length);
  $("pending").hidden = $("deliver").hidden = data.length === 0;
  fill($("pending").tBodies[0], data, () => data.map((n) => el("tr", {},
    el("td", { class: "time" }, clock(n.due, true)),
    el("td", {}, el("code", {}, n.event_type), n.action_type && el("div", {}, el("code", {}, n.action_type))),
    el("td", {}, el("code", {}, n.complaint_id ?? n.out_refund_no ?? "")),
    el("td", { class: "number" }, String(n.attempts)))));

  const form = $("notify-form").elements;
  const ofRefund = form.event.value.startsWith("REFUND.");
  form.action.disabled = ofRefund;
  const ids = ofRefund ? state.refunds.data.map((r) => r.out_refund_no) : state.complaints.data.map((c) => c.complaint_id);
  const chosen = form.about.value;
  fill(form.about, ids, () => ids.map((id) => el("option", {}, id)));
  if (ids.includes(chosen)) form.about.value = chosen;
}

// message shows a string to sign with its line ends, and marks the lines that differ from the other string.
function message(text, other) {
  const lines = text.split("\n");
  const others = other.split("\n");
  return el("pre", {}, lines.flatMap((line, i) => {
    const last = i === lines.length - 1;
    const content = other && line !== others[i] ? el("mark", {}, line || " ") : line;
    return last ? [content] : [content, el("span", { class: "end" }, other && others.length - 1 <= i ? el("mark", {}, "↵") : "↵"), "\n"];
  }));
}

function requestDetail(r) {
  const part = (name, ...content) => el("div", {}, el("h4", {}, t(name)), ...content);
  const text = (value) => el("pre", {}, value || t("nothing"));
  const names = Object.keys(r.header).sort();
  return [
    r.verified_message && el("div", { class: "pair messages" },
      part("signedMessage", r.signed_message ? message(r.signed_message, r.verified_message) : el("p", {}, t("unknownMessage"))),
      part("verifiedMessage", message(r.verified_message, r.signed_message ?? ""))),
    el("div", { class: "pair" },
      el("div", {},
        part("sentAuthorization", text(Object.entries(r.authorization ?? {}).map(([name, value]) => `${name}="${value}"`).join("\n"))),
        part("sentHeaders", text(names.flatMap((name) => r.header[name].map((value) => `${name}: ${value}`)).join("\n")))),
      el("div", {}, part("sentBody", text(r.body)), part("responseBody", text(r.response), el("code", {}, "Request-ID: " + r.request_id)))),
  ];
}

function renderRequests() {
  const { data, total } = state.requests;
  $("requests-count").textContent = total ? t("of")(data.length, total) : "";
  $("requests-empty").hidden = total > 0;
  $("requests").hidden = total === 0;
  const listed = $("refused-only").checked ? data.filter((r) => r.status >= 400) : data;
  fill($("requests").tBodies[0], [[...opened], listed], () => listed.flatMap((r) => {
    const open = opened.has(r.request_id);
    const row = el("tr", { class: r.status >= 400 ? "refused" : null },
      el("td", { class: "time" }, clock(r.time, true)),
      el("td", {}, el("code", {}, el("strong", {}, r.method), " ", r.path)),
      el("td", { class: "state" }, badge(r.status >= 400 ? "bad" : "good", `${r.status}${r.code ? " " + r.code : ""}`),
        r.took_effect && badge("info", t("tookEffect")), r.fault && badge("wait", `${t("fault")} ${r.fault}`)),
      el("td", {}, el("div", { class: open ? null : "short" }, r.problem ?? "")),
      el("td", {}, el("button", {
        type: "button", class: "small", "data-key": r.request_id, "aria-expanded": String(open),
        onclick: () => { if (!opened.delete(r.request_id)) opened.add(r.request_id); render(); },
      }, t(open ? "hide" : "details"))));
    return open ? [row, el("tr", { class: "more" }, el("td", { colspan: 5 }, requestDetail(r)))] : [row];
  }));
}

function render() {
  if (!state) return;
  $("url").textContent = state.url;
  $("now").textContent = clock(state.now, true);
  renderComplaints();
  renderDetail();
  renderRefunds();
  renderNotifications();
  renderRequests();
}

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  $("language").textContent = t("other");
  $("language").lang = language === "zh" ? "en" : "zh-CN";
  for (const e of document.querySelectorAll("[data-t]")) e.textContent = t(e.dataset.t);
}

// connection shows whether the page is up to date.
function connection(live) {
  const text = t(live ? "live" : "gone");
  if ($("live").textContent !== text) $("live").replaceChildren(badge(live ? "good" : "bad", text));
}

// refresh loads and shows the data. If two calls overlap, the later one wins.
let asked = 0;
async function refresh() {
  const turn = ++asked;
  let next = null;
  try { next = await ask("GET", "page"); } catch { /* shown below */ }
  if (turn !== asked) return;
  if (next) state = next;
  render();
  connection(next !== null);
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, 1000);
}

// submit handles a form that is submitted by its button or the Enter key.
function submit(form, what) {
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const button = form.querySelector("button.primary");
    if (!button.disabled && await act(form.querySelector("output"), button, () => what(form.elements))) {
      for (const input of form.querySelectorAll("textarea, input[type=file]")) input.value = "";
    }
  });
}

submit($("file-form"), async (f) => {
  const [whole, part = ""] = f.amount.value.split(".");
  const complaint = {
    complaint_detail: f.detail.value,
    problem_type: f.type.value,
    apply_refund_amount: Number(whole) * 100 + Number(part.padEnd(2, "0")),
    need_immediate_service: f.urgent.checked,
  };
  if (f.trusted.checked) complaint.user_tag_list = ["TRUSTED"];
  if (f.phone.value) complaint.payer_phone = f.phone.value;
  const urls = await upload(f.pictures);
  if (urls.length) complaint.complaint_media_list = [{ media_type: "USER_COMPLAINT_IMAGE", media_url: urls }];
  selected = (await ask("POST", "complaints", complaint)).complaint_id;
  return t("filed")(selected);
});

submit($("reply-form"), async (f) => {
  const id = selected;
  await ask("POST", `complaints/${encodeURIComponent(id)}/user-reply`, { text: f.text.value, media_urls: await upload(f.pictures) });
  return t("sent");
});

for (const [button, step] of [["continue", "user-continue"], ["platform-refund", "platform-refund"]]) {
  $(button).addEventListener("click", (e) => act($("reply-form").querySelector("output"), e.currentTarget, async () => {
    await ask("POST", `complaints/${encodeURIComponent(selected)}/${step}`);
    return t("done");
  }));
}

const notify = $("notify-form");
notify.elements.url.value = stored("url") ?? "";
notify.elements.event.addEventListener("change", render);
submit(notify, async (f) => {
  store("url", f.url.value);
  const about = f.event.value.startsWith("REFUND.") ? { out_refund_no: f.about.value } : { complaint_id: f.about.value, action_type: f.action.value };
  const { status, body } = await ask("POST", "notify", { url: f.url.value, event_type: f.event.value, ...about });
  return t("responded")(status, body);
});

$("set-url").addEventListener("click", (e) => act(notify.querySelector("output"), e.currentTarget, async () => {
  const url = notify.elements.url.value;
  await ask("PUT", "notification-url", { url });
  store("url", url);
  return t(url ? "urlSet" : "urlRemoved");
}));

$("deliver").addEventListener("click", (e) => act($("deliver-output"), e.currentTarget, async () => {
  const { data } = await ask("POST", "notifications/deliver");
  const bad = data.filter((d) => d.status !== 200 && d.status !== 204);
  if (bad.length) throw new Error(`${t("delivered")(data.length, bad.length)}: ${bad[0].error ?? t("responded")(bad[0].status, bad[0].body)}`);
  return data.length ? t("delivered")(data.length, 0) : t("nothingDue");
}));

$("refused-only").addEventListener("change", render);
$("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  store("lang", language);
  translate();
  render();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });

translate();
poll();
