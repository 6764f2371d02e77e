package sidecar

import (
	"sync/atomic"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// limits are the circuit breakers and the health of one cluster. They hold for all workers
// together, as Envoy's do. Those of connections and of requests that wait are
// touched when a connection opens or a request has to wait for one; requests under
// way, which a connection has one of, are counted only where fewer of them are
// allowed than connections.
type limits struct {
	max         mesh.Breakers
	connections atomic.Int64
	pools       atomic.Int64 // that have one
	pending     atomic.Int64
	requests    atomic.Int64
	retries     atomic.Int64
	counted     bool // requests are
	carried     bool // and those of each endpoint, because the policy asks for them

	health  *mesh.Health
	traffic atomic.Bool // the cluster has had a connection
}

func newLimits(c *mesh.CompiledCluster) *limits {
	l := &limits{max: c.Breakers, counted: c.Breakers.MaxRequests < c.Breakers.MaxConnections || c.Breakers.Budget != nil,
		health: mesh.NewHealth(c), carried: c.Policy == mesh.LeastRequest}
	return l
}

// stats appends the gauges of the circuit breakers. counted is what the cluster's
// counters say.
func (l *limits) stats(dst []mesh.Stat, cluster string, counted func(name string) uint64) []mesh.Stat {
	use := mesh.BreakerUse{
		Connections: l.connections.Load(), Pools: l.pools.Load(), Pending: l.pending.Load(), Requests: int64(counted("upstream_rq_active")), Retries: l.retries.Load(),
		Connected: l.traffic.Load(), Retried: l.retries.Load() > 0 || counted("upstream_rq_retry") > 0, Wanted: counted("upstream_rq_retry_overflow") > 0,
	}
	if l.counted {
		use.Requests = l.requests.Load()
	}
	return l.max.Stats(dst, cluster, use)
}

// carry counts a request that begins or ends.
func (l *limits) carry(h *mesh.Host, n int64) {
	if l.carried && h != nil {
		h.Carry(n)
	}
}

// take adds one to n unless that exceeds the maximum.
func take(n *atomic.Int64, maximum int64) bool {
	if n.Add(1) > maximum {
		n.Add(-1)
		return false
	}
	return true
}

func (l *limits) takeConnection() bool { return take(&l.connections, int64(l.max.MaxConnections)) }
func (l *limits) takePending() bool    { return take(&l.pending, int64(l.max.MaxPending)) }

// takeRequest and endRequest are for a request that gets a connection, and ends.
func (l *limits) takeRequest() bool {
	return !l.counted || take(&l.requests, int64(l.max.MaxRequests))
}

func (l *limits) endRequest() {
	if l.counted {
		l.requests.Add(-1)
	}
}

// TakeRetry and EndRetry make it mesh.Places.
func (l *limits) TakeRetry() bool {
	most := int64(l.max.MaxRetries)
	if b := l.max.Budget; b != nil {
		most = b.Allows(l.requests.Load() + l.pending.Load())
	}
	return take(&l.retries, most)
}

// EndRetry gives back what TakeRetry took.
func (l *limits) EndRetry() { l.retries.Add(-1) }
