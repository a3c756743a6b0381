package wechatpay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// unmarshal decodes a JSON object of WeChat Pay into the struct that v points
// to. If json.Unmarshal fails, it decodes field by field, and reads
//
//	a single value for a list          as a list of one
//	a list of one for a single value   as its entry
//	a time in another layout           as parseTime does
//	"5" for 5, 5 for "5", 5.0 for 5    if nothing is lost
//	"true", "1" or 1 for true          and the same for false
//	"" and anything else               as zero
//
// A field with the tag wire:"strict" must be readable unless it is absent or
// null, and a strict number must have digits only, because 5.00 may be yuan.
// Otherwise the error is an *unreadableError.
func unmarshal(data []byte, v any) error {
	err := json.Unmarshal(data, v)
	var syntax *json.SyntaxError
	if err == nil || errors.As(err, &syntax) {
		return err
	}
	if data = bytes.TrimSpace(data); data[0] != '{' {
		return &unreadableError{value: data, as: "an object"}
	}
	if err := readFields(reflect.ValueOf(v).Elem(), data); err != nil {
		return err
	}
	return nil
}

// unreadableError reports a field that cannot be read.
type unreadableError struct {
	record string // the object with the field, such as "complaint 1", if it has an id
	path   string // of the field, from record
	value  []byte // as received; nil: not shown
	as     string // what was expected
	strict bool   // whether the field is strict
}

func (e *unreadableError) Error() string {
	value := "it"
	if e.value != nil {
		value = fmt.Sprintf("%.40s", oneLine(string(e.value)))
	}
	return joinTexts(e.record, e.path, "cannot read "+value+" as "+e.as)
}

// in prepends the field or index that the path is relative to.
func (e *unreadableError) in(parent string) {
	switch {
	case e.record != "": // the path begins there
	case e.path == "" || e.path[0] == '[':
		e.path = parent + e.path
	default:
		e.path = parent + "." + e.path
	}
}

// recordIDs are the fields that identify an object, and what an error calls it.
var recordIDs = []struct{ field, name string }{
	{"complaint_id", "complaint"},
	{"out_refund_no", "refund"},
	{"log_id", "record"},
}

// nameRecord sets the record from the members of the object.
func (e *unreadableError) nameRecord(members map[string]json.RawMessage) {
	for _, id := range recordIDs {
		var value string
		if e.record == "" && json.Unmarshal(members[id.field], &value) == nil && value != "" {
			e.record = id.name + " " + oneLine(value)
		}
	}
}

// readFields reads the fields of a struct from an object.
func readFields(v reflect.Value, raw []byte) *unreadableError {
	members := membersOf(v.Type(), raw)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		name, _, _ := strings.Cut(tag.Get("json"), ",")
		member, ok := members[name]
		if !ok || name == "" || name == "-" {
			continue
		}
		strict := tag.Get("wire") == "strict"
		err := read(v.Field(i), member, strict)
		switch {
		case err == nil:
		case strict || err.strict:
			err.strict = true
			err.in(name)
			err.nameRecord(members)
			return err
		default:
			v.Field(i).SetZero()
		}
	}
	return nil
}

// membersOf returns the members of an object by the JSON names of the fields. As
// in json.Unmarshal, the case of a key is ignored, the last of equal keys counts,
// and null does not replace a value.
func membersOf(t reflect.Type, raw []byte) map[string]json.RawMessage {
	names := make(map[string]string, t.NumField())
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names[foldKey(name)] = name
	}
	members := make(map[string]json.RawMessage)
	decoder := json.NewDecoder(bytes.NewReader(raw))
	_, _ = decoder.Token() // {
	for decoder.More() {
		token, _ := decoder.Token()
		var member json.RawMessage
		key, ok := token.(string)
		if !ok || decoder.Decode(&member) != nil {
			break
		}
		if name, known := names[foldKey(key)]; known {
			key = name
		}
		if members[key] == nil || string(member) != "null" {
			members[key] = member
		}
	}
	return members
}

// foldKey returns equal texts for the keys that json.Unmarshal takes as equal.
func foldKey(key string) string { return strings.ToLower(strings.ToUpper(key)) }

