package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Engine is the splice engine. It is a datapath.Stage: Process takes the segments
// of its connections and lets everything else pass.
type Engine struct {
	cfg     Config
	app     App
	watch   Watcher // the same, or nil
	shares  Sharer  // the same, or nil
	t       table
	ends    []endpoint
	sources []source
	wheel   *wheel
	heads   heads

	now    sim.Cycle
	msNow  uint64 // the same in ms
	perMS  uint64 // cycles
	secret uint64
	halves int // handshakes of clients under way
	count  Counters
	seg    segment
	work   datapath.Work // for the packet that Process was given last
	blocks [wire.MaxSACKBlocks]wire.SACKBlock
	out    []Frame
	hints  []uint64 // hashes of the frames to come
	arena  []byte
}

// endpoint is where connections to a server go, and those that wait for requests.
type endpoint struct {
	remote, local Addr // of local the address only
	next          Neighbour
	known         bool // next is
	silent        bool // it was sent something again, and has said nothing since
	connect       sim.Cycle
	expire        sim.Cycle // how long a connection may stay in its pool; 0 for ever
	idle          int32     // the first of its pool
	idles         int32     // how many
	waiting       int32     // the first of those that wait for next, or for an answer
	port          uint16    // last used
}

// New returns an Engine that does what app decides.
func New(cfg Config, app App) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if app == nil {
		panic("splice: New: nil App")
	}
	e := &Engine{
		cfg: cfg, app: app, t: newTable(cfg.Conns, cfg.Seed),
		wheel: newWheel(), perMS: cfg.Clock.Hz / 1000, secret: mix(cfg.Seed^mixB, mixA),
		arena: make([]byte, 0, 1<<18), out: make([]Frame, 0, 256),
	}
	e.watch, _ = app.(Watcher)
	e.shares, _ = app.(Sharer)
	return e, nil
}

// Name is the stage's name.
func (e *Engine) Name() string { return "splice" }

// Counters returns what the Engine has done so far.
func (e *Engine) Counters() Counters { return e.count }

// Conns is how many connections there are, those in pools included.
func (e *Engine) Conns() int { return e.t.used }

func (e *Engine) conn(n int32) *conn { return e.t.conn(n) }

// exchange is that of n, which is a client: a server has none.
func (e *Engine) exchange(n int32) *exchange { return e.t.exchange(n) }

// Held is how many buffers hold heads, or parts of some.
func (e *Engine) Held() int { return e.heads.lent }

// SetEndpoint says where endpoint ep is: connections to it go from address from
// to a. It may be set anew; connections that are there stay as they are.
func (e *Engine) SetEndpoint(ep Endpoint, a Addr, from [16]byte) {
	for int(ep) >= len(e.ends) {
		e.ends = append(e.ends, endpoint{expire: e.cfg.Timeouts.Idle, idle: none, waiting: none, port: uint16(mix(e.secret, uint64(len(e.ends))+1))})
	}
	x := &e.ends[ep]
	if x.remote != (Addr{}) {
		e.comes(x.local.IP, -1)
	}
	e.comes(from, 1)
	x.remote, x.local.IP, x.known, x.silent = a, from, false, false
}

// SetConnectTimeout has connections to ep given up that are not there in time; 0 is
// Timeouts.Connect.
func (e *Engine) SetConnectTimeout(ep Endpoint, d sim.Cycle) { e.ends[ep].connect = d }

// SetIdleTimeout has connections that come back to ep's pool from now on closed after d
// without a request; 0 is never. Until then it is Timeouts.Idle.
func (e *Engine) SetIdleTimeout(ep Endpoint, d sim.Cycle) { e.ends[ep].expire = d }

// Idle is how many connections to ep wait for requests. An App may ask at any time.
func (e *Engine) Idle(ep Endpoint) int { return int(e.ends[ep].idles) }

// SetNeighbour says where frames for endpoint ep go. Connections that were waiting
// for it are opened; what they send is in Out. If it was elsewhere, those in its pool go
// there from now on, and those with a request when that is sent again.
func (e *Engine) SetNeighbour(now sim.Cycle, ep Endpoint, n Neighbour) {
	e.at(now)
	x := &e.ends[ep]
	first := !x.known
	x.next, x.known = n, true
	if first {
		e.eachWaiting(ep, func(n int32, u *conn) {
			if u.state == synSent {
				e.syn(n)
			}
		})
	}
	for n := x.idle; n != none; n = e.conn(n).link {
		e.locate(e.conn(n))
	}
}

// locate has u, a server's connection, go where its endpoint is by now.
func (e *Engine) locate(u *conn) {
	if x := &e.ends[u.ep]; x.known && x.remote == u.remote {
		u.next = x.next
	}
}

