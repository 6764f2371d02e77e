package card

import (
	"math/bits"
	"sort"

	"github.com/meshnic/meshnic/datapath/sim"
)

// store is what the (max,+) forms know of the beats in a stage's memory, by
// number: the edge at which each came, and the cycle after it left.
type store struct {
	out    *sim.Chan
	mask   uint64
	pushed uint64
	known  uint64 // beats of which it is known when they left
	came   []sim.Cycle
	left   []sim.Cycle
	sum    []uint32 // bytes of the beats up to this one
	total  uint32
	level  int    // highest after an edge at which one of the known beats came
	full   uint64 // beats that make it
}

// newStore is for a stage of so many places.
func newStore(places int, out *sim.Chan) store {
	n := 1 << bits.Len(uint(2*places+64))
	return store{out: out, mask: uint64(n - 1), came: make([]sim.Cycle, n), left: make([]sim.Cycle, n), sum: make([]uint32, n)}
}

// add adds the next beat.
func (s *store) add(at sim.Cycle, bytes uint16) {
	i := s.pushed & s.mask
	s.total += uint32(bytes)
	s.came[i], s.sum[i] = at, s.total
	s.pushed++
}

// collect looks what has left since it was called last.
func (s *store) collect() {
	for taken := s.out.Taken(); s.known < taken; s.known++ {
		i := s.known & s.mask
		s.left[i] = s.out.Done(s.known)
		s.measure(s.known, s.came[i]+1)
	}
}

// moved is add and collect for beats of which it is known when they came and left:
// the cycles after that. There are no others of which it is not known.
func (s *store) moved(came, left []sim.Cycle, beat []sim.Beat) {
	k, total, full, ring := s.pushed, s.total, s.full, s.left
	left, beat = left[:len(came)], beat[:len(came)]
	for i, after := range came {
		total += uint32(beat[i].Bytes)
		s.sum[k&s.mask], ring[k&s.mask] = total, left[i]
		if k >= full && ring[(k-full)&s.mask] > after {
			s.rise(k, after)
			full = s.full
		}
		k++
	}
	s.pushed, s.known, s.total = k, k, total
}

// measure takes the level at the edge before cycle after, at which beat k came.
// That it is no new height takes one look: the beat so many places before was gone.
func (s *store) measure(k uint64, after sim.Cycle) {
	if k >= s.full && s.left[(k-s.full)&s.mask] > after {
		s.rise(k, after)
	}
}

func (s *store) rise(k uint64, after sim.Cycle) {
	if n := s.inside(k+1, k+1, after); n > s.level {
		s.level, s.full = n, uint64(n/s.out.Wire.Width)
	}
}

// inside is how many bytes of the beats before number k had not left by a cycle. Of
// those before known it is known when they left.
func (s *store) inside(k, known uint64, after sim.Cycle) int {
	if k == 0 {
		return 0
	}
	first := known - min(known, s.mask)
	in := first + uint64(sort.Search(int(min(k, known)-min(k, first)), func(i int) bool { return s.left[(first+uint64(i))&s.mask] > after }))
	before := uint32(0)
	if in > 0 {
		before = s.sum[(in-1)&s.mask]
	}
	return int(s.sum[(k-1)&s.mask] - before)
}

// Highest is the highest level, in bytes.
func (s *store) Highest() int {
	level := s.level
	for k := s.known; k < s.pushed; k++ {
		level = max(level, s.inside(k+1, s.known, s.came[k&s.mask]+1))
	}
	return level
}
