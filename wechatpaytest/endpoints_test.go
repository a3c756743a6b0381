package wechatpaytest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

const (
	othersID    = "200201820200101080076610001" // not a refund request
	foreignID   = "200201820200101080076610002" // against another merchant
	closedID    = "200201820200101080076610003" // PROCESSED
	immediateID = "200201820200101080076610004" // needs immediate service

	images   = "/v3/merchant-service/images/"
	echo     = "/v3/security/echo"
	march    = complaints + "?begin_date=2026-03-01&end_date=2026-03-04"
	replyTo  = `"complainted_mchid":"1900000001"`
	amount   = `"amount":{"refund":100,"total":100,"currency":"CNY"}`
	order1   = `"transaction_id":"4200001"`
	refundR1 = order1 + `,"out_refund_no":"r-1"`
)

func repeat(s string, n int) string { return strings.Repeat(s, n) }

func decisionOf(id string) string { return complaints + "/" + id + "/update-refund-progress" }
func historyOf(id string) string  { return complaints + "/" + id + "/negotiation-historys" }

// An errorTest is a request that fails with this status, code and detail.field,
// and changes nothing.
type errorTest struct {
	name           string
	method, target string
	body           string
	change         func(*request)
	status         int
	code, field    string
}

func header(name string, values ...string) func(*request) {
	return func(r *request) { r.header[name] = values }
}

func attribute(name, value string) func(*request) {
	return func(r *request) { r.attributes[name] = value }
}

func toSign(s string) func(*request)        { return func(r *request) { r.toSign = &s } }
func authorization(s string) func(*request) { return func(r *request) { r.authorization = &s } }
func signedAt(offset time.Duration) func(*request) {
	return func(r *request) { r.at = r.at.Add(offset) }
}

type changeTest struct {
	name   string
	change func(*request)
	field  string
}

// changeErrors are decisions that fail with a status and code.
func changeErrors(status int, code string, tests ...changeTest) []errorTest {
	var all []errorTest
	for _, t := range tests {
		all = append(all, errorTest{t.name, "POST", decide, approve, t.change, status, code, t.field})
	}
	return all
}

type bodyTest struct{ name, body, field string }

// bodyErrors are bodies that fail with 400 PARAM_ERROR.
func bodyErrors(method, target string, tests ...bodyTest) []errorTest {
	var all []errorTest
	for _, t := range tests {
		all = append(all, errorTest{t.name, method, target, t.body, nil, 400, "PARAM_ERROR", t.field})
	}
	return all
}

type queryTest struct{ name, target, field string }

// queryErrors are GET requests that fail with 400 PARAM_ERROR.
func queryErrors(tests ...queryTest) []errorTest {
	var all []errorTest
	for _, t := range tests {
		all = append(all, errorTest{t.name, "GET", t.target, "", nil, 400, "PARAM_ERROR", t.field})
	}
	return all
}

type codeTest struct {
	name, method, target, body string
	status                     int
	code                       string
}

// codeErrors are requests that fail without a detail.field.
func codeErrors(tests ...codeTest) []errorTest {
	var all []errorTest
	for _, t := range tests {
		all = append(all, errorTest{t.name, t.method, t.target, t.body, nil, t.status, t.code, ""})
	}
	return all
}

var headerErrors = changeErrors(400, "INVALID_REQUEST", []changeTest{
	{"no Accept", header("Accept"), "Accept"},
	{"Accept HTML", header("Accept", "text/html"), "Accept"},
	{"no User-Agent", header("User-Agent"), "User-Agent"},
	{"two keys", header("Wechatpay-Serial", "PUB_KEY_ID_1", "PUB_KEY_ID_2"), "Wechatpay-Serial"},
	{"no Content-Type", header("Content-Type"), "Content-Type"},
	{"form", header("Content-Type", "application/x-www-form-urlencoded"), "Content-Type"},
	{"other charset", header("Content-Type", "application/json; charset=gbk"), "Content-Type"},
	{"compressed", header("Content-Encoding", "gzip"), "Content-Encoding"},
}...)

