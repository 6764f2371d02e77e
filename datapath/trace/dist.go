package trace

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// distinct is how many different values a dist keeps exactly.
const distinct = 4096

// dist is a distribution of durations in bounded memory. Its sum and maximum
// are exact, its quantiles too while there are at most 4096 different values;
// with more they are rounded down by less than 0.1 %.
type dist struct {
	n      uint64
	sum    sim.Picos
	max    sim.Picos
	coarse bool
	values map[sim.Picos]*bucket
}

// bucket is one value, or some next to each other.
type bucket struct {
	n       uint64
	example *Fall // of the lowest frame
}

func (d *dist) add(v sim.Picos, example *Fall) {
	if d.values == nil {
		d.values = map[sim.Picos]*bucket{}
		d.max = v
	}
	d.n++
	d.sum += v
	d.max = max(d.max, v)
	k := v
	if d.coarse {
		k = round(v)
	}
	b := d.values[k]
	if b == nil {
		b = &bucket{}
		d.values[k] = b
	}
	b.n++
	if example != nil && (b.example == nil || example.Frame < b.example.Frame) {
		b.example = example.clone()
	}
	if !d.coarse && len(d.values) > distinct {
		d.merge()
	}
}

// merge puts values that are near each other together.
func (d *dist) merge() {
	d.coarse = true
	old := d.values
	d.values = map[sim.Picos]*bucket{}
	for _, v := range slices.Sorted(maps.Keys(old)) {
		b, k := old[v], round(v)
		if to := d.values[k]; to == nil {
			d.values[k] = b
		} else {
			to.n += b.n
			if b.example != nil && b.example.Frame < to.example.Frame {
				to.example = b.example
			}
		}
	}
}

// round keeps the highest eleven bits.
func round(v sim.Picos) sim.Picos {
	if v < 0 {
		return -round(-v)
	}
	if n := bits.Len64(uint64(v)) - 11; n > 0 {
		return v >> n << n
	}
	return v
}

// quantiles returns the values at the ranks of qs, which ascend from 0 to 1,
// and examples of them.
func (d *dist) quantiles(qs ...float64) ([]sim.Picos, []*Fall) {
	values, examples := make([]sim.Picos, len(qs)), make([]*Fall, len(qs))
	seen, i := uint64(0), 0
	for _, v := range slices.Sorted(maps.Keys(d.values)) {
		b := d.values[v]
		seen += b.n
		for ; i < len(qs) && float64(seen) >= qs[i]*float64(d.n); i++ {
			values[i], examples[i] = v, b.example
		}
	}
	return values, examples
}

func (f *Fall) clone() *Fall {
	c := *f
	c.Shares = slices.Clone(f.Shares)
	return &c
}
