package recipes_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // OAEP's digest, by WeChat Pay's choice
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// keyService is what an HSM or a KMS does with a key that never leaves it. Its
// own client library takes this place. It must be safe for concurrent use.
type keyService interface {
	// SignPKCS1v15 signs a SHA-256 digest: RSASSA-PKCS1-v1_5.
	SignPKCS1v15(ctx context.Context, keyID string, digest []byte) ([]byte, error)
	// DecryptOAEP decrypts with RSAES-OAEP, SHA-1 as digest and in MGF1.
	DecryptOAEP(ctx context.Context, keyID string, ciphertext []byte) ([]byte, error)
}

// hsmKey is a crypto.Signer and a crypto.Decrypter over such a key. Leave
// Decrypt out if the service ties a key to signing: all but Client.Decrypt works
// without it.
type hsmKey struct {
	service keyService
	keyID   string
	public  *rsa.PublicKey
}

// crypto.Signer has no context, so that neither a call's nor an attempt's can
// end a signature: it needs a limit of its own.
const hsmTimeout = 3 * time.Second

// Public gives the public half, which the merchant API certificate has.
func (k *hsmKey) Public() crypto.PublicKey { return k.public }

// Sign is called once for each attempt, from all goroutines that make calls. If
// it fails, nothing is sent, and the call ends with its error.
func (k *hsmKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("the key signs SHA-256 digests with PKCS #1 v1.5 alone")
	}
	ctx, cancel := context.WithTimeout(context.Background(), hsmTimeout)
	defer cancel()
	return k.service.SignPKCS1v15(ctx, k.keyID, digest)
}

// Decrypt reads phone numbers.
func (k *hsmKey) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	oaep, ok := opts.(*rsa.OAEPOptions)
	if !ok || oaep.Hash != crypto.SHA1 || oaep.MGFHash != crypto.SHA1 && oaep.MGFHash != 0 || len(oaep.Label) != 0 {
		return nil, errors.New("the key decrypts OAEP with SHA-1 and no label alone")
	}
	ctx, cancel := context.WithTimeout(context.Background(), hsmTimeout)
	defer cancel()
	return k.service.DecryptOAEP(ctx, k.keyID, ciphertext)
}

// newHSMKey takes the public key from the merchant API certificate, and has the
// service sign once to prove that it holds the private one: NewClient can only
// compare the certificate with Public, which is the certificate's own here.
func newHSMKey(service keyService, keyID string, certificate *x509.Certificate) (*hsmKey, error) {
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the certificate's key is %T: a merchant API certificate's is RSA", certificate.PublicKey)
	}
	key := &hsmKey{service: service, keyID: keyID, public: public}
	digest := sha256.Sum256([]byte("does the key fit?"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("a first signature with key %s: %w", keyID, err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		return nil, fmt.Errorf("key %s does not fit the certificate: %w", keyID, err)
	}
	return key, nil
}

// A private key that this process never sees.
func Example_hsm() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", PayerPhone: "13900000000"})

	cfg := server.Config()
	service := softwareHSM{"merchant-api-key": cfg.PrivateKey.(*rsa.PrivateKey)} // yours is elsewhere
	key, err := newHSMKey(service, "merchant-api-key", cfg.Certificate)
	if err != nil {
		log.Fatal(err)
	}
	cfg.PrivateKey = key
	client, err := wechatpay.NewClient(cfg)
	if err != nil {
		log.Fatal(err)
	}

	complaint, err := client.ComplaintsV2.Get(context.Background(), "200201820200101080076610000")
	if err != nil {
		log.Fatal(err)
	}
	phone, err := client.Decrypt(complaint.PayerPhone)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(phone)
	// Output: 13900000000
}

// softwareHSM stands in for the device in this example.
type softwareHSM map[string]*rsa.PrivateKey

func (h softwareHSM) SignPKCS1v15(_ context.Context, keyID string, digest []byte) ([]byte, error) {
	key := h[keyID]
	if key == nil {
		return nil, fmt.Errorf("no key %q", keyID)
	}
	return rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest)
}

func (h softwareHSM) DecryptOAEP(_ context.Context, keyID string, ciphertext []byte) ([]byte, error) {
	key := h[keyID]
	if key == nil {
		return nil, fmt.Errorf("no key %q", keyID)
	}
	return rsa.DecryptOAEP(sha1.New(), nil, key, ciphertext, nil)
}