var signatureErrors = append(changeErrors(401, "SIGN_ERROR", []changeTest{
	{"no Authorization", header("Authorization"), "Authorization"},
	{"two Authorizations", header("Authorization", "a", "b"), "Authorization"},
	{"other scheme", header("Authorization", "Bearer x"), "Authorization"},
	{"two spaces after the scheme", authorization(`WECHATPAY2-SHA256-RSA2048  mchid="1"`), "Authorization"},
	{"unquoted attribute", authorization(`WECHATPAY2-SHA256-RSA2048 mchid=1`), "Authorization"},
	{"extra attribute", attribute("signature", `AAAA",more="1`), "Authorization"},
	{"duplicate attribute", attribute("mchid", `1900000001",mchid="1900000001`), "mchid"},
	{"no mchid", attribute("mchid", "OMIT"), "mchid"},
	{"unknown mchid", attribute("mchid", "1900000009"), "mchid"},
	{"no serial_no", attribute("serial_no", "OMIT"), "serial_no"},
	{"unknown serial_no", attribute("serial_no", "0123456789ABCDEF"), "serial_no"},
	{"no nonce", attribute("nonce_str", "OMIT"), "nonce_str"},
	{"long nonce", attribute("nonce_str", repeat("n", 33)), "nonce_str"},
	{"no timestamp", attribute("timestamp", "OMIT"), "timestamp"},
	{"timestamp in milliseconds", attribute("timestamp", "1772596800000"), "timestamp"},
	{"old timestamp", signedAt(-301 * time.Second), "timestamp"},
	{"future timestamp", signedAt(302 * time.Second), "timestamp"},
	{"empty signature", attribute("signature", ""), "signature"},
	{"signature not base64", attribute("signature", "?"), "signature"},
	{"signature in URL base64", attribute("signature", repeat("-_", 171)+"=="), "signature"},
	{"signed without body", toSign("POST\n" + decide + "\nTIMESTAMP\nNONCE\n\n"), "signature"},
	{"signed without trailing newline", toSign("POST\n" + decide + "\nTIMESTAMP\nNONCE\n" + approve), "signature"},
	{"signed another body", toSign("POST\n" + decide + "\nTIMESTAMP\nNONCE\n{\"action\":\"REJECT\"}\n"), "signature"},
}...), errorTest{
	"signed without query", "GET", march, "", toSign("GET\n" + complaints + "\nTIMESTAMP\nNONCE\n\n"),
	401, "SIGN_ERROR", "signature",
})

var pathErrors = slices.Concat(codeErrors(
	codeTest{"unknown path", "GET", "/v3/merchant-service/complaints", "", 404, "RESOURCE_NOT_EXISTS"},
	codeTest{"trailing slash", "GET", complaints + "/", "", 404, "RESOURCE_NOT_EXISTS"},
	codeTest{"wrong method", "PUT", decide, approve, 404, "RESOURCE_NOT_EXISTS"},
	codeTest{"correct spelling of history", "GET", path + "/negotiation-histories", "", 404, "RESOURCE_NOT_EXISTS"},
	codeTest{"body of a GET", "GET", path, "{}", 400, "PARAM_ERROR"},
	codeTest{"body of a DELETE", "DELETE", notificationURL, "{}", 400, "PARAM_ERROR"},
	codeTest{"unknown complaint", "POST", decisionOf("1"), approve, 404, "RESOURCE_NOT_EXISTS"},
	codeTest{"foreign complaint", "POST", decisionOf(foreignID), approve, 403, "NO_AUTH"},
	codeTest{"detail of a foreign complaint", "GET", complaints + "/" + foreignID, "", 403, "NO_AUTH"},
	codeTest{"history of a foreign complaint", "GET", historyOf(foreignID), "", 403, "NO_AUTH"},
), queryErrors(
	queryTest{"long complaint_id", complaints + "/" + repeat("1", 65), "complaint_id"},
	queryTest{"emoji in the path", complaints + "/%F0%9F%98%80", "complaint_id"},
), []errorTest{
	{"query of a POST", "POST", decide + "?a=1", approve, nil, 400, "PARAM_ERROR", "a"},
	{"query of a DELETE", "DELETE", notificationURL + "?url=x", "", nil, 400, "PARAM_ERROR", "url"},
})

