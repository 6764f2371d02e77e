package nictest

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// socket is a connection or a listener of a Host.
type socket struct {
	h     *Host
	n     uint64 // order of creation
	ep    tcpip.Endpoint
	wq    *waiter.Queue
	entry waiter.Entry
	f     func() // Notify
	woken bool   // guarded by Host.mu
}

var _ Conn = (*socket)(nil)

const anyEvent = waiter.ReadableEvents | waiter.WritableEvents | waiter.EventErr | waiter.EventHUp | waiter.EventRdHUp

func (h *Host) adopt(ep tcpip.Endpoint, wq *waiter.Queue) *socket {
	h.w.opened++
	s := &socket{h: h, n: h.w.opened, ep: ep, wq: wq}
	s.entry = waiter.NewFunctionEntry(anyEvent, func(waiter.EventMask) { h.wake(s) })
	wq.EventRegister(&s.entry)
	h.sockets[s] = struct{}{}
	return s
}

func (h *Host) newSocket(o Socket) (*socket, error) {
	wq := new(waiter.Queue)
	proto, _ := address(h.Addr)
	ep, e := h.st.NewEndpoint(tcp.ProtocolNumber, proto, wq)
	if e != nil {
		return nil, fmt.Errorf("nictest: host %d: socket: %s", h.Port, e)
	}
	if n := h.atLeast(o.ReceiveBuffer); n > 0 {
		ep.SocketOptions().SetReceiveBufferSize(int64(n), true)
	}
	// Without Nagle's algorithm (RFC 896) pieces that are written stay pieces.
	ep.SocketOptions().SetDelayOption(false)
	return h.adopt(ep, wq), nil
}

// ordered returns the open sockets in order of creation.
func (h *Host) ordered() []*socket {
	list := make([]*socket, 0, len(h.sockets))
	for s := range h.sockets {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *socket) int { return int(a.n) - int(b.n) })
	return list
}

// Dial opens a connection.
func (h *Host) Dial(to netip.AddrPort, o Socket) (Conn, error) {
	s, err := h.newSocket(o)
	if err != nil {
		return nil, err
	}
	_, addr := address(to.Addr())
	e := s.ep.Connect(tcpip.FullAddress{Addr: addr, Port: to.Port()})
	if _, started := e.(*tcpip.ErrConnectStarted); e != nil && !started {
		s.Close()
		return nil, fmt.Errorf("nictest: host %d: dial %v: %s", h.Port, to, e)
	}
	return s, nil
}

// Listen calls accept for connections.
func (h *Host) Listen(at netip.AddrPort, o Socket, accept func(Conn)) error {
	s, err := h.newSocket(o)
	if err != nil {
		return err
	}
	_, addr := address(at.Addr())
	e := s.ep.Bind(tcpip.FullAddress{Addr: addr, Port: at.Port()})
	if e == nil {
		e = s.ep.Listen(1 << 10)
	}
	if e != nil {
		s.Close()
		return fmt.Errorf("nictest: host %d: listen %v: %s", h.Port, at, e)
	}
	s.f = func() {
		for {
			ep, wq, e := s.ep.Accept(nil)
			if e != nil {
				return
			}
			ep.SocketOptions().SetDelayOption(false)
			c := h.adopt(ep, wq)
			accept(c)
			h.wake(c) // what came before the registration
		}
	}
	return nil
}

func (s *socket) call() {
	if s.f != nil {
		s.f()
	}
}

// Notify sets the callback.
func (s *socket) Notify(f func()) { s.f = f }

// Read takes what has arrived.
func (s *socket) Read(p []byte) (int, error) {
	w := tcpip.SliceWriter(p)
	r, e := s.ep.Read(&w, tcpip.ReadOptions{})
	if e != nil {
		return 0, failed(e, true)
	}
	return r.Count, nil
}

// Write queues bytes.
func (s *socket) Write(p []byte) (int, error) {
	if len(p) == 0 {
		switch st := tcp.EndpointState(s.ep.State()); st {
		case tcp.StateConnecting, tcp.StateSynSent, tcp.StateSynRecv:
			return 0, ErrAgain
		}
		return 0, nil
	}
	n, e := s.ep.Write(bytes.NewReader(p), tcpip.WriteOptions{})
	if e != nil {
		return 0, failed(e, false)
	}
	s.queues(int(n))
	return int(n), nil
}

// queues has the host's watch know of bytes, or of a FIN.
func (s *socket) queues(n int) {
	r, e := s.ep.GetRemoteAddress()
	l, e2 := s.ep.GetLocalAddress()
	if e == nil && e2 == nil {
		ip, _ := netip.AddrFromSlice(r.Addr.AsSlice())
		s.h.watch.queues(s.h.Now(), flowKey{ip.As16(), l.Port, r.Port}, n)
	}
}

// CloseWrite ends the stream to the peer.
func (s *socket) CloseWrite() error {
	if e := s.ep.Shutdown(tcpip.ShutdownWrite); e != nil {
		return failed(e, false)
	}
	s.queues(1)
	return nil
}

// Close closes both directions.
func (s *socket) Close() error {
	s.f = nil
	s.wq.EventUnregister(&s.entry)
	s.ep.Close()
	delete(s.h.sockets, s)
	s.h.settle()
	return nil
}

// Reset closes with RST.
func (s *socket) Reset() error {
	s.ep.SocketOptions().SetLinger(tcpip.LingerOption{Enabled: true})
	return s.Close()
}

func failed(e tcpip.Error, read bool) error {
	switch e.(type) {
	case *tcpip.ErrWouldBlock:
		return ErrAgain
	case *tcpip.ErrNotConnected:
		return ErrAgain // the handshake is under way: afterwards there is an error of its own
	case *tcpip.ErrConnectStarted, *tcpip.ErrAlreadyConnecting:
		return ErrAgain
	case *tcpip.ErrClosedForReceive:
		if read {
			return io.EOF
		}
		return ErrReset
	case *tcpip.ErrConnectionReset, *tcpip.ErrConnectionAborted, *tcpip.ErrClosedForSend:
		return ErrReset
	case *tcpip.ErrConnectionRefused:
		return ErrRefused
	case *tcpip.ErrTimeout:
		return ErrTimeout
	}
	return fmt.Errorf("nictest: %s", e)
}
