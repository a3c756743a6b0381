// Package exampletest sets up the environment for tests of the examples.
package exampletest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// ClearEnv empties all WECHATPAY_ variables.
func ClearEnv(t *testing.T) {
	t.Helper()
	for _, setting := range os.Environ() {
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "WECHATPAY_") {
			t.Setenv(name, "")
		}
	}
}

// NewServer starts a server and sets the WECHATPAY_ variables for it.
func NewServer(t *testing.T) *wechatpaytest.Server {
	t.Helper()
	server := wechatpaytest.NewServer()
	t.Cleanup(server.Close)
	cfg := server.Config()
	privateKey, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	require.NoError(t, err)
	publicKey, err := x509.MarshalPKIXPublicKey(cfg.PublicKey)
	require.NoError(t, err)
	ClearEnv(t)
	t.Setenv("WECHATPAY_MCHID", cfg.MchID)
	t.Setenv("WECHATPAY_SERIAL_NO", cfg.SerialNo)
	t.Setenv("WECHATPAY_PRIVATE_KEY_FILE", writePEM(t, "apiclient_key.pem", "PRIVATE KEY", privateKey))
	t.Setenv("WECHATPAY_APIV3_KEY", cfg.APIv3Key)
	t.Setenv("WECHATPAY_PUBLIC_KEY_ID", cfg.PublicKeyID)
	t.Setenv("WECHATPAY_PUBLIC_KEY_FILE", writePEM(t, "pub_key.pem", "PUBLIC KEY", publicKey))
	t.Setenv("WECHATPAY_BASE_URL", cfg.BaseURL)
	return server
}

func writePEM(t *testing.T, name, blockType string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600))
	return file
}
