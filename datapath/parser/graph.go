package parser

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Extract says which header a state takes off the front of what is left, and
// with it which field selects the next state.
type Extract uint8

// The headers that can be extracted. The first two groups select the next state
// by EtherType and by IP protocol; the last ends the parse.
const (
	ExtractEthernet Extract = iota // selects by EtherType
	ExtractVLAN

	ExtractIPv4 // selects by protocol, unless a fragment other than the first
	ExtractIPv6
	ExtractIPv6Options // hop-by-hop, destination options and all of their format
	ExtractIPv6Routing
	ExtractIPv6Fragment
	ExtractIPv6AH

	ExtractARP // ends the parse
	ExtractICMP
	ExtractICMPv6
	ExtractUDP
	ExtractTCP
	numExtracts
)

// Accept is the state that ends the parse: the packet passes with the headers
// found so far.
const Accept = "accept"

// State is one state of the parse graph.
type State struct {
	Name    string
	Extract Extract
	Header  datapath.Header   // set in PHV.Headers once extracted
	Next    map[uint16]string // by EtherType or protocol; what is not listed is accepted
}

// Graph is a parse graph: a start state and what follows from each. It may not
// have cycles except among IPv6 extension headers, of which wire.MaxIPv6Ext are
// followed.
type Graph []State

