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

// newClient returns a client for the Redis server of .ci/services.sh or any
// other one. Without a server it skips the test, or fails it in CI.
func newClient(t *testing.T) *redis.Client {
	t.Helper()
	const name = "REDISSTORE_TEST_ADDR"
	addr := os.Getenv(name)
	if addr == "" {
		const hint = name + " is not set: use .ci/services.sh, or set it to the host:port of a Redis server"
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

// requireClaimed requires that Claim gets the claim.
func requireClaimed(t *testing.T, store *redisstore.Store, id, holder string) {
	t.Helper()
	state, err := store.Claim(context.Background(), id, holder)
	require.NoError(t, err)
	require.Equal(t, wechatpay.NotificationStateClaimed, state)
}

func TestStore(t *testing.T) {
	c := newClient(t)
	storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		return &redisstore.Store{Client: c, Prefix: "test:", ClaimFor: claimFor}
	})
}

func TestStore_keys(t *testing.T) {
	ctx, c := context.Background(), newClient(t)
	tests := []struct {
		name              string
		store             redisstore.Store
		prefix            string
		claimFor, keepFor time.Duration
	}{
		{"defaults", redisstore.Store{}, "wechatpay:notification:", 30 * time.Second, 7 * 24 * time.Hour},
		{"set", redisstore.Store{Prefix: "other:", ClaimFor: time.Minute, KeepFor: time.Hour},
			"other:", time.Minute, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.store.Client = c
			id := rand.Text()
			requireClaimed(t, &tt.store, id, "a")
			requireKey(t, c, tt.prefix+id, "claimed:a", tt.claimFor)
			require.NoError(t, tt.store.MarkHandled(ctx, id, "a"))
			requireKey(t, c, tt.prefix+id, "handled", tt.keepFor)
			require.NoError(t, c.Del(ctx, tt.prefix+id).Err())
		})
	}
}

// requireKey requires the value of a key and its time to live.
func requireKey(t *testing.T, c *redis.Client, key, value string, ttl time.Duration) {
	t.Helper()
	got, err := c.Get(context.Background(), key).Result()
	require.NoError(t, err)
	require.Equal(t, value, got)
	gotTTL, err := c.PTTL(context.Background(), key).Result()
	require.NoError(t, err)
	require.Positive(t, gotTTL)
	require.LessOrEqual(t, gotTTL, ttl)
	require.Greater(t, gotTTL, ttl-10*time.Second)
}

func TestStore_MarkHandled_expires(t *testing.T) {
	ctx, id := context.Background(), rand.Text()
	store := &redisstore.Store{Client: newClient(t), KeepFor: time.Millisecond}
	require.NoError(t, store.MarkHandled(ctx, id, "a"))
	require.Eventually(t, func() bool {
		state, err := store.Claim(ctx, id, "b")
		require.NoError(t, err)
		return state == wechatpay.NotificationStateClaimed
	}, 30*time.Second, time.Millisecond)
}

func TestStore_Claim_distinctPrefixes(t *testing.T) {
	c, id := newClient(t), rand.Text()
	for _, prefix := range []string{"one:", "two:"} {
		requireClaimed(t, &redisstore.Store{Client: c, Prefix: prefix}, id, prefix)
	}
}

func TestStore_invalidFields(t *testing.T) {
	ctx := context.Background()
	unreachable := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"one": "127.0.0.1:1"}})
	t.Cleanup(func() { unreachable.Close(); ring.Close() })
	tests := []struct {
		name, field string
		store       redisstore.Store
	}{
		{"no client", "Client", redisstore.Store{}},
		{"ring", "Client", redisstore.Store{Client: ring}},
		{"negative ClaimFor", "ClaimFor", redisstore.Store{Client: unreachable, ClaimFor: -1}},
		{"negative KeepFor", "KeepFor", redisstore.Store{Client: unreachable, KeepFor: -1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, claimErr := tt.store.Claim(ctx, "1", "a")
			markErr, releaseErr := tt.store.MarkHandled(ctx, "1", "a"), tt.store.Release(ctx, "1", "a")
			for _, err := range []error{claimErr, markErr, releaseErr} {
				var invalid *wechatpay.ArgumentError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, tt.field, invalid.Faults[0].Field)
			}
		})
	}
}

// The permissions listed in doc.go are sufficient.
func TestStore_permissions(t *testing.T) {
	ctx, c, user := context.Background(), newClient(t), rand.Text()
	// go-redis also sends HELLO and CLIENT, but works without them.
	require.NoError(t, c.Do(ctx, "ACL", "SETUSER", user, "on", ">secret", "~*",
		"-@all", "+eval", "+evalsha", "+get", "+set", "+del").Err())
	t.Cleanup(func() { require.NoError(t, c.Do(ctx, "ACL", "DELUSER", user).Err()) })
	limited := redis.NewClient(&redis.Options{Addr: c.Options().Addr, Username: user, Password: "secret"})
	t.Cleanup(func() { limited.Close() })
	store, id := &redisstore.Store{Client: limited}, rand.Text()
	requireClaimed(t, store, id, "a")
	require.NoError(t, store.Release(ctx, id, "a"))
	requireClaimed(t, store, id, "b")
	require.NoError(t, store.MarkHandled(ctx, id, "b"))
}

// Claim obeys the deadline of its context if the server does not respond.
func TestStore_Claim_unresponsiveServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	unresponsive := redis.NewClient(&redis.Options{
		Addr:                  listener.Addr().String(),
		ContextTimeoutEnabled: true,
		ReadTimeout:           -1,
		WriteTimeout:          -1,
	})
	t.Cleanup(func() { unresponsive.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = (&redisstore.Store{Client: unresponsive}).Claim(ctx, "1", "a")
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestStore_unreachableServer(t *testing.T) {
	ctx := context.Background()
	unreachable := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	t.Cleanup(func() { unreachable.Close() })
	store := &redisstore.Store{Client: unreachable}
	state, err := store.Claim(ctx, "1", "a")
	require.Empty(t, state)
	require.ErrorContains(t, err, "redisstore.Store.Claim: ")
	require.ErrorContains(t, store.MarkHandled(ctx, "1", "a"), "redisstore.Store.MarkHandled: ")
	require.ErrorContains(t, store.Release(ctx, "1", "a"), "redisstore.Store.Release: ")
}
