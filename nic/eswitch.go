package nic

import (
	"errors"
	"fmt"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/matchaction"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/internal/failure"
)

// macAge is how long an address is remembered after it was seen last: 300 s,
// IEEE 802.1Q-2018 table 8-7, default aging time.
const macAge = 300

// eswitch is the card's learning switch: an exact match on VLAN and destination
// address, learned from sources. What it does not know it floods.
type eswitch struct {
	table   *matchaction.Table
	ports   datapath.PortSet // all of them
	hairpin bool
	unknown uint64 // frames flooded because their destination is not known
}

func newESwitch(cfg Config, ports []string) (*eswitch, error) {
	table, err := matchaction.New(matchaction.Config{
		Name:     "eswitch",
		Key:      []matchaction.KeyField{{Field: datapath.FieldVLAN}, {Field: datapath.FieldEthDst}},
		Capacity: cfg.MACs,
		MaxAge:   sim.Cycle(macAge * CoreHz),
	})
	if err != nil {
		return nil, err
	}
	e := &eswitch{table: table, hairpin: cfg.Hairpin}
	byName := map[string]datapath.Port{}
	for i, name := range ports {
		e.ports = e.ports.Add(datapath.Port(i))
		byName[name] = datapath.Port(i)
	}
	for _, s := range cfg.Static {
		to, ok := byName[s.Port]
		if !ok {
			return nil, failure.Usagef("static entry %v: no port is named %q", s.MAC, s.Port)
		}
		err := table.Add(matchaction.Entry{
			Match:   []matchaction.Match{matchaction.Exactly(datapath.Uint(uint64(s.VLAN))), matchaction.Exactly(datapath.Uint(s.MAC.Uint64()))},
			Actions: []matchaction.Action{matchaction.Forward(datapath.PortSet(0).Add(to))},
		})
		if errors.Is(err, matchaction.ErrExists) {
			return nil, failure.Usagef("static entry %v: named twice", s.MAC)
		}
		if err != nil {
			return nil, fmt.Errorf("static entry %v: %w", s.MAC, err)
		}
	}
	return e, nil
}

// Name returns "eswitch".
func (*eswitch) Name() string { return "eswitch" }

// Process learns the source and decides the egress ports.
func (e *eswitch) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	h := &p.PHV
	if h.EthSrc.IsMulticast() || h.EthSrc.IsZero() {
		p.Reason = datapath.DropSourceMAC
		return datapath.Drop
	}
	e.table.Learn(matchaction.MACKey(h.VLAN, h.EthSrc), p.In, now)

	others := e.ports.Remove(p.In)
	switch {
	case h.EthDst.IsMulticast():
		p.Egress = others
	case e.table.Process(now, p) == datapath.Forward:
		if !e.hairpin {
			p.Egress &= others
		}
	default:
		e.unknown++
		p.Egress = others
	}
	if p.Egress == 0 {
		p.Reason = datapath.DropNoEgress
		return datapath.Drop
	}
	return datapath.Forward
}

// counters adds the switch's counters by name.
func (e *eswitch) counters(to map[string]uint64) {
	s := e.table.Stats()
	to["eswitch.entries"] = uint64(s.Entries)
	to["eswitch.hits"] = s.Hit.Packets
	to["eswitch.misses"] = s.Miss.Packets
	to["eswitch.flooded_unknown"] = e.unknown
	to["eswitch.learned"] = s.Learned
	to["eswitch.moved"] = s.Moved
	to["eswitch.aged"] = s.Aged
	to["eswitch.learn_full"] = s.LearnFull
	to["eswitch.static_kept"] = s.StaticKept
}
