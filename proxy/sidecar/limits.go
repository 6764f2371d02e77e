package sidecar

import (
	"sync/atomic"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// limits are the circuit breakers of one cluster. They hold for all workers
// together, as Envoy's do, and are touched when a connection opens or a request
// has to wait for one, never on the way of a request on a pooled connection.
type limits struct {
	connections atomic.Int64
	pending     atomic.Int64
	active      []atomic.Int64 // requests under way, by endpoint; nil where no policy asks for them
}

// newLimits returns those of each cluster.
func newLimits(clusters []mesh.CompiledCluster) []limits {
	all := make([]limits, len(clusters))
	for i := range clusters {
		if c := &clusters[i]; c.Policy == mesh.LeastRequest {
			all[i].active = make([]atomic.Int64, len(c.Endpoints))
		}
	}
	return all
}

// Active makes it a mesh.Active.
func (l *limits) Active(endpoint int) int64 { return l.active[endpoint].Load() }

// carry counts a request that begins or ends.
func (l *limits) carry(endpoint int, n int64) {
	if l.active != nil {
		l.active[endpoint].Add(n)
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

func (l *limits) takeConnection() bool { return take(&l.connections, mesh.MaxConnections) }
func (l *limits) takePending() bool    { return take(&l.pending, mesh.MaxPending) }
