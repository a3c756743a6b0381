package wechatpaytest

// Endpoints 8 to 11: the notification URL.

type notificationURLBody struct {
	URL string `json:"url" check:"required,max=255,form=callback"`
}

type notificationURL struct {
	MchID string `json:"mchid"`
	URL   string `json:"url"`
}

func (c *call) createNotificationURL(b *notificationURLBody) (any, *apiError) {
	if c.s.notifyURL != "" {
		return nil, invalidRequest.errorf("merchant %s has a notification URL already: change it with PUT", c.s.mchid)
	}
	c.s.notifyURL = b.URL
	return notificationURL{c.s.mchid, b.URL}, nil
}

func (c *call) getNotificationURL(*noParams) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	return notificationURL{c.s.mchid, c.s.notifyURL}, nil
}

func (c *call) updateNotificationURL(b *notificationURLBody) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	c.s.notifyURL = b.URL
	return notificationURL{c.s.mchid, b.URL}, nil
}

func (c *call) deleteNotificationURL(*noParams) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	c.s.notifyURL = ""
	return nil, nil
}

// noNotificationURL refuses with 400, not 404, as the documents have it for the query.
func (c *call) requireNotificationURL() *apiError {
	if c.s.notifyURL != "" {
		return nil
	}
	return Refusal{400, "RESOURCE_NOT_EXISTS"}.errorf("merchant %s has no notification URL", c.s.mchid)
}

// SetNotificationURL sets the merchant's notification URL, "" for none, without
// the checks of endpoint 8: so it may be http, on loopback.
func (s *Server) SetNotificationURL(url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notifyURL = url
}
