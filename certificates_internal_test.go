package wechatpay

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var certificatesStart = time.Unix(1700000000, 0)

// fakeDownload is a certificates.download that returns what the test sends.
type fakeDownload struct {
	started chan context.Context // one for each download
	results chan downloadResult
}

type downloadResult struct {
	listed []*platformCertificate
	err    error
}

func (d *fakeDownload) download(ctx context.Context) ([]*platformCertificate, error) {
	d.started <- ctx
	select {
	case result := <-d.results:
		return result.listed, result.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func newFakeDownload() (*fakeDownload, *certificates) {
	d := &fakeDownload{started: make(chan context.Context, 10), results: make(chan downloadResult)}
	return d, &certificates{time: func() time.Time { return certificatesStart }, download: d.download}
}

// validCertificate returns a certificate that is valid for another 100 days.
func validCertificate(serialNo string) *platformCertificate {
	return &platformCertificate{
		serialNo: serialNo,
		from:     certificatesStart,
		until:    certificatesStart.Add(100 * 24 * time.Hour),
	}
}

// awaitCallers returns once n callers wait for the download.
func awaitCallers(c *certificates, n int) {
	for {
		c.mu.Lock()
		waiting := 0
		if c.flight != nil {
			waiting = c.flight.waiting
		}
		c.mu.Unlock()
		if waiting == n {
			return
		}
		runtime.Gosched()
	}
}

func TestCertificates_newest_sharedDownload(t *testing.T) {
	const callers = 1000
	d, c := newFakeDownload()
	results := make(chan *platformCertificate, callers)
	for range callers {
		go func() {
			p, err := c.newest(context.Background())
			if err != nil {
				t.Error(err)
			}
			results <- p
		}()
	}
	awaitCallers(c, callers)
	want := validCertificate("A")
	d.results <- downloadResult{listed: []*platformCertificate{want}}
	for range callers {
		require.Same(t, want, <-results)
	}
	require.Len(t, d.started, 1)
}

func TestCertificates_newest_waiterGivesUp(t *testing.T) {
	d, c := newFakeDownload()
	want := validCertificate("A")
	first, cancelFirst := context.WithCancel(context.Background())
	defer cancelFirst()
	second, cancelSecond := context.WithCancel(context.Background())
	defer cancelSecond()
	errs := make([]chan error, 3)
	for i, ctx := range []context.Context{first, second, context.Background()} {
		errs[i] = make(chan error, 1)
		go func() {
			_, err := c.newest(ctx)
			errs[i] <- err
		}()
		awaitCallers(c, i+1)
	}
	download := <-d.started

	cancelFirst()
	require.ErrorIs(t, <-errs[0], context.Canceled)
	require.NoError(t, download.Err(), "the download is canceled while two callers wait")
	cancelSecond()
	require.ErrorIs(t, <-errs[1], context.Canceled)
	require.NoError(t, download.Err(), "the download is canceled while a caller waits")

	d.results <- downloadResult{listed: []*platformCertificate{want}}
	require.NoError(t, <-errs[2])
	require.Empty(t, d.started, "the third caller needed a second download")
	require.Error(t, download.Err(), "the context of the download is not released")
}

func TestCertificates_newest_lastWaiterGivesUp(t *testing.T) {
	d, c := newFakeDownload()
	ctx, cancel := context.WithCancel(context.Background())
	errs := make(chan error, 1)
	go func() {
		_, err := c.newest(ctx)
		errs <- err
	}()
	download := <-d.started
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
	require.Error(t, download.Err())

	// The next caller does not join the canceled download.
	go func() {
		_, err := c.newest(context.Background())
		errs <- err
	}()
	<-d.started
	d.results <- downloadResult{listed: []*platformCertificate{validCertificate("A")}}
	require.NoError(t, <-errs)
}

func TestCertificates_newest_renewal(t *testing.T) {
	old, successor := validCertificate("A"), validCertificate("B")
	successor.from, successor.until = old.until.Add(-48*time.Hour), old.until.Add(48*time.Hour)
	at := old.until.Add(-24 * time.Hour)
	downloads := 0
	var result downloadResult
	c := &certificates{
		configured: []*platformCertificate{old},
		time:       func() time.Time { return at },
		download: func(context.Context) ([]*platformCertificate, error) {
			downloads++
			return result.listed, result.err
		},
	}
	step := func(advance time.Duration, wantDownloads int, want *platformCertificate) {
		t.Helper()
		at = at.Add(advance)
		got, err := c.newest(context.Background())
		require.NoError(t, err)
		require.Same(t, want, got)
		require.Equal(t, wantDownloads, downloads)
	}
	result.err = errors.New("down")
	step(0, 0, old)           // 24 hours before the expiry
	step(time.Second, 1, old) // less than 24 hours
	step(time.Hour-time.Second, 1, old)
	step(time.Second, 2, old) // an hour later
	step(-30*time.Minute, 3, old)
	result = downloadResult{listed: []*platformCertificate{successor}}
	step(time.Hour, 4, successor)
	step(time.Hour, 4, successor)
}

// The goroutine of a canceled download ends before the last caller returns.
func TestCertificates_newest_waitsForGoroutine(t *testing.T) {
	var ended atomic.Bool
	started := make(chan struct{})
	c := &certificates{download: func(ctx context.Context) ([]*platformCertificate, error) {
		close(started)
		<-ctx.Done()
		for range 10_000 {
			runtime.Gosched()
		}
		ended.Store(true)
		return nil, ctx.Err()
	}}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-started
		cancel()
	}()
	_, err := c.newest(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.True(t, ended.Load())
}

// A download because of an unknown serial number is not a renewal.
func TestCertificates_newest_renewalDuringSearch(t *testing.T) {
	d, c := newFakeDownload()
	old := validCertificate("A")
	c.configured, c.time = []*platformCertificate{old}, func() time.Time { return old.until }
	hints := make(chan string, 1)
	go func() {
		hint, _ := c.find(context.Background(), "B")
		hints <- hint
	}()
	awaitCallers(c, 1)
	got, err := c.newest(context.Background())
	require.NoError(t, err)
	require.Same(t, old, got)
	require.True(t, c.renewed.IsZero(), "newest joined the download")
	<-d.started
	d.results <- downloadResult{listed: []*platformCertificate{validCertificate("B")}}
	require.Empty(t, <-hints)
}

func TestCertificates_newest_renewalWithoutAPIv3Key(t *testing.T) {
	old := validCertificate("A")
	c := &certificates{
		configured: []*platformCertificate{old},
		time:       func() time.Time { return old.until },
	}
	got, err := c.newest(context.Background())
	require.NoError(t, err)
	require.Same(t, old, got)
}

func TestCertificates_newest_noneValid(t *testing.T) {
	first, last := validCertificate("A"), validCertificate("B")
	last.until = last.until.Add(time.Hour)
	c := &certificates{
		configured: []*platformCertificate{first, last, validCertificate("C")},
		time:       func() time.Time { return last.until.Add(time.Second) },
	}
	_, err := c.newest(context.Background())
	require.EqualError(t, err, "nothing was sent: no valid platform certificate at 2024-02-22T23:13:21Z: "+
		"B is valid from 2023-11-14T22:13:20Z to 2024-02-22T23:13:20Z")
}

func TestCertificates_find_interval(t *testing.T) {
	at := certificatesStart
	downloads := 0
	result := downloadResult{listed: []*platformCertificate{validCertificate("A")}}
	c := &certificates{
		time: func() time.Time { return at },
		download: func(context.Context) ([]*platformCertificate, error) {
			downloads++
			return result.listed, result.err
		},
	}
	step := func(advance time.Duration, wantDownloads int, wantHint string) {
		t.Helper()
		at = at.Add(advance)
		hint, err := c.find(context.Background(), "AB")
		require.Equal(t, wantHint, hint)
		require.ErrorIs(t, err, result.err)
		require.Equal(t, wantDownloads, downloads)
	}
	const (
		justDownloaded = "it is not among the certificates just downloaded: " +
			"the message is forged, or another merchant's"
		recently       = "it is not among the certificates downloaded less than 1m0s ago"
		failed         = "the certificate download failed"
		failedRecently = "the certificate download failed less than 10s ago"
	)
	step(0, 1, justDownloaded)
	step(minDownloadInterval-time.Nanosecond, 1, recently)
	step(time.Nanosecond, 2, justDownloaded)

	result = downloadResult{err: errors.New("down")}
	step(time.Minute, 3, failed)
	step(10*time.Second-time.Nanosecond, 3, failedRecently)
	step(time.Nanosecond, 4, failed)

	result = downloadResult{listed: []*platformCertificate{validCertificate("A")}}
	step(10*time.Second, 5, justDownloaded)
	step(10*time.Second, 5, recently)
	step(-time.Hour, 6, justDownloaded) // the clock was set back
}

// A download that started before the certificate was listed does not count.
func TestCertificates_find_joinsEarlierDownload(t *testing.T) {
	d, c := newFakeDownload()
	errs := make(chan error, 1)
	go func() {
		_, err := c.newest(context.Background())
		errs <- err
	}()
	<-d.started
	hints := make(chan string, 1)
	go func() {
		hint, _ := c.find(context.Background(), "B")
		hints <- hint
	}()
	awaitCallers(c, 2)
	d.results <- downloadResult{listed: []*platformCertificate{validCertificate("A")}}
	require.NoError(t, <-errs)
	select {
	case <-d.started:
	case hint := <-hints:
		t.Fatalf("no second download, hint %q", hint)
	}
	d.results <- downloadResult{listed: []*platformCertificate{validCertificate("A"), validCertificate("B")}}
	require.Empty(t, <-hints)
}

func TestSameSerial(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"0A1B", "a1b", true},
		{"A1B", "000A1B", true},
		{"A1B", "A1B0", false},
		{"A1B", "A1C", false},
	} {
		require.Equal(t, tt.want, sameSerial(tt.a, tt.b), tt)
	}
}
