// The page of wechatpay-mock. It asks GET /_mock/page once a second and shows what came; its buttons are requests to the control plane.
// Whatever comes from outside goes into the page as text, never as markup.
"use strict";

const words = {
  en: {
    other: "中文", tagline: "A WeChat Pay for tests: what came, what was wrong with it, and what became of it",
    address: "Address", clock: "Server's clock (Beijing)", connection: "Connection", live: "live", gone: "the server does not answer",
    complaints: "Complaints", id: "Complaint", filedAt: "Filed", state: "State", asksFor: "Asks for",
    noComplaints: "No complaint yet. File one here, or start the server with -seed.",
    fileComplaint: "File a complaint, as the user does", words: "The user's words", amount: "Amount (yuan)", phone: "Phone (optional)", pictures: "Pictures",
    trusted: "Trusted user (TRUSTED)", urgent: "Needs an immediate answer", file: "File the complaint",
    complaint: "Complaint", history: "Negotiation history", userMessage: "A message of the user", sendMessage: "Send as the user",
    fileAgain: "User files it again", platformRefund: "WeChat Pay refunds",
    refunds: "Refunds", refundNo: "Refund number", whatHappens: "Let it", arrive: "arrive", close: "fail", abnormal: "be refused by the bank", final: "final",
    noRefunds: "No refund was asked for yet.",
    notifications: "Notifications", receiver: "URL of the receiver", event: "Event", about: "About", action: "Action", sendNow: "Send now, once",
    setURL: "Make it the merchant's notification URL", due: "Due", attempts: "Attempts", deliver: "Deliver what is due",
    requests: "Requests", refusedOnly: "only refused ones", time: "Time", request: "Request", answer: "Answer", problem: "What was wrong", details: "Details", hide: "Hide",
    noRequests: "No request yet. Load the file env into your program's environment and let it call.",
    PENDING: "pending", PROCESSING: "in progress", PROCESSED: "finished", SUCCESS: "arrived", CLOSED: "failed", ABNORMAL: "refused by the bank",
    REFUND: "a refund", SERVICE_NOT_WORK: "a service that does not work", OTHERS: "something else",
    orders: "Orders", phoneOf: "Phone", encrypted: "given, encrypted for the merchant", times: "Times filed", merchant: "Merchant", problemText: "Problem",
    waits: "a message waits for a reply", unanswered: "unanswered", refunded: "refunded in full", tagTRUSTED: "trusted user", tagHIGH_RISK: "handle first", immediate: "needs an immediate answer", staff: "WeChat Pay's staff assist",
    pictureOf: (n) => `Picture ${n}`, notShown: "is elsewhere and not shown",
    of: (shown, total) => shown < total ? `the latest ${shown} of ${total}` : `${total}`,
    filed: (id) => `Filed: ${id}`, sent: "Sent", done: "Done", urlSet: "Set: what happens to complaints is announced there", urlRemoved: "Removed",
    answered: (status, body) => `The receiver answered ${status}${body ? ": " + body : ""}`,
    delivered: (n, bad) => `Delivered: ${n - bad} of ${n}`, nothingDue: "Nothing is due yet on the server's clock",
    pending: (n) => n ? `${n} to be delivered` : "",
    signedMessage: "What was signed", verifiedMessage: "What the server verifies", sentHeaders: "Headers sent", sentAuthorization: "Authorization, without its signature",
    sentBody: "Body sent", answerBody: "Answer", nothing: "(empty)", unknownMessage: "The server could not find out which message was signed.",
    tookEffect: "took effect", fault: "fault",
    USER_CREATE_COMPLAINT: "The user filed it", USER_CONTINUE_COMPLAINT: "The user filed it again", USER_RESPONSE: "Message of the user",
    PLATFORM_RESPONSE: "Message of WeChat Pay", MERCHANT_RESPONSE: "Message of the merchant", USER_CLICK_RESPONSE: "The user tapped an answer",
    MERCHANT_CONFIRM_COMPLETE: "The merchant called it solved", MERCHANT_APPROVE_REFUND: "The merchant approved the refund",
    MERCHANT_REFUSE_RERUND: "The merchant rejected the refund", COMPLAINT_FULL_REFUNDED_SYSTEM_MESSAGE: "A full refund was launched",
    COMPLAINT_PARTIAL_REFUNDED_SYSTEM_MESSAGE: "A partial refund was launched", COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE: "WeChat Pay refunded by itself",
    COMPLAINT_REFUND_RECEIVED_SYSTEM_MESSAGE: "A refund reached the user", PLATFORM_HELP_APPLICATION: "WeChat Pay urges the merchant",
    USER_APPLY_PLATFORM_SERVICE: "The user asked WeChat Pay for help", USER_CANCEL_PLATFORM_SERVICE: "The user took that back", PLATFORM_SERVICE_FINISHED: "WeChat Pay's help ended",
  },
  zh: {
    other: "English", tagline: "用于测试的微信支付：收到了什么请求、错在哪里、结果如何",
    address: "地址", clock: "服务器时间（北京）", connection: "连接", live: "实时", gone: "服务器没有响应",
    complaints: "投诉单", id: "投诉单号", filedAt: "投诉时间", state: "状态", asksFor: "诉求",
    noComplaints: "还没有投诉单。可以在这里新建，或者用 -seed 启动服务器。",
    fileComplaint: "以用户身份发起投诉", words: "投诉内容", amount: "金额（元）", phone: "手机号（可不填）", pictures: "图片",
    trusted: "可信用户（TRUSTED）", urgent: "需要即时服务", file: "提交投诉",
    complaint: "投诉单", history: "协商历史", userMessage: "用户留言", sendMessage: "以用户身份发送",
    fileAgain: "用户再次投诉", platformRefund: "平台代为退款",
    refunds: "退款", refundNo: "商户退款单号", whatHappens: "操作", arrive: "退款到账", close: "退款关闭", abnormal: "退款异常", final: "已终结",
    noRefunds: "还没有退款申请。",
    notifications: "通知回调", receiver: "接收通知的 URL", event: "事件类型", about: "对象", action: "动作类型", sendNow: "立即发送一次",
    setURL: "设为商户的投诉通知地址", due: "应发送时间", attempts: "次数", deliver: "发送到期的通知",
    requests: "请求日志", refusedOnly: "只看被拒绝的", time: "时间", request: "请求", answer: "应答", problem: "问题", details: "详情", hide: "收起",
    noRequests: "还没有请求。把 env 文件加载到程序的环境变量中，然后发起调用。",
    PENDING: "待处理", PROCESSING: "处理中", PROCESSED: "已处理完成", SUCCESS: "已到账", CLOSED: "已关闭", ABNORMAL: "退款异常",
    REFUND: "申请退款", SERVICE_NOT_WORK: "服务权益未生效", OTHERS: "其他类型",
    orders: "订单", phoneOf: "手机号", encrypted: "已提供（已用商户证书加密）", times: "投诉次数", merchant: "被诉商户号", problemText: "问题描述",
    waits: "有待回复的留言", unanswered: "待回复", refunded: "已全额退款", tagTRUSTED: "可信用户", tagHIGH_RISK: "高风险，优先处理", immediate: "需要即时服务", staff: "平台客服协助中",
    pictureOf: (n) => `图片 ${n}`, notShown: "不在本服务器上，未显示",
    of: (shown, total) => shown < total ? `最近 ${shown} 条，共 ${total} 条` : `共 ${total} 条`,
    filed: (id) => `已提交：${id}`, sent: "已发送", done: "已完成", urlSet: "已设置：投诉单的变化会通知到该地址", urlRemoved: "已删除",
    answered: (status, body) => `接收方应答 ${status}${body ? "：" + body : ""}`,
    delivered: (n, bad) => `已送达 ${n - bad} / ${n} 条`, nothingDue: "按服务器时间，还没有到期的通知",
    pending: (n) => n ? `${n} 条待发送` : "",
    signedMessage: "实际签名的内容（签名串）", verifiedMessage: "服务器验签的内容（验签串）", sentHeaders: "请求头", sentAuthorization: "Authorization（不含签名值）",
    sentBody: "请求体", answerBody: "应答体", nothing: "（空）", unknownMessage: "服务器无法判断实际签名的是什么内容。",
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
let state = null;     // what came last
let selected = "";    // the complaint that is shown in full
const opened = new Set(); // requests that are shown in full

// t is a word of the page. What has no translation, such as a new value of an enumeration, is shown as it is.
const t = (name) => Object.hasOwn(words[language], name) ? words[language][name] : name;

// el makes an element; strings become text.
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

// fill puts rows into an element, if they are not what is there already: what has the focus keeps it.
const shown = new Map();
function fill(parent, data, make) {
  // Links to storage are new in each answer; what they lead to is not.
  const key = JSON.stringify([language, data]).replace(/\/storage\/[0-9]+\//g, "");
  if (shown.get(parent) === key) return;
  shown.set(parent, key);
  const focused = parent.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  parent.replaceChildren(...make().filter((child) => child));
  if (focused) parent.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

// ask sends a request to the control plane. Its refusals are sentences.
async function ask(method, path, body) {
  const raw = body instanceof Blob;
  const answer = await fetch("/_mock/" + path, { method, body: body === undefined || raw ? body : JSON.stringify(body) });
  const text = await answer.text();
  let json = null;
  try { json = text ? JSON.parse(text) : null; } catch { /* not the control plane's */ }
  if (!answer.ok) throw new Error(json?.error ?? `${answer.status} ${text}`);
  return json;
}

// act does what a button says, tells how it went, and shows what has changed.
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

// pictures shows images that this server has; of others only where they are.
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

// message shows a signed message line by line, with each end of a line, and marks the lines that the other has not at their place.
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
      el("div", {}, part("sentBody", text(r.body)), part("answerBody", text(r.response), el("code", {}, "Request-ID: " + r.request_id)))),
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

// connection says whether what the page shows is what there is.
function connection(live) {
  const text = t(live ? "live" : "gone");
  if ($("live").textContent !== text) $("live").replaceChildren(badge(live ? "good" : "bad", text));
}

// refresh shows the newest state. Of two that overlap the one that was asked for later counts.
let asked = 0;
async function refresh() {
  const turn = ++asked;
  let next = null;
  try { next = await ask("GET", "page"); } catch { /* said below */ }
  if (turn !== asked) return;
  if (next) state = next;
  render();
  connection(next !== null);
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, 1000);
}

// submit lets a form be sent by its button or by the Enter key.
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
  return t("answered")(status, body);
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
  if (bad.length) throw new Error(`${t("delivered")(data.length, bad.length)}: ${bad[0].error ?? t("answered")(bad[0].status, bad[0].body)}`);
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
