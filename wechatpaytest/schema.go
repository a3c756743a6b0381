package wechatpaytest

import (
	"encoding/json"
	"fmt"
	"maps"
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

// A schema describes a parameter. It is derived from a struct: the Go type
// determines the kind, the json tag the name, and the check tag the rules,
// separated by commas. See addRule for the rules. A json.RawMessage may be any
// value.
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
	kindAny     schemaKind = "any value"
)

// forms are the formats of strings. Each returns the issue, or "".
var forms = map[string]func(string) string{
	"date": func(s string) string {
		if _, err := time.Parse(time.DateOnly, s); err != nil {
			return "must be a date of the form YYYY-MM-DD"
		}
		return ""
	},
	"time": func(s string) string {
		if _, err := time.Parse(time.RFC3339, s); err != nil {
			return "must be an RFC 3339 time"
		}
		return ""
	},
	"https":        func(s string) string { return urlIssue(s, true, true) },
	"callback":     func(s string) string { return urlIssue(s, true, false) },
	"noquery":      func(s string) string { return urlIssue(s, false, false) },
	"refundnumber": refundNumberIssue,
	"image": func(s string) string {
		if imageExt(s) == "" {
			return "must end in .jpg, .png or .bmp"
		}
		return ""
	},
	"sha256": func(s string) string {
		if !sha256Hex.MatchString(s) {
			return "must be a SHA-256 digest in hexadecimal"
		}
		return ""
	},
}

var (
	sha256Hex    = regexp.MustCompile(`^[0-9A-Fa-f]{64}$`)
	refundNumber = regexp.MustCompile(`^[0-9A-Za-z_\-|*@]+$`)
)

func refundNumberIssue(s string) string {
	if !refundNumber.MatchString(s) {
		return "may only contain 0-9 A-Z a-z _ - | * @"
	}
	return ""
}

// urlIssue checks a URL. page allows a query and a fragment.
func urlIssue(s string, https, page bool) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https":
		return "must be a URL with scheme, host and path"
	case https && u.Scheme != "https":
		return "must be an https URL"
	case !page && (u.RawQuery != "" || u.ForceQuery):
		return "must not have a query"
	case !page && u.Fragment != "":
		return "must not have a fragment"
	}
	return ""
}

var schemas sync.Map // of *schema by reflect.Type

// schemaOf returns the schema of the struct T.
func schemaOf[T any]() *schema {
	t := reflect.TypeFor[T]()
	if s, ok := schemas.Load(t); ok {
		return s.(*schema)
	}
	s := newSchema(t, "")
	schemas.Store(t, s)
	return s
}

var rawMessage = reflect.TypeFor[json.RawMessage]()

// newSchema derives the schema of a type with a check tag. It panics if the tag
// is invalid.
func newSchema(t reflect.Type, tag string) *schema {
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
			if f := t.Field(i); f.IsExported() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				s.fields = append(s.fields, schemaField{name, newSchema(f.Type, f.Tag.Get("check"))})
			}
		}
	case t.Kind() == reflect.Slice:
		s.kind = kindList
		s.elem = newSchema(t.Elem(), "")
	case t.Kind() == reflect.String:
		s.kind = kindString
	case t.Kind() == reflect.Bool:
		s.kind = kindBoolean
	default:
		s.kind = kindInteger
	}
	for _, rule := range strings.Split(tag, ",") {
		s.addRule(rule)
	}
	return s
}

// addRule adds one rule of a check tag. Of a list, min, max, bytes, enum and
// form apply to the elements.
func (s *schema) addRule(rule string) {
	elem := s
	if s.kind == kindList {
		elem = s.elem
	}
	name, value, _ := strings.Cut(rule, "=")
	switch name {
	case "":
	case "required": // present and not empty
		s.required = true
	case "items": // at most this many list elements
		s.items = mustInt(value)
	case "min": // the value of an integer, or the characters of a string
		n := int64(mustInt(value))
		elem.min = &n
	case "max":
		n := int64(mustInt(value))
		elem.max = &n
	case "bytes": // min and max count bytes, not characters
		elem.bytes = true
	case "enum": // one of these values, separated by |, or of the named enums
		elem.enum = strings.Split(value, "|")
		if named, ok := enums[value]; ok {
			elem.enum = named
		}
	case "form": // one of forms
		if forms[value] == nil {
			panic("wechatpaytest: check tag: unknown form " + value)
		}
		elem.form = value
	default:
		panic("wechatpaytest: check tag: unknown rule " + name)
	}
}

func mustInt(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("wechatpaytest: check tag: " + err.Error())
	}
	return n
}

