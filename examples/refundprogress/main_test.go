package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/examples/internal/exampletest"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// newServer starts a server with one complaint and sets the environment for it.
func newServer(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	server := exampletest.NewServer(t)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: sampleID})
	return server
}

func runWith(args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(context.Background(), args, &out, &errs)
	return status, out.String(), errs.String()
}

// requireNoSignature checks that the signature and its parameters are hidden.
func requireNoSignature(t *testing.T, output string) {
	t.Helper()
	for _, attribute := range []string{`signature="`, `nonce_str="`, `timestamp="`} {
		require.NotContains(t, output, attribute)
	}
}

func TestRun_embedded(t *testing.T) {
	const path = "> POST /v3/merchant-service/complaints-v2/" + sampleID + "/update-refund-progress\n"
	tests := []struct {
		name string
		args []string
		want []string // in this order
	}{
		{"no flags", nil, []string{
			"embedded mock server, http://127.0.0.1:",
			"Before: complaint " + sampleID + " is PENDING\n", "USER_CREATE_COMPLAINT",
			path, `> Authorization: WECHATPAY2-SHA256-RSA2048 mchid="1900000001",serial_no="`,
			"> Accept: application/json\n", "> Content-Type: application/json\n", "> User-Agent: ", "> Wechatpay-Serial: PUB_KEY_ID_",
			"> {\"action\":\"APPROVE\",\"launch_refund_day\":0}\n",
			"< 204 No Content\n< Request-Id: 0",
			"Applied: the refund is approved. No money has moved yet",
			"After: complaint " + sampleID + " is PROCESSING\n", "USER_CREATE_COMPLAINT", "MERCHANT_APPROVE_REFUND",
		}},
		{"approve in three working days", []string{"-action", "approve", "-launch-refund-day", "3", "-remark", "已核实"}, []string{
			path, "> {\"action\":\"APPROVE\",\"launch_refund_day\":3,\"remark\":\"已核实\"}\n", "< 204 ", "is PROCESSING\n",
		}},
		{"reject", []string{"-complaint-id", sampleID, "-action", "REJECT", "-reject-reason", "商品已使用"}, []string{
			"is PENDING\n", path, "> {\"action\":\"REJECT\",\"reject_reason\":\"商品已使用\"}\n", "< 204 ",
			"Applied: the refund is rejected, and the complaint is closed.",
			"is PROCESSED\n", "MERCHANT_REFUSE_RERUND  商品已使用\n",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exampletest.ClearEnv(t)
			status, stdout, stderr := runWith(test.args...)
			require.Zero(t, status)
			require.Empty(t, stderr)
			rest := stdout
			for _, want := range test.want {
				_, after, found := strings.Cut(rest, want)
				require.True(t, found, "%q is missing or out of order in\n%s", want, stdout)
				rest = after
			}
			require.Equal(t, 1, strings.Count(stdout, "\n> POST "))
			requireNoSignature(t, stdout)
		})
	}
}

func TestRun_embeddedUnknownComplaint(t *testing.T) {
	exampletest.ClearEnv(t)
	status, stdout, stderr := runWith("-complaint-id", "4711")
	require.Equal(t, 1, status)
	require.Contains(t, stdout, "Before: complaint 4711 not found\n")
	require.Contains(t, stderr, "RESOURCE_NOT_EXISTS")
}

func TestRun_invalidFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-approve"}, "flag provided but not defined: -approve"},
		{"not a number", []string{"-launch-refund-day", "soon"}, `invalid value "soon"`},
		{"unexpected argument", []string{"APPROVE"}, `unexpected argument "APPROVE"`},
		{"empty complaint id", []string{"-complaint-id", ""}, "-complaint-id is required"},
		{"empty action", []string{"-action", ""}, "-action is required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exampletest.ClearEnv(t)
			status, stdout, stderr := runWith(test.args...)
			require.Equal(t, 2, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.want)
			require.Contains(t, stderr, "-reject-reason", "the usage")
			require.Equal(t, 1, strings.Count(stderr, test.want))
		})
	}
}

func TestRun_help(t *testing.T) {
	exampletest.ClearEnv(t)
	status, stdout, stderr := runWith("-h")
	require.Zero(t, status)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "-launch-refund-day")
}

