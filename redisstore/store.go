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
	Client   redis.Cmdable // a *redis.Client, *redis.ClusterClient or *redis.Ring
	Prefix   string        // of every key ["wechatpay:notification:"]; handles with different jobs need different ones
	ClaimFor time.Duration // how long a claim stands [30 s], in whole milliseconds
	KeepFor  time.Duration // how long it is remembered that a notification was handled [7 days: older pages repeat for a week, newer ones for 2 hours]
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
	// go-redis does not look at a context before it has a connection.
	if err := ctx.Err(); err != nil {
		return "", fmt.Errorf("redisstore: Begin: %w", err)
	}
	own := claimed + holder
	claimFor := cmp.Or(s.ClaimFor, defaultClaimFor)
	value, err := begin.Run(ctx, s.Client, []string{s.key(id)}, own, max(1, claimFor.Milliseconds())).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("redisstore: Begin: %w", err)
	case value == own:
		return wechatpay.NotificationClaimed, nil
	case value == handled:
		return wechatpay.NotificationHandled, nil
	}
	return wechatpay.NotificationInWork, nil
}

// End gives a claim up.
func (s *Store) End(ctx context.Context, id, holder string, isHandled bool) error {
	err := ctx.Err()
	switch {
	case err != nil:
	case isHandled:
		err = s.Client.Set(ctx, s.key(id), handled, cmp.Or(s.KeepFor, defaultKeepFor)).Err()
	default:
		err = release.Run(ctx, s.Client, []string{s.key(id)}, claimed+holder).Err()
	}
	if err != nil {
		return fmt.Errorf("redisstore: End: %w", err)
	}
	return nil
}

func (s *Store) key(id string) string { return cmp.Or(s.Prefix, defaultPrefix) + id }
