package sidecar

import (
	"cmp"
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// admit takes over fd, a client's connection to dst, by the filter chain it is for.
// Where the connection's first bytes tell which, it waits for them.
func (l *listener) admit(fd int, dst netip.AddrPort) {
	w := l.w
	if l.inspect {
		if d := w.accept(fd, l.undecided, dst); d != nil {
			d.arrived = l
			d.opening()
		}
		return
	}
	c := l.pick(fd, dst, "", "")
	switch {
	case c == nil:
		l.unmatched(fd, dst)
	case c.t.TCP != nil:
		w.relay(fd, c, dst, nil, conn{since: w.now})
	default:
		d := w.accept(fd, c, dst)
		if d == nil {
			return
		}
		if len(c.t.ConnLogs) > 0 {
			d.count(w)
		}
		if c.tls != nil {
			d.encrypt(c.tls.config)
		}
	}
}

// pick returns the filter chain of a connection, nil if there is none, by Envoy's
// rules: the port first, then the server's name, whole before the longest suffix
// before any, then the transport; at each step, chains that say nothing are what is
// left if none of those that do matches.
func (l *listener) pick(fd int, dst netip.AddrPort, name, transport string) *chain {
	if len(l.chains) == 1 && l.chains[0].t.Match.Empty() {
		return l.chains[0]
	}
	all := narrow(l.chains, func(m *mesh.ChainMatch) int {
		switch {
		case m.Port == 0:
			return 0
		case m.Port == uint32(l.portOf(fd, dst)):
			return 1
		}
		return -1
	})
	all = narrow(all, func(m *mesh.ChainMatch) int {
		if len(m.ServerNames) == 0 {
			return 0
		}
		best := -1
		for _, n := range m.ServerNames {
			n = strings.ToLower(n)
			switch suffix, ok := strings.CutPrefix(n, "*"); {
			case n == name:
				best = max(best, 1<<20)
			case ok && len(name) > len(suffix) && strings.HasSuffix(name, suffix):
				best = max(best, len(suffix))
			}
		}
		return best
	})
	all = narrow(all, func(m *mesh.ChainMatch) int {
		switch m.Transport {
		case "":
			return 0
		case transport:
			return 1
		}
		return -1
	})
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// narrow keeps the chains whose score is the highest, 0 or more.
func narrow(all []*chain, score func(m *mesh.ChainMatch) int) (out []*chain) {
	best := 0
	for _, c := range all {
		switch n := score(&c.t.Match); {
		case n < best:
		case n > best:
			best, out = n, append(out[:0], c)
		default:
			out = append(out, c)
		}
	}
	return out
}

// portOf is the port that fd's client was going to.
func (l *listener) portOf(fd int, dst netip.AddrPort) uint16 {
	if dst.IsValid() {
		return dst.Port()
	}
	a, err := boundTo(fd)
	if err != nil {
		return l.addr.Port()
	}
	return a.Port()
}

// encrypt begins the TLS of a connection.
func (d *downstream) encrypt(config *tls.Config) {
	d.phase, d.headAt = phaseOpen, cmp.Or(d.headAt, d.w.now)
	d.tls = newSecure(&d.sock, config, false, d.l.tc, netip.AddrPort{})
	if d.arrived == nil {
		d.countTLS()
	}
	d.touch()
}

func (d *downstream) countTLS() {
	d.counted = true
	d.l.c.CxSSLTotal++
	d.l.c.CxSSLActive++
}

// opening waits for the first bytes, which tell TLS from clear text.
func (d *downstream) opening() {
	d.phase, d.headAt = phaseOpen, d.w.now
	d.touch()
}

const recordHandshake = 0x16 // RFC 8446 §5.1; no method of HTTP begins so

// open goes on with what comes before the first request.
func (d *downstream) open() {
	if d.tls == nil && !d.look() {
		return
	}
	if d.phase != phaseOpen {
		d.pump()
		return
	}
	if !d.tls.handshake() {
		return
	}
	if err := d.tls.err; err != nil {
		d.refuse(err)
		return
	}
	state := d.tls.conn.ConnectionState()
	tally(d.l.tc, &state)
	d.secured = d.w.now
	d.phase, d.headAt = phaseHead, 0
	d.touch()
	d.pump()
}

// look looks at the first byte. It reports whether there is one and a filter chain
// for it.
func (d *downstream) look() bool {
	var first [1]byte
	n, _, err := unix.Recvfrom(d.fd, first[:], unix.MSG_PEEK)
	switch {
	case err == unix.EAGAIN:
		d.rd = false
		return false
	case err != nil || n == 0:
		d.shut(true)
		return false
	case first[0] == recordHandshake:
		d.encrypt(&tls.Config{GetConfigForClient: d.hello})
		d.tls.keeps = true
		return true
	}
	c := d.arrived.pick(d.fd, d.dst, "", "raw_buffer")
	if c == nil {
		d.noChain()
		d.shut(false)
		return false
	}
	if c.t.TCP != nil {
		d.handOver(c, nil)
		return false
	}
	d.become(c)
	if c.tls != nil {
		d.encrypt(c.tls.config) // it will not get far
		return true
	}
	d.phase, d.headAt = phaseHead, 0
	d.touch()
	return true
}

// hello is crypto/tls's question by which configuration hello is answered.
func (d *downstream) hello(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	d.serverName = strings.ToLower(hello.ServerName)
	c := d.arrived.pick(d.fd, d.dst, d.serverName, "tls")
	switch {
	case c != nil && c.t.TCP != nil:
		d.tls.mute = true
		return nil, &toTCP{c}
	case c == nil || c.tls == nil:
		d.tls.mute = true // Envoy closes without a word
		return nil, errNoChain
	}
	d.tls.keeps, d.tls.kept = false, nil
	d.become(c)
	d.countTLS()
	// The keys of tickets belong to the configuration of the connection, which
	// this one is not.
	config := c.tls.forClient(hello).Clone()
	config.SessionTicketsDisabled = true
	return config, nil
}

// become makes d, of which that was not known, a connection of c.
func (d *downstream) become(c *chain) {
	d.l.c.CxTotal--
	d.l.c.CxActive--
	c.c.CxTotal++
	c.c.CxActive++
	d.l, d.arrived = c, nil
	if len(c.t.ConnLogs) > 0 {
		d.count(d.w)
	}
	if d.tls != nil {
		d.tls.c = c.tc
	}
}

// toTCP ends a handshake that is not ours: the connection is for the TCP proxy of
// a filter chain.
type toTCP struct{ chain *chain }

func (*toTCP) Error() string { return "sidecar: the connection is for a TCP proxy" }

// handOver makes d, of which that was not known, a connection of c's TCP proxy. read
// is what the client has sent so far.
func (d *downstream) handOver(c *chain, read []byte) {
	w, u := d.w, d.l.c
	if d.tls != nil {
		d.tls.close()
		d.tls = nil
	}
	u.CxTotal--
	u.CxActive--
	delete(w.open, d)
	fd := d.sock.leave()
	w.dead = append(w.dead, d.bury)
	w.relay(fd, c, d.dst, read, d.conn)
}

// refuse ends a connection whose handshake has failed.
func (d *downstream) refuse(err error) {
	var to *toTCP
	if errors.As(err, &to) {
		d.handOver(to.chain, d.tls.kept)
		return
	}
	if errors.Is(err, errNoChain) {
		d.noChain()
	} else {
		tallyFailure(d.l.tc, err)
	}
	d.shut(errors.Is(err, errLeft))
}
