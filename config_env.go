package wechatpay

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// ConfigFromEnv reads a Config from environment variables:
//
//	WECHATPAY_MCHID
//	WECHATPAY_SERIAL_NO
//	WECHATPAY_PRIVATE_KEY_FILE   or the PEM itself in WECHATPAY_PRIVATE_KEY
//	WECHATPAY_CERTIFICATE_FILE   or WECHATPAY_CERTIFICATE
//	WECHATPAY_APIV3_KEY
//	WECHATPAY_PUBLIC_KEY_ID
//	WECHATPAY_PUBLIC_KEY_FILE    or WECHATPAY_PUBLIC_KEY
//	WECHATPAY_PUBLIC_KEY_ONLY    true or false
//	WECHATPAY_BASE_URL
//	WECHATPAY_BACKUP_URL
//
// Blanks and line ends around a value are trimmed. In a PEM, the two characters
// \n also count as a line end.
//
// If WECHATPAY_MCHID is not set or a key or certificate cannot be read,
// ConfigFromEnv returns an *ArgumentError that lists every such variable, and a
// Config with all other settings. It does not check the settings: NewClient
// does, so that a program can first set keys from another source.
func ConfigFromEnv() (Config, error) {
	var f faults
	cfg := Config{
		MchID:       getenv("WECHATPAY_MCHID"),
		SerialNo:    getenv("WECHATPAY_SERIAL_NO"),
		APIv3Key:    getenv("WECHATPAY_APIV3_KEY"),
		PublicKeyID: getenv("WECHATPAY_PUBLIC_KEY_ID"),
		BaseURL:     getenv("WECHATPAY_BASE_URL"),
		BackupURL:   getenv("WECHATPAY_BACKUP_URL"),
	}
	if cfg.MchID == "" {
		f.add("WECHATPAY_MCHID", "is not set: see ConfigFromEnv for all variables")
	}
	// A nil *rsa.PrivateKey in PrivateKey would not compare equal to nil.
	if key := pemFromEnv(&f, "WECHATPAY_PRIVATE_KEY", parsePrivateKey); key != nil {
		cfg.PrivateKey = key
	}
	switch only := getenv("WECHATPAY_PUBLIC_KEY_ONLY"); only {
	case "true":
		cfg.PublicKeyOnly = true
	case "", "false":
	default:
		f.add("WECHATPAY_PUBLIC_KEY_ONLY", "must be true or false, got %.10q", only)
	}
	cfg.Certificate = pemFromEnv(&f, "WECHATPAY_CERTIFICATE", parseCertificate)
	cfg.PublicKey = pemFromEnv(&f, "WECHATPAY_PUBLIC_KEY", parsePublicKey)
	return cfg, f.err("ConfigFromEnv")
}

func getenv(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// pemFromEnv parses the PEM in the named variable, or in the file that the
// variable with the suffix _FILE names. It returns nil if neither is set, and
// after a fault.
func pemFromEnv[T any](f *faults, name string, parse func([]byte) (*T, error)) *T {
	content, file := getenv(name), getenv(name+"_FILE")
	field := name
	switch {
	case content != "" && file != "":
		f.add(name, "is set together with %s_FILE: set only one", name)
		return nil
	case content == "" && file == "":
		return nil
	case file != "":
		field = name + "_FILE"
		if strings.Contains(file, "-----BEGIN") {
			f.add(field, "contains the PEM, not a file name: use %s", name)
			return nil
		}
		read, err := os.ReadFile(file)
		if err != nil {
			// The name may be a misplaced secret: leave it out.
			var pathError *fs.PathError
			if errors.As(err, &pathError) {
				err = pathError.Err
			}
			f.add(field, "the file cannot be read: %v", err)
			return nil
		}
		content = string(read)
	}
	parsed, err := parse([]byte(content))
	if err != nil {
		f.add(field, "%v", err)
		return nil
	}
	return parsed
}
