package wechatpay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

// An invalidSetting is a change to a complete Config that NewClient rejects.
type invalidSetting struct {
	name           string
	change         func(*wechatpay.Config)
	field, problem string // of the only fault; problem is a part of its text
}

func testInvalidSettings(t *testing.T, tests []invalidSetting) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig(t, "http://127.0.0.1:1")
			tt.change(&cfg)
			client, err := wechatpay.NewClient(cfg)
			require.Nil(t, client)
			var argument *wechatpay.ArgumentError
			require.ErrorAs(t, err, &argument)
			require.Len(t, argument.Faults, 1, "%v", err)
			require.Equal(t, tt.field, argument.Faults[0].Field)
			require.Contains(t, argument.Faults[0].Problem, tt.problem)
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), testAPIv3Key[:31])
		})
	}
}

func merchantCertificate(t *testing.T) *x509.Certificate {
	t.Helper()
	certificate, err := wechatpay.ParseCertificate(testdata(t, "merchant_cert.pem"))
	require.NoError(t, err)
	return certificate
}

func TestNewClient_invalidMerchant(t *testing.T) {
	certificate := merchantCertificate(t)
	testInvalidSettings(t, []invalidSetting{
		{"no MchID", func(c *wechatpay.Config) { c.MchID = "" },
			"MchID", "WECHATPAY_MCHID"},
		{"MchID with a space", func(c *wechatpay.Config) { c.MchID = "1900000001 " },
			"MchID", "not a merchant number"},
		{"no SerialNo", func(c *wechatpay.Config) { c.SerialNo = "" },
			"SerialNo", "openssl x509"},
		{"SerialNo of another certificate", func(c *wechatpay.Config) {
			c.Certificate, c.SerialNo = certificate, "1234"
		}, "SerialNo", "must be empty or that of Certificate (" + testSerialNo + `), got "1234"`},
		{"no PrivateKey", func(c *wechatpay.Config) { c.PrivateKey = nil },
			"PrivateKey", "apiclient_key.pem"},
		{"Certificate of another key", func(c *wechatpay.Config) {
			c.Certificate, c.PrivateKey = certificate, privateKey(t, "platform_key.pem")
		}, "Certificate", "does not match PrivateKey"},
		{"Certificate without an RSA key", func(c *wechatpay.Config) {
			c.Certificate, c.SerialNo = &x509.Certificate{SerialNumber: big.NewInt(1), PublicKey: "?"}, ""
		}, "Certificate", "its key is of type string, but RSA is required"},
		{"empty Certificate", func(c *wechatpay.Config) { c.Certificate = &x509.Certificate{} },
			"Certificate", "is empty"},
		{"APIv3Key of 31 bytes", func(c *wechatpay.Config) { c.APIv3Key = testAPIv3Key[:31] },
			"APIv3Key", "must be 32 bytes, got 31"},
		{"APIv3Key with a line break", func(c *wechatpay.Config) { c.APIv3Key = testAPIv3Key + "\n" },
			"APIv3Key", "ends with a line break"},
		{"APIv3Key with CRLF", func(c *wechatpay.Config) { c.APIv3Key = testAPIv3Key + "\r\n" },
			"APIv3Key", "ends with a line break"},
		{"APIv3Key of 31 bytes and a line break", func(c *wechatpay.Config) { c.APIv3Key = testAPIv3Key[:31] + "\n" },
			"APIv3Key", "ends with a line break"},
		{"APIv3Key with a space", func(c *wechatpay.Config) { c.APIv3Key = " " + testAPIv3Key },
			"APIv3Key", "begins or ends with a space"},
		{"SerialNo in decimal", func(c *wechatpay.Config) { c.SerialNo = certificate.SerialNumber.String() },
			"SerialNo", "must be hexadecimal, got the decimal form of " + testSerialNo},
		{"SerialNo of Certificate in decimal", func(c *wechatpay.Config) {
			c.Certificate, c.SerialNo = certificate, certificate.SerialNumber.String()
		}, "SerialNo", "must be hexadecimal, got the decimal form of " + testSerialNo},
		{"SerialNo of another certificate in decimal", func(c *wechatpay.Config) {
			c.Certificate, c.SerialNo = certificate, strings.Repeat("9", 48)
		}, "SerialNo", "must be hexadecimal, got the decimal form of AF298D050E4395D69670B12B7F40FFFFFFFFFFFF"},
		{"APIv3Key in MchID", func(c *wechatpay.Config) { c.MchID = c.APIv3Key },
			"MchID", "equals APIv3Key"},
		{"APIv3Key in SerialNo", func(c *wechatpay.Config) { c.SerialNo = c.APIv3Key },
			"SerialNo", "equals APIv3Key"},
		{"31 bytes of APIv3Key in PublicKeyID", func(c *wechatpay.Config) { c.PublicKeyID = testAPIv3Key[:31] },
			"PublicKeyID", "31 characters"},
	})
}