var jsonErrors = append(bodyErrors("POST", decide, []bodyTest{
	{"not JSON", "action=APPROVE", ""},
	{"truncated JSON", `{"action":"APPROVE"`, ""},
	{"array", `[]`, ""},
	{"two objects", approve + approve, ""},
	{"duplicate member", `{"action":"APPROVE","action":"REJECT"}`, "/action"},
	{"not UTF-8", "{\"action\":\"REJECT\",\"reject_reason\":\"\xff\"}", ""},
	{"emoji", `{"action":"REJECT","reject_reason":"😀"}`, "/reject_reason"},
	{"escaped emoji", `{"action":"REJECT","reject_reason":"\ud83d\ude00"}`, "/reject_reason"},
	{"emoji in a name", `{"action":"REJECT","😀":1}`, "/😀"},
	{"deep", `{"action":` + repeat("[", 40) + repeat("]", 40) + `}`, "/action" + repeat("/0", 32)},
	{"unknown field", `{"action":"APPROVE","complainted_mchid":"1900000001"}`, "/complainted_mchid"},
	{"field in other case", `{"Action":"APPROVE"}`, "/Action"},
	{"unknown field with a slash", `{"action":"APPROVE","a/b~c":1}`, "/a~1b~0c"},
}...), errorTest{
	"empty body", "POST", decide, "", header("Content-Type", "application/json"), 400, "PARAM_ERROR", "",
})

var decisionErrors = append(bodyErrors("POST", decide, []bodyTest{
	{"no action", `{"launch_refund_day":0}`, "/action"},
	{"action null", `{"action":null}`, "/action"},
	{"action in lower case", `{"action":"approve"}`, "/action"},
	{"action a number", `{"action":1}`, "/action"},
	{"remark null", `{"action":"APPROVE","remark":null}`, "/remark"},
	{"day negative", `{"action":"APPROVE","launch_refund_day":-1}`, "/launch_refund_day"},
	{"day a string", `{"action":"APPROVE","launch_refund_day":"0"}`, "/launch_refund_day"},
	{"day a fraction", `{"action":"APPROVE","launch_refund_day":1.0}`, "/launch_refund_day"},
	{"day out of range", `{"action":"APPROVE","launch_refund_day":99999999999999999999}`, "/launch_refund_day"},
	{"day with REJECT", `{"action":"REJECT","launch_refund_day":0}`, "/launch_refund_day"},
	{"reason with APPROVE", `{"action":"APPROVE","reject_reason":""}`, "/reject_reason"},
	{"images with APPROVE", `{"action":"APPROVE","reject_media_list":[]}`, "/reject_media_list"},
	{"long reason", `{"action":"REJECT","reject_reason":"` + repeat("字", 201) + `"}`, "/reject_reason"},
	{"long remark", `{"action":"APPROVE","remark":"` + repeat("字", 201) + `"}`, "/remark"},
	{"five images", `{"action":"REJECT","reject_media_list":["a","b","c","d","e"]}`, "/reject_media_list"},
	{"images a string", `{"action":"REJECT","reject_media_list":"a"}`, "/reject_media_list"},
	{"unknown image", `{"action":"REJECT","reject_media_list":["file1_2"]}`, "/reject_media_list/0"},
	{"image null", `{"action":"REJECT","reject_media_list":[null]}`, "/reject_media_list/0"},
}...), codeErrors(
	codeTest{"not a refund request", "POST", decisionOf(othersID), approve, 400, "PARAM_ERROR"},
	codeTest{"finished", "POST", decisionOf(closedID), approve, 400, "INVALID_REQUEST"},
)...)

