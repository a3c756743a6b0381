package wechatpay

import (
	"context"
	"errors"
	"net/http"
)

// A pager reads a list page by page, by offset.
type pager[T any] struct {
	limit int // size of the next page, halved when a page is too large
	fetch func(limit, offset int) (data []T, granted, total int, err error)
	id    func(*T) string
	seen  map[string]struct{} // ids already yielded; nil: no item can repeat
}

// walk yields every item, and an error last. It reports whether the caller wants
// more.
//
// The last page is shorter than the limit (the lower of the requested limit and
// the one WeChat Pay granted). While fewer items than the total of the first page
// were read, walk goes on nevertheless. An empty page always ends the list.
func (p *pager[T]) walk(ctx context.Context, yield func(*T, error) bool) bool {
	total := 0 // reported by the first page only
	for offset := 0; ; {
		data, granted, count, err := p.fetch(p.limit, offset)
		if err != nil && p.limit > 1 && tooLarge(err) {
			p.limit /= 2
			continue
		}
		if err != nil {
			yield(nil, err)
			return false
		}
		if offset == 0 {
			total = count
		}
		for i := range data {
			if id := p.id(&data[i]); p.seen != nil && id != "" {
				if _, ok := p.seen[id]; ok {
					continue
				}
				p.seen[id] = struct{}{}
			}
			if err := ctx.Err(); err != nil {
				yield(nil, err)
				return false
			}
			if !yield(&data[i], nil) {
				return false
			}
		}
		offset += len(data)
		full := p.limit
		if granted > 0 {
			full = min(full, granted)
		}
		if len(data) == 0 || len(data) < full && offset >= total {
			return true
		}
	}
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