// read reads a value. It tries json.Unmarshal first, so that only what is odd is
// read in steps.
func read(v reflect.Value, raw []byte, strict bool) *unreadableError {
	failed := json.Unmarshal(raw, v.Addr().Interface())
	if failed == nil {
		return nil
	}
	v.SetZero()
	isTime := v.Type() == reflect.TypeFor[time.Time]()
	switch {
	case v.Kind() == reflect.Pointer: // zero, if unreadable, is nil
		v.Set(reflect.New(v.Type().Elem()))
		return read(v.Elem(), raw, strict)
	case v.Kind() == reflect.Slice:
		return readList(v, raw, strict)
	case v.Kind() == reflect.Struct && raw[0] == '{' && !isTime:
		var unreadable *unreadableError
		if errors.As(failed, &unreadable) { // from its UnmarshalJSON
			return unreadable
		}
		return readFields(v, raw)
	case raw[0] == '[':
		if list := entries(raw); len(list) == 1 && list[0][0] != '[' {
			return read(v, list[0], strict)
		}
	case convert(v, raw, strict):
		return nil
	}
	return &unreadableError{value: raw, as: expected(v.Type())}
}

// readList reads a list. Entries that cannot be read are left out, unless the
// list is strict.
func readList(v reflect.Value, raw []byte, strict bool) *unreadableError {
	if string(raw) == `""` { // not a list of one ""
		return &unreadableError{value: raw, as: "a list"}
	}
	list := []json.RawMessage{raw}
	if raw[0] == '[' {
		list = entries(raw)
	}
	for i, raw := range list {
		entry := reflect.New(v.Type().Elem()).Elem()
		err := read(entry, raw, strict)
		switch {
		case err == nil:
			v.Set(reflect.Append(v, entry))
		case strict || err.strict:
			err.in(fmt.Sprintf("[%d]", i))
			return err
		}
	}
	return nil
}

// entries returns the entries of a list.
func entries(raw []byte) (list []json.RawMessage) {
	_ = json.Unmarshal(raw, &list)
	return list
}

// convert reads a string, a number or a boolean as another of them, or as a time.
func convert(v reflect.Value, raw []byte, strict bool) bool {
	text := string(raw)
	isString := json.Unmarshal(raw, &text) == nil
	text = strings.TrimSpace(text)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
		return strings.Trim(text, "-.0123456789") == "" // a number without an exponent
	case reflect.Bool:
		v.SetBool(text == "1" || strings.EqualFold(text, "true"))
		return v.Bool() || text == "0" || strings.EqualFold(text, "false")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil && !isString && !strict {
			var f float64
			f, err = strconv.ParseFloat(text, 64)
			if n = int64(f); math.Abs(f) > 1<<53 || f != math.Trunc(f) {
				return false
			}
		}
		v.SetInt(n)
		return err == nil && !v.OverflowInt(n)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			t, ok := parseTime(text)
			v.Set(reflect.ValueOf(t))
			return ok
		}
	}
	return false
}

// timeLayouts are the layouts of times other than those of JSON. A fraction of a
// second may follow the seconds.
var timeLayouts = []string{
	time.RFC3339, // more lenient than time.Time.UnmarshalJSON
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05Z07:00",
	"2006-01-02 15:04:05",
	"20060102150405",
}

// parseTime reads a time in any of timeLayouts, or in seconds or milliseconds
// since 1970. Without a zone it is Beijing time. 0 is the zero time.
func parseTime(text string) (time.Time, bool) {
	if n, err := strconv.ParseUint(text, 10, 63); err == nil {
		switch len(text) {
		case 1:
			return time.Time{}, n == 0
		case 9, 10:
			return time.Unix(int64(n), 0).In(beijing), true
		case 12, 13:
			return time.UnixMilli(int64(n)).In(beijing), true
		}
	}
	for _, layout := range timeLayouts {
		if t, err := time.ParseInLocation(layout, text, beijing); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// expected describes a type for an error.
func expected(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "a time"
	case t.Kind() == reflect.Struct:
		return "an object"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "an integer"
	case t.Kind() == reflect.Int64: // all amounts of money have this type
		return "fen"
	}
	return "a string"
}
