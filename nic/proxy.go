package nic

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
)

// Frame is one that a proxy made.
type Frame = splice.Frame

// OwnFrames is the name of the interface, after the ports', under which a capture has
// the frames that a proxy made at times of its own.
const OwnFrames = "(card)"

// Advance has the proxy do what is due at now, and returns the frames that it made. They
// hold until Flushed.
func (l *Logic) Advance(now sim.Cycle) []splice.Frame {
	if l.proxy == nil {
		return nil
	}
	l.proxy.Advance(now)
	return l.made()
}

// ProxyCounters are the proxy's own, by name; none without one.
func (l *Logic) ProxyCounters() map[string]uint64 {
	if l.proxy == nil {
		return nil
	}
	return l.proxy.Counters()
}

// made are the frames of the proxy's own that nobody has taken yet.
func (l *Logic) made() []splice.Frame {
	if l.proxy == nil {
		return nil
	}
	out := l.proxy.Out()
	own := out[l.taken:]
	l.taken = len(out)
	return own
}

// Flushed says that what the proxy made has left.
func (l *Logic) Flushed() {
	if l.proxy != nil {
		l.proxy.Flushed()
		l.taken = 0
	}
}

// advance has the proxy do what is due, and sends what it makes.
func (n *NIC) advance(now sim.Cycle) error {
	own := n.Logic.Advance(now)
	for _, f := range own {
		if n.model != nil {
			n.model.own(now, f)
		}
		if n.cfg.Capture != nil {
			if err := n.capture(now, len(n.ports), &hostif.Frame{Data: f.Data}); err != nil {
				return err
			}
		}
	}
	if n.send(own); len(own) == 0 {
		return nil
	}
	return n.flush()
}

// send queues frames of the proxy's own.
func (n *NIC) send(own []splice.Frame) {
	for _, f := range own {
		n.queue(&hostif.Frame{Data: f.Data}, datapath.PortSet(0).Add(f.Port))
	}
}

// reframed is what is left to do of a packet whose headers the proxy has written. They
// may be of another length and of another IP, and its segments shorter.
func reframed(p *datapath.Packet) (o hostif.Offload) {
	l4, ok := wire.FindL4(p.Data)
	if !ok || !p.CsumPartial && p.GSOSize == 0 {
		return o
	}
	o = hostif.Offload{CsumPartial: p.CsumPartial, CsumStart: uint16(l4.Off), CsumOffset: uint16(l4.SumOff)}
	if p.GSOSize > 0 {
		o.GSO, o.GSOSize = hostif.GSOTCPv4, p.GSOSize
		if wire.Ethernet(p.Data).Type() == wire.TypeIPv6 {
			o.GSO = hostif.GSOTCPv6
		}
		o.HdrLen = uint16(l4.Off + wire.TCP(p.Data[l4.Off:]).HeaderLen())
	}
	return o
}
