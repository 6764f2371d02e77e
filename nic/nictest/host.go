package nictest

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/meshnic/meshnic/datapath/wire"
)

// HostConfig is one host: its addresses, what its TCP speaks, and its cable.
type HostConfig struct {
	MAC wire.MAC     // zero: 02:00:00:00:00:01 on port 0, and so on
	IP  netip.Prefix // zero: 10.0.0.1/24 on port 0, and so on. Faults that rebuild frames spare IPv6
	MTU int          // of IP, bytes; 0: 1500

	NoSACK        bool // RFC 2018
	NoTimestamps  bool // RFC 7323 §3
	NoWindowScale bool // RFC 7323 §2

	ReceiveBuffer int // bytes, at least MinBuffer; 0: gVisor's 1 MiB, grown by need. The window is half of it
	SendBuffer    int // bytes; 0: gVisor's

	ARP        bool                    // asks for the other hosts' addresses, of IPv6 by NDP, instead of knowing them
	Neighbours map[netip.Addr]wire.MAC // known besides them

	Out, In Cable // towards the card, and from it
}

// Host is a netstack on one port of the card. It implements TCP.
type Host struct {
	Port int
	Addr netip.Addr

	w   *World
	cfg HostConfig
	st  *stack.Stack
	ep  *endpoint

	mu    sync.Mutex
	woken []*socket // whose callbacks are to be called

	sockets map[*socket]struct{} // open
	watch   watch
}

var _ TCP = (*Host)(nil)

const (
	nicID = 1
	// maxRTO is the longest retransmission timeout. With gVisor's 120 s a run of losses
	// takes longer than anyone waits.
	maxRTO = 10 * time.Second
)

func newHost(w *World, port int, cfg HostConfig) (*Host, error) {
	h := &Host{Port: port, Addr: cfg.IP.Addr(), w: w, cfg: cfg, sockets: map[*socket]struct{}{}}
	h.watch = watch{port: port, flows: map[flowKey]*flow{}}
	h.ep = &endpoint{mtu: uint32(cfg.MTU), mac: tcpip.LinkAddress(cfg.MAC[:])}
	seed := [32]byte{0: byte(port)}
	for i := range 8 {
		seed[8+i] = byte(w.cfg.Seed >> (8 * i))
	}
	secure := rand.NewChaCha8(seed)
	h.st = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
		Clock:              &hostClock{agenda: &w.agenda, fired: h.settle},
		// gVisor gives a neighbour up after three questions; a lossy cable needs more.
		NUDConfigs: stack.NUDConfigurations{MaxMulticastProbes: 20, MaxUnicastProbes: 20},
		RandSource: &source{r: rand.NewPCG(w.cfg.Seed, uint64(port))},
		SecureRNG:  &reader{r: secure},
	})
	if e := h.st.CreateNIC(nicID, h.ep); e != nil {
		return nil, fmt.Errorf("nictest: host %d: create NIC: %s", port, e)
	}
	proto, addr := address(h.Addr)
	e := h.st.AddProtocolAddress(nicID, tcpip.ProtocolAddress{
		Protocol:          proto,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: addr, PrefixLen: cfg.IP.Bits()},
	}, stack.AddressProperties{})
	if e != nil {
		return nil, fmt.Errorf("nictest: host %d: address %v: %s", port, cfg.IP, e)
	}
	h.st.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nicID}, {Destination: header.IPv6EmptySubnet, NIC: nicID}})
	return h, h.options()
}

// address is ip as gVisor has it.
func address(ip netip.Addr) (tcpip.NetworkProtocolNumber, tcpip.Address) {
	if ip.Is4() {
		return ipv4.ProtocolNumber, tcpip.AddrFrom4(ip.As4())
	}
	return ipv6.ProtocolNumber, tcpip.AddrFrom16(ip.As16())
}

// options sets what the stack has an option for. Timestamps and window scaling it
// always offers: they are taken out of its SYNs instead (see segment.go).
func (h *Host) options() error {
	sack, rto := tcpip.TCPSACKEnabled(!h.cfg.NoSACK), tcpip.TCPMaxRTOOption(maxRTO)
	list := []tcpip.SettableTransportProtocolOption{&sack, &rto}
	if n := h.atLeast(h.cfg.ReceiveBuffer); n > 0 {
		fixed := tcpip.TCPModerateReceiveBufferOption(false)
		list = append(list, &fixed, &tcpip.TCPReceiveBufferSizeRangeOption{Min: MinBuffer, Default: n, Max: max(n, tcp.MaxBufferSize)})
	} else {
		list = append(list, &tcpip.TCPReceiveBufferSizeRangeOption{Min: MinBuffer, Default: tcp.DefaultReceiveBufferSize, Max: tcp.MaxBufferSize})
	}
	if n := h.cfg.SendBuffer; n > 0 {
		list = append(list, &tcpip.TCPSendBufferSizeRangeOption{Min: 1, Default: n, Max: n})
	}
	for _, o := range list {
		if e := h.st.SetTransportProtocolOption(tcp.ProtocolNumber, o); e != nil {
			return fmt.Errorf("nictest: host %d: option %T: %s", h.Port, o, e)
		}
	}
	return nil
}

// atLeast is a receive buffer that gVisor gets along with; 0 stays.
func (h *Host) atLeast(buffer int) int {
	if buffer == 0 {
		return 0
	}
	return max(buffer, MinBuffer, 8*h.cfg.MTU)
}

// knows adds a neighbour that needs no ARP.
func (h *Host) knows(ip netip.Addr, mac wire.MAC) error {
	proto, addr := address(ip)
	e := h.st.AddStaticNeighbor(nicID, proto, addr, tcpip.LinkAddress(mac[:]))
	if e != nil {
		return fmt.Errorf("nictest: host %d: neighbour %v: %s", h.Port, ip, e)
	}
	return nil
}

// settle returns once no goroutine of the stack has anything left to do.
func (h *Host) settle() {
	h.st.Pause()
	h.st.Resume()
}

// Now returns the world's time.
func (h *Host) Now() time.Duration { return h.w.Now() }

// After calls f from the loop.
func (h *Host) After(d time.Duration, f func()) { h.w.add(h.w.Now()+d, f) }

// Stats returns the stack's TCP counters.
func (h *Host) Stats() tcpip.TCPStats { return h.st.Stats().TCP }

// wake notes that a socket's callback is to be called. gVisor's goroutines call
// it, with locks held.
func (h *Host) wake(s *socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !s.woken {
		s.woken = true
		h.woken = append(h.woken, s)
	}
}

// callback calls what was noted, and reports whether there was anything.
func (h *Host) callback() bool {
	h.mu.Lock()
	list := h.woken
	h.woken = nil
	for _, s := range list {
		s.woken = false
	}
	h.mu.Unlock()
	for _, s := range list {
		s.call()
	}
	return len(list) > 0
}

func (h *Host) close() {
	for _, s := range h.ordered() {
		s.ep.Abort()
	}
	h.settle()
	h.st.Close()
	h.st.Wait()
	h.ep.take()
}

// source is a math/rand.Source for a stack; it is asked by one goroutine at a time,
// but not always by the same.
type source struct {
	mu sync.Mutex
	r  *rand.PCG
}

func (s *source) Int63() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.r.Uint64() >> 1)
}

func (s *source) Seed(int64) {}

type reader struct {
	mu sync.Mutex
	r  *rand.ChaCha8
}

func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.r.Read(p)
}
