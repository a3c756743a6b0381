package wechatpaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A jsonObject keeps the order of its members.
type jsonObject struct {
	names  []string
	values map[string]any
}

// parseJSON parses a JSON object, and refuses what encoding/json lets through:
// a member that comes twice, text after the object, bytes that are not UTF-8,
// and characters beyond U+FFFF.
func parseJSON(data []byte) (*jsonObject, *invalidParam) {
	if !utf8.Valid(data) {
		return nil, &invalidParam{issue: "the body is not UTF-8"}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, fault := parseValue(dec, "", 0)
	if fault != nil {
		return nil, fault
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &invalidParam{issue: "the body goes on after its JSON object"}
	}
	object, ok := v.(*jsonObject)
	if !ok {
		return nil, &invalidParam{value: detailValue(v), issue: "the body must be a JSON object, and is " + kindOf(v)}
	}
	return object, nil
}

const maxDepth = 32

func parseValue(dec *json.Decoder, pointer string, depth int) (any, *invalidParam) {
	token, err := dec.Token()
	if err != nil {
		return nil, &invalidParam{field: pointer, issue: "the body is not JSON: " + jsonIssue(err)}
	}
	if depth > maxDepth {
		return nil, &invalidParam{field: pointer, issue: fmt.Sprintf("the body is nested deeper than %d", maxDepth)}
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			list := []any{}
			for dec.More() {
				v, fault := parseValue(dec, pointer+"/"+strconv.Itoa(len(list)), depth+1)
				if fault != nil {
					return nil, fault
				}
				list = append(list, v)
			}
			if _, err := dec.Token(); err != nil {
				return nil, &invalidParam{field: pointer, issue: "the body is not JSON: " + jsonIssue(err)}
			}
			return list, nil
		}
		object := &jsonObject{values: map[string]any{}}
		for dec.More() {
			key, err := dec.Token()
			if err != nil {
				return nil, &invalidParam{field: pointer, issue: "the body is not JSON: " + jsonIssue(err)}
			}
			name := key.(string)
			at := pointer + "/" + escapePointer(name)
			if issue := textIssue(name); issue != "" {
				return nil, &invalidParam{field: at, value: name, issue: "its name " + issue}
			}
			if _, twice := object.values[name]; twice {
				return nil, &invalidParam{field: at, issue: "is there twice"}
			}
			v, fault := parseValue(dec, at, depth+1)
			if fault != nil {
				return nil, fault
			}
			object.names = append(object.names, name)
			object.values[name] = v
		}
		if _, err := dec.Token(); err != nil {
			return nil, &invalidParam{field: pointer, issue: "the body is not JSON: " + jsonIssue(err)}
		}
		return object, nil
	case string:
		if issue := textIssue(token); issue != "" {
			return nil, &invalidParam{field: pointer, value: token, issue: issue}
		}
	}
	return token, nil
}

func jsonIssue(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return err.Error()
}

// textProblem refuses characters that take four bytes in UTF-8.
func textIssue(s string) string {
	for _, r := range s {
		if r > 0xffff {
			return fmt.Sprintf("has the character %U, and WeChat Pay takes none beyond U+FFFF (emoji)", r)
		}
	}
	return ""
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return string(kindString)
	case bool:
		return string(kindBoolean)
	case []any:
		return string(kindList)
	case *jsonObject:
		return string(kindObject)
	case json.Number:
		if plainInteger.MatchString(v.String()) {
			return string(kindInteger)
		}
		return "a number that is no integer"
	}
	return fmt.Sprintf("%T", v)
}

// plainValue is what detail.value shows of a value: scalars as they are, long
// text cut, the rest by its kind.
func detailValue(v any) any {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) > 100 {
			return string([]rune(v)[:100]) + "…"
		}
	case []any, *jsonObject:
		return kindOf(v)
	}
	return v
}

// decode puts an object that the schema let through into the struct that the
// schema was read off.
func (o *jsonObject) decode(into any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// MarshalJSON writes the object back.
func (o *jsonObject) MarshalJSON() ([]byte, error) { return json.Marshal(o.values) }
