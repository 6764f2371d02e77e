package matchaction

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
)

// MaxCapacity bounds Config.Capacity.
const MaxCapacity = 1 << 24

// Errors that callers tell apart.
var (
	ErrFull     = errors.New("table is full")
	ErrExists   = errors.New("an entry with this match exists")
	ErrNotFound = errors.New("no entry with this match")
)

// Config is fixed when a table is built.
type Config struct {
	Name     string
	Key      []KeyField
	Capacity int       // entries
	Miss     []Action  // for packets that match no entry; none continues
	MaxAge   sim.Cycle // how long a learned entry lives without being learned again; 0 for ever
	Seed     uint64    // of the hash; the same seed gives the same table
}

// Entry is one row of a table.
type Entry struct {
	Match    []Match // one for each key field
	Priority int     // of ternary tables: the highest wins
	Actions  []Action
}

// Counter is how many packets, and bytes of frames, something has met.
type Counter struct{ Packets, Bytes uint64 }

// Stats are a table's counters. Each is monotonic, except Entries.
type Stats struct {
	Entries    int
	Hit, Miss  Counter
	SetAbsent  uint64 // SetField on packets without the header
	Learned    uint64 // entries made by Learn
	Moved      uint64 // learned entries that changed port
	Aged       uint64 // learned entries forgotten because old
	LearnFull  uint64 // not learned: no room
	StaticKept uint64 // not learned: a static entry says otherwise
}

// row is an entry as it is held.
type row struct {
	key      Key
	actions  []Action
	ports    datapath.PortSet // of a learned entry, instead of actions
	seen     sim.Cycle        // when a learned entry was learned last
	hits     Counter
	priority int
	tuple    int32
	learned  bool
	used     bool
}

// tuple is all entries with one mask.
type tuple struct {
	mask    Key
	prefix  int             // length, of LPM tables
	only    datapath.Header // for packets with this header, of LPM tables over addresses
	rows    int
	highest int // priority of its rows, of ternary tables
}

// Table is a match-action stage. Its methods are for one goroutine.
type Table struct {
	cfg    Config
	kind   Kind
	layout layout

	rows  []row
	free  []int32
	fresh int
	slots []slot // open addressing, linear probing, twice as many as rows
	shift uint

	tuples []tuple
	order  []int32 // of tuples with rows, in the order they are probed

	miss     []Action
	names    []string
	counters []Counter
	stats    Stats
	sweep    int
}

// slot points to a row; tag is part of the hash.
type slot struct {
	tag uint32
	row int32 // plus one; 0 is empty
}

// New returns an empty table with all its memory.
func New(cfg Config) (*Table, error) {
	layout, kind, err := newLayout(cfg.Key)
	if err != nil {
		return nil, err
	}
	if cfg.Capacity < 1 || cfg.Capacity > MaxCapacity {
		return nil, fmt.Errorf("matchaction: table %q: capacity is %d, want 1 to %d", cfg.Name, cfg.Capacity, MaxCapacity)
	}
	slots := 1 << bits.Len(uint(2*cfg.Capacity-1))
	t := &Table{
		cfg: cfg, kind: kind, layout: layout,
		rows:  make([]row, cfg.Capacity),
		free:  make([]int32, 0, cfg.Capacity),
		slots: make([]slot, slots),
		shift: uint(64 - bits.Len(uint(slots-1))),
	}
	if kind == Exact {
		t.tuples = []tuple{{}}
		for _, f := range layout.fields {
			t.tuples[0].mask.or(ones(f.width), f.off, f.width)
		}
		t.order = []int32{0}
	}
	if err := t.SetMiss(cfg.Miss...); err != nil {
		return nil, err
	}
	return t, nil
}

// Name returns the table's name.
func (t *Table) Name() string { return t.cfg.Name }

// Process looks p up and applies the entry's actions, or those for a miss.
func (t *Table) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	k := t.layout.of(p)
	r := t.lookup(&k, now, p.PHV.Headers)
	n := uint64(len(p.Data))
	if r == nil {
		t.stats.Miss.Packets++
		t.stats.Miss.Bytes += n
		return t.run(t.miss, p)
	}
	t.stats.Hit.Packets++
	t.stats.Hit.Bytes += n
	r.hits.Packets++
	r.hits.Bytes += n
	if r.learned {
		p.Egress = r.ports
		return datapath.Forward
	}
	return t.run(r.actions, p)
}

