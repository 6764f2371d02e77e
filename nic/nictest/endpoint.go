package nictest

import (
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/meshnic/meshnic/datapath/wire"
)

// endpoint is a stack's network card: it keeps what the stack sends until the
// loop takes it. No offloads.
type endpoint struct {
	mtu uint32
	mac tcpip.LinkAddress

	mu   sync.Mutex
	disp stack.NetworkDispatcher
	tx   [][]byte
}

var _ stack.LinkEndpoint = (*endpoint)(nil)

func (e *endpoint) MTU() uint32                          { return e.mtu }
func (e *endpoint) SetMTU(mtu uint32)                    { e.mtu = mtu }
func (e *endpoint) MaxHeaderLength() uint16              { return wire.EthernetLen }
func (e *endpoint) LinkAddress() tcpip.LinkAddress       { return e.mac }
func (e *endpoint) SetLinkAddress(mac tcpip.LinkAddress) { e.mac = mac }
func (e *endpoint) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityResolutionRequired
}
func (e *endpoint) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareEther }
func (e *endpoint) Wait()                                   {}
func (e *endpoint) Close()                                  {}
func (e *endpoint) SetOnCloseAction(func())                 {}

func (e *endpoint) Attach(d stack.NetworkDispatcher) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.disp = d
}

func (e *endpoint) IsAttached() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.disp != nil
}

func (e *endpoint) AddHeader(p *stack.PacketBuffer) {
	h := header.Ethernet(p.LinkHeader().Push(wire.EthernetLen))
	h.Encode(&header.EthernetFields{
		SrcAddr: p.EgressRoute.LocalLinkAddress,
		DstAddr: p.EgressRoute.RemoteLinkAddress,
		Type:    p.NetworkProtocolNumber,
	})
}

func (e *endpoint) ParseHeader(p *stack.PacketBuffer) bool {
	_, ok := p.LinkHeader().Consume(wire.EthernetLen)
	return ok
}

func (e *endpoint) WritePackets(list stack.PacketBufferList) (int, tcpip.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range list.AsSlice() {
		b := make([]byte, 0, p.Size())
		for _, s := range p.AsSlices() {
			b = append(b, s...)
		}
		e.tx = append(e.tx, b)
	}
	return list.Len(), nil
}

// take returns what was sent since the last call.
func (e *endpoint) take() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	tx := e.tx
	e.tx = nil
	return tx
}

// deliver gives the stack a frame, if it is for this card.
func (e *endpoint) deliver(frame []byte) {
	h := wire.Ethernet(frame)
	if !h.Valid() || e.disp == nil {
		return
	}
	kind := tcpip.PacketHost
	switch dst := h.Dst(); {
	case dst.IsBroadcast():
		kind = tcpip.PacketBroadcast
	case dst.IsMulticast():
		kind = tcpip.PacketMulticast
	case string(dst[:]) != string(e.mac):
		return
	}
	p := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(frame)})
	defer p.DecRef()
	e.ParseHeader(p)
	p.PktType = kind
	e.disp.DeliverNetworkPacket(tcpip.NetworkProtocolNumber(h.Type()), p)
}
