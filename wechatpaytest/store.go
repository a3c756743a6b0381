package wechatpaytest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// A complaint is a complaint with its history.
type complaint struct {
	wire      wireComplaint // payer_phone as given
	filed     time.Time
	lastFiled time.Time
	added     time.Time         // to the server
	changed   int               // number of the last change, higher for a later one
	records   []record          // in the order in which they took effect
	decided   bool              // the merchant decided in this round
	approved  bool              // and approved
	orders    []*order          // of complaint_order_info
	numbered  int               // records, including those of a complaint that it replaced
	notified  int               // notifications, likewise
	replies   map[string]string // log_id by idempotent_id
	phones    map[string]string // encrypted payer_phone by serial number
}

type record struct {
	wireRecord
	at     time.Time // when it took effect
	images []string  // the media ids of its image_list
}

// wire returns the record, with image links valid from now.
func (r *record) wire(s *Server, now time.Time) wireRecord {
	t := r.wireRecord
	for _, id := range r.images {
		t.ImageList = append(t.ImageList, s.storageLink(id, now))
	}
	return t
}

// beijing is the time zone of the API.
var beijing = time.FixedZone("CST", 8*60*60)

// WeChat Pay sends times with and without milliseconds. Here, complaint_time has
// them.
func milliseconds(t time.Time) string { return t.In(beijing).Format("2006-01-02T15:04:05.000-07:00") }
func wholeSeconds(t time.Time) string { return t.In(beijing).Format(time.RFC3339) }

// AddComplaint files a complaint at its ComplaintTime, or now if that is zero.
//
// It fills in missing fields: among others ProblemType (REFUND),
// ComplaintedMchID (the server's merchant), one order, and its amount as
// ApplyRefundAmount. An empty but non-nil ComplaintOrderInfo means no order.
//
// Complaints with the same transaction_id, or out_trade_no alone, share the
// order and its refunds. AddComplaint takes missing fields of a known order
// from it, and updates it with the others.
//
// PayerPhone is plain text. Responses have it encrypted for the merchant
// certificate that signed the request. Base64 of a ciphertext stays as it is.
//
// A complaint with the same id is replaced. AddComplaint panics if the complaint
// has no valid wire form, for example because a text is too long.
func (s *Server) AddComplaint(c wechatpay.Complaint) {
	data, err := json.Marshal(c)
	if err != nil {
		panic("wechatpaytest: AddComplaint: " + err.Error())
	}
	noOrder := c.ComplaintOrderInfo != nil && len(c.ComplaintOrderInfo) == 0
	if _, err := s.addComplaint(data, noOrder, false); err != nil {
		panic("wechatpaytest: AddComplaint: " + err.Error())
	}
}

// AddComplaintJSON is AddComplaint for a complaint in wire form. It returns the
// complaint as filed. An unknown field, null, a wrong type or a text that is too
// long is an error. For captured complaints, set LenientComplaints of [Behavior].
func (s *Server) AddComplaintJSON(data []byte) (wechatpay.Complaint, error) {
	var c struct {
		Orders []json.RawMessage `json:"complaint_order_info"`
	}
	_ = json.Unmarshal(data, &c) // addComplaint returns the error
	noOrder := c.Orders != nil && len(c.Orders) == 0
	filed, err := s.addComplaint(data, noOrder, s.behavior.Load().LenientComplaints)
	if err != nil {
		return filed, fmt.Errorf("wechatpaytest: AddComplaintJSON: %w", err)
	}
	return filed, nil
}

