package timing_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/timing"
)

// log is a timing.Observer that keeps everything.
type log struct {
	crossed []timing.Crossing
	lost    []string
}

func (l *log) Crossed(c timing.Crossing) { l.crossed = append(l.crossed, c) }

func (l *log) Lost(x timing.Loss) {
	l.lost = append(l.lost, fmt.Sprint(x))
}

// sorted brings the events into an order that both engines have.
func (l *log) sorted() *log {
	slices.SortFunc(l.crossed, func(x, y timing.Crossing) int {
		return cmp.Or(cmp.Compare(x.Frame, y.Frame), cmp.Compare(x.Out, y.Out), cmp.Compare(x.Left, y.Left))
	})
	slices.Sort(l.lost)
	return l
}

func load(t testing.TB, name string) *pipeline.Description {
	d, _, ok := pipeline.Load(name)
	require.True(t, ok)
	return d
}

type arrival struct {
	id    uint32
	in    int
	at    sim.Picos
	bytes int
	d     timing.Decision
}

// traffic is bursts with pauses between, as hosts send them.
func traffic(seed uint64, ports, frames int) (all []arrival) {
	r := rand.New(rand.NewPCG(seed, 1))
	at := sim.Picos(0)
	for id := uint32(1); int(id) <= frames; id += 1 + uint32(r.IntN(8)/7) {
		if r.IntN(10) == 0 {
			at += sim.Picos(r.IntN(2_000_000)) << r.IntN(10)
		}
		a := arrival{id: id, in: r.IntN(ports), at: at, bytes: 15 + r.IntN(1500)}
		switch r.IntN(12) {
		case 0:
			a.d.Drop = []string{"mac_rx", "parser", "eswitch"}[r.IntN(3)]
		case 1:
			a.d.To = datapath.PortSet(1)<<ports - 1 // flooded
		default:
			a.d.To = a.d.To.Add(datapath.Port(r.IntN(ports)))
		}
		all = append(all, a)
	}
	return all
}

func run(t testing.TB, name, engine string, ports int, all []arrival) (*log, []timing.Peak) {
	l := &log{}
	c, err := timing.New(load(t, name), timing.Options{Ports: ports, Engine: engine}, l)
	require.NoError(t, err)
	for i, a := range all {
		c.Arrive(a.id, a.in, a.at, a.bytes, a.d)
		if i%3 == 0 && i+1 < len(all) {
			c.Advance(all[i+1].at - sim.Picos(i%5000))
		}
	}
	require.True(t, c.Finish(1e12))
	require.Zero(t, c.InFlight())
	return l.sorted(), c.Peaks()
}

// Frames that come as time goes on have the same figures as all at once under
// the reference engine.
func TestEnginesAgree(t *testing.T) {
	for _, name := range []string{"passthrough-10g", "passthrough-100g"} {
		for _, ports := range []int{1, 2, 3, 7} {
			t.Run(fmt.Sprint(name, ports), func(t *testing.T) {
				all := traffic(uint64(ports), ports, 400)
				fast, fastPeaks := run(t, name, "maxplus", ports, all)
				slow, slowPeaks := run(t, name, "tick", ports, all)
				require.Equal(t, slow.crossed, fast.crossed)
				require.Equal(t, slow.lost, fast.lost)
				require.Equal(t, slowPeaks, fastPeaks)
			})
		}
	}
}

// Every frame leaves where it was sent, once a port, or is dropped where its
// functional twin dropped it.
func TestDecisionsAreKept(t *testing.T) {
	for _, ports := range []int{2, 4} {
		all := traffic(9, ports, 300)
		l, _ := run(t, "passthrough-100g", "maxplus", ports, all)
		to, lost := map[uint32]datapath.PortSet{}, 0
		for _, x := range l.crossed {
			require.False(t, to[x.Frame].Has(datapath.Port(x.Out)))
			to[x.Frame] = to[x.Frame].Add(datapath.Port(x.Out))
			require.Greater(t, x.Left, x.Entered)
		}
		for _, a := range all {
			if a.d.Drop != "" {
				lost++
			}
			require.Equal(t, a.d.To, to[a.id], "frame %d", a.id)
		}
		require.Len(t, l.lost, lost)
	}
}

func TestPorts(t *testing.T) {
	for name, want := range map[string]string{
		"switch":           "is not a chain",
		"passthrough-100g": "a card of 17 ports, want 1 to 16",
	} {
		ports := 2
		if name != "switch" {
			ports = 17
		}
		_, err := timing.New(load(t, name), timing.Options{Ports: ports}, &log{})
		require.ErrorContains(t, err, want)
	}
}

// BenchmarkLive is a NIC's use: a frame, then the time until the next.
func BenchmarkLive(b *testing.B) {
	for _, ports := range []int{1, 2, 7} {
		for _, bytes := range []int{64, 1518} {
			b.Run(fmt.Sprintf("ports=%d/bytes=%d", ports, bytes), func(b *testing.B) {
				l := &nobody{}
				c, err := timing.New(load(b, "passthrough-100g"), timing.Options{Ports: ports}, l)
				require.NoError(b, err)
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					at := sim.Picos(i+1) * 5_000_000
					c.Arrive(uint32(i+1), i%ports, at, bytes, timing.Decision{To: 1})
					c.Advance(at + 1)
				}
				c.Finish(1 << 62)
				require.Equal(b, b.N, l.crossed)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/frame")
			})
		}
	}
}

type nobody struct{ crossed int }

func (n *nobody) Crossed(timing.Crossing) { n.crossed++ }
func (*nobody) Lost(timing.Loss)          {}
