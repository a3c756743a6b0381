package wechatpaytest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// Complaints returns all complaints as the detail gives them at present, in the
// order in which the user filed them: by ComplaintTime, and those of the same
// time as they were added. PayerPhone is encrypted for the newest merchant
// certificate.
func (s *Server) Complaints() []wechatpay.Complaint {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]wechatpay.Complaint, len(s.filed))
	for i, cm := range s.filed {
		all[i] = s.complaint(cm)
	}
	return all
}

// dossier is a complaint with everything that happened to it.
type complaint struct {
	wire     wireComplaint // payer_phone as it was given
	filed    time.Time
	records  []record          // in the order in which they took effect
	decided  bool              // the merchant decided in this round
	approved bool              // and approved
	orders   []*order          // of complaint_order_info
	replies  map[string]string // log_id by idempotent_id
	phones   map[string]string // payer_phone encrypted, by serial number
}

type record struct {
	wireRecord
	at     time.Time // when it took effect
	images []string  // the media ids of its image_list
}

// table is the record as an answer gives it at the time.
func (r *record) wire(s *Server, now time.Time) wireRecord {
	t := r.wireRecord
	for _, id := range r.images {
		t.ImageList = append(t.ImageList, s.storageLink(id, now))
	}
	return t
}

// beijing is the time zone of the wire. It has had no daylight saving time since 1991.
var beijing = time.FixedZone("CST", 8*60*60)

// Both forms of times occur on the wire. Complaints have milliseconds here,
// everything else whole seconds.
func milliseconds(t time.Time) string { return t.In(beijing).Format("2006-01-02T15:04:05.000-07:00") }

func wholeSeconds(t time.Time) string { return t.In(beijing).Format(time.RFC3339) }

// AddComplaint files a complaint, at its ComplaintTime, or now if that is zero.
// Fields that are left out and that WeChat Pay always gives are filled in. So
// are ProblemType, as REFUND; ComplaintedMchID, as the server's merchant; and
// one order, with its amount as ApplyRefundAmount (a list that is empty, but
// not nil, means none).
//
// Complaints that name the same order, by transaction_id or by out_trade_no
// alone, have it in common, with what was refunded of it. What a complaint
// leaves out of an order that is known is filled in from it; what it says holds
// from then on.
//
// PayerPhone is the user's number in clear: answers give it encrypted for the
// merchant certificate that signed the request. Base64 of a ciphertext passes
// as it is.
//
// A complaint with an id that is there already takes its place. AddComplaint
// panics if c has no wire form that WeChat Pay could send, such as a text that
// is too long.
func (s *Server) AddComplaint(c wechatpay.Complaint) {
	data, err := json.Marshal(c)
	if err != nil {
		panic("wechatpaytest: AddComplaint: " + err.Error())
	}
	noOrder := c.ComplaintOrderInfo != nil && len(c.ComplaintOrderInfo) == 0
	if _, err := s.addComplaint(data, noOrder); err != nil {
		panic("wechatpaytest: AddComplaint: " + err.Error())
	}
}

// AddComplaintJSON is AddComplaint for a complaint in wire form. It returns the
// complaint as it was filed, or what WeChat Pay could not send: an unknown
// field, a wrong type, a text that is too long.
func (s *Server) AddComplaintJSON(data []byte) (wechatpay.Complaint, error) {
	var probe struct {
		Orders []json.RawMessage `json:"complaint_order_info"`
	}
	_ = json.Unmarshal(data, &probe) // addComplaint says what is wrong
	return s.addComplaint(data, probe.Orders != nil && len(probe.Orders) == 0)
}

