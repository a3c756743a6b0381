package recipes_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// The notification handler is an http.Handler, so gin and echo can use it. No
// middleware may read the body before, because the signature covers the raw bytes.
func Example_routers() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000"})
	client, err := wechatpay.NewClient(server.Config())
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := client.NotificationHandler(func(ctx context.Context, n *wechatpay.Notification) error {
		fmt.Println(n.ActionType, n.ComplaintID)
		return nil
	})

	gin.SetMode(gin.ReleaseMode)
	router := gin.New()
	router.POST("/wechatpay/notifications", gin.WrapH(handler))

	e := echo.New()
	e.POST("/wechatpay/notifications", echo.WrapHandler(handler))

	for _, h := range []http.Handler{router, e} {
		shop := httptest.NewServer(h)
		resp, err := server.Notify(context.Background(), shop.URL+"/wechatpay/notifications", wechatpaytest.Notification{
			EventType:   "COMPLAINT.CREATE",
			ComplaintID: "200201820200101080076610000",
			ActionType:  "CREATE_COMPLAINT",
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		resp.Body.Close()
		fmt.Println(resp.Status)
		shop.Close()
	}
	// Output:
	// CREATE_COMPLAINT 200201820200101080076610000
	// 200 OK
	// CREATE_COMPLAINT 200201820200101080076610000
	// 200 OK
}
