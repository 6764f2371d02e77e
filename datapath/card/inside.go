package card

import "github.com/meshnic/meshnic/datapath/sim"

// inside is the level of a stage that has put on its output all beats that are in
// its memory: the channel says when each left, and of how many bytes it is.
// Channels remember more beats than such a stage has places.
type inside struct {
	out   *sim.Chan
	came  [1 << 7]sim.Cycle // by beat, if it is not measured: the cycle after it came
	known uint64            // beats whose level is measured
	level int               // highest after an edge at which one of the known beats came
	full  uint64            // beats that make it
	back  backs
}

// add notes when beat k came.
func (s *inside) add(k uint64, came sim.Cycle) { s.came[k%uint64(len(s.came))] = came + 1 }

// collect measures the level at the edges at which the beats before number k came,
// as far as they have left.
func (s *inside) collect(k uint64) {
	for k = min(k, s.out.Taken()); s.known < k; s.known++ {
		s.measure(s.known, s.came[s.known%uint64(len(s.came))])
	}
	if len(s.back) > 0 {
		s.level = s.back.measure(s.known, s.level, s.before)
		s.full = uint64(s.level / s.out.Wire.Width)
	}
}

// moved measures so many beats, from the channel on which they came; none before
// them is left to measure.
func (s *inside) moved(in *sim.Chan, first, beats uint64) {
	k := s.known
	for i := range beats {
		if after := in.Done(first + i); s.out.Done(k+i-s.full) > after {
			s.rise(k+i, after)
		}
	}
	s.known += beats
}

// measure takes the level at the edge before cycle after, at which beat k came.
// That it is no new height takes one look: the beat so many places before was gone.
func (s *inside) measure(k uint64, after sim.Cycle) {
	if s.out.Done(k-s.full) > after {
		s.rise(k, after)
	}
}

func (s *inside) rise(k uint64, after sim.Cycle) {
	if n := s.before(k+1, after); n > s.level {
		s.level, s.full = n, uint64(n/s.out.Wire.Width)
	}
}

// before is how many bytes of the beats before number k were there by a cycle and
// had not left.
func (s *inside) before(k uint64, after sim.Cycle) (n int) {
	for k > 0 && (k-1 >= s.out.Taken() || s.out.Done(k-1) > after) {
		k--
		n += int(s.out.Beat(k).Bytes)
	}
	return n
}

// highest is the highest level in bytes, with the beats before number k that have
// come.
func (s *inside) highest(k uint64) int {
	level := s.level
	for j := s.known; j < k; j++ {
		level = max(level, s.before(j+1, s.came[j%uint64(len(s.came))]))
	}
	return s.back.highest(level, s.before)
}
