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

// startMock builds and starts the command, and loads its settings into the
// environment.
func startMock(t *testing.T) (url string, stop func()) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "wechatpay-mock")
	out, err := exec.Command("go", "build", "-C", "../../..", "-o", binary, "./cmd/wechatpay-mock").CombinedOutput()
	require.NoError(t, err, string(out))
	cmd := exec.Command(binary, "-dir", dir)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	url, found := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, found, line)
	loadEnv(t, filepath.Join(dir, "env"))
	return url, stop
}

func loadEnv(t *testing.T, file string) {
	env, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, line := range strings.Split(string(env), "\n") {
		if setting, found := strings.CutPrefix(line, "export "); found {
			name, value, _ := strings.Cut(setting, "=")
			t.Setenv(name, strings.Trim(value, "'"))
		}
	}
}

// picture writes a PNG image of one color and returns its file name.
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

// newClient returns a client for the mock. change, if not nil, changes requests
// after they are signed.
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

// createRefund refunds the order of a complaint in full.
func createRefund(t *testing.T, client *wechatpay.Client, complaintID, number string) {
	complaint, err := client.ComplaintsV2.Get(context.Background(), complaintID)
	require.NoError(t, err)
	order := complaint.ComplaintOrderInfo[0]
	require.NoError(t, client.Do(context.Background(), "POST", "/v3/refund/domestic/refunds", map[string]any{
		"transaction_id": order.TransactionID,
		"out_refund_no":  number,
		"amount":         map[string]any{"refund": order.Amount, "total": order.Amount, "currency": "CNY"},
	}, &struct{}{}))
}

// markup must be shown as text.
const markup = `<img src=x onerror="document.title='owned'"></p><script>document.title='owned'</script> & "没有收到"`

// pageTest is the page in a browser, with the merchant's client.
type pageTest struct {
	*browser
	client *wechatpay.Client
	id     string // of the first complaint
}

// TestPage uses every button of the page and checks that it shows the merchant's
// requests.
func TestPage(t *testing.T) {
	b := startBrowser(t, "en-US")
	url, stop := startMock(t)
	p := &pageTest{browser: b, client: newClient(t, nil)}
	b.run(chromedp.Navigate(url + "/"))
	b.sees("#live", "live")
	b.sees("#complaints-empty", "No complaints yet")
	b.sees("#url", url)
	require.Equal(t, "en", eval[string](b, `document.documentElement.lang`))

	p.fileComplaint()
	p.exchangeMessages()
	p.decideAndRefund()
	p.continueComplaint()
	p.refundByPlatform()
	p.sendNotifications()
	p.compareSignedStrings()

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

	require.Empty(t, b.errors())
	require.Equal(t, "wechatpay-mock", eval[string](b, `document.title`))

	stop()
	b.sees("#live", "does not respond")
	require.Equal(t, p.id, eval[string](b, fmt.Sprintf(`document.querySelector('#complaints [data-key="%s"]').textContent`, p.id)), "the data stays")
}

func (p *pageTest) fileComplaint() {
	p.fill("#file-form [name=detail]", markup)
	p.fill("#file-form [name=amount]", "25.5")
	p.fill("#file-form [name=phone]", "13800138000")
	p.run(chromedp.SetUploadFiles(chromedp.CSS("#file-form [name=pictures]"), []string{
		picture(p.t, "a.png", color.RGBA{200, 80, 60, 255}),
		picture(p.t, "b.png", color.RGBA{60, 120, 200, 255}),
	}))
	p.click("#file-form [name=trusted]")
	p.click("#file-form .primary")
	p.sees("#file-form output", "Filed: ")
	p.id = strings.TrimPrefix(p.text("#file-form output"), "Filed: ")
	p.sees("#complaints tbody .badge", "pending")
	p.sees("#complaints tbody", "¥25.50")
	require.Equal(p.t, p.id, p.text("#detail-id"))
	require.Equal(p.t, markup, p.text("#detail .quote"))
	p.sees("#detail .badge", "trusted user")
	p.sees("#detail .facts", "encrypted")
	require.NotContains(p.t, p.text("body"), "13800138000")
	p.waits(`[...document.querySelectorAll("#detail-body .pictures img")].filter((i) => i.complete && i.naturalWidth === 160).length === 2`)
	require.Equal(p.t, "", eval[string](p.browser, `document.querySelector("#file-form [name=detail]").value`), "the form is cleared")
	complaint, err := p.client.ComplaintsV2.Get(context.Background(), p.id)
	require.NoError(p.t, err)
	require.Equal(p.t, markup, complaint.ComplaintDetail)
	require.EqualValues(p.t, 2550, complaint.ApplyRefundAmount)
	p.sees("#requests tbody tr", "/v3/merchant-service/complaints-v2/"+p.id)
}

