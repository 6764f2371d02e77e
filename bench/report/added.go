package report

import (
	"math"

	"github.com/meshnic/meshnic/bench"
)

// besides are the systems that what a hop adds is compared with.
func besides() []string { return []string{"envoy", "haproxy", "nginx"} }

// addedOfMedians is what a row adds to base, for documents that do not say it
// themselves: of the medians, not within repeats.
func (v *view) addedOfMedians(r, base *row) *bench.Added {
	a := &bench.Added{To: base.Name, P50US: r.WallUS.P50 - base.WallUS.P50, Beside: map[string]bench.Times{}}
	positive := func(x, y float64) *float64 {
		if y <= 0 {
			return nil
		}
		x /= y
		return &x
	}
	for _, name := range besides() {
		o := v.at(name, r.Connections, r.Hops)
		if o == nil || name == r.Name {
			continue
		}
		t := bench.Times{AddedP50: positive(a.P50US, o.WallUS.P50-base.WallUS.P50), RPS: r.RPS / o.RPS}
		if r.CPU != nil && o.CPU != nil {
			t.CPU = positive(r.CPU.Hop(), o.CPU.Hop())
		}
		a.Beside[name] = t
	}
	return a
}

// perHop is what each proxy or NIC of a row adds, us.
func (r *row) perHop() float64 { return r.Added.P50US / float64(max(r.Hops, 1)) }

// addedTo is a row's added p50 over another system's; NaN without.
func (r *row) addedTo(name string) float64 {
	if t, ok := r.Added.Beside[name]; ok {
		return orNaN(t.AddedP50)
	}
	return math.NaN()
}

func (r *row) rpsTo(name string) float64 {
	if t, ok := r.Added.Beside[name]; ok {
		return t.RPS
	}
	return math.NaN()
}

func (r *row) hopCPUTo(name string) float64 {
	if t, ok := r.Added.Beside[name]; ok {
		return orNaN(t.CPU)
	}
	return math.NaN()
}

func orNaN(f *float64) float64 {
	if f == nil {
		return math.NaN()
	}
	return *f
}

func hasAdded(r *row) bool { return r.Added != nil }

// addedColumns are hop's own: what a hop adds, and how that, the throughput and the
// hop's CPU compare with other proxies'.
func (v *view) addedColumns() []column {
	cols := append(columns(v)[:3:3],
		column{unit: "added wall_us", name: "p50", cell: us, value: func(_ *view, r *row) float64 { return r.Added.P50US }},
		column{unit: "added wall_us", name: "p50 a hop", page: true, cell: us, value: func(_ *view, r *row) float64 { return r.perHop() }})
	times := func(unit, name string, of func(*row, string) float64) {
		c := column{unit: unit, name: "x " + name, cell: ratio, value: func(_ *view, r *row) float64 { return of(r, name) }}
		if v.any(func(r row) bool { return r.Added != nil && finite(of(&r, name)) }) {
			cols = append(cols, c)
		}
	}
	times("added p50", "envoy", (*row).addedTo)
	times("added p50", "haproxy", (*row).addedTo)
	for _, name := range besides() {
		times("requests/s", name, (*row).rpsTo)
	}
	if v.any(func(r row) bool { return r.CPU != nil }) {
		cols = append(cols, cpu("of the hop", (*bench.CPU).Hop))
	}
	times("hop's cpu", "envoy", (*row).hopCPUTo)
	return cols
}

// addedCaption says what the figures of addedColumns are.
func (v *view) addedCaption() string {
	how := "within each repeat, the median"
	if !v.within {
		how = "of the medians"
	}
	return "Added over " + v.base + " at the same connections, and x other proxies with as many hops: " + how
}
