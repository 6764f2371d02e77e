package datapathtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// liar is a register slice with two places that does one thing wrong.
type liar struct {
	sim.Losses
	in, out *sim.Wire
	beats   []sim.Beat
	taken   int // beats so far
	now     sim.Cycle

	offer  func(l *liar)                              // instead of Offer
	accept func(l *liar)                              // instead of Accept
	take   func(l *liar, b sim.Beat) (put []sim.Beat) // what is stored for a beat
	leave  func(l *liar)                              // after a beat has left
	edge   func(l *liar) bool                         // instead of Edge
}

func (l *liar) Ports() (in, out []*sim.Wire) { return []*sim.Wire{l.in}, []*sim.Wire{l.out} }

func (l *liar) Offer() {
	if l.offer != nil {
		l.offer(l)
		return
	}
	l.show()
}

func (l *liar) show() { l.out.Put(len(l.beats) > 0, append(l.beats, sim.Beat{})[0]) }

func (l *liar) Accept() {
	if l.accept != nil {
		l.accept(l)
		return
	}
	l.in.Take(len(l.beats) < 2)
}

func (l *liar) Edge(sim.Edges) bool {
	l.now = l.in.Clock.Now
	if l.edge != nil {
		return l.edge(l)
	}
	return l.honest()
}

func (l *liar) honest() bool {
	moved := l.in.Fire() || l.out.Fire()
	if l.out.Fire() && len(l.beats) > 0 {
		l.beats = l.beats[1:]
		if l.leave != nil {
			l.leave(l)
		}
	}
	if l.in.Fire() {
		l.taken++
		put := []sim.Beat{l.in.Beat}
		if l.take != nil {
			put = l.take(l, l.in.Beat)
		}
		l.beats = append(l.beats, put...)
	}
	return moved
}

// lying is a Timed of a liar with one lie set.
func lying(lie func(l *liar)) Timed {
	return Timed{Stage: func(in, out *sim.Wire) sim.Stage {
		l := &liar{in: in, out: out}
		lie(l)
		return l
	}}
}

// storing is a lie about what is stored for the beat of that number.
func storing(n int, put func(b sim.Beat) []sim.Beat) Timed {
	return lying(func(l *liar) {
		l.take = func(l *liar, b sim.Beat) []sim.Beat {
			if l.taken == n {
				return put(b)
			}
			return []sim.Beat{b}
		}
	})
}

// late is a register slice whose form for maxplus says a cycle too much.
type late struct{ *axis.Skid }

func (s late) Flow(in, out []*sim.Chan) sim.Flow { return &lateFlow{in: in[0], out: out[0]} }

type lateFlow struct {
	in, out *sim.Chan
	k       uint64 // beats accepted
}

func (f *lateFlow) Run() bool {
	moved := false
	for f.in.Next() && f.out.Room() && f.k < f.out.Taken()+2 {
		at := max(f.in.Shown(), f.out.Done(f.k-2))
		f.out.Put(at+2, f.in.Head())
		f.in.Accept(at)
		f.k++
		moved = true
	}
	return moved
}

// full reports a level that only its clocked form has.
type full struct{ *axis.Skid }

func (full) Level() int { return 64 }

func pipe(c card.Config) func(in, out *sim.Wire) sim.Stage {
	return func(in, out *sim.Wire) sim.Stage { return card.NewPipe(c, in, out) }
}

// strips says that four bytes are taken off.
func strips(in Frame) (Frame, sim.Loss) {
	if len(in) <= 4 {
		return nil, sim.LossBad
	}
	return in[4:], sim.LossNone
}