func TestNewClient_invalidVerificationKeys(t *testing.T) {
	certificate := merchantCertificate(t)
	testInvalidSettings(t, []invalidSetting{
		{"none", func(c *wechatpay.Config) { c.PublicKey, c.PublicKeyID, c.APIv3Key = nil, "", "" },
			"PublicKey", "is required, with PublicKeyID"},
		{"PublicKey without PublicKeyID", func(c *wechatpay.Config) { c.PublicKeyID = "" },
			"PublicKeyID", "is required with PublicKey"},
		{"PublicKeyID without PublicKey", func(c *wechatpay.Config) { c.PublicKey = nil },
			"PublicKey", "is required with PublicKeyID: use pub_key.pem"},
		{"empty PublicKey", func(c *wechatpay.Config) { c.PublicKey = &rsa.PublicKey{} },
			"PublicKey", "is an empty or damaged RSA key"},
		{"PublicKey of 1024 bits", func(c *wechatpay.Config) {
			c.PublicKey = &privateKey(t, "short_key.pem").PublicKey
		}, "PublicKey", "1024 bits"},
		{"PublicKey without an exponent", func(c *wechatpay.Config) { c.PublicKey = &rsa.PublicKey{N: c.PublicKey.N} },
			"PublicKey", "damaged"},
		{"serial number in PublicKeyID", func(c *wechatpay.Config) { c.PublicKeyID = testSerialNo },
			"PublicKeyID", "must be PUB_KEY_ID_ followed by digits"},
		{"merchant's own public key", func(c *wechatpay.Config) {
			c.BaseURL, c.PublicKey = wechatpay.DefaultBaseURL, &privateKey(t, "merchant_key.pem").PublicKey
		}, "PublicKey", "the merchant's own"},
		{"nil platform certificate", func(c *wechatpay.Config) { c.PlatformCertificates = []*x509.Certificate{nil} },
			"PlatformCertificates[0]", "is empty"},
		{"platform certificate without an RSA key", func(c *wechatpay.Config) {
			c.PlatformCertificates = []*x509.Certificate{certificate, {SerialNumber: big.NewInt(1), PublicKey: "?"}}
		}, "PlatformCertificates[1]", "RSA is required"},
		{"merchant's own certificate", func(c *wechatpay.Config) {
			c.BaseURL, c.PlatformCertificates = wechatpay.DefaultBaseURL, []*x509.Certificate{certificate}
		}, "PlatformCertificates[0]", "the merchant's own"},
	})
}

