package sidecar

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/proxy/http1"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// probe asks one endpoint how it is, again and again. The first worker has those
// of all clusters.
type probe struct {
	sock       // its timer is the check's timeout, and between two checks by HTTP the cluster's for idle connections
	cl         *cluster
	host       *mesh.Host
	next       timer
	asking     bool // a check is under way
	connecting bool

	head   *http1.Head
	in     []byte // what has come of the answer
	status int    // once its head is complete
	last   bool   // the connection closes after it
	body   http1.Body
}

// probe begins the checks of h.
func (cl *cluster) probe(w *worker, h *mesh.Host) {
	p := &probe{cl: cl, host: h}
	p.sock = sock{w: w, h: p, fd: -1, slot: -1}
	p.next.fire = p.begin
	cl.probes[h] = p
	w.timers.set(&p.next, w.now+int64(cl.limits.health.FirstCheck(w.draw)))
}

// stopProbes ends the checks.
func (cl *cluster) stopProbes() {
	for _, p := range cl.probes {
		p.stop()
	}
	clear(cl.probes)
}

func (p *probe) stop() {
	p.w.timers.remove(&p.next)
	p.hangUp()
}

func (p *probe) hangUp() {
	if p.fd >= 0 {
		p.sock.close()
	}
	p.w.timers.remove(&p.t)
	p.connecting = false
}

// begin begins a check.
func (p *probe) begin() {
	w := p.w
	p.cl.limits.health.Checking()
	p.asking, p.in, p.head = true, p.in[:0], nil
	if p.fd < 0 {
		p.sock = sock{w: w, h: p, fd: -1, slot: -1, t: timer{fire: p.late}}
		if err := p.cl.pool(w, p.host).dial(&p.sock); err != nil {
			p.end(mesh.CheckLost)
			return
		}
		p.connecting = true
	}
	w.timers.set(&p.t, w.now+int64(p.cl.t.Check.Timeout))
	if !p.connecting {
		p.ask()
	}
}

// ask sends what there is to say.
func (p *probe) ask() {
	c := p.cl.t.Check
	if c.HTTP != nil {
		p.write(c.HTTP.AppendRequest(nil, p.cl.t.Name))
		return
	}
	if p.write(c.TCP.Send); len(c.TCP.Receive) == 0 {
		p.hangUp() // that it connects is all
		p.end(mesh.CheckGood)
	}
}

func (p *probe) idle() bool { return false }

func (p *probe) broken() { p.lost() }

// late is called when the check has had its time, or the connection between two.
func (p *probe) late() {
	if !p.asking {
		p.cl.c.CxIdleTimeout++
	}
	p.lost()
}

// lost ends the connection, and the check if there is one.
func (p *probe) lost() {
	p.hangUp()
	if p.asking {
		p.end(mesh.CheckLost)
	}
}

func (p *probe) ready() {
	if p.connecting {
		if !p.connected() {
			return
		}
		p.connecting = false
		p.ask()
	}
	if p.blocked() {
		p.flush()
	}
	for p.fd >= 0 && p.rd {
		n, eof := p.read(p.w.in)
		switch {
		case n > 0 && !p.asking: // nobody asked
			p.hangUp()
		case n > 0:
			p.take(p.w.in[:n])
		case eof:
			p.over()
			return
		default:
			return
		}
	}
}

// connected goes on with the connection, and with its TLS if the cluster has that.
// It reports whether it is there.
func (p *probe) connected() bool {
	cl := p.cl
	if p.tls == nil {
		if !p.wr {
			return false
		}
		if e, err := unix.GetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || e != 0 {
			p.lost()
			return false
		}
		if cl.tls == nil {
			return true
		}
		p.tls = newSecure(&p.sock, cl.tls.other, true, cl.tc, p.host.Addr)
	}
	if p.blocked() && !p.flush() || !p.tls.handshake() {
		return false
	}
	if err := p.tls.err; err != nil {
		tallyFailure(cl.tc, err)
		p.lost()
		return false
	}
	state := p.tls.conn.ConnectionState()
	tally(cl.tc, &state)
	return true
}

// over is called at the end of the stream.
func (p *probe) over() {
	if p.asking && p.head != nil && p.status != 0 && p.body.EndsWithStream() {
		p.hangUp()
		p.end(p.cl.t.Check.HTTP.Judge(p.status))
		return
	}
	p.lost()
}

// take takes b, the next bytes of the answer.
func (p *probe) take(b []byte) {
	c := p.cl.t.Check
	p.in = append(p.in, b...)
	if c.HTTP == nil {
		if c.TCP.Answers(p.in) {
			p.answered(mesh.CheckGood, false)
		} else if len(p.in) > maxAnswer {
			p.lost()
		}
		return
	}
	if p.head == nil {
		p.head, p.status = new(http1.Head), 0
		p.head.Reset(true)
	}
	for p.status == 0 {
		n, err := p.head.Parse(p.in)
		switch {
		case err != nil:
			p.lost()
			return
		case n == 0:
			return
		case p.head.Status/100 == 1:
			p.in = append(p.in[:0], p.in[n:]...)
			p.head.Reset(true)
			continue
		}
		p.status, p.last, p.body = p.head.Status, p.head.Close, p.head.Body(false)
		p.in = append(p.in[:0], p.in[n:]...)
	}
	for len(p.in) > 0 && !p.body.Done() && !p.body.EndsWithStream() {
		n, _, err := p.body.Next(p.in)
		if err != nil {
			p.lost()
			return
		}
		if n == 0 {
			break
		}
		p.in = append(p.in[:0], p.in[n:]...)
	}
	if p.body.EndsWithStream() {
		p.in = p.in[:0]
	}
	if p.body.Done() {
		p.answered(c.HTTP.Judge(p.status), p.last || len(p.in) > 0)
	}
}

// maxAnswer bounds what a TCP check reads of an answer that is none.
const maxAnswer = 64 << 10

// answered ends a check with an answer; the connection is kept if both want it.
func (p *probe) answered(r mesh.CheckResult, last bool) {
	if last || p.cl.t.Check.Once {
		p.hangUp()
	}
	p.end(r)
	if keep := p.cl.keep(p.w); p.fd >= 0 && keep > 0 && p.cl.t.Check.HTTP != nil {
		p.w.timers.set(&p.t, p.w.now+keep)
	}
}

// end ends a check.
func (p *probe) end(r mesh.CheckResult) {
	w, l := p.w, p.cl.limits
	p.asking, p.status = false, 0
	w.timers.set(&p.t, 0)
	wait, change := l.health.Checked(p.host, r, l.traffic.Load(), time.Duration(w.now), w.draw)
	w.s.changed(l, change)
	w.timers.set(&p.next, w.now+int64(wait))
}
