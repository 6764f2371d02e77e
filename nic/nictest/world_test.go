package nictest_test

import (
	"errors"
	"io"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/nic/nictest"
)

// get is the plainest conversation: one request, one response.
func get() *nictest.Conversation {
	return &nictest.Conversation{
		Seed:        1,
		Clients:     []nictest.HostConfig{{}},
		Servers:     []nictest.HostConfig{{}},
		Connections: []nictest.Connection{{Exchanges: []nictest.Exchange{{Answer: nictest.Answer{Body: 10}}}}},
	}
}

func aWire(int) (nictest.Card, error) { return nictest.Wire{}, nil }

// A seed gives the same frames at the same nanoseconds, whatever the goroutines do.
func TestSameSeedSameFrames(t *testing.T) {
	was := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(was)
	distinct := map[uint64]bool{}
	for seed := range uint64(60) {
		c := nictest.Random(seed)
		var first *nictest.Record
		for _, procs := range []int{was, 1, 8, was} {
			runtime.GOMAXPROCS(procs)
			r, err := nictest.Run(c, nictest.Setup{Card: aSwitch, After: time.Minute})
			require.NoError(t, err)
			if first == nil {
				first = r
				distinct[r.Digest] = true
			}
			require.Equal(t, first.Digest, r.Digest, "seed %d with %d processors", seed, procs)
			require.Equal(t, first.Took, r.Took)
		}
	}
	require.Len(t, distinct, 60, "the digest tells runs apart")
}

func TestCloseLeavesNothing(t *testing.T) {
	before, dangling := runtime.NumGoroutine(), len(tcpip.GetDanglingEndpoints())
	for seed := range uint64(40) {
		_, err := nictest.Run(nictest.Random(seed), nictest.Setup{Card: aSwitch})
		require.NoError(t, err)
	}
	require.Equal(t, dangling, len(tcpip.GetDanglingEndpoints()), "endpoints that nobody owns")
	settled(t, before)

	// Also of one that ends in the middle.
	w, err := nictest.NewWorld(nictest.WorldConfig{Card: nictest.Wire{}, Hosts: make([]nictest.HostConfig, 2)})
	require.NoError(t, err)
	at := netip.AddrPortFrom(w.Host(1).Addr, 80)
	require.NoError(t, w.Host(1).Listen(at, nictest.Socket{}, func(nictest.Conn) {}))
	c, err := w.Host(0).Dial(at, nictest.Socket{})
	require.NoError(t, err)
	require.False(t, w.Run(time.Second, nil))
	n, err := c.Write(make([]byte, 3<<20))
	require.NoError(t, err)
	require.Positive(t, n)
	w.Run(time.Second+time.Millisecond, nil)
	require.NoError(t, w.Close())
	require.Error(t, w.Close())
	require.Equal(t, dangling, len(tcpip.GetDanglingEndpoints()))
	settled(t, before)
}

// settled waits until there are no more than so many goroutines: one that has been
// told to end takes its time.
func settled(t *testing.T, most int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > most && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	require.LessOrEqual(t, runtime.NumGoroutine(), most)
}

