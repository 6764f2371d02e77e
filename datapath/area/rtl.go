package area

// rules are the estimates by module.
var rules = map[string]func(args) Estimate{
	"axis_register":           register,
	"axis_pipeline_register":  func(a args) Estimate { return register(a).times(a.or("LENGTH", 2)) },
	"axis_pipeline_fifo":      pipelineFIFO,
	"axis_srl_fifo":           srlFIFO,
	"axis_fifo":               func(a args) Estimate { return axisFIFO(a, a.or("DATA_WIDTH", 64)) },
	"axis_async_fifo":         func(a args) Estimate { return asyncFIFO(a, a.or("DATA_WIDTH", 64)) },
	"axis_fifo_adapter":       func(a args) Estimate { return axisFIFO(a, wider(a)).Plus(adapter(a)) },
	"axis_async_fifo_adapter": func(a args) Estimate { return asyncFIFO(a, wider(a)).Plus(adapter(a)) },
	"axis_adapter":            adapter,
	"axis_mux":                func(a args) Estimate { return sum(mux(a.or("S_COUNT", 4), bus(a)), slice(bus(a), 2)) },
	"axis_arb_mux":            arbMux,
	"axis_demux":              func(a args) Estimate { return sum(slice(bus(a), 2), control(a.or("M_COUNT", 4))) },
	"axis_broadcast":          func(a args) Estimate { return sum(slice(bus(a), 2), control(a.or("M_COUNT", 4))) },
	"replicator":              func(a args) Estimate { return sum(slice(bus(a), 2), control(a.or("M_COUNT", 2))) },
	"axis_switch":             axisSwitch,
	"axis_ram_switch":         ramSwitch,

	"eth_axis_rx":          func(a args) Estimate { return header(a.or("DATA_WIDTH", 64), 112) },
	"eth_axis_tx":          func(a args) Estimate { return header(a.or("DATA_WIDTH", 64), 112) },
	"ip_eth_rx_64":         func(args) Estimate { return header(64, 112+160).Plus(logic(ruleLogic)) },
	"ip_eth_tx_64":         func(args) Estimate { return header(64, 112+160).Plus(logic(ruleLogic)) },
	"udp_ip_rx_64":         func(args) Estimate { return header(64, 112+160+64).Plus(logic(ruleLogic)) },
	"udp_ip_tx_64":         func(args) Estimate { return header(64, 112+160+64).Plus(logic(ruleLogic)) },
	"udp_checksum_gen_64":  checksumGen,
	"axis_xgmii_rx_64":     func(args) Estimate { return xgmii(64) },
	"axis_xgmii_tx_64":     func(args) Estimate { return xgmii(64) },
	"axis_xgmii_rx_32":     func(args) Estimate { return xgmii(32) },
	"axis_xgmii_tx_32":     func(args) Estimate { return xgmii(32) },
	"eth_mac_10g(rx)":      func(a args) Estimate { return xgmii(a.or("DATA_WIDTH", 64)) },
	"eth_mac_10g(tx)":      func(a args) Estimate { return xgmii(a.or("DATA_WIDTH", 64)) },
	"eth_mac_10g_fifo(rx)": func(a args) Estimate { return macFIFO(a, "RX_FIFO_DEPTH") },
	"eth_mac_10g_fifo(tx)": func(a args) Estimate { return macFIFO(a, "TX_FIFO_DEPTH") },

	"rx_checksum":   func(a args) Estimate { return checksum(a.or("DATA_WIDTH", 256)) },
	"rx_hash":       func(args) Estimate { return toeplitz() },
	"tx_checksum":   func(a args) Estimate { return txChecksum(a.or("DATA_WIDTH", 256), a.or("DATA_FIFO_DEPTH", 4096)) },
	"mqnic_ingress": ingress,
	"mqnic_egress":  egress,
	"mqnic_port_rx": port,
	"mqnic_port_tx": port,

	"nf.input_arbiter":                  nfArbiter,
	"nf.nic_output_port_lookup":         func(a args) Estimate { return nfLookup(a, 0) },
	"nf.switch_lite_output_port_lookup": func(a args) Estimate { return nfLookup(a, a.or("C_LUT_DEPTH_BITS", 4)) },
	"nf.output_queues":                  nfQueues,

	"mac_rx":       macRx,
	"mac_tx":       func(args) Estimate { return logic(ruleMAC) },
	"parser":       func(a args) Estimate { return pipe(a, 2, a.or("HEADERS", 54)).Plus(logic(ruleLogic)) },
	"deparser":     func(a args) Estimate { return pipe(a, 2, 0).Plus(logic(ruleLogic)) },
	"match_action": matchAction,
	"flow_table":   func(a args) Estimate { return pipe(a, 33, 0).Plus(logic(ruleMem)) },
	"tcp_tracker":  tracker,
	"l7_scanner":   scanner,
	"flow_state":   func(a args) Estimate { return table(a, a.or("FLOWS", 1<<16), a.or("ENTRY_BYTES", 128)) },
	"route_table":  func(a args) Estimate { return table(a, a.or("ENTRIES", 1<<16), a.or("ENTRY_BYTES", 64)) },
	"head_rewrite": func(a args) Estimate { return pipe(a, 3, 0).Plus(logic(ruleLogic)) },
	"dma_write":    dma,
	"dma_read":     dma,
}

