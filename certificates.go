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

// serialNumber is a certificate's serial number as WeChat Pay writes it.
func serialNumber(certificate *x509.Certificate) string {
	return strings.ToUpper(hex.EncodeToString(certificate.SerialNumber.Bytes()))
}

// Platform certificates, and why a downloaded one is trusted.
//
// They come from GET /v3/certificates, encrypted with AES-256-GCM under the
// APIv3 key, which the merchant and WeChat Pay alone know. GCM authenticates: a
// certificate that decrypts was encrypted by a holder of that key, and so is
// WeChat Pay's. That is the root of the chain, and nothing before it is needed:
// neither TLS, nor the issuer of the certificate, which is not looked at.
//
// So the first answer may be verified by the certificate that it contains: its
// signature proves that the rest of it is WeChat Pay's too, and is of the last
// 300 s, which the encryption does not say. Later answers are verified by that
// certificate or by one known before. An answer that verifies by neither changes
// nothing. Serial number and validity are read from the certificate itself.
//
// https://pay.weixin.qq.com/doc/v3/merchant/4012551764
const certificatesPath = "/v3/certificates"

const (
	// refreshFloor is the least time between two downloads for the sake of an
	// unknown serial number, since anybody can make one up and send it to a
	// notification URL. A new certificate is listed a day before it is used.
	refreshFloor = time.Minute
	// failedFloor is the same after a download that failed.
	failedFloor = 10 * time.Second

	// expiryMargin is how long before its end a certificate is looked for a
	// successor, expiryPause how long after each try, and expiryPatience how
	// long a call waits for it: the one that it has is still good.
	expiryMargin   = 24 * time.Hour
	expiryPause    = time.Hour
	expiryPatience = 5 * time.Second
)

// A platformCertificate is what is kept of one.
type platformCertificate struct {
	serialNo    string // as WeChat Pay writes it
	key         *rsa.PublicKey
	from, until time.Time
}

func newPlatformCertificate(serialNo string, certificate *x509.Certificate, key *rsa.PublicKey) *platformCertificate {
	return &platformCertificate{serialNo: serialNo, key: key, from: certificate.NotBefore, until: certificate.NotAfter}
}

func (p *platformCertificate) validAt(t time.Time) bool {
	return !t.Before(p.from) && !t.After(p.until)
}

// sameSerial compares serial numbers, whatever their case and leading zeros.
func sameSerial(a, b string) bool {
	return strings.EqualFold(strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0"))
}

// isSerialNumber tells the serial number of a certificate from anything else.
func isSerialNumber(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// certificates are the platform certificates of one merchant: those kept by
// hand, and those that were downloaded. They are safe for concurrent use.
type certificates struct {
	byHand []*platformCertificate
	time   func() time.Time
	// download gets those that WeChat Pay lists; nil: there is no APIv3 key.
	download func(ctx context.Context) ([]*platformCertificate, error)

	mu     sync.Mutex             // guards what follows
	listed []*platformCertificate // by the last download that succeeded
	flight *flight                // the download under way
	failed error                  // of the last download
	asked  time.Time              // when an unknown serial number last caused one
	tried  time.Time              // when a certificate near its end last did
}

// A flight is one download, for all who wait for it. It runs in a goroutine of
// its own, so that nobody's context ends it for the others; the last who leaves
// ends it, and waits until it has ended.
type flight struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed at its end, after err is set
	err     error
	waiting int // guarded by certificates.mu
}

// all gives the certificates that are known, those kept by hand first. The
// caller holds mu.
func (c *certificates) all() []*platformCertificate {
	return append(c.byHand[:len(c.byHand):len(c.byHand)], c.listed...)
}

func (c *certificates) known() []*platformCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all()
}

// named gives the certificate with a serial number, or nil. The caller holds mu.
func (c *certificates) named(serialNo string) *platformCertificate {
	for _, p := range c.all() {
		if sameSerial(p.serialNo, serialNo) {
			return p
		}
	}
	return nil
}

func (c *certificates) lookUp(serialNo string) *platformCertificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.named(serialNo)
}

// newestOf gives the certificate that became valid last, of those that are valid.
func newestOf(all []*platformCertificate, at time.Time) *platformCertificate {
	var best *platformCertificate
	for _, p := range all {
		if p.validAt(at) && (best == nil || p.from.After(best.from)) {
			best = p
		}
	}
	return best
}

