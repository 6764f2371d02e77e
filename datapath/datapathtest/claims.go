package datapathtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/meshnic/meshnic/datapath/sim"
)

// inARow is how many frames Cycles is measured over; the first half warms up.
const inARow = 32

// claims holds the stage to Latency and Cycles on one width.
func (s *Timed) claims(width int) *violation {
	c := timedCase{width, "none", "none"}
	for _, n := range s.lengths(width) {
		one := []sim.Frame{{ID: 1, Bytes: n}}
		if d := s.due(one); d[0].why != sim.LossNone {
			continue
		}
		if s.Latency != nil {
			if v := s.latency(c, one, s.Latency(n, width)); v != nil {
				return v
			}
		}
		if s.Cycles != nil {
			if v := s.cycles(c, n, s.Cycles(n, width)); v != nil {
				return v
			}
		}
	}
	return nil
}

func (s *Timed) latency(c timedCase, one []sim.Frame, want int) *violation {
	t, r, err := s.plain(c, one)
	if err != nil {
		return &violation{where: c.String(), rule: err.Error()}
	}
	in, out := t.Wires[r.in.Index()], t.Wires[r.out.Index()]
	if len(in) < 2 || len(out) == 0 {
		return &violation{where: c.String(), rule: "the frame does not leave", waves: []*wave{t.wave("tick")}}
	}
	// The first event is the offer, the second the accept.
	if got := int(out[0].At) - int(in[1].At); got != want {
		return &violation{where: c.String(), at: out[0].At, waves: []*wave{t.wave("tick")},
			rule: fmt.Sprintf("latency of %d bytes is %d cycles, Latency says %d", one[0].Bytes, got, want)}
	}
	return nil
}

func (s *Timed) cycles(c timedCase, n, want int) *violation {
	var frames []sim.Frame
	for i := range inARow {
		frames = append(frames, sim.Frame{ID: uint32(i + 1), Bytes: n})
	}
	t, r, err := s.plain(c, frames)
	if err != nil {
		return &violation{where: c.String(), rule: err.Error()}
	}
	var last []sim.Cycle
	for _, e := range t.Wires[r.out.Index()] {
		if e.Accepted && e.Beat.Last {
			last = append(last, e.At)
		}
	}
	const half = inARow / 2
	if len(last) < inARow {
		return &violation{where: c.String(), rule: fmt.Sprintf("%d of %d frames leave", len(last), inARow), waves: []*wave{t.wave("tick")}}
	}
	if got := int(last[inARow-1] - last[half-1]); got != want*half {
		return &violation{where: c.String(), at: last[half], waves: []*wave{t.wave("tick")},
			rule: fmt.Sprintf("%d frames of %d bytes take %d cycles, %.2f each, Cycles says %d", half, n, got, float64(got)/half, want)}
	}
	return nil
}

// plain is a run of the reference engine without probes.
func (s *Timed) plain(c timedCase, frames []sim.Frame) (t *Trace, r *rig, err error) {
	t, err = s.rerun(c, frames, func(own *rig) (*Trace, error) {
		r = own
		return Ticked(own.net, own.in.Clock.At(budget(frames)))
	})
	return t, r, err
}

// golden compares the waveform of two frames with a file, or writes it.
func (s *Timed) golden(t *testing.T) {
	t.Helper()
	c := timedCase{s.widths()[0], "none", "alt50"}
	frames := []sim.Frame{{ID: 1, Bytes: c.width + 1}, {ID: 2, Bytes: 60}}
	run, _, err := s.plain(c, frames)
	if err != nil {
		t.Fatal(err)
	}
	w := run.wave(c.String())
	got := w.draw(0, w.end(), func(sim.Cycle) bool { return false })
	if s.Update {
		if err := os.MkdirAll(filepath.Dir(s.Golden), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(s.Golden)
	if err != nil {
		t.Fatalf("%v: set Update to write it", err)
	}
	if got != string(want) {
		path, err := w.save(t.ArtifactDir(), 0, nil)
		if err != nil {
			t.Error(err)
		}
		t.Fatalf("the waveform is not %s's (Update writes it):\n%swant\n%swaveform: %s (go test -artifacts keeps it)", s.Golden, got, want, path)
	}
}