// NoNeighbour says that nobody has endpoint ep's address. Connections that wait for it, or for
// an answer of its, and have not begun to just now, are given up; what that leads to is in Out.
func (e *Engine) NoNeighbour(now sim.Cycle, ep Endpoint) {
	e.at(now)
	e.ends[ep].known = false
	e.eachWaiting(ep, func(n int32, u *conn) {
		if u.state == synSent && u.since == e.now {
			return
		}
		why := Unreachable
		if u.peer != none && u.state != synSent && u.sndUna != e.exchange(u.peer).req.out { // it has got some of it
			why = Unanswered
		}
		e.serverGone(n, why)
	})
}

// eachWaiting calls f, which may end it, for each of the connections that wait for ep.
func (e *Engine) eachWaiting(ep Endpoint, f func(n int32, u *conn)) {
	for n := e.ends[ep].waiting; n != none; {
		u := e.conn(n)
		next := u.link
		f(n, u)
		if n = next; n != none && (!e.conn(n).has(flagWaits) || e.conn(n).ep != ep) {
			return // that one has gone, too: the others have their timers
		}
	}
}

// wait has connection n be among those that wait for their endpoint.
func (e *Engine) wait(n int32) {
	if u := e.conn(n); !u.has(flagWaits) {
		e.link(&e.ends[u.ep].waiting, n)
		u.flags |= flagWaits
	}
}

// silent tells the App that what was sent on n goes out again.
func (e *Engine) silent(n int32) {
	e.wait(n)
	u := e.conn(n)
	e.ends[u.ep].silent = true
	e.app.Upstream(e.now, u.ep, Silent)
}

// heard tells the App, once, that the endpoint of u is not silent any more.
func (e *Engine) heard(u *conn) {
	if x := &e.ends[u.ep]; x.silent {
		x.silent = false
		e.app.Upstream(e.now, u.ep, Heard)
	}
}

// unwait takes connection n off those that wait for their endpoint.
func (e *Engine) unwait(n int32) {
	if c := e.conn(n); c.has(flagWaits) {
		c.flags &^= flagWaits
		e.unlink(&e.ends[c.ep].waiting, n)
	}
}

// at says what time it is: the same for a batch of packets.
func (e *Engine) at(now sim.Cycle) {
	if now != e.now {
		e.now, e.msNow = now, e.ms(now)
	}
}

// SetDeadline has App.Due called for f at a time; 0 for never. An App may call it at any time.
func (e *Engine) SetDeadline(f Flow, at sim.Cycle) {
	e.conn(int32(f)).app = at
	e.arm(int32(f))
}

// Active is when f's client last sent or acknowledged something new. An App may
// call it at any time.
func (e *Engine) Active(f Flow) sim.Cycle { return e.conn(int32(f)).since }

// Process takes a segment of one of the Engine's connections, or one that opens
// one; other packets continue. A segment that goes on leaves in p, rewritten.
// What the Engine makes of its own accord is in Out, before p.
func (e *Engine) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	h := &p.PHV
	e.work = datapath.Work{Told: true, Flow: none}
	if !h.Has(datapath.HdrTCP) || h.Headers&(datapath.HdrVLAN|datapath.HdrFragment|datapath.HdrMoreFragments) != 0 {
		return datapath.Continue
	}
	e.at(now)
	e.work.Reads = 1
	s := &e.seg
	k := flowindex.Of(h)
	n := e.t.find(&k, h)
	if n == none {
		remote, local := Addr{h.IPSrc, h.SrcPort}, Addr{h.IPDst, h.DstPort}
		listens := e.app.Listens(local)
		if !listens && !e.ours(&local) {
			return datapath.Continue
		}
		s.read(p, nil)
		if listens && e.shares != nil && e.shares.Shares(local) && !e.opens(s) {
			return datapath.Continue
		}
		return e.stranger(s, remote, local)
	}
	c := e.conn(n)
	s.read(p, c)
	if c.has(flagServer) {
		e.concerns(c.peer, c.peer)
		return e.fromServer(n, s)
	}
	e.work.Client = true
	e.concerns(n, c.peer)
	return e.fromClient(n, s)
}

// source is an address that connections to so many endpoints come from.
type source struct {
	ip   [16]byte
	ends int
}

// comes notes that connections to n more endpoints come from ip.
func (e *Engine) comes(ip [16]byte, n int) {
	for i := range e.sources {
		if x := &e.sources[i]; x.ip == ip {
			x.ends += n
			return
		}
	}
	if n > 0 {
		e.sources = append(e.sources, source{ip, n})
	}
}

// ours reports whether a is an address that connections to servers come from, at
// a port that is not a listener's.
func (e *Engine) ours(a *Addr) bool {
	if a.Port < firstPort {
		return false
	}
	for i := range e.sources { // a few: one for each address of a listener
		if x := &e.sources[i]; x.ip == a.IP {
			return x.ends > 0
		}
	}
	return false
}

// free forgets connection n.
func (e *Engine) free(n int32) {
	c := e.conn(n)
	e.disarm(n)
	for _, b := range [...]*buffer{c.held, c.gather, c.kept} {
		e.heads.put(b)
	}
	c.held, c.gather, c.kept = nil, nil, nil
	if c.state == synReceived {
		e.halves--
	}
	c.state = closed
	e.t.remove(n)
}
