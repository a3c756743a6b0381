package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// personal is data that must not appear in a report, wherever it is planted.
var personal = []string{
	"13800138000", "张三丰", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "我被骗了", "zhang@example.com", "77331", "ZHANG13800138000",
	"4200000404201909069117582536", "2002018202001010800766", "1900000001", "110101199003074477", "海淀区中关村大街",
}

// plantedDays are the complaints of today and yesterday. Complaint 2 was filed again
// today, and is listed under today only.
func plantedDays(today, yesterday string) map[string][]string {
	common := `"complaint_detail":"我被骗了","complainted_mchid":"1900000001","problem_description":"我被骗了",` +
		`"incoming_user_response":false,"payer_phone":"13800138000","payer_openid":"oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"`
	return map[string][]string{
		today: {
			`{"complaint_id":"20020182020010108007661","complaint_time":"2026-03-05 09:46:01","complaint_state":"SUSPENDED",` +
				`"user_complaint_times":1,"complaint_full_refunded":"false","apply_refund_amount":"77331","problem_type":"张三丰",` +
				`"vip_level":"张三丰","13800138000":"x","zhang@example.com":1,"user_tag_list":["TRUSTED","ZHANG13800138000","GOLD_2"],` +
				`"complaint_order_info":{"transaction_id":"4200000404201909069117582536","out_trade_no":"77331","amount":77331},` + common + `}`,
			`{"complaint_id":"20020182020010108007662","complaint_time":"` + yesterday + `T10:00:00+08:00","complaint_state":"PROCESSING",` +
				`"user_complaint_times":2,"complaint_full_refunded":false,"is_agent_mode":null,"apply_refund_amount":77331.5,` +
				`"additional_info":{"type":"CAR_TYPE","share_power_info":{"return_time":20260305101010,"return_address_info":` +
				`{"return_address":"海淀区中关村大街","house":{"owner":"张三丰"}}}},"service_order_info":[{"state":"PAUSED"}],` + common + `}`,
		},
		yesterday: {
			`{"complaint_id":"20020182020010108007663","complaint_time":"110101199003074477","complaint_state":"PENDING",` +
				`"user_complaint_times":3,"complaint_full_refunded":false,"complaint_media_list":[{"media_type":"VIDEO","media_url":"u"}],` + common + `}`,
		},
	}
}

func plantedHistory(id, today, yesterday string) []string {
	record := func(n int, operation, at, rest string) string {
		return fmt.Sprintf(`{"log_id":"%d","operator":"张三丰","operate_type":%q,"operate_time":%q%s}`, n, operation, at, rest)
	}
	if id != "20020182020010108007662" {
		return []string{
			record(1, "USER_CREATE_COMPLAINT", today+"T10:00:00+08:00", ""),
			record(2, "ROBOT_RESPONSE", today+"T10:00:02.5+08:00", `,"normal_message":{"blocks":[{"type":"VIDEO","video":{"url":"13800138000"}}],`+
				`"sender_identity":"张三丰"},"operate_details":{"text":"我被骗了"}`),
			record(3, "USER_RESPONSE", today+"T10:00:01+00:00", `,"image_list":"海淀区中关村大街"`),
			`{"log_id":"4","operate_type":"MERCHANT_RESPONSE"}`,
		}
	}
	return []string{
		record(3, "USER_CONTINUE_COMPLAINT", today+"T10:00:00+08:00", `,"complaint_media_list":[]`),
		record(2, "MERCHANT_RESPONSE", yesterday+"T10:00:05+08:00", `,"click_message":{"message_content":{"a":"13800138000"}}`),
		record(1, "USER_CREATE_COMPLAINT", yesterday+"T10:00:00+08:00", ""),
	}
}

// plant lets the server respond with odd data.
func plant(t *testing.T, server *wechatpaytest.Server) {
	today, yesterday := dateOf(time.Now()), dateOf(time.Now().AddDate(0, 0, -1))
	days := plantedDays(today, yesterday)
	details := map[string]string{}
	for _, entries := range days {
		for _, entry := range entries {
			var c struct {
				ComplaintID string `json:"complaint_id"`
			}
			require.NoError(t, json.Unmarshal([]byte(entry), &c))
			details[c.ComplaintID] = entry
		}
	}
	send := func(w http.ResponseWriter, r *http.Request, entries []string) {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		w.Header().Set("Content-Type", "application/json")
		if limit > 20 {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":"PARAM_ERROR","message":"数据量过大 13800138000"}`)
			return
		}
		fmt.Fprintf(w, `{"data":[%s],"limit":%d,"offset":0,"total_count":%d,"cursor":"13800138000"}`,
			strings.Join(entries, ","), min(limit, 15), len(entries))
	}
	server.Handle("GET "+surveyPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		send(w, r, days[r.URL.Query().Get("begin_date")])
	}))
	server.Handle("GET "+surveyPath+"/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, details[r.PathValue("id")])
	}))
	server.Handle("GET "+surveyPath+"/{id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.PathValue("id"); strings.HasSuffix(id, "3") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"code":"NO_AUTH","message":"张三丰"}`)
		} else {
			send(w, r, plantedHistory(id, today, yesterday))
		}
	}))
}

