package pagetest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// startMock builds and starts the command, and loads its settings into the environment.
func startMock(t *testing.T) (url string, stop func()) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "wechatpay-mock")
	out, err := exec.Command("go", "build", "-C", "../../..", "-o", binary, "./cmd/wechatpay-mock").CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(binary, "-dir", dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = cmd.Process.Signal(syscall.SIGTERM)
			_ = cmd.Wait()
		})
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	require.NoError(t, err)
	for _, line := range strings.Split(string(env), "\n") {
		if setting, found := strings.CutPrefix(line, "export "); found {
			name, value, _ := strings.Cut(setting, "=")
			t.Setenv(name, strings.Trim(value, "'"))
		}
	}
	return url, stop
}

// picture is a file with an image of one colour.
func picture(t *testing.T, name string, c color.Color) string {
	img := image.NewRGBA(image.Rect(0, 0, 160, 100))
	for x := range 160 {
		for y := range 100 {
			img.Set(x, y, c)
		}
	}
	var data bytes.Buffer
	require.NoError(t, png.Encode(&data, img))
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, data.Bytes(), 0o600))
	return file
}

func newClient(t *testing.T, change func(*http.Request)) *wechatpay.Client {
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	if change != nil {
		cfg.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			change(r)
			return http.DefaultTransport.RoundTrip(r)
		})
	}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	return client
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// hostile is what must stay text.
const hostile = `<img src=x onerror="document.title='owned'"></p><script>document.title='owned'</script> & "没有收到"`

