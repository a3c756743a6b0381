package wechatpay_test

import (
	"context"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// A rejection that comes from the number of a service provider names the remedy.
func TestComplaintsV2_serviceProviderWithoutMchID(t *testing.T) {
	calls := map[string]func(*wechatpay.Client, string) error{
		"Respond": func(c *wechatpay.Client, mchID string) error {
			req := &wechatpay.RespondRequest{ComplaintedMchID: mchID, ResponseContent: "您好"}
			return c.ComplaintsV2.Respond(context.Background(), testComplaintID, req)
		},
		"RespondImmediateService": func(c *wechatpay.Client, mchID string) error {
			_, err := c.ComplaintsV2.RespondImmediateService(context.Background(), testComplaintID,
				&wechatpay.ImmediateServiceRequest{
					ComplaintedMchID: mchID,
					Message:          wechatpay.NewMessage(wechatpay.TextBlock("您好")),
				})
			return err
		},
		"Complete": func(c *wechatpay.Client, mchID string) error {
			req := &wechatpay.CompleteRequest{ComplaintedMchID: mchID}
			return c.ComplaintsV2.Complete(context.Background(), testComplaintID, req)
		},
	}
	const (
		remedy = "; service providers must send Complaint.ComplaintedMchID"
		field  = `{"code":"PARAM_ERROR","message":"m","detail":{"field":"/complainted_mchid"}}`
	)
	for name, call := range calls {
		for _, tt := range []struct {
			status      int
			body, mchID string
			remedy      bool
		}{
			{403, `{"code":"NO_AUTH","message":"m"}`, "", true},
			{400, field, "", true},
			{400, field, "1900000109", false},
			{400, `{"code":"PARAM_ERROR","message":"m"}`, "", false},
			{500, `{"code":"SYSTEM_ERROR","message":"m"}`, "", false},
		} {
			client, _ := newMock(t, reply(t, tt.status, tt.body))
			err := call(client, tt.mchID)
			var rejection *wechatpay.APIError
			require.ErrorAs(t, err, &rejection)
			require.Equal(t, tt.remedy, strings.HasSuffix(err.Error(), remedy), "%s: %v", name, err)
			if tt.remedy {
				requireShort(t, err, testComplaintID, " [request id 08F7A1B2C30610-0]", rejection.Host)
			}
		}
	}
}

// WeChat Pay rejects empty lists: no request has one.
func TestRequests_emptyLists(t *testing.T) {
	for _, req := range []any{
		&wechatpay.RespondRequest{}, &wechatpay.ImmediateServiceRequest{}, &wechatpay.CompleteRequest{},
		&wechatpay.UpdateRefundProgressRequest{}, &wechatpay.CreateRefundRequest{},
	} {
		fillLists(reflect.ValueOf(req).Elem())
		out, err := json.Marshal(req)
		require.NoError(t, err)
		require.NotContains(t, string(out), "[]", "%T", req)
		require.NotContains(t, string(out), "null", "%T", req)
	}
}

// fillLists sets every nil list of a struct, at any depth, to an empty list.
func fillLists(v reflect.Value) {
	for i := range v.NumField() {
		switch field := v.Field(i); field.Kind() {
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 0, 0))
		case reflect.Struct:
			fillLists(field)
		}
	}
}
