package sidecar

import (
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// sink is what a worker has for a log file since it last handed some over.
type sink struct {
	file *logFile
	buf  []byte
}

// sinksOf returns w's for the logs of a listener.
func (w *worker) sinksOf(logs []mesh.Log, files map[string]*logFile) (out []*sink) {
	for i := range logs {
		f := files[logs[i].Path]
		s := w.sinks[f]
		if s == nil {
			s = &sink{file: f}
			w.sinks[f] = s
		}
		out = append(out, s)
	}
	return out
}

// pruneSinks forgets those of files that no listener writes to any more.
func (w *worker) pruneSinks() {
	w.handOver()
	clear(w.sinks)
	chains := w.retired
	for _, l := range w.listeners {
		chains = append(chains[:len(chains):len(chains)], l.chains...)
	}
	for _, c := range chains {
		for _, s := range c.sinks {
			w.sinks[s.file] = s
		}
	}
}

// handOver gives the lines of this round to the files.
func (w *worker) handOver() {
	for _, s := range w.written {
		if len(s.buf) > 0 {
			s.file.add(s.buf)
			s.buf = s.buf[:0]
		}
	}
	w.written = w.written[:0]
}

// observe begins an entry for d's request, if its listener has a use for one.
func (d *downstream) observe() {
	if !d.l.t.Observed {
		return
	}
	w := d.w
	if n := len(w.entries); n > 0 {
		d.e, w.entries = w.entries[n-1], w.entries[:n-1]
	} else {
		d.e = &mesh.Entry{}
	}
	if !d.remote.IsValid() {
		d.remote, _ = peerOf(d.fd)
		d.direct, _ = boundTo(d.fd)
		if d.local = d.direct; d.dst.IsValid() {
			d.local = d.dst
		}
		w.accepted++
		d.number = w.accepted*uint64(len(w.s.workers)) + uint64(w.id)
	}
	d.e.Remote, d.e.Local, d.e.Direct, d.e.Connection, d.e.Hostname = d.remote, d.local, d.direct, d.number, w.s.hostname
	d.e.Begin(w.wall(d.headAt))
}

// wall is when w's clock showed so many ns, in ns since 1970.
func (w *worker) wall(ns int64) int64 { return w.epoch + ns }

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
	for i, s := range d.l.sinks {
		if len(s.buf) == 0 {
			w.written = append(w.written, s)
		}
		s.buf = d.l.t.Logs[i].Append(s.buf, e)
	}
	d.e = nil
	if len(w.entries) < maxPooled {
		w.entries = append(w.entries, e)
	}
}

func peerOf(fd int) (a netip.AddrPort, err error) {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return a, err
	}
	return addrPort(sa)
}