func TestNewClient_invalidHosts(t *testing.T) {
	const live = wechatpay.DefaultBaseURL
	testInvalidSettings(t, []invalidSetting{
		{"http", func(c *wechatpay.Config) { c.BaseURL = "http://api.mch.weixin.qq.com" },
			"BaseURL", "use https"},
		{"http backup", func(c *wechatpay.Config) { c.BackupURL = "http://api2.mch.weixin.qq.com" },
			"BackupURL", "use https"},
		{"backup equals BaseURL", func(c *wechatpay.Config) { c.BackupURL = c.BaseURL + "/" },
			"BackupURL", "must differ from BaseURL"},
		{"path", func(c *wechatpay.Config) { c.BaseURL = live + "/v3" },
			"BaseURL", "only scheme and host are allowed: for a relay with a path, see recipes/relay_test.go"},
		{"private address", func(c *wechatpay.Config) { c.BaseURL = "http://10.0.0.5:8080" },
			"BaseURL", `use https for "10.0.0.5:8080", or a relay (recipes/relay_test.go)`},
		{"query", func(c *wechatpay.Config) { c.BaseURL = live + "?" },
			"BaseURL", "only scheme and host"},
		{"password", func(c *wechatpay.Config) { c.BaseURL = "https://u:hunter2@api.mch.weixin.qq.com" },
			"BaseURL", "only scheme and host"},
		{"escape", func(c *wechatpay.Config) { c.BaseURL = "https://[fe80::1%25eth0]:8443" },
			"BaseURL", "only scheme and host"},
		{"no scheme", func(c *wechatpay.Config) { c.BaseURL = "api.mch.weixin.qq.com" },
			"BaseURL", "scheme and host are required"},
		{"empty port", func(c *wechatpay.Config) { c.BaseURL = live + ":" },
			"BaseURL", "scheme and host are required"},
		{"not a URL", func(c *wechatpay.Config) { c.BaseURL = "https://u:hunter2@[" },
			"BaseURL", "not a URL"},
		{"InsecureSkipVerify", func(c *wechatpay.Config) { c.BaseURL, c.InsecureSkipVerify = live, true },
			"InsecureSkipVerify", "requires that BaseURL and BackupURL are loopback"},
		{"InsecureSkipVerify with a backup", func(c *wechatpay.Config) {
			c.BackupURL, c.InsecureSkipVerify = wechatpay.DefaultBackupURL, true
		}, "InsecureSkipVerify", "requires that BaseURL and BackupURL are loopback"},
		{"nil *http.Transport", func(c *wechatpay.Config) { c.Transport = (*http.Transport)(nil) },
			"Transport", "leave the field nil"},
	})
}

func TestNewClient_listsAllFaults(t *testing.T) {
	_, err := wechatpay.NewClient(wechatpay.Config{})
	var argument *wechatpay.ArgumentError
	require.ErrorAs(t, err, &argument)
	var fields []string
	for _, fault := range argument.Faults {
		fields = append(fields, fault.Field)
	}
	require.Equal(t, []string{"MchID", "PrivateKey", "SerialNo", "PublicKey"}, fields)
	require.Equal(t, "NewClient", argument.Op)
}

func TestNewClient_valid(t *testing.T) {
	certificate := merchantCertificate(t)
	generated, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, change := range map[string]func(*wechatpay.Config){
		"all settings": func(*wechatpay.Config) {},
		"defaults": func(c *wechatpay.Config) {
			c.BaseURL, c.Transport, c.Time, c.APIv3Key = "", nil, nil, ""
		},
		"Certificate without SerialNo": func(c *wechatpay.Config) { c.Certificate, c.SerialNo = certificate, "" },
		"Certificate and SerialNo": func(c *wechatpay.Config) {
			c.Certificate, c.SerialNo = certificate, strings.ToLower(testSerialNo)
		},
		"SerialNo of 40 decimal digits": func(c *wechatpay.Config) { c.SerialNo = strings.Repeat("9", 40) },
		"HSM":                           func(c *wechatpay.Config) { c.PrivateKey = hsm{key: privateKey(t, "merchant_key.pem")} },
		"PrivateKey without precomputed values": func(c *wechatpay.Config) {
			c.PrivateKey = &rsa.PrivateKey{PublicKey: generated.PublicKey, D: generated.D, Primes: generated.Primes}
		},
		"BaseURL with a slash": func(c *wechatpay.Config) { c.BaseURL += "/" },
		"InsecureSkipVerify": func(c *wechatpay.Config) {
			c.InsecureSkipVerify, c.PublicKey, c.PublicKeyID, c.APIv3Key = true, nil, "", ""
		},
		"platform certificates": func(c *wechatpay.Config) {
			c.PublicKey, c.PublicKeyID, c.PlatformCertificates = nil, "", []*x509.Certificate{certificate}
		},
		"APIv3Key only": func(c *wechatpay.Config) { c.PublicKey, c.PublicKeyID = nil, "" },
		"one key for both sides on loopback": func(c *wechatpay.Config) {
			c.PublicKey = &privateKey(t, "merchant_key.pem").PublicKey
		},
		"other hosts": func(c *wechatpay.Config) {
			c.BaseURL, c.BackupURL = "https://a.example", "https://b.example"
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t, "http://127.0.0.1:1")
			change(&cfg)
			client, err := wechatpay.NewClient(cfg)
			require.NoError(t, err)
			require.NotNil(t, client.ComplaintsV2)
		})
	}
}

