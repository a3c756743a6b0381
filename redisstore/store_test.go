package redisstore_test

import (
	"context"
	"crypto/rand"
	"net"
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
			require.Equal(t, wechatpay.NotificationStateClaimed, state)
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
		return state == wechatpay.NotificationStateClaimed
	}, 30*time.Second, time.Millisecond)
}

// Two stores with different prefixes know nothing of each other.
func TestPrefixes(t *testing.T) {
	ctx, c, id := context.Background(), client(t), rand.Text()
	for _, prefix := range []string{"one:", "two:"} {
		state, err := (&redisstore.Store{Client: c, Prefix: prefix}).Begin(ctx, id, "a")
		require.NoError(t, err)
		require.Equal(t, wechatpay.NotificationStateClaimed, state)
	}
}

func TestSettings(t *testing.T) {
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	t.Cleanup(func() { gone.Close(); ring.Close() })
	tests := []struct {
		name, field string
		store       redisstore.Store
	}{
		{"no client", "Client", redisstore.Store{}},
		{"a ring", "Client", redisstore.Store{Client: ring}},
		{"negative claim", "ClaimFor", redisstore.Store{Client: gone, ClaimFor: -1}},
		{"negative memory", "KeepFor", redisstore.Store{Client: gone, KeepFor: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, beginErr := tt.store.Begin(context.Background(), "1", "a")
			for _, err := range []error{beginErr, tt.store.End(context.Background(), "1", "a", true)} {
				var refused *wechatpay.ArgumentError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, tt.field, refused.Faults[0].Field)
			}
		})
	}
}

// The rights that doc.go names are enough.
func TestRights(t *testing.T) {
	ctx, c, user := context.Background(), client(t), rand.Text()
	// HELLO and CLIENT are go-redis's, which does without them.
	require.NoError(t, c.Do(ctx, "ACL", "SETUSER", user, "on", ">secret", "~*", "-@all", "+eval", "+evalsha", "+get", "+set", "+del").Err())
	t.Cleanup(func() { require.NoError(t, c.Do(ctx, "ACL", "DELUSER", user).Err()) })
	limited := redis.NewClient(&redis.Options{Addr: c.Options().Addr, Username: user, Password: "secret"})
	t.Cleanup(func() { limited.Close() })
	store, id := &redisstore.Store{Client: limited}, rand.Text()
	for _, handled := range []bool{false, true} {
		state, err := store.Begin(ctx, id, "a")
		require.NoError(t, err)
		require.Equal(t, wechatpay.NotificationStateClaimed, state)
		require.NoError(t, store.End(ctx, id, "a", handled))
	}
}

// A Redis that hangs holds nobody for longer than the context says: it takes
// connections, and says nothing. go-redis would wait for ever here.
func TestHungRedis(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	hung := redis.NewClient(&redis.Options{Addr: listener.Addr().String(), ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1})
	t.Cleanup(func() { hung.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	store := &redisstore.Store{Client: hung}
	_, err = store.Begin(ctx, "1", "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// Redis is gone.
func TestUnreachable(t *testing.T) {
	gone := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { gone.Close() })
	store := &redisstore.Store{Client: gone}
	state, err := store.Begin(context.Background(), "1", "a")
	require.Empty(t, state)
	require.ErrorContains(t, err, "redisstore.Store.Begin: ")
	require.ErrorContains(t, store.End(context.Background(), "1", "a", true), "redisstore.Store.End: ")
	require.ErrorContains(t, store.End(context.Background(), "1", "a", false), "redisstore.Store.End: ")
}
