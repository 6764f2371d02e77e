package xdp

import (
	"errors"
	"fmt"
	"math/bits"
	"net"
	"runtime"
	"sync"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// Group is a set of ports on one UMEM. All its links are used by one goroutine;
// only Close may come from another.
type Group struct {
	Links []*Link // in the order of Config.Ifaces

	// mu orders Close against the goroutine that uses the links. It is never
	// waited for otherwise: 15 ns a call.
	mu    sync.Mutex
	umem  *umem
	cfg   Config
	flows *flowTable // nil: none
}

// Limits of a native attach on veth, with 4 KiB pages: linux/drivers/net/veth.c
// keeps 256 bytes of headroom, the Ethernet header and skb_shared_info in the
// page. Verified: 3498 attaches without multi-buffer, and no more.
const (
	maxMTUOnePage = 3498
	xdpHeadroom   = 256 // XDP_PACKET_HEADROOM, at the start of each received chunk
	maxMTU        = 65535
)

// layout returns the chunk size for the largest MTU of the ports, and whether
// frames come in several chunks.
func layout(mtu int) (chunkSize int, multi bool) {
	const slack = ethHeaderLen + 2*vlanTagLen
	switch {
	case mtu > maxMTUOnePage:
		return 4096, true
	case mtu+slack+xdpHeadroom > 2048:
		return 4096, false
	}
	return 2048, false
}

// Open attaches to all interfaces of cfg, or to none.
func Open(cfg Config) (_ *Group, err error) {
	if len(cfg.Ifaces) == 0 || len(cfg.Ifaces) > 64 {
		return nil, failure.Usagef("xdp: %d interfaces, want 1 to 64", len(cfg.Ifaces))
	}
	if cfg.Frames == 0 {
		cfg.Frames = DefaultFrames
	}
	if cfg.Frames < 64 || cfg.Frames > 1<<16 || bits.OnesCount(uint(cfg.Frames)) != 1 {
		return nil, failure.Usagef("xdp: %d frames a port, want a power of two from 64 to 65536", cfg.Frames)
	}
	ports := make([]*port, len(cfg.Ifaces))
	mtu := 0
	for i, iface := range cfg.Ifaces {
		if ports[i], err = inspect(iface); err != nil {
			return nil, err
		}
		for _, other := range ports[:i] {
			if other.same(ports[i]) {
				return nil, failure.Usagef("xdp: interface %s is given twice", iface.Name)
			}
		}
		mtu = max(mtu, ports[i].mtu)
		if ports[i].down {
			cfg.logf("xdp: %s is down: it carries nothing until: ip link set dev %s up", iface.Name, iface.Name)
		}
	}
	chunkSize, multi := layout(mtu)
	if multi {
		cfg.logf("xdp: MTU %d: frames larger than a chunk of %d bytes come in several descriptors and are joined", mtu, chunkSize)
	}
	// Beside what waits in the rings, each port may have a batch in hand.
	g := &Group{cfg: cfg, umem: newUMEM(len(ports)*(cfg.Frames+batchMax), chunkSize)}
	defer func() {
		if err != nil {
			_ = g.Close()
		}
	}()
	g.openFlows(multi)
	for i, p := range ports {
		l := &Link{g: g, port: i, iface: cfg.Ifaces[i], index: p.index, mtu: p.mtu,
			slots: make([]slot, batchMax), fillGoal: cfg.Frames / 2}
		if err := ethtool.Do(p.ns, func() error { return l.open(p, multi) }); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// open runs on a thread in the interface's namespace. It appends l to the group
// once it owns something, so that Close undoes what was done so far.
func (l *Link) open(p *port, multi bool) (err error) {
	g, name := l.g, l.iface.Name
	if l.sock, err = newSocket(); err != nil {
		return explain("open an AF_XDP socket for", name, err)
	}
	if l.wake, err = newWaker(); err != nil {
		unix.Close(l.sock.fd)
		return explain("make a wake-up for", name, err)
	}
	runtime.AddCleanup(l, func(w *waker) { w.release() }, l.wake)
	g.Links = append(g.Links, l)
	var first *socket
	if len(g.Links) > 1 {
		first = g.Links[0].sock
	} else if err = l.sock.register(g.umem); err != nil {
		return explainUMEM(name, len(g.umem.mem), err)
	}
	if err = l.sock.makeRings(g.cfg.Frames / 2); err != nil {
		return explain("set up the rings of", name, err)
	}
	flags := uint16(unix.XDP_COPY | unix.XDP_USE_NEED_WAKEUP)
	if multi {
		flags |= unix.XDP_USE_SG
	}
	waited, err := l.sock.bind(l.index, flags, first)
	if err != nil {
		return explainBind(name, waited, err)
	}
	if waited > 0 {
		g.cfg.logf("xdp: %s: queue 0 was still held by a closed socket; bound after %d ms", name, waited.Milliseconds())
	}
	l.refill()
	l.prog, err = loadProgram(multi, g.flows.carry(l.port))
	if err == nil && !g.cfg.Later {
		err = l.prog.divert(l.sock.fd)
	}
	if err != nil {
		return explainBPF(name, err)
	}
	if err = l.settlePeer(p); err != nil {
		return err
	}
	return l.attach(p)
}

// attach attaches the program in native mode, or in generic mode if it was asked
// for and cannot do harm.
func (l *Link) attach(p *port) error {
	name := l.iface.Name
	err := l.prog.attach(l.index, link.XDPDriverMode)
	if err != nil && nativeMissing(err) && l.g.cfg.Generic {
		if f, ferr := p.peer.Features(); !p.hasPeer || ferr != nil || f["tx-tcp-segmentation"].Active {
			return failure.Wrap(failure.Unsupported, fmt.Errorf("%w: %w", hostif.ErrNotSupported, err),
				"xdp: attach to "+name+" in generic mode: TSO of its peer is on, or cannot be seen, and would break bulk TCP",
				"turn TSO off on the peer (ethtool -K PEER tso off), or use --mode tap or --mode packet")
		}
		l.g.cfg.logf("xdp: %s: the driver has no native XDP: attached in generic mode", name)
		err = l.prog.attach(l.index, link.XDPGenericMode)
	}
	if err != nil {
		return explainAttach(p, err)
	}
	if err := l.verifyPeer(p); err != nil {
		return err
	}
	if g := l.g; g.flows != nil {
		return g.flows.settle(l, p)
	}
	return l.settleThreads(p)
}

// Divert has what arrives come to this link, or again go on to the kernel. What has
// come already can still be received. It may be called from any goroutine.
func (l *Link) Divert(on bool) error {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	switch {
	case l.closed:
		return &hostif.OpError{Op: "divert", Iface: l.iface.Name, Err: net.ErrClosed}
	case on:
		return l.prog.divert(l.sock.fd)
	}
	return l.prog.release()
}

// reapAll frees what has been transmitted on any port.
func (g *Group) reapAll() {
	for _, l := range g.Links {
		if !l.closed {
			l.reap()
		}
	}
}

// Close closes all links. See Link.Close.
func (g *Group) Close() error {
	var errs []error
	for _, l := range g.Links {
		errs = append(errs, l.Close())
	}
	if g.flows != nil {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.flows.close()
	}
	return errors.Join(errs...)
}

// Close detaches from the interface, wakes a waiter and restores the peer's
// settings. It may come from any goroutine, and more than once. Frames that Recv
// returned stay readable.
func (l *Link) Close() error {
	l.g.mu.Lock()
	defer l.g.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if k, err := l.sock.statistics(); err == nil {
		l.kernel = k
	}
	if l.prog != nil {
		l.prog.close()
	}
	if l.g.flows != nil {
		l.g.flows.leave(l)
	}
	err := l.sock.close()
	l.g.umem.reclaim(l.port)
	l.wake.wake()
	return errors.Join(err, l.threads.stop(), l.restorePeer())
}

// Check returns an error if a chunk of the UMEM has been lost, or is in two
// places at once. It is for tests: it walks all of them.
func (g *Group) Check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.umem.check(); err != nil {
		return err
	}
	for _, l := range g.Links {
		if err := l.check(); err != nil {
			return err
		}
	}
	return nil
}

// check compares the places of the port's chunks with its counts and rings.
func (l *Link) check() error {
	var n [4]int
	for _, p := range l.g.umem.where {
		if p.kind() != inFree && p.port() == l.port {
			n[p.kind()]++
		}
	}
	want := [4]int{}
	if !l.closed {
		want[inFill], want[inTx] = l.filled, l.unreaped
		for i := range l.out {
			s := &l.slots[i]
			if s.inMem && l.g.umem.where[s.chunk] == inHeld.at(l.port) {
				want[inHeld]++
			}
		}
	}
	if n != want {
		return fmt.Errorf("xdp: %s: chunks in [_ fill held tx] are %v, counted %v", l.iface.Name, n, want)
	}
	return nil
}
