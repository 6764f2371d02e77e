package datapath_test

import (
	"encoding/binary"
	"testing"

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
		mac.Transmit{},
	}
	return p
}

func (p *pipeline) run(now sim.Cycle, frame []byte, in datapath.Port) datapath.Verdict {
	k := &p.packet
	k.ID++
	k.Data, k.In = frame, in
	k.Egress, k.Mirror, k.Reason, k.Cycles = 0, 0, datapath.DropNone, 0
	last := datapath.Continue
	for _, s := range p.stages {
		v := s.Process(now+k.Cycles, k)
		k.Cycles += s.Cycles(k)
		if v == datapath.Drop {
			return v
		}
		last = max(last, v)
	}
	return last
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
// can; "alone" takes every frame as it comes. The time includes writing the
// flow's addresses into the frame.
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
			b.ReportAllocs()
			cycles, n := sim.Cycle(0), uint32(0)
			var hints [batch]tcp.Hint
			for b.Loop() {
				for i := range frames {
					n++
					flowFrame(frames[i], n*0x9e3779b1>>7%bb.flows)
				}
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
					cycles += p.packet.Cycles
				}
			}
			require.Equal(b, int(bb.flows), p.tracker.Len(), "every flow was in the table")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/frame")
			b.ReportMetric(float64(cycles)/float64(n), "cycles/frame")
		})
	}
}
