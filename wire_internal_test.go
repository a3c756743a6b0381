package wechatpay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// wireModels are the types that unmarshal decodes.
var wireModels = []any{
	Complaint{}, ComplaintList{}, page[Complaint]{}, complaintState{}, refundComplaint{},
	resolveState{},
	NegotiationRecord{}, NegotiationHistory{}, page[NegotiationRecord]{}, page[operationRecord]{},
	Refund{}, refundState{}, RefundNotification{},
	notificationWire{}, notificationResource{},
	NotificationURL{}, ImmediateServiceResponse{}, uploadResponse{}, echoWire{}, certificateList{},
}

// requestModels are the types that are only encoded, and Notification, which only
// the merchant encodes.
var requestModels = []any{
	RespondRequest{}, ImmediateServiceRequest{}, CompleteRequest{}, UpdateRefundProgressRequest{},
	CreateRefundRequest{}, notificationURLRequest{}, uploadMeta{}, Notification{},
}

// modelField is a field of a model, at any depth.
type modelField struct {
	parents []reflect.StructField // outermost first
	reflect.StructField
}

// modelFields returns the fields of a struct that have a JSON name, those of
// nested structs included.
func modelFields(model reflect.Type, parents ...reflect.StructField) (fields []modelField) {
	for i := range model.NumField() {
		field := model.Field(i)
		if jsonName(field) == "" {
			continue
		}
		fields = append(fields, modelField{slices.Clone(parents), field})
		if inner := entryType(field.Type); isObject(inner) {
			fields = append(fields, modelFields(inner, append(slices.Clone(parents), field)...)...)
		}
	}
	return fields
}

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return strings.TrimPrefix(name, "-")
}

