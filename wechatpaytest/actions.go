package wechatpaytest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// say writes a record that a test chose the words of, with its notification, if
// WeChat Pay could send it. The caller holds mu.
func (s *Server) appendAndNotify(cm *complaint, now time.Time, r wireRecord, actionType string, images ...string) error {
	if _, err := decodeRecord(encode(r)); err != nil {
		return fmt.Errorf("wechatpaytest: %w", err)
	}
	s.append(cm, now, r, images...)
	s.enqueueComplaint(cm, now, "COMPLAINT.STATE_CHANGE", actionType, false)
	return nil
}

// UserReplies writes a message of the user, which then waits for a reply. The
// images are media_urls that AddImage returned.
func (s *Server) UserReplies(id, text string, mediaURLs ...string) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		r := wireRecord{Operator: operatorUser, OperateType: "USER_RESPONSE", OperateDetails: text}
		if len(mediaURLs) > 0 {
			r.ComplaintMediaList = encode(wireMedia{"OPERATION_IMAGE", mediaURLs})
			if apiErr := decodeJSON(schemaOf[wireMedia](), r.ComplaintMediaList, new(wireMedia)); apiErr != nil {
				return fmt.Errorf("wechatpaytest: %s", apiErr.message)
			}
		}
		if err := s.appendAndNotify(cm, now, r, "USER_RESPONSE"); err != nil {
			return err
		}
		cm.wire.IncomingUserResponse = true
		return nil
	})
}

// UserClicks lets the user tap something in a message of the merchant, which
// writes a message of the user's, and then waits for a reply.
func (s *Server) UserClicks(id string, click wechatpay.ClickMessage) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		data, err := json.Marshal(wechatpay.NegotiationRecord{Operator: operatorUser, OperateType: "USER_CLICK_RESPONSE", ClickMessage: click})
		if err != nil {
			return fmt.Errorf("wechatpaytest: UserClicks: %w", err)
		}
		r, err := decodeRecord(data)
		if err != nil {
			return fmt.Errorf("wechatpaytest: UserClicks: %w", err)
		}
		if err := s.appendAndNotify(cm, now, r, "USER_RESPONSE"); err != nil {
			return err
		}
		cm.wire.IncomingUserResponse = true
		return nil
	})
}

// UserAsksPlatform lets the user ask WeChat Pay's staff for help: from then on
// they assist.
func (s *Server) UserAsksPlatform(id, reason, description string) error {
	return s.platformService(id, true, wireRecord{Operator: operatorUser, OperateType: "USER_APPLY_PLATFORM_SERVICE", HelpReason: reason, HelpDescription: description})
}

// UserCancelsPlatform lets the user give up the help that he asked for.
func (s *Server) UserCancelsPlatform(id string) error {
	return s.platformService(id, false, wireRecord{Operator: operatorUser, OperateType: "USER_CANCEL_PLATFORM_SERVICE"})
}

// PlatformFinishes lets WeChat Pay's staff end their help.
func (s *Server) PlatformFinishes(id string) error {
	return s.platformService(id, false, wireRecord{Operator: operatorPlatform, OperateType: "PLATFORM_SERVICE_FINISHED"})
}

// platformService lets the staff's help begin or end.
func (s *Server) platformService(id string, begins bool, r wireRecord) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		if assisted := cm.wire.InPlatformService != nil && *cm.wire.InPlatformService; assisted == begins {
			return fmt.Errorf("wechatpaytest: in_platform_service of complaint %s is %t already", id, begins)
		}
		if err := s.appendAndNotify(cm, now, r, r.OperateType); err != nil {
			return err
		}
		cm.wire.InPlatformService = &begins
		return nil
	})
}

