package mesh

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBreakerGauges(t *testing.T) {
	read := func(b Breakers, use BreakerUse) map[string]uint64 {
		out := map[string]uint64{}
		for _, s := range b.Stats(nil, "c", use) {
			require.True(t, s.Gauge)
			if name := strings.TrimPrefix(s.Name, "cluster.c.circuit_breakers."); s.Value != 0 {
				out[name] = s.Value
			}
		}
		return out
	}
	b := Breakers{MaxConnections: 2, MaxPending: 3, MaxRequests: 4, MaxRetries: 5}
	require.Empty(t, read(b, BreakerUse{Connections: 1, Pending: 2, Requests: 3, Retries: 4}))
	require.Equal(t, map[string]uint64{"default.cx_open": 1, "default.rq_pending_open": 1, "default.rq_open": 1, "default.rq_retry_open": 1},
		read(b, BreakerUse{Connections: 3, Pending: 3, Requests: 4, Retries: 5}), "one connection too many, because an endpoint had none")
	require.Empty(t, read(Breakers{}, BreakerUse{}))
	require.Equal(t, map[string]uint64{"default.cx_open": 1}, read(Breakers{}, BreakerUse{Connected: true}))

	require.Equal(t, map[string]uint64{"default.rq_retry_open": 1}, read(Breakers{Budget: &RetryBudget{}}, BreakerUse{Retried: true}))
	require.Empty(t, read(Breakers{Budget: &RetryBudget{}}, BreakerUse{Wanted: true}))

	b.TrackRemaining = true
	left := map[string]uint64{"default.remaining_cx": 1, "default.remaining_cx_pools": math.MaxUint64 - 1, "default.remaining_pending": 1, "default.remaining_retries": 1, "default.remaining_rq": 1}
	require.Equal(t, left, read(b, BreakerUse{Connections: 1, Pools: 1, Pending: 2, Requests: 3, Retries: 4}))
	b.Budget = &RetryBudget{Percent: 20, Least: 1}
	require.Equal(t, uint64(5), read(b, BreakerUse{})["default.remaining_retries"])
	require.Zero(t, read(b, BreakerUse{Retried: true})["default.remaining_retries"])
	require.Zero(t, read(b, BreakerUse{Wanted: true})["default.remaining_retries"])
	require.NotContains(t, read(b, BreakerUse{Connections: 9}), "default.remaining_cx")
}