// setEnv sets the variables in env and clears all others that ConfigFromEnv
// reads.
func setEnv(t *testing.T, env map[string]string) {
	t.Helper()
	for _, name := range []string{
		"MCHID", "SERIAL_NO", "PRIVATE_KEY", "PRIVATE_KEY_FILE", "CERTIFICATE", "CERTIFICATE_FILE",
		"APIV3_KEY", "APIV3_KEY_FILE", "PUBLIC_KEY_ID", "PUBLIC_KEY", "PUBLIC_KEY_FILE",
		"PUBLIC_KEY_ONLY", "BASE_URL", "BACKUP_URL",
	} {
		t.Setenv("WECHATPAY_"+name, env["WECHATPAY_"+name])
	}
}

func completeEnv(t *testing.T) map[string]string {
	return map[string]string{
		"WECHATPAY_MCHID":            testMchID + "\n",
		"WECHATPAY_SERIAL_NO":        testSerialNo,
		"WECHATPAY_PRIVATE_KEY":      strings.ReplaceAll(string(testdata(t, "merchant_key.pem")), "\n", `\n`),
		"WECHATPAY_CERTIFICATE_FILE": "testdata/merchant_cert.pem",
		"WECHATPAY_APIV3_KEY":        " " + testAPIv3Key + "\n",
		"WECHATPAY_PUBLIC_KEY_ID":    testPublicKeyID,
		"WECHATPAY_PUBLIC_KEY_FILE":  "testdata/platform_pub.pem",
		"WECHATPAY_BASE_URL":         "https://a.example",
		"WECHATPAY_BACKUP_URL":       "https://b.example",
	}
}

// requireCompleteEnv checks the settings of completeEnv, except for the keys
// and the certificate.
func requireCompleteEnv(t *testing.T, cfg wechatpay.Config) {
	t.Helper()
	require.Equal(t, testMchID, cfg.MchID)
	require.Equal(t, testSerialNo, cfg.SerialNo)
	require.Equal(t, testAPIv3Key, cfg.APIv3Key)
	require.Equal(t, testPublicKeyID, cfg.PublicKeyID)
	require.Equal(t, "https://a.example", cfg.BaseURL)
	require.Equal(t, "https://b.example", cfg.BackupURL)
}

func TestConfigFromEnv_complete(t *testing.T) {
	setEnv(t, completeEnv(t))
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	requireCompleteEnv(t, cfg)
	require.True(t, privateKey(t, "merchant_key.pem").Equal(cfg.PrivateKey))
	require.Equal(t, "1900000001", cfg.Certificate.Subject.CommonName)
	require.True(t, cfg.PublicKey.Equal(privateKey(t, "platform_key.pem").Public()))
	_, err = wechatpay.NewClient(cfg)
	require.NoError(t, err)
}

func TestConfigFromEnv_mchIDOnly(t *testing.T) {
	setEnv(t, map[string]string{"WECHATPAY_MCHID": testMchID})
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	require.Equal(t, wechatpay.Config{MchID: testMchID}, cfg)
	require.True(t, cfg.PrivateKey == nil, "not a typed nil")
	_, err = wechatpay.NewClient(cfg)
	require.ErrorContains(t, err, "WECHATPAY_PRIVATE_KEY_FILE")
}

