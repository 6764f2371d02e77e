package segment_test

import (
	"encoding/binary"
	"encoding/hex"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/wire"
	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/segment"
)

// super describes a superframe of a test.
type super struct {
	name    string
	gso     hostif.GSOType
	v6      bool // for UDP
	vlan    bool
	hopOpt  bool   // an IPv6 hop-by-hop header
	options []byte // of TCP
	flags   byte   // of TCP
	id      uint16 // IPv4 identification
	payload int
	mss     int
}

var (
	timestamps = []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2} // RFC 7323
	supers     = []super{
		{name: "TCPv4", gso: hostif.GSOTCPv4, flags: 0x10, payload: 4000, mss: 1448},
		{name: "TCPv4 with everything in its flags", gso: hostif.GSOTCPv4 | hostif.GSOECN, flags: 0xd9, payload: 4344, mss: 1448},
		{name: "TCPv4 with options", gso: hostif.GSOTCPv4, options: timestamps, flags: 0x18, payload: 65000, mss: 1448},
		{name: "TCPv4 whose identification wraps", gso: hostif.GSOTCPv4, flags: 0x10, id: 0xfffe, payload: 9001, mss: 1001},
		{name: "TCPv4 in a VLAN", gso: hostif.GSOTCPv4, vlan: true, flags: 0x18, payload: 5001, mss: 1400},
		{name: "TCPv6", gso: hostif.GSOTCPv6, flags: 0x19, payload: 7777, mss: 1428},
		{name: "TCPv6 with options", gso: hostif.GSOTCPv6, options: timestamps, flags: 0x10, payload: 60000, mss: 1000},
		{name: "TCPv6 behind a hop-by-hop header", gso: hostif.GSOTCPv6, hopOpt: true, flags: 0x18, payload: 3000, mss: 1300},
		{name: "UDPv4", gso: hostif.GSOUDPL4, payload: 5000, mss: 1200},
		{name: "UDPv6", gso: hostif.GSOUDPL4, v6: true, payload: 12345, mss: 1231},
		{name: "one byte over", gso: hostif.GSOTCPv4, flags: 0x18, payload: 1449, mss: 1448},
	}
)

// frame builds the superframe, its checksum field holding the pseudo-header's.
func (s super) frame() *hostif.Frame {
	b := hostiftest.Frame(5, 14).Data[:12]
	if s.vlan {
		b = append(b, 0x81, 0, 0x20, 7)
	}
	proto, l4len := byte(6), 20+len(s.options)+s.payload
	if s.gso == hostif.GSOUDPL4 {
		proto, l4len = 17, 8+s.payload
	}
	pseudo := uint32(int(proto) + l4len)
	if v6 := s.v6 || s.gso&^hostif.GSOECN == hostif.GSOTCPv6; v6 {
		b = append(b, 0x86, 0xdd)
		next, plen := proto, l4len
		if s.hopOpt {
			next, plen = 0, l4len+8
		}
		b = append(b, 0x61, 0x23, 0x45, 0x67, byte(plen>>8), byte(plen), next, 64)
		addrs := make([]byte, 32)
		addrs[0], addrs[15], addrs[16], addrs[31] = 0xfd, 1, 0xfd, 2
		b = append(b, addrs...)
		pseudo += uint32(hostiftest.Sum(0, addrs))
		if s.hopOpt {
			b = append(b, proto, 0, 1, 4, 0, 0, 0, 0) // PadN, RFC 8200 §4.2
		}
	} else {
		l3 := len(b) + 2
		b = append(b, 8, 0, 0x45, 0x02, byte((20+l4len)>>8), byte(20+l4len), byte(s.id>>8), byte(s.id), 0x40, 0, 63, proto, 0, 0)
		b = append(b, 192, 0, 2, 1, 198, 51, 100, 2)
		binary.BigEndian.PutUint16(b[l3+10:], ^hostiftest.Sum(0, b[l3:]))
		pseudo += uint32(hostiftest.Sum(0, b[l3+12:]))
	}
	l4 := len(b)
	sum := hostiftest.Sum(pseudo, nil)
	o := hostif.Offload{CsumPartial: true, CsumStart: uint16(l4), GSO: s.gso, GSOSize: uint16(s.mss)}
	if proto == 17 {
		b = append(b, 0x12, 0x34, 0, 53, byte(l4len>>8), byte(l4len), byte(sum>>8), byte(sum))
		o.CsumOffset = 6
	} else {
		b = append(b, 0x12, 0x34, 0, 80, 0xff, 0xff, 0xf0, 0, 0, 0, 0, 9, byte(20+len(s.options))/4<<4, s.flags, 1, 0, byte(sum>>8), byte(sum), 0, 0)
		b = append(b, s.options...)
		o.CsumOffset = 16
	}
	o.HdrLen = uint16(len(b))
	return &hostif.Frame{Data: append(b, hostiftest.Frame(77, 14+s.payload).Data[14:]...), Offload: o}
}

