package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// maxBody limits the body of a request, in bytes. It allows images that are too
// large for WeChat Pay.
const maxBody = 8 << 20

// decode reads a JSON object into a struct. It rejects unknown fields and null.
func decode(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return decodeJSON(data, into)
}

// requireEmptyBody rejects a request with a body other than {}.
func requireEmptyBody(r *http.Request) error { return decode(r, &struct{}{}) }

func decodeJSON(data []byte, into any) error {
	names := fieldNames(into)
	expected := "expected a JSON object with " + strings.Join(names, ", ")
	if len(names) == 0 {
		expected = "expected no body"
	}
	if len(bytes.TrimSpace(data)) == 0 {
		if len(names) == 0 {
			return nil
		}
		return fmt.Errorf("the body is empty: %s", expected)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return fmt.Errorf("the body is %s: %s", describeValue(wrongType.Value), expected)
		}
		return fmt.Errorf("the body is not JSON (%s): %s", strings.TrimPrefix(err.Error(), "json: "), expected)
	}
	if fields == nil {
		return fmt.Errorf("the body is null: %s", expected)
	}
	for name, value := range fields {
		if !slices.Contains(names, name) {
			return fmt.Errorf("unknown field %q: %s", name, expected)
		}
		if string(value) == "null" {
			return fmt.Errorf("%s must not be null: omit it instead", name)
		}
	}
	return decodeStrictly(data, into)
}

// decodeStrictly rejects unknown fields of nested objects too.
func decodeStrictly(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	var wrongType *json.UnmarshalTypeError
	if errors.As(err, &wrongType) {
		return fmt.Errorf("%s must be %s, got %s", wrongType.Field, describeType(wrongType.Type), describeValue(wrongType.Value))
	}
	if err != nil {
		return fmt.Errorf("invalid body: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// fieldNames returns the JSON names of the fields of a struct.
func fieldNames(structure any) []string {
	t := reflect.TypeOf(structure).Elem()
	var names []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// describeValue describes a value in the words of encoding/json: "array",
// "string", "number", "number 1.5", "bool".
func describeValue(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "bool":
		return "a boolean"
	case "string", "number":
		return "a " + value
	}
	return "the " + value
}

func describeType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Uint64:
		return "a non-negative integer"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic("wechatpay-mock: " + err.Error()) // all values are of types that JSON can represent
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// list is the JSON form of a list.
type list[T any] struct {
	Data []T `json:"data"`
}

func listOf[From, To any](all []From, convert func(From) To) list[To] {
	l := list[To]{Data: make([]To, len(all))}
	for i, v := range all {
		l.Data[i] = convert(v)
	}
	return l
}
