package wechatpaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A jsonObject is a JSON object that keeps the order of its members.
type jsonObject struct {
	names  []string
	values map[string]any
}

// decode stores the object in a struct. The caller has checked it against the
// schema of the struct.
func (o *jsonObject) decode(into any) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// emptyList returns the pointer of the first empty array in a value.
func emptyList(v any, pointer string) (at string, found bool) {
	switch v := v.(type) {
	case []any:
		for i, elem := range v {
			if at, found := emptyList(elem, pointer+"/"+strconv.Itoa(i)); found {
				return at, true
			}
		}
		return pointer, len(v) == 0
	case *jsonObject:
		for _, name := range v.names {
			if at, found := emptyList(v.values[name], pointer+"/"+escapePointer(name)); found {
				return at, true
			}
		}
	}
	return "", false
}

// MarshalJSON encodes the members, sorted by name.
func (o *jsonObject) MarshalJSON() ([]byte, error) { return json.Marshal(o.values) }

const maxDepth = 32

// parseJSON parses a JSON object. Unlike encoding/json, it rejects duplicate
// members, data after the object, invalid UTF-8, and characters beyond U+FFFF.
func parseJSON(data []byte) (*jsonObject, *invalidParam) {
	if !utf8.Valid(data) {
		return nil, &invalidParam{issue: "must be UTF-8"}
	}
	p := jsonParser{json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	v, invalid := p.value("", 0)
	if invalid != nil {
		return nil, invalid
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &invalidParam{issue: "has data after the JSON object"}
	}
	object, ok := v.(*jsonObject)
	if !ok {
		return nil, &invalidParam{value: detailValue(v), issue: "must be a JSON object, got " + kindOf(v)}
	}
	return object, nil
}

// A jsonParser parses values of the types *jsonObject, []any, string,
// json.Number, bool, and nil.
type jsonParser struct{ dec *json.Decoder }

// value parses the value at a JSON pointer.
func (p jsonParser) value(pointer string, depth int) (any, *invalidParam) {
	token, invalid := p.token(pointer)
	if invalid != nil {
		return nil, invalid
	}
	if depth > maxDepth {
		return nil, &invalidParam{field: pointer, issue: fmt.Sprintf("is nested deeper than %d levels", maxDepth)}
	}
	switch token := token.(type) {
	case json.Delim:
		if token == '[' {
			return p.array(pointer, depth)
		}
		return p.object(pointer, depth)
	case string:
		if issue := textIssue(token); issue != "" {
			return nil, &invalidParam{field: pointer, value: token, issue: issue}
		}
	}
	return token, nil
}

// array parses the rest of an array.
func (p jsonParser) array(pointer string, depth int) (any, *invalidParam) {
	list := []any{}
	for p.dec.More() {
		v, invalid := p.value(pointer+"/"+strconv.Itoa(len(list)), depth+1)
		if invalid != nil {
			return nil, invalid
		}
		list = append(list, v)
	}
	_, invalid := p.token(pointer) // the bracket
	return list, invalid
}

// object parses the rest of an object.
func (p jsonParser) object(pointer string, depth int) (any, *invalidParam) {
	object := &jsonObject{values: map[string]any{}}
	for p.dec.More() {
		key, invalid := p.token(pointer)
		if invalid != nil {
			return nil, invalid
		}
		name := key.(string)
		at := pointer + "/" + escapePointer(name)
		if issue := textIssue(name); issue != "" {
			return nil, &invalidParam{field: at, value: name, issue: "the name " + issue}
		}
		if _, duplicate := object.values[name]; duplicate {
			return nil, &invalidParam{field: at, issue: "appears twice"}
		}
		v, invalid := p.value(at, depth+1)
		if invalid != nil {
			return nil, invalid
		}
		object.names = append(object.names, name)
		object.values[name] = v
	}
	_, invalid := p.token(pointer) // the brace
	return object, invalid
}

func (p jsonParser) token(pointer string) (json.Token, *invalidParam) {
	token, err := p.dec.Token()
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &invalidParam{field: pointer, issue: "is not valid JSON: unexpected end"}
	case err != nil:
		return nil, &invalidParam{field: pointer, issue: "is not valid JSON: " + err.Error()}
	}
	return token, nil
}

// textIssue rejects characters that take four bytes in UTF-8.
func textIssue(s string) string {
	for _, r := range s {
		if r > 0xffff {
			return fmt.Sprintf("contains %U; WeChat Pay accepts no characters beyond U+FFFF (emoji)", r)
		}
	}
	return ""
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

var plainInteger = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

// kindOf returns the kind of a parsed value, with its article.
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
		return "a non-integer number"
	}
	return fmt.Sprintf("%T", v)
}

// detailValue returns the value to show in an error: a scalar, a text of at most
// 100 characters, or the kind of an object or array.
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
