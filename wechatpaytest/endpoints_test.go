package wechatpaytest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// Each of these requests is refused with this status, code and field, and
// nothing takes effect.
func TestRefusals(t *testing.T) {
	const (
		refundID    = "200201820200101080076610000"
		otherID     = "200201820200101080076610001" // not a refund request
		foreignID   = "200201820200101080076610002" // against another merchant
		closedID    = "200201820200101080076610003" // PROCESSED
		immediateID = "200201820200101080076610004"
		decision    = complaints + "/" + refundID + "/update-refund-progress"
		response    = complaints + "/" + refundID + "/response"
		immediate   = complaints + "/" + immediateID + "/response-immediate-service"
		complete    = complaints + "/" + refundID + "/complete"
		callback    = "/v3/merchant-service/complaint-notifications"
		images      = "/v3/merchant-service/images/"
		refunds     = "/v3/refund/domestic/refunds"
		approve     = `{"action":"APPROVE","launch_refund_day":0}`
		day         = complaints + "?begin_date=2026-03-01&end_date=2026-03-04"
		reply       = `"complainted_mchid":"1900000001","response_content":"好"`
		refund      = `"transaction_id":"4200001","out_refund_no":"r-1"`
		amount      = `"amount":{"refund":100,"total":100,"currency":"CNY"}`
		now         = `"complainted_mchid":"1900000001","idempotent_id":"i-1"`
	)
	ptr := func(s string) *string { return &s }
	header := func(name string, values ...string) func(*message) {
		return func(m *message) { m.header[name] = values }
	}
	attribute := func(name, value string) func(*message) {
		return func(m *message) { m.attributes[name] = value }
	}
	signs := func(text string) func(*message) { return func(m *message) { m.signed = ptr(text) } }
	sends := func(u upload) func(*message) { return func(m *message) { m.upload = &u } }

	tests := []struct {
		name           string
		method, target string
		body           string
		change         func(*message)
		status         int
		code, field    string
	}{
		// Protocol.
		{"no Accept", "POST", decision, approve, header("Accept"), 400, "INVALID_REQUEST", "Accept"},
		{"Accept for HTML", "POST", decision, approve, header("Accept", "text/html"), 400, "INVALID_REQUEST", "Accept"},
		{"no User-Agent", "POST", decision, approve, header("User-Agent"), 400, "INVALID_REQUEST", "User-Agent"},
		{"two keys", "POST", decision, approve, header("Wechatpay-Serial", "PUB_KEY_ID_1", "PUB_KEY_ID_2"), 400, "INVALID_REQUEST", "Wechatpay-Serial"},
		{"no Content-Type", "POST", decision, approve, header("Content-Type"), 400, "INVALID_REQUEST", "Content-Type"},
		{"form", "POST", decision, approve, header("Content-Type", "application/x-www-form-urlencoded"), 400, "INVALID_REQUEST", "Content-Type"},
		{"other charset", "POST", decision, approve, header("Content-Type", "application/json; charset=gbk"), 400, "INVALID_REQUEST", "Content-Type"},
		{"compressed", "POST", decision, approve, header("Content-Encoding", "gzip"), 400, "INVALID_REQUEST", "Content-Encoding"},

		// Signature.
		{"no Authorization", "POST", decision, approve, header("Authorization"), 401, "SIGN_ERROR", "Authorization"},
		{"two Authorizations", "POST", decision, approve, header("Authorization", "a", "b"), 401, "SIGN_ERROR", "Authorization"},
		{"other scheme", "POST", decision, approve, header("Authorization", "Bearer x"), 401, "SIGN_ERROR", "Authorization"},
		{"two blanks after the scheme", "POST", decision, approve, func(m *message) {
			m.authorization = ptr(`WECHATPAY2-SHA256-RSA2048  mchid="1"`)
		}, 401, "SIGN_ERROR", "Authorization"},
		{"unquoted", "POST", decision, approve, func(m *message) { m.authorization = ptr(`WECHATPAY2-SHA256-RSA2048 mchid=1`) }, 401, "SIGN_ERROR", "Authorization"},
		{"an attribute too many", "POST", decision, approve, attribute("signature", `AAAA",more="1`), 401, "SIGN_ERROR", "Authorization"},
		{"an attribute twice", "POST", decision, approve, attribute("mchid", `1900000001",mchid="1900000001`), 401, "SIGN_ERROR", "mchid"},
		{"no mchid", "POST", decision, approve, attribute("mchid", "OMIT"), 401, "SIGN_ERROR", "mchid"},
		{"unknown mchid", "POST", decision, approve, attribute("mchid", "1900000009"), 401, "SIGN_ERROR", "mchid"},
		{"no serial number", "POST", decision, approve, attribute("serial_no", "OMIT"), 401, "SIGN_ERROR", "serial_no"},
		{"unknown serial number", "POST", decision, approve, attribute("serial_no", "0123456789ABCDEF"), 401, "SIGN_ERROR", "serial_no"},
		{"no nonce", "POST", decision, approve, attribute("nonce_str", "OMIT"), 401, "SIGN_ERROR", "nonce_str"},
		{"a long nonce", "POST", decision, approve, attribute("nonce_str", strings.Repeat("n", 33)), 401, "SIGN_ERROR", "nonce_str"},
		{"no timestamp", "POST", decision, approve, attribute("timestamp", "OMIT"), 401, "SIGN_ERROR", "timestamp"},
		{"milliseconds", "POST", decision, approve, attribute("timestamp", "1772596800000"), 401, "SIGN_ERROR", "timestamp"},
		{"old", "POST", decision, approve, func(m *message) { m.at = m.at.Add(-301 * time.Second) }, 401, "SIGN_ERROR", "timestamp"},
		{"ahead", "POST", decision, approve, func(m *message) { m.at = m.at.Add(302 * time.Second) }, 401, "SIGN_ERROR", "timestamp"},
		{"empty signature", "POST", decision, approve, attribute("signature", ""), 401, "SIGN_ERROR", "signature"},
		{"signature not base64", "POST", decision, approve, attribute("signature", "?"), 401, "SIGN_ERROR", "signature"},
		{"signature in URL base64", "POST", decision, approve, attribute("signature", strings.Repeat("-_", 171)+"=="), 401, "SIGN_ERROR", "signature"},
		{"signed without body", "POST", decision, approve, signs("POST\n" + decision + "\nTIMESTAMP\nNONCE\n\n"), 401, "SIGN_ERROR", "signature"},
		{"signed without last line end", "POST", decision, approve, signs("POST\n" + decision + "\nTIMESTAMP\nNONCE\n" + approve), 401, "SIGN_ERROR", "signature"},
		{"signed another body", "POST", decision, approve, signs("POST\n" + decision + "\nTIMESTAMP\nNONCE\n{\"action\":\"REJECT\"}\n"), 401, "SIGN_ERROR", "signature"},
		{"signed without query", "GET", day, "", signs("GET\n" + complaints + "\nTIMESTAMP\nNONCE\n\n"), 401, "SIGN_ERROR", "signature"},

		// Where.
		{"unknown path", "GET", "/v3/merchant-service/complaints", "", nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"slash at the end", "GET", complaints + "/", "", nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"wrong method", "PUT", decision, approve, nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"the right spelling of history", "GET", complaints + "/" + refundID + "/negotiation-histories", "", nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"a query on a POST", "POST", decision + "?a=1", approve, nil, 400, "PARAM_ERROR", "a"},
		{"a body on a GET", "GET", complaints + "/" + refundID, "{}", nil, 400, "PARAM_ERROR", ""},
		{"a body on a DELETE", "DELETE", callback, "{}", nil, 400, "PARAM_ERROR", ""},
		{"a query on a DELETE", "DELETE", callback + "?url=x", "", nil, 400, "PARAM_ERROR", "url"},
		{"a long complaint_id", "GET", complaints + "/" + strings.Repeat("1", 65), "", nil, 400, "PARAM_ERROR", "complaint_id"},
		{"an emoji in the path", "GET", complaints + "/%F0%9F%98%80", "", nil, 400, "PARAM_ERROR", "complaint_id"},
		{"an unknown complaint", "POST", complaints + "/1/update-refund-progress", approve, nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"a foreign complaint", "POST", complaints + "/" + foreignID + "/update-refund-progress", approve, nil, 403, "NO_AUTH", ""},
		{"a foreign complaint's detail", "GET", complaints + "/" + foreignID, "", nil, 403, "NO_AUTH", ""},
		{"a foreign complaint's history", "GET", complaints + "/" + foreignID + "/negotiation-historys", "", nil, 403, "NO_AUTH", ""},

		// JSON.
		{"empty body", "POST", decision, "", header("Content-Type", "application/json"), 400, "PARAM_ERROR", ""},
		{"no JSON", "POST", decision, "action=APPROVE", nil, 400, "PARAM_ERROR", ""},
		{"half a JSON", "POST", decision, `{"action":"APPROVE"`, nil, 400, "PARAM_ERROR", ""},
		{"an array", "POST", decision, `[]`, nil, 400, "PARAM_ERROR", ""},
		{"two objects", "POST", decision, approve + approve, nil, 400, "PARAM_ERROR", ""},
		{"a member twice", "POST", decision, `{"action":"APPROVE","action":"REJECT"}`, nil, 400, "PARAM_ERROR", "/action"},
		{"not UTF-8", "POST", decision, "{\"action\":\"REJECT\",\"reject_reason\":\"\xff\"}", nil, 400, "PARAM_ERROR", ""},
		{"an emoji", "POST", decision, `{"action":"REJECT","reject_reason":"😀"}`, nil, 400, "PARAM_ERROR", "/reject_reason"},
		{"an escaped emoji", "POST", decision, `{"action":"REJECT","reject_reason":"\ud83d\ude00"}`, nil, 400, "PARAM_ERROR", "/reject_reason"},
		{"an emoji in a name", "POST", decision, `{"action":"REJECT","😀":1}`, nil, 400, "PARAM_ERROR", "/😀"},
		{"deep", "POST", decision, `{"action":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, nil, 400, "PARAM_ERROR", "/action" + strings.Repeat("/0", 32)},
		{"an unknown field", "POST", decision, `{"action":"APPROVE","complainted_mchid":"1900000001"}`, nil, 400, "PARAM_ERROR", "/complainted_mchid"},
		{"a field in other case", "POST", decision, `{"Action":"APPROVE"}`, nil, 400, "PARAM_ERROR", "/Action"},
		{"an unknown field with a slash", "POST", decision, `{"action":"APPROVE","a/b~c":1}`, nil, 400, "PARAM_ERROR", "/a~1b~0c"},

		// 7: decision.
		{"no action", "POST", decision, `{"launch_refund_day":0}`, nil, 400, "PARAM_ERROR", "/action"},
		{"action null", "POST", decision, `{"action":null}`, nil, 400, "PARAM_ERROR", "/action"},
		{"action in lower case", "POST", decision, `{"action":"approve"}`, nil, 400, "PARAM_ERROR", "/action"},
		{"action a number", "POST", decision, `{"action":1}`, nil, 400, "PARAM_ERROR", "/action"},
		{"remark null", "POST", decision, `{"action":"APPROVE","remark":null}`, nil, 400, "PARAM_ERROR", "/remark"},
		{"day negative", "POST", decision, `{"action":"APPROVE","launch_refund_day":-1}`, nil, 400, "PARAM_ERROR", "/launch_refund_day"},
		{"day a string", "POST", decision, `{"action":"APPROVE","launch_refund_day":"0"}`, nil, 400, "PARAM_ERROR", "/launch_refund_day"},
		{"day a fraction", "POST", decision, `{"action":"APPROVE","launch_refund_day":1.0}`, nil, 400, "PARAM_ERROR", "/launch_refund_day"},
		{"day huge", "POST", decision, `{"action":"APPROVE","launch_refund_day":99999999999999999999}`, nil, 400, "PARAM_ERROR", "/launch_refund_day"},
		{"day with REJECT", "POST", decision, `{"action":"REJECT","launch_refund_day":0}`, nil, 400, "PARAM_ERROR", "/launch_refund_day"},
		{"reason with APPROVE", "POST", decision, `{"action":"APPROVE","reject_reason":""}`, nil, 400, "PARAM_ERROR", "/reject_reason"},
		{"images with APPROVE", "POST", decision, `{"action":"APPROVE","reject_media_list":[]}`, nil, 400, "PARAM_ERROR", "/reject_media_list"},
		{"long reason", "POST", decision, `{"action":"REJECT","reject_reason":"` + strings.Repeat("字", 201) + `"}`, nil, 400, "PARAM_ERROR", "/reject_reason"},
		{"long remark", "POST", decision, `{"action":"APPROVE","remark":"` + strings.Repeat("字", 201) + `"}`, nil, 400, "PARAM_ERROR", "/remark"},
		{"five images", "POST", decision, `{"action":"REJECT","reject_media_list":["a","b","c","d","e"]}`, nil, 400, "PARAM_ERROR", "/reject_media_list"},
		{"images a string", "POST", decision, `{"action":"REJECT","reject_media_list":"a"}`, nil, 400, "PARAM_ERROR", "/reject_media_list"},
		{"unknown image", "POST", decision, `{"action":"REJECT","reject_media_list":["file1_2"]}`, nil, 400, "PARAM_ERROR", "/reject_media_list/0"},
		{"image null", "POST", decision, `{"action":"REJECT","reject_media_list":[null]}`, nil, 400, "PARAM_ERROR", "/reject_media_list/0"},
		{"not a refund request", "POST", complaints + "/" + otherID + "/update-refund-progress", approve, nil, 400, "PARAM_ERROR", ""},
		{"finished", "POST", complaints + "/" + closedID + "/update-refund-progress", approve, nil, 400, "INVALID_REQUEST", ""},

		// 1 and 3: pages.
		{"no begin_date", "GET", complaints + "?end_date=2026-03-04", "", nil, 400, "PARAM_ERROR", "begin_date"},
		{"no end_date", "GET", complaints + "?begin_date=2026-03-04", "", nil, 400, "PARAM_ERROR", "end_date"},
		{"a date without zeros", "GET", complaints + "?begin_date=2026-3-4&end_date=2026-03-04", "", nil, 400, "PARAM_ERROR", "begin_date"},
		{"no such day", "GET", complaints + "?begin_date=2026-02-29&end_date=2026-03-04", "", nil, 400, "PARAM_ERROR", "begin_date"},
		{"begin after end", "GET", complaints + "?begin_date=2026-03-05&end_date=2026-03-04", "", nil, 400, "PARAM_ERROR", "begin_date"},
		{"31 days", "GET", complaints + "?begin_date=2026-03-01&end_date=2026-03-31", "", nil, 400, "PARAM_ERROR", "end_date"},
		{"limit 0", "GET", day + "&limit=0", "", nil, 400, "PARAM_ERROR", "limit"},
		{"limit 51", "GET", day + "&limit=51", "", nil, 400, "PARAM_ERROR", "limit"},
		{"limit a word", "GET", day + "&limit=all", "", nil, 400, "PARAM_ERROR", "limit"},
		{"limit empty", "GET", day + "&limit=", "", nil, 400, "PARAM_ERROR", "limit"},
		{"limit twice", "GET", day + "&limit=1&limit=2", "", nil, 400, "PARAM_ERROR", "limit"},
		{"offset negative", "GET", day + "&offset=-1", "", nil, 400, "PARAM_ERROR", "offset"},
		{"unknown query", "GET", day + "&page=1", "", nil, 400, "PARAM_ERROR", "page"},
		{"malformed query", "GET", day + "&limit=%zz", "", nil, 400, "PARAM_ERROR", ""},
		{"an emoji in the query", "GET", day + "&complainted_mchid=%F0%9F%98%80", "", nil, 400, "PARAM_ERROR", "complainted_mchid"},
		{"a long merchant", "GET", day + "&complainted_mchid=" + strings.Repeat("1", 65), "", nil, 400, "PARAM_ERROR", "complainted_mchid"},
		{"a foreign merchant", "GET", day + "&complainted_mchid=1900000009", "", nil, 403, "NO_AUTH", ""},
		{"history limit 301", "GET", complaints + "/" + refundID + "/negotiation-historys?limit=301", "", nil, 400, "PARAM_ERROR", "limit"},
		{"history limit 0", "GET", complaints + "/" + refundID + "/negotiation-historys?limit=0", "", nil, 400, "PARAM_ERROR", "limit"},
		{"a query on the detail", "GET", complaints + "/" + refundID + "?limit=1", "", nil, 400, "PARAM_ERROR", "limit"},

		// 4: reply.
		{"reply without merchant", "POST", response, `{"response_content":"好"}`, nil, 400, "PARAM_ERROR", "/complainted_mchid"},
		{"reply without content", "POST", response, `{"complainted_mchid":"1900000001"}`, nil, 400, "PARAM_ERROR", "/response_content"},
		{"reply with empty content", "POST", response, `{"complainted_mchid":"1900000001","response_content":""}`, nil, 400, "PARAM_ERROR", "/response_content"},
		{"reply for another merchant", "POST", response, `{"complainted_mchid":"1900000009","response_content":"好"}`, nil, 400, "PARAM_ERROR", "/complainted_mchid"},
		{"reply of 501 characters", "POST", response, `{"complainted_mchid":"1900000001","response_content":"` + strings.Repeat("字", 501) + `"}`, nil, 400, "PARAM_ERROR", "/response_content"},
		{"reply with five images", "POST", response, `{` + reply + `,"response_images":["a","b","c","d","e"]}`, nil, 400, "PARAM_ERROR", "/response_images"},
		{"reply with http link", "POST", response, `{` + reply + `,"jump_url":"http://example.com/","jump_url_text":"看"}`, nil, 400, "PARAM_ERROR", "/jump_url"},
		{"reply with link alone", "POST", response, `{` + reply + `,"jump_url":"https://example.com/"}`, nil, 400, "PARAM_ERROR", "/jump_url_text"},
		{"reply with link text alone", "POST", response, `{` + reply + `,"jump_url_text":"看"}`, nil, 400, "PARAM_ERROR", "/jump_url"},
		{"reply with long link text", "POST", response, `{` + reply + `,"jump_url":"https://example.com/","jump_url_text":"一二三四五六七八九十一"}`, nil, 400, "PARAM_ERROR", "/jump_url_text"},
		{"reply with half a mini program", "POST", response, `{` + reply + `,"mini_program_jump_info":{"appid":"wx1","path":"p"}}`, nil, 400, "PARAM_ERROR", "/mini_program_jump_info/text"},
		{"reply with link, not on the list", "POST", response, `{` + reply + `,"jump_url":"https://example.com/","jump_url_text":"看"}`, nil, 403, "NO_AUTH", ""},
		{"reply with empty link", "POST", response, `{` + reply + `,"jump_url":"","jump_url_text":""}`, nil, 403, "NO_AUTH", ""},

		// 5: immediate service.
		{"no message", "POST", immediate, `{` + now + `}`, nil, 400, "PARAM_ERROR", "/message"},
		{"no idempotent_id", "POST", immediate, `{"complainted_mchid":"1900000001","message":{}}`, nil, 400, "PARAM_ERROR", "/idempotent_id"},
		{"long idempotent_id", "POST", immediate, `{"complainted_mchid":"1900000001","message":{},"idempotent_id":"` + strings.Repeat("1", 129) + `"}`, nil, 400, "PARAM_ERROR", "/idempotent_id"},
		{"sender at top level", "POST", immediate, `{` + now + `,"message":{},"message_sender_identity":"MANUAL"}`, nil, 400, "PARAM_ERROR", "/message_sender_identity"},
		{"unknown sender", "POST", immediate, `{` + now + `,"message":{"sender_identity":"ROBOT"}}`, nil, 400, "PARAM_ERROR", "/message/sender_identity"},
		{"unknown block", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"VIDEO"}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/type"},
		{"block without payload", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"TEXT"}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/text"},
		{"block with another payload", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"TEXT","text":{"text":"a"},"image":{"media_id":"m"}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/image"},
		{"link without URL", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"LINK","link":{"text":"a","action":{"action_type":"ACTION_TYPE_JUMP_URL"}}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/link/action/jump_url"},
		{"button that says nothing", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"BUTTON_GROUP","button_group":{"buttons":[{"text":"a","action":{"action_type":"ACTION_TYPE_SEND_MESSAGE"}}]}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/button_group/buttons/0/action/message_info"},
		{"question without mini program", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"FAQ_LIST","faq_list":{"faqs":[{"faq_id":"1","action":{"action_type":"ACTION_TYPE_JUMP_MINI_PROGRAM"}}]}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/faq_list/faqs/0/action/mini_program_jump_info"},
		{"unknown field deep down", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"FAQ_LIST","faq_list":{"faqs":[],"invalid_info":{}}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/faq_list/invalid_info"},
		{"image nobody uploaded", "POST", immediate, `{` + now + `,"message":{"blocks":[{"type":"IMAGE","image":{"media_id":"m"}}]}}`, nil, 400, "PARAM_ERROR", "/message/blocks/0/image/media_id"},
		{"no immediate service needed", "POST", complaints + "/" + refundID + "/response-immediate-service", `{` + now + `,"message":{}}`, nil, 400, "INVALID_REQUEST", ""},

		// 6: complete.
		{"complete without merchant", "POST", complete, `{}`, nil, 400, "PARAM_ERROR", "/complainted_mchid"},
		{"complete for another merchant", "POST", complete, `{"complainted_mchid":"1900000009"}`, nil, 400, "PARAM_ERROR", "/complainted_mchid"},
		{"complete twice", "POST", complaints + "/" + closedID + "/complete", `{"complainted_mchid":"1900000001"}`, nil, 400, "INVALID_REQUEST", ""},

		// 8 to 11: notification URL.
		{"no url", "POST", callback, `{}`, nil, 400, "PARAM_ERROR", "/url"},
		{"http url", "POST", callback, `{"url":"http://example.com/n"}`, nil, 400, "PARAM_ERROR", "/url"},
		{"url with query", "PUT", callback, `{"url":"https://example.com/n?a=1"}`, nil, 400, "PARAM_ERROR", "/url"},
		{"long url", "PUT", callback, `{"url":"https://example.com/` + strings.Repeat("n", 240) + `"}`, nil, 400, "PARAM_ERROR", "/url"},
		{"none to read", "GET", callback, "", nil, 400, "RESOURCE_NOT_EXISTS", ""},
		{"none to change", "PUT", callback, `{"url":"https://example.com/n"}`, nil, 400, "RESOURCE_NOT_EXISTS", ""},
		{"none to delete", "DELETE", callback, "", nil, 400, "RESOURCE_NOT_EXISTS", ""},

		// 12 and 13: images.
		{"upload as JSON", "POST", images + "upload", `{}`, nil, 400, "INVALID_REQUEST", "Content-Type"},
		{"upload without file", "POST", images + "upload", "", sends(upload{metaOf("a.png", nil), nil, []string{"meta"}}), 400, "PARAM_ERROR", "/file"},
		{"upload with a third part", "POST", images + "upload", "", sends(upload{metaOf("a.png", png(1)), png(1), []string{"meta", "file", "more"}}), 400, "PARAM_ERROR", "/more"},
		{"upload signed over the multipart body", "POST", images + "upload", "", func(m *message) {
			m.upload = &upload{meta: metaOf("a.png", png(1)), file: png(1)}
			m.signed = ptr("POST\n" + images + "upload\nTIMESTAMP\nNONCE\nmultipart\n")
		}, 401, "SIGN_ERROR", "signature"},
		{"meta no JSON", "POST", images + "upload", "", sends(upload{meta: "x", file: png(1)}), 400, "PARAM_ERROR", "/meta"},
		{"meta with more", "POST", images + "upload", "", sends(upload{meta: `{"filename":"a.png","sha256":"` + strings.Repeat("0", 64) + `","size":1}`, file: png(1)}), 400, "PARAM_ERROR", "/meta/size"},
		{"file name of another type", "POST", images + "upload", "", sends(upload{meta: metaOf("a.gif", png(1)), file: png(1)}), 400, "PARAM_ERROR", "/meta/filename"},
		{"file name too long", "POST", images + "upload", "", sends(upload{meta: metaOf(strings.Repeat("a", 125)+".png", png(1)), file: png(1)}), 400, "PARAM_ERROR", "/meta/filename"},
		{"digest of another file", "POST", images + "upload", "", sends(upload{meta: metaOf("a.png", png(2)), file: png(1)}), 400, "PARAM_ERROR", "/meta/sha256"},
		{"digest no digest", "POST", images + "upload", "", sends(upload{meta: `{"filename":"a.png","sha256":"00"}`, file: png(1)}), 400, "PARAM_ERROR", "/meta/sha256"},
		{"empty file", "POST", images + "upload", "", sends(upload{meta: metaOf("a.png", nil)}), 400, "PARAM_ERROR", "/file"},
		{"text named png", "POST", images + "upload", "", sends(upload{meta: metaOf("a.png", []byte("text")), file: []byte("text")}), 400, "PARAM_ERROR", "/file"},
		{"png named jpg", "POST", images + "upload", "", sends(upload{meta: metaOf("a.jpg", png(1)), file: png(1)}), 400, "PARAM_ERROR", "/meta/filename"},
		{"file over 2 MB", "POST", images + "upload", "", sends(upload{meta: metaOf("a.png", png(2<<20-7)), file: png(2<<20 - 7)}), 400, "PARAM_ERROR", "/file"},
		{"download of nothing", "GET", images + "abc%3D%3D", "", nil, 400, "PARAM_ERROR", "media_id"},
		{"download with a query", "GET", images + "abc?size=1", "", nil, 400, "PARAM_ERROR", "size"},

		// 14 to 17.
		{"certificates of no kind", "GET", "/v3/certificates?algorithm_type=DSA", "", nil, 400, "PARAM_ERROR", "algorithm_type"},
		{"refund of no order", "POST", refunds, `{"out_refund_no":"r-1",` + amount + `}`, nil, 400, "PARAM_ERROR", "/transaction_id"},
		{"refund of two orders", "POST", refunds, `{` + refund + `,"out_trade_no":"trade-1",` + amount + `}`, nil, 400, "PARAM_ERROR", "/out_trade_no"},
		{"refund of an unknown order", "POST", refunds, `{"transaction_id":"42","out_refund_no":"r-1",` + amount + `}`, nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"refund of a foreign order", "POST", refunds, `{"transaction_id":"4200002","out_refund_no":"r-1",` + amount + `}`, nil, 403, "NO_AUTH", ""},
		{"refund without number", "POST", refunds, `{"transaction_id":"4200001",` + amount + `}`, nil, 400, "PARAM_ERROR", "/out_refund_no"},
		{"refund number with a blank", "POST", refunds, `{"transaction_id":"4200001","out_refund_no":"r 1",` + amount + `}`, nil, 400, "PARAM_ERROR", "/out_refund_no"},
		{"refund number of 65 bytes", "POST", refunds, `{"transaction_id":"4200001","out_refund_no":"` + strings.Repeat("r", 65) + `",` + amount + `}`, nil, 400, "PARAM_ERROR", "/out_refund_no"},
		{"refund reason of 81 bytes", "POST", refunds, `{` + refund + `,"reason":"` + strings.Repeat("字", 27) + `",` + amount + `}`, nil, 400, "PARAM_ERROR", "/reason"},
		{"refund without amount", "POST", refunds, `{` + refund + `}`, nil, 400, "PARAM_ERROR", "/amount"},
		{"refund in dollars", "POST", refunds, `{` + refund + `,"amount":{"refund":1,"total":100,"currency":"USD"}}`, nil, 400, "PARAM_ERROR", "/amount/currency"},
		{"refund of nothing", "POST", refunds, `{` + refund + `,"amount":{"refund":0,"total":100,"currency":"CNY"}}`, nil, 400, "PARAM_ERROR", "/amount/refund"},
		{"refund of more than the total", "POST", refunds, `{` + refund + `,"amount":{"refund":101,"total":100,"currency":"CNY"}}`, nil, 400, "PARAM_ERROR", "/amount/refund"},
		{"refund with a wrong total", "POST", refunds, `{` + refund + `,"amount":{"refund":100,"total":200,"currency":"CNY"}}`, nil, 400, "INVALID_REQUEST", ""},
		{"refund from an account twice", "POST", refunds, `{` + refund + `,"amount":{"refund":2,"total":100,"currency":"CNY","from":[{"account":"AVAILABLE","amount":1},{"account":"AVAILABLE","amount":1}]}}`, nil, 400, "PARAM_ERROR", "/amount/from/1/account"},
		{"refund from accounts with another sum", "POST", refunds, `{` + refund + `,"amount":{"refund":2,"total":100,"currency":"CNY","from":[{"account":"AVAILABLE","amount":1}]}}`, nil, 400, "PARAM_ERROR", "/amount/from"},
		{"refund from accounts under complaint", "POST", refunds, `{` + refund + `,"amount":{"refund":1,"total":100,"currency":"CNY","from":[{"account":"AVAILABLE","amount":1}]}}`, nil, 400, "INVALID_REQUEST", ""},
		{"refund with unknown fields", "POST", refunds, `{` + refund + `,` + amount + `,"total_fee":1}`, nil, 400, "PARAM_ERROR", "/total_fee"},
		{"refund by an ordinary merchant with sub_mchid", "POST", refunds, `{` + refund + `,` + amount + `,"sub_mchid":"1"}`, nil, 400, "PARAM_ERROR", "/sub_mchid"},
		{"refund with a callback with a query", "POST", refunds, `{` + refund + `,` + amount + `,"notify_url":"https://example.com/?a=1"}`, nil, 400, "PARAM_ERROR", "/notify_url"},
		{"refund of goods without a price", "POST", refunds, `{` + refund + `,` + amount + `,"goods_detail":[{"merchant_goods_id":"g","refund_amount":1,"refund_quantity":1}]}`, nil, 400, "PARAM_ERROR", "/goods_detail/0/unit_price"},
		{"unknown refund", "GET", refunds + "/r-1", "", nil, 404, "RESOURCE_NOT_EXISTS", ""},
		{"query with sub_mchid", "GET", refunds + "/r-1?sub_mchid=1", "", nil, 400, "PARAM_ERROR", "sub_mchid"},
		{"query of no refund number", "GET", refunds + "/r%20", "", nil, 400, "PARAM_ERROR", "out_refund_no"},
		{"echo without key", "POST", "/v3/security/echo", `{"echo_message":"a"}`, nil, 400, "PARAM_ERROR", "Wechatpay-Serial"},
		{"echo with an unknown key", "POST", "/v3/security/echo", `{"echo_message":"a"}`, header("Wechatpay-Serial", "PUB_KEY_ID_1"), 400, "PARAM_ERROR", "Wechatpay-Serial"},
		{"echo without message", "POST", "/v3/security/echo", `{}`, nil, 400, "PARAM_ERROR", "/echo_message"},
		{"echo of a wrong ciphertext", "POST", "/v3/security/echo", `{"echo_message":"a","encrypted_echo_message":"AAAA"}`, func(m *message) {
			m.header.Set("Wechatpay-Serial", m.cfg.PublicKeyID)
		}, 400, "PARAM_ERROR", "/encrypted_echo_message"},
	}
	require.GreaterOrEqual(t, len(tests), 60)
	seen := map[string]bool{}
	for _, test := range tests {
		require.False(t, seen[test.name], test.name)
		seen[test.name] = true
		t.Run(test.name, func(t *testing.T) {
			s := start(t)
			s.AddComplaint(wechatpay.Complaint{ComplaintID: refundID, ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
				{TransactionID: "4200001", OutTradeNo: "trade-1", Amount: 100}}})
			s.AddComplaint(wechatpay.Complaint{ComplaintID: otherID, ProblemType: wechatpay.ProblemTypeOthers})
			s.AddComplaint(wechatpay.Complaint{ComplaintID: foreignID, ComplaintedMchID: "1900000009", ComplaintOrderInfo: []wechatpay.ComplaintOrderInfo{
				{TransactionID: "4200002", OutTradeNo: "trade-2", Amount: 100}}})
			s.AddComplaint(wechatpay.Complaint{ComplaintID: closedID, ComplaintState: wechatpay.ComplaintStateProcessed})
			s.AddComplaint(wechatpay.Complaint{ComplaintID: immediateID, NeedImmediateService: true})
			before := snapshot(s, refundID, otherID, foreignID, closedID, immediateID)

			m := newMessage(s, test.method, test.target, test.body)
			if test.change != nil {
				test.change(m)
			}
			r := m.send(t, s)
			var body struct {
				Code, Message string
				Detail        json.RawMessage
			}
			require.NoError(t, json.Unmarshal(r.body, &body), "%s", r.body)
			require.Equal(t, test.status, r.StatusCode, "%s", r.body)
			require.Equal(t, test.code, body.Code, "%s", r.body)
			require.NotEmpty(t, body.Message)
			var detail struct{ Field string }
			if body.Detail != nil {
				require.NoError(t, json.Unmarshal(body.Detail, &detail))
			}
			require.Equal(t, test.field, detail.Field, "%s", r.body)
			require.Regexp(t, `^08F7[0-9A-F]+-[1-9][0-9]*$`, r.Header.Get("Request-ID"))
			require.Equal(t, test.status != 401, r.signedBy(s.Config().PublicKey), "refusals are signed, 401 apart")

			require.False(t, wrote(s))
			require.Equal(t, before, snapshot(s, refundID, otherID, foreignID, closedID, immediateID))
			require.Empty(t, s.Refunds())
			log := s.Requests()
			require.Len(t, log, 1)
			require.Equal(t, body.Message, log[0].Problem)
			require.Equal(t, body.Code, log[0].Code)
		})
	}
}

// snapshot is all that can be seen of the complaints.
func snapshot(s *wechatpaytest.Server, ids ...string) []any {
	var all []any
	for _, id := range ids {
		c, _ := s.Complaint(id)
		all = append(all, c, s.History(id))
	}
	return all
}

func TestDetailOfARefusal(t *testing.T) {
	s := start(t)
	path := complaint(s, wechatpay.Complaint{})
	detail := func(r reply) map[string]any { return r.json(t)["detail"].(map[string]any) }

	r := newMessage(s, "POST", path+"/update-refund-progress", `{"action":"MAYBE"}`).send(t, s)
	require.Equal(t, "MAYBE", detail(r)["value"])
	require.Equal(t, "body", detail(r)["location"])
	require.Contains(t, detail(r)["issue"], "APPROVE, REJECT")

	r = newMessage(s, "GET", complaints+"?begin_date=x&end_date=2026-03-04", "").send(t, s)
	require.Equal(t, "x", detail(r)["value"])
	require.Equal(t, "query", detail(r)["location"])

	r = newMessage(s, "POST", path+"/update-refund-progress", `{"action":"APPROVE","b":1,"a":2}`).send(t, s)
	require.Equal(t, []any{"/b", "/a"}, detail(r)["value"], "all unknown members, in the order of the body")
	require.Nil(t, detail(r)["location"])
	require.True(t, strings.HasSuffix(r.Header.Get("Request-ID"), "-270924358"))
}

func TestEcho(t *testing.T) {
	s := start(t)
	cfg := s.Config()
	ciphertext, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, cfg.PublicKey, []byte("秘密"), nil)
	require.NoError(t, err)
	m := newMessage(s, "POST", "/v3/security/echo", `{"echo_message":"你好","encrypted_echo_message":"`+base64.StdEncoding.EncodeToString(ciphertext)+`"}`)
	m.header.Set("Wechatpay-Serial", cfg.PublicKeyID)
	r := m.send(t, s)
	require.Equal(t, 200, r.StatusCode, "%s", r.body)
	require.Equal(t, "你好", r.json(t)["echo_message"])
	require.Equal(t, "秘密", decryptWith(t, cfg, r.json(t)["encrypted_echo_message"].(string)))
}