// exchangeMessages writes as the user and replies as the merchant, both with a
// picture.
func (p *pageTest) exchangeMessages() {
	ctx := context.Background()
	p.fill("#reply-form [name=text]", "Still nothing. <b></b>")
	p.run(chromedp.SetUploadFiles(chromedp.CSS("#reply-form [name=pictures]"), []string{picture(p.t, "c.png", color.RGBA{90, 160, 90, 255})}))
	p.click("#reply-form .primary")
	p.sees("#history li.user p", "Still nothing. <b></b>")
	p.sees("#detail .badge", "waiting for a reply")
	file, err := os.Open(picture(p.t, "reply.png", color.RGBA{160, 90, 160, 255}))
	require.NoError(p.t, err)
	defer file.Close()
	mediaID, err := p.client.ComplaintsV2.UploadImage(ctx, "reply.png", file)
	require.NoError(p.t, err)
	require.NoError(p.t, p.client.ComplaintsV2.Respond(ctx, p.id, &wechatpay.RespondRequest{
		ResponseContent: "We refund you today.",
		ResponseImages:  []string{mediaID},
	}))
	p.sees("#history li.merchant p", "We refund you today.")
	p.waits(`["li.user:nth-child(2) img", "li.merchant img"].every((s) => document.querySelector("#history " + s)?.naturalWidth === 160)`)
}

func (p *pageTest) decideAndRefund() {
	ctx := context.Background()
	require.NoError(p.t, p.client.ComplaintsV2.UpdateRefundProgress(ctx, p.id, wechatpay.ApproveRefund(0)))
	p.sees("#complaints tbody .badge", "in progress")
	p.sees("#history li.merchant", "The merchant approved the refund")
	require.Error(p.t, p.client.ComplaintsV2.UpdateRefundProgress(ctx, p.id, wechatpay.RejectRefund("no")), "already decided")
	p.sees("#requests tr.refused", "INVALID_REQUEST")
	createRefund(p.t, p.client, p.id, "refund-1")
	p.sees("#refunds tbody tr", "refund-1")
	p.click(`#refunds [data-step=close]`)
	p.sees("#refunds tbody .badge", "closed")
	createRefund(p.t, p.client, p.id, "refund-2")
	p.sees("#refunds tbody tr", "refund-2")
	p.click(`#refunds [data-step=abnormal]`)
	p.sees("#refunds tbody .badge", "abnormal")
	p.click(`#refunds [data-step=arrive]`)
	p.sees("#refunds tbody .badge", "succeeded")
	p.sees("#complaints tbody .badge", "finished")
	p.sees("#detail .badge", "refunded in full")
}

// continueComplaint files the refunded complaint again.
func (p *pageTest) continueComplaint() {
	p.click("#platform-refund")
	p.sees("#reply-form output.bad", "is already refunded in full")
	p.click("#continue")
	p.sees("#reply-form output.good", "Done")
	p.sees("#complaints tbody .badge", "pending")
	p.sees("#history li.user", "Filed again by the user")
}

