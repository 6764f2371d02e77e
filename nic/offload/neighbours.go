package offload

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// maxAskShift is that of the longest wait between two questions for a host that nobody
// waits for: 64 s.
const maxAskShift = 6

// missedAll is how many questions in a row a host leaves unanswered that is not there, a
// second for each: as with Linux (mcast_solicit) and RFC 4861 §10 (MAX_MULTICAST_SOLICIT).
const missedAll = 3

// arp answers for the listeners' addresses and learns who asks (RFC 826). Requests for
// others pass.
func (o *Offload) arp(p *datapath.Packet) datapath.Verdict {
	a := wire.ARP(p.Data[p.PHV.L3Off:])
	sender := wire.MapIPv4(a.SenderIP())
	o.learn(sender, a.SenderMAC(), p.In)
	if !o.owned[wire.MapIPv4(a.TargetIP())] {
		return datapath.Continue
	}
	if a.Op() == wire.ARPRequest {
		o.frames = append(o.frames, splice.Frame{Port: p.In, Data: arpFrame(wire.ARPReply, MAC, a.TargetIP(), a.SenderMAC(), a.SenderIP())})
	}
	return datapath.Consume
}

// ndp does the same over IPv6 (RFC 4861 §7.1, §7.2).
func (o *Offload) ndp(p *datapath.Packet) datapath.Verdict {
	h := &p.PHV
	n := wire.NDP(p.Data[h.L4Off : uint32(h.PayloadOff)+h.PayloadLen])
	if !n.Valid() || h.TTL != wire.NDPHopLimit {
		return datapath.Continue
	}
	target := n.Target()
	if n[0] == wire.NeighbourAdvertisement {
		if m, ok := n.Link(wire.NDPTargetLink); ok {
			o.learn(target, m, p.In)
		}
		if o.owned[h.IPDst] {
			return datapath.Consume
		}
		return datapath.Continue
	}
	if m, ok := n.Link(wire.NDPSourceLink); ok {
		o.learn(h.IPSrc, m, p.In)
	}
	if !o.owned[target] {
		return datapath.Continue
	}
	to, mac, flags := h.IPSrc, wire.Ethernet(p.Data).Src(), wire.NDPSolicited|wire.NDPOverride
	if to == [16]byte{} { // who wants the address for itself (RFC 4862 §5.4) is told that it is taken, with all others
		to, mac, flags = [16]byte{0: 0xff, 1: 0x02, 15: 1}, wire.MAC{0x33, 0x33, 5: 1}, wire.NDPOverride
	}
	o.frames = append(o.frames, splice.Frame{Port: p.In, Data: ndpFrame(wire.NeighbourAdvertisement, flags, target, wire.NDPTargetLink, target, mac, to)})
	return datapath.Consume
}

// learn notes where a host is.
func (o *Offload) learn(ip [16]byte, mac wire.MAC, port datapath.Port) {
	if mac.IsMulticast() || mac.IsZero() || o.owned[ip] {
		return
	}
	for i := range o.ends {
		e := &o.ends[i]
		if e.addr.IP != ip {
			continue
		}
		n := splice.Neighbour{MAC: mac, Own: MAC, Port: port}
		if e.known && e.next == n {
			e.answers()
			continue
		}
		o.place(splice.Endpoint(i), n)
	}
}

// place notes where the host of ep is.
func (o *Offload) place(ep splice.Endpoint, n splice.Neighbour) {
	e := &o.ends[ep]
	moved := e.known
	e.known, e.next = true, n
	e.answers()
	o.engine.SetNeighbour(o.now, ep, n)
	if moved { // it may be another host by now, which knows of none
		e.drained++
		o.engine.DropIdle(ep)
	}
}

// answers notes that e's host does.
func (e *end) answers() { e.doubted, e.asking, e.missed, e.askAt = false, false, 0, 0 }

// want has the host of ep, which is not known, be asked for: at once, but not more often
// than once a second (RFC 1122 §2.3.2.1). Nobody needs to wait for it: e.asks says how
// often nobody did, and after missedAll of them it is ever longer to the next.
func (o *Offload) want(ep splice.Endpoint) {
	e := &o.ends[ep]
	if e.known || e.quiet {
		return
	}
	o.askSoon(e)
}

// askSoon has e be asked for anew.
func (o *Offload) askSoon(e *end) {
	e.asks, e.askAt = 0, max(o.now, 1)
	if e.asked != 0 {
		e.askAt = max(e.askAt, e.asked+sim.Cycle(o.cfg.Clock.Hz))
	}
	o.askSooner(e.askAt)
}

// doubt has the host of ep be asked for, which is known, and has not acknowledged in time what
// it was sent: that is one answer of those that it owes.
func (o *Offload) doubt(ep splice.Endpoint) {
	if e := &o.ends[ep]; e.known && !e.doubted {
		e.doubted, e.missed = true, 1
		o.askSoon(e)
	}
}

// trust ends the doubts about the host of ep, which has said something: that is an answer, too
// (RFC 4861 §7.3.1).
func (o *Offload) trust(ep splice.Endpoint) {
	if !o.ends[ep].doubted {
		return
	}
	for i := range o.ends {
		if e := &o.ends[i]; e.known && e.addr.IP == o.ends[ep].addr.IP {
			e.answers()
		}
	}
}

