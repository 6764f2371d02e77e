package matchaction

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Learned says what Learn did.
type Learned uint8

// The outcomes.
const (
	LearnedNew  Learned = iota
	LearnedSame         // known at this port; its age starts again
	LearnedMove         // was known at another port
	LearnStatic         // a static entry has the key: nothing changed
	LearnFull           // no room: nothing changed
)

// learnSweep is how many rows Learn looks at for an old one when it finds the
// table full.
const learnSweep = 16

// Learn notes that packets with key k go to port. It is for exact tables.
func (t *Table) Learn(k Key, port datapath.Port, now sim.Cycle) Learned {
	if t.kind != Exact {
		panic("matchaction: Learn on a table that is not exact")
	}
	ports := datapath.PortSet(0).Add(port)
	n := t.probe(&k, 0)
	if n == none {
		if n = t.insert(&k, 0); n == none {
			t.Age(now, learnSweep)
			if n = t.insert(&k, 0); n == none {
				t.stats.LearnFull++
				return LearnFull
			}
		}
		r := &t.rows[n]
		r.learned, r.ports, r.seen = true, ports, now
		t.stats.Learned++
		return LearnedNew
	}
	r := &t.rows[n]
	switch {
	case !r.learned:
		if to, ok := r.to(); !ok || to&ports == 0 {
			t.stats.StaticKept++
		}
		return LearnStatic
	case r.ports == ports:
		r.seen = now
		return LearnedSame
	}
	r.ports, r.seen = ports, now
	t.stats.Moved++
	return LearnedMove
}

// to returns where a row sends packets.
func (r *row) to() (datapath.PortSet, bool) {
	if r.learned {
		return r.ports, true
	}
	if n := len(r.actions); n > 0 && r.actions[n-1].Op == OpForward {
		return r.actions[n-1].Ports, true
	}
	return 0, false
}

// Get looks k up in an exact table without a packet: where it goes, by a learned
// entry or by a static one whose last action is Forward. It counts a hit or a
// miss, of no bytes.
func (t *Table) Get(k Key, now sim.Cycle) (datapath.PortSet, bool) {
	r := t.lookup(&k, now, 0)
	if r == nil {
		t.stats.Miss.Packets++
		return 0, false
	}
	t.stats.Hit.Packets++
	r.hits.Packets++
	return r.to()
}

// Age looks at the next n rows and forgets learned ones that have outlived
// MaxAge. It returns how many. Lookups never see such rows in any case: Age only
// makes room.
func (t *Table) Age(now sim.Cycle, n int) (aged int) {
	for range min(n, t.fresh) {
		if t.sweep >= t.fresh {
			t.sweep = 0
		}
		if r := &t.rows[t.sweep]; r.used && t.old(r, now) {
			t.remove(int32(t.sweep))
			aged++
		}
		t.sweep++
	}
	t.stats.Aged += uint64(aged)
	return aged
}

// Forget removes all learned entries of a port, as when its link goes down, and
// returns how many.
func (t *Table) Forget(port datapath.Port) (n int) {
	for i := range t.rows[:t.fresh] {
		if r := &t.rows[i]; r.used && r.learned && r.ports.Has(port) {
			t.remove(int32(i))
			n++
		}
	}
	return n
}
