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

const pagePath = "GET /{$}"

//go:embed page
var pageFiles embed.FS

// pageHeaders allow the page to load only from this server, and prevent other
// pages from framing it.
var pageHeaders = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options": "nosniff",
	"Referrer-Policy":        "no-referrer",
	"Cache-Control":          "no-store",
}

// A file is a response body that is not JSON.
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
		return 0, nil, statusErrorf(http.StatusNotFound, "page file %s not found", name)
	}
	return http.StatusOK, file{pageTypes[name], data}, nil
}

func (c *control) page(*http.Request) (int, any, error) { return c.pageFile("index.html") }

func (c *control) pagePart(r *http.Request) (int, any, error) { return c.pageFile(r.PathValue("file")) }

// The page loads its data every second. pageLimit limits the entries of each
// list, pageBody the bytes of each body.
const (
	pageLimit = 100
	pageBody  = 4 << 10
)

// latest has the newest entries of a list, newest first, and their total number.
type latest[T any] struct {
	Total int `json:"total"`
	list[T]
}

func latestOf[From, To any](all []From, convert func(From) To) latest[To] {
	newest := slices.Clone(all[max(0, len(all)-pageLimit):])
	slices.Reverse(newest)
	return latest[To]{len(all), listOf(newest, convert)}
}

type complaintWithHistory struct {
	wechatpay.Complaint
	History []wechatpay.NegotiationRecord `json:"history"`
}

// pageState is what the page shows.
type pageState struct {
	URL           string                       `json:"url"`
	Now           time.Time                    `json:"now"`
	Complaints    latest[complaintWithHistory] `json:"complaints"`
	Refunds       latest[refund]               `json:"refunds"`
	Notifications list[pendingNotification]    `json:"notifications"`
	Requests      latest[request]              `json:"requests"`
}

func (c *control) state(*http.Request) (int, any, error) {
	return http.StatusOK, pageState{
		URL: c.server.URL,
		Now: c.server.Now(),
		Complaints: latestOf(c.server.Complaints(), func(complaint wechatpay.Complaint) complaintWithHistory {
			return complaintWithHistory{complaint, c.server.History(complaint.ComplaintID)}
		}),
		Refunds:       latestOf(c.server.Refunds(), refundOf),
		Notifications: c.pendingList(pageLimit),
		Requests: latestOf(c.server.Requests(), func(r wechatpaytest.Request) request {
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