// newest gives the certificate that a request names, and downloads it first if
// there is none: before anything is sent, so that no write is answered in a way
// that cannot be verified. No floor holds it back, as it is one small request in
// place of the caller's own.
func (c *certificates) newest(ctx context.Context) (*platformCertificate, error) {
	at := now(c.time)
	c.mu.Lock()
	best := newestOf(c.all(), at)
	if best != nil {
		due := c.download != nil && c.flight == nil && ctx.Err() == nil && best.until.Sub(at) < expiryMargin && !recent(at, c.tried, expiryPause)
		if !due {
			c.mu.Unlock()
			return best, nil
		}
		c.tried = at
		patience, cancel := context.WithTimeout(ctx, expiryPatience)
		defer cancel()
		ctx = patience
	} else if c.download == nil {
		c.mu.Unlock()
		return nil, c.noneValid(at)
	}
	err := c.wait(ctx)
	if best == nil && err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCertificate, err)
	}
	if newer := newestOf(c.known(), now(c.time)); newer != nil {
		best = newer
	}
	if best == nil {
		return nil, c.noneValid(at)
	}
	return best, nil
}

var errNoCertificate = errors.New("nothing was sent, as there is no platform certificate to verify the answer with")

// noneValid says why no certificate is valid.
func (c *certificates) noneValid(at time.Time) error {
	var all []string
	for _, p := range c.known() {
		all = append(all, p.serialNo+" "+p.validity())
	}
	return fmt.Errorf("%w: by this machine's clock it is %s, and those that are known are not valid (%s): set the clock by NTP, give the newest in PlatformCertificates, or set APIv3Key, so that it is downloaded",
		errNoCertificate, at.UTC().Format(time.RFC3339), strings.Join(all, ", "))
}

func (p *platformCertificate) validity() string {
	return "is valid from " + p.from.UTC().Format(time.RFC3339) + " to " + p.until.UTC().Format(time.RFC3339)
}

// find downloads the certificates for the sake of an unknown serial number. It
// says why the number is still unknown; an empty reason means that it is known.
func (c *certificates) find(ctx context.Context, serialNo string) (reason string, err error) {
	if c.download == nil {
		return "it is not among PlatformCertificates: give the newest, or set APIv3Key, so that they are downloaded", nil
	}
	for {
		c.mu.Lock()
		if c.named(serialNo) != nil {
			c.mu.Unlock()
			return "", nil
		}
		joined := c.flight != nil
		if !joined && ctx.Err() == nil {
			at, floor := now(c.time), refreshFloor
			if c.failed != nil {
				floor = failedFloor
			}
			if recent(at, c.asked, floor) {
				err := c.failed
				c.mu.Unlock()
				if err != nil {
					return fmt.Sprintf("the platform certificates could not be downloaded, and it is tried again %v after the last time", floor), err
				}
				return fmt.Sprintf("it is not among this merchant's platform certificates, which were downloaded less than %v ago", floor), nil
			}
			c.asked = at
		}
		if err := c.wait(ctx); err != nil {
			return "the platform certificates could not be downloaded", err
		}
		// A download that had begun before may have missed it: look again.
		if !joined && c.lookUp(serialNo) == nil {
			return "it is not among this merchant's platform certificates, which were downloaded just now: the message is forged, or is another merchant's", nil
		}
	}
}

// recent reports whether it is less than d since then. A clock that was set back
// holds nothing up.
func recent(at, then time.Time, d time.Duration) bool {
	since := at.Sub(then)
	return since >= 0 && since < d
}

// wait gives the result of the download under way, or else of one that it starts.
// The caller holds mu; wait gives it back.
func (c *certificates) wait(ctx context.Context) error {
	waiting := func() error { return fmt.Errorf("waiting for the platform certificates: %w", ctx.Err()) }
	if ctx.Err() != nil {
		c.mu.Unlock()
		return waiting()
	}
	f := c.flight
	if f == nil {
		// Not the context of whoever came first, nor its values: they say how
		// to sign and trace another request.
		own, cancel := context.WithCancel(context.Background())
		f = &flight{cancel: cancel, done: make(chan struct{})}
		c.flight = f
		go c.run(own, f)
	}
	f.waiting++
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	f.waiting--
	last := f.waiting == 0
	if last && c.flight == f {
		// Nobody joins what is being ended.
		c.flight, c.failed = nil, &downloadError{&otherError{errors.New("the download was given up, as nobody waited for it any more")}}
	}
	c.mu.Unlock()
	if last {
		f.cancel()
		<-f.done
	}
	return waiting()
}

// run downloads. However it ends, nobody is left waiting: a panic of the
// transport, which would end the program here, becomes an error.
func (c *certificates) run(ctx context.Context, f *flight) {
	var listed []*platformCertificate
	err := errors.New("the download was broken off by the transport")
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		f.cancel()
		if err != nil {
			f.err = &downloadError{&otherError{err}}
		}
		c.mu.Lock()
		if c.flight == f { // not given up
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
