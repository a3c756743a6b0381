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

// rotating holds a Client that can be replaced while calls are in progress. A Client
// is immutable, so new keys need a new Client. Both share the connections.
type rotating struct {
	transport http.RoundTripper
	current   atomic.Pointer[wechatpay.Client]
	previous  atomic.Pointer[wechatpay.Client] // nil until the second rotate

	// handle is called for each notification, for example wechatpay.Once(…).
	handle func(context.Context, *wechatpay.Notification) error
}

// rotate switches to the keys of cfg. If they are invalid, the current keys stay. It
// must not be called concurrently.
//
// Calls in progress keep their keys, also for retries. Wait for the longest call
// before you revoke the old certificate on the merchant platform; see
// wechatpay.RetryPolicy for the duration of a call without a deadline.
func (r *rotating) rotate(cfg wechatpay.Config) error {
	cfg.Transport = r.transport
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		return err
	}
	r.previous.Store(r.current.Load()) // first, so that decrypt always finds it
	r.current.Store(client)
	return nil
}

// client returns the current Client. Call it again for each request.
func (r *rotating) client() *wechatpay.Client { return r.current.Load() }

// ServeHTTP handles notifications with the current keys. Do not mount the
// NotificationHandler of one Client instead: it keeps the old APIv3 key, and fails
// after a rotation.
func (r *rotating) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.client().NotificationHandler(r.handle).ServeHTTP(w, req)
}

// decrypt decrypts a phone number with the current key, or with the previous one if
// the complaint was read before the rotation.
func (r *rotating) decrypt(ciphertext string) (string, error) {
	plain, err := r.current.Load().Decrypt(ciphertext)
	if previous := r.previous.Load(); err != nil && previous != nil {
		decrypted, previousErr := previous.Decrypt(ciphertext)
		if previousErr == nil {
			return decrypted, nil
		}
		err = errors.Join(err, previousErr)
	}
	return plain, err
}

// Switch to a new merchant API certificate without a restart or new connections.
// Both certificates are valid until the old one is revoked.
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

	// Switch to the new certificate, then revoke the old one.
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
