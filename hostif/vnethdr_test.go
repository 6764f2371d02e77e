package hostif

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVnetHdr(t *testing.T) {
	frame := make([]byte, 200)
	frame[34+12] = 8 << 4 // TCP header of 32 bytes
	for _, o := range []Offload{
		{},
		{CsumPartial: true, CsumStart: 34, CsumOffset: 16},
		{CsumPartial: true, CsumStart: 34, CsumOffset: 16, GSO: GSOTCPv4 | GSOECN, GSOSize: 100, HdrLen: 66},
		{CsumPartial: true, CsumStart: 54, CsumOffset: 6, GSO: GSOUDPL4, GSOSize: 100, HdrLen: 62},
	} {
		hdr := make([]byte, VnetHdrLen)
		PutVnetHdr(hdr, &o)
		if o.GSO != GSONone {
			hdr[2], hdr[3] = 0xff, 0xff // the kernel's hint does not count
		}
		got, err := ParseVnetHdr(hdr, frame)
		require.NoError(t, err)
		require.Equal(t, o, got)
	}
}

func TestVnetHdrRefuses(t *testing.T) {
	for name, o := range map[string]Offload{
		"checksum past the end": {CsumPartial: true, CsumStart: 190, CsumOffset: 9},
		"unknown segmentation":  {GSO: 2, GSOSize: 5},
		"segments of nothing":   {GSO: GSOTCPv4},
		"headers past the end":  {GSO: GSOTCPv4, GSOSize: 5, HdrLen: 201},
	} {
		hdr := make([]byte, VnetHdrLen)
		PutVnetHdr(hdr, &o)
		_, err := ParseVnetHdr(hdr, make([]byte, 200))
		require.Error(t, err, name)
	}
}

func FuzzVnetHdr(f *testing.F) {
	f.Add(make([]byte, VnetHdrLen), make([]byte, 60))
	f.Fuzz(func(t *testing.T, hdr, frame []byte) {
		if len(hdr) < VnetHdrLen {
			return
		}
		o, err := ParseVnetHdr(hdr, frame)
		if err != nil {
			return
		}
		again := make([]byte, VnetHdrLen)
		PutVnetHdr(again, &o)
		o2, err := ParseVnetHdr(again, frame)
		require.NoError(t, err)
		require.Equal(t, o, o2)
	})
}
