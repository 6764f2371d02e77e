package parser_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/parser"
	"github.com/meshnic/meshnic/datapath/wire"
)

func TestGraphIsData(t *testing.T) {
	// 0x9100 is a tag too, on this card; and nobody here speaks UDP.
	g := parser.DefaultGraph()
	g[0].Next[0x9100] = "vlan"
	delete(g[4].Next, uint16(wire.ProtoUDP))
	x, err := parser.NewGraph(parser.Config{}, g)
	require.NoError(t, err)

	p := &datapath.Packet{Data: Eth().Tag(0x9100, 9).EtherType(0x9100)}
	p.Data = Eth().VLAN(9).IPv4(src4, dst4).TCP(1, 2, "S").Patch(12, 0x91, 0x00)
	require.Equal(t, datapath.Continue, x.Process(0, p))
	require.True(t, p.PHV.Has(datapath.HdrVLAN|datapath.HdrTCP))
	require.Equal(t, uint16(9), p.PHV.VLAN)

	p.Data = udp4()
	x.Process(0, p)
	require.False(t, p.PHV.Has(datapath.HdrUDP))
	require.Equal(t, wire.ProtoUDP, p.PHV.Proto)
	require.Equal(t, uint32(13), p.PHV.PayloadLen)
}

func TestGraphErrors(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(g parser.Graph) parser.Graph
		want string
	}{
		{"empty", func(g parser.Graph) parser.Graph { return nil }, "0 states"},
		{"start", func(g parser.Graph) parser.Graph { return g[1:] }, "the start must extract Ethernet"},
		{"name taken", func(g parser.Graph) parser.Graph { g[2].Name = "vlan"; return g }, "taken"},
		{"unknown state", func(g parser.Graph) parser.Graph { g[0].Next[1] = "ipx"; return g }, `no state "ipx"`},
		{"behind an end", func(g parser.Graph) parser.Graph { g[3].Next = map[uint16]string{1: "ipv4"}; return g }, "nothing can follow"},
		{"TCP behind Ethernet", func(g parser.Graph) parser.Graph { g[0].Next[1] = "tcp"; return g }, "cannot follow"},
		{"ICMPv6 behind IPv4", func(g parser.Graph) parser.Graph { g[4].Next[58] = "icmpv6"; return g }, "cannot follow"},
		{"start again", func(g parser.Graph) parser.Graph { g[4].Next[97] = "ethernet"; return g }, "cannot follow"},
		{"Ethernet in Ethernet", func(g parser.Graph) parser.Graph { g[5].Extract = parser.ExtractEthernet; return g }, "header 0"},
		{"wide protocol", func(g parser.Graph) parser.Graph { g[4].Next[256] = "tcp"; return g }, "8 bits"},
		{"tags without end", func(g parser.Graph) parser.Graph { g[1].Next[0x8100] = "vlan"; return g }, "follow itself"},
		{"no such header", func(g parser.Graph) parser.Graph { g[3].Extract = 99; return g }, "header 99"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parser.NewGraph(parser.Config{}, tt.edit(parser.DefaultGraph()))
			require.ErrorContains(t, err, tt.want)
			require.True(t, strings.HasPrefix(err.Error(), "parser: "), err.Error())
		})
	}
}

func TestManyEtherTypesKeepApart(t *testing.T) {
	g := parser.DefaultGraph()
	for v := uint16(0x9000); v < 0x9010; v++ {
		g[0].Next[v] = "vlan"
	}
	x, err := parser.NewGraph(parser.Config{}, g)
	require.NoError(t, err)
	for v := range 1 << 16 {
		p := &datapath.Packet{Data: Eth().VLAN(9).EtherType(0).Patch(12, byte(v>>8), byte(v)).Pad(60)}
		x.Process(0, p)
		tag := v == 0x8100 || v == 0x88a8 || v >= 0x9000 && v < 0x9010
		require.Equal(t, tag, p.PHV.Has(datapath.HdrVLAN), "%#x", v)
	}
}

func TestDot(t *testing.T) {
	dot := parser.DefaultGraph().Dot()
	require.Contains(t, dot, "\tipv4 -> tcp [label=\"0x6\"]\n")
	require.Contains(t, dot, "\tethernet -> vlan [label=\"0x8100\"]\n")
	require.Equal(t, dot, parser.DefaultGraph().Dot(), "the same each time")
}