func (s *Server) addComplaint(data []byte, noOrder, lenient bool) (wechatpay.Complaint, error) {
	var unknown map[string]any
	if lenient {
		data, unknown = lenientComplaint(data)
	}
	t, err := decodeComplaint(data)
	if err != nil {
		return wechatpay.Complaint{}, err
	}
	t.unknown = unknown
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := &complaint{wire: t, filed: now, added: now}
	if t.ComplaintTime != "" {
		cm.filed, _ = time.Parse(time.RFC3339, t.ComplaintTime) // valid by the schema
	}
	cm.lastFiled = cm.filed
	s.setComplaintDefaults(cm, noOrder)
	s.insert(cm)
	cm.linkOrders(s)
	if cm.fullyReceived() { // refunded before it was filed
		cm.wire.ComplaintFullRefunded = true
	}

	created := wireRecord{
		Operator:       operatorUser,
		OperateType:    "USER_CREATE_COMPLAINT",
		OperateDetails: cm.wire.ComplaintDetail,
		OperateTime:    wholeSeconds(cm.filed),
	}
	if media := cm.wire.ComplaintMediaList; len(media) > 0 {
		created.ComplaintMediaList = encode(media[0])
	}
	at := cm.filed
	if at.After(now) {
		at = now
	}
	s.addRecord(cm, at, created)
	s.notifyComplaint(cm, now, "CREATE_COMPLAINT", false)
	return s.sdkComplaint(cm), nil
}

// setComplaintDefaults fills in missing fields. The caller holds mu.
func (s *Server) setComplaintDefaults(cm *complaint, noOrder bool) {
	t := &cm.wire
	t.ComplaintTime = milliseconds(cm.filed)
	if t.ComplaintID == "" { // contains the date like the documents' sample
		date := cm.filed.In(beijing).Format("20060102")
		t.ComplaintID = "200201" + date + s.digits(13, "complaint", s.number("complaint"))
	}
	setDefault(&t.ComplaintDetail, "商品未收到，申请退款")
	setDefault(&t.ComplaintState, "PENDING")
	setDefault(&t.ComplaintedMchID, s.first.mchid)
	setDefault(&t.ProblemDescription, "商家未发货")
	setDefault(&t.ProblemType, "REFUND")
	if t.UserComplaintTimes == 0 {
		t.UserComplaintTimes = 1
	}
	if len(t.ComplaintOrderInfo) == 0 && len(t.ServiceOrderInfo) == 0 && !noOrder {
		t.ComplaintOrderInfo = []wireOrder{{}}
	}
	var sum int64
	for i := range t.ComplaintOrderInfo {
		s.setOrderDefaults(t, i)
		sum += t.ComplaintOrderInfo[i].Amount
	}
	if t.ApplyRefundAmount != nil && *t.ApplyRefundAmount == 0 {
		t.ApplyRefundAmount = nil // the SDK's model cannot distinguish 0 from absent
	}
	if t.ApplyRefundAmount == nil && t.ProblemType == "REFUND" && sum > 0 {
		t.ApplyRefundAmount = &sum
	}
	if len(t.ServiceOrderInfo) == 0 {
		setDefault(&t.PayerOpenID, "o"+s.digits(27, "openid", t.ComplaintID))
	}
}

// setOrderDefaults fills in missing fields of order i, from the order if it is
// known. The caller holds mu.
func (s *Server) setOrderDefaults(t *wireComplaint, i int) {
	o := &t.ComplaintOrderInfo[i]
	if known := s.orders.find(t.ComplaintedMchID, o.TransactionID, o.OutTradeNo); known != nil {
		setDefault(&o.TransactionID, known.TransactionID)
		setDefault(&o.OutTradeNo, known.OutTradeNo)
		if o.Amount == 0 {
			o.Amount = known.Amount
		}
	}
	setDefault(&o.TransactionID, "42000"+s.digits(23, "transaction", t.ComplaintID, i))
	setDefault(&o.OutTradeNo, "order-"+s.digits(20, "trade", t.ComplaintID, i))
	if o.Amount == 0 {
		o.Amount = 100
		if t.ApplyRefundAmount != nil && i == 0 { // which cannot exceed the order amount
			o.Amount = max(o.Amount, *t.ApplyRefundAmount)
		}
	}
}

// insert adds a complaint, and replaces one with the same id. The caller holds
// mu.
func (s *Server) insert(cm *complaint) {
	id := cm.wire.ComplaintID
	if old := s.complaints[id]; old != nil {
		cm.numbered, cm.notified = old.numbered, old.notified
		old.unlinkOrders()
		s.filed = slices.DeleteFunc(s.filed, func(other *complaint) bool { return other == old })
	}
	s.complaints[id] = cm
	i, _ := slices.BinarySearchFunc(s.filed, cm, func(a, b *complaint) int {
		if order := a.filed.Compare(b.filed); order != 0 {
			return order
		}
		return -1 // after those of the same time
	})
	s.filed = slices.Insert(s.filed, i, cm)
}

