package xdp

import (
	"encoding/binary"

	"github.com/meshnic/meshnic/datapath/wire"
)

// finishSum finishes the L4 checksum of a received frame, if this link does so.
func (l *Link) finishSum(b []byte) {
	if l.finish {
		finishSum(b)
	}
}

// finishSum computes the TCP or UDP checksum of a frame whose field holds the
// sum of the pseudo-header, as a sender with checksum offload leaves it. Any
// other value stands, so that damage stays visible. (A finished sum may happen
// to look unfinished; then what is computed is the same sum again.) Sums inside
// tunnels, and SCTP's, are not finished.
func finishSum(b []byte) {
	l, ok := wire.FindL4(b)
	if !ok || l.Proto != wire.ProtoTCP && l.Proto != wire.ProtoUDP {
		return
	}
	if binary.BigEndian.Uint16(b[l.Off+l.SumOff:]) == l.Pseudo {
		wire.FillL4Checksum(b)
	}
}
