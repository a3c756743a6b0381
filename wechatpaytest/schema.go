package wechatpaytest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// A schema says what a parameter may be. It is read off a struct: the Go type
// gives the kind, the json tag the name, and the check tag the rules, separated
// by commas:
//
//	required    must be there, and not empty
//	min=, max=  of an integer its value, of a string its characters, of a list those of each element
//	bytes       min and max of a string count bytes
//	items=      how many elements a list may have at most
//	enum=A|B    the values
//	form=       one of [forms]
//
// A json.RawMessage may be anything.
type schema struct {
	kind     schemaKind
	fields   []schemaField // of an object, in the order of the documents
	elem     *schema       // of a list
	required bool
	min, max *int64
	bytes    bool
	items    int
	enum     []string
	form     string
}

type schemaField struct {
	name string
	*schema
}

type schemaKind string

const (
	kindString  schemaKind = "a string"
	kindInteger schemaKind = "an integer"
	kindBoolean schemaKind = "a boolean"
	kindObject  schemaKind = "an object"
	kindList    schemaKind = "an array"
	kindAny     schemaKind = "anything"
)

// forms are the patterns of strings. Each returns what is wrong, or "".
var forms = map[string]func(string) string{
	"date": func(s string) string {
		if _, err := time.Parse("2006-01-02", s); err != nil {
			return "is not a date of the form YYYY-MM-DD"
		}
		return ""
	},
	"time": func(s string) string {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return "is not an RFC 3339 time"
		}
		return ""
	},
	"https":        func(s string) string { return urlIssue(s, true, true) },
	"callback":     func(s string) string { return urlIssue(s, true, false) },
	"noquery":      func(s string) string { return urlIssue(s, false, false) },
	"refundnumber": refundNumberIssue,
	"image": func(s string) string {
		if imageExt(s) == "" {
			return "does not end in .jpg, .png or .bmp"
		}
		return ""
	},
	"sha256": func(s string) string {
		if !sha256Hex.MatchString(s) {
			return "is not a SHA-256 digest in hexadecimal"
		}
		return ""
	},
}

var (
	sha256Hex    = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
	plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	refundNumber = regexp.MustCompile(`^[0-9A-Za-z_\-|*@]+$`)
)

func refundNumberIssue(s string) string {
	if !refundNumber.MatchString(s) {
		return `has a character outside 0-9 A-Z a-z _ - | * @`
	}
	return ""
}

func urlIssue(s string, https, query bool) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "http" && u.Scheme != "https":
		return "is not a URL of scheme, host and path"
	case https && u.Scheme != "https":
		return "is not https"
	case !query && (u.RawQuery != "" || u.ForceQuery):
		return "has a query, which this URL may not carry"
	}
	return ""
}

var schemas sync.Map // of *schema by reflect.Type

