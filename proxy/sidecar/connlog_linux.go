package sidecar

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// conn is what logs say of a client's connection, whatever comes of it.
type conn struct {
	since   int64 // when it was taken in, on the worker's clock
	secured int64 // when its TLS was there, 0 if it never was, or a TCP proxy has it: Envoy notes none there

	// Once somebody wants them.
	remote, local, direct netip.AddrPort
	number                uint64

	serverName  string // that its TLS asked for, where that tells its filter chain
	flag        mesh.Flags
	details     string // why nothing came of it, in Envoy's words
	termination string // why it was ended
}

const (
	chainNotFound    = "filter_chain_not_found"
	transportTimeout = "transport socket timeout was reached"
)

// locate finds out where the two ends of fd, a connection to dst, are.
func (c *conn) locate(fd int, dst netip.AddrPort) {
	if c.remote.IsValid() {
		return
	}
	c.remote, _ = peerOf(fd)
	c.direct, _ = boundTo(fd)
	if c.local = c.direct; dst.IsValid() {
		c.local = dst
	}
}

// count gives the connection a number.
func (c *conn) count(w *worker) {
	if c.number == 0 {
		w.accepted++
		c.number = w.accepted*uint64(len(w.s.workers)) + uint64(w.id)
	}
}

// begin begins e, at a time on w's clock, of what c carries.
func (c *conn) begin(e *mesh.Entry, w *worker, at int64) {
	e.Remote, e.Local, e.Direct, e.Connection, e.Hostname, e.ServerName = c.remote, c.local, c.direct, c.number, w.s.hostname, c.serverName
	e.Begin(w.wall(at))
	if c.secured != 0 {
		e.Reach(mesh.HandshakeOver, c.secured-at)
	}
}

// log writes the lines that l's listener has of the connection, which is over. e
// has what it carried.
func (c *conn) log(w *worker, l *chain, e *mesh.Entry) {
	e.Type = mesh.LogListener
	e.Flag, e.Details, e.Termination = c.flag, c.details, c.termination
	e.Reach(mesh.RequestOver, w.now-c.since)
	e.Now = w.wall(w.now)
	w.sinks.Append(l.connSinks, l.t.ConnLogs, e, w.draw)
}

// logConn writes the listener's lines of d, which is over.
func (d *downstream) logConn() {
	if len(d.l.t.ConnLogs) == 0 {
		return
	}
	w := d.w
	e := w.entry()
	d.begin(e, w, d.since)
	e.Spoke, e.Received, e.Sent = d.sound, d.rx, d.tx
	d.conn.log(w, d.l, e)
	w.returnEntry(e)
}

// noChain notes that no filter chain is for d.
func (d *downstream) noChain() {
	d.l.c.NoChain++
	d.flag, d.details = mesh.FlagNR, chainNotFound
}

// unmatched closes fd, a client's connection to dst that no filter chain is for.
func (l *listener) unmatched(fd int, dst netip.AddrPort) {
	w, u := l.w, l.undecided
	u.c.NoChain++
	if len(u.t.ConnLogs) > 0 {
		c := conn{since: w.now, flag: mesh.FlagNR, details: chainNotFound}
		c.locate(fd, dst)
		e := w.entry()
		c.begin(e, w, c.since)
		c.log(w, u, e)
		w.returnEntry(e)
	}
	unix.Close(fd)
}

// observe begins an entry for r, if there is a log of it.
func (r *tcpRelay) observe() {
	w := r.down.w
	if !r.l.t.Observed && len(r.l.t.ConnLogs) == 0 {
		return
	}
	r.locate(r.down.fd, r.dst)
	r.count(w)
	r.e = w.entry()
	r.begin(r.e, w, r.since)
	r.e.KeepID(w.ids)
}

// reached notes that it is known what comes of the connection to the endpoint.
func (r *tcpRelay) reached() {
	if r.e != nil {
		r.e.Upstream = r.p.to
		r.e.Reach(mesh.PoolReady, r.down.w.now-r.tried)
	}
}

// turnedAway notes why there is no endpoint to connect to.
func (r *tcpRelay) turnedAway(flag mesh.Flags) {
	r.flag = r.flag.And(flag)
	if r.e != nil {
		r.e.Reach(mesh.PoolReady, 0)
	}
}

// carried notes n bytes that came on h.
func (r *tcpRelay) carried(h *half, n int) {
	switch {
	case r.e == nil:
	case h == &r.down:
		r.e.Received += uint64(n)
	default:
		r.e.Sent += uint64(n)
	}
}

// log writes the lines of r, which is over: the listener's first, as Envoy does.
func (r *tcpRelay) log() {
	e := r.e
	if e == nil {
		return
	}
	w := r.down.w
	e.Cluster, e.Attempts = r.cl.t.Name, r.attempts
	r.conn.log(w, r.l, e)
	e.Type = mesh.LogTCP
	w.sinks.Append(r.l.sinks, r.l.t.Logs, e, w.draw)
	w.returnEntry(e)
	r.e = nil
}
