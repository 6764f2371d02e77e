package mesh

import (
	"fmt"
	"time"
)

// DefaultTCPIdle is Envoy's default for TCPProxy.Idle.
const DefaultTCPIdle = time.Hour

// TCPProxy has a listener pass its connections on as they are, byte by byte, one
// to a connection of its own to a cluster's endpoint.
type TCPProxy struct {
	// One of these.
	Cluster  string            `json:"cluster,omitempty"`
	Clusters []WeightedCluster `json:"weighted_clusters,omitempty"` // one of which is chosen by chance, connection by connection

	Idle     time.Duration `json:"idle_timeout"`                   // without a byte either way; 0 means none; Envoy's default of 1 h is written out by the reader
	Attempts uint32        `json:"max_connect_attempts,omitempty"` // to connect; 0 means 1
}

// CompiledTCP is a compiled TCPProxy.
type CompiledTCP struct {
	Idle     time.Duration
	Attempts int

	choice
}

func compileTCP(p *TCPProxy, cluster map[string]int) *CompiledTCP {
	if p == nil {
		return nil
	}
	return &CompiledTCP{Idle: p.Idle, Attempts: int(max(p.Attempts, 1)), choice: newChoice(p.Cluster, p.Clusters, cluster)}
}

// choice is a cluster, or one of several by their weights.
type choice struct {
	cluster  int // index into Table.Clusters
	clusters []share
	total    uint64 // of their weights
}

// share is a cluster that gets the draws below upTo that no one before it gets.
type share struct {
	cluster int
	upTo    uint64
}

func newChoice(one string, of []WeightedCluster, cluster map[string]int) (c choice) {
	c.cluster = cluster[one]
	for _, w := range of {
		c.total += uint64(w.Weight)
		c.clusters = append(c.clusters, share{cluster[w.Name], c.total})
	}
	return c
}

// Cluster is the index into Table.Clusters of the cluster that a request or a
// connection goes to; draw gives a number by chance.
func (c *choice) Cluster(draw func() uint64) int {
	if i := c.pick(draw); i >= 0 {
		return c.clusters[i].cluster
	}
	return c.cluster
}

// pick is Cluster by the index into c.clusters, below 0 if there is one cluster alone.
func (c *choice) pick(draw func() uint64) int {
	if c.total == 0 {
		return -1
	}
	x := draw() % c.total
	for i := range c.clusters {
		if x < c.clusters[i].upTo {
			return i
		}
	}
	return -1 // not reached: the last upTo is the total
}

// tcpStats are c's counters where the listener is a TCP proxy.
func (c *ListenerCounters) tcpStats(dst []Stat, prefix string) []Stat {
	p := "tcp." + prefix + "."
	return append(dst,
		Stat{p + "downstream_cx_total", c.CxTotal, false},
		Stat{p + "downstream_cx_no_route", c.NoRoute, false},
		Stat{p + "downstream_cx_rx_bytes_total", c.CxRxBytes, false},
		Stat{p + "downstream_cx_tx_bytes_total", c.CxTxBytes, false},
		Stat{p + "idle_timeout", c.CxIdleTimeout, false},
	)
}

func (v *validator) tcp(path string, l *Listener) {
	p := l.TCP
	if p == nil {
		return
	}
	if len(l.VirtualHosts) > 0 {
		v.fail(path, "is beside virtual_hosts, want one of them")
	}
	path += ".tcp_proxy"
	switch {
	case (p.Cluster != "") == (len(p.Clusters) > 0):
		v.fail(path, "want one of cluster and weighted_clusters")
	case p.Cluster != "" && !v.clusters[p.Cluster]:
		v.fail(path+".cluster", "no cluster is named %q", p.Cluster)
	}
	for i := range p.Clusters {
		if p.Clusters[i].differs() {
			v.fail(fmt.Sprintf("%s.weighted_clusters[%d]", path, i), "changes headers, and a TCP proxy has none")
		}
	}
	v.weighted(path, p.Clusters)
	if p.Idle < 0 {
		v.fail(path+".idle_timeout", "is %v, want 0 (none) or more", p.Idle)
	}
}