func TestConfigFromEnv_returnsReadableSettings(t *testing.T) {
	tests := map[string]struct {
		variable string
		missing  func(wechatpay.Config) bool
	}{
		"private key": {"WECHATPAY_PRIVATE_KEY", func(c wechatpay.Config) bool { return c.PrivateKey == nil }},
		"certificate": {"WECHATPAY_CERTIFICATE_FILE", func(c wechatpay.Config) bool { return c.Certificate == nil }},
		"public key":  {"WECHATPAY_PUBLIC_KEY_FILE", func(c wechatpay.Config) bool { return c.PublicKey == nil }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			setEnv(t, completeEnv(t))
			t.Setenv(tt.variable, "?")
			cfg, err := wechatpay.ConfigFromEnv()
			var argument *wechatpay.ArgumentError
			require.ErrorAs(t, err, &argument)
			require.Len(t, argument.Faults, 1)
			requireCompleteEnv(t, cfg)
			for other, read := range tests {
				require.Equal(t, other == name, read.missing(cfg), other)
			}
		})
	}

	t.Run("all unreadable", func(t *testing.T) {
		env := completeEnv(t)
		for _, tt := range tests {
			env[tt.variable] = "?"
		}
		env["WECHATPAY_MCHID"] = ""
		setEnv(t, env)
		cfg, err := wechatpay.ConfigFromEnv()
		var argument *wechatpay.ArgumentError
		require.ErrorAs(t, err, &argument)
		var fields []string
		for _, fault := range argument.Faults {
			fields = append(fields, fault.Field)
		}
		require.Equal(t, []string{
			"WECHATPAY_MCHID", "WECHATPAY_PRIVATE_KEY", "WECHATPAY_CERTIFICATE_FILE", "WECHATPAY_PUBLIC_KEY_FILE",
		}, fields)
		require.Equal(t, wechatpay.Config{
			SerialNo:    testSerialNo,
			APIv3Key:    testAPIv3Key,
			PublicKeyID: testPublicKeyID,
			BaseURL:     "https://a.example",
			BackupURL:   "https://b.example",
		}, cfg)
	})
}

