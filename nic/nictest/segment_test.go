package nictest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/wire"
)

func segment(flags, payload string) []byte {
	return datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, flags, datapathtest.Seq(100), datapathtest.Ack(7), datapathtest.TS(5, 6)).Payload(payload)
}

// What is split and merged again is what it was.
func TestSplitAndMerge(t *testing.T) {
	const text = "GET / HTTP/1.1\r\n\r\n"
	for _, flags := range []string{"A", "PA", "FA", "FPA"} {
		whole := segment(flags, text)
		for n := 1; n < len(text); n++ {
			a, b := split(bytes.Clone(whole), n)
			for _, f := range [][]byte{a, b} {
				_, _, ok := sound(f)
				require.True(t, ok, "checksums")
			}
			_, x, _ := sound(a)
			_, y, _ := sound(b)
			require.Equal(t, text[:n], string(x.Payload()))
			require.Equal(t, text[n:], string(y.Payload()))
			require.Equal(t, wire.ACK, x.Flags())
			m, ok := merge(a, b, 1514)
			require.True(t, ok)
			require.Equal(t, whole, m)
			_, ok = merge(b, a, 1514)
			require.False(t, ok, "the wrong way round")
			_, ok = merge(a, b, len(whole)-1)
			require.False(t, ok, "too long")
		}
	}
	_, ok := merge(segment("PA", "x"), segment("PA", "x"), 1514)
	require.False(t, ok, "the same again")
	bad := segment("A", text)
	a, b := split(bad, 5)
	b[len(b)-1] ^= 1
	_, ok = merge(a, b, 1514)
	require.False(t, ok, "a wrong checksum must not be mended")
}

func TestWithoutOptions(t *testing.T) {
	syn := []byte(datapathtest.Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S", datapathtest.TS(5, 0)))
	got := withoutOptions(bytes.Clone(syn), false, true)
	_, h, ok := sound(got)
	require.True(t, ok)
	require.Empty(t, h.Options())
	_, h, ok = sound(withoutOptions(bytes.Clone(syn), true, false))
	require.True(t, ok)
	var o wire.TCPOption
	it := wire.TCPOptions(h.Options())
	require.True(t, it.Next(&o))
	require.Equal(t, wire.OptTimestamps, o.Kind)
	data := segment("A", "x")
	require.Equal(t, data, withoutOptions(bytes.Clone(data), true, true), "only of a SYN")
}

// No receiver that checks takes a frame that was corrupted.
func TestCorruptionShows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := segment("PA", "some text\x00\xff\xff\x00")
		was := bytes.Clone(f)
		require.True(t, corrupt(f, r.Uint64()))
		require.NotEqual(t, was, f)
		require.Equal(t, was[:14], f[:14])
		_, _, ok := sound(f)
		require.False(t, ok, "%x", f)
		require.False(t, corrupt(f, r.Uint64()), "not twice")
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(segment("PA", "some text"), 3)
	f.Add(segment("S", ""), 1)
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		Describe(b, map[string]wire.Seq{})
		withoutOptions(bytes.Clone(b), true, true)
		corrupt(bytes.Clone(b), uint64(n))
		_, h, ok := sound(b)
		if !ok || len(h.Payload()) < 2 || h.Flags()&^(wire.ACK|wire.PSH) != 0 {
			return
		}
		at := 1 + int(uint(n)%uint(len(h.Payload())-1))
		x, y := split(bytes.Clone(b), at)
		m, ok := merge(x, y, 1<<16)
		if !ok {
			t.Fatalf("split at %d does not merge: %x", at, b)
		}
		_, got, _ := ipv4TCP(m)
		if !bytes.Equal(got.Payload(), h.Payload()) {
			t.Fatalf("split at %d merges to %x, want %x", at, m, b)
		}
	})
}
