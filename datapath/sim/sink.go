package sim

import (
	"fmt"
	"strings"
)

// Pattern is when a sink is ready, by cycles of its clock from a cycle 0.
type Pattern interface {
	// Ready returns the first cycle at or after c at which the sink is ready;
	// ok is false if there is none.
	Ready(c Cycle) (first Cycle, ok bool)
}

// periodic is ready where its word says so, again and again.
type periodic []bool

func (p periodic) Ready(c Cycle) (Cycle, bool) {
	for i := range Cycle(len(p)) {
		if p[(c+i)%Cycle(len(p))] {
			return c + i, true
		}
	}
	return 0, false
}

// lfsr is the 16-bit Fibonacci shift register x^16+x^14+x^13+x^11 from seed
// 0xACE1, shifting left; it is ready when its low byte is below 128. It starts at
// cycle 1, as in the test bench of the records. Its period is 65535.
type lfsr []bool

func newLFSR() lfsr {
	p := make(lfsr, 1<<16-1)
	s := uint16(0xACE1)
	for i := range p {
		p[(i+1)%len(p)] = s&0xff < 128
		s = s<<1 | (s>>15^s>>13^s>>12^s>>10)&1
	}
	return p
}

func (p lfsr) Ready(c Cycle) (Cycle, bool) { return periodic(p).Ready(c) }

// Patterns are the names that NewPattern knows.
var Patterns = []string{"none", "alt50", "pat25", "pat75", "burst16", "rnd50", "frozen"}

// NewPattern returns a ready pattern by its name: none (always ready), alt50
// (even cycles), pat25 (cycle 0 of 4), pat75 (cycles 1, 2, 3 of 4), burst16
// (16 cycles ready, 16 not), rnd50 (a shift register, about half), frozen
// (never).
func NewPattern(name string) (Pattern, error) {
	switch name {
	case "none":
		return periodic{true}, nil
	case "alt50":
		return periodic{true, false}, nil
	case "pat25":
		return periodic{true, false, false, false}, nil
	case "pat75":
		return periodic{false, true, true, true}, nil
	case "burst16":
		p := make(periodic, 32)
		for i := range 16 {
			p[i] = true
		}
		return p, nil
	case "rnd50":
		return newLFSR(), nil
	case "frozen":
		return periodic{false}, nil
	}
	return nil, fmt.Errorf("sim: unknown pattern %q, want %s", name, strings.Join(Patterns, ", "))
}

// Sink consumes a wire, ready as its pattern says; cycle 0 of the pattern is
// edge From of the wire's clock. It is always ready for headers.
type Sink struct {
	In      *Wire
	Pattern Pattern
	From    Cycle
}

// Ports returns the wire and no outputs.
func (s *Sink) Ports() (in, out []*Wire) { return []*Wire{s.In}, nil }

// Offer does nothing: a sink has no outputs.
func (s *Sink) Offer() {}

// Accept drives ready.
func (s *Sink) Accept() {
	at, ok := s.ready(s.In.Clock.Now)
	s.In.Take(ok && at == s.In.Clock.Now)
}

// ready is the first cycle at or after now at which the sink is ready.
func (s *Sink) ready(now Cycle) (Cycle, bool) {
	from := Cycle(0)
	if now > s.From {
		from = now - s.From
	}
	c, ok := s.Pattern.Ready(from)
	return c + s.From, ok
}

// Edge has nothing to load.
func (s *Sink) Edge(Edges) bool { return s.In.Fire() || s.In.HdrFire() }

// Wake is when the sink becomes ready for a beat that waits.
func (s *Sink) Wake() Picos {
	if c, ok := s.ready(s.In.Clock.Now); s.In.Valid && ok {
		return s.In.Clock.At(c)
	}
	return Never
}
