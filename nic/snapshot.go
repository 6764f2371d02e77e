package nic

import (
	"context"
	"net/netip"
	"runtime/metrics"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/hostif"
)

// SnapshotSchema is the "schema" field of a Snapshot.
const SnapshotSchema = "meshnic.nic/1"

// Snapshot is everything the NIC has counted, at one moment between batches.
type Snapshot struct {
	Schema   string                  `json:"schema"`
	Program  Program                 `json:"program"`
	Ports    map[string]hostif.Stats `json:"ports"`
	Counters map[string]uint64       `json:"counters"` // by name: drop.<reason>, tcp.*, eswitch.*, xdp.*
	ModelNS  *ModelTime              `json:"model_ns"` // nil if the program has no pipeline or nothing passed

	// HeapLive is what the last collection found to be in use of the heap of the process
	// whose loop was asked, bytes: every table in full, whatever has been touched of it.
	HeapLive uint64 `json:"heap_live_bytes,omitempty"`
}

// ModelTime is time on the modelled card: from a frame's first beat at the
// receiving MAC to its last beat out of the sending one, ns. Quantiles are those
// of a histogram of three digits, the rest is exact.
type ModelTime struct {
	Pipeline string `json:"pipeline"`
	Frames   uint64 `json:"frames"` // copies that left the card
	Lost     uint64 `json:"lost"`   // that the program had passed and the card had no room for
	// Frames that came in, those of the proxy's own among them: whose cycles are not
	// counted yet, are counted, and never will be, because that would have taken more
	// of the time than the model may, or than there was.
	Behind  uint64 `json:"behind"`
	Timed   uint64 `json:"timed"`
	Untimed uint64 `json:"untimed"`
	Backlog uint64 `json:"backlog_bytes"` // of memory for the former; it stays as large as it ever was
	Times
	Requests  *RequestTime   `json:"requests,omitempty"` // nil if none is over
	Crossings []CrossingTime `json:"crossings"`          // by port, those that there were
}

// RequestTime is the exchanges on TCP connections that are over: for each, the
// times of all its frames together, one after the other. An exchange is what a
// client sends and what it is answered, its connection's handshake and end
// included.
type RequestTime struct {
	N uint64 `json:"n"`
	Times
}

// Times are quantiles and the sum of a number of times, ns.
type Times struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
	Sum float64 `json:"sum"`
}

// CrossingTime is the frames that went from one port to another.
type CrossingTime struct {
	In     string `json:"in"`
	Out    string `json:"out"`
	Frames uint64 `json:"frames"`
	Times
}

// snapshots carries what others want of the NIC to its loop.
type snapshots struct{ ask chan func(*NIC) }

func newSnapshots() snapshots { return snapshots{ask: make(chan func(*NIC))} }

func (s *snapshots) answer(n *NIC) {
	select {
	case f := <-s.ask:
		f(n)
	default:
	}
}

// Do has the running loop call f, between two batches, and waits for it. It returns
// ctx's error if the loop does not in time. It is safe from any goroutine.
func (n *NIC) Do(ctx context.Context, f func(*NIC)) error {
	done := make(chan struct{})
	select {
	case n.snap.ask <- func(n *NIC) { f(n); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Snapshot asks the running loop for its counters. It returns ctx's error if
// the loop does not answer in time. It is safe from any goroutine.
func (n *NIC) Snapshot(ctx context.Context) (s Snapshot, err error) {
	if err := n.Do(ctx, func(n *NIC) { s = n.Counters() }); err != nil {
		return s, err
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	s.HeapLive = live[0].Value.Uint64()
	return s, nil
}

// Flow says where the proxy has the connection of a client; ok is false if it has
// none. It is safe from any goroutine.
func (n *NIC) Flow(ctx context.Context, client netip.AddrPort) (where string, ok bool, err error) {
	x, knows := n.proxy.(interface {
		Flow(client netip.AddrPort) (string, bool)
	})
	if !knows {
		return "", false, nil
	}
	err = n.Do(ctx, func(*NIC) { where, ok = x.Flow(client) })
	return where, ok, err
}

// Counters returns the counters. It is for the goroutine that runs the NIC;
// others use Snapshot.
func (n *NIC) Counters() Snapshot {
	s := Snapshot{
		Schema:  SnapshotSchema,
		Program: n.cfg.Program,
		Ports:   make(map[string]hostif.Stats, len(n.ports)),
		Counters: map[string]uint64{
			"packets":   n.counts.packets,
			"forwarded": n.counts.forwarded,
			"flooded":   n.counts.flooded,
			"mirrored":  n.counts.mirrored,
			"punted":    n.counts.punted,
			"link_down": n.linkDown,
		},
	}
	for _, p := range n.ports {
		s.Ports[p.name] = p.link.Stats()
		if c, ok := p.link.(hostif.Counted); ok {
			c.Count(s.Counters)
		}
	}
	for r := datapath.DropNone + 1; r < datapath.NumDropReasons; r++ {
		s.Counters["drop."+r.String()] = n.counts.drops[r]
	}
	if f := n.cfg.FlowTable; f != nil {
		f.Count(s.Counters)
		s.Counters["flow_table.strayed"] = n.strayed
	}
	if n.sw != nil {
		n.sw.counters(s.Counters)
	}
	if n.tracker != nil {
		c := n.tracker.Counters()
		c.Each(func(name string, value uint64) { s.Counters["tcp."+name] = value })
		s.Counters["tcp.flows"] = uint64(n.tracker.Len())
	}
	if n.proxy != nil {
		s.Counters["consumed"] = n.counts.consumed
		for name, v := range n.proxy.Counters() {
			s.Counters["proxy."+name] = v
		}
	}
	if n.model != nil {
		s.ModelNS = n.model.times()
	}
	return s
}