// Invalid arguments are not sent.
func TestRun_invalidArguments(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown action", []string{"-action", "MAYBE"}, `Action: must be APPROVE or REJECT, got "MAYBE"`},
		{"launch day with REJECT", []string{"-action", "REJECT", "-launch-refund-day", "0"}, "LaunchRefundDay: is only allowed with APPROVE"},
		{"reason with APPROVE", []string{"-reject-reason", "no"}, "RejectReason: is only allowed with REJECT"},
		{"negative day", []string{"-launch-refund-day", "-1"}, "LaunchRefundDay: must be 0 (today) or more, got -1"},
		{"long reason", []string{"-action", "REJECT", "-reject-reason", strings.Repeat("不", 201)}, "RejectReason: has 201 characters"},
		{"long id", []string{"-complaint-id", strings.Repeat("1", 65)}, "complaintID: has 65 characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exampletest.ClearEnv(t)
			status, stdout, stderr := runWith(test.args...)
			require.Equal(t, 2, status)
			require.NotContains(t, stdout, "> POST")
			require.Contains(t, stderr, "\nNot applied.\n")
			require.Equal(t, 1, strings.Count(stderr, test.want), stderr)
		})
	}
}

func TestRun_liveOneRequest(t *testing.T) {
	server := newServer(t)
	status, stdout, stderr := runWith("-complaint-id", sampleID, "-action", "REJECT", "-reject-reason", "商品已使用")
	require.Zero(t, status, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "Applied: the refund is rejected")
	require.NotContains(t, stdout, "embedded")

	requests := server.Requests()
	require.Len(t, requests, 1)
	require.Equal(t, "POST /v3/merchant-service/complaints-v2/"+sampleID+"/update-refund-progress → 204", requests[0].String())
	require.Equal(t, `{"action":"REJECT","reject_reason":"商品已使用"}`, string(requests[0].Body))
	require.Contains(t, stdout, "< 204 No Content\n< Request-Id: "+requests[0].RequestID+"\n")

	// The output cannot be used to replay the request.
	requireNoSignature(t, stdout)
	secrets := regexp.MustCompile(`(?:signature|nonce_str|timestamp)="([^"]+)"`).FindAllStringSubmatch(requests[0].Header.Get("Authorization"), -1)
	require.Len(t, secrets, 3)
	for _, secret := range secrets {
		require.NotContains(t, stdout, secret[1])
	}
}

func TestRun_liveRejected(t *testing.T) {
	server := newServer(t)
	require.NoError(t, server.ChangeComplaint(sampleID, func(c *wechatpay.Complaint) { c.ProblemType = wechatpay.ProblemTypeOthers }))
	status, stdout, stderr := runWith("-complaint-id", sampleID, "-action", "APPROVE")
	require.Equal(t, 1, status)
	require.NotContains(t, stdout, "Applied")

	requests := server.Requests()
	require.Len(t, requests, 1)
	require.Equal(t, 400, requests[0].StatusCode)
	require.Contains(t, stderr, "\nNot applied: WeChat Pay rejected the decision.\n")
	for _, once := range []string{"400 PARAM_ERROR", requests[0].Problem, requests[0].RequestID} {
		require.Equal(t, 1, strings.Count(stdout+stderr, once), "%q in\n%s", once, stdout+stderr)
	}
	requireNoSignature(t, stdout+stderr)
}

// The response is lost, and ctx ends before the lookup.
func TestRun_liveUnknownOutcome(t *testing.T) {
	server := newServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server.AddFault(wechatpaytest.Fault{Kind: wechatpaytest.FaultLostResponse, Probability: 1})
	server.Configure(func(b *wechatpaytest.Behavior) { b.Log = func(wechatpaytest.Request) { cancel() } })
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(ctx, []string{"-complaint-id", sampleID, "-action", "APPROVE"}, &stdout, &stderr))
	require.NotContains(t, stdout.String(), "Applied")
	require.Contains(t, stderr.String(), "\nUnknown outcome: the decision may have been applied.")
	require.Contains(t, stderr.String(), "negotiation history")
	require.NotContains(t, stderr.String(), "Not applied")
	requireNoSignature(t, stdout.String()+stderr.String())

	records := server.History(sampleID)
	require.Equal(t, wechatpay.OperateTypeMerchantApproveRefund, records[len(records)-1].OperateType, "it was applied")
}