func TestSurvey_findsWhatIsPlanted(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	plant(t, server)
	env := settings(t, server.Config())
	got := run(t, env, "survey", "--days", "3", "--pause", "0s")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Empty(t, got.stderr)
	for _, section := range []struct {
		title    string
		findings []string
	}{
		{"Unknown fields", []string{
			"detail.?: number (1)", "detail.?: string (1)", "detail.vip_level: string (1)",
			"detail.additional_info.share_power_info.return_address_info.house: object (1)",
			"history.cursor: string (2)", "history.data[].normal_message.blocks[].video: object (1)",
			"list.cursor: string (3)", "list.data[].vip_level: string (1)",
		}},
		{"Unknown values", []string{
			"detail.complaint_state: SUSPENDED (1)", "detail.problem_type: ? (1)", "detail.user_tag_list[]: ? (1)",
			"detail.user_tag_list[]: GOLD_2 (1)", "detail.additional_info.type: CAR_TYPE (1)",
			"detail.service_order_info[].state: PAUSED (1)", "detail.complaint_media_list[].media_type: VIDEO (1)",
			"history.data[].operate_type: ROBOT_RESPONSE (1)", "history.data[].normal_message.blocks[].type: VIDEO (1)",
			"history.data[].normal_message.sender_identity: ? (1)",
		}},
		{"Shapes that are not as documented", []string{
			"detail.complaint_full_refunded: expected boolean, got string (1)",
			"detail.apply_refund_amount: expected number, got string (1)",
			"detail.apply_refund_amount: expected an integer (1)",
			"detail.complaint_order_info: expected array, got object (1)",
			"detail.is_agent_mode: expected boolean, got null (1)",
			"history.data[].operate_details: expected string, got object (1)",
			"history.data[].image_list: expected array, got string (1)",
			"history.data[].operate_time: absent (1)", "history.data[].operator: absent (1)",
		}},
		{"Time layouts", []string{
			`detail.complaint_time: "0000-00-00 00:00:00" (1)`, `detail.complaint_time: "000000000000000000" (1)`,
			`detail.complaint_time: "0000-00-00T00:00:00+08:00" (1)`,
			`detail.additional_info.share_power_info.return_time: number 00000000000000 (1)`,
			`history.data[].operate_time: "0000-00-00T00:00:00.0+08:00" (1)`,
			`history.data[].operate_time: "0000-00-00T00:00:00+00:00" (1)`,
		}},
		{"Order", []string{"history: newest first (1)", "history: oldest first (1)"}},
		{"Complaints that were filed again", []string{
			"complaints that were filed again (1)", "listed under the day of the last filing (1)",
			"state before the merchant acted: PROCESSING (1)", "user_complaint_times differs from the filings in the history (1)",
		}},
		{"Page sizes", []string{
			"list 50: refused, 400 PARAM_ERROR (1)", "list 20: granted 15 (3)",
			"history 300: refused, 400 PARAM_ERROR (1)", "history 50: refused, 400 PARAM_ERROR (1)",
		}},
		{"Failed requests", []string{"403 NO_AUTH (1)"}},
	} {
		_, rest, found := strings.Cut(got.stdout, "\n"+section.title+"\n")
		require.True(t, found, section.title)
		rest, _, _ = strings.Cut(rest, "\n\n")
		for _, finding := range section.findings {
			require.Contains(t, rest+"\n", "  "+finding+"\n", section.title)
		}
	}
	requireOnlyReads(t, server)
}

func requireOnlyReads(t *testing.T, server *wechatpaytest.Server) {
	t.Helper()
	require.NotEmpty(t, server.Requests())
	for _, request := range server.Requests() {
		require.Equal(t, http.MethodGet, request.Method)
	}
}

// The report has no personal data in either language, also if it ends early.
func TestSurvey_noPersonalData(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	plant(t, server)
	env := settings(t, server.Config())
	check := func(got result) {
		t.Helper()
		for _, secret := range personal {
			require.NotContains(t, got.stdout, secret)
			require.NotContains(t, got.stderr, secret)
		}
		require.NotRegexp(t, `[1-9][0-9]{4}`, got.stdout)
	}
	check(run(t, env, "survey", "--days", "3", "--pause", "0s"))
	got := run(t, env, "survey", "--days", "3", "--pause", "0s", "--lang", "zh")
	check(got)
	require.Contains(t, got.stdout, "未知字段\n")
	require.Contains(t, got.stdout, "list 50：被拒绝，400 PARAM_ERROR (1)")

	server.Handle("GET "+surveyPath+"/{id}/negotiation-historys", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
	}))
	got = run(t, env, "survey", "--days", "3", "--pause", "0s", "--limit", "1")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, "  502 ? (1)\n")
	check(got)
}

