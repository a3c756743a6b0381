package wechatpaytest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// The double's tables and the SDK's models were written apart from the same
// documents: they must name the same fields. This test is inside the package
// because the tables are.
func TestTablesNameWhatTheSDKNames(t *testing.T) {
	for name, pair := range map[string][2]reflect.Type{
		"complaint":           {reflect.TypeFor[wireComplaint](), reflect.TypeFor[wechatpay.Complaint]()},
		"record":              {reflect.TypeFor[wireRecord](), reflect.TypeFor[wechatpay.NegotiationRecord]()},
		"message":             {reflect.TypeFor[wireMessage](), reflect.TypeFor[wechatpay.Message]()},
		"decision":            {reflect.TypeFor[decisionBody](), reflect.TypeFor[wechatpay.UpdateRefundProgressRequest]()},
		"page of complaints":  {reflect.TypeFor[page[wireComplaint]](), reflect.TypeFor[wechatpay.ComplaintList]()},
		"page of the history": {reflect.TypeFor[page[wireRecord]](), reflect.TypeFor[wechatpay.NegotiationHistory]()},
	} {
		t.Run(name, func(t *testing.T) {
			double, sdk := names(pair[0], ""), names(pair[1], "")
			// These two are raw in the table: one comes in two shapes, the
			// other as anything.
			for _, raw := range []string{"complaint_media_list", "message_content"} {
				for _, list := range []*[]string{&double, &sdk} {
					*list = slices.DeleteFunc(*list, func(n string) bool {
						return name != "complaint" && name != "page of complaints" && strings.Contains(n, raw)
					})
				}
			}
			require.NotEmpty(t, double)
			require.Equal(t, double, sdk)
		})
	}
}

// names lists the wire names of a type, as paths.
func names(t reflect.Type, at string) []string {
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
			all = append(all, names(t.Field(i).Type, at+"/"+name)...)
		}
	}
	slices.Sort(all)
	return all
}
