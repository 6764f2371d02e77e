package sidecar

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and IP6T_SO_ORIGINAL_DST.
const soOriginalDst = 80

// originalDst is where a connection was going before REDIRECT or TPROXY led it
// here; ok is false if the kernel does not know. One that was not led anywhere was
// going to its own address.
func originalDst(fd int, local netip.AddrPort) (dst netip.AddrPort, ok bool) {
	if local.Addr().Unmap().Is4() {
		// The answer is a sockaddr_in of 16 bytes, as long as the head of this.
		m, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, soOriginalDst)
		if err == nil {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(m.Multiaddr[4:8])), binary.BigEndian.Uint16(m.Multiaddr[2:4])), true
		}
		led, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT)
		return local, err == nil && led != 0
	}
	m, err := unix.GetsockoptIPv6MTUInfo(fd, unix.IPPROTO_IPV6, soOriginalDst)
	if err == nil {
		var port [2]byte
		binary.NativeEndian.PutUint16(port[:], m.Addr.Port)
		return netip.AddrPortFrom(netip.AddrFrom16(m.Addr.Addr), binary.BigEndian.Uint16(port[:])), true
	}
	led, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT)
	return local, err == nil && led != 0
}

// lead finds out where fd was going, if l wants to know, and which listener is to
// have it.
func (l *listener) lead(fd int) (*listener, netip.AddrPort) {
	how := &l.chains[0].t.Intercept
	if !how.OriginalDst {
		return l, netip.AddrPort{}
	}
	local, err := boundTo(fd)
	if err != nil {
		return l, netip.AddrPort{}
	}
	dst, ok := originalDst(fd, local)
	if !ok {
		return l, netip.AddrPort{}
	}
	if how.HandOver && dst != local {
		if to := l.w.listenerOf(dst); to != nil {
			return to, dst
		}
	}
	return l, dst
}

// listenerOf is the listener of an address, or of its port at any address; nil if
// there is none.
func (w *worker) listenerOf(addr netip.AddrPort) (any *listener) {
	for _, l := range w.listeners {
		switch {
		case l.addr == addr:
			return l
		case l.addr.Port() == addr.Port() && l.addr.Addr().IsUnspecified():
			any = l
		}
	}
	return any
}

// transparent lets a socket that is not bound yet take connections to any address.
func transparent(fd, family int) error {
	if family == unix.AF_INET6 {
		return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TRANSPARENT, 1)
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TRANSPARENT, 1)
}

// toward returns the pool of the address that a client was going to, which is not
// the proxy's own.
func (cl *cluster) toward(w *worker, dst netip.AddrPort) *pool {
	if !dst.IsValid() {
		return nil
	}
	p := cl.led[dst]
	if p == nil {
		if cl.led == nil {
			cl.led = map[netip.AddrPort]*pool{}
			cl.forgets.fire = func() { cl.forget(w) }
		}
		p = newPool(w, cl, dst, nil)
		cl.led[dst] = p
		if len(cl.led) == 1 {
			w.timers.set(&cl.forgets, w.now+int64(cl.t.Cleanup))
		}
	}
	p.wanted = true
	return p
}

// forget drops the addresses that nobody asked for since the last time.
func (cl *cluster) forget(w *worker) {
	for dst, p := range cl.led {
		if !p.wanted {
			p.closeIdle()
			if !p.inUse() {
				delete(cl.led, dst)
			}
		}
		p.wanted = false
	}
	if len(cl.led) > 0 {
		w.timers.set(&cl.forgets, w.now+int64(cl.t.Cleanup))
	}
}

// each calls f for every pool.
func (cl *cluster) each(f func(*pool)) {
	for _, p := range cl.pools {
		f(p)
	}
	for _, p := range cl.led {
		f(p)
	}
	for _, p := range cl.leaving {
		f(p)
	}
}
