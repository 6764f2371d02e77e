package hostiftest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
)

// RunLink checks what every hostif.Link owes its callers. open makes a fresh
// pair: a is the link under test, b is any link on the other end of its wire
// (for a veth: a link on the peer). It must register their Close with
// t.Cleanup. Frames of other origin on the wire (neighbour discovery) are
// ignored but counted. Everything is checked in both directions.
func RunLink(t *testing.T, open func(t *testing.T) (a, b hostif.Link)) {
	both := func(name string, check func(t *testing.T, tx, rx *end)) {
		t.Run(name, func(t *testing.T) {
			for _, dir := range []string{"a to b", "b to a"} {
				t.Run(dir, func(t *testing.T) {
					a, b := open(t)
					tx, rx := &end{t: t, l: a}, &end{t: t, l: b}
					if dir == "b to a" {
						tx, rx = rx, tx
					}
					check(t, tx, rx)
					tx.checkStats()
					rx.checkStats()
				})
			}
		})
	}
	both("describes itself", checkDescription)
	both("nothing blocks", checkIdle)
	both("every size arrives byte for byte", checkSizes)
	both("order is kept over thousands", checkOrder)
	both("a burst is delivered or counted", checkBurst)
	both("received frames stay until the next Recv", checkValidity)
	both("Send copies foreign frames", checkForeign)
	both("a received frame can be sent back", checkHairpin)
	both("a clone outlives its frame", checkClone)
	both("what is too large is counted", checkOversize)
	both("what is no frame is counted", checkRunt)
	both("unfinished work needs offloads", checkOffloads)
	both("the descriptor tells of frames", checkFd)
	both("Close wakes a poll", checkClose)
}

func checkDescription(t *testing.T, tx, _ *end) {
	require.NotEmpty(t, tx.l.Name())
	require.GreaterOrEqual(t, tx.l.MTU(), 68, "RFC 791: every link carries 68 bytes")
	require.GreaterOrEqual(t, tx.l.Fd(), 0)
}

func checkIdle(t *testing.T, tx, rx *end) {
	for _, e := range []*end{tx, rx} {
		best := time.Hour
		for range 10 { // a link that blocks does so always, a machine that is busy does not
			start := time.Now()
			for range 10 {
				e.poll(8)
			}
			n, err := e.l.Recv(nil)
			require.NoError(t, err)
			require.Zero(t, n)
			n, err = e.l.Send(nil)
			require.NoError(t, err)
			require.Zero(t, n)
			best = min(best, time.Since(start))
		}
		require.Less(t, best, 100*time.Millisecond, "%s: an idle link blocks", e.l.Name())
	}
}

func checkSizes(t *testing.T, tx, rx *end) {
	mtu := min(tx.l.MTU(), rx.l.MTU())
	for seq, size := range []int{14, 15, 59, 60, 61, 64, 65, 127, 128, 256, 511, 1024, mtu + 13, mtu + 14} {
		f := Frame(uint32(seq), size)
		require.Equal(t, 1, tx.send(f), "size %d", size)
		got := rx.recv(1)
		// Hardware pads to 60 bytes; a link may too.
		require.GreaterOrEqual(t, len(got[0]), size)
		require.LessOrEqual(t, len(got[0]), max(size, 60))
		require.True(t, bytes.Equal(Frame(uint32(seq), size).Data, got[0][:size]), "size %d: got %x", size, got[0])
	}
}

func checkOrder(t *testing.T, tx, rx *end) {
	const total, window = 4096, 32
	want := uint32(0)
	for seq := uint32(0); seq < total; seq += window {
		batch := make([]*hostif.Frame, window)
		for i := range batch {
			batch[i] = Frame(seq+uint32(i), 60+int(seq+uint32(i))%1000)
		}
		require.Equal(t, window, tx.send(batch...))
		for _, g := range rx.recv(window) {
			require.Equal(t, want, Seq(g), "out of order")
			require.True(t, bytes.Equal(Frame(want, len(g)).Data, g), "frame %d is changed", want)
			want++
		}
	}
	require.Zero(t, rx.l.Stats().RxDropFull)
	require.Empty(t, tx.drain(20*time.Millisecond), "a link hears what it sent itself")
}

