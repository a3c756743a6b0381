package recipes_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// rotating is a Client that can be replaced while calls are under way. A Client
// never changes, so that other keys are another Client; both use the same
// connections.
type rotating struct {
	transport http.RoundTripper
	current   atomic.Pointer[wechatpay.Client]
	before    atomic.Pointer[wechatpay.Client] // nil until the first rotation

	// handle is called for each notification; wechatpay.Once may have made it.
	handle func(context.Context, *wechatpay.Notification) error
}

// rotate makes the keys of cfg the current ones. If they are wrong, the old ones
// stay. Call it from one place at a time.
//
// A call that is under way ends with the keys that it began with, its
// repetitions too. So let the longest call end before you revoke the old
// certificate in the merchant platform: see wechatpay.RetryPolicy for how long a
// call without a deadline may take.
func (r *rotating) rotate(cfg wechatpay.Config) error {
	cfg.Transport = r.transport
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return err
	}
	r.before.Store(r.current.Load()) // first, so that there is no moment without it
	r.current.Store(client)
	return nil
}

// client is the one to call with. Take it anew for each call.
func (r *rotating) client() *wechatpay.Client { return r.current.Load() }

// ServeHTTP receives notifications with the current keys. Mount this, and not
// the NotificationHandler of one Client: that keeps its Client's APIv3 key, and
// after a change could read no notification.
func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.client().NotificationHandler(r.handle).ServeHTTP(w, req)
}

// decrypt reads a phone number with the current key, or else with the one
// before, for which it was encrypted if it was read or stored earlier.
func (r *rotating) decrypt(ciphertext string) (string, error) {
	plain, err := r.current.Load().Decrypt(ciphertext)
	if before := r.before.Load(); err != nil && before != nil {
		older, errBefore := before.Decrypt(ciphertext)
		if errBefore == nil {
			return older, nil
		}
		err = errors.Join(err, errBefore)
	}
	return plain, err
}

// A new merchant API certificate, without a restart and without new
// connections. Both certificates are valid until the old one is revoked.
func Example_keyRotation() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", PayerPhone: "13900000000"})
	ctx := context.Background()

	merchant := &rotating{transport: wechatpay.NewTransport()}
	oldConfig := server.Config()
	if err := merchant.rotate(oldConfig); err != nil {
		log.Fatal(err)
	}
	stored, err := merchant.client().ComplaintsV2.Get(ctx, "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}

	// The new certificate is there: begin to use it, and then revoke the old one.
	newConfig := server.RenewMerchantCertificate()
	if err := merchant.rotate(newConfig); err != nil {
		log.Fatal(err)
	}
	server.RevokeMerchantCertificate(oldConfig.SerialNo)

	fresh, err := merchant.client().ComplaintsV2.Get(ctx, "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	for _, complaint := range []*wechatpay.Complaint{stored, fresh} {
		phone, err := merchant.decrypt(complaint.PayerPhone)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(phone)
	}
	// Output:
	// 13900000000
	// 13900000000
}
