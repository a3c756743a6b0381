package wechatpaytest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
)

// addAction adds a record of the user or the staff, and notifies the merchant. It
// returns an error if the record has no valid wire form. The caller holds mu.
func (s *Server) addAction(cm *complaint, now time.Time, r wireRecord, actionType string, images ...string) error {
	if err := decodeWire(encode(r), new(wireRecord)); err != nil {
		return err
	}
	s.addRecord(cm, now, r, images...)
	s.notifyComplaint(cm, now, actionType, false)
	return nil
}

// addUserMessage is addAction for a message of the user, which waits for a
// reply. The caller holds mu.
func (s *Server) addUserMessage(cm *complaint, now time.Time, r wireRecord) error {
	if err := s.addAction(cm, now, r, "USER_RESPONSE"); err != nil {
		return err
	}
	cm.wire.IncomingUserResponse = true
	return nil
}

// UserReplies adds a message of the user, which then waits for a reply. Images
// are media_urls from AddImage.
func (s *Server) UserReplies(id, text string, mediaURLs ...string) error {
	return s.update("UserReplies", id, func(cm *complaint, now time.Time) error {
		r := wireRecord{Operator: operatorUser, OperateType: "USER_RESPONSE", OperateDetails: text}
		if len(mediaURLs) > 0 {
			r.ComplaintMediaList = encode(wireMedia{"OPERATION_IMAGE", mediaURLs})
			if err := decodeWire(r.ComplaintMediaList, new(wireMedia)); err != nil {
				return err
			}
		}
		return s.addUserMessage(cm, now, r)
	})
}

// UserClicks makes the user tap a button in a message of the merchant. The
// resulting message then waits for a reply.
func (s *Server) UserClicks(id string, click wechatpay.ClickMessage) error {
	return s.update("UserClicks", id, func(cm *complaint, now time.Time) error {
		r, err := encodeRecord(wechatpay.NegotiationRecord{
			Operator:     operatorUser,
			OperateType:  "USER_CLICK_RESPONSE",
			ClickMessage: click,
		})
		if err != nil {
			return err
		}
		return s.addUserMessage(cm, now, r)
	})
}

// UserAsksPlatform makes the user ask WeChat Pay's staff for help.
func (s *Server) UserAsksPlatform(id, reason, description string) error {
	return s.setPlatformService("UserAsksPlatform", id, true, wireRecord{
		Operator:        operatorUser,
		OperateType:     "USER_APPLY_PLATFORM_SERVICE",
		HelpReason:      reason,
		HelpDescription: description,
	})
}

// UserCancelsPlatform makes the user cancel the request for help.
func (s *Server) UserCancelsPlatform(id string) error {
	return s.setPlatformService("UserCancelsPlatform", id, false, wireRecord{
		Operator:    operatorUser,
		OperateType: "USER_CANCEL_PLATFORM_SERVICE",
	})
}

// PlatformFinishes makes WeChat Pay's staff end their help.
func (s *Server) PlatformFinishes(id string) error {
	return s.setPlatformService("PlatformFinishes", id, false, wireRecord{
		Operator:    operatorPlatform,
		OperateType: "PLATFORM_SERVICE_FINISHED",
	})
}

// setPlatformService starts or ends the staff's help.
func (s *Server) setPlatformService(method, id string, active bool, r wireRecord) error {
	return s.update(method, id, func(cm *complaint, now time.Time) error {
		if old := cm.wire.InPlatformService != nil && *cm.wire.InPlatformService; old == active {
			return fmt.Errorf("in_platform_service of complaint %s is already %t", id, active)
		}
		if err := s.addAction(cm, now, r, r.OperateType); err != nil {
			return err
		}
		cm.wire.InPlatformService = &active
		return nil
	})
}

