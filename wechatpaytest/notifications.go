package wechatpaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Notification is a notification that WeChat Pay sends.
type Notification struct {
	ID          string    // of the event; "": a new one. Duplicates of a notification have its ID
	CreateTime  time.Time // of the event; zero: now, on the server's clock
	EventType   string    // "COMPLAINT.CREATE", "COMPLAINT.STATE_CHANGE"; "REFUND.SUCCESS", "REFUND.ABNORMAL", "REFUND.CLOSED"
	ComplaintID string    // the complaint, which need not exist
	ActionType  string    // such as "CREATE_COMPLAINT"
	OutRefundNo string    // with a REFUND event: a refund that the server accepted, in place of ComplaintID and ActionType

	Serial string    // the key that signs: the public key id, or the serial number of a platform certificate; "": as KeyMode says
	Fault  FaultKind // FaultForged, FaultUnsigned, FaultProbe or FaultOld; "": none
}

// Delivery is an attempt to deliver a notification that was due.
type Delivery struct {
	Notification Notification
	URL          string
	Attempt      int    // 1 is the first
	StatusCode   int    // of the receiver's answer; 0: there was none
	Body         string // of the receiver's answer
	Err          error  // why there was none
}

// PendingNotification is a notification that is still to be delivered.
type PendingNotification struct {
	Notification Notification
	URL          string
	Attempts     int       // so far; one that is under way does not count yet
	Due          time.Time // on the server's clock
}

// The answer to a notification is due within this time.
const notifyTimeout = 5 * time.Second

// The retry schedule of the pages of 2024: ten times after 60 s, then every 300
// s, for two hours at most. (Refund notifications have another one, of which
// only the ends are known, 15 s and 6 h; here they go by the same.)
func retryDelay(attempts int) time.Duration {
	if attempts <= 10 {
		return 60 * time.Second
	}
	return 300 * time.Second
}

const retryPeriod = 2 * time.Hour

// mailbox holds the notifications that are to be delivered. Server.mu guards
// queue.
type deliveryQueue struct {
	queue []*queuedNotification

	mu      sync.Mutex
	running bool
	stopped bool
	loop    sync.WaitGroup
	wake    chan struct{}
	cancel  context.CancelFunc
}

type queuedNotification struct {
	PendingNotification
	inProgress bool // an attempt has begun and is not finished
}

// announce makes the notification of an event due. own says that the merchant
// did it itself. The caller holds mu.
func (s *Server) enqueueComplaint(d *complaint, now time.Time, eventType, actionType string, own bool) {
	if s.notifyURL == "" || own && !s.behavior.Load().NotifyOwnActions {
		return
	}
	s.post(now, s.notifyURL, Notification{
		ID:          s.eventID(d.wire.ComplaintID, s.number("notification about "+d.wire.ComplaintID)),
		EventType:   eventType,
		ComplaintID: d.wire.ComplaintID,
		ActionType:  actionType,
	})
}

// post puts a notification into the queue. The caller holds mu.
func (s *Server) post(now time.Time, url string, n Notification) {
	n.CreateTime = now
	s.mail.queue = append(s.mail.queue, &queuedNotification{PendingNotification: PendingNotification{Notification: n, URL: url, Due: now}})
	s.wakeDelivery()
}