// bus is the bits of a beat of a module with one width.
func bus(a args) Range { return beat(a.or("DATA_WIDTH", 64)) }

func wider(a args) float64 { return max(a.or("S_DATA_WIDTH", 64), a.or("M_DATA_WIDTH", 64)) }

// control is the handshake and the selection of n ports.
func control(n float64) Estimate {
	return Estimate{LUT: Range{Lo: n, Hi: 4*n + 8}, FF: Range{Lo: n, Hi: 2 * n}}
}

func register(a args) Estimate {
	switch a.or("REG_TYPE", 2) {
	case 0:
		return Estimate{Rules: []string{"a wire"}}
	case 1:
		return slice(bus(a), 1)
	}
	return slice(bus(a), 2)
}

func pipelineFIFO(a args) Estimate {
	n := a.or("LENGTH", 2)
	return sum(slice(bus(a), 1).times(n), fifo(max(32, 4*n), bus(a), 1))
}

func srlFIFO(a args) Estimate {
	b, n := bus(a), a.or("DEPTH", 16)
	return Estimate{LUT: Range{Lo: b.Lo * up(n/32), Hi: b.Hi*up(n/16) + 16}, FF: Range{Lo: address(n), Hi: b.Hi + 16}, Rules: []string{ruleShift}}
}

func axisFIFO(a args, width float64) Estimate {
	words := up(a.or("DEPTH", 4096) * 8 / max(8, width))
	e := fifo(words, beat(width), a.or("RAM_PIPELINE", 1))
	if a.or("OUTPUT_FIFO_ENABLE", 0) != 0 {
		e = e.Plus(fifo(32, beat(width), 1))
	}
	return e
}

func asyncFIFO(a args, width float64) Estimate {
	return axisFIFO(a, width).Plus(crossing(a.or("DEPTH", 4096) * 8 / max(8, width)))
}

func adapter(a args) Estimate {
	narrow := beat(min(a.or("S_DATA_WIDTH", 64), a.or("M_DATA_WIDTH", 64)))
	wide := beat(wider(a))
	return Estimate{LUT: Range{Lo: narrow.Lo / 2, Hi: 2 * wide.Hi}, FF: Range{Lo: wide.Lo, Hi: 2 * wide.Hi}, Rules: []string{ruleSlice}}
}

func arbMux(a args) Estimate {
	n := a.or("S_COUNT", 4)
	return sum(slice(bus(a), 2).times(n), mux(n, bus(a)), slice(bus(a), 2), control(n))
}

func axisSwitch(a args) Estimate {
	n, m := a.or("S_COUNT", 4), a.or("M_COUNT", 4)
	return sum(sum(mux(n, bus(a)), slice(bus(a), 2), control(n)).times(m), control(m).times(n))
}

func ramSwitch(a args) Estimate {
	n, m := a.or("S_COUNT", 4), a.or("M_COUNT", 4)
	in, out := a.or("S_DATA_WIDTH", 64), a.or("M_DATA_WIDTH", 64)
	word := max(in*n, out*m)
	if s := a.or("SPEEDUP", 0); s > 0 {
		word = s * max(in, out)
	}
	return sum(ram(up(a.or("FIFO_DEPTH", 4096)*8/word)*n, Range{Lo: word * 9 / 8, Hi: word*9/8 + 2}), logic(ruleLogic))
}

