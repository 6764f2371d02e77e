package replay

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// PortModes are how a frame's port is found:
//
//   - auto: interface if the capture begins with several, else one
//   - one: all frames come in at port 0
//   - interface: a port for each interface that a pcapng file begins with
//   - mac: port 0 for frames from the first source address, port 1 for all others
var PortModes = []string{"auto", "one", "interface", "mac"}

// ports tells at which port a frame comes in.
type ports struct {
	mode  string
	names []string
	first [6]byte // mac: the first source address
	known bool
}

// newPorts looks at the interfaces that are known: those before the first record.
func newPorts(mode string, c *Capture) (ports, error) {
	faces := c.Interfaces()
	if last := len(faces) - 1; last > 0 && faces[last] == nic.OwnFrames {
		faces = faces[:last]
	}
	if mode == "" || mode == "auto" {
		if mode = "one"; len(faces) > 1 {
			mode = "interface"
		}
	}
	p := ports{mode: mode}
	switch {
	case mode == "one", mode == "interface" && len(faces) < 2:
		p.mode, p.names = "one", []string{"in0"}
	case mode == "mac":
		p.names = []string{"in0", "in1"}
	case mode == "interface" && len(faces) > pipeline.MaxPorts:
		return p, failure.New(failure.Usage, "replay "+c.name, fmt.Sprintf("it has %d interfaces, a card has at most %d ports", len(faces), pipeline.MaxPorts), "--ports one, or --ports mac")
	case mode == "interface":
		for i, name := range faces {
			if name == "" || slices.Contains(p.names, name) {
				name = "in" + strconv.Itoa(i)
			}
			p.names = append(p.names, name)
		}
	default:
		return p, failure.New(failure.Usage, fmt.Sprintf("ports %q", mode), "want "+strings.Join(PortModes, ", "), "meshnic replay --help")
	}
	return p, nil
}

// place turns a record's interface into its port; false if there is none.
func (p *ports) place(rec *Record) bool {
	switch p.mode {
	case "one":
		rec.Port = 0
	case "mac":
		rec.Port = 0
		if len(rec.Data) < 12 {
			break
		}
		src := [6]byte(rec.Data[6:12])
		if !p.known {
			p.first, p.known = src, true
		}
		if src != p.first {
			rec.Port = 1
		}
	}
	return rec.Port < len(p.names)
}

// actors reports whether a stage acts on frames.
func actors(b *pipeline.Built) bool {
	for _, s := range b.Net.Stages {
		if _, ok := s.(*card.Pipe); ok {
			return true
		}
	}
	return false
}

func popcount(to datapath.PortSet) int { return bits.OnesCount64(uint64(to)) }

// lowest is the first port of a set, 0 of none.
func lowest(to datapath.PortSet) int {
	if to == 0 {
		return 0
	}
	return bits.TrailingZeros64(uint64(to))
}
