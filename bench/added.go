package bench

import (
	"math"
	"slices"
)

// Added is what the proxies or NICs in the path of a row put on top of the first
// system's path, and how that compares with other proxies. Every figure is taken
// within a repeat; each is the median over the repeats.
type Added struct {
	To     string           `json:"to"`              // the first system
	P50US  float64          `json:"p50_us"`          // wall p50 beyond its
	Beside map[string]Times `json:"times,omitempty"` // by system, with as many hops and connections
}

// Times is a row over another one.
type Times struct {
	AddedP50 *float64 `json:"added_p50"`      // null if that one added nothing, in some repeat
	RPS      float64  `json:"requests_per_s"` // throughput
	CPU      *float64 `json:"hop_cpu"`        // host CPU a request of proxies and NIC; null if that one used none
}

// added compares the repeats of a system with the baseline's and with those of
// the others, by name. Nil if nothing was answered.
func added(samples, baseline []sample, to string, others map[string][]sample) *Added {
	own, base := answeredBoth(samples, baseline)
	if len(own) == 0 {
		return nil
	}
	a := &Added{To: to, P50US: median(differences(own, base, p50)), Beside: map[string]Times{}}
	for name, other := range others {
		if t, ok := times(samples, baseline, other); ok {
			a.Beside[name] = t
		}
	}
	return a
}

// times takes the ratios in the repeats in which all three have answered.
func times(samples, baseline, other []sample) (t Times, ok bool) {
	var more, rps, cpu []float64
	for i := range min(len(samples), len(baseline), len(other)) {
		s, b, o := samples[i], baseline[i], other[i]
		if s.result.N == 0 || b.result.N == 0 || o.result.N == 0 {
			continue
		}
		ok = true
		rps = append(rps, s.result.RPS/o.result.RPS)
		more = append(more, over(p50(s)-p50(b), p50(o)-p50(b)))
		cpu = append(cpu, over(s.cpu.Hop(), o.cpu.Hop()))
	}
	return Times{AddedP50: allFinite(more), RPS: median(rps), CPU: allFinite(cpu)}, ok
}

// Hop is the CPU time of what is between generator and services, us a request.
func (c *CPU) Hop() float64 { return c.Proxy + c.NIC }

// over is a ratio to something positive, NaN to anything else.
func over(a, b float64) float64 {
	if b <= 0 {
		return math.NaN()
	}
	return a / b
}

// allFinite is the median of v, or nil if one of them is none.
func allFinite(v []float64) *float64 {
	if len(v) == 0 || slices.ContainsFunc(v, math.IsNaN) {
		return nil
	}
	m := median(v)
	return &m
}