// PlatformReplies writes a message of WeChat Pay's staff. The images are
// media_urls that AddImage returned; image_list has plain links to them.
func (s *Server) PlatformReplies(id, text string, mediaURLs ...string) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		var images []string
		for _, mediaURL := range mediaURLs {
			escaped, _ := strings.CutPrefix(mediaURL, s.URL+strings.TrimSuffix(imagePattern, "{media_id}"))
			image, err := url.PathUnescape(escaped)
			if m := s.media[image]; err != nil || m == nil || m.uploaded {
				return fmt.Errorf("wechatpaytest: AddImage returned no media_url %q", mediaURL)
			}
			images = append(images, image)
		}
		if len(images) > 4 {
			return fmt.Errorf("wechatpaytest: image_list has %d images, and may have 4", len(images))
		}
		return s.appendAndNotify(cm, now, wireRecord{Operator: operatorPlatform, OperateType: "PLATFORM_RESPONSE", OperateDetails: text}, "RESPONSE_BY_PLATFORM", images...)
	})
}

// MerchantDecides decides on the refund request as a colleague does on the
// merchant's website: what endpoint 7 refuses for its state is an error here,
// and once it is done endpoint 7 refuses a second decision. A reason goes with
// [wechatpay.RefundReject] only.
func (s *Server) MerchantDecides(id string, action wechatpay.RefundAction, reason string) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		b := struct {
			Action       wechatpay.RefundAction `json:"action"`
			RejectReason string                 `json:"reject_reason,omitempty"`
		}{action, reason}
		var decision decisionBody
		apiErr := decodeJSON(schemaOf[decisionBody](), encode(b), &decision)
		if apiErr == nil {
			apiErr = decision.check(nil)
		}
		switch why := cm.decisionBlocker(); {
		case apiErr != nil:
			return fmt.Errorf("wechatpaytest: %s", apiErr.message)
		case cm.wire.ProblemType != "REFUND":
			return fmt.Errorf("wechatpaytest: complaint %s is no refund request: its problem_type is %q", id, cm.wire.ProblemType)
		case why != "":
			return fmt.Errorf("wechatpaytest: complaint %s cannot be decided on: %s", id, why)
		}
		s.decide(cm, now, action == wechatpay.RefundApprove, reason)
		return nil
	})
}

// UserContinues lets the user file a finished complaint again: it is PENDING,
// and a new decision is due.
func (s *Server) UserContinues(id string) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		if cm.wire.ComplaintState != "PROCESSED" {
			return fmt.Errorf("wechatpaytest: complaint %s is %s, and the user can file it again once it is PROCESSED", id, cm.wire.ComplaintState)
		}
		cm.wire.ComplaintState = "PENDING"
		cm.wire.UserComplaintTimes++
		cm.decided, cm.approved = false, false
		s.append(cm, now, wireRecord{Operator: operatorUser, OperateType: "USER_CONTINUE_COMPLAINT", OperateDetails: cm.wire.ComplaintDetail})
		s.enqueueComplaint(cm, now, "COMPLAINT.STATE_CHANGE", "CONTINUE_COMPLAINT", false)
		return nil
	})
}

// PlatformRefunds lets WeChat Pay refund the complaint in full by itself, at
// the merchant's cost, as it does with overdue ones. The complaint is
// PROCESSED; others about the same order learn of the refund as they do when a
// merchant's arrives. What endpoint 15 lets a merchant refund does not change:
// one who does not look first pays the user twice.
func (s *Server) PlatformRefunds(id string) error {
	return s.change(id, func(cm *complaint, now time.Time) error {
		if cm.wire.ComplaintFullRefunded {
			return fmt.Errorf("wechatpaytest: complaint %s is refunded in full already", id)
		}
		concerned := []*complaint{cm}
		for _, o := range cm.orders {
			o.received = o.Amount
			for _, other := range o.complaints {
				if !slices.Contains(concerned, other) {
					concerned = append(concerned, other)
				}
			}
		}
		s.refundArrived(concerned, now, "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE")
		cm.wire.ComplaintFullRefunded = true
		cm.wire.ComplaintState = "PROCESSED"
		return nil
	})
}
