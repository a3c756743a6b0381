package doctest

import (
	"crypto/x509"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// root is the folder of the module.
const root = "../.."

// TestMain unsets WECHATPAY_*, so that no setting of the machine reaches the
// tests or the programs they run.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WECHATPAY_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

// readFile returns the content of a file, given by its path below the root.
func readFile(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(content)
}

// documents returns the paths below the root of all Markdown files.
func documents(t *testing.T) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{".git", "node_modules", "testdata"}, entry.Name()) {
			return fs.SkipDir
		}
		if filepath.Ext(path) == ".md" {
			name, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			names = append(names, filepath.ToSlash(name))
		}
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, names, "README.md")
	return names
}

// chinese is how the name of a Chinese translation ends.
const chinese = ".zh-CN.md"

// englishDocuments returns the documents that are not translations.
func englishDocuments(t *testing.T) []string {
	return slices.DeleteFunc(documents(t), func(name string) bool { return strings.HasSuffix(name, chinese) })
}

// mockEnv returns the environment variables that wechatpay-mock writes.
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
