package wechatpay_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// decrypter is an hsm that can also decrypt.
type decrypter struct{ hsm }

func (d decrypter) Decrypt(random io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return d.key.Decrypt(random, ciphertext, opts)
}

func TestClient_Decrypt(t *testing.T) {
	key := privateKey(t, "merchant_key.pem")
	client := func(key crypto.Signer) *wechatpay.Client {
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.PrivateKey = key
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		return client
	}
	raw, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &key.PublicKey, []byte("13800000000"), nil)
	require.NoError(t, err)
	ciphertext := base64.StdEncoding.EncodeToString(raw)

	// phone.enc is made by OpenSSL: testdata/make.sh.
	for name, ciphertext := range map[string]string{
		"openssl":    string(testdata(t, "phone.enc")),
		"crypto/rsa": ciphertext,
	} {
		for _, key := range []crypto.Signer{key, decrypter{hsm{key: key}}} {
			phone, err := client(key).Decrypt(ciphertext)
			require.NoError(t, err, name)
			require.Equal(t, "13800000000", phone)
		}
	}

	_, err = client(privateKey(t, "platform_key.pem")).Decrypt(ciphertext)
	require.ErrorIs(t, err, rsa.ErrDecryption)
	want := "wechatpay: Decrypt: not encrypted for merchant certificate " + testSerialNo + ", or modified: "
	require.ErrorContains(t, err, want)
	_, err = client(hsm{key: key}).Decrypt(ciphertext)
	require.EqualError(t, err, "wechatpay: Decrypt: invalid argument: "+
		"PrivateKey: must be a crypto.Decrypter, got wechatpay_test.hsm")
	_, err = client(key).Decrypt("*")
	require.ErrorContains(t, err, "wechatpay: Decrypt: invalid argument: ciphertext: is not base64: ")
}

// Complaints of users who left no phone number have an empty PayerPhone.
func TestClient_Decrypt_empty(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	for _, key := range []crypto.Signer{cfg.PrivateKey, hsm{key: privateKey(t, "merchant_key.pem")}} {
		cfg.PrivateKey = key
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		phone, err := client.Decrypt("")
		require.NoError(t, err)
		require.Empty(t, phone)
	}
}

// The error of an HSM does not blame the ciphertext.
func TestClient_Decrypt_keyFails(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.PrivateKey = brokenDecrypter{decrypter{hsm{key: privateKey(t, "merchant_key.pem")}}}
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	_, err = client.Decrypt("AAAA")
	require.EqualError(t, err, "wechatpay: Decrypt: PrivateKey: io: read/write on closed pipe")
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

type brokenDecrypter struct{ decrypter }

func (brokenDecrypter) Decrypt(io.Reader, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, io.ErrClosedPipe
}

// In FIPS 140-only mode everything works except Decrypt, which needs SHA-1.
func TestClient_fips140Only(t *testing.T) {
	const mode = "fips140=only"
	if os.Getenv("GODEBUG") == mode {
		testFIPS140Only(t)
		return
	}
	tests := []string{t.Name(), "TestDecryptAEAD", "TestClient_ParseNotification_(recorded|undecryptable)"}
	if v := runtime.Version(); !strings.HasPrefix(v, "go1.24") && !strings.HasPrefix(v, "go1.25") {
		// With an older Go, package wechatpaytest cannot encrypt in this mode.
		tests = append(tests, "TestClient_NotificationHandler_wechatpaytest", "TestClient_platformCertificates_firstCall")
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run=^("+strings.Join(tests, "|")+")$")
	cmd.Env = append(os.Environ(), "GODEBUG="+mode)
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	for _, test := range tests {
		require.Regexp(t, "--- PASS: "+test+" ", string(output))
	}
}

func testFIPS140Only(t *testing.T) {
	client := testClient(t)
	_, err := client.Decrypt(string(testdata(t, "phone.enc")))
	require.ErrorContains(t, err, "wechatpay: Decrypt: PrivateKey: crypto/rsa: use of hash functions other than SHA-2")
	require.ErrorContains(t, err, "FIPS 140-only mode")
	_, err = client.Echo(context.Background(), &wechatpay.EchoRequest{EchoMessage: "a", EncryptedEchoMessage: "b"})
	require.ErrorContains(t, err, "EncryptedEchoMessage: cannot be encrypted: crypto/rsa: use of hash functions")
}
