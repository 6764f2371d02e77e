package bench

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/meshnic/meshnic/bench/load"
)

// cell is one system at one number of connections: what a row is measured from.
type cell struct {
	name        string
	connections int
	hops        int
	like        string // through a NIC: the same path without one
	baseline    string // of its own, besides the first system; empty: none
	absent      string
	unmodelled  string   // through a NIC: why there is no model time
	varies, of  string   // what is different from which system
	beside      []string // systems that what it adds is compared with
	// measure runs the work once and returns what it saw.
	measure func(ctx context.Context) (sample, error)
}

// sample is one repeat of a cell.
type sample struct {
	result *load.Result
	opened float64  // connections of hosts, a request
	cpu    CPU      // microseconds a request, from the processes' scheduler times
	model  *ModelNS // nil without a card in the path
	memory int64    // of the proxy with idleConnections, KiB; 0 where it was not looked at
	gbps   float64  // bulk throughput; 0 in repeats and experiments without it
}

// plan is the order of a run: every repeat visits every cell once, connection
// count by connection count, the systems rotated by one each repeat, so that a
// drift of the machine falls on all of them alike.
func plan(cells []cell, repeats int) []int {
	byConns := map[int][]int{}
	var order []int
	for i, c := range cells {
		if byConns[c.connections] == nil {
			order = append(order, c.connections)
		}
		byConns[c.connections] = append(byConns[c.connections], i)
	}
	var out []int
	for r := range repeats {
		for _, conns := range order {
			group := byConns[conns]
			for k := range group {
				out = append(out, group[(k+r)%len(group)])
			}
		}
	}
	return out
}

// runCells measures all cells, interleaved, and returns one System for each in
// the order given. The first system of the slice is the baseline of the ratios.
func runCells(ctx context.Context, cells []cell, repeats int, progress func(done, total int)) ([]System, error) {
	samples := make([][]sample, len(cells))
	steps := plan(cells, repeats)
	for k, i := range steps {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		progress(k, len(steps))
		c := cells[i]
		if c.absent != "" {
			continue
		}
		s, err := c.measure(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				return nil, cause
			}
			return nil, fmt.Errorf("bench: %s at %d connections: %w", c.name, c.connections, err)
		}
		samples[i] = append(samples[i], s)
	}
	progress(len(steps), len(steps))
	return summarise(cells, samples), nil
}

// summarise turns repeats into rows: medians over the repeats, and ratios taken
// within each repeat before their median.
func summarise(cells []cell, samples [][]sample) []System {
	type at struct {
		name        string
		connections int
	}
	by := map[at][]sample{}
	type hop struct {
		at
		hops int
	}
	hops := map[hop][]sample{}
	for i, c := range cells {
		hops[hop{at{c.name, c.connections}, c.hops}] = samples[i]
		if k := (at{c.name, c.connections}); by[k] == nil {
			by[k] = samples[i]
		}
	}
	rows := make([]System, len(cells))
	for i, c := range cells {
		baseline := by[at{cells[0].name, c.connections}]
		rows[i] = row(c, samples[i], baseline)
		if c.beside != nil {
			others := map[string][]sample{}
			for _, name := range c.beside {
				if o := hops[hop{at{name, c.connections}, c.hops}]; o != nil && name != c.name {
					others[name] = o
				}
			}
			rows[i].Added = added(samples[i], baseline, cells[0].name, others)
		}
		if own := by[at{c.baseline, c.connections}]; c.baseline != "" && rows[i].Absent == nil {
			if a, b := answeredBoth(samples[i], own); len(a) > 0 {
				rows[i].Baseline, rows[i].ToBaseline = c.baseline, ratioTo(a, b)
			}
		}
		if like := by[at{c.like, c.connections}]; c.like != "" {
			rows[i].EmuUS = emu(samples[i], like, c.like)
			rows[i].ProjectedUS = projected(samples[i], like, c.like)
		}
	}
	return rows
}

