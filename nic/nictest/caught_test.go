package nictest_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/nic/nictest"
)

// liar is a wire that does something to frames, of which n have passed: what it
// returns goes on.
type liar struct {
	n int
	f func(n, port int, frame []byte) []byte
}

func (l *liar) Frame(_ time.Duration, port int, frame []byte, out func(int, []byte)) {
	l.n++
	if f := l.f(l.n, port, frame); f != nil {
		out(port^1, f)
	}
}

func (l *liar) Due(time.Duration, func(int, []byte)) (time.Duration, bool) { return 0, false }

// resealed changes one byte of payload and the checksum with it.
func resealed(frame []byte, at int, to byte) []byte {
	frame[at] = to
	wire.FillL4Checksum(frame)
	return frame
}

// payload is that of a TCP segment; of anything else nil.
func payload(frame []byte) []byte {
	ip := wire.IPv4(frame[14:])
	if wire.Ethernet(frame).Type() != wire.TypeIPv4 || !ip.Valid() || !ip.ChecksumOK() || ip.Proto() != wire.ProtoTCP {
		return nil
	}
	return wire.TCP(ip.Payload()).Payload()
}

// Every card that is not honest is found out.
func TestBadCardsAreCaught(t *testing.T) {
	for _, tt := range []struct {
		name, says string
		f          func(n, port int, frame []byte) []byte
	}{
		{"changes a byte of a request", "server 0", func(_, port int, f []byte) []byte {
			if p := payload(f); port == 0 && len(p) > 30 {
				return resealed(f, len(f)-3, 'X')
			}
			return f
		}},
		{"changes a byte of a response", "client: received: byte", func(_, port int, f []byte) []byte {
			if p := payload(f); port == 1 && len(p) > 30 {
				return resealed(f, len(f)-1, 'X')
			}
			return f
		}},
		{"swaps two bytes", "is wrong", func(_, port int, f []byte) []byte {
			p := payload(f)
			if i := bytes.Index(p, []byte("X-Answers")); port == 1 && i >= 0 {
				p[i], p[i+1] = p[i+1], p[i] // the sum may be right: words swapped by halves are not
				wire.FillL4Checksum(f)
			}
			return f
		}},
		{"leaves the checksum wrong", "gave up", func(_, port int, f []byte) []byte {
			if p := payload(f); port == 1 && len(p) > 0 {
				p[0] ^= 1
			}
			return f
		}},
		{"drops one direction", "client", func(_, port int, f []byte) []byte {
			if port == 1 {
				return nil
			}
			return f
		}},
		{"drops what has payload", "never came", func(_, _ int, f []byte) []byte {
			if len(payload(f)) > 0 {
				return nil
			}
			return f
		}},
		{"drops FINs", "", func(_, _ int, f []byte) []byte {
			if wire.Ethernet(f).Type() == wire.TypeIPv4 && wire.TCP(wire.IPv4(f[14:]).Payload()).Flags().Has(wire.FIN) {
				return nil
			}
			return f
		}},
		{"resets after the response", "RST", func(_, port int, f []byte) []byte {
			if wire.Ethernet(f).Type() == wire.TypeIPv4 && port == 1 {
				h := wire.TCP(wire.IPv4(f[14:]).Payload())
				if h.Flags().Has(wire.FIN) {
					h.SetFlags(wire.RST | wire.ACK)
					wire.FillL4Checksum(f)
				}
			}
			return f
		}},
		{"answers another request", "client: received", func(_, port int, f []byte) []byte {
			if i := bytes.Index(payload(f), []byte("/0/0")); port == 1 && i >= 0 {
				copy(payload(f)[i:], "/0/1")
				wire.FillL4Checksum(f)
			}
			return f
		}},
	} {
		for _, spliced := range []bool{false, true} {
			c := get()
			c.Connections[0].Exchanges = append(c.Connections[0].Exchanges, c.Connections[0].Exchanges[0])
			c.Connections[0].Exchanges[0].Method = "POST"
			c.Connections[0].Exchanges[0].Body = 50
			r, err := nictest.Run(c, nictest.Setup{Card: func(int) (nictest.Card, error) { return &liar{f: tt.f}, nil }})
			require.NoError(t, err)
			err = r.Check(nictest.View{Spliced: spliced})
			require.Error(t, err, tt.name)
			require.Empty(t, r.Stalls, tt.name)
			if !spliced {
				require.ErrorContains(t, err, tt.says, tt.name)
			}
		}
	}
}

// Random conversations find a card that is wrong once in a hundred segments, too,
// and Shrink and Transcript tell a small one.
func TestRandomConversationsCatch(t *testing.T) {
	card := func(ports int) (nictest.Card, error) {
		s := &nictest.Switch{Ports: ports}
		return &rare{Switch: s}, nil
	}
	s := nictest.Setup{Card: card}
	fails := func(c *nictest.Conversation) bool {
		r, err := nictest.Run(c, s)
		return err == nil && r.Check(nictest.View{}) != nil
	}
	found := 0
	var one *nictest.Conversation
	for seed := range uint64(60) {
		if c := nictest.Random(seed); fails(c) {
			found++
			one = c
		}
	}
	require.Greater(t, found, 5)
	small := nictest.Shrink(one, 200, fails)
	require.True(t, fails(small))
	require.LessOrEqual(t, len(small.Connections), len(one.Connections))
	require.Less(t, len(small.String()), len(one.String()))
	require.Contains(t, nictest.Transcript(small, s), "is wrong")
}

// rare changes a byte of each hundredth segment of more than 100 bytes, checksum
// included.
type rare struct {
	*nictest.Switch
	n int
}

func (r *rare) Frame(now time.Duration, port int, f []byte, out func(int, []byte)) {
	if len(f) > 200 && wire.L4ChecksumOK(f) && len(payload(f)) > 100 {
		if r.n++; r.n%100 == 50 {
			f = resealed(f, len(f)-50, f[len(f)-50]^1)
		}
	}
	r.Switch.Frame(now, port, f, out)
}
