package datapath_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/deparser"
	"github.com/meshnic/meshnic/datapath/mac"
	"github.com/meshnic/meshnic/datapath/matchaction"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/tcp"
	"github.com/meshnic/meshnic/datapath/wire"
)

// pipeline is the passthrough program's stages, as package nic has them, around
// a switch of one exact table.
type pipeline struct {
	tracker *tcp.Tracker
	table   *matchaction.Table
	stages  []datapath.Stage
	packet  datapath.Packet
}

// learning is an eSwitch in five lines: learn the source, then look up.
type learning struct{ *matchaction.Table }

func (l learning) Process(now sim.Cycle, p *datapath.Packet) datapath.Verdict {
	l.Learn(matchaction.MACKey(p.PHV.VLAN, p.PHV.EthSrc), p.In, now)
	return l.Table.Process(now, p)
}

func newPipeline(t testing.TB, flows int) *pipeline {
	tracker, err := tcp.New(tcp.Config{Flows: flows, Clock: sim.Clock{Hz: 250e6}})
	require.NoError(t, err)
	table, err := matchaction.New(matchaction.Config{
		Name: "fdb", Capacity: 4096, MaxAge: 300 * 250e6,
		Key: []matchaction.KeyField{{Field: datapath.FieldVLAN}, {Field: datapath.FieldEthDst}},
	})
	require.NoError(t, err)
	p := &pipeline{tracker: tracker, table: table}
	p.stages = []datapath.Stage{
		&mac.Receive{MaxFrame: 1522},
		parser.New(parser.Config{VerifyChecksums: true}),
		tracker,
		learning{table},
		deparser.New(),
	}
	return p
}

func (p *pipeline) run(now sim.Cycle, frame []byte, in datapath.Port) datapath.Verdict {
	k := &p.packet
	k.ID++
	k.Data, k.In = frame, in
	k.Egress, k.Mirror, k.Reason = 0, 0, datapath.DropNone
	last := datapath.Continue
	for _, s := range p.stages {
		v := s.Process(now, k)
		if v == datapath.Drop {
			return v
		}
		last = max(last, v)
	}
	return last
}

// A connection through the card: both ends learned, the flow seen whole, every
// frame as it came, and the model time the sum of the stages.
func TestPipelineCarriesAConnection(t *testing.T) {
	p := newPipeline(t, 64)
	const a, b = "02:00:00:00:00:0a", "02:00:00:00:00:0b"
	out := func(s string, f ...TCPField) Frame {
		return Eth(b, a).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, s, f...)
	}
	back := func(s string, f ...TCPField) Frame {
		return Eth(a, b).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 4000, s, f...)
	}
	for i, step := range []struct {
		frame  Frame
		in     datapath.Port
		egress datapath.PortSet // 0: not known yet, the switch floods
	}{
		{out("S", Seq(0), MSS(1460)), 0, 0},
		{back("SA", Seq(9), Ack(1)), 1, 1 << 0},
		{out("A", Seq(1), Ack(10)), 0, 1 << 1},
		{out("PA", Seq(1), Ack(10)).Payload("GET / HTTP/1.1"), 0, 1 << 1},
		{back("PA", Seq(10), Ack(15)).Payload(string(make([]byte, 1460))), 1, 1 << 0},
		{out("FA", Seq(15), Ack(1470)), 0, 1 << 1},
		{back("FA", Seq(1470), Ack(16)), 1, 1 << 0},
		{out("A", Seq(16), Ack(1471)), 0, 1 << 1},
	} {
		was := append(Frame(nil), step.frame...)
		want := datapath.Forward
		if step.egress == 0 {
			want = datapath.Continue
		}
		require.Equal(t, want, p.run(sim.Cycle(i*1000), step.frame, step.in), i)
		require.Equal(t, was, step.frame, "passthrough rewrites nothing")
		require.Equal(t, step.egress, p.packet.Egress)
	}
	f, ok := p.tracker.Find(IP("10.0.0.1"), IP("10.0.0.2"), 4000, 80, 0)
	require.True(t, ok)
	require.Equal(t, tcp.Closed, f.State)
	require.Equal(t, uint64(14), f.Client.Bytes)
	require.Equal(t, uint64(1460), f.Server.Bytes)
}

// Malformed frames end with a reason before they reach a table.
func TestPipelineDropsWithAReason(t *testing.T) {
	good := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA").Payload("x")
	for want, f := range map[datapath.DropReason]Frame{
		datapath.DropRunt:         good.Truncate(10),
		datapath.DropOverlong:     good.Pad(1600),
		datapath.DropIPTruncated:  good.Truncate(20),
		datapath.DropIPChecksum:   good.BadIPChecksum(),
		datapath.DropL4Checksum:   good.BadL4Checksum(),
		datapath.DropTCPHeaderLen: good.DataOffset(3),
	} {
		p := newPipeline(t, 64)
		require.Equal(t, datapath.Drop, p.run(0, f, 0))
		require.Equal(t, want, p.packet.Reason, "%v", p.packet.Reason)
		require.Zero(t, p.table.Stats().Entries, "nothing is learned from it")
		require.Zero(t, p.tracker.Len())
	}
}

