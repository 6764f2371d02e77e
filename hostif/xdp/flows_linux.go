package xdp

import (
	"encoding/binary"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
)

// flowTable is a group's hostif.FlowTable: the program on each port looks frames
// up in flows, memory that is shared with it, and redirects those it finds to the
// port's device, with a copy for us in ring.
type flowTable struct {
	g      *Group
	flows  *ebpf.Map
	ports  *ebpf.Map
	ring   *ebpf.Map
	memory *ebpf.Memory // of flows
	reader *ringbuf.Reader
	rec    ringbuf.Record
	frame  []byte        // a copy, with zeros for what it has not
	open   []atomic.Bool // by port: whether frames can be carried from there, and there
	device []device
	closed bool

	learned, replaced, refused, forgotten, carried, bytes uint64
}

// device asks the kernel for a port's own statistics. The zero value knows none.
type device struct {
	*netlink.Handle
	index int
	was   uint64 // frames dropped on their way out, when it was attached
	lost  uint64 // since, when it was asked last
}

// dropped is the frames that the device has dropped on their way out: its peer's
// queue was full. A device that is gone has dropped what it had.
func (d *device) dropped() uint64 {
	if d.Handle == nil {
		return d.lost
	}
	if l, err := d.LinkByIndex(d.index); err == nil && l.Attrs().Statistics != nil {
		d.lost = l.Attrs().Statistics.TxDropped - d.was
	}
	return d.lost
}

// openFlows makes the group's flow table, if it is to have one. What cannot be had
// is said, and no failure.
func (g *Group) openFlows(multi bool) {
	if !g.cfg.FlowTable {
		return
	}
	without := func(why any) { g.cfg.logf("xdp: no flow table, each frame goes through user space: %v", why) }
	switch {
	case multi:
		without("frames of this MTU come in several pieces")
		return
	case g.cfg.RecomputeChecksums:
		without("checksums are to be finished on receive")
		return
	}
	ports := len(g.cfg.Ifaces)
	t := &flowTable{g: g, frame: make([]byte, 1<<16), open: make([]atomic.Bool, ports), device: make([]device, ports)}
	if err := t.make(ports); err != nil {
		t.close()
		without(err)
		return
	}
	t.reader.SetDeadline(time.Unix(1, 0)) // a read never waits
	g.flows = t
}

// settle prepares a port: what is redirected to a veth goes through its peer's
// NAPI, which it has with GRO. It runs in the port's namespace.
func (t *flowTable) settle(l *Link, p *port) error {
	without := func(why any) error {
		t.g.cfg.logf("xdp: %s: frames to it are not carried by the host: %v", l.iface.Name, why)
		return nil
	}
	switch {
	case l.finish:
		t.g.cfg.logf("xdp: %s: its frames are not carried by the host: their checksums are finished here", l.iface.Name)
		return nil
	case p.kind != "veth":
	case !p.hasPeer:
		return without("its peer is out of reach")
	default:
		n, err, unrecorded := l.turn(p.peer, true, "rx-gro")
		if unrecorded != nil {
			return unrecorded
		}
		if err != nil {
			return without(err)
		}
		if n > 0 {
			t.g.cfg.logf("xdp: %s: GRO of its peer %s is on while attached: the host carries TCP between known addresses", l.iface.Name, p.peer.Name)
		}
	}
	if err := t.ports.Put(uint32(l.port), uint32(l.index)); err != nil {
		return without(err)
	}
	if h, err := netlink.NewHandle(); err == nil {
		d := &t.device[l.port]
		d.Handle, d.index = h, l.index
		d.was = d.dropped()
		d.lost = 0
	}
	t.open[l.port].Store(true)
	return nil
}

// leave ends a port's part in the table. It has the group's lock.
func (t *flowTable) leave(l *Link) {
	t.open[l.port].Store(false)
	_ = t.ports.Delete(uint32(l.port))
	if d := &t.device[l.port]; d.Handle != nil {
		d.dropped()
		d.Close()
		d.Handle = nil
	}
}

// make makes what the programs share, and our side of it; what there is after an error is
// for close.
func (t *flowTable) make(ports int) (err error) {
	for _, m := range []struct {
		to   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&t.flows, ebpf.MapSpec{Name: "meshnic_flows", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(entrySize), MaxEntries: flowPlaces + 1, Flags: unix.BPF_F_MMAPABLE}},
		{&t.ports, ebpf.MapSpec{Name: "meshnic_ports", Type: ebpf.DevMap, KeySize: 4, ValueSize: 4, MaxEntries: uint32(ports)}},
		{&t.ring, ebpf.MapSpec{Name: "meshnic_copies", Type: ebpf.RingBuf, MaxEntries: ringBytes}},
	} {
		if *m.to, err = ebpf.NewMap(&m.spec); err != nil {
			return err
		}
	}
	if t.memory, err = t.flows.Memory(); err == nil {
		t.reader, err = ringbuf.NewReader(t.ring)
	}
	return err
}

func (t *flowTable) close() {
	t.closed = true
	if t.reader != nil {
		_ = t.reader.Close()
	}
	for _, m := range []*ebpf.Map{t.flows, t.ports, t.ring} {
		if m != nil {
			_ = m.Close()
		}
	}
}

