package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"sync"

	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// merchants has the merchants that the control API added, in that order.
type merchants struct {
	mu   sync.Mutex
	list []merchant
}

type merchant struct {
	MchID string `json:"mchid"`
	Env   string `json:"env"` // the path of its env file

	server  *wechatpaytest.Merchant
	content string // of the env file
}

// find returns the merchant with an id, or nil.
func (l *merchants) find(mchID string) *wechatpaytest.Merchant {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.list {
		if m.MchID == mchID {
			return m.server
		}
	}
	return nil
}

// removeEnv removes the env files.
func (l *merchants) removeEnv() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.list {
		removeOwnEnv(filepath.Dir(m.Env), m.content)
	}
}

// mchID matches an id that is safe as the name of a directory.
var mchID = regexp.MustCompile(`^[0-9]{1,32}$`)

func (c *control) addMerchant(r *http.Request) (int, any, error) {
	var body struct {
		MchID     string   `json:"mchid"`
		SubMchIDs []string `json:"sub_mchids"`
	}
	if err := decode(r, &body); err != nil {
		return 0, nil, err
	}
	if !mchID.MatchString(body.MchID) {
		return 0, nil, fmt.Errorf("mchid must have 1 to 32 digits, got %q", body.MchID)
	}
	c.merchants.mu.Lock()
	defer c.merchants.mu.Unlock()
	known := body.MchID == c.server.Config().MchID
	for _, m := range c.merchants.list {
		known = known || m.MchID == body.MchID
	}
	if known {
		return 0, nil, statusErrorf(http.StatusConflict, "merchant %s already exists", body.MchID)
	}
	m := merchant{MchID: body.MchID, server: c.server.AddMerchant(body.MchID, body.SubMchIDs...)}
	dir, err := filepath.Abs(filepath.Join(c.dir, m.MchID))
	if err != nil {
		return 0, nil, err
	}
	if m.content, err = writeSettings(dir, m.server.Config()); err != nil {
		return 0, nil, statusErrorf(http.StatusInternalServerError, "%s", errorText(err))
	}
	m.Env = filepath.Join(dir, envFile)
	c.merchants.list = append(c.merchants.list, m)
	return http.StatusCreated, m, nil
}

func (c *control) listMerchants(*http.Request) (int, any, error) {
	c.merchants.mu.Lock()
	defer c.merchants.mu.Unlock()
	return http.StatusOK, list[merchant]{append([]merchant{}, c.merchants.list...)}, nil
}

// A urlOwner has a notification URL.
type urlOwner interface {
	NotificationURL() string
	SetNotificationURL(string)
}

// urlOwnerOf returns the merchant with an id; "" is the first.
func (c *control) urlOwnerOf(mchID string) (urlOwner, error) {
	if mchID == "" || mchID == c.server.Config().MchID {
		return c.server, nil
	}
	if m := c.merchants.find(mchID); m != nil {
		return m, nil
	}
	return nil, statusErrorf(http.StatusNotFound, "merchant %s not found", mchID)
}
