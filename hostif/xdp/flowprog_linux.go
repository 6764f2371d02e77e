package xdp

import (
	"encoding/binary"
	"unsafe"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// flowEntry is a place in the flow table as the program reads it: what a frame
// must have to be carried, and where to. A place is told by a hash, so that there
// is room for one entry in each: what a second one has to do for it, see Learn.
type flowEntry struct {
	MACs [12]byte // destination, source
	In   uint8    // the port
	Used uint8    // the program sets it with each frame
	Max  uint16   // bytes that the port takes
	Out  uint32   // the port, from 1; 0: nothing is carried
	_    [4]byte
}

// The fields' offsets in an Ethernet frame with an IPv4 header without options.
const (
	offType  = 12
	offIP    = 14
	offFrag  = offIP + 6
	offProto = offIP + 9
	offPorts = offIP + 20
	offTCP   = offPorts + 20 // where a TCP header without options ends
)

// flowPlaces is the number of places: 384 KiB. Behind them is the number of unseen
// frames, 8 bytes.
const (
	flowBits   = 14
	flowPlaces = 1 << flowBits
)

// Multipliers of the hash: the fractional bits of the golden ratio, and two more
// odd numbers as irregular (of splitmix64).
var hashFactors = [3]uint64{0x9e3779b97f4a7c15, 0xbf58476d1ce4e5b9, 0x94d049bb133111eb}

// flowPlace is where the entry for a frame is, by its Ethernet addresses.
func flowPlace(frame []byte) uint32 {
	var sum uint64
	for i, factor := range hashFactors {
		sum += uint64(binary.NativeEndian.Uint32(frame[4*i:])) * factor
	}
	return uint32(sum >> (64 - flowBits))
}

// carriedHeader stands in front of each copy in the ring.
type carriedHeader struct {
	At  uint64 // CLOCK_MONOTONIC, ns
	Len uint16
	In  uint8
	Out uint8
	_   uint32
}

const carriedHead = int32(unsafe.Sizeof(carriedHeader{}))

// Room for the copies: of each frame so much as Ethernet, IPv4 without options and
// the longest TCP header have. The ring's reader is woken when it has wakeAt bytes.
const (
	copyBytes   = 14 + 20 + 60 + 2
	recordBytes = carriedHead + copyBytes
	ringBytes   = 4 << 20 // 34,952 frames
	wakeAt      = ringBytes / 8
)

// Flags of bpf_ringbuf_submit and bpf_ringbuf_query (linux/bpf.h).
const (
	rbNoWakeup    = 1
	rbForceWakeup = 2
	rbAvailData   = 0
)

// carry is the part of a port's program that carries what is in the flow table.
// Whatever else comes goes on behind it. R6 keeps the context.
func (t *flowTable) carry(in int) asm.Instructions {
	if t == nil {
		return nil
	}
	const slow = "slow"
	field := func(off int16, size asm.Size) asm.Instruction { return asm.LoadMem(asm.R3, asm.R7, off, size) }
	same := func(off, at int16, size asm.Size) asm.Instructions {
		return asm.Instructions{
			field(off, size),
			asm.LoadMem(asm.R4, asm.R8, at, size),
			asm.JNE.Reg(asm.R3, asm.R4, slow),
		}
	}
	fold := func(off int16, factor uint64) asm.Instructions {
		return asm.Instructions{
			field(off, asm.Word),
			asm.LoadImm(asm.R4, int64(factor), asm.DWord),
			asm.Mul.Reg(asm.R3, asm.R4),
			asm.Add.Reg(asm.R5, asm.R3),
		}
	}
	at := func(field uintptr) int16 { return int16(field) }
	var e flowEntry
	p := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, 0, asm.Word), // xdp_md.data
		asm.LoadMem(asm.R2, asm.R6, 4, asm.Word), // xdp_md.data_end
		asm.Mov.Reg(asm.R3, asm.R7),
		asm.Add.Imm(asm.R3, offTCP),
		asm.JGT.Reg(asm.R3, asm.R2, slow),
		field(offType, asm.Half),
		asm.JNE.Imm(asm.R3, network16(unix.ETH_P_IP), slow),
		field(offIP, asm.Byte),
		asm.JNE.Imm(asm.R3, 0x45, slow), // IPv4 without options
		field(offFrag, asm.Half),
		asm.And.Imm(asm.R3, network16(0x3fff)), // more fragments, offset
		asm.JNE.Imm(asm.R3, 0, slow),
		field(offProto, asm.Byte),
		asm.JNE.Imm(asm.R3, unix.IPPROTO_TCP, slow),
		asm.Mov.Imm(asm.R5, 0),
	}
	for i, factor := range hashFactors {
		p = append(p, fold(int16(4*i), factor)...)
	}
	p = append(p,
		asm.RSh.Imm(asm.R5, 64-flowBits),
		asm.StoreMem(asm.RFP, -4, asm.R5, asm.Word),
		asm.LoadMapPtr(asm.R1, t.flows.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, slow),
		asm.Mov.Reg(asm.R8, asm.R0),
	)
	p = append(p, same(0, at(unsafe.Offsetof(e.MACs)), asm.DWord)...)
	p = append(p, same(8, at(unsafe.Offsetof(e.MACs))+8, asm.Word)...)
	p = append(p,
		asm.LoadMem(asm.R3, asm.R8, at(unsafe.Offsetof(e.In)), asm.Byte),
		asm.JNE.Imm(asm.R3, int32(in), slow),
		asm.LoadMem(asm.R7, asm.R8, at(unsafe.Offsetof(e.Out)), asm.Word), // the frame's bytes are not read any more
		asm.JEq.Imm(asm.R7, 0, slow),
		asm.Sub.Imm(asm.R7, 1),
		asm.Mov.Imm(asm.R3, 1),
		asm.StoreMem(asm.R8, at(unsafe.Offsetof(e.Used)), asm.R3, asm.Byte),
		asm.LoadMem(asm.R9, asm.R8, at(unsafe.Offsetof(e.Max)), asm.Half),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnXdpGetBuffLen.Call(),
		asm.Mov.Reg(asm.R8, asm.R0),
		asm.JGT.Reg(asm.R8, asm.R9, slow), // the NIC counts it
	)
	p = append(p, t.copyOut(in)...)
	return append(p,
		asm.LoadMapPtr(asm.R1, t.ports.FD()).WithSymbol("carry"),
		asm.Mov.Reg(asm.R2, asm.R7),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol(slow),
	)
}