func TestConfigFromEnv_problems(t *testing.T) {
	const keyFile, publicKey, apiV3Key = "WECHATPAY_PRIVATE_KEY_FILE", "WECHATPAY_PUBLIC_KEY", "WECHATPAY_APIV3_KEY"
	pem := string(testdata(t, "merchant_key.pem"))
	keyLine := strings.Split(pem, "\n")[1]
	fileOf := func(content string) string { return writeFile(t, "setting", content) }
	for name, tt := range map[string]struct {
		env            map[string]string
		field, problem string
	}{
		"no MchID": {map[string]string{"WECHATPAY_MCHID": ""},
			"WECHATPAY_MCHID", "is not set"},
		"PEM instead of a file name": {map[string]string{keyFile: pem},
			keyFile, "is the content, not a file name: use WECHATPAY_PRIVATE_KEY"},
		"part of the PEM instead of a file name": {map[string]string{keyFile: keyLine},
			keyFile, "is the content, not a file name: use WECHATPAY_PRIVATE_KEY"},
		"BEGIN line instead of a file name": {map[string]string{keyFile: "-----BEGIN PRIVATE KEY-----"},
			keyFile, "is the content, not a file name: use WECHATPAY_PRIVATE_KEY"},
		"base64 instead of a file name": {
			map[string]string{keyFile: base64.StdEncoding.EncodeToString([]byte(pem))},
			keyFile, "is the content, not a file name: use WECHATPAY_PRIVATE_KEY"},
		"second line of the PEM instead of a file name": {map[string]string{keyFile: strings.Split(pem, "\n")[2]},
			keyFile, "the file cannot be read: "},
		"home folder": {map[string]string{keyFile: "~/apiclient_key.pem"},
			keyFile, "the file cannot be read: ~ is not expanded, use the full path"},
		"folder":     {map[string]string{keyFile: "testdata"}, keyFile, "the file cannot be read: is a directory"},
		"large file": {map[string]string{keyFile: "/dev/zero"}, keyFile, "is larger than 1048576 bytes"},
		"empty file": {map[string]string{keyFile: os.DevNull},
			keyFile, "no private key found in 0 bytes: expected apiclient_key.pem"},
		"file name instead of the PEM": {map[string]string{"WECHATPAY_PRIVATE_KEY": "/etc/apiclient_key.pem"},
			"WECHATPAY_PRIVATE_KEY", "is a file name, not the content: use WECHATPAY_PRIVATE_KEY_FILE"},
		"file URL instead of the PEM": {map[string]string{publicKey: "file:///etc/merchant"},
			publicKey, "is a file name, not the content: use WECHATPAY_PUBLIC_KEY_FILE"},
		"file name instead of the certificate": {map[string]string{"WECHATPAY_CERTIFICATE": `C:\new\cert`},
			"WECHATPAY_CERTIFICATE", "is a file name, not the content: use WECHATPAY_CERTIFICATE_FILE"},
		"file that contains a file name": {map[string]string{keyFile: fileOf("/etc/apiclient_key.pem\n")},
			keyFile, "this is a file name, not the content of the file"},
		"public key only": {map[string]string{"WECHATPAY_PUBLIC_KEY_ONLY": "yes"},
			"WECHATPAY_PUBLIC_KEY_ONLY", `must be true or false, got "yes"`},
		"PKCS #12": {map[string]string{keyFile: "testdata/merchant_cert.p12"},
			keyFile, "this is PKCS #12: use openssl pkcs12 -in FILE -nocerts -nodes -out apiclient_key.pem"},
		"PKCS #12 as certificate": {map[string]string{"WECHATPAY_CERTIFICATE_FILE": "testdata/merchant_cert.p12"},
			"WECHATPAY_CERTIFICATE_FILE", "this is PKCS #12: use openssl pkcs12 -in FILE -nokeys -clcerts -out apiclient_cert.pem"},
		"APIv3 key and file": {map[string]string{apiV3Key: testAPIv3Key, apiV3Key + "_FILE": os.DevNull},
			apiV3Key, "is set together with WECHATPAY_APIV3_KEY_FILE: set only one"},
		"APIv3 key instead of a file name": {map[string]string{apiV3Key + "_FILE": testAPIv3Key},
			apiV3Key + "_FILE", "is the content, not a file name: use WECHATPAY_APIV3_KEY"},
		"file name instead of the APIv3 key": {map[string]string{apiV3Key: "/run/secrets/wechatpay_apiv3_key"},
			apiV3Key, "is a file name, not the content: use WECHATPAY_APIV3_KEY_FILE"},
		"missing file of the APIv3 key": {map[string]string{apiV3Key + "_FILE": filepath.Join(t.TempDir(), "missing")},
			apiV3Key + "_FILE", "the file cannot be read: no such file or directory"},
		"empty file of the APIv3 key": {map[string]string{apiV3Key + "_FILE": fileOf("\ufeff\r\n")},
			apiV3Key + "_FILE", "the file is empty"},
		"missing file": {map[string]string{keyFile: filepath.Join(t.TempDir(), "missing.pem")},
			keyFile, "the file cannot be read: no such file or directory"},
		"public key as private key": {map[string]string{keyFile: "testdata/merchant_pub.pem"},
			keyFile, "this is a public key: use apiclient_key.pem"},
		"private key as public key": {map[string]string{publicKey: pem},
			publicKey, "this is a private key: use pub_key.pem"},
		"private key as certificate": {map[string]string{"WECHATPAY_CERTIFICATE": pem},
			"WECHATPAY_CERTIFICATE", "this is a private key, not a certificate"},
		"PEM and file": {map[string]string{publicKey: pem, publicKey + "_FILE": "testdata/platform_pub.pem"},
			publicKey, "is set together with WECHATPAY_PUBLIC_KEY_FILE: set only one"},
		"damaged": {map[string]string{publicKey: "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"},
			publicKey, "the public key is damaged: its content cannot be parsed"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, map[string]string{"WECHATPAY_MCHID": testMchID})
			for name, value := range tt.env {
				t.Setenv(name, value)
			}
			_, err := wechatpay.ConfigFromEnv()
			var argument *wechatpay.ArgumentError
			require.ErrorAs(t, err, &argument)
			require.Equal(t, "ConfigFromEnv", argument.Op)
			require.Len(t, argument.Faults, 1)
			require.Equal(t, tt.field, argument.Faults[0].Field)
			require.Contains(t, argument.Faults[0].Problem, tt.problem)
			for _, value := range tt.env {
				requireNoPart(t, err, strings.ReplaceAll(value, "ConfigFromEnv", "")) // in the name of a folder
			}
			require.NotContains(t, err.Error(), "\n")
			require.Equal(t, 1, strings.Count(err.Error(), "wechatpay:"))
			requireBounded(t, err)
		})
	}
}