// absent reports whether e's host is not there, and is being asked for, as it is every second
// while somebody wants it: nobody needs to wait for it to say so again.
func (o *Offload) absent(e *end) bool {
	return !e.known && e.missed >= missedAll && o.now < e.asked+sim.Cycle(o.cfg.Clock.Hz)*3/2
}

// lose notes that the host of ep is not there. Those who wait for it are told, and nobody is
// sent to it over connections from before.
func (o *Offload) lose(ep splice.Endpoint) {
	e := &o.ends[ep]
	if e.known {
		o.gone++
		e.drained++
		o.drain = append(o.drain, ep)
	}
	e.known, e.doubted, e.missed = false, false, missedAll
	o.engine.NoNeighbour(o.now, ep)
}

// PortDown says that the link of a port is down: whoever was behind it is not there, before
// that shows in silence.
func (o *Offload) PortDown(now sim.Cycle, p datapath.Port) {
	o.now = now
	for i := range o.ends {
		if e := &o.ends[i]; e.known && e.next.Port == p {
			o.lose(splice.Endpoint(i))
			o.askSoon(e)
		}
	}
	o.collect()
}

func (o *Offload) askSooner(at sim.Cycle) {
	if o.askAt == 0 || at < o.askAt {
		o.askAt = at
	}
}

// resolve asks for the endpoints whose neighbours are not known, when it is time.
func (o *Offload) resolve() {
	if o.askAt == 0 || o.now < o.askAt {
		return
	}
	o.askAt = 0
	seen := map[[16]byte]bool{}
	for i := range o.ends {
		e := &o.ends[i]
		if e.askAt == 0 {
			continue
		}
		if o.now >= e.askAt {
			if e.asking {
				o.missed(splice.Endpoint(i))
			}
			if !seen[e.addr.IP] {
				seen[e.addr.IP] = true
				o.ask(e)
			}
			if e.missed == missedAll && o.now >= e.asked+2*sim.Cycle(o.cfg.Clock.Hz) {
				e.missed-- // it was left alone, and may be there by now: who wants it waits for this
			}
			e.asking, e.asked = true, o.now
			e.askAt = o.now + sim.Cycle(o.cfg.Clock.Hz)<<max(int(e.asks)-missedAll+1, 0)
			e.asks = min(e.asks+1, maxAskShift+missedAll-1)
		}
		o.askSooner(e.askAt)
	}
}

// missed notes that the host of ep has not answered a question.
func (o *Offload) missed(ep splice.Endpoint) {
	e := &o.ends[ep]
	if e.missed == missedAll-1 && !e.known {
		o.gone++ // it has never been there, as far as we know
	}
	if e.missed = min(e.missed+1, missedAll); e.missed == missedAll {
		o.lose(ep)
	}
}

// ask asks on all ports who has the address of e.
func (o *Offload) ask(e *end) {
	var f []byte
	if to, v4 := wire.UnmapIPv4(e.addr.IP); v4 {
		from, _ := wire.UnmapIPv4(e.from)
		f = arpFrame(wire.ARPRequest, MAC, from, wire.MAC{}, to)
		wire.Ethernet(f).SetDst(wire.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	} else {
		group, mac := wire.SolicitedNode(e.addr.IP)
		f = ndpFrame(wire.NeighbourSolicitation, 0, e.addr.IP, wire.NDPSourceLink, e.from, mac, group)
	}
	for p := range o.cfg.Ports {
		o.frames = append(o.frames, splice.Frame{Port: datapath.Port(p), Data: f})
	}
}

// arpFrame makes an ARP packet for IPv4 over Ethernet.
func arpFrame(op uint16, senderMAC wire.MAC, senderIP [4]byte, targetMAC wire.MAC, targetIP [4]byte) []byte {
	f := make([]byte, wire.EthernetLen+wire.ARPLen)
	eth := wire.Ethernet(f)
	eth.SetDst(targetMAC)
	eth.SetSrc(senderMAC)
	eth.SetType(wire.TypeARP)
	a := wire.ARP(f[wire.EthernetLen:])
	a.Init(op)
	a.SetSender(senderMAC, senderIP)
	a.SetTarget(targetMAC, targetIP)
	return f
}

// ndpFrame makes a message of neighbour discovery from ip to another.
func ndpFrame(typ, flags uint8, target [16]byte, kind wire.NDPOption, ip [16]byte, mac wire.MAC, to [16]byte) []byte {
	f := make([]byte, wire.EthernetLen+wire.IPv6Len, wire.EthernetLen+wire.IPv6Len+wire.NDPLen+8)
	eth := wire.Ethernet(f)
	eth.SetDst(mac)
	eth.SetSrc(MAC)
	eth.SetType(wire.TypeIPv6)
	h := f[wire.EthernetLen:]
	h[0], h[5], h[6], h[7] = 6<<4, wire.NDPLen+8, wire.ProtoICMPv6, wire.NDPHopLimit
	copy(h[8:24], ip[:])
	copy(h[24:40], to[:])
	f = wire.AppendNDP(f, typ, flags, target, kind, MAC)
	wire.FillL4Checksum(f)
	return f
}
