package splice_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp/splice"
	"github.com/meshnic/meshnic/datapath/wire"
)

// A head that comes in two segments, or a response's, cut behind any byte.
func TestHeadsSplitAtEveryByte(t *testing.T) {
	for _, how := range []byte{0, 1, 6} {
		x := newPair(t, how)
		for cut := 1; cut < x.client.sends[0].end; cut++ {
			x := newPair(t, how)
			for !x.shake(x.client) {
			}
			x.segment(x.client, "A", 0, cut, 0)
			x.segment(x.client, "PA", cut, x.client.sends[0].end, 0)
			x.finish()
		}
		for cut := 1; cut < x.server.sends[0].end; cut++ {
			x := newPair(t, how)
			for !x.shake(x.client) {
			}
			x.segment(x.client, "PA", 0, x.client.sends[0].end, 0)
			x.shake(x.server)
			require.Equal(t, x.server.receives[0].end, x.server.next)
			x.segment(x.server, "A", 0, cut, 0)
			x.segment(x.server, "PA", cut, x.server.sends[0].end, 0)
			require.Equal(t, x.client.receives[0].end, x.client.next)
			x.finish()
		}
	}
}

// crowd is an engine and as many clients as one likes.
type crowd struct {
	t     *testing.T
	e     *splice.Engine
	parse *parser.Parser
	got   []datapath.PHV // of the frames that the engine has sent because of a segment
}

func newCrowd(t *testing.T, cfg splice.Config) *crowd {
	cfg.Clock = sim.Clock{Hz: hz}
	app := newScript()
	e, err := splice.New(cfg, app)
	require.NoError(t, err)
	app.e = e
	return &crowd{t: t, e: e, parse: parser.New(parser.Config{VerifyChecksums: true})}
}

// send has the engine get a segment of client n.
func (x *crowd) send(n int, flags string, seq, ack uint32, payload string) {
	f := Eth("02:00:00:00:00:64", "02:00:00:00:00:01").IPv4(fmt.Sprintf("10.1.%d.%d", n>>8&255, n&255), nicIP)
	p := Packet(x.t, f.TCP(uint16(1024+n>>16), listenPort, flags, Seq(seq), Ack(ack), Win(1000), MSS(1460)).Payload(payload))
	require.Equal(x.t, datapath.Consume, x.e.Process(1, p))
	x.got = x.got[:0]
	for _, f := range x.e.Out() {
		q := datapath.Packet{Data: f.Data}
		require.Equal(x.t, datapath.Continue, x.parse.Process(0, &q))
		x.got = append(x.got, q.PHV)
	}
	x.e.Flushed()
}

// opens has client n open a connection, and returns where the engine's numbers begin.
func (x *crowd) opens(n int) (ack uint32) {
	x.send(n, "S", 0, 0, "")
	require.Len(x.t, x.got, 1)
	ack = uint32(x.got[0].TCPSeq) + 1
	x.send(n, "A", 1, ack, "")
	return ack
}

// A flood of SYNs takes no more room than half-open connections may have, and those who
// answer still get in: until it is over by cookies.
func TestSYNFloodIsBounded(t *testing.T) {
	x := newCrowd(t, splice.Config{Conns: 1024, HalfOpen: 100})
	const flood = 20_000
	for n := range flood {
		x.send(n, "S", uint32(n), 0, "")
		require.Len(t, x.got, 1)
		require.True(t, x.got[0].TCPFlags.Has(wire.SYN|wire.ACK))
	}
	require.Equal(t, 100, x.e.Conns())
	require.Zero(t, x.e.Held())
	require.EqualValues(t, flood-100, x.e.Counters().Cookies)
	ack := x.opens(flood)
	require.Equal(t, 101, x.e.Conns())
	x.send(flood, "PA", 1, ack, "GET /reply HTTP/1.1\r\n\r\n")
	require.Len(t, x.got, 1)
	require.Positive(t, x.got[0].PayloadLen)
	x.e.Advance(16_000)
	require.Equal(t, 1, x.e.Conns(), "the others are forgotten after 15 s")
}

// Clients that begin heads and do not end them take no more memory than all may; who sends
// a head at once is served. What has no room is not acknowledged, and comes again.
func TestSlowHeadsAreBounded(t *testing.T) {
	const room, buffer = 64 << 10, 2 << 10
	x := newCrowd(t, splice.Config{Conns: 1024, HalfOpen: 500, Gather: room})
	var acks []uint32
	for n := range 400 {
		acks = append(acks, x.opens(n))
		x.send(n, "PA", 1, acks[n], "GET / HTTP/1.1\r\nslow")
		x.send(n, "PA", 21, acks[n], "ly: ")
		require.LessOrEqual(t, x.e.Held()*buffer, room)
	}
	require.Equal(t, room/buffer, x.e.Held())
	require.NotZero(t, x.e.Counters().Crowded)
	x.send(399, "PA", 1, acks[399], "GET / HTTP/1.1\r\n")
	require.Empty(t, x.got, "nothing is acknowledged that is not kept")
	x.send(399, "PA", 1, acks[399], "GET /reply HTTP/1.1\r\n\r\n")
	require.Len(t, x.got, 1)
	require.Positive(t, x.got[0].PayloadLen)
	for n := range 399 {
		x.send(n, "R", 1+uint32(len("GET / HTTP/1.1\r\nslowly: ")), 0, "")
		x.send(n, "R", 1, 0, "")
	}
	require.Equal(t, 1, x.e.Conns())
	require.LessOrEqual(t, x.e.Held(), 1, "the answer, until it is acknowledged")
}
