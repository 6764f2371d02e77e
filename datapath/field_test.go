package datapath_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/wire"
)

// What is set is read back and marked; what cannot be set changes nothing.
func TestSetField(t *testing.T) {
	v4 := Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "S")
	v6 := Eth().IPv6("2001:db8::1", "2001:db8::2").UDP(1, 2)
	arp := Eth().ARP(1, DefaultSrc, "10.0.0.1", DefaultDst, "10.0.0.2")
	ip := func(s string) datapath.Value { return datapath.IPValue(IP(s)) }
	for _, tt := range []struct {
		name  string
		frame Frame
		field datapath.Field
		value datapath.Value
		ok    bool
	}{
		{"in_port", v4, datapath.FieldInPort, datapath.Uint(1), false},
		{"headers", v4, datapath.FieldHeaders, datapath.Uint(1), false},
		{"ether_type", v4, datapath.FieldEtherType, datapath.Uint(1), false},
		{"proto", v4, datapath.FieldProto, datapath.Uint(1), false},
		{"unknown", v4, datapath.NumFields, datapath.Uint(1), false},
		{"eth_dst", arp, datapath.FieldEthDst, datapath.MACValue(MAC("02:11:22:33:44:55")), true},
		{"eth_src", arp, datapath.FieldEthSrc, datapath.MACValue(MAC("02:11:22:33:44:55")), true},
		{"eth_dst, 49 bits", arp, datapath.FieldEthDst, datapath.Uint(1 << 48), false},
		{"vlan", v4, datapath.FieldVLAN, datapath.Uint(4095), true},
		{"vlan, 13 bits", v4, datapath.FieldVLAN, datapath.Uint(4096), false},
		{"ip_src", v4, datapath.FieldIPSrc, ip("1.2.3.4"), true},
		{"ip_dst", v6, datapath.FieldIPDst, ip("fe80::1"), true},
		{"IPv6 address on IPv4", v4, datapath.FieldIPDst, ip("fe80::1"), false},
		{"mapped address on IPv6", v6, datapath.FieldIPDst, ip("1.2.3.4"), true},
		{"ip_dst on ARP", arp, datapath.FieldIPDst, ip("1.2.3.4"), false},
		{"ttl", v6, datapath.FieldTTL, datapath.Uint(255), true},
		{"src_port", v6, datapath.FieldSrcPort, datapath.Uint(65535), true},
		{"dst_port", v4, datapath.FieldDstPort, datapath.Uint(7), true},
		{"dst_port on ARP", arp, datapath.FieldDstPort, datapath.Uint(7), false},
		{"tcp_flags", v4, datapath.FieldTCPFlags, datapath.Uint(uint64(wire.RST)), true},
		{"tcp_seq", v4, datapath.FieldTCPSeq, datapath.Uint(1<<32 - 1), true},
		{"tcp_seq, 33 bits", v4, datapath.FieldTCPSeq, datapath.Uint(1 << 32), false},
		{"tcp_ack", v4, datapath.FieldTCPAck, datapath.Uint(9), true},
		{"tcp_window", v4, datapath.FieldTCPWindow, datapath.Uint(9), true},
		{"tcp_window on UDP", v6, datapath.FieldTCPWindow, datapath.Uint(9), false},
		{"128 bits in 64", v4, datapath.FieldDstPort, datapath.Value{Hi: 1}, false},
	} {
		p := Packet(t, tt.frame)
		was := p.PHV
		require.Equal(t, tt.ok, p.SetField(tt.field, tt.value), tt.name)
		if !tt.ok {
			require.Equal(t, was, p.PHV, tt.name)
			continue
		}
		require.True(t, tt.field.Settable())
		require.Equal(t, tt.value, p.Field(tt.field), tt.name)
		require.Equal(t, datapath.FieldSet(0).Add(tt.field), p.PHV.Dirty, tt.name)
		require.True(t, p.PHV.Dirty.Has(tt.field))
	}
}

func TestFieldsReadThePHV(t *testing.T) {
	p := Packet(t, Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 2, "SA", Seq(3), Ack(4), Win(6)).TTL(7))
	p.In = 8
	for f, want := range map[datapath.Field]uint64{
		datapath.FieldInPort: 8, datapath.FieldHeaders: uint64(p.PHV.Headers), datapath.FieldEthDst: MAC(DefaultDst).Uint64(),
		datapath.FieldEthSrc: MAC(DefaultSrc).Uint64(), datapath.FieldEtherType: 0x800, datapath.FieldVLAN: 5,
		datapath.FieldIPSrc: 0xffff0a000001, datapath.FieldIPDst: 0xffff0a000002, datapath.FieldProto: 6, datapath.FieldTTL: 7,
		datapath.FieldSrcPort: 1, datapath.FieldDstPort: 2, datapath.FieldTCPFlags: 0x12, datapath.FieldTCPSeq: 3,
		datapath.FieldTCPAck: 4, datapath.FieldTCPWindow: 6,
	} {
		require.Equal(t, datapath.Uint(want), p.Field(f), f)
		require.True(t, p.Field(f).Fits(f.Bits()), f)
	}
	require.Zero(t, p.Field(datapath.NumFields))
	a := IP("2001:db8:1:2:3:4:5:6")
	require.Equal(t, a, datapath.IPValue(a).IP())
	require.True(t, datapath.IPValue(a).Fits(128))
	require.True(t, datapath.IPValue(a).Fits(126))
	require.False(t, datapath.IPValue(a).Fits(125))
}

// Every name is there and is its own: counters go by them.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for r := range datapath.NumDropReasons {
		require.NotEmpty(t, r.String())
		require.False(t, seen[r.String()], r)
		seen[r.String()] = true
	}
	for f := range datapath.NumFields {
		require.NotEmpty(t, f.String())
		require.False(t, seen[f.String()], f)
		seen[f.String()] = true
		require.NotZero(t, f.Bits())
	}
	for v := datapath.Continue; v <= datapath.Punt; v++ {
		require.False(t, seen[v.String()])
		seen[v.String()] = true
	}
	require.Equal(t, "unknown", datapath.NumDropReasons.String())
	require.Equal(t, "unknown", datapath.NumFields.String())
	require.Equal(t, "unknown", datapath.Verdict(9).String())
}

func TestPortSet(t *testing.T) {
	s := datapath.PortSet(0).Add(0).Add(63)
	require.True(t, s.Has(63) && s.Has(0) && !s.Has(1))
	require.Equal(t, datapath.PortSet(1), s.Remove(63))
	require.Equal(t, s, s.Remove(5))
}
