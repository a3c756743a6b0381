package doctest

import (
	"os"
	"strings"
	"testing"
)

// TestMain changes to the module root, so that the names of files are relative
// to it, and unsets WECHATPAY_* so that no setting of the machine reaches the
// tests or the programs they run.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "WECHATPAY_") {
			os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}
