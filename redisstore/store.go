package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wechatpay-complaints/wechatpay"
)

// Store is a wechatpay.NotificationStore in Redis. A zero field has the value in
// brackets. It is safe for concurrent use; its fields must not be changed after
// the first.
type Store struct {
	// Client is a *redis.Client or a *redis.ClusterClient, with
	// ContextTimeoutEnabled. A *redis.Ring is refused: which of its servers has
	// a key, each machine decides for itself, by those that it can reach, so
	// that two machines may both get a claim.
	Client redis.Cmdable

	Prefix   string        // of every key ["wechatpay:notification:"]; handles with different jobs need different ones
	ClaimFor time.Duration // how long a claim stands [30 s], in whole milliseconds

	// KeepFor is how long it is remembered that a notification was handled
	// [7 days]. A complaint's copies come for 2 hours by the newer pages and for
	// a week by older ones, those of a refund up to 6 h apart: a day is the
	// least.
	KeepFor time.Duration
}

var _ wechatpay.NotificationStore = (*Store)(nil)

const (
	defaultPrefix   = "wechatpay:notification:"
	defaultClaimFor = 30 * time.Second
	defaultKeepFor  = 7 * 24 * time.Hour

	claimed = "claimed:" // and the holder
	handled = "handled"
)

// begin claims the key for the value, unless it has another one. It gives the
// value that the key has then.
var begin = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if not value or value == ARGV[1] then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return ARGV[1]
end
return value`)

// release deletes the key if it has the value.
var release = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0`)

// Begin claims a notification.
func (s *Store) Begin(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	const op = "redisstore.Store.Begin"
	if err := s.check(ctx, op); err != nil {
		return "", err
	}
	own := claimed + holder
	claimFor := cmp.Or(s.ClaimFor, defaultClaimFor)
	value, err := begin.Run(ctx, s.Client, []string{s.key(id)}, own, max(1, claimFor.Milliseconds())).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", op, err)
	case value == own:
		return wechatpay.NotificationStateClaimed, nil
	case value == handled:
		return wechatpay.NotificationStateHandled, nil
	}
	return wechatpay.NotificationStateInProgress, nil
}

// End gives a claim up.
func (s *Store) End(ctx context.Context, id, holder string, isHandled bool) error {
	const op = "redisstore.Store.End"
	err := s.check(ctx, op)
	if err != nil {
		return err
	}
	if isHandled {
		keepFor := cmp.Or(s.KeepFor, defaultKeepFor)
		err = s.Client.Set(ctx, s.key(id), handled, max(time.Millisecond, keepFor)).Err()
	} else {
		err = release.Run(ctx, s.Client, []string{s.key(id)}, claimed+holder).Err()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// check says what is wrong with the settings, or that the context has ended:
// go-redis does not look at it before it has a connection.
func (s *Store) check(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, isRing := s.Client.(*redis.Ring)
	switch {
	case s.Client == nil:
		return refused(op, "Client", "nil")
	case isRing:
		return refused(op, "Client", "a *redis.Ring, whose machines choose the server of a key each for itself: two could get one claim; take a *redis.Client or a *redis.ClusterClient")
	case s.ClaimFor < 0:
		return refused(op, "ClaimFor", fmt.Sprintf("%v: a claim would have ended when it begins", s.ClaimFor))
	case s.KeepFor < 0:
		return refused(op, "KeepFor", fmt.Sprintf("%v: it would be no time, or for ever", s.KeepFor))
	}
	return nil
}

func refused(op, field, problem string) error {
	return &wechatpay.ArgumentError{Op: op, Faults: []wechatpay.ArgumentFault{{Field: field, Problem: problem}}}
}

func (s *Store) key(id string) string { return cmp.Or(s.Prefix, defaultPrefix) + id }
