package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
)

func mode(t *testing.T, elem ...string) os.FileMode {
	info, err := os.Stat(filepath.Join(elem...))
	require.NoError(t, err)
	return info.Mode().Perm()
}

// The env file works whatever the environment contained before, and with special
// characters in the directory's name.
func TestRun_settings(t *testing.T) {
	t.Setenv("WECHATPAY_PRIVATE_KEY", "another value")
	t.Setenv("WECHATPAY_CERTIFICATE", "another value")
	t.Setenv("WECHATPAY_PUBLIC_KEY", "another value")
	t.Setenv("WECHATPAY_BACKUP_URL", "https://api2.mch.weixin.qq.com")
	dir := filepath.Join(t.TempDir(), "a $HOME 'quoted' dir", "keys")
	m := start(t, "-dir", dir)

	require.Equal(t, os.FileMode(0o700), mode(t, dir))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		names = append(names, file.Name())
		require.Equal(t, os.FileMode(0o600), mode(t, dir, file.Name()), file.Name())
	}
	require.Equal(t, []string{certificateFile, privateKeyFile, envFile, publicKeyFile}, names)
	env, err := os.ReadFile(filepath.Join(dir, envFile))
	require.NoError(t, err)
	for _, line := range strings.Split(strings.TrimSpace(string(env)), "\n") {
		require.Regexp(t, `^export WECHATPAY_[A-Z0-9_]+=`, line)
	}

	client := newClient(t, dir)
	require.Equal(t, m.url, os.Getenv("WECHATPAY_BASE_URL"))
	require.True(t, filepath.IsAbs(os.Getenv("WECHATPAY_PRIVATE_KEY_FILE")))
	ok[any](t, m, 201, "POST", "/_mock/complaints", `{"complaint_id":"1001","payer_phone":"13800138000"}`)

	ctx := context.Background()
	complaint, err := client.ComplaintsV2.Get(ctx, "1001")
	require.NoError(t, err)
	phone, err := client.Decrypt(complaint.PayerPhone)
	require.NoError(t, err)
	require.Equal(t, "13800138000", phone)
	require.NoError(t, client.ComplaintsV2.UpdateRefundProgress(ctx, "1001", wechatpay.ApproveRefund(0)))
	require.Equal(t, 0, m.stop())
}

// Paths in the env file are absolute. A second run replaces the files and keeps
// the mode of an existing directory.
func TestRun_settings_secondRun(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.Mkdir("keys", 0o755))
	first := start(t, "-dir", "keys")
	key, err := os.ReadFile("keys/" + envFile)
	require.NoError(t, err)
	require.Equal(t, 0, first.stop())
	require.NoFileExists(t, "keys/"+envFile, "its server has stopped")
	require.FileExists(t, "keys/"+privateKeyFile)

	second := start(t, "-dir", "./keys")
	again, err := os.ReadFile("keys/" + envFile)
	require.NoError(t, err)
	require.NotEqual(t, key, again)
	require.Equal(t, os.FileMode(0o755), mode(t, "keys"))
	client := newClient(t, "keys")
	require.True(t, filepath.IsAbs(os.Getenv("WECHATPAY_PUBLIC_KEY_FILE")))
	require.Equal(t, second.url, os.Getenv("WECHATPAY_BASE_URL"))
	_, err = client.ComplaintsV2.List(context.Background(), &wechatpay.ListComplaintsRequest{BeginDate: time.Now(), EndDate: time.Now()})
	require.NoError(t, err)
}

// Another user must not be able to replace the keys.
func TestRun_settings_foreignDirectory(t *testing.T) {
	refused := func(dir, want string) {
		var stdout, stderr output
		require.Equal(t, 1, run(context.Background(), []string{"-dir", dir}, &stdout, &stderr))
		require.Contains(t, stderr.String(), want)
		require.Empty(t, stdout.String())
	}
	dir := filepath.Join(t.TempDir(), "open")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, envFile), nil, 0o600))
	require.NoError(t, os.Chmod(dir, 0o777))
	refused(dir, "-dir "+dir+" is writable by other users (mode 0777): run chmod 700 "+dir)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(dir, link))
	refused(link, "is writable by other users")
	require.FileExists(t, filepath.Join(dir, envFile), "nothing was changed")
	require.NoError(t, os.Chmod(dir, 0o755))
	start(t, "-dir", link)

	if os.Geteuid() != 0 {
		refused("/", "-dir / belongs to another user (uid 0)")
		return
	}
	foreign := t.TempDir()
	require.NoError(t, os.Chown(foreign, 4711, 4711))
	refused(foreign, "-dir "+foreign+" belongs to another user (uid 4711)")
	group := t.TempDir()
	require.NoError(t, os.Chown(group, 0, 4711))
	require.NoError(t, os.Chmod(group, 0o770))
	refused(group, "is writable by other users (mode 0770)")
}

// A run does not remove the env file of a later run.
func TestRun_settings_concurrentRuns(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "-dir", dir)
	second := start(t, "-dir", dir)
	require.Equal(t, 0, first.stop())
	newClient(t, dir)
	require.Equal(t, second.url, os.Getenv("WECHATPAY_BASE_URL"))
}

// Symbolic links are replaced, not followed.
func TestRun_settings_symlink(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o644))
	require.NoError(t, os.Symlink(victim, filepath.Join(dir, envFile)))
	require.NoError(t, os.Symlink(victim, filepath.Join(dir, privateKeyFile)))
	start(t, "-dir", dir)
	content, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))
	newClient(t, dir)
}

func TestRun_temporaryDirectory(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	m := start(t)
	_, file, found := strings.Cut(strings.TrimSpace(m.stderr.String()), "to load them, run: . ")
	require.True(t, found, m.stderr)
	newClient(t, filepath.Dir(file))
	require.Equal(t, 0, m.stop())
	require.NoDirExists(t, filepath.Dir(file))
}

func TestShellQuote(t *testing.T) {
	for _, value := range []string{"", "plain-1_2.3/x:y", "two words", "it's", `"$HOME" \ ` + "`id`", "密钥", "a\nb"} {
		out, err := exec.Command("sh", "-c", "printf %s "+shellQuote(value)).Output()
		require.NoError(t, err)
		require.Equal(t, value, string(out))
	}
	require.Equal(t, "/tmp/mock/env", shellQuote("/tmp/mock/env"), "plain values are not quoted")
}
