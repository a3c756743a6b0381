package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

var (
	verb  = regexp.MustCompile(`%(?:\[\d+\])?[-+# 0]*[\d.]*[a-zA-Z]`)
	typed = regexp.MustCompile(`-[a-z]+|y/N`)
	// merchantPlatform matches the names of pages in the merchant platform, which
	// has no English version.
	merchantPlatform = regexp.MustCompile(`API安全|微信支付公钥|商户API证书|APIv3密钥|账户中心|商户信息`)
)

func hasChinese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}

// constants returns the string constants and variables of the files by name.
func constants(files []*ast.File) map[string]string {
	found := map[string]string{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if literal, ok := spec.Values[0].(*ast.BasicLit); ok && literal.Kind == token.STRING {
					found[spec.Names[0].Name], _ = strconv.Unquote(literal.Value)
				}
			}
			return true
		})
	}
	return found
}

// textOf returns the value of a constant expression.
func textOf(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.Ident:
		text, ok := constants[e.Name]
		return text, ok
	case *ast.BinaryExpr:
		left, okLeft := textOf(e.X, constants)
		right, okRight := textOf(e.Y, constants)
		return left + right, okLeft && okRight
	}
	return "", false
}

// Each text must be there in both languages, with the same arguments.
func TestWords_bothLanguages(t *testing.T) {
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, name, nil, 0)
		require.NoError(t, err)
		files = append(files, file)
	}
	constants := constants(files)
	checked := 0
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if kind, ok := literal.Type.(*ast.Ident); !ok || kind.Name != "words" {
				return true
			}
			where := fset.Position(literal.Pos())
			require.Len(t, literal.Elts, 2, where)
			zh, zhConstant := textOf(literal.Elts[0], constants)
			en, enConstant := textOf(literal.Elts[1], constants)
			if !zhConstant || !enConstant {
				return true
			}
			checked++
			require.NotEmpty(t, zh, where)
			require.NotEmpty(t, en, where)
			require.False(t, hasChinese(merchantPlatform.ReplaceAllString(en, "")), "%v: %s", where, en)
			letters := strings.ContainsFunc(typed.ReplaceAllString(verb.ReplaceAllString(en, ""), ""), unicode.IsLetter)
			require.True(t, hasChinese(zh) || !letters || strings.EqualFold(zh, en), "%v: %s", where, zh)
			require.Equal(t, verb.FindAllString(en, -1), verb.FindAllString(zh, -1), where)
			return true
		})
	}
	require.Greater(t, checked, 200)
}

// usages returns the help texts of a command by flag.
func usages(l language, c *command) map[string]string {
	a := &app{language: l}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	a.declare(c, flags)
	found := map[string]string{"(the command)": l.of(c.about)}
	if c.more != (words{}) {
		found["(more)"] = l.of(c.more)
	}
	flags.VisitAll(func(f *flag.Flag) { found[f.Name] = f.Usage })
	return found
}

func TestCommands_bothLanguages(t *testing.T) {
	for i := range commands {
		zh, en := usages(chinese, &commands[i]), usages(english, &commands[i])
		require.Contains(t, en, "lang")
		for name, usage := range en {
			where := commands[i].name + " -" + name
			require.False(t, hasChinese(usage), where)
			require.True(t, hasChinese(zh[name]), where)
			require.Equal(t, strings.Count(usage, "`"), strings.Count(zh[name], "`"), where)
		}
	}
}

// sentence matches English sentences, but not names of fields, values and flags.
var sentence = regexp.MustCompile(`[A-Za-z]{2,}[,.]? [a-z]{2,} [a-z]{2,}`)

