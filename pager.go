package wechatpay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// page is the wire format of a page of the list or of a negotiation history. T
// has the fields that are decoded of each entry.
type page[T any] struct {
	Data       *[]T `json:"data" wire:"strict"`        // may be absent
	Limit      int  `json:"limit" wire:"strict"`       // as granted
	Offset     *int `json:"offset" wire:"strict"`      //
	TotalCount *int `json:"total_count" wire:"strict"` // only with offset 0

	signedAt time.Time // by WeChat Pay's clock
}

func (p *page[T]) setSignedAt(t time.Time) { p.signedAt = t }

// match reports why a response is not the page at an offset. It has data or a
// total, or, after the last entry, at least that offset. The limit is not
// compared, because WeChat Pay may grant less.
func (p *page[T]) match(offset int) error {
	switch {
	case p.Offset != nil && *p.Offset != offset:
		return fmt.Errorf("offset is %d, not %d", *p.Offset, offset)
	case p.Data == nil && p.TotalCount == nil && (p.Offset == nil || offset == 0):
		return errors.New("it is not a page: it has neither data nor total_count")
	}
	return nil
}

// entries returns what the page has, which is nothing after the last entry. It
// never returns nil.
func (p *page[T]) entries() []T {
	if p.Data == nil {
		return []T{}
	}
	return *p.Data
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// A pager reads a list page by page, by offset.
type pager[T any] struct {
	limit int // size of the next page, halved when a page is too large
	fetch func(limit, offset int) (*page[T], error)
	id    func(*T) string
	// skipRepeated skips items that were yielded: records may be added while the list
	// is read.
	skipRepeated bool
}

// errSamePage ends a list whose pages do not advance.
var errSamePage = errors.New("the page repeats earlier ones: the list does not advance")

// walk yields every item, and an error last. It reports whether the caller wants
// more.
//
// The last page is shorter than the limit (the lower of the requested limit and
// the one WeChat Pay granted). While fewer items than the total of the first page
// were read, walk goes on nevertheless. An empty page always ends the list.
func (p *pager[T]) walk(ctx context.Context, yield func(*T, error) bool) bool {
	total := 0                        // reported by the first page only
	read := make(map[string]struct{}) // ids
	for offset := 0; ; {
		page, err := p.fetch(p.limit, offset)
		if err != nil && p.limit > 1 && tooLarge(err) {
			p.limit /= 2
			continue
		}
		var data []T
		var items []*T
		if err == nil {
			data = page.entries()
			items, err = p.advance(read, data)
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if offset == 0 {
			total = value(page.TotalCount)
		}
		for _, item := range items {
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return false
			}
			if !yield(item, nil) {
				return false
			}
		}
		offset += len(data)
		full := p.limit
		if page.Limit > 0 {
			full = min(full, page.Limit)
		}
		if len(data) == 0 || len(data) < full && offset >= total {
			return true
		}
	}
}

// advance adds the ids of a page to those that were read, and returns the items to
// yield. It is an error if no item of the page is new: a cache responds with pages
// that it has.
func (p *pager[T]) advance(read map[string]struct{}, data []T) (items []*T, err error) {
	isNew := len(data) == 0
	for i := range data {
		id := p.id(&data[i])
		_, repeated := read[id]
		repeated = repeated && id != ""
		isNew = isNew || !repeated
		if !repeated || !p.skipRepeated {
			items = append(items, &data[i])
		}
		read[id] = struct{}{}
	}
	if !isNew {
		return nil, errSamePage
	}
	return items, nil
}

// tooLarge reports whether err may mean that a page was too large. WeChat Pay
// documents neither the status nor the code of that rejection, so any 400 and
// 413 counts. If the limit was not the cause, the same error comes back at limit
// 1 and is returned.
func tooLarge(err error) bool {
	var rejection *APIError
	if errors.As(err, &rejection) {
		return rejection.StatusCode == http.StatusBadRequest || rejection.StatusCode == http.StatusRequestEntityTooLarge
	}
	var failed *VerificationError
	return errors.As(err, &failed) && failed.Reason == VerificationReasonBodyTooLarge
}