// copyOut puts a copy of the frame, of R8 bytes and on its way to the port in R7,
// into the ring. Where there is no room it counts the frame among the unseen:
// taking another way than those before it, it would overtake or be overtaken.
func (t *flowTable) copyOut(in int) asm.Instructions {
	var h carriedHeader
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, t.ring.FD()),
		asm.Mov.Imm(asm.R2, recordBytes),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JNE.Imm(asm.R0, 0, "room"),

		asm.StoreImm(asm.RFP, -4, flowPlaces, asm.Word),
		asm.LoadMapPtr(asm.R1, t.flows.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "carry"),
		asm.Mov.Imm(asm.R3, 1),
		asm.StoreXAdd(asm.R0, asm.R3, asm.DWord),
		asm.Ja.Label("carry"),

		asm.Mov.Reg(asm.R9, asm.R0).WithSymbol("room"),
		asm.FnKtimeGetNs.Call(),
		asm.StoreMem(asm.R9, int16(unsafe.Offsetof(h.At)), asm.R0, asm.DWord),
		asm.StoreMem(asm.R9, int16(unsafe.Offsetof(h.Len)), asm.R8, asm.Half),
		asm.StoreImm(asm.R9, int16(unsafe.Offsetof(h.In)), int64(in), asm.Byte),
		asm.StoreMem(asm.R9, int16(unsafe.Offsetof(h.Out)), asm.R7, asm.Byte),
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.Mov.Imm(asm.R2, 0),
		asm.Mov.Reg(asm.R3, asm.R9),
		asm.Add.Imm(asm.R3, carriedHead),
		asm.Mov.Reg(asm.R4, asm.R8),
		asm.JLE.Imm(asm.R4, copyBytes, "whole"),
		asm.Mov.Imm(asm.R4, copyBytes),
		asm.JGE.Imm(asm.R4, offTCP, "some").WithSymbol("whole"),
		asm.Mov.Imm(asm.R4, offTCP), // it has as many: the verifier must see it
		asm.FnXdpLoadBytes.Call().WithSymbol("some"),
		asm.LoadMapPtr(asm.R1, t.ring.FD()),
		asm.Mov.Imm(asm.R2, rbAvailData),
		asm.FnRingbufQuery.Call(),
		// Woken once, where it passes wakeAt: for each frame it would be dear.
		asm.Sub.Imm(asm.R0, wakeAt),
		asm.Mov.Imm(asm.R2, rbForceWakeup),
		asm.JLE.Imm(asm.R0, 8+recordBytes, "submit"),
		asm.Mov.Imm(asm.R2, rbNoWakeup),
		asm.Mov.Reg(asm.R1, asm.R9).WithSymbol("submit"),
		asm.FnRingbufSubmit.Call(),
	}
}

// network16 is a 16-bit field in the byte order of the wire, as a load of this
// machine reads it.
func network16(v uint16) int32 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return int32(binary.NativeEndian.Uint16(b[:]))
}
