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

	// Beats that came and were taken back, while those before them are not known
	// to have left.
	back []backed
}

// backed is the bytes that stood behind the beats before a number.
type backed struct {
	before uint64
	came   sim.Cycle
	bytes  int
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
	if len(s.back) > 0 {
		s.measureBack()
	}
}

// moved is add and collect for so many beats, of which it is known when they
// came, by their numbers on the input, and left, by those on the output. There
// are no others of which it is not known.
func (s *store) moved(in *sim.Chan, came, left, beats uint64) {
	inside, gone, k := s.inside, s.gone, s.pushed
	for i := range beats {
		at, b, n := in.Done(came+i), s.out.Beat(left+i).Bytes, k&s.mask
		s.came[n], s.bytes[n], s.left[n] = at-1, b, s.out.Done(left+i)
		inside += int(b)
		for s.left[gone&s.mask] <= at && gone < k {
			inside -= int(s.bytes[gone&s.mask])
			gone++
		}
		s.level = max(s.level, inside)
		k++
	}
	s.inside, s.gone, s.pushed, s.known = inside, gone, k, k
	if len(s.back) > 0 {
		s.measureBack()
	}
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

// takeBack notes beats that came and went again, so many bytes by an edge.
func (s *store) takeBack(at sim.Cycle, bytes int) {
	if n := len(s.back); n > 0 && s.back[n-1].before == s.pushed && s.back[n-1].bytes >= bytes {
		return // there was more to count then
	}
	s.back = append(s.back, backed{s.pushed, at, bytes})
}

func (s *store) measureBack() {
	n := 0
	for ; n < len(s.back) && s.back[n].before <= s.known; n++ {
		b := s.back[n]
		s.level = max(s.level, b.bytes+s.behind(b.before, b.came))
	}
	s.back = append(s.back[:0], s.back[n:]...)
}

// Highest is the highest level, in bytes.
func (s *store) Highest() int {
	level := s.level
	for k := s.known; k < s.pushed; k++ {
		level = max(level, int(s.bytes[k&s.mask])+s.behind(k, s.came[k&s.mask]))
	}
	for _, b := range s.back {
		level = max(level, b.bytes+s.behind(b.before, b.came))
	}
	return level
}