// A harness that cannot fail tests nothing: each of these lies, and is told so.
func TestTimedFinds(t *testing.T) {
	var shared int // what two stages of a module pass past their wires
	for _, tt := range []struct {
		name string
		s    Timed
		want string
	}{
		{"drops a beat", storing(7, func(sim.Beat) []sim.Beat { return nil }), "out: frame 5: bytes 8 to 15 are lost"},
		{"drops a frame", storing(1, func(sim.Beat) []sim.Beat { return nil }), "out: frame 2 leaves before frame 1: frames are reordered, or frame 1 is lost without a count"},
		{"drops the last frame", Timed{Lengths: []int{8}, Stage: storing(2, func(sim.Beat) []sim.Beat { return nil }).Stage}, "frame 2 (8 bytes) never leaves, and no drop is counted"},
		{"drops a first beat", storing(4, func(sim.Beat) []sim.Beat { return nil }), "frame 4 begins with byte 8: its first beat is lost"},
		{"doubles a beat", storing(7, func(b sim.Beat) []sim.Beat { return []sim.Beat{b, b} }), "out: frame 5: bytes from 8 on come again, 16 was next"},
		{"doubles a frame", storing(1, func(b sim.Beat) []sim.Beat { return []sim.Beat{b, b} }), "frame 1 leaves twice"},
		{"doubles a last beat", storing(5, func(b sim.Beat) []sim.Beat { return []sim.Beat{b, b} }), "come after its tlast"},
		{"reorders beats", lying(func(l *liar) {
			l.leave = func(l *liar) {
				if len(l.beats) == 1 && l.taken == 9 {
					l.taken = 1000
				}
			}
			l.take = func(l *liar, b sim.Beat) []sim.Beat {
				if len(l.beats) == 1 && l.taken > 10 && b.Off > 0 {
					old := l.beats[0]
					l.beats[0] = b
					return []sim.Beat{old}
				}
				return []sim.Beat{b}
			}
		}), "the beat changes while it waits"},
		{"mixes frames", storing(7, func(b sim.Beat) []sim.Beat { b.Frame = 7; return []sim.Beat{b} }), "a beat of frame 7 inside frame"},
		{"no tlast", storing(5, func(b sim.Beat) []sim.Beat { b.Last = false; return []sim.Beat{b} }), "no tlast on its last byte"},
		{"tlast early", storing(6, func(b sim.Beat) []sim.Beat { b.Last = true; return []sim.Beat{b} }), "tlast after 8 of"},
		{"no first", storing(4, func(b sim.Beat) []sim.Beat { b.First = false; return []sim.Beat{b} }), "First is false on the beat of byte 0"},
		{"wrong length", storing(4, func(b sim.Beat) []sim.Beat { b.Left++; return []sim.Beat{b} }), "Left is"},
		{"half a beat", storing(6, func(b sim.Beat) []sim.Beat { b.Bytes--; return []sim.Beat{b} }), "in a beat that is not the last"},
		{"no bytes", storing(6, func(b sim.Beat) []sim.Beat { b.Bytes = 0; return []sim.Beat{b} }), "a beat of 0 bytes on a bus of 8"},
		{"loses tuser", lying(func(l *liar) {
			l.take = func(_ *liar, b sim.Beat) []sim.Beat { b.Bad = false; return []sim.Beat{b} }
		}), "tuser is false, want true"},
		{"changes tdest", storing(3, func(b sim.Beat) []sim.Beat { b.Dest ^= 1; return []sim.Beat{b} }), "tdest is"},
		{"invents a frame", storing(1, func(b sim.Beat) []sim.Beat { b.Frame = 99; return []sim.Beat{b} }), "frame 99 leaves, which never came"},

		{"withdraws valid", lying(func(l *liar) {
			waits := 0
			l.offer = func(l *liar) { l.out.Put(len(l.beats) > 0 && waits%2 == 0, append(l.beats, sim.Beat{})[0]) }
			l.edge = func(l *liar) bool {
				was := waits
				if waits++; !l.out.Valid || l.out.Ready {
					waits = 0
				}
				return l.honest() || waits != was
			}
		}), "out: tvalid is withdrawn"},
		{"ignores ready", lying(func(l *liar) {
			l.edge = func(l *liar) bool {
				l.out.Ready = l.out.Valid
				return l.honest()
			}
		}), "Edge changes the wire"},
		{"leaves whether ready or not", lying(func(l *liar) {
			l.edge = func(l *liar) bool {
				moved := l.out.Valid || l.in.Fire()
				if l.out.Valid {
					l.beats = l.beats[1:]
				}
				if l.in.Fire() {
					l.beats = append(l.beats, l.in.Beat)
				}
				return moved
			}
		}), "out: "},
		{"takes what it has not accepted", lying(func(l *liar) {
			l.edge = func(l *liar) bool {
				if l.in.Valid && !l.in.Ready {
					l.beats = append(l.beats, l.in.Beat)
				}
				return l.honest()
			}
		}), "twice"},
		{"deadlocks after a stall", lying(func(l *liar) {
			stalls := 0
			l.accept = func(l *liar) { l.in.Take(len(l.beats) < 2 && stalls < 5) }
			l.edge = func(l *liar) bool {
				if l.in.Valid && !l.in.Ready {
					stalls++
				}
				return l.honest()
			}
		}), "deadlock: nothing moves any more, and the beat of frame"},
		{"never rests", lying(func(l *liar) { l.edge = func(l *liar) bool { l.honest(); return true } }), "does not come to rest within"},
		{"keeps the last beat", lying(func(l *liar) {
			l.offer = func(l *liar) { l.out.Put(len(l.beats) > 1, append(l.beats, sim.Beat{})[0]) }
		}), "the rest never does"},

		{"valid waits for ready", lying(func(l *liar) {
			l.offer = func(l *liar) { l.out.Put(len(l.beats) > 0 && l.out.Ready, append(l.beats, sim.Beat{})[0]) }
		}), "Offer depends on tready of the output"},
		{"valid follows the input", lying(func(l *liar) {
			l.offer = func(l *liar) {
				if l.show(); len(l.beats) == 0 {
					l.out.Put(l.in.Valid, l.in.Beat)
				}
			}
		}), "tvalid or the beat follows the input in the same cycle, and Comb declares no such path"},
		{"ready follows the output", lying(func(l *liar) {
			l.accept = func(l *liar) { l.in.Take(len(l.beats) < 2 || l.out.Ready) }
		}), "tready follows tready of the output in the same cycle"},
		{"Offer is a register", lying(func(l *liar) {
			n := 0
			l.offer = func(l *liar) {
				n++
				l.out.Put(len(l.beats) > 0 && n > 9, append(l.beats, sim.Beat{})[0])
			}
		}), "or is a register"},
		{"does not tell that it changed", lying(func(l *liar) { l.edge = func(l *liar) bool { return l.honest() && l.taken%16 != 0 } }), "Edge reports no change, and then the stage drives something else"},
		{"does not tell when it acts", lying(func(l *liar) {
			due := sim.Cycle(0)
			l.offer = func(l *liar) {
				l.out.Put(len(l.beats) > 0 && l.out.Clock.Now >= due, append(l.beats, sim.Beat{})[0])
			}
			l.take = func(l *liar, b sim.Beat) []sim.Beat {
				if len(l.beats) == 0 {
					due = l.now + 9
				}
				return []sim.Beat{b}
			}
		}), "it goes on if no edge is skipped"},
		{"stages talk past their wires", Timed{Module: &module.Module{Name: "m", Params: []module.Param{module.Width("DATA_WIDTH")},
			Ports: module.Straight,
			Build: func(s *module.Site) {
				shared = 0
				mid := s.Wire("mid", s.In[0].Clock, s.In[0].Width)
				a, b := &liar{in: s.In[0], out: mid}, &liar{in: mid, out: s.Out[0]}
				a.edge = func(l *liar) bool { moved := l.honest(); shared = len(l.beats); return moved }
				seen := 0
				b.edge = func(l *liar) bool { seen = shared; return l.honest() }
				b.accept = func(l *liar) { l.in.Take(len(l.beats)+seen < 3) }
				s.Add("a", a)
				s.Add("b", b)
			}}}, "the order in which stages are clocked matters"},

		{"late in maxplus", Timed{Stage: func(in, out *sim.Wire) sim.Stage { return late{axis.NewSkid(in, out)} }}, "the engines differ: wire out, event 0: offered at 1"},
		{"a level in tick only", Timed{Stage: func(in, out *sim.Wire) sim.Stage { return full{axis.NewSkid(in, out)} }}, "the engines differ: stage stage: highest level 64 and 0"},

		{"leaks the header", Timed{Stage: func(in, out *sim.Wire) sim.Stage { return axis.NewSkid(in, out) }, Expect: func(in Frame) (Frame, sim.Loss) {
			return in[min(len(in)-1, 4):], sim.LossNone
		}}, "the 4 bytes that should be taken off leave with it"},
		{"takes off too much", Timed{Stage: pipe(card.Config{Latency: 1, Push: -5}), Expect: strips, May: []sim.Loss{sim.LossBad}}, "out: frame 2 begins with byte 5, want 4"},
		{"drops what should leave", Timed{Stage: pipe(card.Config{Latency: 1, Act: card.ActFunc(func(s card.Seen) (v card.Verdict) {
			if s.Frame == 3 {
				v.Loss = sim.LossVerdict
			}
			return v
		})})}, "frame 3 (8 bytes) is dropped (verdict), it should leave"},
		{"drops for another reason", Timed{Stage: pipe(card.Config{Latency: 1, Push: -4}), Expect: func(in Frame) (Frame, sim.Loss) {
			out, why := strips(in)
			if why != sim.LossNone {
				why = sim.LossFull
			}
			return out, why
		}}, "is dropped for bad_frame, want full"},
		{"lets pass what should be dropped", Timed{Stage: pipe(card.Config{Latency: 1}), Bad: sim.LossBad}, "leaves, it should be dropped (bad_frame)"},
		{"drops twice", lying(func(l *liar) {
			l.take = func(l *liar, b sim.Beat) []sim.Beat {
				if b.Frame != 1 {
					return []sim.Beat{b}
				}
				l.Drop(1, sim.LossFull)
				l.Drop(1, sim.LossFull)
				return nil
			}
		}), "frame 1 is counted as dropped 2 times"},
		{"counts a frame and lets it pass", lying(func(l *liar) {
			l.take = func(l *liar, b sim.Beat) []sim.Beat {
				if l.taken == 1 {
					l.Drop(1, sim.LossFull)
				}
				return []sim.Beat{b}
			}
		}), "frame 1 leaves although it was counted as dropped (full)"},
		{"writes other bytes", Timed{Acting: func(in, out *sim.Wire, packet Packets) sim.Stage {
			return card.NewPipe(card.Config{Latency: 1, Act: card.ActFunc(func(s card.Seen) card.Verdict {
				if p := packet(s.Frame); len(p.Data) == 60 {
					p.Data[59]++
				}
				return card.Verdict{}
			})}, in, out)
		}}, "leaves as\n00000000"},
		{"changes a field it should not", Timed{Content: func(_ uint32, n int) Frame { return Eth().IPv4("10.0.0.1", "10.0.0.2").Pad(n)[:n] },
			Acting: func(in, out *sim.Wire, packet Packets) sim.Stage {
				return card.NewPipe(card.Config{Latency: 1, Act: card.ActFunc(func(s card.Seen) card.Verdict {
					packet(s.Frame).SetField(datapath.FieldTTL, datapath.Uint(1))
					return card.Verdict{}
				})}, in, out)
			}}, "leaves as\n00000000"},
		{"says a shorter latency", Timed{Stage: pipe(card.Config{Latency: 4}), Latency: func(int, int) int { return 3 }}, "latency of 1 bytes is 4 cycles, Latency says 3"},
		{"says a higher rate", Timed{Stage: func(in, out *sim.Wire) sim.Stage { return axis.NewSlice(in, out) },
			Cycles: func(n, width int) int { return sim.Beats(n, width) }}, "16 frames of 1 bytes take 32 cycles, 2.00 each, Cycles says 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Widths = []int{8}
			if tt.s.Lengths == nil {
				tt.s.Lengths = []int{1, 7, 8, 9, 60, 64}
			}
			err := tt.s.Check()
			require.ErrorContains(t, err, tt.want)
			t.Log(strings.SplitN(err.Error(), "\n", 2)[0])
		})
	}
}

// A stage that takes four bytes off the end, as one that strips an FCS does: the
// same lengths, other bytes than one that takes off a header.
func TestTimedTail(t *testing.T) {
	s := lying(func(l *liar) {
		l.take = func(_ *liar, b sim.Beat) []sim.Beat {
			b.Left -= 4
			b.Bytes = min(b.Bytes, b.Left)
			return []sim.Beat{b}
		}
	})
	s.Lengths, s.Expect, s.Tail = []int{5, 13, 15, 63}, func(in Frame) (Frame, sim.Loss) { return in[:len(in)-4], sim.LossNone }, true
	s.Widths = []int{8}
	require.NoError(t, s.Check())
	s.Tail = false
	require.ErrorContains(t, s.Check(), "frame 1 begins with byte 0, want 4: the 4 bytes that should be taken off leave with it")
}