func (s *Server) addComplaint(data []byte, noOrder bool) (wechatpay.Complaint, error) {
	cm := &complaint{}
	var err error
	if cm.wire, err = decodeComplaint(data); err != nil {
		return wechatpay.Complaint{}, err
	}
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &cm.wire
	cm.filed = now
	if t.ComplaintTime != "" {
		cm.filed, _ = time.Parse(time.RFC3339, t.ComplaintTime) // the schema let it through
	}
	t.ComplaintTime = milliseconds(cm.filed)
	if t.ComplaintID == "" {
		// The day stands where it stands in the documents' sample.
		t.ComplaintID = "200201" + cm.filed.In(beijing).Format("20060102") + s.digits(13, "complaint", s.number("complaint"))
	}
	setDefault(&t.ComplaintDetail, "商品未收到，申请退款")
	setDefault(&t.ComplaintState, "PENDING")
	setDefault(&t.ComplaintedMchID, s.mchid)
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
		o := &t.ComplaintOrderInfo[i]
		// What is left out of an order that is known is as it is known.
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
			// What the user applies for is not more than the order.
			if t.ApplyRefundAmount != nil && i == 0 {
				o.Amount = max(o.Amount, *t.ApplyRefundAmount)
			}
		}
		sum += o.Amount
	}
	if t.ApplyRefundAmount != nil && *t.ApplyRefundAmount == 0 {
		t.ApplyRefundAmount = nil // the SDK's model does not tell 0 from nothing
	}
	if t.ApplyRefundAmount == nil && t.ProblemType == "REFUND" && sum > 0 {
		t.ApplyRefundAmount = &sum
	}
	if len(t.ServiceOrderInfo) == 0 {
		setDefault(&t.PayerOpenID, "o"+s.digits(27, "openid", t.ComplaintID))
	}

	if earlier := s.complaints[t.ComplaintID]; earlier != nil {
		earlier.unlink()
		s.filed = slices.DeleteFunc(s.filed, func(cm *complaint) bool { return cm == earlier })
	}
	s.complaints[t.ComplaintID] = cm
	i, _ := slices.BinarySearchFunc(s.filed, cm, func(a, b *complaint) int {
		if c := a.filed.Compare(b.filed); c != 0 {
			return c
		}
		return -1 // of equals, the later filed stays the later
	})
	s.filed = slices.Insert(s.filed, i, cm)
	cm.link(s)
	if cm.fullyReceived() {
		t.ComplaintFullRefunded = true // before it was filed
	}
	created := wireRecord{Operator: operatorUser, OperateType: "USER_CREATE_COMPLAINT", OperateDetails: t.ComplaintDetail, OperateTime: wholeSeconds(cm.filed)}
	if len(t.ComplaintMediaList) > 0 {
		created.ComplaintMediaList = encode(t.ComplaintMediaList[0])
	}
	// It took effect when it was filed, which may be long before the test, or after it.
	at := cm.filed
	if at.After(now) {
		at = now
	}
	s.append(cm, at, created)
	s.enqueueComplaint(cm, now, "COMPLAINT.CREATE", "CREATE_COMPLAINT", false)
	return s.complaint(cm), nil
}

// maxPhone is what RSA-OAEP with SHA-1 and a key of 2048 bits can encrypt, in bytes.
const maxPhoneBytes = 214

// decodeComplaint takes a complaint in wire form, its phone number in clear or encrypted.
func decodeComplaint(data []byte) (t wireComplaint, err error) {
	if apiErr := decodeJSON(schemaOf[wireComplaint](), data, &t); apiErr != nil {
		return t, fmt.Errorf("%s", apiErr.message)
	}
	if n := len(t.PayerPhone); n > maxPhoneBytes && !isCiphertext(t.PayerPhone) {
		return t, fmt.Errorf("/payer_phone has %d bytes in clear, and at most %d can be encrypted", n, maxPhoneBytes)
	}
	return t, nil
}

