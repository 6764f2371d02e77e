// Package fault is a hostif.Link around another that loses, duplicates,
// reorders, corrupts and delays what enters through it, by a seed: the wire of
// a test. What is sent passes untouched; wrap the other end for that.
package fault

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/segment"
)

const (
	// overtakeMax is how many frames may overtake a reordered one, and
	// overtakeWait how long it waits for them. TCP takes three for a loss
	// (RFC 5681 §3.2), so it meets both kinds of reordering.
	overtakeMax  = 3
	overtakeWait = 5 * time.Millisecond
	// heldMax bounds the memory behind a delay; further frames are lost.
	heldMax = 1 << 16
)

// Counters count the faults made so far. Each is monotonic.
type Counters struct {
	Frames     uint64 `json:"frames"` // on which a decision was made
	Lost       uint64 `json:"lost"`
	Duplicated uint64 `json:"duplicated"`
	Reordered  uint64 `json:"reordered"`
	Corrupted  uint64 `json:"corrupted"`
	Delayed    uint64 `json:"delayed"`
	Segmented  uint64 `json:"segmented"` // superframes cut up before deciding
	Spared     uint64 `json:"spared"`    // chosen for corruption, but without a checksum to notice it
	Overflow   uint64 `json:"overflow"`  // lost because too many frames were held
}

// held is a frame that waits: for a time, or for others to overtake it.
type held struct {
	f     *hostif.Frame
	due   time.Time
	after uint64 // number of the frame behind which it may go; 0 waits for due only
}

// Link is a link with faults. See Wrap.
type Link struct {
	inner  hostif.Link
	cfg    Config
	clock  func() time.Time
	dice   dice
	shut   atomic.Bool
	timer  *timer // nil where every frame is delivered when it arrives
	passed uint64 // frames decided on, for overtaking

	in      []*hostif.Frame
	out     []*hostif.Frame // where the current Recv delivers to
	n       int
	ready   []*hostif.Frame // due, but the caller had no room; own memory
	late    []held          // delayed; first in, first out, whatever the jitter
	passing []held          // being overtaken

	c       Counters
	rx      uint64
	rxBytes uint64
}

var (
	_ hostif.Link  = (*Link)(nil)
	_ hostif.Timed = (*Link)(nil)
)

// Wrap returns inner with faults on what it receives. clock tells the time for
// delays (time.Now); frames are due by it. The link takes inner over: close
// only the returned one. Its Stats count what it delivers, and Faults what it
// has done. It panics if clock is nil or inner's descriptor does not poll.
func Wrap(inner hostif.Link, cfg Config, clock func() time.Time) *Link {
	if clock == nil {
		panic("fault: Wrap: nil clock")
	}
	l := &Link{inner: inner, cfg: cfg, clock: clock, dice: newDice(cfg.Seed)}
	if cfg.Delay > 0 || cfg.Jitter > 0 || cfg.any() {
		l.timer = newTimer(inner)
	}
	return l
}

// Name returns the wrapped link's name.
func (l *Link) Name() string { return l.inner.Name() }

// Offloads returns the wrapped link's.
func (l *Link) Offloads() bool { return l.inner.Offloads() }

// MTU returns the wrapped link's.
func (l *Link) MTU() int { return l.inner.MTU() }

// Inner returns the wrapped link.
func (l *Link) Inner() hostif.Link { return l.inner }

// Faults returns the counters so far.
func (l *Link) Faults() Counters { return l.c }

// Send passes the frames to the wrapped link.
func (l *Link) Send(frames []*hostif.Frame) (int, error) { return l.inner.Send(frames) }

// Recv delivers what is due and treats what has arrived.
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	if l.shut.Load() {
		l.timer.close()
		_, _ = l.inner.Recv(nil) // releases its descriptors
		return 0, &hostif.OpError{Op: "recv", Iface: l.Name(), Err: net.ErrClosed}
	}
	l.out, l.n = frames, 0
	held := len(l.ready)+len(l.late)+len(l.passing) > 0
	var now time.Time
	if held {
		now = l.clock()
		l.release(now)
	}
	var err error
	if room := len(frames) - l.n; room > 0 {
		for len(l.in) < room {
			l.in = append(l.in, nil)
		}
		var got int
		got, err = l.inner.Recv(l.in[:room])
		if got > 0 && now.IsZero() && (l.timer != nil) {
			now = l.clock()
		}
		for _, f := range l.in[:got] {
			l.enter(f, now)
		}
		clear(l.in[:got])
	}
	for _, f := range frames[:l.n] {
		l.rxBytes += uint64(len(f.Data))
	}
	l.rx += uint64(l.n)
	l.timer.set(l.wait(now))
	if errors.Is(err, io.EOF) && l.n+len(l.ready)+len(l.late)+len(l.passing) > 0 {
		err = nil // not yet
	}
	l.out = nil
	return l.n, err
}