func TestPipelineAllocatesNothing(t *testing.T) {
	p := newPipeline(t, 64)
	f := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA").Payload("x")
	bad := f.BadL4Checksum()
	n := sim.Cycle(0)
	require.Zero(t, testing.AllocsPerRun(200, func() { n++; p.run(n, f, 0); p.run(n, bad, 1) }))
}

// FuzzPipeline pushes whole batches of arbitrary frames through all stages, twice.
func FuzzPipeline(f *testing.F) {
	f.Add([]byte(Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")), []byte(Eth().VLAN(5).IPv6("::1", "::2").UDP(1, 2)), uint64(0))
	f.Add([]byte(Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "PA").Payload("x").BadL4Checksum()), []byte{}, uint64(1<<40))
	f.Fuzz(func(t *testing.T, a, b []byte, now uint64) {
		p, again := newPipeline(t, 64), newPipeline(t, 64)
		for i, frame := range [][]byte{a, b, a} {
			was := append([]byte{}, frame...)
			v := p.run(sim.Cycle(now)+sim.Cycle(i), frame, datapath.Port(i&1))
			require.Equal(t, v == datapath.Drop, p.packet.Reason != datapath.DropNone)
			require.Equal(t, was, append([]byte{}, frame...), "passthrough rewrites nothing")
			require.Equal(t, v, again.run(sim.Cycle(now)+sim.Cycle(i), frame, datapath.Port(i&1)))
			require.Equal(t, p.packet, again.packet, "same frames, same packet")
		}
		require.Equal(t, p.tracker.Counters(), again.tracker.Counters())
		require.Equal(t, p.table.Stats(), again.table.Stats())
	})
}

// flowFrame sets the addresses of frame to those of flow i, both checksums kept
// right.
func flowFrame(frame []byte, i uint32) {
	ip, seg := wire.IPv4(frame[14:]), wire.TCP(frame[34:])
	old := binary.BigEndian.Uint32(ip[12:])
	now := 10<<24 | i>>4
	ip.SetChecksum(wire.Update32(ip.Checksum(), old, now))
	seg.SetChecksum(wire.Update32(seg.Checksum(), old, now))
	binary.BigEndian.PutUint32(ip[12:], now)
	port := uint16(1024 + i&15)
	seg.SetChecksum(wire.Update16(seg.Checksum(), seg.SrcPort(), port))
	seg.SetSrcPort(port)
}

// batch is how many frames package nic takes from a port at once.
const batch = 64

// BenchmarkPipeline is the whole passthrough pipeline, checksums verified, over
// TCP flows in random order. With a million of them every frame's flow is out of
// the caches. "hinted" brings the flows of a batch near first, as package nic
// can; "alone" takes every frame as it comes. ns/frame is without the time that
// writing a flow's addresses into the frame takes by itself (making-ns).
func BenchmarkPipeline(b *testing.B) {
	small := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A", Ack(1)).Pad(60)
	large := Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "A", Ack(1)).Payload(string(make([]byte, 1400)))
	for _, bb := range []struct {
		name  string
		flows uint32
		frame Frame
		hint  bool
	}{
		{"60B/1MFlows/hinted", 1 << 20, small, true},
		{"60B/1MFlows/alone", 1 << 20, small, false},
		{"1454B/1MFlows/hinted", 1 << 20, large, true},
		{"60B/1KFlows/alone", 1 << 10, small, false},
	} {
		b.Run(bb.name, func(b *testing.B) {
			p := newPipeline(b, int(bb.flows))
			p.table.Learn(matchaction.MACKey(0, MAC(DefaultDst)), 1, 0)
			frames := make([]Frame, batch)
			for i := range frames {
				frames[i] = bb.frame.Patch(0, bb.frame...)
			}
			for i := range bb.flows {
				flowFrame(frames[0], i)
				p.run(1, frames[0], 0)
			}
			require.Equal(b, int(bb.flows), p.tracker.Len())
			write := func(n uint32) {
				for i := range frames {
					flowFrame(frames[i], (n+uint32(i))*0x9e3779b1>>7%bb.flows)
				}
			}
			const calibrate = 4000
			start := time.Now()
			for i := range uint32(calibrate) {
				write(i * batch)
			}
			making := float64(time.Since(start).Nanoseconds()) / (calibrate * batch)

			b.ReportAllocs()
			n := uint32(0)
			var hints [batch]tcp.Hint
			for b.Loop() {
				write(n)
				n += batch
				if bb.hint {
					for i, f := range frames {
						hints[i] = p.tracker.Hint(f)
					}
					for _, h := range hints {
						p.tracker.Warm(h)
					}
				}
				for _, f := range frames {
					if p.run(sim.Cycle(n), f, 0) != datapath.Forward {
						b.Fatal(p.packet.Reason)
					}
				}
			}
			require.Equal(b, int(bb.flows), p.tracker.Len(), "every flow was in the table")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)-making, "ns/frame")
			b.ReportMetric(making, "making-ns/frame")
		})
	}
}