// checkBurst sends without reading. What does not arrive must be in a counter,
// what does must be in order.
func checkBurst(t *testing.T, tx, rx *end) {
	const total = 5000
	took := 0
	for seq := 0; seq < total; seq += 50 {
		batch := make([]*hostif.Frame, 50)
		for i := range batch {
			batch[i] = Frame(uint32(seq+i), 1000)
		}
		took += tx.send(batch...)
	}
	var got [][]byte
	missing := func() bool {
		st, rt := tx.l.Stats(), rx.l.Stats()
		return st.TxDropFull+st.TxDropError+st.TxDropSize+rt.RxDropFull+rt.RxDropBad < uint64(total-len(got))
	}
	for end := time.Now().Add(patience); missing() && time.Now().Before(end); {
		got = append(got, rx.drain(200*time.Millisecond)...)
	}
	require.NotEmpty(t, got)
	last := int64(-1)
	for _, g := range got {
		require.Greater(t, int64(Seq(g)), last, "out of order or twice")
		last = int64(Seq(g))
		require.True(t, bytes.Equal(Frame(Seq(g), 1000).Data, g), "frame %d is changed", Seq(g))
	}
	st, rt := tx.l.Stats(), rx.l.Stats()
	dropped := st.TxDropFull + st.TxDropError + st.TxDropSize
	require.EqualValues(t, total-took, dropped, "Send's count and its drops disagree")
	require.GreaterOrEqual(t, dropped+rt.RxDropFull+rt.RxDropBad, uint64(total-len(got)),
		"%d of %d arrived, the rest is in no counter: tx %+v rx %+v", len(got), total, st, rt)
	// The link works on after it.
	tx.send(Frame(1<<20, 100))
	require.EqualValues(t, 1<<20, Seq(rx.recv(1)[0]))
}

func checkValidity(t *testing.T, tx, rx *end) {
	for round := range uint32(50) {
		first := make([]*hostif.Frame, 8)
		for i := range first {
			first[i] = Frame(round*100+uint32(i), 600)
		}
		require.Equal(t, 8, tx.send(first...))
		held := rx.hold(8)
		later := make([]*hostif.Frame, 32)
		for i := range later {
			later[i] = Frame(round*100+50+uint32(i), 900)
		}
		require.Equal(t, 32, tx.send(later...))
		for _, f := range held {
			require.True(t, bytes.Equal(Frame(Seq(f.Data), len(f.Data)).Data, f.Data), "changed before the next Recv")
			require.False(t, f.Taken)
			for i := range f.Data {
				f.Data[i] = 0xee // the caller may write to it
			}
		}
		for i, g := range rx.recv(32) {
			require.Equal(t, round*100+50+uint32(i), Seq(g))
			require.True(t, bytes.Equal(Frame(Seq(g), 900).Data, g), "a caller's write reached another frame")
		}
	}
}

func checkForeign(t *testing.T, tx, rx *end) {
	f := Frame(7, 300)
	data, want := f.Data, append([]byte(nil), f.Data...)
	require.Equal(t, 1, tx.send(f))
	for i := range data {
		data[i] = 0
	}
	require.False(t, f.Taken, "a frame without Mem was taken")
	require.True(t, bytes.Equal(want, rx.recv(1)[0]), "Send kept a reference to a foreign frame")
}

// checkHairpin sends received frames back where they came from, more than any
// pool of buffers holds, and receives more before the far end has read them.
func checkHairpin(t *testing.T, tx, rx *end) {
	const rounds, batch = 800, 16
	for r := range rounds {
		var fs []*hostif.Frame
		for i := range batch {
			fs = append(fs, Frame(uint32(r*batch+i), 200))
		}
		require.Equal(t, batch, tx.send(fs...))
		held := rx.hold(batch)
		require.Equal(t, batch, rx.send(held...))
		if r%7 == 0 { // the link takes back what was not taken over, and fills buffers anew
			require.Equal(t, 2, tx.send(Frame(1<<24, 200), Frame(1<<24+1, 200)))
			rx.recv(2)
		}
		for i, g := range tx.recv(batch) {
			require.Equal(t, uint32(r*batch+i), Seq(g))
			require.True(t, bytes.Equal(Frame(Seq(g), 200).Data, g), "frame %d changed on its way back", Seq(g))
		}
	}
}

func checkClone(t *testing.T, tx, rx *end) {
	require.Equal(t, 2, tx.send(Frame(1, 400), Frame(2, 400)))
	held := rx.hold(2)
	clones := []*hostif.Frame{held[0].Clone(), held[1].Clone()}
	require.Nil(t, clones[0].Mem)
	require.Equal(t, 2, rx.send(held...))
	require.Equal(t, 2, rx.send(clones...))
	for i, g := range tx.recv(4) {
		require.Equal(t, uint32(1+i%2), Seq(g))
	}
}