// eventID has the form of a UUID.
func (s *Server) eventID(names ...any) string {
	sum := s.hash(append([]any{"event"}, names...)...)
	x := fmt.Sprintf("%x", sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// NewNotification builds the request of a notification, signed and encrypted,
// for url. It is for tests that hand it to a handler themselves, or change it
// first.
func (s *Server) NewNotification(ctx context.Context, url string, n Notification) (*http.Request, error) {
	now := s.Now()
	if n.EventType == "" {
		return nil, fmt.Errorf("wechatpaytest: the notification has no EventType")
	}
	switch n.Fault {
	case "", FaultForged, FaultUnsigned, FaultProbe, FaultOld:
	default:
		return nil, fmt.Errorf("wechatpaytest: %q is no fault of a notification", n.Fault)
	}
	if n.CreateTime.IsZero() {
		n.CreateTime = now
	}
	s.mu.Lock()
	if n.ID == "" {
		n.ID = s.eventID(s.number("event"))
	}
	resource, err := s.notificationResource(n)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	body := encode(struct {
		ID           string             `json:"id"`
		CreateTime   string             `json:"create_time"`
		ResourceType string             `json:"resource_type"`
		EventType    string             `json:"event_type"`
		Summary      string             `json:"summary"`
		Resource     encryptedForAPIKey `json:"resource"`
	}{n.ID, wholeSeconds(n.CreateTime), "encrypt-resource", n.EventType, summaryOf(n), resource})

	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	if n.Fault == FaultUnsigned {
		return req, nil
	}
	serial, key := s.signingKey(s.behavior.Load().KeyMode, "")
	if n.Serial != "" {
		if serial, key = n.Serial, s.privateKeyOf(n.Serial); key == nil {
			return nil, fmt.Errorf("wechatpaytest: the server has no key %q to sign a notification with", n.Serial)
		}
	}
	at := s.wireNow()
	switch n.Fault {
	case FaultForged:
		key = processKey(forgerRole)
	case FaultOld:
		at = at.Add(-15 * time.Minute)
	}
	signHeaders(req.Header, serial, key, at, body)
	if n.Fault == FaultProbe {
		probe(req.Header)
	}
	return req, nil
}

func summaryOf(n Notification) string {
	if n.OutRefundNo != "" {
		return "退款通知"
	}
	return "投诉通知"
}

// notificationResource is what a notification carries encrypted. The caller holds mu.
func (s *Server) notificationResource(n Notification) (encryptedForAPIKey, error) {
	if n.OutRefundNo == "" {
		e := encryptForAPIKey("complaint", encode(struct {
			ComplaintID string `json:"complaint_id"`
			ActionType  string `json:"action_type"`
		}{n.ComplaintID, n.ActionType}))
		e.OriginalType = "complaint"
		return e, nil
	}
	r := s.refunds[n.OutRefundNo]
	if r == nil {
		return encryptedForAPIKey{}, fmt.Errorf("wechatpaytest: there is no refund %q", n.OutRefundNo)
	}
	type amount struct {
		Total       int64 `json:"total"`
		Refund      int64 `json:"refund"`
		PayerTotal  int64 `json:"payer_total"`
		PayerRefund int64 `json:"payer_refund"`
	}
	e := encryptForAPIKey("refund", encode(struct {
		MchID               string `json:"mchid"`
		TransactionID       string `json:"transaction_id"`
		OutTradeNo          string `json:"out_trade_no"`
		RefundID            string `json:"refund_id"`
		OutRefundNo         string `json:"out_refund_no"`
		RefundStatus        string `json:"refund_status"`
		SuccessTime         string `json:"success_time,omitempty"`
		UserReceivedAccount string `json:"user_received_account"`
		Amount              amount `json:"amount"`
	}{s.mchid, r.wire.TransactionID, r.wire.OutTradeNo, r.wire.RefundID, r.wire.OutRefundNo, r.wire.Status, r.wire.SuccessTime,
		r.wire.UserReceivedAccount, amount{r.wire.Amount.Total, r.wire.Amount.Refund, r.wire.Amount.PayerTotal, r.wire.Amount.PayerRefund}}))
	e.OriginalType = "refund"
	return e, nil
}

// Notify sends a notification to url now, once, and returns the receiver's
// answer. Its body is read already, up to 1 MiB, and need not be closed. The
// receiver has 5 s. Redirects are not followed.
func (s *Server) Notify(ctx context.Context, url string, n Notification) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	req, err := s.NewNotification(ctx, url, n)
	if err != nil {
		return nil, err
	}
	transport := s.behavior.Load().NotifyTransport
	if transport == nil {
		transport = anyHost
		if isLoopback(req.URL) {
			transport = loopback
		}
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: notification: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: notification: %w", err)
	}
	resp.Body = newBody(body)
	return resp, nil
}

// Connections are not kept, so that nothing is left of a delivery.
var (
	anyHost  http.RoundTripper = &http.Transport{DisableKeepAlives: true}
	loopback http.RoundTripper = &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
)

func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// PendingNotifications returns the notifications that are still to be
// delivered, those first that are due first. They come from what happens to
// complaints while the merchant has a notification URL, and to refunds with a
// notify_url.
func (s *Server) PendingNotifications() []PendingNotification {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []PendingNotification
	for _, p := range s.mail.queue {
		all = append(all, p.PendingNotification)
	}
	slices.SortStableFunc(all, func(a, b PendingNotification) int { return a.Due.Compare(b.Due) })
	return all
}

// DeliverDue sends the notifications that are due on the server's clock, each
// once and one after the other, and says how it went. Those that the receiver
// does not answer with 200 or 204 within 5 s are due again by the retry
// schedule: ten times after 60 s, then every 300 s, until two hours after the
// event. Those that were on their way already are left to whoever sent them.
func (s *Server) DeliverDue(ctx context.Context) []Delivery {
	now := s.Now()
	s.mu.Lock()
	var due []*queuedNotification
	for _, p := range s.mail.queue {
		if !p.inProgress && !p.Due.After(now) {
			p.inProgress = true
			due = append(due, p)
		}
	}
	s.mu.Unlock()
	slices.SortStableFunc(due, func(a, b *queuedNotification) int { return a.Due.Compare(b.Due) })

	var done []Delivery
	for _, p := range due {
		s.mu.Lock()
		p.inProgress = ctx.Err() == nil && slices.Contains(s.mail.queue, p) // unless Reset took it out
		goes := p.inProgress
		s.mu.Unlock()
		if !goes {
			continue
		}
		d := Delivery{Notification: p.Notification, URL: p.URL, Attempt: p.Attempts + 1}
		resp, err := s.deliver(ctx, d.URL, d.Notification)
		if err != nil {
			d.Err = err
		} else {
			body, _ := io.ReadAll(resp.Body) // in memory
			d.StatusCode, d.Body = resp.StatusCode, string(body)
		}
		done = append(done, d)
		now := s.Now()
		s.mu.Lock()
		p.inProgress = false
		p.Attempts = d.Attempt
		p.Due = now.Add(retryDelay(p.Attempts))
		acknowledged := d.StatusCode == http.StatusOK || d.StatusCode == http.StatusNoContent
		if acknowledged || p.Due.Sub(p.Notification.CreateTime) > retryPeriod {
			s.mail.queue = slices.DeleteFunc(s.mail.queue, func(other *queuedNotification) bool { return other == p })
		}
		s.mu.Unlock()
	}
	return done
}

func (s *Server) deliver(ctx context.Context, to string, n Notification) (*http.Response, error) {
	u, err := url.Parse(to)
	if err == nil && s.behavior.Load().NotifyTransport == nil && !isLoopback(u) {
		err = fmt.Errorf("wechatpaytest: %s is not on loopback, and Behavior.NotifyTransport is not set: nothing was sent", to)
	}
	if err != nil {
		return nil, err
	}
	return s.Notify(ctx, to, n)
}

// pollInterval is how often the clock is looked at while notifications wait for
// it. A test's clock does not ring.
const pollInterval = 20 * time.Millisecond

// poke starts the goroutine that delivers by itself, if that is wanted, or
// tells it that something changed.
func (s *Server) wakeDelivery() {
	m := &s.mail
	if !s.behavior.Load().AutoNotify {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped {
		return
	}
	if !m.running {
		m.running = true
		ctx, cancel := context.WithCancel(context.Background())
		m.cancel = cancel
		m.loop.Add(1)
		go s.deliverLoop(ctx)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (s *Server) deliverLoop(ctx context.Context) {
	defer s.mail.loop.Done()
	for ctx.Err() == nil {
		var poll <-chan time.Time
		if s.behavior.Load().AutoNotify {
			s.DeliverDue(ctx)
			s.mu.Lock()
			waiting := len(s.mail.queue) > 0
			s.mu.Unlock()
			if waiting {
				poll = time.After(pollInterval)
			}
		}
		select {
		case <-ctx.Done():
		case <-s.mail.wake:
		case <-poll:
		}
	}
}

// stop ends the goroutine, an attempt under way included.
func (m *deliveryQueue) stop() {
	m.mu.Lock()
	m.stopped = true
	if m.cancel != nil {
		m.cancel()
	}
	m.mu.Unlock()
	m.loop.Wait()
}