// pointee returns the type that a pointer points to, or t.
func pointee(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

func isList(t reflect.Type) bool { return pointee(t).Kind() == reflect.Slice }

// entryType returns the type of the entries of a list, or of the value itself.
func entryType(t reflect.Type) reflect.Type {
	if isList(t) {
		return pointee(t).Elem()
	}
	return pointee(t)
}

func isObject(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[time.Time]()
}

func (f *modelField) strict() bool { return f.Tag.Get("wire") == "strict" }

// path returns the path as in an error, from the n-th parent.
func (f *modelField) path(n int) string {
	var path string
	for _, parent := range f.parents[n:] {
		path += jsonName(parent)
		if isList(parent.Type) {
			path += "[0]"
		}
		path += "."
	}
	return path + jsonName(f.StructField)
}

// in returns the field of a model value.
func (f *modelField) in(v reflect.Value) reflect.Value {
	for _, parent := range f.parents {
		v = v.FieldByIndex(parent.Index)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() == reflect.Slice {
			v = v.Index(0)
		}
	}
	return v.FieldByIndex(f.Index)
}

// document returns a JSON document with a usual value in every field and one
// entry in every list, except that the field odd has the value given.
func document(model reflect.Type, odd *modelField, value string) string {
	members := []string{}
	for i := range model.NumField() {
		field := model.Field(i)
		name := jsonName(field)
		switch {
		case name == "":
			continue
		case odd != nil && len(odd.parents) == 0 && odd.Name == field.Name:
			members = append(members, fmt.Sprintf("%q:%s", name, value))
		case odd != nil && len(odd.parents) > 0 && odd.parents[0].Name == field.Name:
			inner := document(entryType(field.Type), &modelField{odd.parents[1:], odd.StructField}, value)
			members = append(members, fmt.Sprintf("%q:%s", name, asList(field.Type, inner)))
		default:
			members = append(members, fmt.Sprintf("%q:%s", name, usual(field.Type)))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func asList(t reflect.Type, entry string) string {
	if isList(t) {
		return "[" + entry + "]"
	}
	return entry
}

// usual returns a usual JSON value of a type.
func usual(t reflect.Type) string {
	entry := entryType(t)
	switch {
	case isObject(entry):
		return asList(t, document(entry, nil, ""))
	case entry == reflect.TypeFor[time.Time]():
		return asList(t, `"2021-05-20T13:29:35+08:00"`)
	case entry.Kind() == reflect.Bool:
		return asList(t, `true`)
	case entry.Kind() == reflect.Int, entry.Kind() == reflect.Int64:
		return asList(t, `7`)
	}
	return asList(t, `"123"`)
}

// What is expected of an odd value. Unreadable is an error if the field is strict,
// and zero otherwise.
const (
	asUsual    = "as usual"
	asZero     = "as zero"
	asEmpty    = "as an empty list"
	unreadable = "unreadable"
	inexact    = "as usual, or unreadable if strict"
)

// oddValues returns the odd values of a field, and what is expected of each.
func oddValues(t reflect.Type) map[string]string {
	entry, value := entryType(t), usual(t)
	switch {
	case isList(t):
		one := usual(entry)
		return map[string]string{
			`null`: asZero, `[]`: asEmpty, `""`: unreadable, `true`: unreadable, `[[[1]]]`: unreadable,
			one: asUsual, "[" + value + "]": asUsual, "[" + one + `,true]`: inexact, "[[]," + one + `]`: inexact,
		}
	case isObject(entry):
		return map[string]string{
			`null`: asZero, `""`: unreadable, `"x"`: unreadable, `5`: unreadable, `true`: unreadable,
			`[]`: unreadable, "[" + value + "]": asUsual, "[[" + value + "]]": unreadable,
			"[" + value + "," + value + "]": unreadable,
		}
	case entry == reflect.TypeFor[time.Time]():
		return map[string]string{
			`null`: asZero, `""`: unreadable, `"yesterday"`: unreadable, `true`: unreadable, `{}`: unreadable,
			`"0000-00-00 00:00:00"`: unreadable, `16214`: unreadable,
			`"2021-05-20 13:29:35"`: asUsual, `"20210520132935"`: asUsual, `20210520132935`: asUsual,
			`"2021-05-20T13:29:35"`: asUsual, `"2021-05-20T13:29:35+0800"`: asUsual, `[` + value + `]`: asUsual,
			`1621488575`: asUsual, `"1621488575"`: asUsual, `1621488575000`: asUsual, `0`: asZero,
		}
	case entry.Kind() == reflect.Bool:
		return map[string]string{
			`null`: asZero, `""`: unreadable, `"yes"`: unreadable, `2`: unreadable, `{}`: unreadable, `[]`: unreadable,
			`"true"`: asUsual, `"TRUE"`: asUsual, `1`: asUsual, `"1"`: asUsual, `[true]`: asUsual,
			`"false"`: asZero, `0`: asZero, `"0"`: asZero,
		}
	case entry.Kind() == reflect.String:
		return map[string]string{
			`null`: asZero, `""`: asZero, `123`: asUsual, `["123"]`: asUsual,
			`1e2`: unreadable, `true`: unreadable, `{}`: unreadable, `[]`: unreadable, `[["123"]]`: unreadable,
		}
	}
	return map[string]string{
		`null`: asZero, `""`: unreadable, `"x"`: unreadable, `true`: unreadable, `{}`: unreadable, `[]`: unreadable,
		`7.5`: unreadable, `"7.0"`: unreadable, `1e400`: unreadable, `99999999999999999999`: unreadable,
		`"99999999999999999999"`: unreadable, `"7"`: asUsual, `[7]`: asUsual, `7.0`: inexact,
	}
}

// Each field of each model, with each odd value: the field is read, or zero, or
// named in the error, and no other field changes.
func TestUnmarshal_oddValues(t *testing.T) {
	for _, model := range wireModels {
		model := reflect.TypeOf(model)
		t.Run(model.Name(), func(t *testing.T) {
			if testing.Short() && strings.HasPrefix(model.Name(), "page[") {
				t.Skip("slow")
			}
			for _, field := range modelFields(model) {
				if jsonName(field.StructField) == "message_content" {
					continue // see TestClickMessage_JSON_messageContent
				}
				for value, want := range oddValues(field.Type) {
					testOddValue(t, model, &field, value, want)
				}
			}
		})
	}
}

func testOddValue(t *testing.T, model reflect.Type, field *modelField, value, want string) {
	name := fmt.Sprintf("%s = %s, %s", field.path(0), value, want)
	got := reflect.New(model)
	err := unmarshal([]byte(document(model, field, value)), got.Interface())
	if field.strict() && (want == unreadable || want == inexact) {
		requireUnreadable(t, err, model, field, name)
		return
	}
	require.NoError(t, err, name)
	expected := reflect.New(model)
	require.NoError(t, json.Unmarshal([]byte(document(model, nil, "")), expected.Interface()))
	switch v := field.in(expected.Elem()); want {
	case asZero, unreadable:
		v.SetZero()
	case asEmpty:
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	}
	require.Equal(t, encode(t, expected), encode(t, got), name)
}

func encode(t *testing.T, v reflect.Value) string {
	encoded, err := json.Marshal(v.Interface())
	require.NoError(t, err)
	return string(encoded)
}

// requireUnreadable requires an error that names the field, and the object if it
// has an id.
func requireUnreadable(t *testing.T, err error, model reflect.Type, field *modelField, name string) {
	var got *unreadableError
	require.ErrorAs(t, err, &got, name)
	record, from := "", 0
	for i := range len(field.parents) + 1 {
		object := model
		if i > 0 {
			object = entryType(field.parents[i-1].Type)
		}
		for _, id := range recordIDs {
			hasID := slices.ContainsFunc(reflect.VisibleFields(object), func(f reflect.StructField) bool {
				return jsonName(f) == id.field
			})
			if hasID && jsonName(field.StructField) != id.field {
				record, from = id.name+" 123", i
			}
		}
	}
	require.Equal(t, record, got.record, name)
	require.True(t, strings.HasPrefix(got.path, field.path(from)), "%s: %s", name, got.path)
	require.NotContains(t, got.Error(), "\n")
	require.LessOrEqual(t, utf8.RuneCountInString(got.Error()), 160)
}

// All types with JSON names are tested, and what contains a strict field is
// strict.
func TestUnmarshal_allModels(t *testing.T) {
	tested := map[string]bool{}
	for _, model := range slices.Concat(wireModels, requestModels) {
		model := reflect.TypeOf(model)
		tested[strings.TrimSuffix(model.Name(), "]")] = true
		for _, field := range modelFields(model) {
			tested[entryType(field.Type).Name()] = true
			for _, parent := range field.parents {
				if field.strict() {
					require.Equal(t, "strict", parent.Tag.Get("wire"), "%s.%s", model, field.path(0))
				}
			}
		}
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			declared, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			structure, ok := declared.Type.(*ast.StructType)
			if ok && declared.TypeParams == nil && slices.ContainsFunc(structure.Fields.List, hasJSONName) {
				isEntry := slices.Contains([]string{"operationRecord", "roundRecord"}, declared.Name.Name) // of a page
				require.True(t, tested[declared.Name.Name] || isEntry, "%s is not in wireModels", declared.Name.Name)
			}
			return true
		})
	}
}

func hasJSONName(field *ast.Field) bool {
	return field.Tag != nil && strings.Contains(field.Tag.Value, "json:")
}

// The fields that money depends on.
func TestUnmarshal_strictFields(t *testing.T) {
	for _, tt := range []struct {
		model any
		want  string
	}{
		{Complaint{}, `complaint_id complaint_order_info complaint_order_info[0].transaction_id
			complaint_order_info[0].out_trade_no complaint_order_info[0].amount
			complaint_full_refunded user_complaint_times apply_refund_amount`},
		{NegotiationRecord{}, `operate_type`},
		{operationRecord{}, `operate_type`},
		{roundRecord{}, `operate_type`},
		{Refund{}, `out_refund_no transaction_id out_trade_no status amount amount.total amount.refund
			amount.payer_total amount.payer_refund amount.settlement_refund amount.settlement_total
			amount.discount_refund`},
		{RefundNotification{}, `transaction_id out_trade_no out_refund_no refund_status amount amount.total
			amount.refund amount.payer_total amount.payer_refund`},
	} {
		var strict []string
		for _, field := range modelFields(reflect.TypeOf(tt.model)) {
			if field.strict() {
				strict = append(strict, field.path(0))
			}
		}
		require.Equal(t, strings.Fields(tt.want), strict)
	}
	for _, used := range []any{refundComplaint{}, complaintState{}, refundState{}, resolveState{}} {
		for _, field := range modelFields(reflect.TypeOf(used)) {
			require.True(t, field.strict(), field.path(0))
		}
	}
}

func TestUnmarshal_errors(t *testing.T) {
	const order = `"complaint_order_info":`
	for _, tt := range []struct {
		name, in string
		model    any
		want     string
	}{
		{"amount", `{"complaint_id":"2002",` + order + `[{"amount":"x"}]}`, new(Complaint),
			`complaint 2002: complaint_order_info[0].amount: cannot read "x" as fen`},
		{"amount in a page", `{"data":[{},{"complaint_id":"2002",` + order + `{"amount":"1.00"}}]}`, new(page[Complaint]),
			`complaint 2002: complaint_order_info[0].amount: cannot read "1.00" as fen`},
		{"complaint without id", `{"data":[{},{` + order + `[{"amount":{}}]}]}`, new(page[Complaint]),
			`data[1].complaint_order_info[0].amount: cannot read {} as fen`},
		{"entry", `{"data":[{},"x"]}`, new(page[Complaint]), `data[1]: cannot read "x" as an object`},
		{"not an object", ` [{}]`, new(Complaint), `cannot read [{}] as an object`},
		{"long value", `{"apply_refund_amount":"` + strings.Repeat("x\\n", 1000) + `"}`, new(Complaint),
			`apply_refund_amount: cannot read "` + strings.Repeat(`x\n`, 13) + " as fen"},
		{"time", `{"create_time":"x","out_refund_no":"R"}`, new(refundState),
			`refund R: create_time: cannot read "x" as a time`},
		{"record", `{"data":[{"log_id":"L","operate_type":[]}]}`, new(page[operationRecord]),
			`record L: operate_type: cannot read [] as a string`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.EqualError(t, unmarshal([]byte(tt.in), tt.model), tt.want)
		})
	}
}

// Invalid JSON is reported as by json.Unmarshal.
func TestUnmarshal_invalidJSON(t *testing.T) {
	for _, in := range []string{``, `{`, `{}{}`, `{"complaint_time":""`} {
		err := unmarshal([]byte(in), new(Complaint))
		require.Equal(t, json.Unmarshal([]byte(in), new(Complaint)), err)
		var syntax *json.SyntaxError
		require.ErrorAs(t, err, &syntax, in)
	}
}

// Odd documents take memory in proportion to their size.
func TestUnmarshal_bounded(t *testing.T) {
	const size = 1 << 18
	nested := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for name, in := range map[string]string{
		"nested lists":   `{"user_tag_list":[` + strings.Repeat(nested+",", size/len(nested)) + nested + `]}`,
		"odd strings":    `{"user_tag_list":[` + strings.Repeat("{},", size/3) + `1]}`,
		"odd objects":    `{"service_order_info":[` + strings.Repeat("1,", size/2) + `1]}`,
		"odd times":      `{"data":[` + strings.Repeat(`{"complaint_time":"x"},`, size/23) + `{}]}`,
		"long number":    `{"user_complaint_times":` + strings.Repeat("9", size) + `}`,
		"long exponent":  `{"in_platform_service":1e` + strings.Repeat("9", size) + `}`,
		"unknown fields": `{"complaint_time":"x"` + strings.Repeat(`,"x":[[]]`, size/9) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			model := any(new(Complaint))
			if strings.Contains(in, `"data"`) {
				model = new(page[Complaint])
			}
			_ = unmarshal([]byte(in), model)
			runtime.ReadMemStats(&after)
			require.Less(t, (after.TotalAlloc-before.TotalAlloc)/size, uint64(1000), "bytes per byte")
		})
	}
}

