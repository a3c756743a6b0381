package doctest

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}

// mockEnv is the environment that wechatpay-mock writes.
func mockEnv(t *testing.T, server *wechatpaytest.Server) []string {
	t.Helper()
	cfg := server.Config()
	privateKey, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	require.NoError(t, err)
	publicKey, err := x509.MarshalPKIXPublicKey(cfg.PublicKey)
	require.NoError(t, err)
	dir := t.TempDir()
	file := func(name, blockType string, der []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: der}), 0o600))
		return name
	}
	return []string{
		"WECHATPAY_MCHID=" + cfg.MchID,
		"WECHATPAY_SERIAL_NO=" + cfg.SerialNo,
		"WECHATPAY_PRIVATE_KEY_FILE=" + file("apiclient_key.pem", "PRIVATE KEY", privateKey),
		"WECHATPAY_PUBLIC_KEY_ID=" + cfg.PublicKeyID,
		"WECHATPAY_PUBLIC_KEY_FILE=" + file("pub_key.pem", "PUBLIC KEY", publicKey),
		"WECHATPAY_BASE_URL=" + server.URL,
		"NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1",
	}
}
