package wechatpay

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// serialNumber returns the serial number of a certificate as WeChat Pay writes it.
func serialNumber(certificate *x509.Certificate) string {
	return strings.ToUpper(hex.EncodeToString(certificate.SerialNumber.Bytes()))
}

const (
	// minDownloadInterval is the minimum time between two downloads because of
	// unknown serial numbers, which anyone can send to a notification URL. A new
	// certificate is listed a day before it is used.
	minDownloadInterval = time.Minute
	// minRetryInterval is the same after a failed download.
	minRetryInterval = 10 * time.Second

	// renewBefore is how long before its expiry a certificate is renewed.
	renewBefore = 24 * time.Hour
	// renewInterval is the minimum time between two renewals.
	renewInterval = time.Hour
	// renewTimeout is how long a call waits for a renewal. After that it uses the
	// old certificate, which is still valid.
	renewTimeout = 5 * time.Second
)

// A platformCertificate is the part of a platform certificate that is used.
type platformCertificate struct {
	serialNo    string // as WeChat Pay writes it
	key         *rsa.PublicKey
	from, until time.Time
}

func newPlatformCertificate(serialNo string, certificate *x509.Certificate, key *rsa.PublicKey) *platformCertificate {
	return &platformCertificate{
		serialNo: serialNo,
		key:      key,
		from:     certificate.NotBefore,
		until:    certificate.NotAfter,
	}
}

func (p *platformCertificate) validAt(t time.Time) bool {
	return !t.Before(p.from) && !t.After(p.until)
}

// validity returns the validity period for error messages.
func (p *platformCertificate) validity() string {
	return "valid from " + p.from.UTC().Format(time.RFC3339) + " to " + p.until.UTC().Format(time.RFC3339)
}

// newestValid returns the valid certificate that became valid last, or nil.
func newestValid(all []*platformCertificate, at time.Time) *platformCertificate {
	var best *platformCertificate
	for _, p := range all {
		if p.validAt(at) && (best == nil || p.from.After(best.from)) {
			best = p
		}
	}
	return best
}

// sameSerial reports whether two serial numbers are equal. It ignores case and
// leading zeros.
func sameSerial(a, b string) bool {
	return strings.EqualFold(strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0"))
}

// isSerialNumber reports whether s has the form of a certificate serial number.
func isSerialNumber(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// certificates are the platform certificates of one merchant, both configured
// and downloaded. It is safe for concurrent use.
type certificates struct {
	configured []*platformCertificate
	time       func() time.Time
	// download returns the certificates that WeChat Pay lists. It is nil without
	// an APIv3 key.
	download func(ctx context.Context) ([]*platformCertificate, error)

	mu       sync.Mutex             // guards the fields below
	listed   []*platformCertificate // result of the last successful download
	flight   *flight                // download in progress, or nil
	failed   error                  // error of the last download, or nil
	searched time.Time              // start of the last download because of an unknown serial number
	renewed  time.Time              // start of the last download because of an expiring certificate
}

// A flight is a download in progress, shared by all callers that wait for it. It
// runs in its own goroutine, so that it outlives any single caller. When the
// last waiter gives up, it is canceled.
type flight struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed after err is set
	err     error
	waiting int // number of callers; guarded by certificates.mu
}

// all returns the known certificates, configured ones first. The caller must
// hold mu.
func (c *certificates) all() []*platformCertificate {
	return append(c.configured[:len(c.configured):len(c.configured)], c.listed...)
}

// known returns the known certificates, configured ones first.
func (c *certificates) known() []*platformCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all()
}

// lookupLocked returns the certificate with a serial number, or nil. The caller
// must hold mu.
func (c *certificates) lookupLocked(serialNo string) *platformCertificate {
	for _, p := range c.all() {
		if sameSerial(p.serialNo, serialNo) {
			return p
		}
	}
	return nil
}

// lookup returns the certificate with a serial number, or nil.
func (c *certificates) lookup(serialNo string) *platformCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lookupLocked(serialNo)
}

// newest returns the newest valid certificate. If there is none, it downloads the
// certificates. No minimum interval applies then, because the caller sends no
// request of its own if the download fails. If the certificate expires soon,
// newest tries to renew it.
func (c *certificates) newest(ctx context.Context) (*platformCertificate, error) {
	at := now(c.time)
	c.mu.Lock()
	best := newestValid(c.all(), at)
	switch {
	case best != nil && (ctx.Err() != nil || !c.renewalDue(best, at)):
		c.mu.Unlock()
		return best, nil
	case best != nil:
		c.renewed = at
		renewal, cancel := context.WithTimeout(ctx, renewTimeout)
		defer cancel()
		ctx = renewal
	case c.download == nil:
		c.mu.Unlock()
		return nil, c.noneValid(at)
	}
	f, err := c.join(ctx)
	c.mu.Unlock()
	if err == nil {
		err = c.wait(ctx, f)
	}
	if best == nil && err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCertificate, err)
	}
	if newer := newestValid(c.known(), now(c.time)); newer != nil {
		return newer, nil
	}
	if best == nil {
		return nil, c.noneValid(at)
	}
	return best, nil
}