// maxPhoneBytes is what RSA-OAEP with SHA-1 and a key of 2048 bits can encrypt.
const maxPhoneBytes = 214

// decodeComplaint decodes and checks a complaint in wire form.
func decodeComplaint(data []byte) (t wireComplaint, err error) {
	if err := decodeWire(data, &t); err != nil {
		return t, err
	}
	if n := len(t.PayerPhone); n > maxPhoneBytes && !isCiphertext(t.PayerPhone) {
		return t, fmt.Errorf("/payer_phone: must have at most %d bytes to be encrypted, got %d", maxPhoneBytes, n)
	}
	return t, nil
}

// lenientComplaint removes null and unknown members from a complaint in wire
// form, and returns the unknown ones that are not nested. It leaves the errors
// to decodeComplaint.
func lenientComplaint(data []byte) (known []byte, unknown map[string]any) {
	object, invalid := parseJSON(data)
	if invalid != nil {
		return data, nil
	}
	unknown = schemaOf[wireComplaint]().prune(object)
	return encode(object), unknown
}

// decodeWire decodes and checks a wire form.
func decodeWire[T any](data []byte, into *T) error {
	if apiErr := decodeJSON(schemaOf[T](), data, into); apiErr != nil {
		return errors.New(apiErr.message)
	}
	return nil
}

// isCiphertext reports whether a phone number is already encrypted.
func isCiphertext(phone string) bool {
	raw, err := base64.StdEncoding.DecodeString(phone)
	return err == nil && len(raw) >= 128
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// The operators of records. On the wire they are free text.
const (
	operatorUser     = "投诉人"
	operatorMerchant = "商户"
	operatorPlatform = "平台客服"
	operatorSystem   = "系统"
)

// addRecord adds a record, with the media ids of its image_list, and returns its
// log_id. The caller holds mu.
func (s *Server) addRecord(cm *complaint, at time.Time, r wireRecord, images ...string) string {
	cm.numbered++
	setDefault(&r.LogID, s.digits(32, "record", s.resets, cm.wire.ComplaintID, cm.numbered))
	setDefault(&r.OperateTime, wholeSeconds(at))
	cm.records = append(cm.records, record{r, at, images})
	cm.changed = s.number("change")
	return r.LogID
}

// sdkComplaint converts a complaint to the SDK's type. The caller holds mu.
func (s *Server) sdkComplaint(cm *complaint) wechatpay.Complaint {
	var c wechatpay.Complaint
	if err := json.Unmarshal(encode(s.detail(cm, s.first.cert)), &c); err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	return c
}

// detail returns the complaint as the detail endpoint does, with the phone number
// encrypted for a merchant certificate. The caller holds mu.
func (s *Server) detail(cm *complaint, cert *merchantCert) wireComplaint {
	t := cm.wire
	phone := t.PayerPhone
	if phone == "" || isCiphertext(phone) {
		return t
	}
	if cm.phones[cert.serial] == "" {
		ciphertext, err := encrypt(&cert.key.PublicKey, phone)
		if err != nil {
			panic("wechatpaytest: encrypt payer_phone: " + err.Error())
		}
		if cm.phones == nil {
			cm.phones = map[string]string{}
		}
		cm.phones[cert.serial] = ciphertext
	}
	t.PayerPhone = cm.phones[cert.serial]
	return t
}

// Complaint returns the current detail of a complaint, and whether it exists.
// PayerPhone is encrypted for the newest merchant certificate.
func (s *Server) Complaint(id string) (wechatpay.Complaint, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := s.complaints[id]
	if cm == nil {
		return wechatpay.Complaint{}, false
	}
	return s.sdkComplaint(cm), true
}

// Complaints returns the current detail of all complaints, sorted by
// ComplaintTime. Those with the same time are in the order in which they were
// added. PayerPhone is encrypted for the newest merchant certificate.
func (s *Server) Complaints() []wechatpay.Complaint {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]wechatpay.Complaint, len(s.filed))
	for i, cm := range s.filed {
		all[i] = s.sdkComplaint(cm)
	}
	return all
}