var pageErrors = append(queryErrors([]queryTest{
	{"no begin_date", complaints + "?end_date=2026-03-04", "begin_date"},
	{"no end_date", complaints + "?begin_date=2026-03-04", "end_date"},
	{"date without zeros", complaints + "?begin_date=2026-3-4&end_date=2026-03-04", "begin_date"},
	{"no such day", complaints + "?begin_date=2026-02-29&end_date=2026-03-04", "begin_date"},
	{"begin after end", complaints + "?begin_date=2026-03-05&end_date=2026-03-04", "begin_date"},
	{"31 days", complaints + "?begin_date=2026-03-01&end_date=2026-03-31", "end_date"},
	{"limit 0", march + "&limit=0", "limit"},
	{"limit 51", march + "&limit=51", "limit"},
	{"limit a word", march + "&limit=all", "limit"},
	{"limit empty", march + "&limit=", "limit"},
	{"limit twice", march + "&limit=1&limit=2", "limit"},
	{"offset negative", march + "&offset=-1", "offset"},
	{"unknown parameter", march + "&page=1", "page"},
	{"malformed query", march + "&limit=%zz", ""},
	{"emoji in the query", march + "&complainted_mchid=%F0%9F%98%80", "complainted_mchid"},
	{"long merchant", march + "&complainted_mchid=" + repeat("1", 65), "complainted_mchid"},
	{"history limit 301", path + "/negotiation-historys?limit=301", "limit"},
	{"history limit 0", path + "/negotiation-historys?limit=0", "limit"},
	{"query of the detail", path + "?limit=1", "limit"},
}...), codeErrors(
	codeTest{"foreign merchant", "GET", march + "&complainted_mchid=1900000009", "", 403, "NO_AUTH"},
)...)

const (
	response4   = path + "/response"
	hello       = `{` + replyTo + `,"response_content":"好"`
	jumpURL     = `,"jump_url":"https://example.com/"`
	jumpURLText = `,"jump_url_text":"看"`
)

var replyErrors = append(bodyErrors("POST", response4, []bodyTest{
	{"reply without merchant", `{"response_content":"好"}`, "/complainted_mchid"},
	{"reply without content", `{` + replyTo + `}`, "/response_content"},
	{"reply with empty content", `{` + replyTo + `,"response_content":""}`, "/response_content"},
	{"reply for another merchant", `{"complainted_mchid":"1900000009","response_content":"好"}`, "/complainted_mchid"},
	{"reply of 501 characters", `{` + replyTo + `,"response_content":"` + repeat("字", 501) + `"}`, "/response_content"},
	{"reply with five images", hello + `,"response_images":["a","b","c","d","e"]}`, "/response_images"},
	{"reply with http link", hello + `,"jump_url":"http://example.com/"` + jumpURLText + `}`, "/jump_url"},
	{"reply with link and no text", hello + jumpURL + `}`, "/jump_url_text"},
	{"reply with text and no link", hello + jumpURLText + `}`, "/jump_url"},
	{"reply with long link text", hello + jumpURL + `,"jump_url_text":"一二三四五六七八九十一"}`, "/jump_url_text"},
	{
		"reply with half a mini program",
		hello + `,"mini_program_jump_info":{"appid":"wx1","path":"p"}}`, "/mini_program_jump_info/text",
	},
}...), codeErrors(
	codeTest{"reply with forbidden link", "POST", response4, hello + jumpURL + jumpURLText + `}`, 403, "NO_AUTH"},
	codeTest{"reply with empty link", "POST", response4, hello + `,"jump_url":"","jump_url_text":""}`, 403, "NO_AUTH"},
)...)

const (
	immediate = complaints + "/" + immediateID + "/response-immediate-service"
	replyI1   = `{` + replyTo + `,"idempotent_id":"i-1"`
)

func blocks(s string) string { return replyI1 + `,"message":{"blocks":[` + s + `]}}` }

