package card

import (
	"fmt"

	"github.com/meshnic/meshnic/datapath/sim"
)

// Config is fixed when a Pipe is built.
type Config struct {
	Latency  int // cycles from the edge that samples a beat to the first edge that offers it
	Head     int // bytes of a frame that must have been seen before its first beat may leave
	MaxHead  int // most bytes an Actor may ask for; at least Head
	Rate     int // of these bytes, how many are looked at in a cycle; 0: all that come
	Known    int // of these bytes, how many at the front need no look
	Places   int // for beats beyond those that latency and head need
	Interval int // cycles between the heads of two frames at least; 0 or 1: none
	Frames   int // frames inside at most; 0: no limit
	Read     int // cycles of an access to the stage's memory, which a frame waits for
	Reads    int // of a frame, one after the other, where no Actor says how many
	MaxReads int // most that are waited for; at least Reads
	MaxPush  int // most bytes an Actor may put in front of a frame
	Push     int // bytes put in front of every frame; negative: taken off
	Resize   bool
	Act      Actor // may be nil
}

// Pipe is a pipeline that takes a beat every cycle. It holds a frame until the
// head is seen, decides, and lets the beats leave Latency cycles later; they do
// not leave in other cycles than the output is ready in, and it is as many
// places deep as keep one beat a cycle moving: Latency, and the beats of the
// longest head behind the first. A head that takes longer to look at than to
// come in needs Places, or the frame's rest waits outside.
//
// That is the usual form of such a stage: a pipeline without a stall signal, a
// small FIFO behind it, and a counter of places left in front of it.
type Pipe struct {
	sim.Losses
	in, out *sim.Wire
	cfg     Config
	spare   int // places one accepted beat may need beyond its own
	q       queue
	frames  int       // whose last beat has not left
	next    sim.Cycle // no earlier edge passes a head

	// The frame that comes in, or waits for its head to be seen.
	open     bool
	ended    bool // its last beat is in
	decided  bool
	drop     bool
	bad      bool
	id       uint32
	off      int32
	dest     uint8
	route    bool
	push     int
	reads    int
	total    int // its bytes
	got      int // of them in
	need     int // of them to be seen
	seen     int
	due      sim.Cycle // of a head that is all in: when it is seen; 0: not known
	held     int       // beats that wait for the verdict
	repacked int       // bytes passed on, if push is not 0
}

// NewPipe returns a pipeline between two wires of one clock and one width.
func NewPipe(cfg Config, in, out *sim.Wire) *Pipe {
	if cfg.Latency < 1 || in.Clock != out.Clock || in.Width != out.Width {
		panic(fmt.Sprintf("card: pipe from %s to %s: latency %d, want 1 or more, one clock and one width", in.Name, out.Name, cfg.Latency))
	}
	cfg.MaxHead = max(cfg.Head, cfg.MaxHead)
	cfg.MaxPush = max(cfg.Push, cfg.MaxPush, 0)
	cfg.MaxReads = max(cfg.Reads, cfg.MaxReads)
	places := cfg.Latency + cfg.MaxReads*cfg.Read + max(1, sim.Beats(cfg.MaxHead, in.Width)) + cfg.Places
	p := &Pipe{in: in, out: out, cfg: cfg}
	if cfg.Resize || cfg.Push != 0 || cfg.MaxPush > 0 {
		p.spare = 1 + sim.Beats(cfg.MaxPush, in.Width)
		places += p.spare + 1
	}
	p.q = newQueue(places)
	return p
}

// Act makes a decide about the frames. Call it before an engine has the network.
func (p *Pipe) Act(a Actor) { p.cfg.Act = a }

// Ports returns the two wires.
func (p *Pipe) Ports() (in, out []*sim.Wire) { return []*sim.Wire{p.in}, []*sim.Wire{p.out} }

// Offer drives the oldest beat when its time has come.
func (p *Pipe) Offer() { p.q.offer(p.out) }

// Accept is ready while there is a place, and the frame before has its verdict.
func (p *Pipe) Accept() {
	switch {
	case p.drop:
		p.in.Take(true)
	case p.ended, !p.open && p.cfg.Frames > 0 && p.frames >= p.cfg.Frames:
		p.in.Take(false)
	default:
		p.in.Take(p.q.n+1+p.spare <= len(p.q.place))
	}
}

// Level is how many bytes are inside.
func (p *Pipe) Level() int { return p.q.bytes }

// Wake is when the oldest beat may leave, or a head is seen.
func (p *Pipe) Wake() sim.Picos {
	if p.due == 0 {
		return p.q.wake(p.out.Clock)
	}
	return min(p.q.wake(p.out.Clock), wakeAt(p.in.Clock, p.due))
}

// Edge moves beats and looks at heads.
func (p *Pipe) Edge(sim.Edges) bool {
	now := p.in.Clock.Now
	put, got := p.in.Fire(), p.out.Fire()
	if got {
		if p.out.Beat.Last {
			p.frames--
		}
		p.q.pop()
	}
	if put {
		p.take(p.in.Beat, now)
	}
	return p.look(now) || put || got
}