// A merchant's afternoon: every button is pressed, and what the merchant's
// program does is seen by itself.
func TestPage(t *testing.T) {
	b := startBrowser(t, "en-US")
	url, stop := startMock(t)
	ctx := context.Background()
	client := newClient(t, nil)

	b.run(chromedp.Navigate(url + "/"))
	b.sees("#live", "live")
	b.sees("#complaints-empty", "No complaint yet")
	b.sees("#url", url)
	require.Equal(t, "en", eval[string](b, `document.documentElement.lang`))

	// The user files a complaint.
	b.fill("#file-form [name=detail]", hostile)
	b.fill("#file-form [name=amount]", "25.5")
	b.fill("#file-form [name=phone]", "13800138000")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#file-form [name=pictures]"), []string{picture(t, "a.png", color.RGBA{200, 80, 60, 255}), picture(t, "b.png", color.RGBA{60, 120, 200, 255})}))
	b.click("#file-form [name=trusted]")
	b.click("#file-form .primary")
	b.sees("#file-form output", "Filed: ")
	id := strings.TrimPrefix(b.text("#file-form output"), "Filed: ")
	b.sees("#complaints tbody .badge", "pending")
	b.sees("#complaints tbody", "¥25.50")
	require.Equal(t, id, b.text("#detail-id"))
	require.Equal(t, hostile, b.text("#detail .quote"))
	b.sees("#detail .badge", "trusted user")
	b.sees("#detail .facts", "encrypted")
	require.NotContains(t, b.text("body"), "13800138000")
	b.waits(`[...document.querySelectorAll("#detail-body .pictures img")].filter((i) => i.complete && i.naturalWidth === 160).length === 2`)
	require.Equal(t, "", eval[string](b, `document.querySelector("#file-form [name=detail]").value`), "the form is empty again")
	complaint, err := client.ComplaintsV2.Get(ctx, id)
	require.NoError(t, err)
	require.Equal(t, hostile, complaint.ComplaintDetail)
	require.EqualValues(t, 2550, complaint.ApplyRefundAmount)
	b.sees("#requests tbody tr", "/v3/merchant-service/complaints-v2/"+id)

	// The user writes, the merchant's program answers with a picture of its own.
	b.fill("#reply-form [name=text]", "Still nothing. <b></b>")
	b.run(chromedp.SetUploadFiles(chromedp.CSS("#reply-form [name=pictures]"), []string{picture(t, "c.png", color.RGBA{90, 160, 90, 255})}))
	b.click("#reply-form .primary")
	b.sees("#history li.user p", "Still nothing. <b></b>")
	b.sees("#detail .badge", "a message waits for a reply")
	file, err := os.Open(picture(t, "reply.png", color.RGBA{160, 90, 160, 255}))
	require.NoError(t, err)
	defer file.Close()
	mediaID, err := client.ComplaintsV2.UploadImage(ctx, "reply.png", file)
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.Respond(ctx, id, &wechatpay.RespondRequest{ComplaintedMchID: complaint.ComplaintedMchID, ResponseContent: "We refund you today.", ResponseImages: []string{mediaID}}))
	b.sees("#history li.merchant p", "We refund you today.")
	b.waits(`["li.user:nth-child(2) img", "li.merchant img"].every((s) => document.querySelector("#history " + s)?.naturalWidth === 160)`)

	// Its decision, and its refund, which then arrives.
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.ApproveRefund(0)))
	b.sees("#complaints tbody .badge", "in progress")
	b.sees("#history li.merchant", "The merchant approved the refund")
	require.Error(t, client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.RejectRefund("no")), "it decided already")
	b.sees("#requests tr.refused", "INVALID_REQUEST")
	refundRequest := func(number string) {
		complaint, err := client.ComplaintsV2.Get(ctx, id)
		require.NoError(t, err)
		order := complaint.ComplaintOrderInfo[0]
		body := map[string]any{
			"transaction_id": order.TransactionID,
			"out_refund_no":  number,
			"amount":         map[string]any{"refund": order.Amount, "total": order.Amount, "currency": "CNY"},
		}
		require.NoError(t, client.Do(ctx, "POST", "/v3/refund/domestic/refunds", body, &struct{}{}))
	}
	refundRequest("refund-1")
	b.sees("#refunds tbody tr", "refund-1")
	b.click(`#refunds [data-step=close]`)
	b.sees("#refunds tbody .badge", "failed")
	refundRequest("refund-2")
	b.sees("#refunds tbody tr", "refund-2")
	b.click(`#refunds [data-step=abnormal]`)
	b.sees("#refunds tbody .badge", "refused by the bank")
	b.click(`#refunds [data-step=arrive]`)
	b.sees("#refunds tbody .badge", "arrived")
	b.sees("#complaints tbody .badge", "finished")
	b.sees("#detail .badge", "refunded in full")

	// What cannot be is refused with a sentence.
	b.click("#platform-refund")
	b.sees("#reply-form output.bad", "is refunded in full already")
	b.click("#continue")
	b.sees("#reply-form output.good", "Done")
	b.sees("#complaints tbody .badge", "pending")
	b.sees("#history li.user", "The user filed it again")

	// Another complaint, which WeChat Pay refunds.
	b.fill("#file-form [name=detail]", "The film never started.")
	b.choose("#file-form [name=type]", "SERVICE_NOT_WORK")
	b.click("#file-form [name=urgent]")
	b.click("#file-form .primary")
	b.sees("#detail .quote", "The film never started.")
	b.sees("#detail .badge", "needs an immediate answer")
	b.click("#platform-refund")
	b.sees("#history li.platform", "WeChat Pay refunded by itself")
	b.click(fmt.Sprintf(`#complaints [data-key="%s"]`, id))
	b.sees("#detail-id", id)
	require.Equal(t, id, eval[string](b, `document.activeElement.dataset.key`), "the focus stays where it was")

	// Notifications.
	got := make(chan *wechatpay.Notification, 10)
	shop := httptest.NewServer(client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
		got <- n
		return nil
	}))
	defer shop.Close()
	b.fill("#notify-form [name=url]", shop.URL+"/notify")
	b.choose("#notify-form [name=event]", "COMPLAINT.STATE_CHANGE")
	b.choose("#notify-form [name=about]", id)
	b.choose("#notify-form [name=action]", "USER_RESPONSE")
	b.click("#notify-form .primary")
	b.sees("#notify-form output.good", "The receiver answered 20")
	n := <-got
	require.Equal(t, id, n.ComplaintID)
	require.Equal(t, wechatpay.NotificationActionTypeUserResponse, n.ActionType)
	b.choose("#notify-form [name=event]", "REFUND.SUCCESS")
	b.choose("#notify-form [name=about]", "refund-2")
	require.True(t, eval[bool](b, `document.querySelector("#notify-form [name=action]").disabled`))
	b.click("#notify-form .primary")
	n = <-got
	require.EqualValues(t, "REFUND.SUCCESS", n.EventType)
	b.sees("#notify-form output.good", "The receiver answered 20")
	b.click("#set-url")
	b.sees("#notify-form output", "Set: ")
	b.fill("#reply-form [name=text]", "Are you there?")
	b.click("#reply-form .primary")
	b.sees("#pending tbody tr", "USER_RESPONSE")
	b.sees("#pending-count", "1 to be delivered")
	b.click("#deliver")
	n = <-got
	require.Equal(t, id, n.ComplaintID)
	b.run(chromedp.WaitNotVisible(chromedp.CSS("#deliver")))
	b.sees("#deliver-output", "Delivered: 1 of 1")

	// A request whose signature is over another path than the one that came.
	_, err = newClient(t, func(r *http.Request) { r.URL.RawQuery = "from=app" }).ComplaintsV2.Get(ctx, id)
	require.ErrorContains(t, err, "SIGN_ERROR")
	b.sees("#requests tr.refused", "without the query")
	b.click("#requests tbody tr.refused button")
	path := "/v3/merchant-service/complaints-v2/" + id
	b.sees("#requests .messages > div:first-child pre", "GET↵\n"+path+"↵\n")
	b.sees("#requests .messages > div:last-child pre", "GET↵\n"+path+"?from=app↵\n")
	require.Equal(t, []string{path, path + "?from=app"}, eval[[]string](b, `[...document.querySelectorAll("#requests .messages mark")].map((m) => m.textContent)`))
	require.NotContains(t, b.text("body"), `signature="`)
	require.Equal(t, "true", eval[string](b, `document.querySelector("#requests tbody tr.refused button").getAttribute("aria-expanded")`))
	all := eval[int](b, `document.querySelectorAll("#requests tbody tr:not(.more)").length`)
	b.click("#refused-only")
	require.Less(t, eval[int](b, `document.querySelectorAll("#requests tbody tr:not(.more)").length`), all)
	require.Equal(t, 2, eval[int](b, `document.querySelectorAll("#requests tbody tr.refused").length`))

	checkAccessible(t, b)
	b.click("#language")
	b.sees("h4", "协商历史")
	require.Equal(t, "zh-CN", eval[string](b, `document.documentElement.lang`))
	checkAccessible(t, b)
	b.run(chromedp.Reload())
	b.sees("#live", "实时")
	b.sees("#complaints tbody .badge", "待处理")
	b.run(chromedp.Navigate(url + "/?lang=en"))
	b.sees("#live", "live")

	require.Empty(t, b.wrong())
	require.Equal(t, "wechatpay-mock", eval[string](b, `document.title`))

	// It tells that it is out of date, and keeps what it has.
	stop()
	b.sees("#live", "does not answer")
	require.Equal(t, id, eval[string](b, fmt.Sprintf(`document.querySelector('#complaints [data-key="%s"]').textContent`, id)))
}

