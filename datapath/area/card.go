package area

// pipe is a pipeline of so many stages that may hold head bytes: its data waits
// in registers at most, in shift registers at least.
func pipe(a args, stages, head float64) Estimate {
	if l := a.or("LATENCY", 0); l > 0 {
		stages = l
	}
	b := bus(a)
	n := stages + max(1, up(head*8/a.or("DATA_WIDTH", 64)))
	return Estimate{LUT: Range{Lo: b.Lo * up(n/32), Hi: b.Hi*up(n/16) + 64}, FF: Range{Lo: b.Lo, Hi: b.Hi * n}, Rules: []string{ruleShift}}
}

func macRx(a args) Estimate {
	e := logic(ruleMAC)
	width := a.or("DATA_WIDTH", 64)
	return e.Plus(fifo(a.or("RX_FIFO_DEPTH", 16384)*8/width, beat(width), 1))
}

// action is the bits of an entry's answer.
const action = 64

// ternary is a table of so many entries with keys of so many bits.
func ternary(entries, key float64) Estimate {
	chunks := up(key / 5)
	return sum(Estimate{
		LUT:   Range{Lo: entries * chunks / 2, Hi: entries*(up(key/2)+up(chunks/5)) + entries},
		FF:    Range{Lo: entries, Hi: entries * (2 + chunks)},
		Rules: []string{ruleTCAM},
	}, ram(entries, exactly(action)))
}

func matchAction(a args) Estimate {
	entries, key := a.or("ENTRIES", 4096), a.or("KEY_BITS", 128)
	switch a.or("KIND", 0) {
	case 1:
		levels := up(key / a.or("STRIDE", 8))
		return sum(pipe(a, 3+2*levels, 0), Estimate{
			BRAM: Range{Lo: up(entries * 32 / 36864), Open: true}, LUT: unknown, FF: unknown, Rules: []string{ruleTrie},
		})
	case 2:
		return sum(pipe(a, 7, 0), ternary(entries, key))
	}
	bits := exactly(key + action + 1)
	table := ram(entries, bits)
	table.BRAM.Hi = ram(2*entries, bits).BRAM.Hi
	table.Rules = append(table.Rules, ruleHeap)
	return sum(pipe(a, 5, 0), table, Estimate{LUT: Range{Lo: key / 3, Hi: 4 * key}, FF: Range{Lo: key, Hi: 4 * key}})
}

func tracker(a args) Estimate {
	// The flows' state lies in the card's memory or in block RAM: not counted.
	return sum(pipe(a, 1, 0), logic(ruleMem))
}

func scanner(a args) Estimate {
	width := a.or("DATA_WIDTH", 64)
	return sum(fifo((a.or("HEAD_MAX", 61440)+a.or("BUFFER", 2048))*8/width, beat(width), 1), logic(ruleLogic))
}

func dma(a args) Estimate {
	width := a.or("DATA_WIDTH", 512)
	return sum(
		ram(a.or("BUFFER", 1<<17)*8/width, beat(width)),
		ram(a.or("DESCRIPTORS", 1024), exactly(8*a.or("DESC_BYTES", 16))),
		logic(rulePCIe),
	)
}

// table is a table that is on the chip if its MEMORY says so, in block RAM at most.
func table(a args, entries, bytes float64) Estimate {
	e := pipe(a, 6, 0).Plus(logic(ruleLogic))
	switch m := a.or("MEMORY", 3); {
	case m == 0, m == 3 && entries*bytes <= a.or("ONCHIP_KIB", 16384)*1024:
		return e.Plus(ram(entries, exactly(8*bytes)))
	}
	return e.Plus(logic(ruleMem))
}