// Complaints as documented have no findings but layouts and orders.
func TestSurvey_nothingOdd(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	for i := range 3 {
		server.AddComplaint(wechatpay.Complaint{
			ComplaintID:          strconv.Itoa(i),
			NeedImmediateService: true,
			ComplaintMediaList: []wechatpay.ComplaintMedia{{
				MediaType: wechatpay.MediaTypeUserComplaintImage,
				MediaURL:  []string{server.AddImage("", sampleImage())},
			}},
			ServiceOrderInfo: []wechatpay.ServiceOrderInfo{{OrderID: "1", State: wechatpay.ServiceOrderStateDone}},
			UserTagList:      []wechatpay.UserTag{wechatpay.UserTagTrusted, wechatpay.UserTagHighRisk},
			AdditionalInfo: wechatpay.AdditionalInfo{
				Type:           wechatpay.AdditionalInfoTypeSharePowerType,
				SharePowerInfo: &wechatpay.SharePowerInfo{ReturnTime: time.Now()},
			},
			ComplaintTime: server.Now().Add(-time.Duration(i) * time.Hour / 1000),
		})
		require.NoError(t, server.UserReplies(strconv.Itoa(i), "您好", server.AddImage("", sampleImage())))
		require.NoError(t, server.UserClicks(strconv.Itoa(i), wechatpay.ClickMessage{MessageContent: "您好"}))
	}
	got := run(t, env, "survey", "--days", "1", "--pause", "0s", "--limit", "2")
	require.Equal(t, exitDone, got.status, got.stderr)
	require.Contains(t, got.stdout, "Read 2 complaint(s) with their histories in 5 request(s)")
	for _, title := range []string{"Unknown fields", "Unknown values", "Shapes that are not as documented",
		"Complaints that were filed again", "Page sizes", "Failed requests"} {
		require.Contains(t, got.stdout, "\n"+title+"\n  none\n")
	}
	requireOnlyReads(t, server)
}

func TestSurvey_usage(t *testing.T) {
	server := newServer(t)
	env := settings(t, server.Config())
	for want, flag := range map[string]string{
		"--days must be 1 to 365, got 0":    "--days=0",
		"--days must be 1 to 365, got 366":  "--days=366",
		"--limit must be 1 or more, got -1": "--limit=-1",
	} {
		got := run(t, env, "survey", flag)
		require.Equal(t, exitUsage, got.status)
		require.Contains(t, got.stderr, want)
	}
	require.Empty(t, server.Requests())
}

// Errors that end the survey name no complaint.
func TestSurvey_error(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "2002018202001010800766"})
	server.AddFault(wechatpaytest.Fault{Path: "negotiation-historys", Kind: wechatpaytest.FaultForged, Times: 100})
	got := run(t, settings(t, server.Config()), "survey", "--days", "1", "--pause", "0s")
	require.Equal(t, exitFailed, got.status)
	require.Contains(t, got.stdout, "Read 1 complaint(s)")
	require.Contains(t, got.stderr, "signature")
	require.NotContains(t, got.stderr, "2002018202001010800766")
}

func TestFieldName(t *testing.T) {
	for name, want := range map[string]string{
		"vip_level": "vip_level", "a1b2": "a1b2", "": "?", "Vip": "?", "13800138000": "?", "p13800138000": "?", "a b": "?", "姓名": "?",
	} {
		require.Equal(t, want, fieldName(name), name)
	}
	for value, want := range map[string]string{
		"GOLD": "GOLD", "GOLD_2": "GOLD_2", "": "?", "gold": "?", "X123456": "?", "张三": "?", "A-B": "?",
	} {
		require.Equal(t, want, enumValue(value), value)
	}
}

// knownValues has every value of each enumeration of the SDK's models.
func TestKnownValues(t *testing.T) {
	names, err := filepath.Glob("../../complaints*.go")
	require.NoError(t, err)
	values := map[string][]string{}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				kind, isNamed := spec.Type.(*ast.Ident)
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && isNamed {
					value, _ := strconv.Unquote(literal.Value)
					values[kind.Name] = append(values[kind.Name], value)
				}
			}
			return true
		})
	}
	for kind, known := range knownValues {
		require.ElementsMatch(t, values[kind.Name()], known, kind.Name())
	}
	// Each named type of a string in a model has known values.
	var check func(reflect.Type)
	seen := map[reflect.Type]bool{}
	check = func(kind reflect.Type) {
		if seen[kind] {
			return
		}
		seen[kind] = true
		switch kind.Kind() {
		case reflect.Pointer, reflect.Slice:
			check(kind.Elem())
		case reflect.String:
			require.True(t, kind.PkgPath() == "" || knownValues[kind] != nil, kind)
		case reflect.Struct:
			for i := range kind.NumField() {
				check(kind.Field(i).Type)
			}
		}
	}
	check(reflect.TypeFor[wechatpay.Complaint]())
	check(reflect.TypeFor[wechatpay.NegotiationRecord]())
}