var immediateErrors = append(bodyErrors("POST", immediate, []bodyTest{
	{"no message", replyI1 + `}`, "/message"},
	{"no idempotent_id", `{` + replyTo + `,"message":{}}`, "/idempotent_id"},
	{
		"long idempotent_id",
		`{` + replyTo + `,"message":{},"idempotent_id":"` + repeat("1", 129) + `"}`, "/idempotent_id",
	},
	{"sender at top level", replyI1 + `,"message":{},"message_sender_identity":"MANUAL"}`, "/message_sender_identity"},
	{"unknown sender", replyI1 + `,"message":{"sender_identity":"ROBOT"}}`, "/message/sender_identity"},
	{"unknown block", blocks(`{"type":"VIDEO"}`), "/message/blocks/0/type"},
	{"block without payload", blocks(`{"type":"TEXT"}`), "/message/blocks/0/text"},
	{
		"block with another payload",
		blocks(`{"type":"TEXT","text":{"text":"a"},"image":{"media_id":"m"}}`), "/message/blocks/0/image",
	},
	{
		"link without URL",
		blocks(`{"type":"LINK","link":{"text":"a","action":{"action_type":"ACTION_TYPE_JUMP_URL"}}}`),
		"/message/blocks/0/link/action/jump_url",
	},
	{
		"button without message",
		blocks(`{"type":"BUTTON_GROUP","button_group":{"buttons":[{"text":"a","action":` +
			`{"action_type":"ACTION_TYPE_SEND_MESSAGE"}}]}}`),
		"/message/blocks/0/button_group/buttons/0/action/message_info",
	},
	{
		"question without mini program",
		blocks(`{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","action":` +
			`{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM"}}]}}`),
		"/message/blocks/0/faq_list/faqs/0/action/mini_program_jump_info",
	},
	{
		"nested unknown field",
		blocks(`{"type":"FAQ_LIST","faq_list":{"faqs":[],"invalid_info":{}}}`),
		"/message/blocks/0/faq_list/invalid_info",
	},
	{"image not uploaded", blocks(`{"type":"IMAGE","image":{"media_id":"m"}}`), "/message/blocks/0/image/media_id"},
}...), codeErrors(
	codeTest{
		"no immediate service needed", "POST", path + "/response-immediate-service",
		replyI1 + `,"message":{}}`, 400, "INVALID_REQUEST",
	},
)...)

var completeErrors = append(bodyErrors("POST", path+"/complete", []bodyTest{
	{"complete without merchant", `{}`, "/complainted_mchid"},
	{"complete for another merchant", `{"complainted_mchid":"1900000009"}`, "/complainted_mchid"},
}...), codeErrors(
	codeTest{"complete twice", "POST", complaints + "/" + closedID + "/complete", completion, 400, "INVALID_REQUEST"},
)...)

var notificationURLErrors = slices.Concat(bodyErrors("POST", notificationURL, []bodyTest{
	{"no url", `{}`, "/url"},
	{"http url", `{"url":"http://example.com/n"}`, "/url"},
}...), bodyErrors("PUT", notificationURL, []bodyTest{
	{"url with query", `{"url":"https://example.com/n?a=1"}`, "/url"},
	{"long url", `{"url":"https://example.com/` + repeat("n", 240) + `"}`, "/url"},
}...), codeErrors(
	codeTest{"no URL to get", "GET", notificationURL, "", 400, "RESOURCE_NOT_EXISTS"},
	codeTest{"no URL to change", "PUT", notificationURL, `{"url":"https://example.com/n"}`, 400, "RESOURCE_NOT_EXISTS"},
	codeTest{"no URL to delete", "DELETE", notificationURL, "", 400, "RESOURCE_NOT_EXISTS"},
))

type uploadTest struct {
	name   string
	upload upload
	field  string
}

var meta1 = uploadMeta("a.png", png(1))

