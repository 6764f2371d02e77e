package nic

import (
	"context"
	"time"

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
	Counters map[string]uint64       `json:"counters"` // by name: drop.<reason>, tcp.*, eswitch.*
	ModelNS  *ModelTime              `json:"model_ns"` // nil if the program has no pipeline or nothing passed
}

// ModelTime is time on the modelled card, ns a forwarded frame: first beat in
// to first beat out, summed over the stages, at CoreHz.
type ModelTime struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// snapshots carries requests for a Snapshot to the loop and back.
type snapshots struct{ ask chan chan Snapshot }

func newSnapshots() snapshots { return snapshots{ask: make(chan chan Snapshot)} }

func (s *snapshots) answer(n *NIC) {
	select {
	case reply := <-s.ask:
		reply <- n.Counters()
	default:
	}
}

// Snapshot asks the running loop for its counters. It returns ctx's error if
// the loop does not answer in time. It is safe from any goroutine.
func (n *NIC) Snapshot(ctx context.Context) (Snapshot, error) {
	reply := make(chan Snapshot, 1)
	select {
	case n.snap.ask <- reply:
		return <-reply, nil
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
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
			"link_down": n.counts.linkDown,
		},
	}
	for _, p := range n.ports {
		s.Ports[p.name] = p.link.Stats()
	}
	for r := datapath.DropNone + 1; r < datapath.NumDropReasons; r++ {
		s.Counters["drop."+r.String()] = n.counts.drops[r]
	}
	if n.sw != nil {
		n.sw.counters(s.Counters)
	}
	if n.tracker != nil {
		c := n.tracker.Counters()
		c.Each(func(name string, value uint64) { s.Counters["tcp."+name] = value })
		s.Counters["tcp.flows"] = uint64(n.tracker.Len())
		if n.counts.forwarded > 0 {
			s.ModelNS = &ModelTime{P50: n.modelNS(0.5), P90: n.modelNS(0.9), P99: n.modelNS(0.99), Max: n.modelNS(1)}
		}
	}
	return s
}

func (n *NIC) modelNS(q float64) float64 {
	return float64(n.counts.quantile(q)) * float64(time.Second) / float64(CoreHz)
}
