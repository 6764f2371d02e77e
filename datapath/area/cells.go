package area

import "math"

// Rules, with their sources.
const (
	ruleSlice = "register slice: a flip-flop a bit and place; skid: half to one LUT a bit for its multiplexer (two functions of 5 inputs a LUT, AMD UG574)"
	ruleRAM   = "memory: the better of 512x36 ... 16Kx1 in halves of a block RAM, to 512x72 throughout (AMD UG573); up to 64 words also in LUTs, 7 bits of 64 words in 8 of them (AMD UG574)"
	ruleFIFO  = "FIFO: 3 to 8 counters of its address, a register a bit for each stage behind the memory"
	ruleGray  = "clock crossing: 4 to 8 Gray-coded pointers, two to three flip-flops a bit each"
	ruleMux   = "multiplexer: 4 inputs a LUT, 8 or 16 with the slice's own multiplexers at best (AMD UG574)"
	ruleShift = "shift register: 32 places a LUT (SRL32, AMD UG574)"
	ruleAlign = "realignment by a constant: one word kept, up to 2 LUTs a bit"
	ruleLogic = "control and arithmetic beyond the registers: no source, unknown"
	ruleNone  = "no source for this logic: unknown"
	ruleCRC   = "CRC of n bits in parallel: the sum of half of n + 32 bits for each of 32, 5 inputs a LUT for the low end, without any shared for the high (by construction)"
	ruleHash  = "Toeplitz: 32 sums of 288 bits of header, each with a bit of the key: 3 a LUT and a tree of 6 (by construction; constant keys need less)"
	ruleSum   = "checksum: a tree of 16-bit adders over the word, one LUT a bit, and one to two flip-flops (by construction)"
	ruleHeap  = "hash table: key, 64 bits of action and a valid bit an entry, filled to between a half and all (by construction)"
	ruleTrie  = "LPM: at least 32 bits an entry; the trie depends on the prefixes"
	ruleTCAM  = "ternary: 8 entries of 5 bits in 4 LUTs (FracTCAM, IEEE TVLSI 2020) to 2 bits a LUT (SRL16, AMD XAPP1151); 1 LUT an entry for the priority, 1 a chunk for the match"
	ruleMem   = "memory controller not counted: a part of the card's shell"
	rulePCIe  = "PCIe block and DMA control: no source, unknown; only the buffers are counted"
	ruleMAC   = "MAC and PCS of 100G are a hard block (AMD PG203); 10G and 25G are soft, their size is in the vendor's table for the version used: unknown"
)

func exactly(v float64) Range { return Range{Lo: v, Hi: v} }

func up(v float64) float64 { return math.Ceil(v) }

func address(words float64) float64 { return max(1, up(math.Log2(max(2, words)))) }

// beat is the bits of a beat on a bus of width bits: data, keep and last; then
// user, and at most 8 of id and 8 of destination.
func beat(width float64) Range {
	b := width + 1
	if width > 8 {
		b += width / 8
	}
	return Range{Lo: b, Hi: b + 17}
}

// slice is a register with so many places: 1 or 2.
func slice(bits Range, places float64) Estimate {
	e := Estimate{FF: bits.Times(places).Plus(exactly(places + 1)), Rules: []string{ruleSlice}}
	e.LUT = Range{Lo: 1, Hi: 4}
	if places > 1 {
		e.LUT = Range{Lo: bits.Lo / 2, Hi: bits.Hi + 8}
	}
	return e
}

// ram is a memory of so many words with one write and one read port.
func ram(words float64, bits Range) Estimate {
	best := math.Inf(1)
	for d, w := 512.0, 36.0; w >= 1; d, w = d*2, w/2 {
		best = min(best, up(bits.Lo/math.Floor(w))*up(words/d)/2)
	}
	e := Estimate{BRAM: Range{Lo: best, Hi: up(bits.Hi/72) * up(words/512)}, Rules: []string{ruleRAM}}
	if words <= 64 {
		e.BRAM.Lo = 0
		e.LUT.Hi = up(bits.Hi/7) * 8
	}
	return e
}

// fifo is a memory with pointers and so many registers behind it.
func fifo(words float64, bits Range, registers float64) Estimate {
	a := address(words) + 1
	e := ram(words, bits)
	e.LUT = e.LUT.Plus(Range{Lo: 3 * a, Hi: 8*a + 16})
	e.FF = Range{Lo: 3*a + max(0, registers-1)*bits.Lo, Hi: 8*a + 8 + (registers+1)*bits.Hi}
	e.Rules = append(e.Rules, ruleFIFO)
	return e
}

// crossing is what a FIFO between two clocks has beyond one in one clock.
func crossing(words float64) Estimate {
	a := address(words) + 1
	return Estimate{LUT: Range{Lo: 2 * a, Hi: 6 * a}, FF: Range{Lo: 4 * 2 * a, Hi: 8 * 3 * a}, Rules: []string{ruleGray}}
}

// mux is a multiplexer of n inputs.
func mux(n float64, bits Range) Estimate {
	if n < 2 {
		return Estimate{}
	}
	return Estimate{LUT: Range{Lo: bits.Lo * max(0.5, up(n/4)/2), Hi: bits.Hi * up((n-1)/3)}, Rules: []string{ruleMux}}
}

// logic is what is not known of a module beyond what is counted.
func logic(rule string) Estimate {
	return Estimate{LUT: unknown, FF: unknown, Rules: []string{rule}}
}

// times is n of e.
func (e Estimate) times(n float64) Estimate {
	e.LUT, e.FF, e.BRAM = e.LUT.Times(n), e.FF.Times(n), e.BRAM.Times(n)
	return e
}

func sum(parts ...Estimate) (e Estimate) {
	for _, p := range parts {
		e = e.Plus(p)
	}
	return e
}
