package redisstore_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/redisstore"
	"github.com/wechatpay-complaints/wechatpay/storetest"
)

// client reaches the Redis that .ci/services.sh started, or any other.
func client(t *testing.T) *redis.Client {
	t.Helper()
	const name = "REDISSTORE_TEST_ADDR"
	addr := os.Getenv(name)
	if addr == "" {
		const hint = name + " is not set: run the tests by .ci/services.sh, or set it to host:port of a Redis"
		if os.Getenv("CI") == "true" {
			t.Fatal(hint)
		}
		t.Skip(hint)
	}
	c := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.Ping(context.Background()).Err())
	return c
}

func TestStore(t *testing.T) {
	c := client(t)
	storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		return &redisstore.Store{Client: c, Prefix: "test:", ClaimFor: claimFor}
	})
}

// Everything expires by itself.
func TestTimes(t *testing.T) {
	ctx, c := context.Background(), client(t)
	tests := []struct {
		name              string
		store             redisstore.Store
		prefix            string
		claimFor, keepFor time.Duration
	}{
		{"defaults", redisstore.Store{}, "wechatpay:notification:", 30 * time.Second, 7 * 24 * time.Hour},
		{"set", redisstore.Store{Prefix: "other:", ClaimFor: time.Minute, KeepFor: time.Hour}, "other:", time.Minute, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.store.Client = c
			id := rand.Text()
			state, err := tt.store.Begin(ctx, id, "a")
			require.NoError(t, err)
			require.Equal(t, wechatpay.NotificationClaimed, state)
			requireKey(t, c, tt.prefix+id, "claimed:a", tt.claimFor)

			require.NoError(t, tt.store.End(ctx, id, "a", true))
			requireKey(t, c, tt.prefix+id, "handled", tt.keepFor)
			require.NoError(t, c.Del(ctx, tt.prefix+id).Err())
		})
	}
}

func requireKey(t *testing.T, c *redis.Client, key, value string, expires time.Duration) {
	t.Helper()
	got, err := c.Get(context.Background(), key).Result()
	require.NoError(t, err)
	require.Equal(t, value, got)
	left, err := c.PTTL(context.Background(), key).Result()
	require.NoError(t, err)
	require.Positive(t, left)
	require.LessOrEqual(t, left, expires)
	require.Greater(t, left, expires-10*time.Second)
}

// An expired memory is forgotten.
func TestForgets(t *testing.T) {
	ctx, store, id := context.Background(), &redisstore.Store{Client: client(t), KeepFor: time.Millisecond}, rand.Text()
	require.NoError(t, store.End(ctx, id, "a", true))
	require.Eventually(t, func() bool {
		state, err := store.Begin(ctx, id, "b")
		require.NoError(t, err)
		return state == wechatpay.NotificationClaimed
	}, 30*time.Second, time.Millisecond)
}

// Two stores with different prefixes know nothing of each other.
func TestPrefixes(t *testing.T) {
	ctx, c, id := context.Background(), client(t), rand.Text()
	for _, prefix := range []string{"one:", "two:"} {
		state, err := (&redisstore.Store{Client: c, Prefix: prefix}).Begin(ctx, id, "a")
		require.NoError(t, err)
		require.Equal(t, wechatpay.NotificationClaimed, state)
	}
}

// Redis is gone.
func TestUnreachable(t *testing.T) {
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { gone.Close() })
	store := &redisstore.Store{Client: gone}
	state, err := store.Begin(context.Background(), "1", "a")
	require.Empty(t, state)
	require.ErrorContains(t, err, "redisstore: Begin: ")
	require.ErrorContains(t, store.End(context.Background(), "1", "a", true), "redisstore: End: ")
	require.ErrorContains(t, store.End(context.Background(), "1", "a", false), "redisstore: End: ")
}