// PlatformReplies adds a message of WeChat Pay's staff. Images, at most four, are
// media_urls from AddImage. The record has them as plain links in image_list.
func (s *Server) PlatformReplies(id, text string, mediaURLs ...string) error {
	return s.update("PlatformReplies", id, func(cm *complaint, now time.Time) error {
		var images []string
		for _, mediaURL := range mediaURLs {
			escaped, _ := strings.CutPrefix(mediaURL, s.URL+strings.TrimSuffix(imagePattern, "{media_id}"))
			image, err := url.PathUnescape(escaped)
			if m := s.media[image]; err != nil || m == nil || m.uploaded {
				return fmt.Errorf("unknown media_url %q", mediaURL)
			}
			images = append(images, image)
		}
		if len(images) > 4 {
			return fmt.Errorf("at most 4 images are allowed, got %d", len(images))
		}
		r := wireRecord{Operator: operatorPlatform, OperateType: "PLATFORM_RESPONSE", OperateDetails: text}
		return s.addAction(cm, now, r, "RESPONSE_BY_PLATFORM", images...)
	})
}

// MerchantDecides decides on the refund request, as a colleague does on the
// merchant's website. It fails if the state of the complaint allows no decision.
// A reason is only allowed with [wechatpay.RefundReject].
func (s *Server) MerchantDecides(id string, action wechatpay.RefundAction, reason string) error {
	return s.update("MerchantDecides", id, func(cm *complaint, now time.Time) error {
		b := struct {
			Action       wechatpay.RefundAction `json:"action"`
			RejectReason string                 `json:"reject_reason,omitempty"`
		}{action, reason}
		var decision decisionBody
		if err := decodeWire(encode(b), &decision); err != nil {
			return err
		}
		if apiErr := decision.check(nil); apiErr != nil {
			return errors.New(apiErr.message)
		}
		if cm.wire.ProblemType != "REFUND" {
			return fmt.Errorf("complaint %s is not a refund request: problem_type is %q", id, cm.wire.ProblemType)
		}
		if reason := cm.decisionBlocker(); reason != "" {
			return fmt.Errorf("complaint %s cannot be decided: %s", id, reason)
		}
		s.decide(cm, now, action == wechatpay.RefundApprove, reason)
		return nil
	})
}

// UserContinues makes the user file a finished complaint again. A new round
// begins: the complaint is PENDING, unless RefiledProcessing is set, and can be
// decided again.
func (s *Server) UserContinues(id string) error {
	return s.update("UserContinues", id, func(cm *complaint, now time.Time) error {
		t := &cm.wire
		if t.ComplaintState != "PROCESSED" {
			return fmt.Errorf("complaint %s must be PROCESSED to be filed again, got %s", id, t.ComplaintState)
		}
		t.ComplaintState = "PENDING"
		if s.behavior.Load().RefiledProcessing {
			t.ComplaintState = "PROCESSING"
		}
		t.UserComplaintTimes++
		cm.lastFiled = now
		cm.decided, cm.approved = false, false
		s.addRecord(cm, now, wireRecord{
			Operator:       operatorUser,
			OperateType:    "USER_CONTINUE_COMPLAINT",
			OperateDetails: t.ComplaintDetail,
		})
		s.notifyComplaint(cm, now, "CONTINUE_COMPLAINT", false)
		return nil
	})
}

// PlatformRefunds makes WeChat Pay refund the complaint in full at the merchant's
// cost, as it does with overdue ones. The complaint becomes PROCESSED. Other
// complaints about the same orders change as with a refund by the merchant.
//
// The merchant can still refund the orders: a client that does not check first
// pays the user twice.
func (s *Server) PlatformRefunds(id string) error {
	return s.update("PlatformRefunds", id, func(cm *complaint, now time.Time) error {
		if cm.wire.ComplaintFullRefunded {
			return fmt.Errorf("complaint %s is already refunded in full", id)
		}
		affected := []*complaint{cm}
		for _, o := range cm.orders {
			o.received = o.Amount
			for _, other := range o.complaints {
				if !slices.Contains(affected, other) {
					affected = append(affected, other)
				}
			}
		}
		s.refundArrived(affected, now, "COMPLAINT_ENTRUSTED_REFUND_SYSTEM_MESSAGE")
		cm.wire.ComplaintFullRefunded = true
		cm.wire.ComplaintState = "PROCESSED"
		return nil
	})
}