// refundByPlatform files another complaint, which WeChat Pay refunds, and returns
// to the first one.
func (p *pageTest) refundByPlatform() {
	p.fill("#file-form [name=detail]", "The film never started.")
	p.choose("#file-form [name=type]", "SERVICE_NOT_WORK")
	p.click("#file-form [name=urgent]")
	p.click("#file-form .primary")
	p.sees("#detail .quote", "The film never started.")
	p.sees("#detail .badge", "needs immediate service")
	p.click("#platform-refund")
	p.sees("#history li.platform", "Refunded by WeChat Pay")
	p.click(fmt.Sprintf(`#complaints [data-key="%s"]`, p.id))
	p.sees("#detail-id", p.id)
	require.Equal(p.t, p.id, eval[string](p.browser, `document.activeElement.dataset.key`), "the focus stays")
}

func (p *pageTest) sendNotifications() {
	received := make(chan *wechatpay.Notification, 10)
	shop := httptest.NewServer(p.client.NotificationHandler(func(_ context.Context, n *wechatpay.Notification) error {
		received <- n
		return nil
	}))
	defer shop.Close()
	p.fill("#notify-form [name=url]", shop.URL+"/notify")
	p.choose("#notify-form [name=event]", "COMPLAINT.STATE_CHANGE")
	p.choose("#notify-form [name=about]", p.id)
	p.choose("#notify-form [name=action]", "USER_RESPONSE")
	p.click("#notify-form .primary")
	p.sees("#notify-form output.good", "The receiver responded 20")
	n := <-received
	require.Equal(p.t, p.id, n.ComplaintID)
	require.Equal(p.t, wechatpay.NotificationActionTypeUserResponse, n.ActionType)
	p.choose("#notify-form [name=event]", "REFUND.SUCCESS")
	p.choose("#notify-form [name=about]", "refund-2")
	require.True(p.t, eval[bool](p.browser, `document.querySelector("#notify-form [name=action]").disabled`))
	p.click("#notify-form .primary")
	n = <-received
	require.EqualValues(p.t, "REFUND.SUCCESS", n.EventType)
	p.sees("#notify-form output.good", "The receiver responded 20")
	p.click("#set-url")
	p.sees("#notify-form output", "Set: ")
	p.fill("#reply-form [name=text]", "Are you there?")
	p.click("#reply-form .primary")
	p.sees("#pending tbody tr", "USER_RESPONSE")
	p.sees("#pending-count", "1 to be delivered")
	p.click("#deliver")
	n = <-received
	require.Equal(p.t, p.id, n.ComplaintID)
	p.run(chromedp.WaitNotVisible(chromedp.CSS("#deliver")))
	p.sees("#deliver-output", "Delivered: 1 of 1")
}

// compareSignedStrings sends a request with another path than the signed one.
func (p *pageTest) compareSignedStrings() {
	_, err := newClient(p.t, func(r *http.Request) { r.URL.RawQuery = "from=app" }).ComplaintsV2.Get(context.Background(), p.id)
	require.ErrorContains(p.t, err, "SIGN_ERROR")
	p.sees("#requests tr.refused", "without the query")
	p.click("#requests tbody tr.refused button")
	path := "/v3/merchant-service/complaints-v2/" + p.id
	p.sees("#requests .messages > div:first-child pre", "GET↵\n"+path+"↵\n")
	p.sees("#requests .messages > div:last-child pre", "GET↵\n"+path+"?from=app↵\n")
	require.Equal(p.t, []string{path, path + "?from=app"}, eval[[]string](p.browser, `[...document.querySelectorAll("#requests .messages mark")].map((m) => m.textContent)`))
	require.NotContains(p.t, p.text("body"), `signature="`)
	require.Equal(p.t, "true", eval[string](p.browser, `document.querySelector("#requests tbody tr.refused button").getAttribute("aria-expanded")`))
	all := eval[int](p.browser, `document.querySelectorAll("#requests tbody tr:not(.more)").length`)
	p.click("#refused-only")
	require.Less(p.t, eval[int](p.browser, `document.querySelectorAll("#requests tbody tr:not(.more)").length`), all)
	require.Equal(p.t, 2, eval[int](p.browser, `document.querySelectorAll("#requests tbody tr.refused").length`))
}

