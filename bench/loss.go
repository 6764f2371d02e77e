package bench

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/meshnic/meshnic/nic/control"
)

// ownLosses says what our own parts lost or spoilt: frames in the NIC's rings,
// and segments that arrived with a wrong checksum. Either makes a figure worth
// nothing, unless faults were asked for. It also notes what the NIC switched.
func (s *rigs) ownLosses(ctx context.Context) []string {
	var why []string
	for _, g := range s.all {
		if g.nic == nil || s.run.Fault != "" {
			continue
		}
		name := g.lab.Spec().Name
		snap, err := control.Get(ctx, g.sock)
		if err != nil {
			continue // the run has failed already, with its own words
		}
		if n := snap.Counters["xdp.threaded.switches"]; n > 0 {
			_, short, _ := strings.Cut(name, "_")
			s.run.note(fmt.Sprintf("%s: whether hosts receive in kernel threads what the NIC sends was switched %d times; on for %d ports at the end", short, n, snap.Counters["xdp.threaded.on"]))
		}
		for port, st := range snap.Ports {
			if lost := st.RxDropFull + st.TxDropFull + st.TxDropError + st.RxDropBad; lost > 0 {
				why = append(why, fmt.Sprintf("%s: port %s of the NIC lost %d of %d frames in our own rings", name, port, lost, st.RxFrames+st.TxFrames))
			}
		}
		for _, h := range g.lab.Spec().Hosts {
			if n := g.csumErrors(h.Name); n > 0 {
				why = append(why, fmt.Sprintf("%s: host %s received %d TCP segments with a wrong checksum (TcpInCsumErrors)", name, h.Name, n))
			}
		}
	}
	return why
}

// csumErrors reads TcpInCsumErrors of a host's namespace.
func (g *rig) csumErrors(host string) uint64 { return g.tcp(host, "InCsumErrors") }

// opened is how many connections the hosts have opened so far.
func (g *rig) opened() (n uint64) {
	for _, h := range g.lab.Spec().Hosts {
		n += g.tcp(h.Name, "ActiveOpens")
	}
	return n
}

// tcp reads a counter of TCP in a host's namespace.
func (g *rig) tcp(host, name string) (n uint64) {
	g.lab.Do(host, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		n = snmpField(string(b), "Tcp", name)
		return nil
	})
	return n
}

// snmpField reads one counter of /proc/net/snmp: a line of names, then a line
// of values, both with the protocol in front.
func snmpField(text, proto, name string) (value uint64) {
	var names []string
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 || f[0] != proto+":" {
			continue
		}
		if names == nil {
			names = f
			continue
		}
		for i, v := range f {
			if i < len(names) && names[i] == name {
				fmt.Sscan(v, &value)
			}
		}
	}
	return value
}
