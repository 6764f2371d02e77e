// Package tcp holds the TCP passthrough tracker: a stage that watches every
// connection and changes nothing. Per flow it keeps the state as the middle of
// the path sees it, bytes, segments, retransmissions, segments out of order, and
// the round-trip time on both sides of the card, measured from the segments
// themselves.
//
// # Words
//
// The client is who sent the first SYN, or the first segment the card saw
// (Flow.Midstream). The RTT of a side is from the card to that side's peer and
// back: from a segment that advances the side's sequence space to the first
// acknowledgement that covers it. Add both sides for the path's RTT.
//
//	retransmission  carries only bytes, or a SYN or FIN, that the card has seen before,
//	                or some of them
//	out of order    fills a hole: bytes behind it came first. Where several holes are open
//	                at once they count as one, from the first byte missing to the last
//	keep-alive      at most one byte, just below what has been acknowledged; counted apart
//	invalid         sequence or acknowledgement number 2^30 or more away from what the
//	                flow is at, a SYN inside an established flow, a RST outside the bytes in flight:
//	                counted as a segment, otherwise without effect
//
// Bytes are payload, retransmitted bytes included. A frame that stands for
// several segments (GSOSize > 0) counts as that many.
//
// # RTT
//
// One segment of each side is timed at a time. If anything up to it is sent
// again before it is acknowledged, the acknowledgement is ambiguous and no sample
// is taken (Karn), unless both carry timestamps and the echo says that the
// original was acknowledged (RFC 7323 §4). Segments behind a hole are not timed.
// SYN and FIN are timed like data, so that a handshake gives both sides a sample.
//
// # Full table, old flows
//
// The table is allocated in New and never grows. A new flow that finds it full
// takes the place of another: of the next 16 the closed or reset one, else the
// half-open one, else the one quiet for longest. Counters.Evicted counts them.
// Flows quiet for longer than their state's timeout go when Expire comes by, or
// when a SYN of the same addresses arrives. Every new flow also looks at two old
// ones, so that the table stays clean without calls of Expire.
//
// Not tracked, and counted as such: fragments, RST without a flow, and segments
// without ACK and SYN.
package tcp
