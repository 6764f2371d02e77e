package card

import (
	"sort"

	"github.com/meshnic/meshnic/datapath/sim"
)

// store is what the (max,+) forms know of the beats in a stage's memory, by
// number: the edge at which each came, and the cycle after it left. It remembers as
// many as are inside, so that a memory that is mostly empty stays in the host's cache.
type store struct {
	out    *sim.Chan
	mask   uint64
	pushed uint64
	known  uint64 // beats of which it is known when they left
	gone   uint64 // beats before this are forgotten: they left before any that may still be asked about came
	came   []sim.Cycle
	left   []sim.Cycle
	sum    []uint32 // bytes of the beats up to this one
	total  uint32
	level  int    // highest after an edge at which one of the known beats came
	full   uint64 // beats that make it
	back   backs
}

func newStore(out *sim.Chan) store {
	s := store{out: out}
	s.resize(64)
	return s
}

// resize makes n places, a power of two.
func (s *store) resize(n int) {
	old, was := *s, s.mask
	s.mask = uint64(n - 1)
	s.came, s.left, s.sum = make([]sim.Cycle, n), make([]sim.Cycle, n), make([]uint32, n)
	for k := s.gone - min(s.gone, 1); k < s.pushed; k++ {
		s.came[k&s.mask], s.left[k&s.mask], s.sum[k&s.mask] = old.came[k&was], old.left[k&was], old.sum[k&was]
	}
}

// makeRoom makes sure of places for the next beats, which come at an edge or later.
func (s *store) makeRoom(beats uint64, at sim.Cycle) {
	if s.pushed+beats-s.gone <= s.mask {
		return
	}
	s.measureBack()
	if s.known < s.pushed {
		at = s.came[s.known&s.mask]
	}
	for s.gone < s.known && s.left[s.gone&s.mask] <= at {
		s.gone++
	}
	n := s.mask + 1
	for s.pushed+beats-s.gone > n/2 {
		n *= 2
	}
	if n > s.mask+1 {
		s.resize(int(n))
	}
}

// add adds the next beat.
func (s *store) add(at sim.Cycle, bytes uint16) {
	s.makeRoom(1, at)
	i := s.pushed & s.mask
	s.total += uint32(bytes)
	s.came[i], s.sum[i] = at, s.total
	s.pushed++
}

// enter is add for beats that came in the cycles before after.
func (s *store) enter(after []sim.Cycle, beat []sim.Beat) {
	if len(after) == 0 {
		return
	}
	s.makeRoom(uint64(len(after)), after[0]-1)
	for i, cycle := range after {
		k := s.pushed & s.mask
		s.total += uint32(beat[i].Bytes)
		s.came[k], s.sum[k] = cycle-1, s.total
		s.pushed++
	}
}

// collect looks what has left since it was called last.
func (s *store) collect() {
	taken := s.out.Taken()
	if s.known == taken {
		return
	}
	for ; s.known < taken; s.known++ {
		i := s.known & s.mask
		s.left[i] = s.out.Done(s.known)
		s.measure(s.known, s.came[i]+1)
	}
	s.measureBack()
}

func (s *store) measureBack() {
	if len(s.back) > 0 {
		s.level = s.back.measure(s.known, s.level, s.before)
		s.full = uint64(s.level / s.out.Wire.Width)
	}
}

// moved is add and collect for beats of which it is known when they came and left:
// the cycles after that. There are no others of which it is not known.
func (s *store) moved(came, left []sim.Cycle, beat []sim.Beat) {
	s.makeRoom(uint64(len(came)), came[0]-1)
	k, total, full, ring := s.pushed, s.total, s.full, s.left
	left, beat = left[:len(came)], beat[:len(came)]
	for i, after := range came {
		total += uint32(beat[i].Bytes)
		s.sum[k&s.mask], ring[k&s.mask] = total, left[i]
		if k >= full+s.gone && ring[(k-full)&s.mask] > after {
			s.rise(k, after)
			full = s.full
		}
		k++
	}
	s.pushed, s.known, s.total = k, k, total
}

// gotAway is the cycle after beat k left, or 0 if that is forgotten. It must be known.
func (s *store) gotAway(k uint64) sim.Cycle {
	if k < s.gone {
		return 0
	}
	return s.left[k&s.mask]
}

// measure takes the level at the edge before cycle after, at which beat k came.
// That it is no new height takes one look: the beat so many places before was gone.
func (s *store) measure(k uint64, after sim.Cycle) {
	if k >= s.full+s.gone && s.left[(k-s.full)&s.mask] > after {
		s.rise(k, after)
	}
}

// rise is measure if that beat was not.
func (s *store) rise(k uint64, after sim.Cycle) {
	in := k - s.full // the first that had not left
	for in > s.gone && s.left[(in-1)&s.mask] > after {
		in--
	}
	n := s.sum[k&s.mask]
	if in > 0 {
		n -= s.sum[(in-1)&s.mask]
	}
	if int(n) > s.level {
		s.level, s.full = int(n), uint64(n)/uint64(s.out.Wire.Width)
	}
}

// inside is how many bytes of the beats before number k had not left by a cycle. Of
// those before known it is known when they left.
func (s *store) inside(k, known uint64, after sim.Cycle) int {
	if k <= s.gone {
		return 0
	}
	in := s.gone + uint64(sort.Search(int(min(k, known)-s.gone), func(i int) bool { return s.left[(s.gone+uint64(i))&s.mask] > after }))
	before := uint32(0)
	if in > 0 {
		before = s.sum[(in-1)&s.mask]
	}
	return int(s.sum[(k-1)&s.mask] - before)
}

// before is inside, with all that is known.
func (s *store) before(k uint64, after sim.Cycle) int { return s.inside(k, s.known, after) }

// Highest is the highest level, in bytes.
func (s *store) Highest() int {
	level := s.level
	for k := s.known; k < s.pushed; k++ {
		level = max(level, s.before(k+1, s.came[k&s.mask]+1))
	}
	return s.back.highest(level, s.before)
}

// backs are beats that came and were taken back, as far as it is not known yet what
// else was there.
type backs []backed

// backed is such beats behind beats before a number: so many bytes by a cycle.
type backed struct {
	before uint64
	after  sim.Cycle
	bytes  int
}

// note notes that by a cycle there were so many bytes, which went again, behind the
// beats before number k.
func (b *backs) note(k uint64, after sim.Cycle, bytes int) {
	if n := len(*b); n > 0 && (*b)[n-1].before == k && (*b)[n-1].bytes >= bytes {
		return // there was more to count then
	}
	*b = append(*b, backed{k, after, bytes})
}

// measure forgets those in front of which all is known, and returns the highest level
// with them; before is how many bytes of the beats before a number had not left by a
// cycle.
func (b *backs) measure(known uint64, level int, before func(k uint64, after sim.Cycle) int) int {
	n := 0
	for n < len(*b) && (*b)[n].before <= known {
		n++
	}
	if n > 0 {
		level = (*b)[:n].highest(level, before)
		*b = append((*b)[:0], (*b)[n:]...)
	}
	return level
}

func (b backs) highest(level int, before func(k uint64, after sim.Cycle) int) int {
	for _, x := range b {
		level = max(level, x.bytes+before(x.before, x.after))
	}
	return level
}
