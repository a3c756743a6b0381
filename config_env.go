package wechatpay

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
)

// ConfigFromEnv reads a Config from environment variables:
//
//	WECHATPAY_MCHID
//	WECHATPAY_SERIAL_NO
//	WECHATPAY_PRIVATE_KEY_FILE   or its content in WECHATPAY_PRIVATE_KEY
//	WECHATPAY_CERTIFICATE_FILE   or WECHATPAY_CERTIFICATE
//	WECHATPAY_APIV3_KEY_FILE     or WECHATPAY_APIV3_KEY
//	WECHATPAY_PUBLIC_KEY_ID
//	WECHATPAY_PUBLIC_KEY_FILE    or WECHATPAY_PUBLIC_KEY
//	WECHATPAY_PUBLIC_KEY_ONLY    true or false
//	WECHATPAY_BASE_URL
//	WECHATPAY_BACKUP_URL
//
// Spaces, line ends and quotes around a value are removed. A file is a path or
// a file URL; ~ is not expanded. ParsePrivateKey lists the forms of keys. Of
// several certificates, the one that matches the private key is taken.
//
// If WECHATPAY_MCHID is missing or a key or certificate cannot be read, the
// error is an *ArgumentError that lists every such variable, and the Config has
// all other settings. NewClient checks them, so that a program can first set
// keys from another source.
func ConfigFromEnv() (Config, error) {
	var f faults
	cfg := Config{
		MchID:       getenv("WECHATPAY_MCHID"),
		SerialNo:    getenv("WECHATPAY_SERIAL_NO"),
		PublicKeyID: getenv("WECHATPAY_PUBLIC_KEY_ID"),
		BaseURL:     getenv("WECHATPAY_BASE_URL"),
		BackupURL:   getenv("WECHATPAY_BACKUP_URL"),
	}
	if cfg.MchID == "" {
		f.add("WECHATPAY_MCHID", "is not set: see ConfigFromEnv for all variables")
	}
	var merchantKey *rsa.PublicKey
	// A nil *rsa.PrivateKey in PrivateKey would not compare equal to nil.
	if keys := keysFromEnv(&f, "WECHATPAY_PRIVATE_KEY", parsePrivateKeys); keys != nil {
		cfg.PrivateKey, merchantKey = keys[0], &keys[0].PublicKey
	}
	chain := keysFromEnv(&f, "WECHATPAY_CERTIFICATE", parseCertificates)
	cfg.Certificate = certificateOf(merchantKey, chain)
	cfg.APIv3Key = apiV3KeyFromEnv(&f)
	if keys := keysFromEnv(&f, "WECHATPAY_PUBLIC_KEY", parsePublicKeys); keys != nil {
		cfg.PublicKey = keys[0]
	}
	switch only := getenv("WECHATPAY_PUBLIC_KEY_ONLY"); only {
	case "true":
		cfg.PublicKeyOnly = true
	case "", "false":
	default:
		f.add("WECHATPAY_PUBLIC_KEY_ONLY", "must be true or false, got %.10q", only)
	}
	return cfg, f.err("ConfigFromEnv")
}

func getenv(name string) string { return unquote(os.Getenv(name)) }

// certificateOf returns the certificate of key. If there is none, it returns the
// first certificate, so that NewClient reports the mismatch.
func certificateOf(key *rsa.PublicKey, chain []*x509.Certificate) *x509.Certificate {
	for _, certificate := range chain {
		if public, ok := certificate.PublicKey.(*rsa.PublicKey); ok && key != nil && public.Equal(key) {
			return certificate
		}
	}
	if len(chain) > 0 {
		return chain[0]
	}
	return nil
}

// keysFromEnv parses the named setting. It returns nil if it is not set, and
// after a fault.
func keysFromEnv[T any](f *faults, name string, parse func([]byte) ([]T, error)) []T {
	variable, content := settingFromEnv(f, name)
	if content == nil {
		return nil
	}
	keys, err := parse(content)
	if errors.Is(err, errFileName) && variable == name {
		err = fmt.Errorf("is a file name, not the content: use %s_FILE", name)
	}
	if err != nil {
		f.add(variable, "%v", err)
		return nil
	}
	return keys
}

const apiV3KeyVariable = "WECHATPAY_APIV3_KEY"

// apiV3KeyFromEnv returns the APIv3 key. It returns "" if it is not set, and
// after a fault.
func apiV3KeyFromEnv(f *faults) string {
	variable, content := settingFromEnv(f, apiV3KeyVariable)
	if content == nil {
		return ""
	}
	key := unquote(string(decodeText(content)))
	switch {
	case key == "":
		f.add(variable, "the file is empty")
	case variable == apiV3KeyVariable && isFileName(key):
		f.add(variable, "is a file name, not the content: use %s_FILE", variable)
		return ""
	}
	return key
}

// settingFromEnv returns the content of the named variable, or of the file that
// the variable with the suffix _FILE names, and the name of the variable. The
// content is nil if neither is set, and after a fault.
func settingFromEnv(f *faults, name string) (variable string, content []byte) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		f.add(name, "is set together with %s_FILE: set only one", name)
		return name, nil
	case value != "":
		return name, []byte(value)
	case file == "":
		return name, nil
	}
	variable = name + "_FILE"
	content, err := readFile(fileFromURL(file))
	if err == nil {
		return variable, content
	}
	// The name may be a misplaced secret: the error leaves it out.
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	switch {
	case isKeyContent(name, file):
		f.add(variable, "is the content, not a file name: use %s", name)
	case strings.HasPrefix(file, "~"):
		f.add(variable, "the file cannot be read: ~ is not expanded, use the full path")
	default:
		f.add(variable, "the file cannot be read: %v", err)
	}
	return variable, nil
}

// isKeyContent reports whether value, which is not the name of a readable file,
// is the content of the named setting.
func isKeyContent(name, value string) bool {
	if name == apiV3KeyVariable {
		return len(value) == 32 && isToken(value)
	}
	isContent := func(item keyItem) bool { return item.kind != kindFileName }
	return slices.ContainsFunc(readKeyMaterial([]byte(value)), isContent)
}

// readFile returns the content of the named file, up to one byte more than key
// material may have.
func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxKeyMaterial+1))
}

// windowsPath matches a path with a drive letter in a file URL.
var windowsPath = regexp.MustCompile(`^/[A-Za-z]:[/\\]`)

// fileFromURL returns the path in a file URL, or value if it is a path.
func fileFromURL(value string) string {
	const scheme = "file:"
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return value
	}
	path := value[len(scheme):]
	if unescaped, err := url.PathUnescape(path); err == nil {
		path = unescaped
	}
	switch host, isHost := strings.CutPrefix(path, "//"); {
	case isHost && strings.HasPrefix(host, "/"): // file:///path
		path = host
	case isHost && strings.HasPrefix(host, "localhost/"):
		path = strings.TrimPrefix(host, "localhost")
	case isHost && len(host) >= 2 && host[1] == ':': // file://C:\path
		path = host
	}
	if windowsPath.MatchString(path) {
		path = path[1:]
	}
	return path
}
