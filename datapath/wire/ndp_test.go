package wire_test

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
)

var ndpTarget = [16]byte{0xfd, 15: 0x77}

// gopacket reads what is made here, and what gopacket makes is read here.
func TestNDP(t *testing.T) {
	mac := wire.MAC{2, 3, 4, 5, 6, 7}
	b := wire.AppendNDP(nil, wire.NeighbourAdvertisement, wire.NDPSolicited|wire.NDPOverride, ndpTarget, wire.NDPTargetLink, mac)
	require.True(t, wire.NDP(b).Valid())
	p := gopacket.NewPacket(b, layers.LayerTypeICMPv6, gopacket.Default)
	a, ok := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	require.True(t, ok, "%v", p)
	require.True(t, a.Solicited() && a.Override() && !a.Router())
	require.Equal(t, ndpTarget[:], []byte(a.TargetAddress))
	require.Equal(t, mac[:], a.Options[0].Data)

	buf := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{},
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)},
		&layers.ICMPv6NeighborSolicitation{TargetAddress: ndpTarget[:], Options: layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: mac[:]}}}))
	s := wire.NDP(buf.Bytes())
	require.True(t, s.Valid())
	require.Equal(t, ndpTarget, s.Target())
	got, ok := s.Link(wire.NDPSourceLink)
	require.True(t, ok)
	require.Equal(t, mac, got)
	_, ok = s.Link(wire.NDPTargetLink)
	require.False(t, ok)
}

func TestSolicitedNode(t *testing.T) { // the example of RFC 4291 §2.7.1
	ip, mac := wire.SolicitedNode([16]byte{0x40, 0x37, 12: 0x01, 0x0e, 0x8c, 0x6c})
	require.Equal(t, "ff02::1:ff0e:8c6c", wire.FormatIP(ip))
	require.Equal(t, wire.MAC{0x33, 0x33, 0xff, 0x0e, 0x8c, 0x6c}, mac)
}

// What is valid can be read, and its options lie in it.
func FuzzNDP(f *testing.F) {
	f.Add(wire.AppendNDP(nil, wire.NeighbourSolicitation, 0, ndpTarget, wire.NDPSourceLink, wire.MAC{2}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h := wire.NDP(b)
		if !h.Valid() {
			return
		}
		target := h.Target()
		require.True(t, bytes.Contains(b, target[:]))
		for _, kind := range []wire.NDPOption{wire.NDPSourceLink, wire.NDPTargetLink} {
			m, ok := h.Link(kind)
			require.True(t, !ok || bytes.Contains(b, append([]byte{byte(kind), 1}, m[:]...)))
		}
	})
}