// enter treats a frame that has just arrived. f is the inner link's.
func (l *Link) enter(f *hostif.Frame, now time.Time) {
	if !l.cfg.any() {
		l.later(f, false, now, 0)
		return
	}
	if f.Offload.GSO != hostif.GSONone && !l.cfg.Superframes {
		if segment.Finish(f, 0, func(s *hostif.Frame) { l.decide(s, true, now) }) == nil {
			l.c.Segmented++
			return
		}
	}
	l.decide(f, false, now)
}

// decide makes the decisions of one frame. own means that f is not the inner
// link's, so that it may be kept.
func (l *Link) decide(f *hostif.Frame, own bool, now time.Time) {
	l.c.Frames++
	l.passed++
	d := l.dice.roll()
	if d.loss < l.cfg.Loss {
		l.c.Lost++
	} else {
		if d.corrupt < l.cfg.Corrupt {
			l.corrupt(f, d)
		}
		var twin *hostif.Frame
		if d.duplicate < l.cfg.Duplicate {
			l.c.Duplicated++
			twin = f.Clone()
		}
		if d.reorder < l.cfg.Reorder && len(l.passing) < heldMax {
			l.c.Reordered++
			l.passing = append(l.passing, held{f.Clone(), now.Add(overtakeWait), l.passed + 1 + uint64(d.pick%overtakeMax)})
		} else {
			l.later(f, own, now, d.jitter)
		}
		if twin != nil {
			l.later(twin, true, now, d.jitter)
		}
	}
	l.overtaken(now, false)
}

// corrupt changes one byte behind the Ethernet header, so that a checksum of IP,
// TCP or UDP can notice; Ethernet's own would have discarded the frame.
func (l *Link) corrupt(f *hostif.Frame, d roll) {
	const eth = 14
	if len(f.Data) <= eth || f.Offload.GSO != hostif.GSONone {
		l.c.Spared++
		return
	}
	if f.Offload.CsumPartial && segment.Checksum(f) != nil {
		l.c.Spared++
		return
	}
	f.Data[eth+int(d.pick>>8)%(len(f.Data)-eth)] ^= 1 << (d.pick & 7)
	l.c.Corrupted++
}

// later delivers f after the delay.
func (l *Link) later(f *hostif.Frame, own bool, now time.Time, part float64) {
	if l.cfg.Delay == 0 && l.cfg.Jitter == 0 {
		l.deliver(f, own)
		return
	}
	if len(l.late) >= heldMax {
		l.c.Overflow++
		return
	}
	if !own {
		f = f.Clone()
	}
	due := now.Add(l.cfg.Delay + time.Duration(part*float64(l.cfg.Jitter)))
	l.c.Delayed++
	l.late = append(l.late, held{f: f, due: due})
}

// deliver hands f to the caller, or keeps it for the next Recv.
func (l *Link) deliver(f *hostif.Frame, own bool) {
	if l.n < len(l.out) && len(l.ready) == 0 {
		l.out[l.n] = f
		l.n++
		return
	}
	if len(l.ready) >= heldMax {
		l.c.Overflow++
		return
	}
	if !own {
		f = f.Clone()
	}
	l.ready = append(l.ready, f)
}

// release delivers what has become due.
func (l *Link) release(now time.Time) {
	n := copy(l.out, l.ready)
	l.n = n
	l.ready = drop(l.ready, n)
	n = 0
	for n < len(l.late) && !l.late[n].due.After(now) {
		l.deliver(l.late[n].f, true)
		n++
	}
	l.late = drop(l.late, n)
	l.overtaken(now, true)
}

// overtaken delivers the reordered frames that enough others have passed, or
// that have waited long enough.
func (l *Link) overtaken(now time.Time, timed bool) {
	if len(l.passing) == 0 {
		return
	}
	keep := l.passing[:0]
	for _, h := range l.passing {
		if l.passed >= h.after || timed && !h.due.After(now) {
			l.later(h.f, true, now, 0)
		} else {
			keep = append(keep, h)
		}
	}
	clear(l.passing[len(keep):])
	l.passing = keep
}

// drop removes the first n elements and lets the array shrink when it empties.
func drop[T any](s []T, n int) []T {
	if n == 0 {
		return s
	}
	rest := copy(s, s[n:])
	clear(s[rest:])
	return s[:rest]
}
