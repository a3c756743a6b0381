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

// decode reads a JSON object into a struct. What it has no field for is
// refused, and so is null.
func decode(r *http.Request, into any) error {
	data, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	return decodeJSON(data, into)
}

func decodeJSON(data []byte, into any) error {
	names := fieldNames(into)
	takes := "it must be a JSON object with " + strings.Join(names, ", ")
	if len(names) == 0 {
		takes = "this path takes none"
	}
	if len(bytes.TrimSpace(data)) == 0 {
		if len(names) == 0 {
			return nil
		}
		return fmt.Errorf("the body is empty: %s", takes)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return fmt.Errorf("the body is %s: %s", aValue(wrongType.Value), takes)
		}
		return fmt.Errorf("the body is not JSON (%s): %s", strings.TrimPrefix(err.Error(), "json: "), takes)
	}
	if members == nil {
		return fmt.Errorf("the body is null: %s", takes)
	}
	for name, value := range members {
		if !slices.Contains(names, name) {
			return fmt.Errorf("the body has an unknown member %q: %s", name, takes)
		}
		if string(value) == "null" {
			return fmt.Errorf("%s is null: leave it out instead", name)
		}
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields() // of objects within
	if err := dec.Decode(into); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return fmt.Errorf("%s must be %s, and is %s", wrongType.Field, kindOf(wrongType.Type), aValue(wrongType.Value))
		}
		return fmt.Errorf("the body is wrong: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// fieldNames are the JSON names of a struct's fields.
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

// aValue says what encoding/json found: "array", "string", "number", "number
// 1.5", "bool".
func aValue(found string) string {
	switch found {
	case "array", "object":
		return "an " + found
	case "bool":
		return "a boolean"
	case "string", "number":
		return "a " + found
	}
	return "the " + found
}

func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "a boolean"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Uint64:
		return "an integer from 0 on"
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
		panic("wechatpay-mock: " + err.Error()) // only types of this command and of the SDK come here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// list is the form of all answers that hold several.
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
