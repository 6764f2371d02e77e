// Package ethernet is what lies between the line and the frames: XGMII MACs,
// and the stages that take Ethernet, IPv4 and UDP headers off frames or put
// them in front. Each stage holds the registers of the RTL it cites and loads
// them under the RTL's conditions, so that it moves beats in the same cycles
// under any traffic and any back-pressure.
//
// A stage that takes a header off hands it over on the side channel of its
// output wire; one that puts a header in front takes it from the side channel
// of its input. A header says how many bytes of payload belong to it, so length
// fields always agree with the stream: the RTL's handling of frames whose
// length field is wrong is not modelled, so nothing is trimmed, and a frame that a
// receive MAC had to cut, as nothing behind it was ready, must not reach the IP
// stages: put a FIFO that drops whole frames between.
//
// An XGMII wire (module.Port.XGMII) carries one beat for each word that holds
// part of a packet: the 8 bytes of preamble and SFD, the frame, the 4 bytes of
// FCS. The first word has First set and Lane the lane of START, the last Last
// and Lane the lane of TERMINATE; Bytes are the packet's bytes in the word, none
// if TERMINATE is in lane 0. A word with fewer bytes than its lanes would hold
// has error characters in their place. Such a wire is never told to wait.
package ethernet

import (
	"slices"

	"github.com/meshnic/meshnic/datapath/sim"
)

// source is where the cycles of this package's modules are from.
const source = "alexforencich/verilog-ethernet@77320a9471d1 rtl/"

// Bytes of headers and of what surrounds a frame on the line.
const (
	ethBytes      = 14
	ipBytes       = 20 // without options, as the RTL demands
	udpBytes      = 8
	preambleBytes = 8 // with START and SFD
	fcsBytes      = 4
)

// Modules are the modules of this package.
var Modules = slices.Concat(headerModules, lineModules, fifoModules)

// wide is a bus of 64 bits, the only width of the IP and UDP stages.
const wide = 8

// after writes to b what is left of save without its first n bytes.
func after(b, save *sim.Beat, n int) {
	b.Frame, b.Dest = save.Frame, save.Dest
	b.Off, b.Bytes, b.Left = save.Off+int32(n), save.Bytes-uint16(n), save.Left-uint16(n)
	b.Lane, b.Last, b.Bad = 0, save.Last, save.Bad
}

// joined writes to b the word that a shift by n bytes makes of the saved word
// and the first n bytes of the next.
func joined(b, save, next *sim.Beat, n int) {
	after(b, save, n)
	b.Bytes += min(next.Bytes, uint16(n))
	b.Last = ends(next, n)
	b.Bad = next.Bad && b.Last
}

// ends reports whether a frame ends with the first n bytes of b.
func ends(b *sim.Beat, n int) bool { return b.Last && int(b.Bytes) <= n }

// prepended writes to b the next n bytes of a frame that is a header of size
// bytes and a payload, of which sent bytes are gone.
func prepended(b *sim.Beat, h *sim.Header, size, sent, n int, last, bad bool) {
	b.Frame, b.Dest, b.Lane = h.Frame, h.Dest, 0
	b.Off, b.Bytes, b.Left = h.Off-int32(size)+int32(sent), uint16(n), h.Bytes+uint16(size)-uint16(sent)
	b.First, b.Last, b.Bad = sent == 0, last, bad
}