// take stores a beat.
func (p *Pipe) take(b sim.Beat, now sim.Cycle) {
	if !p.open {
		p.begin(b)
	}
	p.got += int(b.Bytes)
	if p.ended = b.Last; p.ended {
		p.need = min(p.need, p.got) // it was cut short
	}
	p.bad = b.Bad
	switch {
	case p.drop:
	case !p.decided:
		p.held++
		p.q.push(b, never)
	case p.push != 0:
		p.repack(now + sim.Cycle(p.cfg.Latency))
	default:
		if p.route {
			b.Dest = p.dest
		}
		p.q.push(b, now+sim.Cycle(p.cfg.Latency))
	}
	if p.decided && p.ended {
		p.close()
	}
}

func (p *Pipe) begin(b sim.Beat) {
	head := p.cfg.Head
	if p.cfg.Act != nil {
		if h := p.cfg.Act.Head(b.Frame); h != 0 {
			head = max(0, min(h, p.cfg.MaxHead))
		}
	}
	p.open, p.decided = true, false
	p.id, p.off, p.dest, p.total = b.Frame, b.Off, b.Dest, int(b.Left)
	p.got, p.seen, p.held, p.repacked = 0, 0, 0, 0
	p.route, p.push, p.reads = false, p.cfg.Push, p.cfg.Reads
	p.need = min(head, p.total)
	p.frames++
}

func (p *Pipe) close() { p.open, p.ended, p.drop = false, false, false }

// look moves on in the head that waits, and reports whether it did.
func (p *Pipe) look(now sim.Cycle) bool {
	if !p.open || p.decided {
		return false
	}
	if now < p.due {
		return false
	}
	was, there := p.seen, min(p.got, p.need)
	before := max(p.seen, min(there, p.cfg.Known))
	if p.seen = there; p.cfg.Rate > 0 {
		p.seen = min(there, before+p.cfg.Rate)
	}
	switch {
	case p.due > 0:
		p.seen, p.due = p.need, 0
	case p.seen < p.need && there == p.need: // nothing more has to come
		p.due = now + sim.Cycle((p.need-p.seen+p.cfg.Rate-1)/p.cfg.Rate)
		return true
	case p.seen < p.need:
		return p.seen > was
	}
	p.decide(now)
	if p.ended {
		p.close()
	}
	return true
}

// verdict asks the Actor.
func (p *Pipe) verdict(now sim.Cycle) (why sim.Loss) {
	p.decided = true
	if p.cfg.Act != nil {
		v := p.cfg.Act.Decide(Seen{Frame: p.id, Bytes: p.total, Dest: p.dest, At: now})
		why = v.Loss
		p.push += v.Push
		if v.Reads != 0 {
			p.reads = max(0, min(v.Reads, p.cfg.MaxReads))
		}
		if v.Route {
			p.route, p.dest = true, v.Dest
		}
	}
	switch {
	case why != sim.LossNone:
	case p.push > p.cfg.MaxPush || p.push < 0 && p.spare == 0:
		panic(fmt.Sprintf("card: pipe from %s: verdict adds %d bytes, configured for %d", p.in.Name, p.push, p.cfg.MaxPush))
	case p.total+p.push < 1:
		why = sim.LossBad // shorter than what is taken off
	case p.total+p.push > 1<<16-1:
		why = sim.LossOversize
	}
	return why
}

// decide lets the beats held go by the verdict, or not.
func (p *Pipe) decide(now sim.Cycle) {
	why := p.verdict(now)
	if why != sim.LossNone {
		p.q.unpush(p.held)
		p.frames--
		p.drop = true
		p.Drop(p.id, why)
		return
	}
	at := max(now, p.next)
	p.next = at + sim.Cycle(p.cfg.Interval*max(1, p.reads))
	at += sim.Cycle(p.cfg.Latency + p.reads*p.cfg.Read)
	if p.push != 0 {
		p.q.unpush(p.held)
		p.repack(at)
		return
	}
	for i := p.q.n - p.held; i < p.q.n; i++ {
		e := p.q.nth(i)
		if e.at = at; p.route {
			e.beat.Dest = p.dest
		}
	}
}

// repack passes on what has come in of the frame as beats shifted by push.
func (p *Pipe) repack(at sim.Cycle) {
	width, total := p.out.Width, p.total+p.push
	for p.repacked < total {
		left := total - p.repacked
		n := min(width, left)
		if p.got+p.push < p.repacked+n {
			return
		}
		p.q.push(sim.Beat{
			Frame: p.id, Off: p.off + int32(p.repacked-p.push), Bytes: uint16(n), Left: uint16(left), Dest: p.dest,
			First: p.repacked == 0, Last: n == left, Bad: n == left && p.bad,
		}, at)
		p.repacked += n
	}
}