var imageErrors = slices.Concat(uploadErrors([]uploadTest{
	{"upload without file", upload{meta: uploadMeta("a.png", nil), parts: []string{"meta"}}, "/file"},
	{"upload with a third part", upload{meta: meta1, file: png(1), parts: []string{"meta", "file", "more"}}, "/more"},
	{"meta not JSON", upload{meta: "x", file: png(1)}, "/meta"},
	{
		"meta with more",
		upload{meta: `{"filename":"a.png","sha256":"` + repeat("0", 64) + `","size":1}`, file: png(1)}, "/meta/size",
	},
	{"file name of another type", upload{meta: uploadMeta("a.gif", png(1)), file: png(1)}, "/meta/filename"},
	{"long file name", upload{meta: uploadMeta(repeat("a", 125)+".png", png(1)), file: png(1)}, "/meta/filename"},
	{"digest of another file", upload{meta: uploadMeta("a.png", png(2)), file: png(1)}, "/meta/sha256"},
	{"short digest", upload{meta: `{"filename":"a.png","sha256":"00"}`, file: png(1)}, "/meta/sha256"},
	{"empty file", upload{meta: uploadMeta("a.png", nil)}, "/file"},
	{"text named png", upload{meta: uploadMeta("a.png", []byte("text")), file: []byte("text")}, "/file"},
	{"png named jpg", upload{meta: uploadMeta("a.jpg", png(1)), file: png(1)}, "/meta/filename"},
	{"file over 2 MB", upload{meta: uploadMeta("a.png", png(2<<20-7)), file: png(2<<20 - 7)}, "/file"},
}...), queryErrors(
	queryTest{"download of an unknown image", images + "abc%3D%3D", "media_id"},
	queryTest{"download with a query", images + "abc?size=1", "size"},
), []errorTest{
	{"upload as JSON", "POST", images + "upload", `{}`, nil, 400, "INVALID_REQUEST", "Content-Type"},
	{"upload signed with the multipart body", "POST", images + "upload", "", func(r *request) {
		r.upload = &upload{meta: uploadMeta("a.png", png(1)), file: png(1)}
		r.toSign = ptr("POST\n" + images + "upload\nTIMESTAMP\nNONCE\nmultipart\n")
	}, 401, "SIGN_ERROR", "signature"},
})

func uploadErrors(tests ...uploadTest) []errorTest {
	var all []errorTest
	for _, t := range tests {
		change := func(r *request) { r.upload = &t.upload }
		all = append(all, errorTest{t.name, "POST", images + "upload", "", change, 400, "PARAM_ERROR", t.field})
	}
	return all
}

// refundFrom returns the body of a refund with amount.from.
func refundFrom(fen, from string) string {
	return `{` + refundR1 + `,"amount":{"refund":` + fen + `,"total":100,"currency":"CNY","from":[` + from + `]}}`
}

// refundWith returns the body of a refund with more members.
func refundWith(s string) string { return `{` + refundR1 + `,` + amount + `,` + s + `}` }

func refundAmount(s string) string { return `{` + refundR1 + `,"amount":{` + s + `}}` }

const available1 = `{"account":"AVAILABLE","amount":1}`

