package hostiftest

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// patience is how long a frame may take on a busy machine before it is lost.
const patience = 30 * time.Second

// end is one link of a pair and what has passed through it.
type end struct {
	t       *testing.T
	l       hostif.Link
	rx, tx  uint64 // frames that Recv returned and that Send took
	rxBytes uint64
	closed  bool
	last    hostif.Stats
	backlog []*hostif.Frame // clones that recv took beyond what it was asked for
}

// poll calls Recv once; io.EOF counts as nothing.
func (e *end) poll(batch int) []*hostif.Frame {
	e.t.Helper()
	frames := make([]*hostif.Frame, batch)
	n, err := e.l.Recv(frames)
	if !errors.Is(err, io.EOF) {
		require.NoError(e.t, err)
	}
	for _, f := range frames[:n] {
		require.NotNil(e.t, f)
		e.rxBytes += uint64(len(f.Data))
	}
	e.rx += uint64(n)
	return frames[:n]
}

func (e *end) send(frames ...*hostif.Frame) int {
	e.t.Helper()
	n, err := e.l.Send(frames)
	require.NoError(e.t, err)
	e.tx += uint64(n)
	e.checkMonotonic()
	return n
}

// recv waits for n frames of Frame and returns their bytes, copied.
func (e *end) recv(n int) [][]byte {
	e.t.Helper()
	var out [][]byte
	for _, f := range e.recvFrames(n, isTest) {
		out = append(out, f.Data)
	}
	return out
}

func (e *end) recvFrames(n int, ours func([]byte) bool) []*hostif.Frame {
	e.t.Helper()
	for deadline := time.Now().Add(patience); len(e.backlog) < n; {
		for _, f := range e.poll(64) {
			if ours(f.Data) {
				e.backlog = append(e.backlog, f.Clone())
			}
		}
		if len(e.backlog) < n {
			require.True(e.t, time.Now().Before(deadline), "%s: %d of %d frames after %v; %+v",
				e.l.Name(), len(e.backlog), n, patience, e.l.Stats())
			Readable(e.l.Fd(), 100*time.Millisecond)
		}
	}
	out := e.backlog[:n:n]
	e.backlog = e.backlog[n:]
	return out
}

// hold waits until n frames can be had by a single Recv, and returns the link's
// own frames. Strays and partial batches are skipped by asking again, which
// needs the frames that came before to be copied back in: hold therefore gives
// the link time to gather all of them first.
func (e *end) hold(n int) []*hostif.Frame {
	e.t.Helper()
	deadline := time.Now().Add(patience)
	var got []*hostif.Frame
	for len(got) < n {
		require.True(e.t, time.Now().Before(deadline), "%s: %d of %d frames after %v; %+v",
			e.l.Name(), len(got), n, patience, e.l.Stats())
		Readable(e.l.Fd(), 100*time.Millisecond)
		if len(got) > 0 { // the next Recv takes these back: keep copies
			for i := range got {
				got[i] = got[i].Clone()
			}
		}
		for _, f := range e.poll(n - len(got)) {
			if isTest(f.Data) {
				got = append(got, f)
			}
		}
	}
	return got
}

// drain reads until the link has been quiet for the given time.
func (e *end) drain(quiet time.Duration) [][]byte {
	e.t.Helper()
	var out [][]byte
	for last := time.Now(); time.Since(last) < quiet; {
		for _, f := range e.poll(64) {
			if isTest(f.Data) {
				out = append(out, append([]byte(nil), f.Data...))
				last = time.Now()
			}
		}
		Readable(e.l.Fd(), quiet/4)
	}
	return out
}

func (e *end) checkMonotonic() {
	e.t.Helper()
	s, p := e.l.Stats(), e.last
	e.last = s
	for _, c := range [][2]uint64{
		{p.RxFrames, s.RxFrames}, {p.RxBytes, s.RxBytes}, {p.TxFrames, s.TxFrames}, {p.TxBytes, s.TxBytes},
		{p.TxDropFull, s.TxDropFull}, {p.TxDropSize, s.TxDropSize}, {p.TxDropError, s.TxDropError},
		{p.RxDropFull, s.RxDropFull}, {p.RxDropBad, s.RxDropBad}, {p.Kicks, s.Kicks}, {p.Wakeups, s.Wakeups},
	} {
		require.GreaterOrEqual(e.t, c[1], c[0], "a counter went back: %+v, then %+v", p, s)
	}
}

// checkStats compares the link's counters with what passed.
func (e *end) checkStats() {
	e.t.Helper()
	e.checkMonotonic()
	if e.closed {
		return // strays between the last look and Close are not ours to count
	}
	s := e.l.Stats()
	require.Equal(e.t, e.rx, s.RxFrames, "%s: RxFrames", e.l.Name())
	require.Equal(e.t, e.rxBytes, s.RxBytes, "%s: RxBytes", e.l.Name())
	require.Equal(e.t, e.tx, s.TxFrames, "%s: TxFrames", e.l.Name())
	if e.tx > 0 {
		require.GreaterOrEqual(e.t, s.TxBytes, 14*e.tx, "%s: TxBytes", e.l.Name())
	}
}

// Readable waits until fd polls readable (or hung up) and reports whether it
// did. A negative fd is never readable.
func Readable(fd int, timeout time.Duration) bool {
	deadline := time.Now().Add(timeout)
	for {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, max(0, int(time.Until(deadline).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue // the runtime's own signals
		}
		return err == nil && n > 0
	}
}
