package datapathtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Packets gives what is in a frame, by its number: parsed, and one and the same
// packet in one run.
type Packets = func(frame uint32) *datapath.Packet

// Timed is a stage with one input and one output in one clock, and what it says
// of itself. RunTimed holds it to that, and to the rules of AXI-Stream.
type Timed struct {
	// One of these builds the stage, a new one for every run.
	Stage  func(in, out *sim.Wire) sim.Stage
	Acting func(in, out *sim.Wire, packet Packets) sim.Stage // acts on packets
	Module *module.Module                                    // with Args; DATA_WIDTH, if it has one, is filled in
	Args   module.Args

	// Content is frame id of n bytes, nil: an experimental EtherType and a count.
	// Expect is what leaves for it, or why it is dropped; nil: the frame itself.
	// Bytes are compared of an Acting stage, lengths of all. See Functional.
	Content func(id uint32, n int) Frame
	Expect  func(in Frame) (out Frame, why sim.Loss)

	Bad    sim.Loss   // why frames marked bad (tuser) are dropped; LossNone: they pass, marked
	May    []sim.Loss // reasons for which any frame may be dropped (sim.LossFull of a FIFO that drops)
	Routes bool       // tdest may change
	Tail   bool       // where lengths change they do so at the end, not at the head

	Widths  []int // bus widths in bytes; nil: 8, 16, 32, 64
	Lengths []int // frame lengths; nil: 1, one under, at and over a beat, 60, 64, 1514, 9000

	// Latency is the cycles from the first beat accepted to the first offered of a
	// frame of n bytes on a bus of width bytes, alone and with a ready sink; Cycles
	// is how many each takes in a row. nil: not said, not checked.
	Latency, Cycles func(n, width int) int

	// Golden is a file with the waveform of a frame one byte over a beat and one of
	// 60 bytes on the first width, the sink ready every second cycle. Update
	// writes it instead.
	Golden string
	Update bool
}

// idles and sinks are the patterns of a matrix: when the stage is offered beats,
// and when the next one is ready. thaw is not at all for 300 cycles, and then
// always.
var (
	idles = []string{"none", "alt50", "pat25", "rnd50", "burst16"}
	sinks = []string{"none", "alt50", "pat25", "pat75", "burst16", "rnd50", "thaw"}
)

// timedCase is one cell of the matrix.
type timedCase struct {
	width      int // bytes
	idle, sink string
}

func (c timedCase) String() string {
	return fmt.Sprintf("%d bit, idle %s, back-pressure %s", 8*c.width, c.idle, c.sink)
}

func pattern(name string) sim.Pattern {
	if name == "thaw" {
		return thaw(300)
	}
	p, err := sim.NewPattern(name)
	if err != nil {
		panic(err) // a name from the tables above
	}
	return p
}

// RunTimed runs a stage through {idle, none} x {back-pressure, none} x widths x
// lengths, each under both engines, and checks:
//
//   - nothing is lost, doubled, reordered or altered but as Expect says, and
//     each drop is counted once with its reason;
//   - a beat, once offered, stands until it is accepted; tlast ends each frame;
//     only a last beat is not full;
//   - no combinational path but those that Comb declares, no state in Offer and
//     Accept, no wire changed in Edge;
//   - the order of stages does not matter, nor does skipping idle edges (Edge's
//     report and Wake);
//   - tick and maxplus, with the native form and as an island, agree on every
//     beat's cycles, on drops and on levels;
//   - everything comes to rest: no deadlock, also after a long stall;
//   - Latency and Cycles, where they are given, and the golden waveform.
//
// A failure prints the wires around it and writes them as VCD to
// t.ArtifactDir.
func RunTimed(t *testing.T, s Timed) {
	t.Helper()
	if err := s.valid(); err != nil {
		t.Fatal(err)
	}
	for _, w := range s.widths() {
		t.Run(fmt.Sprintf("%dbit", 8*w), func(t *testing.T) {
			for _, idle := range idles {
				for _, sink := range sinks {
					t.Run("idle="+idle+"/sink="+sink, func(t *testing.T) {
						s.report(t, s.check(timedCase{w, idle, sink}))
					})
				}
			}
			s.report(t, s.claims(w))
		})
	}
	if s.Golden != "" {
		s.golden(t)
	}
}

// Check is RunTimed without a test: the first violation, or nil. The error says
// what, where and when, and draws the wires around it.
func (s Timed) Check() error {
	if err := s.valid(); err != nil {
		return err
	}
	for _, w := range s.widths() {
		for _, idle := range idles {
			for _, sink := range sinks {
				if v := s.check(timedCase{w, idle, sink}); v != nil {
					return v
				}
			}
		}
		if v := s.claims(w); v != nil {
			return v
		}
	}
	return nil
}

// violation is a rule broken, and the wires around it: of one run, or of two
// that differ.
type violation struct {
	where string
	rule  string
	at    sim.Cycle
	waves []*wave
	data  func(w *sim.Wire, frame uint32) []byte
}

func (v *violation) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: cycle %d: %s\n", v.where, v.at, v.rule)
	for _, w := range v.waves {
		b.WriteString(w.window(v.at))
	}
	return b.String()
}

// report fails the test with a violation, and leaves its waveforms.
func (s *Timed) report(t *testing.T, v *violation) {
	t.Helper()
	if v == nil {
		return
	}
	text := v.Error()
	for i, w := range v.waves {
		path, err := w.save(t.ArtifactDir(), i, v.data)
		if err != nil {
			t.Errorf("waveform: %v", err)
			continue
		}
		text += "waveform: " + path + " (go test -artifacts keeps it)\n"
	}
	t.Fatal(text)
}