// schemaOf reads the schema off the struct T.
func schemaOf[T any]() *schema {
	t := reflect.TypeFor[T]()
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	s := schemaOfType(t, "")
	schemas.Store(t, s)
	return s
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

func schemaOfType(t reflect.Type, tag string) *schema {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	s := &schema{}
	switch {
	case t == rawMessage:
		s.kind = kindAny
	case t.Kind() == reflect.Struct:
		s.kind = kindObject
		for i := range t.NumField() {
			if !t.Field(i).IsExported() {
				continue
			}
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			s.fields = append(s.fields, schemaField{name, schemaOfType(t.Field(i).Type, t.Field(i).Tag.Get("check"))})
		}
	case t.Kind() == reflect.Slice:
		s.kind = kindList
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Bool:
		s.kind = kindBoolean
	default:
		s.kind = kindInteger
	}
	elem := s // what min, max, enum and form are about
	if s.kind == kindList {
		elem = schemaOfType(t.Elem(), "")
		s.elem = elem
	}
	for _, rule := range strings.Split(tag, ",") {
		name, value, _ := strings.Cut(rule, "=")
		switch name {
		case "":
		case "required":
			s.required = true
		case "items":
			s.items = mustInt(value)
		case "min":
			n := int64(mustInt(value))
			elem.min = &n
		case "max":
			n := int64(mustInt(value))
			elem.max = &n
		case "bytes":
			elem.bytes = true
		case "enum":
			elem.enum = strings.Split(value, "|")
		case "form":
			if forms[value] == nil {
				panic("wechatpaytest: no form " + value)
			}
			elem.form = value
		default:
			panic("wechatpaytest: no rule " + name)
		}
	}
	return s
}

func mustInt(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	return n
}

// unknown lists the pointers of members that the schema has no field for.
func (s *schema) unknown(v any, pointer string) []string {
	var found []string
	switch v := v.(type) {
	case *jsonObject:
		if s.kind != kindObject {
			return nil
		}
		for _, name := range v.names {
			at := pointer + "/" + escapePointer(name)
			i := slices.IndexFunc(s.fields, func(f schemaField) bool { return f.name == name })
			if i < 0 {
				found = append(found, at)
			} else {
				found = append(found, s.fields[i].unknown(v.values[name], at)...)
			}
		}
	case []any:
		if s.kind != kindList {
			return nil
		}
		for i, elem := range v {
			found = append(found, s.elem.unknown(elem, pointer+"/"+strconv.Itoa(i))...)
		}
	}
	return found
}

// check returns the first parameter that breaks a rule, in the order of the
// documents. It does not look for unknown members.
func (s *schema) check(v any, pointer string) *invalidParam {
	fault := func(format string, args ...any) *invalidParam {
		return &invalidParam{field: pointer, value: detailValue(v), issue: fmt.Sprintf(format, args...)}
	}
	switch v := v.(type) {
	case nil:
		if s.kind == kindAny {
			return nil
		}
		return fault("is null: leave it out instead")
	case string:
		if s.kind == kindAny {
			return nil
		}
		if s.kind != kindString {
			return fault("must be %s, and is a string", s.kind)
		}
		if v == "" && s.required {
			return fault("is required, and is empty")
		}
		n, unit := int64(utf8.RuneCountInString(v)), "characters"
		if s.bytes {
			n, unit = int64(len(v)), "bytes"
		}
		if s.max != nil && n > *s.max {
			return fault("has %d %s, and may have %d", n, unit, *s.max)
		}
		if s.min != nil && n < *s.min {
			return fault("has %d %s, and must have %d", n, unit, *s.min)
		}
		if s.enum != nil && !slices.Contains(s.enum, v) {
			return fault("must be one of %s", strings.Join(s.enum, ", "))
		}
		if s.form != "" && (v != "" || s.required) {
			if issue := forms[s.form](v); issue != "" {
				return fault("%s", issue)
			}
		}
	case json.Number:
		if s.kind == kindAny {
			return nil
		}
		if s.kind != kindInteger || !plainInteger.MatchString(v.String()) {
			return fault("must be %s, and is %s", s.kind, kindOf(v))
		}
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return fault("is out of range")
		}
		if s.min != nil && n < *s.min {
			return fault("must be at least %d", *s.min)
		}
		if s.max != nil && n > *s.max {
			return fault("must be at most %d", *s.max)
		}
	case bool:
		if s.kind != kindBoolean && s.kind != kindAny {
			return fault("must be %s, and is a boolean", s.kind)
		}
	case []any:
		if s.kind == kindAny {
			return nil
		}
		if s.kind != kindList {
			return fault("must be %s, and is an array", s.kind)
		}
		if s.required && len(v) == 0 {
			return fault("is required, and is empty")
		}
		if s.items > 0 && len(v) > s.items {
			return fault("has %d elements, and may have %d", len(v), s.items)
		}
		for i, elem := range v {
			if f := s.elem.check(elem, pointer+"/"+strconv.Itoa(i)); f != nil {
				return f
			}
		}
	case *jsonObject:
		if s.kind == kindAny {
			return nil
		}
		if s.kind != kindObject {
			return fault("must be %s, and is an object", s.kind)
		}
		for _, f := range s.fields {
			at := pointer + "/" + f.name
			member, ok := v.values[f.name]
			if !ok {
				if f.required {
					return &invalidParam{field: at, issue: "is required, and is missing"}
				}
				continue
			}
			if fault := f.check(member, at); fault != nil {
				return fault
			}
		}
	}
	return nil
}

// parseQuery turns a query into the object that its schema describes. Integers
// stay strings where they are none, for check to refuse.
func (s *schema) parseQuery(raw string) (*jsonObject, *invalidParam) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &invalidParam{field: "", value: raw, issue: "the query is malformed: " + err.Error()}
	}
	object := &jsonObject{values: map[string]any{}}
	for name, all := range values {
		object.names = append(object.names, name)
		text := all[0]
		object.values[name] = text
		if len(all) > 1 {
			return nil, &invalidParam{field: name, value: all, issue: "is there more than once"}
		}
		if !utf8.ValidString(text) {
			return nil, &invalidParam{field: name, issue: "is not UTF-8"}
		}
		if issue := textIssue(text); issue != "" {
			return nil, &invalidParam{field: name, value: text, issue: issue}
		}
		i := slices.IndexFunc(s.fields, func(f schemaField) bool { return f.name == name })
		if i < 0 {
			continue
		}
		if text == "" {
			return nil, &invalidParam{field: name, value: "", issue: "is empty: leave it out instead"}
		}
		if s.fields[i].kind == kindInteger && plainInteger.MatchString(text) {
			object.values[name] = json.Number(text)
		}
	}
	slices.Sort(object.names)
	return object, nil
}
