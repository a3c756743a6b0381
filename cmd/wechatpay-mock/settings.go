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

// The files have the names that WeChat Pay gives them.
const (
	privateKeyFile  = "apiclient_key.pem"
	certificateFile = "apiclient_cert.pem"
	publicKeyFile   = "pub_key.pem"
	envFile         = "env"
)

// removeEnv removes the env file of an earlier run, so that scripts that wait for
// the file do not load it.
func removeEnv(dir string) error {
	if err := os.Remove(filepath.Join(dir, envFile)); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

// removeOwnEnv removes the env file unless another run replaced it.
func removeOwnEnv(dir, env string) {
	file := filepath.Join(dir, envFile)
	if current, err := os.ReadFile(file); err == nil && string(current) == env {
		os.Remove(file)
	}
}

// writeSettings writes the key files, then the env file. It returns the content
// of the env file.
func writeSettings(dir string, cfg wechatpay.Config) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	if err := checkDir(dir); err != nil { // it may be new
		return "", err
	}
	if err := writeKeys(dir, cfg); err != nil {
		return "", err
	}
	env := envContent(dir, cfg)
	return env, writePrivate(filepath.Join(dir, envFile), []byte(env))
}

func writeKeys(dir string, cfg wechatpay.Config) error {
	private, err := x509.MarshalPKCS8PrivateKey(cfg.PrivateKey)
	if err != nil {
		return err
	}
	var public []byte
	if cfg.PublicKey != nil { // nil in certificate mode
		if public, err = x509.MarshalPKIXPublicKey(cfg.PublicKey); err != nil {
			return err
		}
	}
	for _, key := range []struct {
		name, blockType string
		der             []byte
	}{
		{privateKeyFile, "PRIVATE KEY", private},
		{certificateFile, "CERTIFICATE", cfg.Certificate.Raw},
		{publicKeyFile, "PUBLIC KEY", public},
	} {
		if key.der == nil {
			continue
		}
		content := pem.EncodeToMemory(&pem.Block{Type: key.blockType, Bytes: key.der})
		if err := writePrivate(filepath.Join(dir, key.name), content); err != nil {
			return err
		}
	}
	return nil
}

func envContent(dir string, cfg wechatpay.Config) string {
	publicKey := ""
	if cfg.PublicKey != nil {
		publicKey = filepath.Join(dir, publicKeyFile)
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
		{"APIV3_KEY_FILE", ""},
		{"PUBLIC_KEY_ID", cfg.PublicKeyID},
		{"PUBLIC_KEY", ""},
		{"PUBLIC_KEY_FILE", publicKey},
		{"PUBLIC_KEY_ONLY", ""},
		{"BASE_URL", cfg.BaseURL},
		{"BACKUP_URL", cfg.BackupURL},
	} {
		fmt.Fprintf(&env, "export WECHATPAY_%s=%s\n", setting[0], shellQuote(setting[1]))
	}
	return env.String()
}

// writePrivate writes a file that only its owner can read. It replaces the file
// atomically, and does not follow a symbolic link of that name.
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

// shellQuote quotes a value for POSIX shells if necessary. It leaves plain values
// unquoted, for programs that parse the file themselves.
func shellQuote(s string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789@%+=:,./_-"
	if strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
