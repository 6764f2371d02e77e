package corundum_test

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/corundum"
)

// The vectors of Microsoft's "Verifying the RSS Hash Calculation".
var suite = []struct {
	dst, src string
	ip, tcp  uint32
}{
	{dst: "161.142.100.80:1766", src: "66.9.149.187:2794", ip: 0x323e8fc2, tcp: 0x51ccc178},
	{dst: "65.69.140.83:4739", src: "199.92.111.2:14230", ip: 0xd718262a, tcp: 0xc626b0ea},
	{dst: "12.22.207.184:38024", src: "24.19.198.95:12898", ip: 0xd2d0a5de, tcp: 0x5c2b394a},
	{dst: "209.142.163.6:2217", src: "38.27.205.30:48228", ip: 0x82989176, tcp: 0xafc7327f},
	{dst: "202.188.127.2:1303", src: "153.39.163.191:44251", ip: 0x5d1809c5, tcp: 0x10e828a2},
	{dst: "[3ffe:2501:200:3::1]:1766", src: "[3ffe:2501:200:1fff::7]:2794", ip: 0x2cc18cd5, tcp: 0x40207d3d},
	{dst: "[ff02::1]:4739", src: "[3ffe:501:8::260:97ff:fe40:efab]:14230", ip: 0x0f0c461c, tcp: 0xdde51bbf},
	{dst: "[fe80::200:f8ff:fe21:67cf]:38024", src: "[3ffe:1900:4545:3:200:f8ff:fe21:67cf]:44251", ip: 0x4b61e985, tcp: 0x02d1feef},
}

func TestToeplitzVerificationSuite(t *testing.T) {
	for _, v := range suite {
		dst, src := netip.MustParseAddrPort(v.dst), netip.MustParseAddrPort(v.src)
		data := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
		require.Equal(t, v.ip, corundum.Toeplitz(&corundum.DefaultKey, data), v.dst)
		data = binary.BigEndian.AppendUint16(data, src.Port())
		data = binary.BigEndian.AppendUint16(data, dst.Port())
		require.Equal(t, v.tcp, corundum.Toeplitz(&corundum.DefaultKey, data), "%s with ports", v.dst)
	}
}

// frame is an Ethernet frame of n bytes with the addresses of the suite's first
// row; ihl and proto are the IPv4 header's.
func frame(etherType uint16, ihl, proto byte, n int) []byte {
	b := make([]byte, max(n, 64))
	binary.BigEndian.PutUint16(b[12:], etherType)
	b[14], b[23] = 0x40|ihl, proto
	copy(b[26:], []byte{66, 9, 149, 187, 161, 142, 100, 80})
	binary.BigEndian.PutUint16(b[34:], 2794)
	binary.BigEndian.PutUint16(b[36:], 1766)
	return b[:n]
}

func TestHashOfFrames(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame []byte
		hash  uint32
		kind  corundum.Kind
	}{
		{"TCP", frame(0x0800, 5, 6, 60), 0x51ccc178, corundum.Ports},
		{"UDP", frame(0x0800, 5, 17, 60), 0x51ccc178, corundum.Ports},
		{"ICMP: addresses alone", frame(0x0800, 5, 1, 60), 0x323e8fc2, corundum.Addrs},
		{"TCP after options: addresses alone", frame(0x0800, 6, 6, 60), 0x323e8fc2, corundum.Addrs},
		{"IPv6 is not hashed", frame(0x86dd, 0, 0, 60), 0, corundum.Late},
		{"ARP", frame(0x0806, 0, 0, 60), 0, corundum.Other},
		{"cut before the EtherType", frame(0x0800, 5, 6, 13), 0, corundum.Late},
		{"cut in the addresses", frame(0x0800, 5, 1, 33), 0, corundum.Late},
		{"cut in the ports", frame(0x0800, 5, 6, 37), 0, corundum.Late},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hash, kind := corundum.Hash(&corundum.DefaultKey, tt.frame)
			require.Equal(t, tt.hash, hash)
			require.Equal(t, tt.kind, kind)
		})
	}
}