func TestRun_liveNotSent(t *testing.T) {
	server := newServer(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 1, run(ctx, []string{"-complaint-id", sampleID, "-action", "APPROVE"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "\nNot applied.\n")
	require.Contains(t, stderr.String(), context.Canceled.Error())
	require.Empty(t, server.Requests())
}

// With settings, the flags have no defaults.
func TestRun_liveRequiredFlags(t *testing.T) {
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"no complaint id", []string{"-action", "APPROVE"}, "-complaint-id is required"},
		{"no action", []string{"-complaint-id", sampleID}, "-action is required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t)
			status, stdout, stderr := runWith(test.args...)
			require.Equal(t, 2, status)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.want)
			require.Empty(t, server.Requests())
		})
	}
}

func TestRun_liveInvalidSettings(t *testing.T) {
	tests := []struct {
		name, variable, value, want string
	}{
		{"missing file", "WECHATPAY_PRIVATE_KEY_FILE", "no-such-file.pem", "no such file or directory"},
		{"no serial number", "WECHATPAY_SERIAL_NO", "", "SerialNo: is required"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t)
			t.Setenv(test.variable, test.value)
			status, _, stderr := runWith("-complaint-id", sampleID, "-action", "APPROVE")
			require.Equal(t, 2, status)
			require.Equal(t, 1, strings.Count(stderr, test.want), stderr)
			require.Empty(t, server.Requests())
		})
	}
}

// Images are uploaded first. The decision contains their media ids.
func TestRun_images(t *testing.T) {
	server := newServer(t)
	image := writeImage(t)
	status, stdout, stderr := runWith("-complaint-id", sampleID, "-action", "REJECT", "-reject-reason", "商品已使用", "-image", image, "-image", image)
	require.Equal(t, 0, status, stderr)
	require.NotContains(t, stdout, "picture\n", "the bytes of the image are not printed")

	requests := server.Requests()
	require.Len(t, requests, 3)
	var uploaded [2]struct {
		MediaID string `json:"media_id"`
	}
	for i := range uploaded {
		require.Equal(t, "POST /v3/merchant-service/images/upload → 200", requests[i].String())
		require.NoError(t, json.Unmarshal(requests[i].Response, &uploaded[i]))
	}
	require.Equal(t, `{"action":"REJECT","reject_reason":"商品已使用","reject_media_list":["`+uploaded[0].MediaID+`","`+uploaded[1].MediaID+`"]}`,
		string(requests[2].Body))
}

func TestRun_imageNotUploaded(t *testing.T) {
	tests := []struct {
		name, image, want string
	}{
		{"missing file", filepath.Join(t.TempDir(), "missing.png"), "no such file"},
		{"unsupported type", "main_test.go", "must end in .jpg, .jpeg, .png or .bmp"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := newServer(t)
			status, _, stderr := runWith("-complaint-id", sampleID, "-action", "REJECT", "-image", test.image)
			require.Equal(t, 1, status)
			require.Contains(t, stderr, "\nNo decision was sent: an image could not be uploaded.\n")
			require.Contains(t, stderr, test.want)
			require.Empty(t, server.Requests())
		})
	}
}

func TestRun_imageWithApprove(t *testing.T) {
	newServer(t)
	status, _, stderr := runWith("-complaint-id", sampleID, "-action", "APPROVE", "-image", writeImage(t))
	require.Equal(t, 2, status)
	require.Contains(t, stderr, "-image requires -action REJECT")
}

func writeImage(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "evidence.png")
	require.NoError(t, os.WriteFile(file, []byte("\x89PNG\r\n\x1a\n picture"), 0o600))
	return file
}

// -mock ignores the settings in the environment.
func TestRun_mock(t *testing.T) {
	t.Setenv("WECHATPAY_MCHID", "1900000099")
	var stdout, stderr strings.Builder
	require.Zero(t, run(context.Background(), []string{"-mock"}, &stdout, &stderr), stderr.String())
	require.True(t, strings.HasPrefix(stdout.String(), "-mock: using an embedded mock server, http://127.0.0.1:"))
}