func checkOversize(t *testing.T, tx, rx *end) {
	before := tx.l.Stats()
	n := tx.send(Frame(1, 100), Frame(2, tx.l.MTU()+14+64), Frame(3, 100))
	require.Equal(t, 2, n)
	got := rx.recv(2)
	require.EqualValues(t, 1, Seq(got[0]))
	require.EqualValues(t, 3, Seq(got[1]))
	require.EqualValues(t, 1, tx.l.Stats().TxDropSize-before.TxDropSize)
}

func checkRunt(t *testing.T, tx, rx *end) {
	n := tx.send(&hostif.Frame{}, &hostif.Frame{Data: make([]byte, 13)}, Frame(3, 100))
	require.Equal(t, 1, n)
	require.EqualValues(t, 3, Seq(rx.recv(1)[0]))
	require.EqualValues(t, 2, tx.l.Stats().TxDropError, "a frame shorter than its header is TxDropError")
}

func checkOffloads(t *testing.T, tx, rx *end) {
	kinds := []hostif.GSOType{hostif.GSONone, hostif.GSOTCPv4, hostif.GSOTCPv6}
	if !tx.l.Offloads() {
		// Sent as it is, it would arrive with half a checksum: never on the wire.
		require.Zero(t, tx.send(Unfinished(hostif.GSONone, 1, 500, 0)))
		require.Zero(t, tx.send(Unfinished(hostif.GSOTCPv4, 2, 5000, 1400)))
		require.EqualValues(t, 2, tx.l.Stats().TxDropError)
		return
	}
	if !rx.l.Offloads() {
		t.Skip("the far end takes finished frames only")
	}
	for i, k := range kinds {
		size := 40000
		if k == hostif.GSONone {
			size = 500
		}
		f := Unfinished(k, uint32(i), size, 1400)
		want := f.Clone()
		require.Equal(t, 1, tx.send(f))
		got := rx.recvFrames(1, isOurs)[0]
		require.True(t, bytes.Equal(want.Data, got.Data), "GSO type %d: %d bytes in, %d out", k, len(want.Data), len(got.Data))
		require.Equal(t, want.Offload, got.Offload)
	}
}

func checkFd(t *testing.T, tx, rx *end) {
	for seq := range uint32(200) {
		require.Eventually(t, func() bool { rx.poll(8); return !Readable(rx.l.Fd(), 0) }, patience, time.Millisecond,
			"the descriptor stays readable on an idle link: a loop on it would spin")
		require.Equal(t, 1, tx.send(Frame(seq, 100)))
		require.True(t, Readable(rx.l.Fd(), patience), "no wake-up for frame %d", seq)
		require.Equal(t, seq, Seq(rx.recv(1)[0]))
	}
}

func checkClose(t *testing.T, tx, _ *end) {
	fd := tx.l.Fd()
	require.Eventually(t, func() bool { tx.poll(8); return !Readable(fd, 0) }, patience, time.Millisecond)
	woken := make(chan bool, 1)
	go func() {
		for start := time.Now(); time.Since(start) < patience; {
			if !Readable(fd, patience) {
				break
			}
			n, err := tx.l.Recv(make([]*hostif.Frame, 8))
			if n > 0 || err == nil {
				continue // a stray frame
			}
			woken <- errors.Is(err, net.ErrClosed)
			return
		}
		woken <- false
	}()
	time.Sleep(30 * time.Millisecond)
	before := tx.l.Stats()
	require.NoError(t, tx.l.Close())
	require.True(t, <-woken, "Close did not wake the poll, or Recv did not say net.ErrClosed")
	n, err := tx.l.Recv(make([]*hostif.Frame, 1))
	require.Zero(t, n)
	require.ErrorIs(t, err, net.ErrClosed)
	n, err = tx.l.Send([]*hostif.Frame{Frame(1, 100)})
	require.Zero(t, n)
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, tx.l.Close(), "Close twice")
	after := tx.l.Stats()
	require.GreaterOrEqual(t, after.RxFrames, before.RxFrames, "Stats works after Close")
	require.Equal(t, before.TxFrames, after.TxFrames)
	tx.closed = true
	_ = fmt.Sprint(tx.l.Name(), tx.l.MTU(), tx.l.Fd(), tx.l.Offloads()) // none of them panics
}
