package splice

import "github.com/meshnic/meshnic/datapath/wire"

// translate fills in what h says to the peer of to, of a segment that came from
// the peer of from: what acknowledges m, a message the other way, is translated.
func (e *Engine) translate(s *segment, from, to *conn, m *message, h *header) {
	h.ack = to.acked
	ack, window := s.ack, s.window
	if ack.Before(from.sndUna) { // another has overtaken it
		ack, window = from.sndUna, from.window
	}
	edge := ack + wire.Seq(window)
	if m.begun {
		h.ack = h.ack.Max(m.sent(ack))
		edge = m.back(edge)
	} else {
		edge = h.ack + wire.Seq(max(window, uint32(to.mss))) // a head is taken here, whatever room there is for it
	}
	to.acked = h.ack
	h.window = scaled(h.ack.Distance(edge), to.rcvScale)
	to.told = h.window
	h.sacks = e.blocks[:0]
	if to.has(flagSACK) && m.begun {
		for _, b := range s.sacks[:s.nsacks] {
			if body := m.out.Add(m.headOut); b.Left.Before(body) {
				b.Left = body
			}
			if b.Left, b.Right = m.back(b.Left), m.sent(b.Right); b.Right.After(b.Left) {
				h.sacks = append(h.sacks, b)
			}
		}
		if to.has(flagTimestamps) && len(h.sacks) > 3 {
			h.sacks = h.sacks[:3] // 40 bytes of options
		}
	}
	if !to.has(flagTimestamps) {
		return
	}
	h.tsVal, h.tsEcr = e.clockFor(to), to.tsRecent
	if s.ts && from.has(flagTimestamps) {
		if !from.has(flagMapped) {
			from.flags |= flagMapped
			from.tsDelta = h.tsVal - s.tsVal
			from.tsFirst = h.tsVal
		}
		h.tsVal = s.tsVal + from.tsDelta
		if to.has(flagMapped) && int32(s.tsEcr-to.tsFirst) >= 0 && int32(from.tsSent-s.tsEcr) >= 0 {
			h.tsEcr = s.tsEcr - to.tsDelta
		}
	}
	if int32(h.tsVal-to.tsSent) > 0 {
		to.tsSent = h.tsVal
	}
}

// scaled is a window of so many bytes as it stands in a header.
func scaled(bytes int, shift uint8) uint16 {
	return uint16(min(max(bytes, 0)>>shift, 65535))
}