func (v *wave) save(dir string, n int, data func(*sim.Wire, uint32) []byte) (path string, err error) {
	path = filepath.Join(dir, fmt.Sprintf("violation%d.vcd", n))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	return path, errors.Join(v.vcd(f, data), f.Close())
}

func (s *Timed) widths() []int {
	all := []int{8, 16, 32, 64}
	switch {
	case s.Widths != nil:
		return s.Widths
	case s.Module == nil:
		return all
	case !s.hasWidth():
		in, _ := s.Module.Ports(s.filled(0))
		return []int{in[0].Width}
	}
	return slices.DeleteFunc(all, func(w int) bool { _, err := s.fill(w); return err != nil })
}

func (s *Timed) hasWidth() bool {
	return slices.ContainsFunc(s.Module.Params, func(p module.Param) bool { return p.Name == "DATA_WIDTH" })
}

// filled is the module's arguments on a bus of width bytes; valid has tried.
func (s *Timed) filled(width int) module.Args {
	a, err := s.fill(width)
	if err != nil {
		panic(err)
	}
	return a
}

func (s *Timed) fill(width int) (module.Args, error) {
	a := module.Args{}
	for k, v := range s.Args {
		a[k] = v
	}
	if s.hasWidth() {
		a["DATA_WIDTH"] = float64(8 * width)
	}
	return s.Module.Fill(a)
}

// valid refuses what the harness cannot run.
func (s *Timed) valid() error {
	n := 0
	for _, given := range []bool{s.Stage != nil, s.Acting != nil, s.Module != nil} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("datapathtest: Timed wants one of Stage, Acting and Module")
	}
	if s.Module == nil {
		return nil
	}
	try := s.Widths
	if s.Widths == nil && s.hasWidth() {
		try = s.widths()
	}
	if len(try) == 0 {
		try = []int{8}
	}
	var a module.Args
	for _, w := range try {
		var err error
		if a, err = s.fill(w); err != nil {
			return fmt.Errorf("datapathtest: module %s on %d bit: %w", s.Module.Name, 8*w, err)
		}
	}
	in, out := s.Module.Ports(a)
	if len(in) != 1 || len(out) != 1 {
		return fmt.Errorf("datapathtest: module %s has %d inputs and %d outputs, the harness takes one of each", s.Module.Name, len(in), len(out))
	}
	if in[0].MHz != out[0].MHz || in[0].Header || out[0].Header || in[0].XGMII || out[0].XGMII {
		return fmt.Errorf("datapathtest: module %s has two clocks, a header channel or XGMII: the harness takes AXI-Stream in one clock", s.Module.Name)
	}
	return nil
}

func (s *Timed) lengths(width int) []int {
	n := s.Lengths
	if n == nil {
		n = []int{1, max(1, width-1), width, width + 1, 60, 64, 1514, 9000}
	}
	n = slices.Clone(n)
	slices.Sort(n)
	return slices.Compact(n)
}

// train is every length twice, once in order and once not, and if none were
// asked for 16 more of up to five beats; every fifth frame is marked bad.
func (s *Timed) train(width int) (f []sim.Frame) {
	n := s.lengths(width)
	r := rand.New(rand.NewPCG(1, uint64(width)))
	again := slices.Clone(n)
	for range 16 {
		if s.Lengths == nil {
			again = append(again, 1+r.IntN(5*width))
		}
	}
	r.Shuffle(len(again), func(i, j int) { again[i], again[j] = again[j], again[i] })
	for i, bytes := range slices.Concat(n, again) {
		f = append(f, sim.Frame{ID: uint32(i + 1), Bytes: bytes, Dest: uint8(i % 4), Bad: i%5 == 4})
	}
	return f
}

func (s *Timed) content(f sim.Frame) Frame {
	if s.Content != nil {
		return s.Content(f.ID, f.Bytes)
	}
	const experimental = 0x88b5 // IEEE 802: local experimental EtherType 1
	b := Eth().EtherType(experimental)
	for i := 0; len(b) < f.Bytes; i++ {
		b = binary.BigEndian.AppendUint16(b, uint16(f.ID)<<12+uint16(i))
	}
	return b[:f.Bytes]
}

// Functional is an Expect: what a functional stage makes of a frame, parsed
// before it and deparsed behind it. What it drops is lost for sim.LossVerdict.
// The stage is asked more than once, so it must not remember.
func Functional(stage datapath.Stage) func(in Frame) (out Frame, why sim.Loss) {
	return func(in Frame) (Frame, sim.Loss) {
		p := packetOf(1, in)
		if stage.Process(0, p) == datapath.Drop || deparser.New().Process(0, p) == datapath.Drop {
			return nil, sim.LossVerdict
		}
		return p.Data, sim.LossNone
	}
}

// due is what must leave for frames.
func (s *Timed) due(frames []sim.Frame) (all []due) {
	for _, f := range frames {
		d := due{Frame: f, out: s.content(f)}
		if s.Expect != nil {
			d.out, d.why = s.Expect(d.out)
		}
		if f.Bad && s.Bad != sim.LossNone && d.why == sim.LossNone {
			d.why = s.Bad
		}
		all = append(all, d)
	}
	return all
}