// writeFile writes a file in a new folder, and returns its path.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

func TestConfigFromEnv_quotes(t *testing.T) {
	env := completeEnv(t)
	for name, value := range env {
		env[name] = `"` + strings.TrimSpace(value) + `"`
	}
	env["WECHATPAY_SERIAL_NO"] = "'" + testSerialNo + "'"
	setEnv(t, env)
	cfg, err := wechatpay.ConfigFromEnv()
	require.NoError(t, err)
	requireCompleteEnv(t, cfg)
	_, err = wechatpay.NewClient(cfg)
	require.NoError(t, err)
}

func TestConfigFromEnv_publicKeyOnly(t *testing.T) {
	for value, want := range map[string]bool{"": false, "false": false, "true": true, " \"true\"\n": true} {
		setEnv(t, completeEnv(t))
		t.Setenv("WECHATPAY_PUBLIC_KEY_ONLY", value)
		cfg, err := wechatpay.ConfigFromEnv()
		require.NoError(t, err)
		require.Equal(t, want, cfg.PublicKeyOnly, value)
	}
}

func TestConfigFromEnv_apiV3KeyFile(t *testing.T) {
	for name, content := range map[string]string{
		"no line end":           testAPIv3Key,
		"line end":              testAPIv3Key + "\n",
		"CRLF":                  testAPIv3Key + "\r\n",
		"spaces":                " " + testAPIv3Key + "\t",
		"quotes":                `"` + testAPIv3Key + "\"\n",
		"UTF-8 byte order mark": "\ufeff" + testAPIv3Key,
		"UTF-16":                "\xff\xfe" + strings.Join(strings.Split(testAPIv3Key, ""), "\x00") + "\x00\r\x00\n\x00",
	} {
		t.Run(name, func(t *testing.T) {
			env := completeEnv(t)
			delete(env, "WECHATPAY_APIV3_KEY")
			env["WECHATPAY_APIV3_KEY_FILE"] = writeFile(t, "apiv3_key", content)
			setEnv(t, env)
			cfg, err := wechatpay.ConfigFromEnv()
			require.NoError(t, err)
			requireCompleteEnv(t, cfg)
		})
	}
}

