package wechatpaytest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// The wire types and the SDK's models were written separately from the same
// documents, so they must have the same field names.
func TestWireTypes_sdkModels(t *testing.T) {
	for name, pair := range map[string][2]reflect.Type{
		"complaint":      {reflect.TypeFor[wireComplaint](), reflect.TypeFor[wechatpay.Complaint]()},
		"record":         {reflect.TypeFor[wireRecord](), reflect.TypeFor[wechatpay.NegotiationRecord]()},
		"message":        {reflect.TypeFor[wireMessage](), reflect.TypeFor[wechatpay.Message]()},
		"decision":       {reflect.TypeFor[decisionBody](), reflect.TypeFor[wechatpay.UpdateRefundProgressRequest]()},
		"complaint list": {reflect.TypeFor[page[wireComplaint]](), reflect.TypeFor[wechatpay.ComplaintList]()},
		"history":        {reflect.TypeFor[page[wireRecord]](), reflect.TypeFor[wechatpay.NegotiationHistory]()},
	} {
		t.Run(name, func(t *testing.T) {
			wire, sdk := fieldNames(pair[0], ""), fieldNames(pair[1], "")
			if name != "complaint" && name != "complaint list" {
				wire, sdk = withoutRaw(wire), withoutRaw(sdk)
			}
			require.NotEmpty(t, wire)
			require.Equal(t, wire, sdk)
		})
	}
}

// withoutRaw removes the fields of records that are raw in the wire type: one has
// two shapes, the other any.
func withoutRaw(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return strings.Contains(name, "complaint_media_list") || strings.Contains(name, "message_content")
	})
}

// fieldNames returns the JSON names of a type, as paths.
func fieldNames(t reflect.Type, at string) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t.PkgPath() == "time" {
		return []string{at}
	}
	var all []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "-" && name != "" {
			all = append(all, fieldNames(t.Field(i).Type, at+"/"+name)...)
		}
	}
	slices.Sort(all)
	return all
}
