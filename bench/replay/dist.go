package replay

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// distinct is how many different values a dist keeps exactly.
const distinct = 1 << 16

// hotBits is for as many values as the phases of two clocks give.
const hotBits = 12

// dist is a distribution of durations in bounded memory. Sum, least and greatest
// are exact, quantiles too while there are at most 65536 different values; with
// more they are rounded down by less than 0.1 %.
type dist struct {
	n        uint64
	sum      sim.Picos
	min, max sim.Picos
	coarse   bool
	hot      [1 << hotBits]count // the values of late, each in one place
	all      map[sim.Picos]uint64
}

type count struct {
	v sim.Picos
	n uint64
}

func (d *dist) add(v sim.Picos) {
	if d.n == 0 || v < d.min {
		d.min = v
	}
	d.max = max(d.max, v)
	d.n++
	d.sum += v
	c := &d.hot[uint64(v)*0x9e3779b97f4a7c15>>(64-hotBits)]
	if c.v != v {
		d.keep(*c)
		*c = count{v: v}
	}
	c.n++
}

// keep moves a count to where there is room for all.
func (d *dist) keep(c count) {
	if c.n == 0 {
		return
	}
	if d.all == nil {
		d.all = map[sim.Picos]uint64{}
	}
	if d.coarse {
		c.v = round(c.v)
	}
	if d.all[c.v] += c.n; len(d.all) <= distinct || d.coarse {
		return
	}
	d.coarse = true
	fine := d.all
	d.all = map[sim.Picos]uint64{}
	for v, n := range fine {
		d.all[round(v)] += n
	}
}

// round keeps the highest eleven bits of a duration.
func round(v sim.Picos) sim.Picos {
	if n := bits.Len64(uint64(v)) - 11; n > 0 {
		return v >> n << n
	}
	return v
}

// Spread is how a duration is spread over frames.
type Spread struct {
	MinNs  trace.Nanos `json:"min_ns"`
	MeanNs float64     `json:"mean_ns"`
	P50Ns  trace.Nanos `json:"p50_ns"`
	P90Ns  trace.Nanos `json:"p90_ns"`
	P99Ns  trace.Nanos `json:"p99_ns"`
	P999Ns trace.Nanos `json:"p99.9_ns"`
	MaxNs  trace.Nanos `json:"max_ns"`
}

// spread is nil of nothing.
func (d *dist) spread() *Spread {
	if d.n == 0 {
		return nil
	}
	for i := range d.hot {
		d.keep(d.hot[i])
		d.hot[i].n = 0
	}
	var at [4]trace.Nanos
	seen, i := uint64(0), 0
	ranks := [4]float64{.5, .9, .99, .999}
	for _, v := range slices.Sorted(maps.Keys(d.all)) {
		seen += d.all[v]
		for ; i < len(ranks) && float64(seen) >= ranks[i]*float64(d.n); i++ {
			at[i] = trace.Nanos(v)
		}
	}
	return &Spread{trace.Nanos(d.min), d.sum.Nanos() / float64(d.n), at[0], at[1], at[2], at[3], trace.Nanos(d.max)}
}
