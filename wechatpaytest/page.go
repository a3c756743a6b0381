package wechatpaytest

import "github.com/wechatpay-complaints/wechatpay"

// Complaints returns all complaints as the detail gives them at present, in the
// order in which the user filed them: by ComplaintTime, and those of the same
// time as they were added. PayerPhone is encrypted for the newest merchant
// certificate.
func (s *Server) Complaints() []wechatpay.Complaint {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]wechatpay.Complaint, len(s.filed))
	for i, d := range s.filed {
		all[i] = s.complaint(d)
	}
	return all
}
