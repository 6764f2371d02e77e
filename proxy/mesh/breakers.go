package mesh

import "math"

// BreakerUse is how much of a cluster's circuit breakers is in use, by all workers.
type BreakerUse struct {
	Connections, Pools, Pending, Requests, Retries int64

	Connected bool // there was a connection
	Retried   bool // there was another try
	Wanted    bool // or there would have been, if there had been room
}

// Stats appends the gauges of b's cluster under Envoy's names: which breakers are
// open, and what remains if that is wanted. All requests are of the default priority.
func (b *Breakers) Stats(dst []Stat, cluster string, use BreakerUse) []Stat {
	p := "cluster." + cluster + ".circuit_breakers."
	// One of 0 is open, to Envoy, from when it was first passed on: with connections
	// that happens, as an endpoint that has none gets one, with retries where a budget
	// allows them.
	open := func(n, most int64, passed bool) uint64 {
		if n >= most && (most > 0 || passed) {
			return 1
		}
		return 0
	}
	dst = append(dst,
		Stat{p + "default.cx_open", open(use.Connections, int64(b.MaxConnections), use.Connected), true},
		Stat{p + "default.cx_pool_open", 0, true},
		Stat{p + "default.rq_open", open(use.Requests, int64(b.MaxRequests), false), true},
		Stat{p + "default.rq_pending_open", open(use.Pending, int64(b.MaxPending), false), true},
		Stat{p + "default.rq_retry_open", open(use.Retries, int64(b.MaxRetries), b.Budget != nil && use.Retried), true},
	)
	for _, n := range [...]string{"cx_open", "cx_pool_open", "rq_open", "rq_pending_open", "rq_retry_open"} {
		dst = append(dst, Stat{p + "high." + n, 0, true})
	}
	if !b.TrackRemaining {
		return dst
	}
	left := func(n, most int64) uint64 { return uint64(max(0, most-n)) }
	retries := int64(b.MaxRetries)
	if b.Budget != nil && (use.Retried || use.Wanted) { // of which Envoy's gauges do not speak
		retries = 0
	}
	return append(dst,
		Stat{p + "default.remaining_cx", left(use.Connections, int64(b.MaxConnections)), true},
		Stat{p + "default.remaining_cx_pools", math.MaxUint64 - uint64(use.Pools), true},
		Stat{p + "default.remaining_pending", left(use.Pending, int64(b.MaxPending)), true},
		Stat{p + "default.remaining_retries", left(use.Retries, retries), true},
		Stat{p + "default.remaining_rq", left(use.Requests, int64(b.MaxRequests)), true},
	)
}
