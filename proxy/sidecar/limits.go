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
