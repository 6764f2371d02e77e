package sidecar

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/accesslog"
	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// pruneSinks forgets those of files that no listener writes to any more.
func (w *worker) pruneSinks() {
	chains := w.retired
	for _, l := range w.listeners {
		chains = append(append(chains[:len(chains):len(chains)], l.chains...), l.undecided)
	}
	var inUse [][]*accesslog.Sink
	for _, c := range chains {
		inUse = append(inUse, c.sinks, c.connSinks)
	}
	w.sinks.Keep(inUse...)
}

// observe begins an entry for d's request, if its listener has a use for one.
func (d *downstream) observe() {
	if !d.l.t.Observed {
		return
	}
	w := d.w
	d.locate(d.fd, d.dst)
	d.count(w)
	d.e = w.entry()
	d.begin(d.e, w, d.headAt)
}

// entry provides an entry, which returnEntry takes back.
func (w *worker) entry() *mesh.Entry {
	if n := len(w.entries); n > 0 {
		e := w.entries[n-1]
		w.entries = w.entries[:n-1]
		return e
	}
	return &mesh.Entry{}
}

func (w *worker) returnEntry(e *mesh.Entry) {
	if len(w.entries) < maxPooled {
		w.entries = append(w.entries, e)
	}
}

// wall is when w's clock showed so many ns, in ns since 1970.
func (w *worker) wall(ns int64) int64 { return w.epoch + ns }

// place hashes the request with head h, if that is what its cluster goes by.
func (d *downstream) place(h *http1.Head) {
	d.client, d.hashed = mesh.Client{}, false
	if !d.cluster.t.Hashes() {
		return
	}
	if d.route.HashesClient() {
		d.locate(d.fd, d.dst)
		d.client.Remote, d.client.Local = d.remote, d.local
	}
	d.hash, d.hashed = d.route.Hash(h, &d.client)
}

// reach notes that the request has got to p.
func (d *downstream) reach(p mesh.Point) {
	if d.e != nil {
		d.e.Reach(p, d.w.now-d.headAt)
	}
}

// noteReply notes an answer of the proxy's own, whose head and body are out. What
// it is was not known to the headers that were added to it, as with Envoy.
func (d *downstream) noteReply(r *mesh.Reply, out []byte) {
	e := d.e
	if e == nil {
		return
	}
	e.Status = r.Status
	if !d.isHead {
		e.Sent = uint64(len(r.Body))
	}
	e.KeepResponse(out)
	d.reach(mesh.DownstreamBegins)
}

// log writes the lines of the request that is over.
func (d *downstream) log() {
	e := d.e
	if e == nil {
		return
	}
	w := d.w
	d.reach(mesh.RequestOver)
	e.Now = w.wall(w.now)
	e.Route = d.route
	w.sinks.Append(d.l.sinks, d.l.t.Logs, e, w.draw)
	d.e = nil
	w.returnEntry(e)
}

func peerOf(fd int) (a netip.AddrPort, err error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return a, err
	}
	return addrPort(sa)
}
