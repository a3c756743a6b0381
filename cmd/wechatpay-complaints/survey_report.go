package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// A surveyReport is what the survey found. It must hold no personal data: each
// text in it is a name of this package, or passes fieldName, enumValue or layout.
type surveyReport struct {
	complaints, requests int

	fields  findings // unknown ones
	values  findings // unknown ones
	shapes  findings
	layouts findings // of times
	order   findings
	rounds  findings
	pages   findings
	failed  findings
}

// findings counts what was found.
type findings map[words]int

func (f findings) add(text words) { f[text]++ }

// same is a text without words.
func same(text string) words { return words{text, text} }

func newSurveyReport() *surveyReport {
	return &surveyReport{
		fields: findings{}, values: findings{}, shapes: findings{}, layouts: findings{},
		order: findings{}, rounds: findings{}, pages: findings{}, failed: findings{},
	}
}

func (r *surveyReport) print(w io.Writer, l language) error {
	var b strings.Builder
	b.WriteString(l.of(words{
		"已读取 %d 笔投诉单及其协商历史，共 %d 次请求（wechatpay-complaints %s）。\n",
		"Read %d complaint(s) with their histories in %d request(s) (wechatpay-complaints %s).\n"},
		r.complaints, r.requests, wechatpay.Version))
	for _, section := range []struct {
		title    words
		findings findings
	}{
		{words{"未知字段", "Unknown fields"}, r.fields},
		{words{"未知枚举值", "Unknown values"}, r.values},
		{words{"数据结构与文档不符", "Shapes that are not as documented"}, r.shapes},
		{words{"时间格式", "Time layouts"}, r.layouts},
		{words{"排列顺序", "Order"}, r.order},
		{words{"再次投诉", "Complaints that were filed again"}, r.rounds},
		{words{"分页大小", "Page sizes"}, r.pages},
		{words{"失败的请求", "Failed requests"}, r.failed},
	} {
		b.WriteString("\n" + l.of(section.title) + "\n")
		for _, text := range slices.SortedFunc(maps.Keys(section.findings), func(a, b words) int {
			return strings.Compare(a.en, b.en)
		}) {
			fmt.Fprintf(&b, "  %s (%d)\n", l.of(text), section.findings[text])
		}
		if len(section.findings) == 0 {
			b.WriteString(l.of(words{"  无\n", "  none\n"}))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type object = map[string]any

// field returns a field of a JSON object, or nil.
func field(v any, name string) any {
	o, _ := v.(object)
	return o[name]
}

func integer(v any) (int64, bool) {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	return i, err == nil
}

// A shape is what the SDK knows about a JSON value.
type shape struct {
	kind     string            // of the value; "": any
	also     string            // another kind that the SDK accepts; "": none
	time     bool              // a string that is a time
	values   []string          // of an enumeration
	fields   map[string]*shape // of an object
	required []string          // fields that are documented as always there
	elem     *shape            // of an array
}

var (
	complaintShape = newComplaintShape()
	recordShape    = newRecordShape()
	pageShape      = &shape{kind: "object", required: []string{"limit", "offset"}, fields: map[string]*shape{
		"data":        {kind: "array"},
		"limit":       {kind: "number"},
		"offset":      {kind: "number"},
		"total_count": {kind: "number"},
	}}
)

func newComplaintShape() *shape {
	s := shapeOf(reflect.TypeFor[wechatpay.Complaint]())
	s.required = []string{
		"complaint_id", "complaint_time", "complaint_detail", "complaint_state", "complainted_mchid",
		"complaint_full_refunded", "incoming_user_response", "user_complaint_times", "problem_description",
	}
	s.fields["complaint_media_list"].elem.fields["media_url"].also = "string"
	return s
}

func newRecordShape() *shape {
	s := shapeOf(reflect.TypeFor[wechatpay.NegotiationRecord]())
	s.required = []string{"log_id", "operator", "operate_time", "operate_type"}
	media := s.fields["complaint_media_list"]
	media.kind, media.also, media.fields = "object", "array", media.elem.fields
	media.fields["media_url"].also = "string"
	s.fields["click_message"].fields["message_content"].also = "object"
	return s
}

// knownValues are the values of the SDK's enumerations.
var knownValues = map[reflect.Type][]string{
	reflect.TypeFor[wechatpay.ComplaintState](): {"PENDING", "PROCESSING", "PROCESSED"},
	reflect.TypeFor[wechatpay.ProblemType]():    {"REFUND", "SERVICE_NOT_WORK", "OTHERS"},
	reflect.TypeFor[wechatpay.UserTag]():        {"TRUSTED", "HIGH_RISK"},
	reflect.TypeFor[wechatpay.MediaType]():      {"USER_COMPLAINT_IMAGE", "OPERATION_IMAGE"},
	reflect.TypeFor[wechatpay.ServiceOrderState](): {
		"DOING", "REVOKED", "WAITPAY", "DONE", "CREATED", "EXPIRED",
	},
	reflect.TypeFor[wechatpay.AdditionalInfoType](): {"SHARE_POWER_TYPE"},
	reflect.TypeFor[wechatpay.OperateType]():        operationNames(),
	reflect.TypeFor[wechatpay.SenderIdentity]():     {"UNKNOWN", "MANUAL", "MACHINE"},
	reflect.TypeFor[wechatpay.MessageBlockType]():   {"TEXT", "IMAGE", "LINK", "FAQ_LIST", "BUTTON", "BUTTON_GROUP"},
	reflect.TypeFor[wechatpay.TextColor]():          {"DEFAULT", "SECONDARY"},
	reflect.TypeFor[wechatpay.ImageStyleType]():     {"IMAGE_STYLE_TYPE_NARROW", "IMAGE_STYLE_TYPE_WIDE"},
	reflect.TypeFor[wechatpay.ButtonLayout]():       {"LAYOUT_UNKNOWN", "LAYOUT_HORIZONTAL", "LAYOUT_VERTICAL"},
	reflect.TypeFor[wechatpay.MessageActionType](): {
		"ACTION_TYPE_SEND_MESSAGE", "ACTION_TYPE_JUMP_URL", "ACTION_TYPE_JUMP_MINI_PROGRAM",
	},
}

func operationNames() (names []string) {
	for operation := range operations {
		names = append(names, string(operation))
	}
	return names
}

// shapeOf returns the shape of a type of the SDK.
func shapeOf(t reflect.Type) *shape {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &shape{kind: "string", time: true}
	case t.Kind() == reflect.Pointer:
		return shapeOf(t.Elem())
	case t.Kind() == reflect.String:
		return &shape{kind: "string", values: knownValues[t]}
	case t.Kind() == reflect.Bool:
		return &shape{kind: "boolean"}
	case t.Kind() == reflect.Slice:
		return &shape{kind: "array", elem: shapeOf(t.Elem())}
	case t.Kind() != reflect.Struct:
		return &shape{kind: "number"}
	}
	s := &shape{kind: "object", fields: make(map[string]*shape)}
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "-" {
			s.fields[name] = shapeOf(t.Field(i).Type)
		}
	}
	return s
}

// examine adds what is odd about a value.
func (r *surveyReport) examine(path string, s *shape, v any) {
	kind := kindOf(v)
	if s.time {
		r.layouts.add(same(path + ": " + layout(v)))
		return
	}
	if s.kind != "" && kind != s.kind && kind != s.also {
		r.shapes.add(words{
			fmt.Sprintf("%s：应为 %s，实际为 %s", path, s.kind, kind),
			fmt.Sprintf("%s: expected %s, got %s", path, s.kind, kind)})
	}
	switch v := v.(type) {
	case string:
		if len(s.values) > 0 && !slices.Contains(s.values, v) {
			r.values.add(same(path + ": " + enumValue(v)))
		}
	case json.Number:
		if _, ok := integer(v); !ok && s.kind == "number" {
			r.shapes.add(words{path + "：应为整数", path + ": expected an integer"})
		}
	case []any:
		for _, entry := range v {
			if s.elem != nil {
				r.examine(path+"[]", s.elem, entry)
			}
		}
	case object:
		if s.fields != nil {
			r.examineObject(path, s, v)
		}
	}
}

func (r *surveyReport) examineObject(path string, s *shape, o object) {
	for name, v := range o {
		if known := s.fields[name]; known != nil {
			r.examine(path+"."+name, known, v)
		} else {
			r.fields.add(same(path + "." + fieldName(name) + ": " + kindOf(v)))
		}
	}
	for _, name := range s.required {
		if _, ok := o[name]; !ok {
			r.shapes.add(words{path + "." + name + "：缺失", path + "." + name + ": absent"})
		}
	}
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	}
	return "object"
}

