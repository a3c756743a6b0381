package wechatpay

import (
	"context"
	"errors"
	"net/http"
)

// A pager reads a list by offsets.
type pager[T any] struct {
	limit int // of the next page; it is halved for good when a page is too large
	fetch func(limit, offset int) (data []T, granted, total int, err error)
	id    func(*T) string
	seen  map[string]struct{} // ids given already; nil: nothing can come twice
}

// walk gives every item to yield, and an error last. It reports whether the
// caller wants more, which it does not after an error.
//
// The end is a page that is not full, by the limit that was asked for, or a lower
// one that the service says it granted. If it falls short of the total that the
// first page told, more is asked for nevertheless; an empty page is the end in
// any case.
func (p *pager[T]) walk(ctx context.Context, yield func(*T, error) bool) bool {
	total := 0
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

// tooLarge decides what "the result is too large" looks like. WeChat Pay
// documents that it refuses such a page, and that a lower limit helps, but
// neither status nor code, and a message is not to be branched on. So any
// refusal of the parameters counts: where the page was not the cause, the same
// refusal comes back at limit 1, after a few cheap requests, and is returned. An
// answer over the limit of this package counts too.
func tooLarge(err error) bool {
	var refusal *APIError
	if errors.As(err, &refusal) {
		return refusal.StatusCode == http.StatusBadRequest || refusal.StatusCode == http.StatusRequestEntityTooLarge
	}
	var failed *VerificationError
	return errors.As(err, &failed) && failed.Reason == VerificationReasonBodyTooLarge
}