// isCiphertext tells a phone number that is encrypted already.
func isCiphertext(phone string) bool {
	raw, err := base64.StdEncoding.DecodeString(phone)
	return err == nil && len(raw) >= 128
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

// The operators of records: free Chinese text.
const (
	operatorUser     = "投诉人"
	operatorMerchant = "商户"
	operatorPlatform = "平台客服"
	operatorSystem   = "系统"
)

// append writes a record, with the media ids of its image_list. The caller
// holds mu.
func (s *Server) append(cm *complaint, at time.Time, r wireRecord, images ...string) string {
	setDefault(&r.LogID, s.digits(32, "record", cm.wire.ComplaintID, s.number("record of "+cm.wire.ComplaintID)))
	setDefault(&r.OperateTime, wholeSeconds(at))
	cm.records = append(cm.records, record{r, at, images})
	return r.LogID
}

// convert takes a wire form to a type of the SDK, or back. Unknown names are an
// error: then the tables of the two are not the same.
func convert(from, to any) error {
	dec := json.NewDecoder(bytes.NewReader(encode(from)))
	dec.DisallowUnknownFields()
	return dec.Decode(to)
}

// complaint returns the SDK's form of a complaint. The caller holds mu.
func (s *Server) complaint(cm *complaint) wechatpay.Complaint {
	var c wechatpay.Complaint
	if err := json.Unmarshal(encode(s.detail(cm, s.merchant)), &c); err != nil {
		panic("wechatpaytest: " + err.Error())
	}
	return c
}

// answerTable is a complaint as the detail gives it, with the phone number
// encrypted for a merchant certificate. The caller holds mu.
func (s *Server) detail(cm *complaint, m *merchant) wireComplaint {
	t := cm.wire
	phone := t.PayerPhone
	if phone == "" || isCiphertext(phone) {
		return t
	}
	if cm.phones[m.serial] == "" {
		ciphertext, err := encrypt(&m.key.PublicKey, phone)
		if err != nil {
			panic("wechatpaytest: payer_phone: " + err.Error())
		}
		if cm.phones == nil {
			cm.phones = map[string]string{}
		}
		cm.phones[m.serial] = ciphertext
	}
	t.PayerPhone = cm.phones[m.serial]
	return t
}

// Complaint returns the complaint as the detail gives it at present, and
// whether there is one of this id. PayerPhone is encrypted for the newest
// merchant certificate.
func (s *Server) Complaint(id string) (wechatpay.Complaint, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := s.complaints[id]
	if cm == nil {
		return wechatpay.Complaint{}, false
	}
	return s.complaint(cm), true
}

// History is the ledger of a complaint: what took effect, in order, and at
// once, whatever [Behavior.HistoryLag] keeps from the negotiation history. It
// begins with USER_CREATE_COMPLAINT, and is nil for an unknown id.
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

// change runs a test's step on a complaint.
func (s *Server) change(id string, step func(cm *complaint, now time.Time) error) error {
	now := s.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	cm := s.complaints[id]
	if cm == nil {
		return fmt.Errorf("wechatpaytest: there is no complaint %q", id)
	}
	return step(cm, now)
}

// ChangeComplaint changes a complaint as edit leaves it, without a record.
// PayerPhone is in clear, as AddComplaint got it. ComplaintID and ComplaintTime
// stay. edit must not call the server's methods: it runs under their lock.
func (s *Server) ChangeComplaint(id string, edit func(*wechatpay.Complaint)) error {
	return s.change(id, func(cm *complaint, _ time.Time) error {
		var c wechatpay.Complaint
		if err := convert(cm.wire, &c); err != nil {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
		}
		edit(&c)
		data, err := json.Marshal(c)
		if err != nil {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
		}
		t, err := decodeComplaint(data)
		if err != nil {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
		}
		return s.replace(cm, t)
	})
}

// ChangeComplaintJSON is ChangeComplaint for some fields in wire form; the
// others stay. It is an error if WeChat Pay could not send the complaint then.
func (s *Server) ChangeComplaintJSON(id string, data []byte) error {
	return s.change(id, func(cm *complaint, _ time.Time) error {
		if _, err := decodeComplaint(data); err != nil {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
		}
		members := map[string]json.RawMessage{}
		for _, object := range [][]byte{encode(cm.wire), data} {
			if err := json.Unmarshal(object, &members); err != nil {
				return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
			}
		}
		t, err := decodeComplaint(encode(members))
		if err != nil {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: %w", err)
		}
		return s.replace(cm, t)
	})
}

// become changes a complaint. The caller holds mu.
func (s *Server) replace(cm *complaint, t wireComplaint) error {
	filed, _ := time.Parse(time.RFC3339, t.ComplaintTime) // the schema let it through
	was, _ := time.Parse(time.RFC3339, cm.wire.ComplaintTime)
	switch {
	case t.ComplaintID != cm.wire.ComplaintID:
		return fmt.Errorf("wechatpaytest: ChangeComplaint cannot change the complaint_id")
	case !filed.Equal(was):
		return fmt.Errorf("wechatpaytest: ChangeComplaint cannot change the complaint_time")
	case t.ComplaintState == "", t.ComplaintedMchID == "", t.UserComplaintTimes < 1:
		return fmt.Errorf("wechatpaytest: ChangeComplaint: complaint_state, complainted_mchid and user_complaint_times are required")
	}
	for _, o := range t.ComplaintOrderInfo {
		if o.TransactionID == "" || o.OutTradeNo == "" || o.Amount < 1 {
			return fmt.Errorf("wechatpaytest: ChangeComplaint: an order has transaction_id, out_trade_no and amount, which are required")
		}
	}
	t.ComplaintTime = cm.wire.ComplaintTime
	cm.wire, cm.phones = t, nil
	cm.link(s)
	return nil
}

// AddRecord writes a record into the history of a complaint, with a LogID and
// the time if it has none. It changes nothing else.
func (s *Server) AddRecord(id string, r wechatpay.NegotiationRecord) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("wechatpaytest: AddRecord: %w", err)
		}
		t, err := decodeRecord(data)
		if err != nil {
			return fmt.Errorf("wechatpaytest: AddRecord: %w", err)
		}
		setDefault(&t.Operator, operatorSystem)
		s.append(cm, now, t)
		return nil
	})
}

