package netfpga

// missPorts are the ports to which a frame for an unknown address goes: the
// MACs (DEFAULT_MISS_OUTPUT_PORTS).
const missPorts = 0x05

// CAM is the table of a learning switch. A new address takes the place of the
// oldest.
//
// Source: mac_cam_lut.v.
type CAM struct {
	entries []camEntry
	next    int
}

type camEntry struct {
	addr  uint64
	ports uint8
}

// NewCAM returns a table of 2^bits addresses.
func NewCAM(bits int) *CAM { return &CAM{entries: make([]camEntry, 1<<bits)} }

// Lookup returns the ports for dst, without the one the frame came from, and
// learns that src is behind port.
func (c *CAM) Lookup(dst, src uint64, port uint8) (ports uint8) {
	ports = missPorts
	known := false
	for i := range c.entries { // the highest match counts
		e := &c.entries[i]
		if e.addr == dst {
			ports = e.ports
		}
		known = known || e.addr == src
	}
	for i := range c.entries {
		e := &c.entries[i]
		if e.addr == src || !known && i == c.next {
			*e = camEntry{src, port}
		}
	}
	if !known {
		c.next = (c.next + 1) % len(c.entries)
	}
	return ports &^ port
}