func finish(t *testing.T, f *hostif.Frame, mtu int) (out []*hostif.Frame) {
	t.Helper()
	require.NoError(t, segment.Finish(f, mtu, func(s *hostif.Frame) { out = append(out, s) }))
	return out
}

// The rules that hold without a kernel at hand: nothing of the payload is
// missing, every sum is right, sequence numbers follow, sizes fit.
func TestSegments(t *testing.T) {
	for _, s := range supers {
		t.Run(s.name, func(t *testing.T) {
			f := s.frame()
			hdr := int(f.Offload.HdrLen)
			before := f.Clone()
			segs := finish(t, f, 1500)
			require.Equal(t, before, f, "the superframe is changed")
			require.Len(t, segs, (s.payload+s.mss-1)/s.mss)
			var payload []byte
			for _, g := range segs {
				require.Equal(t, hostif.Offload{}, g.Offload)
				l, ok := wire.FindL4(g.Data)
				require.True(t, ok)
				require.Equal(t, len(g.Data), l.Off+l.Len)
				require.EqualValues(t, 0xffff, hostiftest.Sum(uint32(l.Pseudo), g.Data[l.Off:]))
				if s.gso != hostif.GSOUDPL4 {
					require.EqualValues(t, uint32(0xfffff000)+uint32(len(payload)), binary.BigEndian.Uint32(g.Data[l.Off+4:]), "sequence number")
				}
				payload = append(payload, g.Data[hdr:]...)
			}
			require.Equal(t, before.Data[hdr:], payload)
		})
	}
}

// Two segments of one superframe, computed by hand after RFC 791, 1071 and 9293.
func TestVector(t *testing.T) {
	f := &hostif.Frame{Offload: hostif.Offload{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSO: hostif.GSOTCPv4, GSOSize: 4, HdrLen: 54}}
	f.Data, _ = hex.DecodeString("020000000002" + "020000000001" + "0800" +
		"4500002e0001000040060000" + "0a000001" + "0a000002" + // 10.0.0.1 to 10.0.0.2, 46 bytes
		"03e80050" + "00000001" + "00000002" + "50190100" + "00000000" + // FIN, PSH, ACK
		"010203040506")
	segs := finish(t, f, 1500)
	require.Len(t, segs, 2)
	// IP words: 4500 002c 0001 0000 4006 [sum] 0a00 0001 0a00 0002 = 9936 -> ^ = 66c9
	// TCP words: 0a00 0001 0a00 0002 0006 0018 + 03e8 0050 0001 0002 5010 0100 + 0102 0304 = 6d72 -> ^ = 928d
	require.Equal(t, "4500002c00010000400666c90a0000010a000002"+
		"03e800500000000100000002"+"50100100"+"928d0000"+"01020304", hex.EncodeToString(segs[0].Data[14:]))
	// 4500 002a 0002 0000 4006 0a00 0001 0a00 0002 = 9935 -> 66ca
	// 0a00 0001 0a00 0002 0006 0016 + 03e8 0050 0005 0002 5019 0100 + 0506 = 6e7d -> ^ = 9182
	require.Equal(t, "4500002a00020000400666ca0a0000010a000002"+
		"03e800500000000500000002"+"50190100"+"91820000"+"0506", hex.EncodeToString(segs[1].Data[14:]))
}

func TestChecksumOnly(t *testing.T) {
	f := hostiftest.Unfinished(hostif.GSONone, 3, 333, 0)
	want := f.Clone()
	require.True(t, wire.FillL4Checksum(want.Data))
	out := finish(t, f, 1500)
	require.Len(t, out, 1)
	require.Same(t, f, out[0], "completed in place")
	require.Equal(t, want.Data, f.Data)
	require.Equal(t, hostif.Offload{}, f.Offload)

	require.Same(t, f, finish(t, f, 1500)[0], "a finished frame passes")
	require.Equal(t, want.Data, f.Data)
}