var (
	fieldNames = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	valueNames = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,63}$`)
	digits     = regexp.MustCompile(`[0-9]`)
)

// fieldName returns the name of a field, unless it may be personal data, such as
// a number.
func fieldName(name string) string {
	if fieldNames.MatchString(name) && len(digits.FindAllString(name, -1)) <= 2 {
		return name
	}
	return "?"
}

// enumValue returns a value that looks like one of an enumeration, and else "?".
func enumValue(value string) string {
	if valueNames.MatchString(value) && len(digits.FindAllString(value, -1)) <= 2 {
		return value
	}
	return "?"
}

// layout returns how a time is written, with 0 for each digit but those of the
// time zone.
func layout(v any) string {
	text, ok := v.(string)
	if !ok {
		if n, ok := v.(json.Number); ok {
			text = n.String()
		}
		return kindOf(v) + " " + strings.Repeat("0", min(len(text), 20))
	}
	zone := ""
	if i := len(text) - len("+08:00"); i > 0 && zones.MatchString(text[i:]) {
		text, zone = text[:i], text[i:]
	}
	text = otherThanTime.ReplaceAllString(digits.ReplaceAllString(text, "0"), "?")
	return fmt.Sprintf("%.40q", text+zone)
}

var (
	zones         = regexp.MustCompile(`^[+-][0-9]{2}:[0-9]{2}$`)
	otherThanTime = regexp.MustCompile(`[^-0:./ TZ+年月日]+`)
)

// readTime reads a time in the documented layout.
func readTime(v any) (time.Time, bool) {
	text, _ := v.(string)
	t, err := time.Parse(time.RFC3339, text)
	return t, err == nil
}

// addOrder adds in which order entries are, by a time.
func (r *surveyReport) addOrder(what string, entries []any, name string) {
	var rising, falling bool
	var last time.Time
	for _, entry := range entries {
		at, ok := readTime(field(entry, name))
		if !ok {
			continue
		}
		rising = rising || !last.IsZero() && at.After(last)
		falling = falling || at.Before(last)
		last = at
	}
	switch {
	case rising && falling:
		r.order.add(words{what + "：未按 " + name + " 排序", what + ": not by " + name})
	case rising:
		r.order.add(words{what + "：从旧到新", what + ": oldest first"})
	case falling:
		r.order.add(words{what + "：从新到旧", what + ": newest first"})
	}
}
