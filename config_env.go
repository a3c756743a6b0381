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
//	WECHATPAY_BASE_URL
//	WECHATPAY_BACKUP_URL
//
// Blanks and line ends around a value are dropped. Line ends of a PEM may be
// the two characters \n. An *ArgumentError lists what cannot be read, and a
// missing WECHATPAY_MCHID; whether the rest is complete is NewClient's to say,
// since a program may fill in a key from elsewhere first.
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
		f.add("WECHATPAY_MCHID", "not set: it is the merchant number, and the other variables are listed at ConfigFromEnv")
	}
	// A typed nil in PrivateKey would pass for a key.
	if key := pemFromEnv(&f, "WECHATPAY_PRIVATE_KEY", ParsePrivateKey); key != nil {
		cfg.PrivateKey = key
	}
	cfg.Certificate = pemFromEnv(&f, "WECHATPAY_CERTIFICATE", ParseCertificate)
	cfg.PublicKey = pemFromEnv(&f, "WECHATPAY_PUBLIC_KEY", ParsePublicKey)
	if err := f.err("ConfigFromEnv"); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

func getenv(name string) string { return strings.TrimSpace(os.Getenv(name)) }

// pemFromEnv parses the PEM in the variable, or in the file that the variable
// with _FILE names; nil if neither is set.
func pemFromEnv[T any](f *faults, name string, parse func([]byte) (*T, error)) *T {
	text, file := getenv(name), getenv(name+"_FILE")
	field := name
	switch {
	case text != "" && file != "":
		f.add(name, "set together with %s_FILE: set one of the two", name)
		return nil
	case text == "" && file == "":
		return nil
	case file != "":
		field = name + "_FILE"
		if strings.Contains(file, "-----BEGIN") {
			f.add(field, "holds the PEM itself, and not a file name: set %s", name)
			return nil
		}
		content, err := os.ReadFile(file)
		if err != nil {
			// A PathError repeats the name, which may be anything.
			var e *fs.PathError
			if errors.As(err, &e) {
				err = e.Err
			}
			f.add(field, "the file that it names cannot be read: %v", err)
			return nil
		}
		text = string(content)
	}
	parsed, err := parse([]byte(text))
	if err != nil {
		f.add(field, "%v", err)
		return nil
	}
	return parsed
}