func TestApp_main_chinese(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	env := settings(t, server.Config())
	env["LC_ALL"] = "zh_CN.UTF-8"
	for _, test := range []struct {
		args   string
		status int
	}{
		{"-h", exitDone},
		{"help", exitDone},
		{"", exitUsage},
		{"frob", exitUsage},
		{"-v", exitUsage},
		{"show", exitUsage},
		{"show 1 2", exitUsage},
		{"list -x", exitUsage},
		{"list -begin", exitUsage},
		{"list -begin x", exitUsage},
		{"list -begin 2999-01-01", exitUsage},
		{"list -phone", exitUsage},
		{"list -mock=x", exitUsage},
		{"list -lang fr", exitUsage},
		{"list -state x", exitDone},
		{"list", exitDone},
		{"show " + id, exitDone},
		{"history " + id, exitDone},
		{"images " + id, exitDone},
		{"approve " + id, exitUsage},
		{"refund -attempt x " + id, exitUsage},
		{"refund -attempt 0 " + id, exitUsage},
		{"refund -amount 10 " + id, exitUsage},
		{"reject " + id, exitUsage},
		{"reply -content a -image / " + id, exitUsage},
		{"reply -yes -content a " + id, exitDone},
		{"approve -yes " + id, exitDone},
		{"refund -yes " + id, exitDone},
		{"complete -yes " + id, exitDone},
		{"notification-url frob", exitUsage},
		{"notification-url set", exitUsage},
		{"notification-url delete https:", exitUsage},
	} {
		got := run(t, env, strings.Fields(test.args)...)
		require.Equal(t, test.status, got.status, "%s: %s", test.args, got.stderr)
		said := got.stdout + got.stderr
		require.True(t, hasChinese(said), "%s: %s", test.args, said)
		require.NotRegexp(t, `flag|invalid`, got.stderr, test.args)
		require.NotRegexp(t, sentence, said, test.args)
	}
	for i := range commands {
		got := run(t, env, commands[i].name, "-h")
		require.Equal(t, exitDone, got.status, got.stderr)
		require.Contains(t, got.stdout, "用法：wechatpay-complaints "+commands[i].name)
		require.NotRegexp(t, sentence, got.stdout)
	}
	require.NotEmpty(t, server.Refunds())
}

func TestApp_run_langFlag(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-lang", "zh", "-h"}, {"-lang=zh", "help"}, {"--lang", "zh", "help", "show"}, {"show", "-h", "-lang", "zh"}, {"show", "-lang=zh", "-h"},
		{"-lang", "zh", "-mock", "list"}, {"list", "-mock", "-lang", "zh"},
	} {
		got := run(t, environ{"LC_ALL": "en_US.UTF-8"}, args...)
		require.Equal(t, exitDone, got.status, got.stderr)
		require.Regexp(t, `用法：|投诉单号`, got.stdout)
	}
	got := run(t, environ{"LC_ALL": "zh_CN.UTF-8"}, "show", "-lang", "en")
	require.Contains(t, got.stderr, "show: missing argument COMPLAINT_ID")
}

func TestTranslate_settingProblems(t *testing.T) {
	block := func(kind, content string) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)}))
	}
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "setting")
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
		return name
	}
	ec, err := x509.MarshalPKCS8PrivateKey(ecdsaKey(t))
	require.NoError(t, err)
	ecPublic, err := x509.MarshalPKIXPublicKey(ecdsaKey(t).Public())
	require.NoError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ecdsaKey(t))
	require.NoError(t, err)
	values := []string{
		"x",
		block("PRIVATE KEY", "x"), block("ENCRYPTED PRIVATE KEY", "x"), block("PUBLIC KEY", "x"),
		block("RSA PUBLIC KEY", "x"), block("CERTIFICATE", "x"), block("X", "x"),
		block("PRIVATE KEY", string(ec)), block("PUBLIC KEY", string(ecPublic)), block("CERTIFICATE REQUEST", string(request)),
		block("OPENSSH PRIVATE KEY", "openssh-key-v1\x00\x00\x00\x00\x07ssh-rsa"), block("OPENSSH PRIVATE KEY", "openssh-key-v1\x00"),
		"ssh-rsa AAAA", "\x30\x80\x02\x01\x03", "PK\x03\x04",
		"-----BEGIN PRIVATE KEY-----", block("PRIVATE KEY", "\x30\x82\x04\x00"), block("CERTIFICATE", "x")[:40],
		"/etc/apiclient_key.pem",
	}
	for _, variable := range []string{"WECHATPAY_PRIVATE_KEY", "WECHATPAY_CERTIFICATE", "WECHATPAY_PUBLIC_KEY"} {
		settings := [][2]string{
			{variable + "_FILE", block("PRIVATE KEY", "x")},
			{variable + "_FILE", "/none"},
			{variable + "_FILE", "/"},
			{variable + "_FILE", "~/none"},
			{variable + "_FILE", "/dev/zero"},
		}
		for _, value := range values {
			settings = append(settings, [2]string{variable + "_FILE", file(value)})
			if !strings.Contains(value, "\x00") {
				settings = append(settings, [2]string{variable, value})
			}
		}
		for _, setting := range settings {
			requireTranslated(t, setting[0], setting[1])
		}
	}
	requireTranslated(t, "WECHATPAY_APIV3_KEY", "/etc/apiv3_key")
	requireTranslated(t, "WECHATPAY_PUBLIC_KEY_ONLY", "yes")
	for _, value := range []string{"/none", "~/none", file(""), strings.Repeat("0", 32)} {
		requireTranslated(t, "WECHATPAY_APIV3_KEY_FILE", value)
	}
	for _, variable := range []string{"WECHATPAY_PRIVATE_KEY", "WECHATPAY_CERTIFICATE", "WECHATPAY_PUBLIC_KEY", "WECHATPAY_APIV3_KEY"} {
		t.Setenv(variable, "x")
		t.Setenv(variable+"_FILE", "x")
		_, err := wechatpay.ConfigFromEnv()
		require.Equal(t, "不能与 "+variable+"_FILE 同时设置", chinese.translate(settingProblems, faultsByField(err)[variable]))
		t.Setenv(variable, "")
		t.Setenv(variable+"_FILE", "")
	}
}