// TestScreenshot writes the picture of the page that the README shows.
func TestScreenshot(t *testing.T) {
	file := os.Getenv("PAGETEST_SCREENSHOT")
	if file == "" {
		t.Skip("PAGETEST_SCREENSHOT names no file")
	}
	b := startBrowser(t, "en-US")
	url, _ := startMock(t)
	ctx := context.Background()
	client := newClient(t, nil)
	control := func(path string, body []byte) map[string]any {
		resp, err := http.Post(url+"/_mock/"+path, "application/json", bytes.NewReader(body))
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Less(t, resp.StatusCode, 300, path)
		var answer map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
		return answer
	}
	photo := func(c color.Color) string {
		data, err := os.ReadFile(picture(t, "photo.png", c))
		require.NoError(t, err)
		return control("images", data)["media_url"].(string)
	}
	complaint := fmt.Sprintf(`{"complaint_id":"200201820200101080076610000","complaint_detail":"付款一周了，商品一直没有发货。","apply_refund_amount":2500,
		"user_tag_list":["TRUSTED"],"payer_phone":"13800138000","complaint_media_list":[{"media_type":"USER_COMPLAINT_IMAGE","media_url":["%s","%s"]}]}`,
		photo(color.RGBA{232, 178, 92, 255}), photo(color.RGBA{92, 142, 202, 255}))
	control("complaints", []byte(`{"complaint_id":"200201820200101080076609999","complaint_detail":"会员没有生效","problem_type":"SERVICE_NOT_WORK"}`))
	id := control("complaints", []byte(complaint))["complaint_id"].(string)
	control("complaints/"+id+"/user-reply", []byte(`{"text":"请问什么时候退款？"}`))

	history := "/v3/merchant-service/complaints-v2/" + id + "/negotiation-historys"
	err := newClient(t, func(r *http.Request) { r.URL.RawQuery = "limit=50&offset=0" }).Do(ctx, "GET", history, nil, &struct{}{})
	require.ErrorContains(t, err, "SIGN_ERROR")
	full, err := client.ComplaintsV2.Get(ctx, id)
	require.NoError(t, err)
	require.NoError(t, client.ComplaintsV2.Respond(ctx, id, &wechatpay.RespondRequest{ComplaintedMchID: full.ComplaintedMchID, ResponseContent: "您好，今天为您退款。"}))
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.ApproveRefund(0)))
	require.NoError(t, client.Do(ctx, "POST", "/v3/refund/domestic/refunds", map[string]any{
		"transaction_id": full.ComplaintOrderInfo[0].TransactionID,
		"out_refund_no":  "shop-refund-1",
		"amount":         map[string]any{"refund": 2500, "total": 2500, "currency": "CNY"},
	}, &struct{}{}))

	b.run(chromedp.EmulateViewport(1360, 900), chromedp.Navigate(url+"/"))
	b.sees("#requests tr.refused", "SIGN_ERROR")
	b.click("#requests tr.refused button")
	b.sees("#requests .messages pre", "↵")
	b.waits(`[...document.images].every((i) => i.complete)`)
	data, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, smaller(t, data), 0o644))
	require.Empty(t, b.wrong())
}

