package wechatpaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Notification is a notification from WeChat Pay.
type Notification struct {
	ID          string    // of the event, the same in each redelivery; "": a new one
	CreateTime  time.Time // of the event; zero: now, on the server's clock
	EventType   string    // COMPLAINT.CREATE, COMPLAINT.STATE_CHANGE, REFUND.SUCCESS, REFUND.ABNORMAL or REFUND.CLOSED
	ComplaintID string    // the complaint, which need not exist
	ActionType  string    // such as CREATE_COMPLAINT
	OutRefundNo string    // the refund of a REFUND event, which has no ComplaintID and ActionType
	MchID       string    // the merchant that receives it; "": the first, or the one that sent the refund

	Serial string    // the id of the key that signs, or the serial number of its certificate; "": by KeyMode
	Fault  FaultKind // FaultForged, FaultUnsigned, FaultProbe or FaultOld; "": none
}

// Delivery is the result of one attempt to deliver a notification.
type Delivery struct {
	Notification Notification
	URL          string
	Attempt      int    // starts at 1
	StatusCode   int    // of the receiver's response; 0: none
	Body         string // of the receiver's response
	Err          error  // set if there was no response
}

// PendingNotification is a notification that is not yet delivered.
type PendingNotification struct {
	Notification Notification
	URL          string
	Attempts     int       // so far, without one in progress
	Due          time.Time // on the server's clock
}

// notifyTimeout is how long the receiver may take to respond.
const notifyTimeout = 5 * time.Second

// retryPeriod is how long after the event a notification is retried.
const retryPeriod = 2 * time.Hour

// retryDelay returns the delay after the given number of attempts, as documented
// in 2024. Refund notifications have another schedule, but only its first delay
// (15 s) and last (6 h) are known; here they use the same.
func retryDelay(attempts int) time.Duration {
	if attempts <= 10 {
		return 60 * time.Second
	}
	return 300 * time.Second
}

// deliveryQueue has the notifications to deliver. Server.mu guards queue.
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
	inProgress bool // an attempt has started and not finished
}

// notifyComplaint enqueues notifications about a complaint for the merchants that
// have a notification URL. own means that the merchant caused the event. The
// caller holds mu.
func (s *Server) notifyComplaint(cm *complaint, now time.Time, actionType string, own bool) {
	b := s.behavior.Load()
	if own && !b.NotifyOwnActions {
		return
	}
	eventType := "COMPLAINT.STATE_CHANGE"
	if actionType == "CREATE_COMPLAINT" {
		eventType = "COMPLAINT.CREATE"
	}
	id := cm.wire.ComplaintID
	for _, m := range s.merchants {
		if m.notifyURL == "" || !m.owns(b, cm.wire.ComplaintedMchID) {
			continue
		}
		cm.notified++
		s.enqueue(now, m.notifyURL, Notification{
			ID:          s.eventID(s.resets, id, cm.notified),
			EventType:   eventType,
			ComplaintID: id,
			ActionType:  actionType,
			MchID:       m.mchid,
		})
	}
}

// enqueue adds a notification that is due now, unless it is lost. The caller
// holds mu.
func (s *Server) enqueue(now time.Time, url string, n Notification) {
	sum := s.hash("loss", n.ID)
	if float64(binary.BigEndian.Uint64(sum[:])>>11)/(1<<53) < s.behavior.Load().NotificationLoss {
		return
	}
	n.CreateTime = now
	p := PendingNotification{Notification: n, URL: url, Due: now}
	s.deliveries.queue = append(s.deliveries.queue, &queuedNotification{PendingNotification: p})
	s.wakeDelivery()
}

