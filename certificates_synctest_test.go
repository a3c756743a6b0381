//go:build go1.25

package wechatpay

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCertificates_newest_renewalTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, c := newFakeDownload()
		old := validCertificate("A")
		c.configured = []*platformCertificate{old}
		c.time = func() time.Time { return old.until }
		start := time.Now()
		got, err := c.newest(context.Background())
		require.NoError(t, err)
		require.Same(t, old, got)
		require.Equal(t, 5*time.Second, time.Since(start))
		require.Len(t, d.started, 1)
	})
}