// smaller is a PNG of 256 colours: the most frequent, of those that look alike only one.
func smaller(t *testing.T, data []byte) []byte {
	img, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	count := map[color.Color]int{}
	bounds := img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[color.RGBAModel.Convert(img.At(x, y))]++
		}
	}
	alike := map[[3]uint32]bool{}
	var colours []color.Color
	for _, c := range slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] }) {
		r, g, b, _ := c.RGBA()
		if kind := [3]uint32{r >> 12, g >> 12, b >> 12}; !alike[kind] {
			alike[kind] = true
			colours = append(colours, c)
		}
	}
	palette := color.Palette(colours[:min(len(colours), 256)])
	index := map[color.Color]uint8{}
	for c := range count {
		index[c] = uint8(palette.Index(c))
	}
	out := image.NewPaletted(bounds, palette)
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, index[color.RGBAModel.Convert(img.At(x, y))])
		}
	}
	var small bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, out))
	return small.Bytes()
}

// checkAccessible looks for what a user without a mouse or without eyes would miss.
func checkAccessible(t *testing.T, b *browser) {
	t.Helper()
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("input, select, textarea")].filter((e) => !e.labels.length || !e.labels[0].textContent.trim()).map((e) => e.outerHTML)`), "fields without a label")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("button")].filter((e) => !e.textContent.trim()).map((e) => e.outerHTML)`), "buttons without a name")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("th")].filter((e) => e.scope !== "col" || !e.textContent.trim()).map((e) => e.outerHTML)`), "columns without a header")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("img")].filter((e) => !e.alt).map((e) => e.outerHTML)`), "pictures without a text")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("section")].filter((e) => !document.getElementById(e.getAttribute("aria-labelledby"))).map((e) => e.id)`), "sections without a title")
}

// The page speaks the browser's language at first.
func TestPageInChinese(t *testing.T) {
	b := startBrowser(t, "zh-CN")
	url, _ := startMock(t)
	b.run(chromedp.Navigate(url + "/"))
	b.sees("#live", "实时")
	b.sees("#complaints-empty", "还没有投诉单")
	b.sees("#language", "English")
	require.Equal(t, "zh-CN", eval[string](b, `document.documentElement.lang`))
	b.run(chromedp.Navigate(url + "/?lang=en"))
	b.sees("#complaints-empty", "No complaint yet")
	require.Empty(t, b.wrong())

	// Had the page taken markup from outside, its policy would have stopped
	// that, and this test would have seen it.
	b.run(chromedp.Evaluate[chromedp.Void](`document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="document.title=1"><p style="color: red">')`))
	require.Eventually(t, func() bool { return len(b.wrong()) >= 3 }, 20*time.Second, 50*time.Millisecond)
	for _, problem := range b.wrong() {
		require.Contains(t, problem, "Content Security Policy")
	}
	require.Equal(t, "wechatpay-mock", eval[string](b, `document.title`))
}