func TestConfigFromEnv_fileNames(t *testing.T) {
	want := privateKey(t, "merchant_key.pem")
	content := testdata(t, "merchant_key.pem")
	path := writeFile(t, "merchant key.pem", string(content))
	escaped := strings.ReplaceAll(path, " ", "%20")
	t.Chdir(filepath.Dir(path)) // for names that are absolute on Windows only
	for _, name := range []string{`C:\keys\merchant.pem`, "D:/merchant.pem", `\\server\keys\merchant.pem`, "50%25.pem"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
	for _, value := range []string{
		path, `"` + path + `"`, "'" + path + "'", " " + path + "\r\n", "merchant key.pem", "./merchant key.pem", "50%25.pem",
		"file://" + path, "file://" + escaped, "FILE://" + escaped, "file://localhost" + escaped, "file:" + escaped,
		`"file://` + escaped + `"`, "file:merchant%20key.pem",
		`C:\keys\merchant.pem`, `"C:\keys\merchant.pem"`, `file:///C:\keys\merchant.pem`, `file://C:\keys\merchant.pem`,
		"D:/merchant.pem", "file:///D:/merchant.pem", "file://D:/merchant.pem", "file:/D:/merchant.pem", "file:D:/merchant.pem",
		`\\server\keys\merchant.pem`,
	} {
		t.Run(strings.ReplaceAll(value, filepath.Dir(path), "DIR"), func(t *testing.T) {
			setEnv(t, map[string]string{"WECHATPAY_MCHID": testMchID, "WECHATPAY_PRIVATE_KEY_FILE": value})
			cfg, err := wechatpay.ConfigFromEnv()
			require.NoError(t, err)
			require.True(t, want.Equal(cfg.PrivateKey))
		})
	}
}

func TestConfigFromEnv_certificateOfPrivateKey(t *testing.T) {
	merchant, other := string(testdata(t, "merchant_cert.pem")), otherCertificate(t)
	for name, tt := range map[string]struct{ chain, keyFile, want string }{
		"first":          {merchant + other, "testdata/merchant_key.pem", "1900000001"},
		"last":           {other + other + merchant, "testdata/merchant_key.pem", "1900000001"},
		"of another key": {other + merchant, "testdata/short_key.pem", "other"},
		"no key":         {other + merchant, "", "other"},
	} {
		t.Run(name, func(t *testing.T) {
			setEnv(t, map[string]string{
				"WECHATPAY_MCHID":            testMchID,
				"WECHATPAY_CERTIFICATE":      tt.chain,
				"WECHATPAY_PRIVATE_KEY_FILE": tt.keyFile,
			})
			cfg, err := wechatpay.ConfigFromEnv()
			require.NoError(t, err)
			require.Equal(t, tt.want, cfg.Certificate.Subject.CommonName)
		})
	}
}

func TestConfig_hidesSecrets(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	client, err := wechatpay.NewClient(cfg)
	require.NoError(t, err)
	key := privateKey(t, "merchant_key.pem")
	secrets := []string{
		testAPIv3Key, fmt.Sprintf("%x", testAPIv3Key), fmt.Sprintf("%X", testAPIv3Key),
		base64.StdEncoding.EncodeToString([]byte(testAPIv3Key)),
		key.D.String(), key.D.Text(16), key.Primes[0].String(), base64.StdEncoding.EncodeToString(key.D.Bytes()),
		"hunter2",
	}

	withPassword := cfg
	withPassword.BaseURL = "https://u:hunter2@127.0.0.1"
	type exported struct{ Config wechatpay.Config }
	type unexportedPointer struct{ client *wechatpay.Client }
	type unexported struct{ client wechatpay.Client }
	for name, value := range map[string]any{
		"Config":                     cfg,
		"*Config":                    &cfg,
		"Config in a field":          exported{cfg},
		"Config in a pointer":        &exported{cfg},
		"URL with a password":        withPassword,
		"slice":                      []wechatpay.Config{cfg},
		"*Client":                    client,
		"Client":                     *client,
		"*Client in a private field": unexportedPointer{client},
		"Client in a private field":  unexported{*client},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X"} {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			out.Write(encoded)
			slog.New(slog.NewTextHandler(&out, nil)).Info("config", "value", value)
			slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "value", value)
			for _, secret := range secrets {
				require.NotContains(t, out.String(), secret)
			}
		})
	}
	require.Contains(t, fmt.Sprintf("%+v", cfg), "MchID:1900000001")
	require.Contains(t, fmt.Sprintf("%+v", client), `MchID:"1900000001"`)
	require.Contains(t, fmt.Sprintf("%+v", cfg), "APIv3Key:set, not shown")
}

func TestNewClient_sendsSerialNoOfCertificate(t *testing.T) {
	certificate := merchantCertificate(t)
	for _, serialNo := range []string{"", testSerialNo, strings.ToLower(testSerialNo), "00" + testSerialNo} {
		cfg := testConfig(t, "http://127.0.0.1:1")
		cfg.Certificate, cfg.SerialNo = certificate, serialNo
		var authorization string
		cfg.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
			authorization = req.Header.Get("Authorization")
			return nil, errors.New("not sent")
		})
		client, err := wechatpay.NewClient(cfg)
		require.NoError(t, err)
		require.Error(t, approve(context.Background(), client))
		require.Contains(t, authorization, `serial_no="`+testSerialNo+`"`, serialNo)
	}
}
