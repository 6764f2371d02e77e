//go:build linux

package xdp

import (
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif"
)

// A hundred thousand frames of random size are received and sent on, sent back,
// cloned, cut, replaced, dropped, sent twice by mistake: at any moment every
// chunk is in exactly one place, and at the end all are free or in a fill ring.
func TestNoChunkIsLost(t *testing.T) {
	needXDP(t)
	for _, tt := range []struct {
		name   string
		mtu    int
		frames int
	}{{"MTU 1500", 1500, 1024}, {"MTU 9000", 9000, 1024}, {"few frames", 1500, 64}} {
		t.Run(tt.name, func(t *testing.T) {
			ns := newNS(t)
			require.NoError(t, addVeth(ns, "a", ns, "b", tt.mtu))
			require.NoError(t, addVeth(ns, "c", ns, "d", tt.mtu))
			nic := open(t, Config{Ifaces: []Iface{{"b", ns}, {"c", ns}}, Frames: tt.frames})
			host := open(t, Config{Ifaces: []Iface{{"a", ns}, {"d", ns}}, Frames: 1024})
			rnd := rand.New(rand.NewPCG(7, uint64(tt.mtu)))
			in := make([]*hostif.Frame, 64)
			seen := 0
			for round := 0; seen < 100_000; round++ {
				for _, l := range host.Links {
					batch := make([]*hostif.Frame, rnd.IntN(65))
					for i := range batch {
						batch[i] = &hostif.Frame{Data: make([]byte, 10+rnd.IntN(tt.mtu+20))}
					}
					_, err := l.Send(batch)
					require.NoError(t, err)
				}
				for i, l := range nic.Links {
					n, err := l.Recv(in[:1+rnd.IntN(64)])
					require.NoError(t, err)
					seen += n
					mistreat(t, rnd, in[:n], l, nic.Links[1-i])
					if round%100 == 0 {
						require.NoError(t, nic.Check())
					}
				}
				for _, l := range host.Links {
					_, err := l.Recv(in)
					require.NoError(t, err)
				}
				require.Less(t, round, 1_000_000, "frames do not arrive: %+v", nic.Links[0].Stats())
			}
			for range 1000 { // let everything come back
				for _, l := range append(nic.Links, host.Links...) {
					_, err := l.Recv(in)
					require.NoError(t, err)
				}
				nic.reapAll()
			}
			for _, g := range []*Group{nic, host} {
				require.NoError(t, g.Check())
				g.reapAll()
				filled := 0
				for _, l := range g.Links {
					filled += l.filled
					require.Zero(t, l.unreaped, "%s: transmitted frames that never came back", l.Name())
				}
				require.Equal(t, len(g.umem.where), len(g.umem.free)+filled)
			}
			t.Logf("%+v", nic.Links[0].Stats())
		})
	}
}

// mistreat does with received frames what a NIC may do, and some of what it
// must not.
func mistreat(t *testing.T, rnd *rand.Rand, frames []*hostif.Frame, self, other *Link) {
	for _, f := range frames {
		to := other
		if rnd.IntN(4) == 0 {
			to = self
		}
		batch := []*hostif.Frame{f}
		switch rnd.IntN(10) {
		case 0: // dropped
			continue
		case 1: // multicast
			batch = append(batch, f.Clone())
		case 2: // a header is taken off the front
			f.Data = f.Data[min(4, len(f.Data)):]
		case 3: // and put on, inside the chunk
			f.Data = append(f.Data, 1, 2, 3, 4)
		case 4: // replaced by other memory
			f.Data = make([]byte, 60)
		case 5: // a mistake: twice
			batch = append(batch, f)
		case 6: // a mistake: it says it lies elsewhere
			f.Addr = rnd.Uint64()
		}
		_, err := to.Send(batch)
		require.NoError(t, err)
	}
}

// Close comes from another goroutine while frames flow; frames that were
// received stay readable, waiters wake, and the next Open gets the interface.
func TestCloseFromElsewhere(t *testing.T) {
	needXDP(t)
	ns := newNS(t)
	require.NoError(t, addVeth(ns, "a", ns, "b", 1500))
	for round := range 20 {
		g := open(t, Config{Ifaces: []Iface{{"a", ns}, {"b", ns}}, Frames: 256})
		var done sync.WaitGroup
		done.Go(func() {
			w := hostif.NewWaiter([]hostif.Link{g.Links[0], g.Links[1]})
			defer w.Close()
			frames := make([]*hostif.Frame, 64)
			for sum := byte(0); ; {
				for i, l := range g.Links {
					n, err := l.Recv(frames)
					if err != nil {
						require.ErrorIs(t, err, net.ErrClosed)
						return
					}
					if round%2 == 0 {
						n = 0 // idle: woken from a wait
					}
					for _, f := range frames[:n] {
						for _, b := range f.Data {
							sum += b
						}
					}
					if round%2 == 1 {
						_, _ = g.Links[1-i].Send([]*hostif.Frame{{Data: make([]byte, 1000)}})
					}
				}
				if _, err := w.Wait(10 * time.Second); err != nil {
					t.Error(err)
					return
				}
			}
		})
		time.Sleep(time.Duration(round) * time.Millisecond)
		start := time.Now()
		require.NoError(t, g.Close())
		done.Wait()
		require.Less(t, time.Since(start), 5*time.Second)
		require.NoError(t, g.Check())
	}
}