// renewalDue reports whether a certificate is about to expire and no renewal is
// in progress or recent. The caller must hold mu.
func (c *certificates) renewalDue(p *platformCertificate, at time.Time) bool {
	return c.download != nil && c.flight == nil &&
		p.until.Sub(at) < renewBefore && !recent(at, c.renewed, renewInterval)
}

var errNoCertificate = errors.New("nothing was sent: no valid platform certificate")

// noneValid returns the error for certificates that are all expired or not valid
// yet. It names the one that expires last.
func (c *certificates) noneValid(at time.Time) error {
	var until time.Time
	var detail string
	for _, p := range c.known() {
		if p.until.After(until) {
			until, detail = p.until, ": "+p.serialNo+" is "+p.validity()
		}
	}
	return fmt.Errorf("%w at %s%s", errNoCertificate, at.UTC().Format(time.RFC3339), detail)
}

// find downloads the certificates because of an unknown serial number. If the
// serial number is still unknown, it returns a hint, and the error of the
// download if that is the cause.
func (c *certificates) find(ctx context.Context, serialNo string) (hint string, err error) {
	if c.download == nil {
		return "add it to PlatformCertificates, or set APIv3Key to download it", nil
	}
	for {
		c.mu.Lock()
		if c.lookupLocked(serialNo) != nil {
			c.mu.Unlock()
			return "", nil
		}
		shared := c.flight != nil
		if !shared && ctx.Err() == nil {
			if hint, err := c.limitSearches(); hint != "" {
				c.mu.Unlock()
				return hint, err
			}
		}
		f, err := c.join(ctx)
		c.mu.Unlock()
		if err == nil {
			err = c.wait(ctx, f)
		}
		if err != nil {
			return "the certificate download failed", err
		}
		// A shared download may have started before the certificate was listed, so
		// the loop makes another one.
		if !shared && c.lookup(serialNo) == nil {
			return "it is not among the certificates just downloaded: the message is forged, or another merchant's", nil
		}
	}
}

// limitSearches returns a hint, and the error of the last download, if it is too
// early for another download because of an unknown serial number. Otherwise it
// records the start of one. The caller must hold mu.
func (c *certificates) limitSearches() (hint string, err error) {
	at, interval := now(c.time), minDownloadInterval
	if c.failed != nil {
		interval = minRetryInterval
	}
	if !recent(at, c.searched, interval) {
		c.searched = at
		return "", nil
	}
	if c.failed != nil {
		return fmt.Sprintf("the certificate download failed less than %v ago", interval), c.failed
	}
	return fmt.Sprintf("it is not among the certificates downloaded less than %v ago", interval), nil
}

// recent reports whether at is less than d after t. It is false if the clock was
// set back since t.
func recent(at, t time.Time, d time.Duration) bool {
	since := at.Sub(t)
	return since >= 0 && since < d
}

// join adds the caller to the download in progress, and starts one if there is
// none. The caller must hold mu, release it, and call wait. join returns an error
// if ctx has ended.
func (c *certificates) join(ctx context.Context) (*flight, error) {
	if ctx.Err() != nil {
		return nil, waitError(ctx)
	}
	if c.flight == nil {
		// The download does not inherit the context of the first caller: neither
		// its end nor its values, such as a signed body, are for the others.
		own, cancel := context.WithCancel(context.Background())
		c.flight = &flight{cancel: cancel, done: make(chan struct{})}
		go c.run(own, c.flight)
	}
	c.flight.waiting++
	return c.flight, nil
}

// wait returns the result of a download that the caller has joined.
func (c *certificates) wait(ctx context.Context, f *flight) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		c.leave(f)
		return waitError(ctx)
	}
}

// leave removes the caller from a download. The last caller cancels it, and
// returns after its goroutine has ended.
func (c *certificates) leave(f *flight) {
	c.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && c.flight == f {
		// From here on other callers start a new download.
		c.flight, c.failed = nil, &downloadError{&otherError{errors.New("canceled, because no caller was waiting")}}
	}
	c.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
}

func waitError(ctx context.Context) error {
	return fmt.Errorf("waiting for the certificate download: %w", ctx.Err())
}

// run downloads the certificates and ends the flight. A panic of the transport
// becomes an error, because it would end the program in this goroutine.
func (c *certificates) run(ctx context.Context, f *flight) {
	var listed []*platformCertificate
	err := errors.New("the transport called runtime.Goexit")
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		f.cancel()
		if err != nil {
			f.err = &downloadError{&otherError{err}}
		}
		c.mu.Lock()
		if c.flight == f { // not canceled
			c.flight, c.failed = nil, f.err
			if err == nil {
				c.listed = listed
			}
		}
		c.mu.Unlock()
		close(f.done)
	}()
	listed, err = c.download(ctx)
}
