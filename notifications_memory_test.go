package wechatpay_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/wechatpay-complaints/wechatpay"
	"github.com/wechatpay-complaints/wechatpay/storetest"
)

func TestMemoryStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T, claimFor time.Duration) wechatpay.NotificationStore {
		store := wechatpay.NewMemoryStore()
		store.ClaimFor = claimFor
		return store
	})
}

// fakeClock is a clock that tests advance.
type fakeClock struct{ at time.Time }

func (c *fakeClock) now() time.Time          { return c.at }
func (c *fakeClock) advance(d time.Duration) { c.at = c.at.Add(d) }

// requireClaim calls Claim and requires the given state.
func requireClaim(
	t *testing.T, s wechatpay.NotificationStore, id, holder string, want wechatpay.NotificationState,
) {
	t.Helper()
	got, err := s.Claim(context.Background(), id, holder)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestMemoryStore_Claim_expires(t *testing.T) {
	c := &fakeClock{testTime}
	store := wechatpay.NewMemoryStore()
	store.Time = c.now
	require.Equal(t, 30*time.Second, store.ClaimFor)
	require.Equal(t, 7*24*time.Hour, store.KeepFor)

	requireClaim(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.advance(store.ClaimFor - 1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.advance(1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateClaimed)

	// A renewed claim lasts for the full time again.
	c.advance(store.ClaimFor - 1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	c.advance(store.ClaimFor - 1)
	requireClaim(t, store, "1", "c", wechatpay.NotificationStateInProgress)

	require.NoError(t, store.MarkHandled(context.Background(), "1", "b"))
	c.advance(store.KeepFor - 1)
	requireClaim(t, store, "1", "c", wechatpay.NotificationStateHandled)
	c.advance(1)
	requireClaim(t, store, "1", "c", wechatpay.NotificationStateClaimed)
}

// The zero value has the same defaults as NewMemoryStore.
func TestMemoryStore_Claim_zeroValue(t *testing.T) {
	c := &fakeClock{testTime}
	store := &wechatpay.MemoryStore{Time: c.now}
	requireClaim(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.advance(30*time.Second - 1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.advance(1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateClaimed)
	require.NoError(t, store.MarkHandled(context.Background(), "1", "b"))
	c.advance(7*24*time.Hour - 1)
	requireClaim(t, store, "1", "c", wechatpay.NotificationStateHandled)
	c.advance(1)
	requireClaim(t, store, "1", "c", wechatpay.NotificationStateClaimed)
}

func TestMemoryStore_Claim_clockSetBack(t *testing.T) {
	c := &fakeClock{testTime.Add(24 * time.Hour)}
	store := &wechatpay.MemoryStore{Time: c.now}
	requireClaim(t, store, "before", "a", wechatpay.NotificationStateClaimed)
	c.at = testTime
	requireClaim(t, store, "1", "a", wechatpay.NotificationStateClaimed)
	c.advance(30*time.Second - 1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateInProgress)
	c.advance(1)
	requireClaim(t, store, "1", "b", wechatpay.NotificationStateClaimed)
}

// At the limit, handled notifications are forgotten and claims are kept.
func TestMemoryStore_Claim_limit(t *testing.T) {
	ctx := context.Background()
	store := wechatpay.NewMemoryStore()
	require.Equal(t, 100_000, store.Max)
	store.Max = 3
	for i := range 10 {
		requireClaim(t, store, fmt.Sprint("handled ", i), "a", wechatpay.NotificationStateClaimed)
		require.NoError(t, store.MarkHandled(ctx, fmt.Sprint("handled ", i), "a"))
	}
	for i := 7; i < 10; i++ {
		requireClaim(t, store, fmt.Sprint("handled ", i), "b", wechatpay.NotificationStateHandled)
	}
	for i := range 3 {
		requireClaim(t, store, fmt.Sprint("claimed ", i), "a", wechatpay.NotificationStateClaimed)
	}
	_, err := store.Claim(ctx, "claimed 3", "a")
	require.EqualError(t, err, "wechatpay: MemoryStore.Claim: 3 notifications are in progress, the maximum")
	requireClaim(t, store, "claimed 0", "a", wechatpay.NotificationStateClaimed)
	requireClaim(t, store, "claimed 2", "b", wechatpay.NotificationStateInProgress)
	require.NoError(t, store.Release(ctx, "claimed 1", "a"))
	requireClaim(t, store, "handled 9", "a", wechatpay.NotificationStateClaimed)
}

func TestMemoryStore_negativeFields(t *testing.T) {
	ctx := context.Background()
	tests := map[string]*wechatpay.MemoryStore{
		"ClaimFor": {ClaimFor: -1},
		"KeepFor":  {KeepFor: -1},
		"Max":      {Max: -1},
	}
	for field, store := range tests {
		t.Run(field, func(t *testing.T) {
			_, claimErr := store.Claim(ctx, "1", "a")
			markErr, releaseErr := store.MarkHandled(ctx, "1", "a"), store.Release(ctx, "1", "a")
			for _, err := range []error{claimErr, markErr, releaseErr} {
				var invalid *wechatpay.ArgumentError
				require.ErrorAs(t, err, &invalid)
				require.Equal(t, field, invalid.Faults[0].Field)
			}
		})
	}
}