// A UDP sum of zero would mean that there is none.
func TestUDPSumOfZero(t *testing.T) {
	b := append(make([]byte, 12), 8, 0)
	b = append(b, 0x45, 0, 0, 30, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	b = append(b, 0, 1, 0, 2, 0, 10, 0, 0, 0, 0)
	pseudo := uint16(17 + 10)
	binary.BigEndian.PutUint16(b[40:], pseudo)
	binary.BigEndian.PutUint16(b[42:], ^(pseudo + 1 + 2 + 10)) // makes the sum 0xffff
	f := &hostif.Frame{Data: b, Offload: hostif.Offload{CsumPartial: true, CsumStart: 34, CsumOffset: 6}}
	finish(t, f, 0)
	require.EqualValues(t, 0xffff, binary.BigEndian.Uint16(f.Data[40:]))
}

func TestRefuses(t *testing.T) {
	for name, change := range map[string]func(f *hostif.Frame){
		"segments over the MTU":      func(f *hostif.Frame) { f.Offload.GSOSize = 1500 },
		"segments of nothing":        func(f *hostif.Frame) { f.Offload.GSOSize = 0 },
		"UDP fragmentation":          func(f *hostif.Frame) { f.Offload.GSO = hostif.GSOUDP },
		"UDP type on TCP":            func(f *hostif.Frame) { f.Offload.GSO = hostif.GSOUDPL4 },
		"IPv6 type on IPv4":          func(f *hostif.Frame) { f.Offload.GSO = hostif.GSOTCPv6 },
		"no payload":                 func(f *hostif.Frame) { f.Data = f.Data[:54]; binary.BigEndian.PutUint16(f.Data[16:], 40) },
		"a fragment":                 func(f *hostif.Frame) { f.Data[20] = 0x20 },
		"bytes behind the packet":    func(f *hostif.Frame) { f.Data = append(f.Data, 0) },
		"a length that lies":         func(f *hostif.Frame) { f.Data = f.Data[:100] },
		"TCP header behind the end":  func(f *hostif.Frame) { f.Data = f.Data[:50]; binary.BigEndian.PutUint16(f.Data[16:], 36) },
		"not IP":                     func(f *hostif.Frame) { f.Data[12] = 0x77 },
		"no frame":                   func(f *hostif.Frame) { f.Data = nil },
		"checksum field past an end": func(f *hostif.Frame) { f.Offload.GSO = 0; f.Offload.CsumOffset = 60000 },
	} {
		f := supers[0].frame()
		change(f)
		err := segment.Finish(f, 1500, func(*hostif.Frame) { t.Errorf("%s: emitted", name) })
		require.Error(t, err, name)
	}
}

func FuzzFinish(f *testing.F) {
	for _, s := range supers {
		x := s.frame()
		f.Add(x.Data[:min(len(x.Data), 200)], byte(x.Offload.GSO), uint16(40), x.Offload.CsumStart, x.Offload.CsumOffset, true)
	}
	f.Fuzz(func(t *testing.T, data []byte, gso byte, size, start, off uint16, partial bool) {
		fr := &hostif.Frame{Data: data, Offload: hostif.Offload{CsumPartial: partial, CsumStart: start, CsumOffset: off, GSO: hostif.GSOType(gso), GSOSize: size}}
		n := 0
		err := segment.Finish(fr, 1500, func(s *hostif.Frame) {
			n++
			if s.Offload != (hostif.Offload{}) {
				t.Fatal("unfinished")
			}
			if gso != 0 && !wire.L4ChecksumOK(s.Data) {
				t.Fatal("wrong sum")
			}
		})
		if err != nil && n > 0 {
			t.Fatal("emitted and failed")
		}
	})
}

func BenchmarkFinish64K(b *testing.B) {
	f := supers[2].frame()
	b.ReportAllocs()
	b.SetBytes(int64(len(f.Data)))
	for b.Loop() {
		if err := segment.Finish(f, 1500, func(*hostif.Frame) {}); err != nil {
			b.Fatal(err)
		}
	}
}
