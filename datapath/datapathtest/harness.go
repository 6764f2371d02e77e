package datapathtest

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Row is one test of a stage: packet in, packet out, verdict.
type Row struct {
	Name string
	In   Frame
	Port datapath.Port // where In arrives
	Now  sim.Cycle     // when

	Out     Frame // what leaves; nil if it does not matter or nothing does
	Verdict datapath.Verdict
	Reason  datapath.DropReason // with Drop
	Egress  datapath.PortSet    // with Forward
	Mirror  datapath.PortSet

	// Raw hands the stage the frame as it is, with an empty PHV: for stages that
	// parse. Otherwise it is parsed first; checksums are not looked at.
	Raw bool
	// Prepare changes the packet before the stage sees it, Check looks at it
	// after; nil for neither.
	Prepare func(*datapath.Packet)
	Check   func(testing.TB, *datapath.Packet)
}

// Run runs rows one after the other, each in a subtest, each on a stage of its
// own that build makes. What leaves is deparsed first, so that rows show what a
// stage did to the PHV as bytes.
func Run(t *testing.T, build func(testing.TB) datapath.Stage, rows []Row) {
	t.Helper()
	for _, r := range rows {
		t.Run(r.Name, func(t *testing.T) { RunRow(t, build(t), r) })
	}
}

// RunSequence runs rows on one stage, for those that remember.
func RunSequence(t testing.TB, stage datapath.Stage, rows []Row) {
	t.Helper()
	for _, r := range rows {
		RunRow(t, stage, r)
	}
}

// headroom is how much memory a packet of the harness has behind its frame.
const headroom = 64

// Packet returns f as a packet, parsed. It fails the test if the parser drops it.
func Packet(t testing.TB, f Frame) *datapath.Packet {
	t.Helper()
	p := raw(f)
	if v := parser.New(parser.Config{}).Process(0, p); v != datapath.Continue {
		t.Fatalf("the parser drops the packet: %v\n%s", p.Reason, hex.Dump(f))
	}
	return p
}

func raw(f Frame) *datapath.Packet {
	return &datapath.Packet{ID: 1, Data: append(make([]byte, 0, len(f)+headroom), f...)}
}

// RunRow runs one row on a stage.
func RunRow(t testing.TB, stage datapath.Stage, r Row) {
	t.Helper()
	p := raw(r.In)
	if !r.Raw {
		p = Packet(t, r.In)
	}
	p.In = r.Port
	if r.Prepare != nil {
		r.Prepare(p)
	}
	verdict := stage.Process(r.Now, p)
	if verdict != r.Verdict {
		t.Fatalf("%s: verdict %v (%v), want %v", r.Name, verdict, p.Reason, r.Verdict)
	}
	if verdict == datapath.Drop != (p.Reason != datapath.DropNone) {
		t.Errorf("%s: verdict %v with reason %v: a drop has a reason, nothing else has", r.Name, verdict, p.Reason)
	}
	if p.Reason != r.Reason {
		t.Errorf("%s: reason %v, want %v", r.Name, p.Reason, r.Reason)
	}
	if verdict == datapath.Forward && p.Egress != r.Egress {
		t.Errorf("%s: forwarded to %b, want %b", r.Name, p.Egress, r.Egress)
	}
	if p.Mirror != r.Mirror {
		t.Errorf("%s: mirrored to %b, want %b", r.Name, p.Mirror, r.Mirror)
	}
	if r.Check != nil {
		r.Check(t, p)
	}
	if verdict == datapath.Drop || r.Out == nil {
		return
	}
	if v := deparser.New().Process(r.Now, p); v != datapath.Continue {
		t.Fatalf("%s: the deparser drops the packet: %v", r.Name, p.Reason)
	}
	if !bytes.Equal(p.Data, r.Out) {
		t.Errorf("%s: out\n%swant\n%s", r.Name, hex.Dump(p.Data), hex.Dump(r.Out))
	}
}
