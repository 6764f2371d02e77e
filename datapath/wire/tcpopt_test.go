package wire_test

import (
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
)

// header returns a TCP header with these options, padded.
func header(opts ...byte) wire.TCP {
	for len(opts)%4 != 0 {
		opts = append(opts, 0)
	}
	h := wire.TCP(append(make([]byte, 20), opts...))
	h.SetHeaderLen(len(h))
	return h
}

func kinds(h wire.TCP) (ks []wire.TCPOptionKind, malformed bool) {
	it := wire.TCPOptions(h.Options())
	for o := (wire.TCPOption{}); it.Next(&o); {
		ks = append(ks, o.Kind)
	}
	return ks, it.Malformed()
}

func TestTCPOptions(t *testing.T) {
	type k = []wire.TCPOptionKind
	for _, tt := range []struct {
		name      string
		opts      []byte
		want      k
		malformed bool
	}{
		{"none", nil, nil, false},
		{"NOPs only", []byte{1, 1, 1, 1}, nil, false},
		{"end hides what follows", []byte{2, 4, 5, 180, 0, 3, 3, 7}, k{wire.OptMSS}, false},
		{"NOP between", []byte{1, 3, 3, 7, 1, 1, 4, 2}, k{wire.OptWindowScale, wire.OptSACKPermitted}, false},
		{"unknown kinds are skipped", []byte{253, 4, 1, 2, 4, 2}, k{253, wire.OptSACKPermitted}, false},
		{"length 0", []byte{2, 0, 5, 180}, nil, true},
		{"length 1", []byte{4, 2, 2, 1}, k{wire.OptSACKPermitted}, true},
		{"beyond the end", []byte{8, 10, 0, 0}, nil, true},
		{"kind without length", []byte{1, 1, 1, 8}, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, malformed := kinds(header(tt.opts...))
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.malformed, malformed)
		})
	}
}

func TestTCPOptionsOfWrongLengthAreNone(t *testing.T) {
	for _, o := range []wire.TCPOption{
		{Kind: wire.OptMSS, Data: []byte{1}},
		{Kind: wire.OptMSS, Data: []byte{1, 2, 3}},
		{Kind: wire.OptWindowScale},
		{Kind: wire.OptSACKPermitted, Data: []byte{1}},
		{Kind: wire.OptTimestamps, Data: make([]byte, 7)},
		{Kind: wire.OptSACK, Data: make([]byte, 7)},
		{Kind: wire.OptSACK, Data: make([]byte, 40)},
	} {
		_, mss := o.MSS()
		_, scale := o.WindowScale()
		_, _, ts := o.Timestamps()
		_, blocks := o.SACKBlocks()
		require.False(t, mss || scale || ts || o.SACKPermitted() || blocks > 0, "%v", o)
	}
}

func TestSACKBlocks(t *testing.T) {
	h := header(1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 9)
	it := wire.TCPOptions(h.Options())
	var o wire.TCPOption
	require.True(t, it.Next(&o))
	b, n := o.SACKBlocks()
	require.Equal(t, 2, n)
	require.Equal(t, []wire.SACKBlock{{Left: 1, Right: 2}, {Left: 0xffffffff, Right: 9}}, b[:n])
}

func TestTimestamps(t *testing.T) {
	for name, h := range map[string]wire.TCP{
		"as all stacks write it": header(1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9),
		"in another place":       header(8, 10, 0, 0, 0, 7, 0, 0, 0, 9, 1, 1),
		"behind another option":  header(4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9),
	} {
		v, e, ok := h.Timestamps()
		require.True(t, ok, name)
		require.Equal(t, []uint32{7, 9}, []uint32{v, e}, name)
	}
	for name, h := range map[string]wire.TCP{
		"none":           header(),
		"wrong length":   header(1, 1, 8, 9, 0, 0, 0, 7, 0, 0, 0, 9),
		"behind the end": header(0, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9),
	} {
		_, _, ok := h.Timestamps()
		require.False(t, ok, name)
	}
}

func TestWindowScaleIsCapped(t *testing.T) {
	require.Equal(t, int8(14), header(3, 3, 200).SynOptions().WindowScale)
	require.Equal(t, int8(-1), header().SynOptions().WindowScale)
	require.Equal(t, int8(3), header(3, 3, 3, 3, 3, 9).SynOptions().WindowScale, "the first counts")
}

// FuzzTCPOptions reads options beside gopacket: what it makes of well-formed ones
// we must too.
func FuzzTCPOptions(f *testing.F) {
	f.Add([]byte{2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, opts []byte) {
		h := header(opts[:min(len(opts), 40)]...)
		if !h.Valid() {
			t.Fatal("a header with 40 bytes of options is valid")
		}
		var got []wire.TCPOption
		it := wire.TCPOptions(h.Options())
		for o := (wire.TCPOption{}); it.Next(&o); {
			got = append(got, o)
			o.SACKBlocks()
		}
		h.SynOptions()
		h.Timestamps()

		var tcp layers.TCP
		if tcp.DecodeFromBytes(h, gopacket.NilDecodeFeedback) != nil {
			return
		}
		var want []wire.TCPOption
		for _, o := range tcp.Options {
			if o.OptionType > layers.TCPOptionKindNop {
				want = append(want, wire.TCPOption{Kind: wire.TCPOptionKind(o.OptionType), Data: o.OptionData})
			}
		}
		require.Equal(t, len(want), len(got), "% x: %v", []byte(h.Options()), tcp.Options)
		for i := range want {
			require.Equal(t, want[i].Kind, got[i].Kind)
			require.Equal(t, string(want[i].Data), string(got[i].Data))
		}
	})
}
