package wechatpaytest

// POST, GET, PUT and DELETE /v3/merchant-service/complaint-notifications

type notificationURLBody struct {
	URL string `json:"url" check:"required,max=255,form=callback"`
}

type notificationURL struct {
	MchID string `json:"mchid"`
	URL   string `json:"url"`
}

func (c *call) createNotificationURL(b *notificationURLBody) (any, *apiError) {
	if c.merchant.notifyURL != "" {
		const exists = "merchant %s already has a notification URL; use PUT to change it"
		return nil, invalidRequest.errorf(exists, c.merchant.mchid)
	}
	c.merchant.notifyURL = b.URL
	return notificationURL{c.merchant.mchid, b.URL}, nil
}

func (c *call) getNotificationURL(*noParams) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	return notificationURL{c.merchant.mchid, c.merchant.notifyURL}, nil
}

func (c *call) updateNotificationURL(b *notificationURLBody) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	c.merchant.notifyURL = b.URL
	return notificationURL{c.merchant.mchid, b.URL}, nil
}

func (c *call) deleteNotificationURL(*noParams) (any, *apiError) {
	if apiErr := c.requireNotificationURL(); apiErr != nil {
		return nil, apiErr
	}
	c.merchant.notifyURL = ""
	return nil, nil
}

// requireNotificationURL returns an error if the merchant has no notification
// URL. For GET, the documents have 400 here and not 404.
func (c *call) requireNotificationURL() *apiError {
	if c.merchant.notifyURL != "" {
		return nil
	}
	return Refusal{400, "RESOURCE_NOT_EXISTS"}.errorf("merchant %s has no notification URL", c.merchant.mchid)
}

// SetNotificationURL sets the notification URL of the first merchant; "" removes
// it. Unlike the endpoint, it accepts http URLs, such as one on loopback.
func (s *Server) SetNotificationURL(url string) { s.first.SetNotificationURL(url) }

// NotificationURL returns the notification URL of the first merchant, or "".
func (s *Server) NotificationURL() string { return s.first.NotificationURL() }

// SetNotificationURL sets the merchant's notification URL; "" removes it. Unlike
// the endpoint, it accepts http URLs, such as one on loopback.
func (m *Merchant) SetNotificationURL(url string) {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	m.notifyURL = url
}

// NotificationURL returns the merchant's notification URL, or "".
func (m *Merchant) NotificationURL() string {
	m.server.mu.Lock()
	defer m.server.mu.Unlock()
	return m.notifyURL
}