// flowOf is the entry of a frame that the program would look up.
func flowOf(in int, frame []byte) (e flowEntry, ok bool) {
	if len(frame) < offTCP ||
		binary.BigEndian.Uint16(frame[offType:]) != unix.ETH_P_IP || frame[offIP] != 0x45 ||
		binary.BigEndian.Uint16(frame[offFrag:])&0x3fff != 0 || frame[offProto] != unix.IPPROTO_TCP {
		return e, false
	}
	e.In = uint8(in)
	copy(e.MACs[:], frame)
	return e, true
}

const (
	entrySize = int64(unsafe.Sizeof(flowEntry{}))
	usedAt    = int64(unsafe.Offsetof(flowEntry{}.Used))
	outAt     = int64(unsafe.Offsetof(flowEntry{}.Out))
)

// look returns the entry at a place.
func (t *flowTable) look(place uint32) (e flowEntry) {
	_, _ = t.memory.ReadAt(unsafe.Slice((*byte)(unsafe.Pointer(&e)), entrySize), int64(place)*entrySize)
	return e
}

// write puts an entry at a place. The program reads it meanwhile: until all of the
// rest is there nothing is carried by it.
func (t *flowTable) write(place uint32, e flowEntry) {
	b, at := unsafe.Slice((*byte)(unsafe.Pointer(&e)), entrySize), int64(place)*entrySize
	var none [4]byte
	_, _ = t.memory.WriteAt(none[:], at+outAt)
	_, _ = t.memory.WriteAt(b[:outAt], at)
	_, _ = t.memory.WriteAt(b[outAt:], at+outAt)
}

// same reports whether two entries are for the same frames.
func (e *flowEntry) same(o *flowEntry) bool { return e.MACs == o.MACs && e.In == o.In }

// Learn takes a place for the addresses of frame, unless others are there that had
// a frame since they were last asked to leave (the clock algorithm).
func (t *flowTable) Learn(in, out int, frame []byte) bool {
	e, ok := flowOf(in, frame)
	most := t.g.Links[out].mtu + ethHeaderLen
	if !ok || !t.open[in].Load() || !t.open[out].Load() || most < len(frame) {
		return false
	}
	e.Out, e.Max = uint32(out)+1, uint16(most)
	at := flowPlace(frame)
	old := t.look(at)
	switch {
	case old.same(&e) && old.Out == e.Out:
		return true
	case old.Out == 0 || old.same(&e):
	case old.Used != 0:
		_, _ = t.memory.WriteAt([]byte{0}, int64(at)*entrySize+usedAt)
		t.refused++
		return false
	default:
		t.replaced++
	}
	e.Used = 1
	t.write(at, e)
	t.learned++
	return true
}

// Forget frees the place of frame's addresses.
func (t *flowTable) Forget(in int, frame []byte) {
	if e, ok := flowOf(in, frame); ok {
		at := flowPlace(frame)
		if old := t.look(at); old.Out != 0 && old.same(&e) {
			t.write(at, flowEntry{})
			t.forgotten++
		}
	}
}

// Carried visits the copies in the ring.
func (t *flowTable) Carried(limit int, visit func(hostif.CarriedFrame)) (n int) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.closed || t.reader.AvailableBytes() == 0 {
		return 0
	}
	now := monotonic()
	for n < limit && t.reader.AvailableBytes() > 0 {
		if err := t.reader.ReadInto(&t.rec); err != nil {
			return n // the oldest is still being written
		}
		n++
		b := t.rec.RawSample
		h := (*carriedHeader)(unsafe.Pointer(unsafe.SliceData(b)))
		copy(t.frame, b[carriedHead:])
		c := hostif.CarriedFrame{In: int(h.In), Out: int(h.Out), Data: t.frame[:h.Len]}
		if h.At < now {
			c.Age = time.Duration(now - h.At)
		}
		t.carried++
		t.bytes += uint64(h.Len)
		in, out := &t.g.Links[h.In].st, &t.g.Links[h.Out].st
		in.RxFrames++
		in.RxBytes += uint64(h.Len)
		if t.open[h.Out].Load() {
			out.TxFrames++
			out.TxBytes += uint64(h.Len)
		} else { // to a closed link
			out.TxDropError++
		}
		visit(c)
	}
	return n
}

// Unseen is how many frames were carried without a copy: the ring was full.
func (t *flowTable) Unseen() uint64 {
	var n uint64
	_, _ = t.memory.ReadAt(unsafe.Slice((*byte)(unsafe.Pointer(&n)), 8), flowPlaces*entrySize)
	return n
}

// monotonic is the clock of bpf_ktime_get_ns.
func monotonic() uint64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return uint64(ts.Nano())
}

// Count adds the table's counters. flow_table.lost are frames that a port's device
// dropped after the program had sent them there.
func (t *flowTable) Count(c map[string]uint64) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	c["flow_table.learned"] += t.learned
	c["flow_table.replaced"] += t.replaced
	c["flow_table.refused"] += t.refused
	c["flow_table.forgotten"] += t.forgotten
	c["flow_table.unseen"] += t.Unseen()
	for i := range t.device {
		c["flow_table.lost"] += t.device[i].dropped()
	}
	c["flow_table.carried"] += t.carried
	c["flow_table.carried_bytes"] += t.bytes
}

// FlowTable is how the host may carry frames by itself; nil if it does not.
func (g *Group) FlowTable() hostif.FlowTable {
	if g.flows == nil {
		return nil
	}
	return g.flows
}