// lookup returns the row that wins for k, or nil.
func (t *Table) lookup(k *Key, now sim.Cycle, headers datapath.Header) *row {
	if t.kind == Exact {
		r := t.row(t.probe(k, 0))
		if r != nil && t.old(r, now) {
			return nil
		}
		return r
	}
	var best *row
	for _, i := range t.order {
		tu := &t.tuples[i]
		switch {
		case t.kind == Ternary && best != nil && tu.highest <= best.priority:
			return best
		case headers&tu.only != tu.only:
			continue
		}
		masked := k.and(&tu.mask)
		r := t.row(t.probe(&masked, i))
		if r == nil {
			continue
		}
		if t.kind == LPM {
			return r
		}
		if best == nil || r.priority > best.priority {
			best = r
		}
	}
	return best
}

// row returns row n, nil if n is none.
func (t *Table) row(n int32) *row {
	if n < 0 {
		return nil
	}
	return &t.rows[n]
}

// none is the number of no row and of no tuple.
const none = -1

// probe returns the number of the row of a masked key, or none.
func (t *Table) probe(k *Key, tuple int32) int32 {
	if t.layout.words == 1 && t.kind == Exact {
		return t.probeWord(k[0])
	}
	h := t.hash(k, tuple)
	mask := uint64(len(t.slots) - 1)
	for i := h >> t.shift; ; i++ {
		s := t.slots[i&mask]
		if s.row == 0 {
			return none
		}
		if s.tag != uint32(h) {
			continue
		}
		if r := &t.rows[s.row-1]; r.tuple == tuple && r.key == *k {
			return s.row - 1
		}
	}
}

// probeWord is probe for exact tables with keys of one word, such as an eSwitch
// looks up twice a packet.
func (t *Table) probeWord(k uint64) int32 {
	h := hashWord(k, t.cfg.Seed)
	mask := uint64(len(t.slots) - 1)
	for i := h >> t.shift; ; i++ {
		s := t.slots[i&mask]
		if s.row == 0 {
			return none
		}
		if s.tag == uint32(h) && t.rows[s.row-1].key[0] == k {
			return s.row - 1
		}
	}
}

func (t *Table) hash(k *Key, tuple int32) uint64 {
	if t.layout.words == 1 && t.kind == Exact {
		return hashWord(k[0], t.cfg.Seed)
	}
	return k.hash(t.layout.words, t.cfg.Seed+uint64(tuple))
}

// old reports whether a learned row has outlived MaxAge.
func (t *Table) old(r *row, now sim.Cycle) bool {
	return r.learned && t.cfg.MaxAge != 0 && now > r.seen && now-r.seen > t.cfg.MaxAge
}

// insert makes a row, which must not exist. It returns none if there is no room.
func (t *Table) insert(k *Key, tuple int32) int32 {
	var n int32
	switch last := len(t.free) - 1; {
	case last >= 0:
		n = t.free[last]
		t.free = t.free[:last]
	case t.fresh < len(t.rows):
		n = int32(t.fresh)
		t.fresh++
	default:
		return none
	}
	h := t.hash(k, tuple)
	mask := uint64(len(t.slots) - 1)
	i := h >> t.shift
	for t.slots[i&mask].row != 0 {
		i++
	}
	t.slots[i&mask] = slot{uint32(h), n + 1}
	t.rows[n] = row{key: *k, tuple: tuple, used: true}
	t.tuples[tuple].rows++
	t.stats.Entries++
	return n
}

// remove takes a row out, and moves back what was pushed past its slot.
func (t *Table) remove(n int32) {
	r := &t.rows[n]
	mask := uint64(len(t.slots) - 1)
	i := t.hash(&r.key, r.tuple) >> t.shift
	for t.slots[i&mask].row != n+1 {
		i++
	}
	for hole := i; ; {
		i++
		s := t.slots[i&mask]
		if s.row == 0 {
			t.slots[hole&mask] = slot{}
			break
		}
		moved := &t.rows[s.row-1]
		home := t.hash(&moved.key, moved.tuple) >> t.shift
		if (i-home)&mask >= (i-hole)&mask {
			t.slots[hole&mask] = s
			hole = i
		}
	}
	t.tuples[r.tuple].rows--
	*r = row{}
	t.free = append(t.free, n)
	t.stats.Entries--
}
