package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wechatpay-complaints/wechatpay"
)

// Store is a wechatpay.NotificationStore in Redis. Zero fields have the defaults
// in brackets. It is safe for concurrent use. Do not change its fields after the
// first use.
type Store struct {
	// Client is a *redis.Client or a *redis.ClusterClient with
	// ContextTimeoutEnabled. A *redis.Ring is rejected: each machine chooses the
	// server of a key on its own, so two machines could get the same claim.
	Client redis.Cmdable

	// Prefix of all keys ["wechatpay:notification:"]. Handlers that do different
	// jobs need different prefixes.
	Prefix string

	ClaimFor time.Duration // lifetime of a claim, in whole milliseconds [30 s]

	// KeepFor is how long a handled notification is remembered [7 days]. It
	// should be at least a day: current pages of WeChat Pay describe redeliveries
	// for 2 hours, older ones for up to a week.
	KeepFor time.Duration
}

var _ wechatpay.NotificationStore = (*Store)(nil)

const (
	defaultPrefix   = "wechatpay:notification:"
	defaultClaimFor = 30 * time.Second
	defaultKeepFor  = 7 * 24 * time.Hour

	claimedPrefix = "claimed:" // followed by the holder
	handledValue  = "handled"
)

// claimScript sets the key to ARGV[1] for ARGV[2] ms unless it has another
// value. It returns the resulting value.
var claimScript = redis.NewScript(`
local value = redis.call('GET', KEYS[1])
if not value or value == ARGV[1] then
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return ARGV[1]
end
return value`)

// releaseScript deletes the key if its value is ARGV[1].
var releaseScript = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0`)

// Claim implements wechatpay.NotificationStore.
func (s *Store) Claim(ctx context.Context, id, holder string) (wechatpay.NotificationState, error) {
	const op = "redisstore.Store.Claim"
	if err := s.check(ctx, op); err != nil {
		return "", err
	}
	own := claimedPrefix + holder
	claimFor := max(1, cmp.Or(s.ClaimFor, defaultClaimFor).Milliseconds())
	value, err := claimScript.Run(ctx, s.Client, []string{s.key(id)}, own, claimFor).Text()
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", op, err)
	case value == own:
		return wechatpay.NotificationStateClaimed, nil
	case value == handledValue:
		return wechatpay.NotificationStateHandled, nil
	}
	return wechatpay.NotificationStateInProgress, nil
}

// MarkHandled implements wechatpay.NotificationStore.
func (s *Store) MarkHandled(ctx context.Context, id, holder string) error {
	const op = "redisstore.Store.MarkHandled"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	keepFor := max(time.Millisecond, cmp.Or(s.KeepFor, defaultKeepFor))
	if err := s.Client.Set(ctx, s.key(id), handledValue, keepFor).Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Release implements wechatpay.NotificationStore.
func (s *Store) Release(ctx context.Context, id, holder string) error {
	const op = "redisstore.Store.Release"
	if err := s.check(ctx, op); err != nil {
		return err
	}
	if err := releaseScript.Run(ctx, s.Client, []string{s.key(id)}, claimedPrefix+holder).Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// check returns an error if ctx has ended or a field is invalid. go-redis looks
// at the context only once it has a connection.
func (s *Store) check(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	_, isRing := s.Client.(*redis.Ring)
	switch {
	case s.Client == nil:
		return invalid(op, "Client", "must not be nil")
	case isRing:
		return invalid(op, "Client", "must be a *redis.Client or a *redis.ClusterClient, got a *redis.Ring")
	case s.ClaimFor < 0:
		return invalid(op, "ClaimFor", fmt.Sprintf("must not be negative, got %v", s.ClaimFor))
	case s.KeepFor < 0:
		return invalid(op, "KeepFor", fmt.Sprintf("must not be negative, got %v", s.KeepFor))
	}
	return nil
}

func invalid(op, field, problem string) error {
	return &wechatpay.ArgumentError{Op: op, Faults: []wechatpay.ArgumentFault{{Field: field, Problem: problem}}}
}

func (s *Store) key(id string) string { return cmp.Or(s.Prefix, defaultPrefix) + id }