// field returns the schema of a member, or nil.
func (s *schema) field(name string) *schema {
	i := slices.IndexFunc(s.fields, func(f schemaField) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return s.fields[i].schema
}

// unknown returns the pointers of all members that the schema does not have.
func (s *schema) unknown(v any, pointer string) []string {
	var found []string
	switch v := v.(type) {
	case *jsonObject:
		if s.kind != kindObject {
			return nil
		}
		for _, name := range v.names {
			at := pointer + "/" + escapePointer(name)
			if field := s.field(name); field != nil {
				found = append(found, field.unknown(v.values[name], at)...)
			} else {
				found = append(found, at)
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

// prune removes from an object, and from the objects in it, the members that are
// null or that the schema does not have. It returns those that the schema of the
// object itself does not have, except null.
func (s *schema) prune(object *jsonObject) (unknown map[string]any) {
	unknown = map[string]any{}
	for name, v := range object.values {
		field := s.field(name)
		switch {
		case v == nil:
			delete(object.values, name)
		case field == nil:
			unknown[name] = v
			delete(object.values, name)
		default:
			field.pruneIn(v)
		}
	}
	return unknown
}

// pruneIn prunes the objects in a value.
func (s *schema) pruneIn(v any) {
	switch v := v.(type) {
	case *jsonObject:
		if s.kind == kindObject {
			s.prune(v)
		}
	case []any:
		for _, elem := range v {
			if s.kind == kindList {
				s.elem.pruneIn(elem)
			}
		}
	}
}

// check returns the first parameter that breaks a rule, in the order of the
// documents, or nil. It ignores unknown members.
func (s *schema) check(v any, pointer string) *invalidParam {
	if s.kind == kindAny {
		return nil
	}
	issue := s.kindIssue(v)
	if issue == "" {
		switch v := v.(type) {
		case string:
			issue = s.stringIssue(v)
		case json.Number:
			issue = s.integerIssue(v)
		case []any:
			issue = s.listIssue(v)
		}
	}
	if issue != "" {
		return &invalidParam{field: pointer, value: detailValue(v), issue: issue}
	}
	switch v := v.(type) {
	case []any:
		for i, elem := range v {
			if invalid := s.elem.check(elem, pointer+"/"+strconv.Itoa(i)); invalid != nil {
				return invalid
			}
		}
	case *jsonObject:
		return s.checkMembers(v, pointer)
	}
	return nil
}

func (s *schema) checkMembers(v *jsonObject, pointer string) *invalidParam {
	for _, f := range s.fields {
		at := pointer + "/" + f.name
		member, ok := v.values[f.name]
		switch {
		case ok:
			if invalid := f.check(member, at); invalid != nil {
				return invalid
			}
		case f.required:
			return &invalidParam{field: at, issue: "is required"}
		}
	}
	return nil
}

func (s *schema) kindIssue(v any) string {
	switch got := kindOf(v); {
	case v == nil:
		return "must not be null; omit it instead"
	case got != string(s.kind):
		return fmt.Sprintf("must be %s, got %s", s.kind, got)
	}
	return ""
}

func (s *schema) stringIssue(v string) string {
	if v == "" && s.required {
		return "must not be empty"
	}
	n, unit := int64(utf8.RuneCountInString(v)), "characters"
	if s.bytes {
		n, unit = int64(len(v)), "bytes"
	}
	switch {
	case s.max != nil && n > *s.max:
		return fmt.Sprintf("must have at most %d %s, got %d", *s.max, unit, n)
	case s.min != nil && n < *s.min:
		return fmt.Sprintf("must have at least %d %s, got %d", *s.min, unit, n)
	case s.enum != nil && !slices.Contains(s.enum, v):
		return "must be one of " + strings.Join(s.enum, ", ")
	case s.form != "" && (v != "" || s.required):
		return forms[s.form](v)
	}
	return ""
}

func (s *schema) integerIssue(v json.Number) string {
	n, err := strconv.ParseInt(v.String(), 10, 64)
	switch {
	case err != nil:
		return "is out of range"
	case s.min != nil && n < *s.min:
		return fmt.Sprintf("must be at least %d, got %d", *s.min, n)
	case s.max != nil && n > *s.max:
		return fmt.Sprintf("must be at most %d, got %d", *s.max, n)
	}
	return ""
}

func (s *schema) listIssue(v []any) string {
	switch {
	case s.required && len(v) == 0:
		return "must not be empty"
	case s.items > 0 && len(v) > s.items:
		return fmt.Sprintf("must have at most %d elements, got %d", s.items, len(v))
	}
	return ""
}

// parseQuery parses a query into an object for check. A malformed integer stays
// a string, so that check rejects it.
func (s *schema) parseQuery(raw string) (*jsonObject, *invalidParam) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, &invalidParam{value: raw, issue: "is malformed: " + err.Error()}
	}
	object := &jsonObject{values: map[string]any{}}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		all := values[name]
		text := all[0]
		object.names = append(object.names, name)
		object.values[name] = text
		if len(all) > 1 {
			return nil, &invalidParam{field: name, value: all, issue: "appears more than once"}
		}
		if !utf8.ValidString(text) {
			return nil, &invalidParam{field: name, issue: "must be UTF-8"}
		}
		if issue := textIssue(text); issue != "" {
			return nil, &invalidParam{field: name, value: text, issue: issue}
		}
		field := s.field(name)
		switch {
		case field == nil:
		case text == "":
			return nil, &invalidParam{field: name, value: "", issue: "must not be empty; omit it instead"}
		case field.kind == kindInteger && plainInteger.MatchString(text):
			object.values[name] = json.Number(text)
		}
	}
	return object, nil
}
