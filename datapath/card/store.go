package card

import (
	"math/bits"

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
	bytes  []uint16
	level  int    // highest after an edge at which one of the known beats came
	inside int    // bytes of the known beats when the last of them came
	gone   uint64 // beats that had left by then
}

// newStore is for a stage of so many places.
func newStore(places int, out *sim.Chan) store {
	n := 1 << bits.Len(uint(2*places+64))
	return store{out: out, mask: uint64(n - 1), came: make([]sim.Cycle, n), left: make([]sim.Cycle, n), bytes: make([]uint16, n)}
}

// add adds the next beat.
func (s *store) add(at sim.Cycle, bytes uint16) {
	i := s.pushed & s.mask
	s.came[i], s.bytes[i] = at, bytes
	s.pushed++
}

// collect looks what has left since it was called last.
func (s *store) collect() {
	for taken := s.out.Taken(); s.known < taken; s.known++ {
		s.left[s.known&s.mask] = s.out.Done(s.known)
		s.measure(s.known)
	}
}

// moved is add and collect for beats of which it is known when they came and left:
// the cycles after that. There are no others of which it is not known.
func (s *store) moved(came, left []sim.Cycle, beat []sim.Beat) {
	k, gone, inside, level := s.pushed, s.gone, s.inside, s.level
	for i, after := range came {
		n := k & s.mask
		s.came[n], s.bytes[n], s.left[n] = after-1, beat[i].Bytes, left[i]
		inside += int(beat[i].Bytes)
		for s.left[gone&s.mask] <= after && gone < k {
			inside -= int(s.bytes[gone&s.mask])
			gone++
		}
		level = max(level, inside)
		k++
	}
	s.pushed, s.known, s.gone, s.inside, s.level = k, k, gone, inside, level
}

// measure takes the level at the edge at which beat k, the next after those
// measured, came.
func (s *store) measure(k uint64) {
	came := s.came[k&s.mask]
	s.inside += int(s.bytes[k&s.mask])
	for s.left[s.gone&s.mask] <= came+1 && s.gone < k {
		s.inside -= int(s.bytes[s.gone&s.mask])
		s.gone++
	}
	s.level = max(s.level, s.inside)
}

// behind is how many bytes of the beats before number k were still there after
// an edge.
func (s *store) behind(k uint64, at sim.Cycle) (n int) {
	for k > 0 && (k-1 >= s.known || s.left[(k-1)&s.mask] > at+1) {
		k--
		n += int(s.bytes[k&s.mask])
	}
	return n
}

// Highest is the highest level, in bytes.
func (s *store) Highest() int {
	level := s.level
	for k := s.known; k < s.pushed; k++ {
		level = max(level, int(s.bytes[k&s.mask])+s.behind(k, s.came[k&s.mask]))
	}
	return level
}