// Calls before, during and after a connection fail with what they say.
func TestConnErrors(t *testing.T) {
	w, err := nictest.NewWorld(nictest.WorldConfig{Card: nictest.Wire{}, Hosts: make([]nictest.HostConfig, 2)})
	require.NoError(t, err)
	defer w.Close()
	at := netip.AddrPortFrom(w.Host(1).Addr, 80)
	var served nictest.Conn
	require.NoError(t, w.Host(1).Listen(at, nictest.Socket{}, func(c nictest.Conn) { served = c }))
	b := make([]byte, 10)
	step := func() { w.Run(w.Now()+10*time.Millisecond, nil) }

	c, err := w.Host(0).Dial(at, nictest.Socket{})
	require.NoError(t, err)
	_, err = c.Write(nil)
	require.ErrorIs(t, err, nictest.ErrAgain, "the handshake is under way")
	_, err = c.Read(b)
	require.ErrorIs(t, err, nictest.ErrAgain)
	step()
	_, err = c.Write(nil)
	require.NoError(t, err)
	n, err := c.Write([]byte("abc"))
	require.NoError(t, err)
	require.Equal(t, 3, n)
	require.NoError(t, c.CloseWrite())
	step()
	n, err = served.Read(b)
	require.NoError(t, err)
	require.Equal(t, "abc", string(b[:n]))
	_, err = served.Read(b)
	require.Equal(t, io.EOF, err)
	require.NoError(t, served.Reset())
	step()
	_, err = c.Read(b)
	require.ErrorIs(t, err, nictest.ErrReset)

	c, err = w.Host(0).Dial(netip.AddrPortFrom(at.Addr(), 81), nictest.Socket{})
	require.NoError(t, err)
	step()
	_, err = c.Read(b)
	require.ErrorIs(t, err, nictest.ErrRefused)
}

// Nobody sleeps: an hour of a connection that says nothing is over at once.
func TestTimeIsVirtual(t *testing.T) {
	c := get()
	c.Connections[0].Exchanges[0].Answer.Delay = 4 * time.Minute
	began := time.Now()
	r, err := nictest.Run(c, nictest.Setup{Card: aWire})
	require.NoError(t, err)
	require.NoError(t, r.Check(nictest.View{}))
	require.Greater(t, r.Took, 4*time.Minute)
	require.Less(t, time.Since(began), time.Minute)
}

// What a host doesn't speak is seen in no segment, and its peer doesn't either.
func TestHostOptions(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*nictest.HostConfig)
		kind wire.TCPOptionKind
	}{
		{"SACK", func(h *nictest.HostConfig) { h.NoSACK = true }, wire.OptSACKPermitted},
		{"timestamps", func(h *nictest.HostConfig) { h.NoTimestamps = true }, wire.OptTimestamps},
		{"window scale", func(h *nictest.HostConfig) { h.NoWindowScale = true }, wire.OptWindowScale},
	} {
		for side := range 3 { // nobody, the client, the server
			c := get()
			if side == 1 {
				tt.set(&c.Clients[0])
			} else if side == 2 {
				tt.set(&c.Servers[0])
			}
			seen := map[string]bool{}
			r, err := nictest.Run(c, nictest.Setup{Card: aWire, Trace: func(_ time.Duration, cable string, f []byte, _ string) {
				var o wire.TCPOption
				for it := wire.TCPOptions(wire.TCP(f[34:]).Options()); it.Next(&o); {
					seen[cable] = seen[cable] || o.Kind == tt.kind
				}
			}})
			require.NoError(t, err)
			require.NoError(t, r.Check(nictest.View{}))
			require.Equal(t, side != 1, seen["0>"], "%s, side %d: client sends", tt.name, side)
			require.Equal(t, side == 0, seen["1>"], "%s, side %d: server sends", tt.name, side)
		}
	}
}

func TestMTU(t *testing.T) {
	for _, mtu := range []int{576, 1280, 1500, 9000} {
		c := get()
		c.Clients[0].MTU = mtu
		c.Connections[0].Exchanges[0].Answer.Body = 100_000
		c.Clients[0].ReceiveBuffer = 1 << 20
		longest := 0
		r, err := nictest.Run(c, nictest.Setup{Card: aWire, Trace: func(_ time.Duration, cable string, f []byte, _ string) {
			if cable == "1>" {
				longest = max(longest, len(f))
			}
		}})
		require.NoError(t, err)
		require.NoError(t, r.Check(nictest.View{}))
		// gVisor keeps room for 40 bytes of options, of which timestamps take 12.
		require.Equal(t, min(mtu, 1500)+14-28, longest)
	}
}

func TestCardThatFailsToStart(t *testing.T) {
	bad := errors.New("no")
	_, err := nictest.Run(get(), nictest.Setup{Card: func(int) (nictest.Card, error) { return nil, bad }})
	require.ErrorIs(t, err, bad)
}
