package packet

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/segment"
)

const (
	// auxLen is room for one control message, struct tpacket_auxdata.
	auxLen = 64
	// tpidDefault is what an 802.1Q tag has if the kernel does not say.
	tpidDefault = 0x8100
)

// slot is the memory of one received frame: room for a VLAN tag, which the
// kernel takes out of the frame, and the frame behind it.
type slot struct {
	vnet [hostif.VnetHdrLen]byte
	aux  [auxLen]byte
	buf  []byte
	iov  [2]unix.Iovec
}

// receiver holds the arguments of recvmmsg, made once.
type receiver struct {
	slots  [batch]slot
	msgs   [batch]unix.Mmsghdr
	frames [batch]hostif.Frame

	finish  bool // deliver finished frames only
	mtu     int
	pending []*hostif.Frame // segments that did not fit into the last Recv
	next    int
}

func newReceiver(mtu int, finish bool) *receiver {
	r := &receiver{finish: finish, mtu: mtu}
	size := vlanLen + maxFrame + 1
	all := make([]byte, batch*size)
	for i := range r.slots {
		s := &r.slots[i]
		s.buf = all[i*size : (i+1)*size : (i+1)*size]
		s.iov[0].Base = &s.vnet[0]
		s.iov[0].SetLen(len(s.vnet))
		s.iov[1].Base = &s.buf[vlanLen]
		s.iov[1].SetLen(len(s.buf) - vlanLen)
		h := &r.msgs[i].Hdr
		h.Iov = &s.iov[0]
		h.SetIovlen(len(s.iov))
		h.Control = &s.aux[0]
		h.SetControllen(auxLen)
	}
	return r
}

// recv fills frames. Errors that concern one frame are counted.
func (r *receiver) recv(fd int, frames []*hostif.Frame, st *hostif.Stats) (int, unix.Errno) {
	if r.next < len(r.pending) {
		return r.deliver(frames, st), 0
	}
	want := min(len(frames), batch)
	if want == 0 {
		return 0, 0
	}
	for {
		got, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&r.msgs[0])),
			uintptr(want), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return 0, 0
		case unix.EINVAL:
			// The frame has a segmentation that virtio_net_hdr cannot say (a
			// tunnel's); the kernel has dropped it.
			st.RxDropBad++
			continue
		default:
			return 0, errno
		}
		if n := r.take(int(got), frames, st); n > 0 {
			return n, 0
		}
	}
}

// take turns the first got slots into frames.
func (r *receiver) take(got int, frames []*hostif.Frame, st *hostif.Stats) int {
	n := 0
	r.pending, r.next = r.pending[:0], 0
	for i := range got {
		f := &r.frames[i]
		ok := r.slots[i].frame(f, &r.msgs[i])
		r.msgs[i].Hdr.SetControllen(auxLen) // the kernel wrote what it used
		if ok && r.finish {
			ok = segment.Finish(f, r.mtu, func(s *hostif.Frame) { r.pending = append(r.pending, s) }) == nil
		} else if ok {
			frames[n] = f
			n++
			st.RxFrames++
			st.RxBytes += uint64(len(f.Data))
		}
		if !ok {
			st.RxDropBad++
		}
	}
	if r.finish {
		return r.deliver(frames, st)
	}
	return n
}

func (r *receiver) deliver(frames []*hostif.Frame, st *hostif.Stats) int {
	n := copy(frames, r.pending[r.next:])
	r.next += n
	for _, f := range frames[:n] {
		st.RxFrames++
		st.RxBytes += uint64(len(f.Data))
	}
	return n
}

// frame describes what the kernel wrote into the slot.
func (s *slot) frame(f *hostif.Frame, m *unix.Mmsghdr) bool {
	if m.Hdr.Flags&unix.MSG_TRUNC != 0 || int(m.Len) < hostif.VnetHdrLen+ethHeaderLen {
		return false
	}
	size := int(m.Len) - hostif.VnetHdrLen
	data := s.buf[vlanLen : vlanLen+size : vlanLen+size]
	o, err := hostif.ParseVnetHdr(s.vnet[:], data)
	if err != nil {
		return false
	}
	if tpid, tci, ok := vlan(s.aux[:m.Hdr.Controllen]); ok {
		copy(s.buf[:2*6], data[:2*6])
		binary.BigEndian.PutUint16(s.buf[12:], tpid)
		binary.BigEndian.PutUint16(s.buf[14:], tci)
		data = s.buf[: vlanLen+size : vlanLen+size]
		if o.CsumPartial {
			o.CsumStart += vlanLen
		}
		if o.GSO != hostif.GSONone {
			o.HdrLen += vlanLen
		}
	}
	*f = hostif.Frame{Data: data, Offload: o}
	return true
}

// vlan finds the tag that the kernel took out of the frame in a PACKET_AUXDATA
// control message.
func vlan(control []byte) (tpid, tci uint16, ok bool) {
	const hdr = unix.SizeofCmsghdr
	if len(control) < hdr+int(unsafe.Sizeof(unix.TpacketAuxdata{})) {
		return 0, 0, false
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
	if c.Level != unix.SOL_PACKET || c.Type != unix.PACKET_AUXDATA {
		return 0, 0, false
	}
	ne := binary.NativeEndian
	aux := control[hdr:] // struct tpacket_auxdata: status at 0, tci at 16, tpid at 18
	status := ne.Uint32(aux)
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, 0, false
	}
	tpid = tpidDefault
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = ne.Uint16(aux[18:])
	}
	return tpid, ne.Uint16(aux[16:]), true
}