func row(c cell, samples, baseline []sample) System {
	s := System{Name: c.name, Connections: c.connections, Hops: c.hops, Varies: c.varies, VariantOf: c.of}
	if c.absent != "" {
		s.Absent = &c.absent
		return s
	}
	at := func(of func(sample) float64) []float64 {
		var v []float64
		for _, x := range samples {
			v = append(v, of(x))
		}
		return v
	}
	for _, x := range samples {
		s.N += x.result.N
		s.Errors += x.result.Errors.Total()
	}
	s.RPS = median(at(func(x sample) float64 { return x.result.RPS }))
	s.Gbps = median(slices.DeleteFunc(at(func(x sample) float64 { return x.gbps }), func(v float64) bool { return v == 0 }))
	opened := median(at(func(x sample) float64 { return x.opened }))
	s.Opened = &opened
	s.CPU = &CPU{
		Generator: median(at(func(x sample) float64 { return x.cpu.Generator })),
		Proxy:     median(at(func(x sample) float64 { return x.cpu.Proxy })),
		NIC:       median(at(func(x sample) float64 { return x.cpu.NIC })),
		Services:  median(at(func(x sample) float64 { return x.cpu.Services })),
	}
	if s.ModelNS = modelNS(samples); s.ModelNS == nil {
		s.Unmodelled = c.unmodelled
	}
	for _, x := range samples {
		if x.memory > 0 {
			s.ProxyKiB = &ProxyMemory{Idle1000: x.memory}
		}
	}
	if samples, baseline = answeredBoth(samples, baseline); len(samples) == 0 {
		why := "no request was answered, by it or by the baseline"
		s.Absent = &why
		return s
	}
	p50, p90 := at(p50), at(p90)
	s.WallUS = &Quantiles{
		P50:  median(p50),
		P90:  median(p90),
		P99:  median(at(func(x sample) float64 { return x.result.WallUS.P99 })),
		P999: median(at(func(x sample) float64 { return x.result.WallUS.P999 })),
		Max:  median(at(func(x sample) float64 { return x.result.WallUS.Max })),
	}
	s.Spread = &Spread{P50Min: slices.Min(p50), P50Max: slices.Max(p50), P90Min: slices.Min(p90), P90Max: slices.Max(p90)}
	s.Ratio = ratioTo(samples, baseline)
	s.CDF = cdf(samples)
	return s
}

// modelNS is nil where no repeat has the model's time.
func modelNS(samples []sample) *ModelNS {
	var m ModelNS
	var p50, request, frames, share []float64
	for _, x := range samples {
		if x.model == nil {
			continue
		}
		p50, request, frames = append(p50, x.model.P50), append(request, x.model.PerRequest), append(frames, x.model.Frames)
		share = append(share, x.model.Share)
		m.Lost += x.model.Lost
	}
	if len(p50) == 0 {
		return nil
	}
	m.P50, m.PerRequest, m.Frames, m.Share = median(p50), median(request), median(frames), median(share)
	return &m
}

// answeredBoth leaves out the repeats in which either side answered nothing: a
// window that ends before the first answer has no latency. Their errors count.
func answeredBoth(samples, baseline []sample) (a, b []sample) {
	for i, s := range samples {
		if s.result.N == 0 || i >= len(baseline) || baseline[i].result.N == 0 {
			continue
		}
		a, b = append(a, s), append(b, baseline[i])
	}
	return a, b
}

func p50(s sample) float64 { return s.result.WallUS.P50 }
func p90(s sample) float64 { return s.result.WallUS.P90 }

func ratioTo(samples, baseline []sample) *Ratio {
	var r50, r90 []float64
	for i := range samples {
		r50 = append(r50, p50(samples[i])/p50(baseline[i]))
		r90 = append(r90, p90(samples[i])/p90(baseline[i]))
	}
	return &Ratio{P50: median(r50), P90: median(r90)}
}

// cdf is the distribution over all repeats together, in at most cdfPoints.
func cdf(samples []sample) []Point {
	all := load.NewHist()
	for _, s := range samples {
		all.Merge(s.result.Hist)
	}
	var points []Point
	for _, p := range all.CDF(cdfPoints) {
		points = append(points, Point(p))
	}
	return points
}

const cdfPoints = 60

// median of v; 0 for none. It does not change v.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	m := len(s) / 2
	if len(s)%2 == 1 {
		return s[m]
	}
	return (s[m-1] + s[m]) / 2
}

// perRequest converts CPU time to microseconds a request.
func perRequest(d time.Duration, requests uint64) float64 {
	if requests == 0 {
		return 0
	}
	return math.Round(float64(d.Nanoseconds())/float64(requests)) / 1e3
}