// Whatever can be decoded can be encoded, and decoding that changes nothing.
func FuzzUnmarshal(f *testing.F) {
	for i, model := range wireModels {
		model := reflect.TypeOf(model)
		f.Add(uint8(i), []byte(document(model, nil, "")))
		for _, field := range modelFields(model) {
			if i > 0 || len(field.parents) > 1 {
				continue // the fuzzer finds the rest
			}
			for value := range oddValues(field.Type) {
				f.Add(uint8(i), []byte(document(model, &field, value)))
			}
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		model := reflect.TypeOf(wireModels[int(i)%len(wireModels)])
		first, second := reflect.New(model), reflect.New(model)
		err := unmarshal(data, first.Interface())
		var unreadable *unreadableError
		if errors.As(err, &unreadable) {
			require.True(t, utf8.ValidString(err.Error()))
			require.NotContains(t, err.Error(), "\n")
			require.Less(t, len(err.Error()), 1000)
		}
		if err != nil {
			require.Error(t, json.Unmarshal(data, reflect.New(model).Interface()), "stricter than json.Unmarshal")
			return
		}
		if _, err := json.Marshal(first.Interface()); err != nil {
			require.ErrorContains(t, err, "Time.MarshalJSON") // json.Unmarshal accepts +24:00
			return
		}
		once := encode(t, first)
		require.NoError(t, unmarshal([]byte(once), second.Interface()), once)
		require.Equal(t, once, encode(t, second))
	})
}

