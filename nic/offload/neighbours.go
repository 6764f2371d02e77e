package offload

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// neighbours are the hosts whose hardware address is known (RFC 826).
type neighbours struct {
	asked sim.Cycle // when the missing ones were asked for last
	open  int       // endpoints whose neighbour is not known
}

// arp answers for the listeners' addresses and learns who asks. Requests for others pass.
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
			continue
		}
		o.place(splice.Endpoint(i), n)
	}
}

// resolve asks for the endpoints whose neighbours are not known, once a second, or
// earlier when one is waited for.
func (o *Offload) resolve() {
	if o.neighbours.open == 0 || o.neighbours.asked != 0 && o.now < o.neighbours.asked+sim.Cycle(o.cfg.Clock.Hz) {
		return
	}
	o.neighbours.asked = max(o.now, 1)
	seen := map[[16]byte]bool{}
	for i := range o.ends {
		e := &o.ends[i]
		to, v4 := wire.UnmapIPv4(e.addr.IP)
		from, ok := wire.UnmapIPv4(e.from)
		if e.known || e.quiet || !v4 || !ok || seen[e.addr.IP] {
			continue
		}
		seen[e.addr.IP] = true
		f := arpFrame(wire.ARPRequest, MAC, from, wire.MAC{}, to)
		wire.Ethernet(f).SetDst(wire.MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		for p := range o.cfg.Ports {
			o.frames = append(o.frames, splice.Frame{Port: datapath.Port(p), Data: f})
		}
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