var refundErrors = slices.Concat(bodyErrors("POST", refunds, []bodyTest{
	{"refund without order", `{"out_refund_no":"r-1",` + amount + `}`, "/transaction_id"},
	{"refund of two orders", refundWith(`"out_trade_no":"trade-2"`), "/out_trade_no"},
	{"refund without number", `{` + order1 + `,` + amount + `}`, "/out_refund_no"},
	{"refund number with a space", `{` + order1 + `,"out_refund_no":"r 1",` + amount + `}`, "/out_refund_no"},
	{
		"refund number of 65 bytes",
		`{` + order1 + `,"out_refund_no":"` + repeat("r", 65) + `",` + amount + `}`, "/out_refund_no",
	},
	{"refund reason of 81 bytes", refundWith(`"reason":"` + repeat("字", 27) + `"`), "/reason"},
	{"refund without amount", `{` + refundR1 + `}`, "/amount"},
	{"refund in dollars", refundAmount(`"refund":1,"total":100,"currency":"USD"`), "/amount/currency"},
	{"refund of 0 fen", refundAmount(`"refund":0,"total":100,"currency":"CNY"`), "/amount/refund"},
	{"refund over the total", refundAmount(`"refund":101,"total":100,"currency":"CNY"`), "/amount/refund"},
	{"refund from an account twice", refundFrom("2", available1+","+available1), "/amount/from/1/account"},
	{"refund from accounts with another sum", refundFrom("2", available1), "/amount/from"},
	{"refund with unknown field", refundWith(`"total_fee":1`), "/total_fee"},
	{"refund by an ordinary merchant with sub_mchid", refundWith(`"sub_mchid":"1"`), "/sub_mchid"},
	{"refund with a query in notify_url", refundWith(`"notify_url":"https://example.com/?a=1"`), "/notify_url"},
	{
		"refund of goods without a price",
		refundWith(`"goods_detail":[{"merchant_goods_id":"g","refund_amount":1,"refund_quantity":1}]`),
		"/goods_detail/0/unit_price",
	},
}...), queryErrors(
	queryTest{"refund query with sub_mchid", refunds + "/r-1?sub_mchid=1", "sub_mchid"},
	queryTest{"refund query of an invalid number", refunds + "/r%20", "out_refund_no"},
), codeErrors(
	codeTest{
		"refund of an unknown order", "POST", refunds,
		`{"transaction_id":"42","out_refund_no":"r-1",` + amount + `}`, 404, "RESOURCE_NOT_EXISTS",
	},
	codeTest{
		"refund of a foreign order", "POST", refunds,
		`{"transaction_id":"4200002","out_refund_no":"r-1",` + amount + `}`, 403, "NO_AUTH",
	},
	codeTest{
		"refund with wrong total", "POST", refunds,
		refundAmount(`"refund":100,"total":200,"currency":"CNY"`), 400, "INVALID_REQUEST",
	},
	codeTest{"refund with open complaint", "POST", refunds, refundFrom("1", available1), 400, "INVALID_REQUEST"},
	codeTest{"unknown refund", "GET", refunds + "/r-1", "", 404, "RESOURCE_NOT_EXISTS"},
))

var otherErrors = []errorTest{
	{
		"certificates of unknown type", "GET", "/v3/certificates?algorithm_type=DSA", "", nil,
		400, "PARAM_ERROR", "algorithm_type",
	},
	{"echo without key", "POST", echo, `{"echo_message":"a"}`, nil, 400, "PARAM_ERROR", "Wechatpay-Serial"},
	{
		"echo with unknown key", "POST", echo, `{"echo_message":"a"}`, header("Wechatpay-Serial", "PUB_KEY_ID_1"),
		400, "PARAM_ERROR", "Wechatpay-Serial",
	},
	{"echo without message", "POST", echo, `{}`, nil, 400, "PARAM_ERROR", "/echo_message"},
	{
		"echo of an invalid ciphertext", "POST", echo, `{"echo_message":"a","encrypted_echo_message":"AAAA"}`,
		func(r *request) { r.header.Set("Wechatpay-Serial", r.cfg.PublicKeyID) },
		400, "PARAM_ERROR", "/encrypted_echo_message",
	},
}

func TestServer_ServeHTTP_errors(t *testing.T) {
	tests := slices.Concat(headerErrors, signatureErrors, pathErrors, jsonErrors, decisionErrors, pageErrors,
		replyErrors, immediateErrors, completeErrors, notificationURLErrors, imageErrors, refundErrors, otherErrors)
	require.GreaterOrEqual(t, len(tests), 180)
	seen := map[string]bool{}
	for _, tt := range tests {
		require.False(t, seen[tt.name], tt.name)
		seen[tt.name] = true
		t.Run(tt.name, func(t *testing.T) { testError(t, tt) })
	}
}