// header strips or prepends so many bits at a bus of width bits.
func header(width, bits float64) Estimate {
	b := beat(width)
	return sum(slice(b, 2), Estimate{
		LUT: Range{Lo: bits / 4, Hi: 2*b.Hi + bits}, FF: Range{Lo: bits, Hi: 2*bits + b.Hi}, Rules: []string{ruleAlign},
	})
}

func checksum(width float64) Estimate {
	return Estimate{LUT: Range{Lo: width, Hi: 1.5*width + 64}, FF: Range{Lo: width, Hi: 2*width + 64}, Rules: []string{ruleSum}}
}

func checksumGen(a args) Estimate {
	return sum(checksum(64), fifo(a.or("PAYLOAD_FIFO_DEPTH", 2048)/8, beat(64), 1), fifo(a.or("HEADER_FIFO_DEPTH", 8), exactly(336), 1), logic(ruleLogic))
}

func crc(width float64) Estimate {
	terms := (width + 32) / 2
	return Estimate{LUT: Range{Lo: 32 * terms / 10, Hi: 32 * up(terms/5) * 1.25}, FF: exactly(32), Rules: []string{ruleCRC}}
}

func xgmii(width float64) Estimate {
	return sum(crc(width), slice(beat(width), 2), logic(ruleLogic))
}

func macFIFO(a args, depth string) Estimate {
	width := a.or("AXIS_DATA_WIDTH", 64)
	words := a.or(depth, 4096) * 8 / width
	return sum(xgmii(64), fifo(words, beat(width), 1), crossing(words))
}

func toeplitz() Estimate {
	return Estimate{LUT: Range{Lo: 32 * 288 / 6, Hi: 32 * 288 / 3 * 1.25}, FF: Range{Lo: 36 * 8, Hi: 40*8 + 36*8 + 3*32}, Rules: []string{ruleHash}}
}

func txChecksum(width, depth float64) Estimate {
	return sum(checksum(width), fifo(depth*8/width, beat(width), 2), fifo(64, exactly(25), 1), slice(beat(width), 2))
}

func ingress(a args) Estimate {
	width := a.or("AXIS_DATA_WIDTH", 512)
	if a.or("RX_HASH_ENABLE", 1) == 0 {
		return Estimate{Rules: []string{"a wire"}}
	}
	e := sum(toeplitz(), fifo(32, beat(width), 1), fifo(32, exactly(36), 1))
	if a.or("RX_CHECKSUM_ENABLE", 1) != 0 {
		e = sum(e, checksum(width), fifo(32, exactly(16), 1))
	}
	return e
}

func egress(a args) Estimate {
	if a.or("TX_CHECKSUM_ENABLE", 1) == 0 {
		return Estimate{Rules: []string{"a wire"}}
	}
	return sum(txChecksum(a.or("AXIS_DATA_WIDTH", 512), a.or("MAX_TX_SIZE", 2048)), fifo(32, exactly(34), 1))
}

func port(a args) Estimate {
	b := beat(a.or("AXIS_DATA_WIDTH", 512))
	return sum(fifo(32, b, 1), crossing(32))
}

func nfArbiter(a args) Estimate {
	b, n := beat(a.or("C_S_AXIS_DATA_WIDTH", 512)).Plus(exactly(128)), a.or("NUM_QUEUES", 5)
	return sum(fifo(32, b, 1).times(n), mux(n, b), control(n))
}

func nfLookup(a args, depthBits float64) Estimate {
	e := sum(fifo(16, beat(a.or("C_S_AXIS_DATA_WIDTH", 512)).Plus(exactly(128)), 1), logic(ruleLogic))
	if depthBits > 0 {
		e = e.Plus(ternary(float64(int(1)<<int(depthBits)), 48))
	}
	return e
}

func nfQueues(a args) Estimate {
	width, n := a.or("C_S_AXIS_DATA_WIDTH", 512), a.or("NUM_QUEUES", 5)
	return sum(fifo(a.or("BUFFER_SIZE", 4096)*8/width, beat(width).Plus(exactly(128)), 1).times(n), control(n))
}