// DefaultGraph returns the graph of the headers that datapath knows. The first
// state is the start.
func DefaultGraph() Graph {
	network := map[uint16]string{
		wire.TypeIPv4: "ipv4",
		wire.TypeIPv6: "ipv6",
		wire.TypeARP:  "arp",
	}
	after := func(base map[uint16]string, more map[uint16]string) map[uint16]string {
		m := map[uint16]string{}
		for k, v := range base {
			m[k] = v
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	transport := map[uint16]string{
		uint16(wire.ProtoTCP): "tcp",
		uint16(wire.ProtoUDP): "udp",
	}
	// Hop-by-hop options may only follow the IPv6 header itself (RFC 8200 §4.3).
	ext := after(transport, map[uint16]string{
		uint16(wire.ProtoICMPv6):   "icmpv6",
		uint16(wire.ProtoDestOpts): "ipv6_options",
		uint16(wire.ProtoMobility): "ipv6_options",
		uint16(wire.ProtoHIP):      "ipv6_options",
		uint16(wire.ProtoShim6):    "ipv6_options",
		uint16(wire.ProtoRouting):  "ipv6_routing",
		uint16(wire.ProtoFragment): "ipv6_fragment",
		uint16(wire.ProtoAH):       "ipv6_ah",
	})
	return Graph{
		{"ethernet", ExtractEthernet, datapath.HdrEthernet,
			after(network, map[uint16]string{wire.TypeVLAN: "vlan", wire.TypeQinQ: "vlan"})},
		{"vlan", ExtractVLAN, datapath.HdrVLAN,
			after(network, map[uint16]string{wire.TypeVLAN: "qinq", wire.TypeQinQ: "qinq"})},
		{"qinq", ExtractVLAN, datapath.HdrQinQ, network},
		{"arp", ExtractARP, datapath.HdrARP, nil},
		{"ipv4", ExtractIPv4, datapath.HdrIPv4,
			after(transport, map[uint16]string{uint16(wire.ProtoICMP): "icmp"})},
		{"ipv6", ExtractIPv6, datapath.HdrIPv6,
			after(ext, map[uint16]string{uint16(wire.ProtoHopByHop): "ipv6_options"})},
		{"ipv6_options", ExtractIPv6Options, datapath.HdrIPv6Ext, ext},
		{"ipv6_routing", ExtractIPv6Routing, datapath.HdrIPv6Ext, ext},
		{"ipv6_fragment", ExtractIPv6Fragment, datapath.HdrIPv6Ext, ext},
		{"ipv6_ah", ExtractIPv6AH, datapath.HdrIPv6Ext, ext},
		{"icmp", ExtractICMP, datapath.HdrICMP, nil},
		{"icmpv6", ExtractICMPv6, datapath.HdrICMP, nil},
		{"udp", ExtractUDP, datapath.HdrUDP, nil},
		{"tcp", ExtractTCP, datapath.HdrTCP, nil},
	}
}

// Dot returns the graph in Graphviz's language.
func (g Graph) Dot() string {
	var b strings.Builder
	b.WriteString("digraph parser {\n")
	for _, s := range g {
		values := make([]int, 0, len(s.Next))
		for v := range s.Next {
			values = append(values, int(v))
		}
		slices.Sort(values)
		for _, v := range values {
			fmt.Fprintf(&b, "\t%s -> %s [label=\"%#x\"]\n", s.Name, s.Next[uint16(v)], v)
		}
		fmt.Fprintf(&b, "\t%s -> %s\n", s.Name, Accept)
	}
	b.WriteString("}\n")
	return b.String()
}

// etherSlots is the size of a state's EtherType table; etherTries bounds the
// search for a multiplier that keeps its values apart.
const (
	etherSlots = 64
	etherTries = 1 << 12
)

// state is a State as the hardware holds it: the next state by value in one
// read. State 0 is Accept; the start is 1.
type state struct {
	extract Extract
	header  datapath.Header
	mul     uint32             // of the EtherType hash
	types   [etherSlots]uint16 // EtherType in each slot
	ether   [etherSlots]uint8  // next state by hashed EtherType
	proto   [256]uint8         // next state by protocol
}

func (s *state) slot(v uint16) uint32 { return uint32(v) * s.mul >> 26 }

func (s *state) byType(v uint16) uint8 {
	i := s.slot(v) % etherSlots
	if s.types[i] != v {
		return 0
	}
	return s.ether[i]
}

// compile checks g and turns names into numbers.
func (g Graph) compile() ([]state, error) {
	ids := map[string]uint8{Accept: 0}
	if len(g) == 0 || len(g) > 254 {
		return nil, fmt.Errorf("parser: graph has %d states, want 1 to 254", len(g))
	}
	for i, s := range g {
		if _, dup := ids[s.Name]; dup || s.Name == "" {
			return nil, fmt.Errorf("parser: state %d: name %q is empty or taken", i, s.Name)
		}
		if s.Extract >= numExtracts || s.Extract == ExtractEthernet && i > 0 {
			return nil, fmt.Errorf("parser: state %q: extracts header %d", s.Name, s.Extract)
		}
		ids[s.Name] = uint8(i + 1)
	}
	if g[0].Extract != ExtractEthernet {
		return nil, fmt.Errorf("parser: state %q: the start must extract Ethernet", g[0].Name)
	}
	states := make([]state, len(g)+1)
	for i, s := range g {
		c := &states[i+1]
		*c = state{extract: s.Extract, header: s.Header, mul: 1}
		if s.Extract >= ExtractARP && len(s.Next) > 0 {
			return nil, fmt.Errorf("parser: state %q ends the parse, nothing can follow", s.Name)
		}
		for v, name := range s.Next {
			id, known := ids[name]
			if !known {
				return nil, fmt.Errorf("parser: state %q: no state %q", s.Name, name)
			}
			if err := follows(s, v, id, g); err != nil {
				return nil, err
			}
			if s.Extract >= ExtractIPv4 {
				c.proto[v] = id
			}
		}
		if s.Extract < ExtractIPv4 && !c.place(s.Next, ids) {
			return nil, fmt.Errorf("parser: state %q: too many EtherTypes", s.Name)
		}
	}
	if name := g.cycle(); name != "" {
		return nil, fmt.Errorf("parser: state %q can follow itself", name)
	}
	return states, nil
}

// follows checks one transition: the header that it leads to must make sense
// behind the one before, because its extractor relies on it.
func follows(s State, v uint16, id uint8, g Graph) error {
	if s.Extract >= ExtractIPv4 && v > 255 {
		return fmt.Errorf("parser: state %q: protocol %d does not fit 8 bits", s.Name, v)
	}
	if id == 0 {
		return nil
	}
	to := g[id-1]
	var ok bool
	switch to.Extract {
	case ExtractVLAN, ExtractIPv4, ExtractIPv6, ExtractARP:
		ok = s.Extract <= ExtractVLAN
	case ExtractIPv6Options, ExtractIPv6Routing, ExtractIPv6Fragment, ExtractIPv6AH, ExtractICMPv6:
		ok = s.Extract >= ExtractIPv6 && s.Extract <= ExtractIPv6AH
	case ExtractICMP:
		ok = s.Extract == ExtractIPv4
	case ExtractUDP, ExtractTCP:
		ok = s.Extract >= ExtractIPv4 && s.Extract <= ExtractIPv6AH
	}
	if !ok {
		return fmt.Errorf("parser: state %q cannot follow state %q", to.Name, s.Name)
	}
	return nil
}

// place finds a multiplier with which no two EtherTypes share a slot.
func (s *state) place(next map[uint16]string, ids map[string]uint8) bool {
	for try := uint32(1); try <= etherTries; try++ {
		s.mul, s.types, s.ether = try*0x9e3779b1|1, [etherSlots]uint16{}, [etherSlots]uint8{}
		used := uint64(0)
		free := true
		for v := range next {
			i := s.slot(v)
			free = free && used>>i&1 == 0
			used |= 1 << i
			s.types[i], s.ether[i] = v, ids[next[v]]
		}
		if free {
			return true
		}
	}
	return false
}

// cycle returns a state that can follow itself without an IPv6 extension header
// between, or "".
func (g Graph) cycle() string {
	byName := map[string]State{}
	for _, s := range g {
		byName[s.Name] = s
	}
	done := map[string]bool{}
	var visit func(name string, path []string) string
	visit = func(name string, path []string) string {
		s := byName[name]
		if slices.Contains(path, name) {
			return name
		}
		if done[name] || s.Extract >= ExtractIPv6Options {
			return ""
		}
		for _, to := range s.Next {
			if c := visit(to, append(path, name)); c != "" {
				return c
			}
		}
		done[name] = true
		return ""
	}
	return visit(g[0].Name, nil)
}
