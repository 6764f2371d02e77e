package report

import (
	"math"
	"slices"
	"strconv"
)

// scale maps values to pixels, linearly or by logarithm. From may lie to the
// right of or below To.
type scale struct {
	low, high float64 // values at the ends
	from, to  float64 // pixels at the ends
	log       bool
	ticks     []float64
}

// at returns the pixel of a value, held within the ends.
func (s scale) at(v float64) float64 {
	lo, hi := s.low, s.high
	if s.log {
		v, lo, hi = math.Log(v), math.Log(lo), math.Log(hi)
	}
	if !finite(v) || hi == lo {
		return s.from
	}
	share := min(max((v-lo)/(hi-lo), 0), 1)
	return s.from + share*(s.to-s.from)
}

// linear covers values and the given extra ones with round ticks, about n of them.
func linear(values []float64, from, to float64, n int, include ...float64) scale {
	lo, hi := bounds(append(slices.Clone(values), include...), false)
	if lo == hi {
		lo, hi = lo-math.Max(math.Abs(lo)*.1, .5), hi+math.Max(math.Abs(hi)*.1, .5)
	}
	step := nice((hi - lo) / float64(max(n, 1)))
	first, last := math.Floor(lo/step+1e-9), math.Ceil(hi/step-1e-9)
	s := scale{low: first * step, high: last * step, from: from, to: to}
	for i := first; i <= last && len(s.ticks) < 50; i++ {
		s.ticks = append(s.ticks, i*step)
	}
	return s
}

// nice rounds a step up to 1, 2 or 5 times a power of ten.
func nice(step float64) float64 {
	if !finite(step) || step <= 0 {
		return 1
	}
	p := math.Pow(10, math.Floor(math.Log10(step)))
	for _, m := range []float64{1, 2, 5} {
		if step <= m*p*(1+1e-9) {
			return m * p
		}
	}
	return 10 * p
}

// logarithmic covers positive values with a little room and ticks at 1, 2, 5.
func logarithmic(values []float64, from, to float64) scale {
	lo, hi := bounds(values, true)
	lo, hi = max(lo, hi/1e9)/1.12, hi*1.12 // nine decades are all that can be read
	s := scale{low: lo, high: hi, from: from, to: to, log: true}
	steps := []float64{1, 2, 5}
	if hi/lo > 2000 {
		steps = []float64{1}
	}
	for e := math.Floor(math.Log10(lo)); e <= math.Log10(hi); e++ {
		for _, m := range steps {
			if t := m * math.Pow(10, e); t >= lo && t <= hi {
				s.ticks = append(s.ticks, t)
			}
		}
	}
	return s
}

// counts is the axis of connections: logarithmic, with a tick at each count
// and half a step of room on both sides.
func counts(conns []int, from, to float64) scale {
	s := scale{low: 1, high: 2, from: from, to: to, log: true}
	if len(conns) == 0 {
		return s
	}
	s.low, s.high = float64(max(conns[0], 1)), float64(max(conns[len(conns)-1], 1))
	pad := math.Pow(s.high/s.low, .06)
	if s.low == s.high {
		pad = 2
	}
	s.low, s.high = s.low/pad, s.high*pad
	for _, c := range conns {
		s.ticks = append(s.ticks, float64(c))
	}
	return s
}

// largest value that an axis covers: in microseconds, thirty years. It keeps
// arithmetic on nonsense finite.
const largest = 1e15

// bounds of the usable values: not absurd and, for a logarithm, above 0.
func bounds(values []float64, positive bool) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		if math.Abs(v) <= largest && (!positive || v > 0) {
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		return 1, 1
	}
	return lo, hi
}

// tickLabel writes a tick as short as it can be exact.
func tickLabel(v float64) string {
	return strconv.FormatFloat(math.Round(v*1e6)/1e6, 'f', -1, 64)
}

// dodge moves label centres apart until no two are closer than gap, each as
// little as possible (least squares over runs that touch), within low..high
// as far as they fit. It returns the new centres in the order of the input.
func dodge(centres []float64, gap, low, high float64) []float64 {
	order := make([]int, len(centres))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case centres[a] < centres[b]:
			return -1
		case centres[a] > centres[b]:
			return 1
		}
		return 0
	})
	type block struct {
		sum  float64 // of the first label's wanted place, over the members
		n    int
		head float64
	}
	var blocks []block
	place := func(b *block) {
		b.head = b.sum / float64(b.n)
		b.head = max(min(b.head, high-gap*float64(b.n-1)), low)
	}
	for _, i := range order {
		b := block{sum: centres[i], n: 1}
		place(&b)
		for len(blocks) > 0 {
			p := blocks[len(blocks)-1]
			if p.head+gap*float64(p.n) <= b.head {
				break
			}
			b = block{sum: p.sum + b.sum - gap*float64(p.n*b.n), n: p.n + b.n}
			place(&b)
			blocks = blocks[:len(blocks)-1]
		}
		blocks = append(blocks, b)
	}
	out := make([]float64, len(centres))
	k := 0
	for _, b := range blocks {
		for j := range b.n {
			out[order[k]] = b.head + gap*float64(j)
			k++
		}
	}
	return out
}
