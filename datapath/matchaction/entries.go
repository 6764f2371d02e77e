package matchaction

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/meshnic/meshnic/datapath"
)

// Add makes an entry. It fails with ErrExists if one has the same match, of
// whatever priority, and with ErrFull. An entry takes the place of a learned one
// with its match.
func (t *Table) Add(e Entry) error {
	k, mask, prefix, err := t.layout.pattern(e.Match)
	if err == nil {
		err = checkActions(e.Actions)
	}
	if err != nil {
		return fmt.Errorf("matchaction: table %q: %w", t.cfg.Name, err)
	}
	tu := t.makeTuple(&k, &mask, prefix)
	n := t.probe(&k, tu)
	switch {
	case n != none && !t.rows[n].learned:
		return fmt.Errorf("matchaction: table %q: %w", t.cfg.Name, ErrExists)
	case n == none:
		if n = t.insert(&k, tu); n == none {
			return fmt.Errorf("matchaction: table %q: %w (%d entries)", t.cfg.Name, ErrFull, t.cfg.Capacity)
		}
	}
	r := &t.rows[n]
	r.learned = false
	r.actions = t.resolve(e.Actions)
	r.priority = e.Priority
	if of := &t.tuples[tu]; of.rows == 1 || e.Priority > of.highest {
		of.highest = e.Priority
		t.reorder()
	}
	return nil
}

// Delete removes the entry with a match.
func (t *Table) Delete(match ...Match) error {
	n, err := t.find(match)
	if err != nil {
		return err
	}
	was := t.rows[n]
	t.remove(n)
	of := &t.tuples[was.tuple]
	if t.kind == Ternary && was.priority == of.highest {
		of.highest = t.highest(was.tuple)
	}
	t.reorder()
	return nil
}

func (t *Table) highest(tuple int32) int {
	p := math.MinInt
	for i := range t.rows[:t.fresh] {
		if r := &t.rows[i]; r.used && r.tuple == tuple {
			p = max(p, r.priority)
		}
	}
	return p
}

// Hits returns the counter of the entry with a match.
func (t *Table) Hits(match ...Match) (Counter, error) {
	n, err := t.find(match)
	if err != nil {
		return Counter{}, err
	}
	return t.rows[n].hits, nil
}

// find returns the row with exactly a match, not the one a packet would hit.
func (t *Table) find(match []Match) (int32, error) {
	k, mask, prefix, err := t.layout.pattern(match)
	if err != nil {
		return none, fmt.Errorf("matchaction: table %q: %w", t.cfg.Name, err)
	}
	if tu := t.tupleOf(&k, &mask, prefix); tu != none {
		if n := t.probe(&k, tu); n != none {
			return n, nil
		}
	}
	return none, fmt.Errorf("matchaction: table %q: %w", t.cfg.Name, ErrNotFound)
}

// SetMiss changes what becomes of packets that match no entry.
func (t *Table) SetMiss(actions ...Action) error {
	if err := checkActions(actions); err != nil {
		return fmt.Errorf("matchaction: table %q: %w", t.cfg.Name, err)
	}
	t.miss = t.resolve(actions)
	return nil
}

// resolve copies actions and binds names to counters.
func (t *Table) resolve(actions []Action) []Action {
	out := slices.Clone(actions)
	for i := range out {
		if out[i].Op != OpCount {
			continue
		}
		n := slices.Index(t.names, out[i].Name)
		if n < 0 {
			n = len(t.names)
			t.names = append(t.names, out[i].Name)
			t.counters = append(t.counters, Counter{})
		}
		out[i].counter = n
	}
	return out
}

// tupleOf returns the tuple of a mask, or none.
func (t *Table) tupleOf(k, mask *Key, prefix int) int32 {
	only := t.layout.only(k, prefix)
	for i := range t.tuples {
		if tu := &t.tuples[i]; tu.mask == *mask && tu.only == only && (tu.rows > 0 || t.kind == Exact) {
			return int32(i)
		}
	}
	return none
}

// makeTuple returns the tuple of a mask, if need be a new one or an empty one.
func (t *Table) makeTuple(k, mask *Key, prefix int) int32 {
	if i := t.tupleOf(k, mask, prefix); i != none {
		return i
	}
	i := slices.IndexFunc(t.tuples, func(tu tuple) bool { return tu.rows == 0 })
	if i < 0 {
		i = len(t.tuples)
		t.tuples = append(t.tuples, tuple{})
	}
	t.tuples[i] = tuple{mask: *mask, prefix: prefix, only: t.layout.only(k, prefix)}
	return int32(i)
}

// only returns the header that packets must have for a prefix of addresses.
func (l *layout) only(k *Key, prefix int) datapath.Header {
	switch {
	case !l.family:
		return 0
	case prefix >= mappedBits && l.mapped(k):
		return datapath.HdrIPv4
	}
	return datapath.HdrIPv6
}

// mapped reports whether the LPM field of k holds an IPv4-mapped address.
func (l *layout) mapped(k *Key) bool {
	for _, f := range l.fields {
		if f.Kind != LPM {
			continue
		}
		w, s := f.off/64, f.off%64
		lo, hi := k[w]>>s, k[w+1]>>s
		if s > 0 {
			lo |= k[w+1] << (64 - s)
			hi |= k[w+2] << (64 - s)
		}
		return hi == 0 && lo>>32 == 0xffff
	}
	return false
}

// reorder sorts the tuples in use into the order they are probed in.
func (t *Table) reorder() {
	if t.kind == Exact {
		return
	}
	t.order = t.order[:0]
	for i := range t.tuples {
		if t.tuples[i].rows > 0 {
			t.order = append(t.order, int32(i))
		}
	}
	slices.SortStableFunc(t.order, func(a, b int32) int {
		x, y := &t.tuples[a], &t.tuples[b]
		if t.kind == LPM {
			return cmp.Compare(y.prefix, x.prefix)
		}
		return cmp.Compare(y.highest, x.highest)
	})
}

// Stats returns the counters so far.
func (t *Table) Stats() Stats { return t.stats }

// Counters returns the counters that Count actions name, in the order the names
// were first used.
func (t *Table) Counters() iter.Seq2[string, Counter] {
	return func(yield func(string, Counter) bool) {
		for i, name := range t.names {
			if !yield(name, t.counters[i]) {
				return
			}
		}
	}
}

// Shown is a copy of one entry of an exact table, for display.
type Shown struct {
	Key     Key
	Ports   datapath.PortSet // of a learned entry
	Actions []Action         // of one made by Add
	Learned bool
	Hits    Counter
}

// Entries returns all entries, in no particular order but the same in each run.
func (t *Table) Entries() iter.Seq[Shown] {
	return func(yield func(Shown) bool) {
		for i := range t.rows[:t.fresh] {
			r := &t.rows[i]
			if r.used && !yield(Shown{r.key, r.ports, slices.Clone(r.actions), r.learned, r.hits}) {
				return
			}
		}
	}
}