func testError(t *testing.T, tt errorTest) {
	s := newServer(t)
	addComplaint(s)
	s.AddComplaint(wechatpay.Complaint{ComplaintID: othersID, ProblemType: wechatpay.ProblemTypeOthers})
	s.AddComplaint(wechatpay.Complaint{
		ComplaintID:        foreignID,
		ComplaintedMchID:   "1900000009",
		ComplaintOrderInfo: orderInfo("4200002", "trade-2", 100),
	})
	s.AddComplaint(wechatpay.Complaint{ComplaintID: closedID, ComplaintState: wechatpay.ComplaintStateProcessed})
	s.AddComplaint(wechatpay.Complaint{ComplaintID: immediateID, NeedImmediateService: true})
	before := snapshot(s)

	req := newRequest(s, tt.method, tt.target, tt.body)
	if tt.change != nil {
		tt.change(req)
	}
	r := req.send(t, s)
	var body struct {
		Code, Message string
		Detail        json.RawMessage
	}
	require.NoError(t, json.Unmarshal(r.body, &body), "%s", r.body)
	require.Equal(t, tt.status, r.StatusCode, "%s", r.body)
	require.Equal(t, tt.code, body.Code, "%s", r.body)
	require.NotEmpty(t, body.Message)
	require.Equal(t, tt.field, fieldOf(t, body.Detail), "%s", r.body)
	require.Regexp(t, `^08F7[0-9A-F]+-[1-9][0-9]*$`, r.Header.Get("Request-ID"))
	require.Equal(t, tt.status != 401, r.signedBy(s.Config().PublicKey), "errors are signed, except 401")

	require.False(t, tookEffect(s))
	require.Equal(t, before, snapshot(s))
	require.Empty(t, s.Refunds())
	log := s.Requests()
	require.Len(t, log, 1)
	require.Equal(t, body.Message, log[0].Problem)
	require.Equal(t, body.Code, log[0].Code)
}

// fieldOf returns the field of an error detail, or the first unknown member.
func fieldOf(t *testing.T, detail json.RawMessage) string {
	if detail == nil {
		return ""
	}
	var d struct {
		Field string
		Value json.RawMessage
	}
	require.NoError(t, json.Unmarshal(detail, &d))
	var unknown []string
	if d.Field == "" && json.Unmarshal(d.Value, &unknown) == nil && len(unknown) > 0 {
		field, ok := strings.CutPrefix(unknown[0], "/body")
		require.True(t, ok, unknown[0])
		return field
	}
	return d.Field
}

// snapshot returns all complaints with their histories.
func snapshot(s *wechatpaytest.Server) []any {
	var all []any
	for _, c := range s.Complaints() {
		all = append(all, c, s.History(c.ComplaintID))
	}
	return all
}

func TestServer_ServeHTTP_errorDetail(t *testing.T) {
	s := newServer(t)
	addComplaint(s)
	detail := func(r response) map[string]any { return r.json(t)["detail"].(map[string]any) }

	r := do(t, s, 400, "POST", decide, `{"action":"MAYBE"}`)
	require.Equal(t, "MAYBE", detail(r)["value"])
	require.Equal(t, "body", detail(r)["location"])
	require.Contains(t, detail(r)["issue"], "APPROVE, REJECT")

	r = do(t, s, 400, "GET", complaints+"?begin_date=x&end_date=2026-03-04", "")
	require.Equal(t, "x", detail(r)["value"])
	require.Equal(t, "query", detail(r)["location"])

	r = do(t, s, 400, "POST", decide, `{"action":"APPROVE","b":1,"a":2}`)
	require.Equal(t, map[string]any{"location": nil, "value": []any{"/body/b", "/body/a"}}, detail(r),
		"all unknown members, in the order of the body")
	require.True(t, strings.HasSuffix(r.Header.Get("Request-ID"), "-270924358"))
}

func TestServer_ServeHTTP_echo(t *testing.T) {
	s := newServer(t)
	cfg := s.Config()
	ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, cfg.PublicKey, []byte("秘密"), nil)
	require.NoError(t, err)
	encrypted := base64.StdEncoding.EncodeToString(ciphertext)
	req := newRequest(s, "POST", echo, `{"echo_message":"你好","encrypted_echo_message":"`+encrypted+`"}`)
	req.header.Set("Wechatpay-Serial", cfg.PublicKeyID)
	r := req.send(t, s)
	require.Equal(t, 200, r.StatusCode, "%s", r.body)
	require.Equal(t, "你好", r.json(t)["echo_message"])
	require.Equal(t, "秘密", decrypt(t, cfg, r.json(t)["encrypted_echo_message"].(string)))
}