// BenchmarkUnmarshal decodes a page of 50 complaints. The floor is json.Unmarshal
// into structs without methods.
//
//	go test -run '^$' -bench Unmarshal -benchmem -count 10
func BenchmarkUnmarshal(b *testing.B) {
	body := document(reflect.TypeFor[Complaint](), nil, "")
	usual := []byte(`{"data":[` + strings.Repeat(body+",", 49) + body + `],"limit":50,"offset":0,"total_count":50}`)
	oneOdd := bytes.Replace(usual, []byte("2021-05-20T13:29:35+08:00"), []byte("2021-05-20 13:29:35"), 1)
	allOdd := bytes.ReplaceAll(usual, []byte("2021-05-20T13:29:35+08:00"), []byte("2021-05-20 13:29:35"))
	b.Run("floor", func(b *testing.B) {
		type plain Complaint
		b.ReportAllocs()
		for b.Loop() {
			if err := json.Unmarshal(usual, new(page[plain])); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, in := range map[string][]byte{"usual": usual, "one odd": oneOdd, "all odd": allOdd} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := unmarshal(in, new(page[Complaint])); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The case of a key does not matter, whether or not all values are as documented.
func TestUnmarshal_keyCase(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want int64 // 0: an error
	}{
		{`{"amount":{"Refund":600}}`, 600},
		{`{"amount":{"Refund":"600"}}`, 600},
		{`{"AMOUNT":{"Refund":"600"}}`, 600},
		{`{"amount":{"Refund":"6.00"}}`, 0},
		{`{"Amount":{"refund":6.00}}`, 0},
		{`{"amount":{"refund":600,"Refund":"6.00"}}`, 0},
		{`{"amount":{"Refund":5,"refund":"600"}}`, 600},
		{`{"amount":{"refund":"600","Refund":null}}`, 600},
		{`{"create_time":"x","amount":{"REFUND":600}}`, 600},
	} {
		var refund Refund
		err := unmarshal([]byte(tt.in), &refund)
		if tt.want == 0 {
			var unreadable *unreadableError
			require.ErrorAs(t, err, &unreadable, tt.in)
			continue
		}
		require.NoError(t, err, tt.in)
		require.Equal(t, tt.want, refund.Amount.Refund, tt.in)
	}
	// Letters that json.Unmarshal takes as s and k.
	var refund Refund
	require.NoError(t, unmarshal([]byte(`{"create_time":"x","amount":{"\u017fettlement_total":"7"}}`), &refund))
	require.Equal(t, int64(7), refund.Amount.SettlementTotal)
}