// requireTranslated checks the translation of the problem with a setting.
func requireTranslated(t *testing.T, variable, value string) {
	t.Helper()
	t.Setenv(variable, value)
	defer t.Setenv(variable, "")
	_, err := wechatpay.ConfigFromEnv()
	problem := faultsByField(err)[variable]
	require.NotEmpty(t, problem, value)
	translated := chinese.translate(settingProblems, problem)
	require.True(t, hasChinese(translated), problem)
	if strings.Contains(problem, "cannot be read") {
		translated, _, _ = strings.Cut(translated, "（") // the operating system's error follows
	}
	translated, _, _ = strings.Cut(translated, "openssl ")
	translated, _, _ = strings.Cut(translated, "ssh-keygen ")
	require.NotRegexp(t, sentence, translated)
	require.NotRegexp(t, `: |\b(?:use|this|must|got)\b`, translated, problem)
	require.Equal(t, problem, english.translate(settingProblems, problem))
}

func ecdsaKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func TestLanguage_value(t *testing.T) {
	require.Equal(t, "待处理（PENDING）", chinese.value("PENDING"))
	require.Equal(t, "申请退款（REFUND）", chinese.value("REFUND"))
	require.Equal(t, "NEW_VALUE", chinese.value("NEW_VALUE"))
	require.Equal(t, "PENDING", english.value("PENDING"))
	require.Equal(t, "用户提交投诉", chinese.operation("USER_CREATE_COMPLAINT"))
	require.Equal(t, "NEW_VALUE", chinese.operation("NEW_VALUE"))
	require.Equal(t, "USER_CREATE_COMPLAINT", english.operation("USER_CREATE_COMPLAINT"))
}

func TestTable_print_wideCharacters(t *testing.T) {
	var b strings.Builder
	require.NoError(t, table{{"状态", "A", "x"}, {"B", "退款，", "y"}, {"CDEFG", "", "z"}}.print(&b))
	require.Equal(t, "状态   A       x\nB      退款，  y\nCDEFG          z\n", b.String())
}

func TestApp_main_stdoutFull(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { full.Close() })
	for _, command := range []string{"list", "show " + id, "show -json " + id, "history " + id, "images " + id + " -dir " + t.TempDir(), "doctor", "version"} {
		t.Run(command, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(command)
			if !slices.Contains(args, "version") {
				args = append(args, "-mock")
			}
			cmd := process(t, environ{}, args)
			var stderr strings.Builder
			cmd.Stdout, cmd.Stderr = full, &stderr
			require.Equal(t, exitFailed, exitStatus(t, cmd.Run()))
			require.Contains(t, stderr.String(), "no space left on device")
		})
	}
}