// decodeRecord takes a record in wire form.
func decodeRecord(data []byte) (t wireRecord, err error) {
	if apiErr := decodeJSON(schemaOf[wireRecord](), data, &t); apiErr != nil {
		return t, fmt.Errorf("%s", apiErr.message)
	}
	return t, nil
}

// find returns the complaint of the path, if it is against the caller.
func (c *call) find() (*complaint, *apiError) {
	cm := c.s.complaints[c.id]
	if cm == nil {
		return nil, c.b.UnknownComplaint.errorf("there is no complaint %s", c.id)
	}
	if !c.owns(cm.wire.ComplaintedMchID) {
		return nil, noAuth.errorf("complaint %s is against merchant %s, not against the caller %s", c.id, cm.wire.ComplaintedMchID, c.s.mchid)
	}
	return cm, nil
}

// owns says whether complaints against a merchant are the caller's.
func (c *call) owns(mchid string) bool {
	return mchid == c.s.mchid || slices.Contains(c.b.SubMchIDs, mchid)
}

// replied is what any reply of the merchant does.
func (cm *complaint) markReplied() {
	if cm.wire.ComplaintState == "PENDING" {
		cm.wire.ComplaintState = "PROCESSING"
	}
	cm.wire.IncomingUserResponse = false
}

// undecidable says why a decision has no place in the state of the complaint,
// "" if it has.
func (cm *complaint) decisionBlocker() string {
	switch {
	case cm.decided:
		return "the refund request is decided already"
	case cm.wire.ComplaintFullRefunded:
		return "the order is refunded in full already"
	case cm.wire.ComplaintState == "PROCESSED":
		return "the complaint is finished"
	}
	return ""
}

// mediaProblem refuses media ids that no upload returned.
func (c *call) checkMediaIDs(pointer string, ids []string) *apiError {
	for i, id := range ids {
		if apiErr := c.checkMediaID(fmt.Sprintf("%s/%d", pointer, i), id); apiErr != nil {
			return apiErr
		}
	}
	return nil
}

func (c *call) checkMediaID(pointer, id string) *apiError {
	if m := c.s.media[id]; c.b.AnyMediaID && id != "" || m != nil && m.uploaded {
		return nil
	}
	return bodyError(pointer, id, "is no media_id that an upload returned")
}
