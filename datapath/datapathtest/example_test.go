package datapathtest_test

import (
	"fmt"
	"testing"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
)

// Router is a stage of a user: it counts the TTL down and drops what is too old.
type Router struct{}

func (Router) Name() string { return "router" }

func (Router) Process(_ sim.Cycle, p *datapath.Packet) datapath.Verdict {
	if p.PHV.TTL <= 1 {
		p.Reason = datapath.DropTable
		return datapath.Drop
	}
	p.SetField(datapath.FieldTTL, datapath.Uint(uint64(p.PHV.TTL-1)))
	return datapath.Continue
}

// This is how a stage is tested: a row is a name, a packet in, a packet out and
// a verdict. Checksums in Out are right because the builder makes them so.
func TestRouter(t *testing.T) {
	packet := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")
	Run(t, func(testing.TB) datapath.Stage { return Router{} }, []Row{
		{Name: "counts down", In: packet.TTL(64), Out: packet.TTL(63)},
		{Name: "last hop", In: packet.TTL(2), Out: packet.TTL(1)},
		{Name: "too old", In: packet.TTL(1), Verdict: datapath.Drop, Reason: datapath.DropTable},
		{Name: "IPv6", In: Eth().IPv6("::1", "::2").TTL(9), Out: Eth().IPv6("::1", "::2").TTL(8)},
	})
}

func ExampleFrame() {
	f := Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S", MSS(1460))
	p := &datapath.Packet{Data: f}
	fmt.Println(len(p.Data), "bytes")
	fmt.Printf("% x\n", f[18:38])
	// Output:
	// 62 bytes
	// 45 00 00 2c 00 00 40 00 40 06 26 ca 0a 00 00 01 0a 00 00 02
}

// recorder is a testing.TB that notes failure instead of failing.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()                   {}
func (r *recorder) Errorf(string, ...any)     { r.failed = true }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = true; panic(r) }

// A harness that cannot fail tests nothing.
func TestHarnessFails(t *testing.T) {
	packet := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")
	for _, row := range []Row{
		{Name: "verdict", In: packet, Verdict: datapath.Forward},
		{Name: "bytes", In: packet, Out: packet},
		{Name: "reason", In: packet.TTL(1), Verdict: datapath.Drop, Reason: datapath.DropRunt},
		{Name: "mirror", In: packet, Mirror: 1},
		{Name: "not a packet", In: packet.Truncate(20)},
		{Name: "check", In: packet, Check: func(t testing.TB, _ *datapath.Packet) { t.Errorf("no") }},
	} {
		r := &recorder{TB: t}
		func() {
			defer func() {
				if e := recover(); e != nil && e != any(r) {
					panic(e)
				}
			}()
			RunRow(r, Router{}, row)
		}()
		if !r.failed {
			t.Errorf("%s: the harness lets it pass", row.Name)
		}
	}
}
