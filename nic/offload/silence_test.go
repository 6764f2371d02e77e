package offload_test

import (
	"time"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// patience is longer than TCP may wait before it sends again what is not
// acknowledged: gVisor's longest retransmission timeout is 2 min.
const patience = 130 * time.Second

// silences finds hosts that have sent what is not acknowledged and say nothing
// more. That is nobody's fault but theirs. gVisor does so where an acknowledgement
// lies within a segment of its, as it does wherever a head is of another length
// than what was put in its place: its count of segments under way then comes to 0,
// and with it the retransmission timer to rest.
type silences struct {
	flows map[stream]*outstanding
	found bool
}

// stream is the direction from a host.
type stream struct {
	host, peer         [16]byte
	hostPort, peerPort uint16
}

type outstanding struct {
	end, acked wire.Seq
	at         time.Duration // when it was last heard of
}

func (s *silences) check(f *outstanding, now time.Duration) {
	if f.end.After(f.acked) && now-f.at > patience {
		s.found = true
	}
}

// from notes a segment of a host's.
func (s *silences) from(now time.Duration, h *datapath.PHV) {
	if !h.Has(datapath.HdrTCP) {
		return
	}
	if s.flows == nil {
		s.flows = map[stream]*outstanding{}
	}
	key := stream{h.IPSrc, h.IPDst, h.SrcPort, h.DstPort}
	f := s.flows[key]
	if f == nil || h.TCPFlags.Has(wire.SYN) {
		f = &outstanding{end: h.TCPSeq, acked: h.TCPSeq, at: now}
		s.flows[key] = f
	}
	s.check(f, now)
	end := h.TCPSeq.Add(h.PayloadLen)
	if h.TCPFlags.Has(wire.FIN) || h.TCPFlags.Has(wire.SYN) {
		end++
	}
	if f.at = now; h.TCPFlags.Has(wire.RST) {
		end = f.acked
	}
	f.end = f.end.Max(end)
}

// to notes a segment to a host.
func (s *silences) to(now time.Duration, h *datapath.PHV) {
	f := s.flows[stream{h.IPDst, h.IPSrc, h.DstPort, h.SrcPort}]
	if f == nil {
		return
	}
	s.check(f, now)
	if h.TCPFlags.Has(wire.ACK) {
		f.acked = f.acked.Max(h.TCPAck)
	}
}
