package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/control"
)

// SoakSchema is the "schema" field of a SoakResult.
const SoakSchema = "meshnic.soak/1"

// SoakResult is what a long run of Bookinfo through the NIC ended with.
type SoakResult struct {
	Schema      string       `json:"schema"`
	Manifest    Manifest     `json:"manifest"`
	System      string       `json:"system"`
	Fault       string       `json:"fault"`
	Connections int          `json:"connections"`
	DurationS   float64      `json:"duration_s"`
	N           uint64       `json:"n"`                // right answers
	Requests    uint64       `json:"proxied_requests"` // exchanges with a server, of the NIC's proxy
	Fallbacks   uint64       `json:"fallbacks"`        // connections that the NIC's proxy left to a host
	Errors      load.Errors  `json:"errors"`           // by kind
	WallUS      *Quantiles   `json:"wall_us"`
	MemoryKiB   Memory       `json:"nic_memory_kib"` // resident: tables and frames' room are touched as it happens
	HeapKiB     Memory       `json:"nic_heap_kib"`   // in use of the heap
	NIC         nic.Snapshot `json:"nic"`
}

// Memory is memory of the NIC's process, KiB: after a tenth of the run, at its end,
// and at most.
type Memory struct {
	Early int64 `json:"early"`
	End   int64 `json:"end"`
	Max   int64 `json:"max"`
}

// heapGrowth is how much the NIC's heap may grow from a tenth of the run to its end,
// as a share: its tables are allocated up front.
const heapGrowth = 0.05

// soakPatience is how long a page may take, and services wait for each other. The original
// productpage waits 3 s, which two SYNs lost in a row take (RTO 1 s, then 2 s) without a NIC
// as well.
const soakPatience = 30 * time.Second

// SoakSystems are the systems of Bookinfo that Soak knows: those with a NIC.
func SoakSystems() (names []string) {
	for _, t := range topologies {
		if t.nic != "" {
			names = append(names, t.name)
		}
	}
	return names
}

// Soak runs Bookinfo through the NIC of a system for a long time, with r.Fault
// injected on its ports. It is a failure.Gate if an answer was wrong or missing, if
// the NIC's proxy left a connection to a host, which nothing in Bookinfo's
// configuration asks for, or if the NIC's heap grew by more than the model's backlog; the result is valid nevertheless.
func Soak(ctx context.Context, r *Run, system string, connections int, duration time.Duration) (res SoakResult, err error) {
	s := &rigs{run: r}
	defer func() {
		if e := s.down(); err == nil {
			err = e
		}
	}()
	r.callTimeout = soakPatience
	r.note(fmt.Sprintf("services wait %v for each other, to connect and for each read; the originals wait 3s (productpage), 10s or 2.5s (reviews)", soakPatience))
	t := topologies[slices.IndexFunc(topologies, func(t topology) bool { return t.name == system })]
	g, absent, err := s.bookinfo(ctx, t)
	if err != nil {
		return res, err
	}
	if absent != "" {
		return res, failure.New(failure.Unsupported, "soak", absent, "meshnic doctor")
	}
	if err := errors.Join(g.await(), g.morePorts()); err != nil {
		return res, err
	}
	w := g.page(t, connections, duration)
	cfg := w.config.(load.Config)
	cfg.Warmup, cfg.Timeout = 0, soakPatience
	w.config = cfg

	res = SoakResult{Schema: SoakSchema, Manifest: r.Manifest, System: system, Fault: r.Fault, Connections: connections}
	stop, watched := make(chan struct{}), make(chan struct{})
	go func() { res.MemoryKiB, res.HeapKiB = g.watchMemory(ctx, duration, stop); close(watched) }()
	result, err := g.load(ctx, w)
	close(stop)
	<-watched
	if err != nil {
		return res, err
	}
	q := Quantiles(result.WallUS)
	res.N, res.Errors, res.WallUS, res.DurationS = result.N, result.Errors, &q, result.Elapsed
	if res.NIC, err = control.Get(ctx, g.sock); err != nil {
		return res, err
	}
	res.Requests = res.NIC.Counters["proxy.splice.exchanges"]
	for name, v := range res.NIC.Counters {
		if strings.HasPrefix(name, "proxy.fallback.") {
			res.Fallbacks += v
		}
	}
	for kind, text := range result.Examples {
		r.Log("first error of kind %s: %s", kind, text)
	}
	return res, res.gate()
}

// morePorts lets each host use every port there is, and one in TIME-WAIT again after
// a second. productpage opens a connection a call and closes it: at 470 a second to
// one address all 28,232 ports that there are by default are in TIME-WAIT, and the
// kernel's search for one took 4 ms of CPU a page.
func (g *rig) morePorts() (err error) {
	for _, h := range g.lab.Spec().Hosts {
		err = errors.Join(err, g.lab.Sysctl(h.Name, "net.ipv4.ip_local_port_range", "1024 65535"), g.lab.Sysctl(h.Name, "net.ipv4.tcp_tw_reuse", "1"))
	}
	return err
}

func (res SoakResult) gate() error {
	if bad := res.Errors.Total(); bad > 0 {
		return failure.New(failure.Gate, "soak", fmt.Sprintf("%d of %d answers were wrong or missing: %+v", bad, bad+res.N, res.Errors), "look at the logs in the run folder")
	}
	if res.Fallbacks > 0 {
		return failure.New(failure.Gate, "soak", fmt.Sprintf("the NIC left %d connections to a host", res.Fallbacks), "proxy.fallback.* of the counters has the reasons")
	}
	backlog := int64(0) // the model's, which is as long as the machine was ever busy
	if t := res.NIC.ModelNS; t != nil {
		backlog = int64(t.Backlog / 1024)
	}
	if m := res.HeapKiB; float64(m.End-backlog) > float64(m.Early)*(1+heapGrowth) {
		return failure.New(failure.Gate, "soak", fmt.Sprintf("the NIC's heap grew from %d to %d KiB", m.Early, m.End), "profile it")
	}
	return nil
}

// settles is how long it takes until it is known what of the heap is in use once all tables
// are there: that is as of the last collection, and there is one in two minutes at least. A
// run that is no longer tells nothing about growth.
const settles = 150 * time.Second

// note takes what there is now; early, what of it is to be compared with.
func (m *Memory) note(kib int64, early bool) {
	m.End = kib
	m.Max = max(m.Max, kib)
	if early || m.Early == 0 {
		m.Early = kib
	}
}

// watchMemory samples the NIC's memory until stop.
func (g *rig) watchMemory(ctx context.Context, duration time.Duration, stop <-chan struct{}) (rss, heap Memory) {
	began := time.Now()
	tick := time.NewTicker(max(duration/200, 50*time.Millisecond))
	defer tick.Stop()
	for {
		early := time.Since(began) < max(duration/10, settles)
		if b, err := g.nic.RSS(); err == nil {
			rss.note(b/1024, early)
		}
		if s, err := control.Get(ctx, g.sock); err == nil {
			heap.note(int64(s.HeapLive/1024), early)
		}
		select {
		case <-stop:
			return rss, heap
		case <-tick.C:
		}
	}
}