// eventID returns an id in the form of a UUID.
func (s *Server) eventID(names ...any) string {
	sum := s.hash(append([]any{"event"}, names...)...)
	x := fmt.Sprintf("%x", sum[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// NewNotification returns the signed and encrypted request of a notification to
// url. Use it to call a handler directly, or to change the request first.
func (s *Server) NewNotification(ctx context.Context, url string, n Notification) (*http.Request, error) {
	req, err := s.newNotification(ctx, url, n)
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: NewNotification: %w", err)
	}
	return req, nil
}

func (s *Server) newNotification(ctx context.Context, url string, n Notification) (*http.Request, error) {
	if n.EventType == "" {
		return nil, errors.New("EventType is required")
	}
	switch n.Fault {
	case "", FaultForged, FaultUnsigned, FaultProbe, FaultOld:
	default:
		return nil, fmt.Errorf("fault %q does not apply to notifications", n.Fault)
	}
	body, err := s.notificationBody(n)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Mozilla/4.0")
	if n.Fault == FaultUnsigned {
		return req, nil
	}
	serial, key := s.signingKey(s.behavior.Load().KeyMode, "")
	if n.Serial != "" {
		if serial, key = n.Serial, s.privateKeyOf(n.Serial); key == nil {
			return nil, fmt.Errorf("unknown key %q", n.Serial)
		}
	}
	s.signHeaders(req.Header, serial, key, body, n.Fault)
	return req, nil
}

// notificationBody returns the body of a notification.
func (s *Server) notificationBody(n Notification) ([]byte, error) {
	if n.CreateTime.IsZero() {
		n.CreateTime = s.Now()
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
	summary := "投诉通知"
	if n.OutRefundNo != "" {
		summary = "退款通知"
	}
	return encode(struct {
		ID           string         `json:"id"`
		CreateTime   string         `json:"create_time"`
		ResourceType string         `json:"resource_type"`
		EventType    string         `json:"event_type"`
		Summary      string         `json:"summary"`
		Resource     sealedResource `json:"resource"`
	}{n.ID, wholeSeconds(n.CreateTime), "encrypt-resource", n.EventType, summary, resource}), nil
}

type complaintResource struct {
	ComplaintID string `json:"complaint_id"`
	ActionType  string `json:"action_type"`
}

// refundResource has MchID, or SpMchID and SubMchID for a service provider.
type refundResource struct {
	MchID               string       `json:"mchid,omitempty"`
	SpMchID             string       `json:"sp_mchid,omitempty"`
	SubMchID            string       `json:"sub_mchid,omitempty"`
	TransactionID       string       `json:"transaction_id"`
	OutTradeNo          string       `json:"out_trade_no"`
	RefundID            string       `json:"refund_id"`
	OutRefundNo         string       `json:"out_refund_no"`
	RefundStatus        string       `json:"refund_status"`
	SuccessTime         string       `json:"success_time,omitempty"`
	UserReceivedAccount string       `json:"user_received_account"`
	Amount              refundTotals `json:"amount"`
}

type refundTotals struct {
	Total       int64 `json:"total"`
	Refund      int64 `json:"refund"`
	PayerTotal  int64 `json:"payer_total"`
	PayerRefund int64 `json:"payer_refund"`
}

// notificationResource returns the encrypted resource. The caller holds mu.
func (s *Server) notificationResource(n Notification) (sealedResource, error) {
	receiver := s.first
	if n.MchID != "" {
		if receiver = s.findMerchant(n.MchID); receiver == nil {
			return sealedResource{}, fmt.Errorf("unknown merchant %q", n.MchID)
		}
	}
	if n.OutRefundNo == "" {
		sealed := receiver.seal("complaint", encode(complaintResource{n.ComplaintID, n.ActionType}))
		sealed.OriginalType = "complaint"
		return sealed, nil
	}
	r := s.refunds[refundKey{receiver.mchid, n.OutRefundNo}]
	if n.MchID == "" {
		var err error
		if r, err = s.findRefund(n.OutRefundNo); err != nil {
			return sealedResource{}, err
		}
	}
	if r == nil {
		return sealedResource{}, fmt.Errorf("unknown refund %q of merchant %s", n.OutRefundNo, n.MchID)
	}
	sealed := r.caller.seal("refund", encode(r.resource()))
	sealed.OriginalType = "refund"
	return sealed, nil
}

// resource returns what notifications about the refund contain.
func (r *refund) resource() refundResource {
	t := r.wire
	resource := refundResource{
		MchID:               r.caller.mchid,
		TransactionID:       t.TransactionID,
		OutTradeNo:          t.OutTradeNo,
		RefundID:            t.RefundID,
		OutRefundNo:         t.OutRefundNo,
		RefundStatus:        t.Status,
		SuccessTime:         t.SuccessTime,
		UserReceivedAccount: t.UserReceivedAccount,
		Amount:              refundTotals{t.Amount.Total, t.Amount.Refund, t.Amount.PayerTotal, t.Amount.PayerRefund},
	}
	if r.subMchID != "" {
		resource.MchID, resource.SpMchID, resource.SubMchID = "", r.caller.mchid, r.subMchID
	}
	return resource
}

// Notify sends a notification to url now, once, and returns the receiver's
// response. Its body, at most 1 MiB, is already read and need not be closed. The
// receiver must respond within 5 s. Notify does not follow redirects.
func (s *Server) Notify(ctx context.Context, url string, n Notification) (*http.Response, error) {
	resp, err := s.send(ctx, url, n)
	if err != nil {
		return nil, fmt.Errorf("wechatpaytest: Notify: %w", err)
	}
	return resp, nil
}

func (s *Server) send(ctx context.Context, url string, n Notification) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, notifyTimeout)
	defer cancel()
	req, err := s.newNotification(ctx, url, n)
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
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	resp.Body = newBody(body)
	return resp, nil
}

// The transports keep no connections, so that a delivery leaves none behind.
var (
	anyHost  http.RoundTripper = &http.Transport{DisableKeepAlives: true}
	loopback http.RoundTripper = &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
	}
)

func isLoopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// PendingNotifications returns the notifications that are not yet delivered,
// sorted by Due. They come from events while the merchant has a notification
// URL, and from refunds with a notify_url.
func (s *Server) PendingNotifications() []PendingNotification {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []PendingNotification
	for _, p := range s.deliveries.queue {
		all = append(all, p.PendingNotification)
	}
	slices.SortStableFunc(all, func(a, b PendingNotification) int { return a.Due.Compare(b.Due) })
	return all
}

// DeliverDue sends the notifications that are due on the server's clock, one
// after the other, and returns the results. It skips those that another
// goroutine is delivering.
//
// If the receiver does not respond with 200 or 204 within 5 s, the notification
// becomes due again: 10 times after 60 s, then every 300 s, until 2 hours after
// the event.
func (s *Server) DeliverDue(ctx context.Context) []Delivery {
	var done []Delivery
	for _, p := range s.claimDue() {
		s.mu.Lock()
		p.inProgress = ctx.Err() == nil && slices.Contains(s.deliveries.queue, p) // not removed by Reset
		send := p.inProgress
		s.mu.Unlock()
		if !send {
			continue
		}
		d := Delivery{Notification: p.Notification, URL: p.URL, Attempt: p.Attempts + 1}
		resp, err := s.deliver(ctx, d.URL, d.Notification)
		if err != nil {
			d.Err = fmt.Errorf("wechatpaytest: DeliverDue: %w", err)
		} else {
			body, _ := io.ReadAll(resp.Body) // already in memory
			d.StatusCode, d.Body = resp.StatusCode, string(body)
		}
		done = append(done, d)
		s.finish(p, d)
	}
	return done
}

// claimDue marks the notifications that are due as in progress and returns them.
func (s *Server) claimDue() []*queuedNotification {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []*queuedNotification
	for _, p := range s.deliveries.queue {
		if !p.inProgress && !p.Due.After(now) {
			p.inProgress = true
			due = append(due, p)
		}
	}
	slices.SortStableFunc(due, func(a, b *queuedNotification) int { return a.Due.Compare(b.Due) })
	return due
}

// finish removes a delivered notification from the queue, or schedules a retry.
func (s *Server) finish(p *queuedNotification, d Delivery) {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	p.inProgress = false
	p.Attempts = d.Attempt
	p.Due = now.Add(retryDelay(p.Attempts))
	acknowledged := d.StatusCode == http.StatusOK || d.StatusCode == http.StatusNoContent
	if acknowledged || p.Due.Sub(p.Notification.CreateTime) > retryPeriod {
		s.deliveries.queue = slices.DeleteFunc(s.deliveries.queue, func(q *queuedNotification) bool { return q == p })
	}
}

// deliver is send for a URL that must be on loopback, unless the test has set a
// transport.
func (s *Server) deliver(ctx context.Context, to string, n Notification) (*http.Response, error) {
	u, err := url.Parse(to)
	if err != nil {
		return nil, err
	}
	if s.behavior.Load().NotifyTransport == nil && !isLoopback(u) {
		return nil, fmt.Errorf("%s is not on loopback; set Behavior.NotifyTransport to send to it", to)
	}
	return s.send(ctx, to, n)
}

// pollInterval is how often the loop checks a clock that the test may advance.
const pollInterval = 20 * time.Millisecond

// wakeDelivery starts the delivery loop if AutoNotify is set, or wakes it after a
// change.
func (s *Server) wakeDelivery() {
	q := &s.deliveries
	if !s.behavior.Load().AutoNotify {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return
	}
	if !q.running {
		q.running = true
		ctx, cancel := context.WithCancel(context.Background())
		q.cancel = cancel
		q.loop.Add(1)
		go s.deliverLoop(ctx)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (s *Server) deliverLoop(ctx context.Context) {
	defer s.deliveries.loop.Done()
	for ctx.Err() == nil {
		var poll <-chan time.Time
		if s.behavior.Load().AutoNotify {
			s.DeliverDue(ctx)
			s.mu.Lock()
			waiting := len(s.deliveries.queue) > 0
			s.mu.Unlock()
			if waiting {
				poll = time.After(pollInterval)
			}
		}
		select {
		case <-ctx.Done():
		case <-s.deliveries.wake:
		case <-poll:
		}
	}
}

// stop stops the loop and cancels a delivery in progress.
func (q *deliveryQueue) stop() {
	q.mu.Lock()
	q.stopped = true
	if q.cancel != nil {
		q.cancel()
	}
	q.mu.Unlock()
	q.loop.Wait()
}
