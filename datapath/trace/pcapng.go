package trace

import (
	"bufio"
	"encoding/binary"
	"io"
	"strconv"

	"github.com/meshnic/meshnic/datapath/sim"
)

// PcapngConfig says what a capture shows beside what moved.
type PcapngConfig struct {
	Data  Data
	Epoch int64 // time of the simulation's start: nanoseconds since 1970
	// Link is the link type (LINKTYPE_ registry) of what a stage puts out; nil:
	// Ethernet everywhere.
	Link func(stage int) uint16
	// Verdict, if set, is what a stage decided about a frame that it passed on;
	// "" is pass, or bad for a frame marked bad.
	Verdict func(stage int, frame uint32) string
	// Reason, if set, says more about a drop for sim.LossVerdict; "" says no more.
	Reason func(stage int, frame uint32) string
}

// Pcapng writes a capture with an interface for every stage that has outputs or
// can drop: each frame when its last beat was accepted on an output, and each
// frame that the stage dropped.
//
// A packet's bytes are those that Data knows, its original length is the
// frame's. Comments say id=N, wire=NAME, cycle=N and ps=N (of the last accept,
// exactly; ps counts from the start of the simulation), verdict=pass, bad, what
// Verdict says, or drop, and reason=… for a drop; unknown=N says that the first N bytes, headers
// that the frame did not bring, are not known and are zeros. The frame's number
// is the packet id (epb_packetid) too.
type Pcapng struct {
	w     *bufio.Writer
	cfg   PcapngConfig
	top   *topology
	lanes lanes
	index []int // interface by stage, or -1
	buf   []byte
	data  []byte
	err   error
}

// NewPcapng writes the interfaces of a capture of net. Call Close at the end of
// the run.
func NewPcapng(w io.Writer, net *sim.Net, cfg PcapngConfig) *Pcapng {
	p := &Pcapng{w: bufio.NewWriterSize(w, 1<<16), cfg: cfg, top: newTopology(net), lanes: newLanes(net)}
	p.lanes.end = p.crossed
	p.section()
	n := 0
	for i, s := range net.Stages {
		_, lossy := s.(sim.Lossy)
		if len(p.top.out[i]) == 0 && !lossy {
			p.index = append(p.index, -1)
			continue
		}
		p.index = append(p.index, n)
		n++
		link := uint16(linkEthernet)
		if cfg.Link != nil {
			link = cfg.Link(i)
		}
		p.port(net.Name(i), link)
	}
	return p
}

// Offered, Accepted and Dropped make it a sim.Observer.
func (p *Pcapng) Offered(w *sim.Wire, at sim.Cycle, b sim.Beat)  { p.lanes.offered(w, at, b) }
func (p *Pcapng) Accepted(w *sim.Wire, at sim.Cycle, b sim.Beat) { p.lanes.accepted(w, at, b) }

func (p *Pcapng) Dropped(stage int, at sim.Picos, frame uint32, why sim.Loss) {
	if p.index[stage] < 0 {
		return
	}
	var b []byte
	unknown, size := 0, 0
	if c := p.lanes.find(frame, p.top.in[stage]); c != nil {
		b, unknown, size = p.bytes(c.wire, frame, c.off, c.bytes)
	} else if in := p.top.in[stage]; len(in) > 0 {
		b = p.cfg.Data.of(in[0], frame)
		size = len(b)
	}
	reason := why.String()
	if p.cfg.Reason != nil && why == sim.LossVerdict {
		if r := p.cfg.Reason(stage, frame); r != "" {
			reason = r
		}
	}
	p.packet(p.index[stage], at, frame, b, size, p.comments(frame, unknown,
		"ps="+strconv.FormatInt(int64(at), 10), "verdict=drop", "reason="+reason))
}

