package wechatpay

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRetryPolicy_complete_defaults(t *testing.T) {
	var policy RetryPolicy
	var f faults
	policy.complete(&f)
	require.NoError(t, f.err("NewClient"))
	require.Equal(t, RetryPolicy{
		MaxAttempts:    4,
		MinDelay:       100 * time.Millisecond,
		MaxDelay:       5 * time.Second,
		AttemptTimeout: 20 * time.Second,
		HistoryLag:     time.Second,
	}, policy)
}

// The pauses are spread from zero to MinDelay, which doubles up to MaxDelay.
func TestRetryPolicy_delay(t *testing.T) {
	policy := RetryPolicy{MinDelay: 100 * time.Millisecond, MaxDelay: time.Second}
	for attempts, most := range map[int]time.Duration{
		1:       100 * time.Millisecond,
		2:       200 * time.Millisecond,
		3:       400 * time.Millisecond,
		4:       800 * time.Millisecond,
		5:       time.Second,
		1 << 40: time.Second,
	} {
		shortest, longest := most, time.Duration(0)
		for range 10_000 {
			delay := policy.delay(attempts)
			shortest, longest = min(shortest, delay), max(longest, delay)
		}
		require.LessOrEqual(t, longest, most, "after %d attempts", attempts)
		require.GreaterOrEqual(t, shortest, time.Duration(0))
		require.Greater(t, longest, most*98/100, "after %d attempts", attempts)
		require.Less(t, shortest, most*2/100, "after %d attempts", attempts)
	}
	// MinDelay may exceed MaxDelay.
	policy = RetryPolicy{MinDelay: time.Hour, MaxDelay: time.Nanosecond}
	require.LessOrEqual(t, policy.delay(1), time.Nanosecond)
}
