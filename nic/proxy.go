package nic

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
)

// own queues the frames that the proxy has made of its own accord, and reports
// whether there are any that have not left.
func (n *NIC) own() bool {
	out := n.proxy.Out()
	for _, f := range out[n.ownQueued:] {
		n.queue(&hostif.Frame{Data: f.Data}, datapath.PortSet(0).Add(f.Port))
	}
	n.ownQueued = len(out)
	return len(out) > 0
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