// crossed writes a frame that has gone over a wire.
func (p *Pcapng) crossed(c *crossing) {
	if !c.whole {
		return
	}
	stage := p.top.producer[c.wire.Index()]
	at := c.at(c.lastAccepted)
	verdict := "pass"
	if c.bad {
		verdict = "bad"
	}
	if p.cfg.Verdict != nil {
		if v := p.cfg.Verdict(stage, c.frame); v != "" {
			verdict = v
		}
	}
	b, unknown, size := p.bytes(c.wire, c.frame, c.off, c.bytes)
	p.packet(p.index[stage], at, c.frame, b, size, p.comments(c.frame, unknown, "wire="+c.wire.Name,
		"cycle="+strconv.FormatUint(uint64(c.lastAccepted), 10), "ps="+strconv.FormatInt(int64(at), 10), "verdict="+verdict))
}

func (p *Pcapng) comments(frame uint32, unknown int, more ...string) []string {
	all := append([]string{"id=" + strconv.FormatUint(uint64(frame), 10)}, more...)
	if unknown > 0 {
		all = append(all, "unknown="+strconv.Itoa(unknown))
	}
	return all
}

// bytes returns a frame of size bytes that begins at off as far as it is known,
// and how many bytes in front of it are not.
func (p *Pcapng) bytes(w *sim.Wire, frame uint32, off int32, size int) (b []byte, unknown, length int) {
	data := p.cfg.Data.of(w, frame)
	if data == nil {
		return nil, 0, size
	}
	from := int(off)
	if from < 0 {
		unknown = min(-from, size)
		from = 0
	}
	p.data = append(p.data[:0], make([]byte, unknown)...)
	if from < len(data) {
		p.data = append(p.data, data[from:min(len(data), from+size-unknown)]...)
	}
	return p.data, unknown, size
}

// Close writes what is still to be written. It does not close the io.Writer.
func (p *Pcapng) Close() error {
	if err := p.w.Flush(); p.err == nil {
		p.err = err
	}
	return p.err
}

// Blocks and options of pcapng (draft-ietf-opsawg-pcapng).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockPacket    = 6

	byteOrder    = 0x1a2b3c4d
	linkEthernet = 1
	snapLength   = 1 << 18

	optEnd        = 0
	optComment    = 1
	optName       = 2 // of an interface
	optResolution = 9
	optProgram    = 4 // of a section
	optPacketID   = 5
)

func (p *Pcapng) section() {
	b := p.start(blockSection)
	b = binary.LittleEndian.AppendUint32(b, byteOrder)
	b = binary.LittleEndian.AppendUint16(b, 1) // version 1.0
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, 1<<64-1) // length not given
	b = option(b, optProgram, "meshnic")
	p.end(option(b, optEnd, ""))
}

func (p *Pcapng) port(name string, link uint16) {
	b := p.start(blockInterface)
	b = binary.LittleEndian.AppendUint16(b, link)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, snapLength)
	b = option(b, optName, name)
	b = option(b, optResolution, "\x09")
	p.end(option(b, optEnd, ""))
}

func (p *Pcapng) packet(port int, at sim.Picos, frame uint32, data []byte, size int, comments []string) {
	ns := uint64(p.cfg.Epoch + int64(at)/1000)
	b := p.start(blockPacket)
	b = binary.LittleEndian.AppendUint32(b, uint32(port))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns>>32))
	b = binary.LittleEndian.AppendUint32(b, uint32(ns))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	b = binary.LittleEndian.AppendUint32(b, uint32(size))
	b = pad(append(b, data...))
	for _, c := range comments {
		b = option(b, optComment, c)
	}
	b = option(b, optPacketID, string(binary.LittleEndian.AppendUint64(nil, uint64(frame))))
	p.end(option(b, optEnd, ""))
}

func (p *Pcapng) start(kind uint32) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(p.buf[:0], kind), 0)
}

// end writes a block, its length at both ends.
func (p *Pcapng) end(b []byte) {
	n := uint32(len(b) + 4)
	binary.LittleEndian.PutUint32(b[4:], n)
	p.buf = binary.LittleEndian.AppendUint32(b, n)
	if p.err == nil {
		_, p.err = p.w.Write(p.buf)
	}
}

func option(b []byte, code uint16, value string) []byte {
	value = value[:min(len(value), 1<<16-1)]
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...))
}

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
