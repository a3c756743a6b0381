package main

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/wechatpay-complaints/wechatpay"
)

// The files of the directory, by the names that a merchant knows.
const (
	privateKeyFile  = "apiclient_key.pem"
	certificateFile = "apiclient_cert.pem"
	publicKeyFile   = "pub_key.pem"
	envFile         = "env"
)

// removeEnv removes the env of an earlier start, before anything can go wrong:
// whoever waits for the file must not get that.
func removeEnv(dir string) error {
	if err := os.Remove(filepath.Join(dir, envFile)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// removeOwnEnv removes the env that this start wrote. Another start's stays.
func removeOwnEnv(dir, env string) {
	file := filepath.Join(dir, envFile)
	if left, err := os.ReadFile(file); err == nil && string(left) == env {
		os.Remove(file)
	}
}

// writeSettings writes the keys, and last of all the file env, which it returns.
func writeSettings(dir string, cfg wechatpay.Config) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	if err != nil {
		return "", err
	}
	public, err := x509.MarshalPKIXPublicKey(cfg.PublicKey)
	if err != nil {
		return "", err
	}
	for _, key := range []struct {
		name, kind string
		der        []byte
	}{
		{privateKeyFile, "PRIVATE KEY", private},
		{certificateFile, "CERTIFICATE", cfg.Certificate.Raw},
		{publicKeyFile, "PUBLIC KEY", public},
	} {
		if err := writePrivate(filepath.Join(dir, key.name), pem.EncodeToMemory(&pem.Block{Type: key.kind, Bytes: key.der})); err != nil {
			return "", err
		}
	}

	var env strings.Builder
	for _, setting := range [][2]string{
		{"MCHID", cfg.MchID},
		{"SERIAL_NO", cfg.SerialNo},
		{"PRIVATE_KEY", ""},
		{"PRIVATE_KEY_FILE", filepath.Join(dir, privateKeyFile)},
		{"CERTIFICATE", ""},
		{"CERTIFICATE_FILE", filepath.Join(dir, certificateFile)},
		{"APIV3_KEY", cfg.APIv3Key},
		{"PUBLIC_KEY_ID", cfg.PublicKeyID},
		{"PUBLIC_KEY", ""},
		{"PUBLIC_KEY_FILE", filepath.Join(dir, publicKeyFile)},
		{"BASE_URL", cfg.BaseURL},
		{"BACKUP_URL", cfg.BackupURL},
	} {
		fmt.Fprintf(&env, "export WECHATPAY_%s=%s\n", setting[0], shellQuote(setting[1]))
	}
	return env.String(), writePrivate(filepath.Join(dir, envFile), []byte(env.String()))
}

// writePrivate writes a file for its owner alone. Nobody sees a half of it, and
// what the name led to before is not written through.
func writePrivate(name string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// shellQuote quotes what a POSIX shell would not leave as it is. Plain values
// stay plain, for those who read the file without a shell.
func shellQuote(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"
	if strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
