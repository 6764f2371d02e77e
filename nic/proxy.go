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

// reframed is what is left to do of a frame that the proxy has given other headers:
// they may be of another length, and the payload may fit one segment now.
func reframed(f *hostif.Frame) hostif.Offload {
	o := f.Offload
	l4, ok := wire.FindL4(f.Data)
	if !ok {
		return hostif.Offload{}
	}
	head := l4.Off + wire.TCP(f.Data[l4.Off:]).HeaderLen()
	o.CsumStart, o.HdrLen = uint16(l4.Off), uint16(head)
	if len(f.Data)-head <= int(o.GSOSize) {
		o.GSO, o.GSOSize, o.HdrLen = hostif.GSONone, 0, 0
	}
	return o
}
