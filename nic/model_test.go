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
		d.frame(d.now, datapath.Port(from), d.keep(from, f))
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
	again, err := newModel(cfg.Pipeline, ports)
	require.NoError(t, err)
	again.card, err = timing.New(cfg.Pipeline, timing.Options{Ports: 3, Engine: "tick"}, again)
	require.NoError(t, err)
	for _, f := range kept.frames {
		now := cycleAt(f.at)
		size := len(f.data)
		o := l.Process(now, datapath.Port(f.port), f.data, hostif.Offload{})
		again.arrive(now, datapath.Port(f.port), size, 0, 0, &o)
	}
	require.True(t, again.card.Finish(1e12))
	require.Equal(t, live, again.times())
}

func (d *device) keep(port int, f *hostif.Frame) *hostif.Frame {
	require.NoError(d.t, d.capture(d.now, port, f))
	return f
}
