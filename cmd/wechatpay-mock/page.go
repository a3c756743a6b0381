package main

import (
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/wechatpaytest"
)

// pagePath is where a browser finds the page, and nothing else.
const pagePath = "GET /{$}"

//go:embed page
var pageFiles embed.FS

// pageHeaders let the page load from this server alone, and let no other page
// put it into a frame.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy":        "no-referrer",
	"Cache-Control":          "no-store",
}

// A file is a body that is no JSON.
type file struct {
	contentType string
	data        []byte
}

var pageTypes = map[string]string{
	"index.html": "text/html; charset=utf-8",
	"icon.svg":   "image/svg+xml",
	"page.css":   "text/css; charset=utf-8",
	"page.js":    "text/javascript; charset=utf-8",
}

func (c *control) pageFile(name string) (int, any, error) {
	data, err := pageFiles.ReadFile("page/" + name)
	if err != nil || pageTypes[name] == "" {
		return 0, nil, refuse(http.StatusNotFound, "the page has no file %s", name)
	}
	return http.StatusOK, file{pageTypes[name], data}, nil
}

func (c *control) page(*http.Request) (int, any, error) { return c.pageFile("index.html") }

func (c *control) pagePart(r *http.Request) (int, any, error) { return c.pageFile(r.PathValue("file")) }

// pageLimit bounds what the page gets of each kind, and pageBody the bytes of a
// body, since it asks every second.
const (
	pageLimit = 100
	pageBody  = 4 << 10
)

// latest are the newest of all, and how many there are.
type latest[T any] struct {
	Total int `json:"total"`
	list[T]
}

func latestOf[From, To any](all []From, convert func(From) To) latest[To] {
	newest := slices.Clone(all[max(0, len(all)-pageLimit):])
	slices.Reverse(newest)
	return latest[To]{len(all), listOf(newest, convert)}
}

// state is all that the page shows, at one moment.
func (c *control) state(*http.Request) (int, any, error) {
	type complaint struct {
		wechatpay.Complaint
		History []wechatpay.NegotiationRecord `json:"history"`
	}
	return http.StatusOK, struct {
		URL           string                    `json:"url"`
		Now           time.Time                 `json:"now"`
		Complaints    latest[complaint]         `json:"complaints"`
		Refunds       latest[refund]            `json:"refunds"`
		Notifications list[pendingNotification] `json:"notifications"`
		Requests      latest[request]           `json:"requests"`
	}{
		c.server.URL,
		c.server.Now(),
		latestOf(c.server.Complaints(), func(of wechatpay.Complaint) complaint {
			return complaint{of, c.server.History(of.ComplaintID)}
		}),
		latestOf(c.server.Refunds(), func(r wechatpaytest.Refund) refund { return refund(r) }),
		c.pendingList(pageLimit),
		latestOf(c.server.Requests(), func(r wechatpaytest.Request) request {
			r.Body, r.Response = cutBody(r.Body), cutBody(r.Response)
			return requestOf(r)
		}),
	}, nil
}

func cutBody(body []byte) []byte {
	if len(body) <= pageBody {
		return body
	}
	return fmt.Appendf(nil, "%s… (%d bytes)", strings.ToValidUTF8(string(body[:pageBody]), ""), len(body))
}
