package recipes_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // WeChat Pay uses it with OAEP
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

// keyService is an HSM or a KMS. Implement it with the client library of yours.
// It must be safe for concurrent use.
type keyService interface {
	// SignPKCS1v15 signs a SHA-256 digest with RSASSA-PKCS1-v1_5.
	SignPKCS1v15(ctx context.Context, keyID string, digest []byte) ([]byte, error)
	// DecryptOAEP decrypts with RSAES-OAEP, with SHA-1 as hash and in MGF1.
	DecryptOAEP(ctx context.Context, keyID string, ciphertext []byte) ([]byte, error)
}

// hsmKey is a crypto.Signer and crypto.Decrypter for a key in a keyService. If the
// key can only sign, omit Decrypt: everything except Client.Decrypt works without
// it.
type hsmKey struct {
	service keyService
	keyID   string
	public  *rsa.PublicKey
}

// hsmTimeout limits a signature or decryption, because crypto.Signer takes no
// context.
const hsmTimeout = 3 * time.Second

// Public returns the public key of the merchant API certificate.
func (k *hsmKey) Public() crypto.PublicKey { return k.public }

// Sign is called once per attempt, also concurrently. If it fails, the request is
// not sent and the call returns the error.
func (k *hsmKey) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, pss := opts.(*rsa.PSSOptions); pss || opts.HashFunc() != crypto.SHA256 {
		return nil, errors.New("only SHA-256 with PKCS #1 v1.5 is supported")
	}
	ctx, cancel := context.WithTimeout(context.Background(), hsmTimeout)
	defer cancel()
	return k.service.SignPKCS1v15(ctx, k.keyID, digest)
}

// Decrypt decrypts phone numbers.
func (k *hsmKey) Decrypt(_ io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	oaep, ok := opts.(*rsa.OAEPOptions)
	if !ok || oaep.Hash != crypto.SHA1 || oaep.MGFHash != crypto.SHA1 && oaep.MGFHash != 0 || len(oaep.Label) != 0 {
		return nil, errors.New("only OAEP with SHA-1 and no label is supported")
	}
	ctx, cancel := context.WithTimeout(context.Background(), hsmTimeout)
	defer cancel()
	return k.service.DecryptOAEP(ctx, k.keyID, ciphertext)
}

// newHSMKey takes the public key from the merchant API certificate. It signs once to
// check that the private key matches, which NewClient cannot do: it compares the
// certificate with Public.
func newHSMKey(service keyService, keyID string, certificate *x509.Certificate) (*hsmKey, error) {
	public, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("the certificate has a %T, not an RSA key", certificate.PublicKey)
	}
	key := &hsmKey{service: service, keyID: keyID, public: public}
	digest := sha256.Sum256([]byte("test"))
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("test signature with key %s: %w", keyID, err)
	}
	if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
		return nil, fmt.Errorf("key %s does not match the certificate: %w", keyID, err)
	}
	return key, nil
}

// Use a private key that stays in an HSM or KMS.
func Example_hsm() {
	server := wechatpaytest.NewServer()
	defer server.Close()
	server.AddComplaint(wechatpay.Complaint{ComplaintID: "200201820200101080076610000", PayerPhone: "13900000000"})

	cfg := server.Config()
	service := softwareHSM{"merchant-api-key": cfg.PrivateKey.(*rsa.PrivateKey)} // replace it by yours
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

// softwareHSM replaces the device in this example.
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