// History returns everything that took effect on a complaint, in order. It starts
// with USER_CREATE_COMPLAINT and ignores [Behavior.HistoryLag]. It returns nil if
// the complaint does not exist.
func (s *Server) History(id string) []wechatpay.NegotiationRecord {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := s.complaints[id]
	if cm == nil {
		return nil
	}
	all := make([]wechatpay.NegotiationRecord, len(cm.records))
	for i := range cm.records {
		if err := json.Unmarshal(encode(cm.records[i].wire(s, now)), &all[i]); err != nil {
			panic("wechatpaytest: " + err.Error())
		}
	}
	return all
}

// update calls change with a complaint, under the lock. It adds the name of the
// method to the error.
func (s *Server) update(method, id string, change func(cm *complaint, now time.Time) error) error {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := s.complaints[id]
	err := fmt.Errorf("unknown complaint %q", id)
	if cm != nil {
		err = change(cm, now)
	}
	if err != nil {
		return fmt.Errorf("wechatpaytest: %s: %w", method, err)
	}
	return nil
}

// ChangeComplaint edits a complaint without adding a record. PayerPhone is plain
// text, as passed to AddComplaint. ComplaintID and ComplaintTime cannot change.
// The result must have a valid wire form. edit runs under the server's lock and
// must not call its methods.
func (s *Server) ChangeComplaint(id string, edit func(*wechatpay.Complaint)) error {
	return s.update("ChangeComplaint", id, func(cm *complaint, _ time.Time) error {
		var c wechatpay.Complaint
		// The SDK's model must have all fields, or the edit would lose some.
		known := cm.wire
		known.unknown = nil
		dec := json.NewDecoder(bytes.NewReader(encode(known)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&c); err != nil {
			return err
		}
		edit(&c)
		data, err := json.Marshal(c)
		if err != nil {
			return err
		}
		t, err := decodeComplaint(data)
		if err != nil {
			return err
		}
		return s.replace(cm, t)
	})
}

// replace sets the wire form of an existing complaint. The caller holds mu.
func (s *Server) replace(cm *complaint, t wireComplaint) error {
	newTime, _ := time.Parse(time.RFC3339, t.ComplaintTime) // valid by the schema
	oldTime, _ := time.Parse(time.RFC3339, cm.wire.ComplaintTime)
	switch {
	case t.ComplaintID != cm.wire.ComplaintID:
		return errors.New("complaint_id cannot change")
	case !newTime.Equal(oldTime):
		return errors.New("complaint_time cannot change")
	case t.ComplaintState == "", t.ComplaintedMchID == "", t.UserComplaintTimes < 1:
		return errors.New("complaint_state, complainted_mchid and user_complaint_times are required")
	}
	for _, o := range t.ComplaintOrderInfo {
		if o.TransactionID == "" || o.OutTradeNo == "" || o.Amount < 1 {
			return errors.New("transaction_id, out_trade_no and amount of an order are required")
		}
	}
	t.ComplaintTime, t.unknown = cm.wire.ComplaintTime, cm.wire.unknown
	cm.wire, cm.phones = t, nil
	cm.changed = s.number("change")
	cm.linkOrders(s)
	return nil
}

// AddRecord adds a record to the history of a complaint and changes nothing
// else. A missing LogID, Operator or OperateTime is filled in.
func (s *Server) AddRecord(id string, r wechatpay.NegotiationRecord) error {
	return s.update("AddRecord", id, func(cm *complaint, now time.Time) error {
		t, err := encodeRecord(r)
		if err != nil {
			return err
		}
		setDefault(&t.Operator, operatorSystem)
		s.addRecord(cm, now, t)
		return nil
	})
}

// encodeRecord converts a record to its wire form and checks it.
func encodeRecord(r wechatpay.NegotiationRecord) (t wireRecord, err error) {
	data, err := json.Marshal(r)
	if err != nil {
		return t, err
	}
	err = decodeWire(data, &t)
	return t, err
}