// TestScreenshot writes the screenshot for the README.
func TestScreenshot(t *testing.T) {
	file := os.Getenv("PAGETEST_SCREENSHOT")
	if file == "" {
		t.Skip("PAGETEST_SCREENSHOT is not set")
	}
	b := startBrowser(t, "en-US")
	url, _ := startMock(t)
	ctx := context.Background()
	client := newClient(t, nil)
	control := func(path string, request []byte) map[string]any {
		resp, err := http.Post(url+"/_mock/"+path, "application/json", bytes.NewReader(request))
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Less(t, resp.StatusCode, 300, path)
		var body map[string]any
		require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
		return body
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
	require.NoError(t, client.ComplaintsV2.Respond(ctx, id, &wechatpay.RespondRequest{ResponseContent: "您好，今天为您退款。"}))
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, id, wechatpay.ApproveRefund(0)))
	createRefund(t, client, id, "shop-refund-1")

	b.run(chromedp.EmulateViewport(1360, 900), chromedp.Navigate(url+"/"))
	b.sees("#requests tr.refused", "SIGN_ERROR")
	b.click("#requests tr.refused button")
	b.sees("#requests .messages pre", "↵")
	b.waits(`[...document.images].every((i) => i.complete)`)
	data, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, reduceColors(t, data), 0o644))
	require.Empty(t, b.errors())
}

// reduceColors encodes a PNG with the 256 most frequent of its distinct colors.
func reduceColors(t *testing.T, data []byte) []byte {
	img, err := png.Decode(bytes.NewReader(data))
	require.NoError(t, err)
	count := map[color.Color]int{}
	bounds := img.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			count[color.RGBAModel.Convert(img.At(x, y))]++
		}
	}
	seen := map[[3]uint32]bool{}
	var colors []color.Color
	for _, c := range slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int { return count[b] - count[a] }) {
		r, g, b, _ := c.RGBA()
		if kind := [3]uint32{r >> 12, g >> 12, b >> 12}; !seen[kind] {
			seen[kind] = true
			colors = append(colors, c)
		}
	}
	palette := color.Palette(colors[:min(len(colors), 256)])
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

// checkAccessible checks that controls, columns, images and sections have names.
func checkAccessible(t *testing.T, b *browser) {
	t.Helper()
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("input, select, textarea")].filter((e) => !e.labels.length || !e.labels[0].textContent.trim()).map((e) => e.outerHTML)`), "fields without a label")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("button")].filter((e) => !e.textContent.trim()).map((e) => e.outerHTML)`), "buttons without a name")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("th")].filter((e) => e.scope !== "col" || !e.textContent.trim()).map((e) => e.outerHTML)`), "columns without a header")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("img")].filter((e) => !e.alt).map((e) => e.outerHTML)`), "pictures without a text")
	require.Empty(t, eval[[]string](b, `[...document.querySelectorAll("section")].filter((e) => !document.getElementById(e.getAttribute("aria-labelledby"))).map((e) => e.id)`), "sections without a title")
}

// The default language is the browser's.
func TestPage_chinese(t *testing.T) {
	b := startBrowser(t, "zh-CN")
	url, _ := startMock(t)
	b.run(chromedp.Navigate(url + "/"))
	b.sees("#live", "实时")
	b.sees("#complaints-empty", "暂无投诉单")
	b.sees("#language", "English")
	require.Equal(t, "zh-CN", eval[string](b, `document.documentElement.lang`))
	b.run(chromedp.Navigate(url + "/?lang=en"))
	b.sees("#complaints-empty", "No complaints yet")
	require.Empty(t, b.errors())

	// The policy would block injected markup, and b.errors would report it.
	b.run(chromedp.Evaluate[chromedp.Void](`document.body.insertAdjacentHTML("beforeend", '<img src="data:," onerror="document.title=1"><p style="color: red">')`))
	require.Eventually(t, func() bool { return len(b.errors()) >= 3 }, 20*time.Second, 50*time.Millisecond)
	for _, problem := range b.errors() {
		require.Contains(t, problem, "Content Security Policy")
	}
	require.Equal(t, "wechatpay-mock", eval[string](b, `document.title`))
}
