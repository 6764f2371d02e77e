package nic

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
	"github.com/meshnic/meshnic/hostif"
)

type captured struct {
	at   time.Duration
	port int
	data []byte
}

// memory is a Capture.
type memory struct{ frames []captured }

func (m *memory) Frame(at time.Duration, port int, data []byte) error {
	m.frames = append(m.frames, captured{at, port, append([]byte(nil), data...)})
	return nil
}

// What is counted live, a little at a time, is what the reference engine counts
// for the capture.
func TestCaptureReplayedHasTheLiveFigures(t *testing.T) {
	var kept memory
	cfg := DefaultConfig()
	cfg.Capture = &kept
	ports := []string{"a", "b", "c"}
	macs := []string{macA, macB, macC}
	d := newDevice(t, cfg, ports...)
	r := rand.New(rand.NewPCG(5, 1))
	d.now = 1000
	for range 300 {
		from, to := r.IntN(3), r.IntN(4)
		dst := all
		if to < 3 {
			dst = macs[to]
		}
		frame := []byte(datapathtest.Eth(dst, macs[from]).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(string(make([]byte, r.IntN(1400)))))
		f := &hostif.Frame{Data: frame}
		switch r.IntN(10) {
		case 0:
			frame[40] ^= 1 // wrong checksum
		case 1:
			f.Data = datapathtest.Eth(dst, macs[from]).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "A").Payload(string(make([]byte, 5000)))
			f.Offload = hostif.Offload{GSO: hostif.GSOTCPv4, GSOSize: 1400, CsumPartial: true, CsumStart: 34, CsumOffset: 16}
		}
		d.frame(d.now, datapath.Port(from), d.keep(from, f), false)
		if r.IntN(4) == 0 {
			d.now += sim.Cycle(r.IntN(1000))
			d.model.advance(d.now)
		}
	}
	d.settle()
	live := d.Counters().ModelNS
	require.Greater(t, live.Frames, uint64(300))

	l, err := NewLogic(cfg, ports, 9000)
	require.NoError(t, err)
	again, err := newModel(cfg.Pipeline, ports, cfg.Flows, 0)
	require.NoError(t, err)
	again.card, err = timing.New(cfg.Pipeline, timing.Options{Ports: 3, Engine: "tick"}, again)
	require.NoError(t, err)
	for _, f := range kept.frames {
		now := cycleAt(f.at)
		size := len(f.data)
		o := l.Process(now, datapath.Port(f.port), f.data, hostif.Offload{})
		again.arrive(now, datapath.Port(f.port), size, 0, l, &o)
	}
	require.True(t, again.settle(1e12))
	require.Equal(t, live, again.times())
}

func (d *device) keep(port int, f *hostif.Frame) *hostif.Frame {
	require.NoError(d.t, d.capture(d.now, port, f))
	return f
}

// A request is what the client sends until it sends again, its answer and all
// acknowledgements included; the handshake is the first one's.
func TestRequests(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	client := func(flags, payload string, seq, ack uint32) {
		d.send("a", datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, flags, datapathtest.Seq(seq), datapathtest.Ack(ack)).Payload(payload))
	}
	server := func(flags, payload string, seq, ack uint32) {
		d.send("b", datapathtest.Eth(macA, macB).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 4000, flags, datapathtest.Seq(seq), datapathtest.Ack(ack)).Payload(payload))
	}
	seen := func() (n uint64, sum float64) {
		d.now += 1000
		d.model.advance(d.now)
		if m := d.Counters().ModelNS; m != nil && m.Requests != nil {
			return m.Requests.N, m.Requests.Sum
		}
		return 0, 0
	}
	client("S", "", 0, 0)
	server("SA", "", 99, 1)
	client("A", "", 1, 100)
	client("PA", "GET /1", 1, 100)
	server("A", "", 100, 7)
	server("PA", "one", 100, 7)
	d.send("a", []byte("no frame at all")) // dropped by the parser: no part of it
	client("A", "", 7, 103)
	n, _ := seen()
	require.Zero(t, n, "more may come")
	first := d.Counters().ModelNS.Sum

	client("PA", "GET ", 7, 103)
	client("PA", "/2", 11, 103)
	n, sum := seen()
	require.EqualValues(t, 1, n)
	require.InDelta(t, first, sum, 1e-6, "seven frames")
	server("PA", "two", 103, 13)
	client("FA", "", 13, 106)
	server("FA", "", 106, 14)
	client("A", "", 14, 107)
	client("S", "", 1000, 0) // a new connection, which nobody answers
	d.settle()
	m := d.Counters().ModelNS
	require.EqualValues(t, 2, m.Requests.N)
	require.InDelta(t, m.Sum-m.Sum/float64(m.Frames), m.Requests.Sum, m.Sum/float64(m.Frames), "all but the last frame")
	require.Less(t, m.Requests.Sum, m.Sum)
	require.Zero(t, len(d.model.asked.all)-1-len(d.model.asked.free), "none is forgotten")
}

// Picoseconds since the first frame fit for 106 days; a NIC may be there for longer.
func TestModelCountsAfterYears(t *testing.T) {
	d := newDevice(t, DefaultConfig(), "a", "b")
	for frames := uint64(1); frames < 5; frames++ {
		d.send("a", tcpFrame(macB, macA))
		d.model.advance(d.now + 1000)
		m := d.Counters().ModelNS
		require.Equal(t, frames, m.Frames, "after %v", coreClock.Duration(d.now))
		require.Zero(t, m.Behind)
		d.now += cycleAt(120 * 24 * time.Hour)
	}
}
