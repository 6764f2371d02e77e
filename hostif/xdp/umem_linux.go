package xdp

import (
	"fmt"
	"unsafe"
)

// umem is the memory that the sockets of a group share with the kernel, cut
// into chunks. Every chunk is in exactly one place at any time.
//
//	free ─► fill ring ─► (kernel) ─► rx ring ─► held by the caller ─┐
//	  ▲                                            │ next Recv      │ Send moves it
//	  ├────────────────────────────────────────────┘                ▼
//	  └── completion ring ◄── (kernel) ◄── tx ring ◄── copied into, or moved
//
// It lies in ordinary Go memory, which is never moved and which the garbage
// collector keeps for as long as a Frame points into it: closing a port cannot
// pull the bytes away from a caller that still looks at them.
type umem struct {
	mem   []byte
	base  uintptr
	shift uint     // log2 of the chunk size
	where []place  // of each chunk
	free  []uint32 // chunk numbers, the most recently used last
}

// place says where a chunk is: in which of a port's hands, or free.
type place uint16

const (
	inFree place = 0
	inFill place = 1 // given to the kernel to receive into, until Recv takes it
	inHeld place = 2 // in a frame that Recv returned
	inTx   place = 3 // given to the kernel to transmit, until it is reaped
)

// at is the place p of a port's.
func (p place) at(port int) place { return p | place(port)<<2 }
func (p place) kind() place       { return p & 3 }
func (p place) port() int         { return int(p >> 2) }

func newUMEM(chunks int, chunkSize int) *umem {
	const page = 4096
	raw := make([]byte, chunks*chunkSize+page)
	skip := -int(uintptr(unsafe.Pointer(&raw[0]))) & (page - 1)
	u := &umem{mem: raw[skip:][:chunks*chunkSize], where: make([]place, chunks), free: make([]uint32, chunks)}
	u.base = uintptr(unsafe.Pointer(&u.mem[0]))
	for 1<<u.shift < chunkSize {
		u.shift++
	}
	for i := range u.free {
		u.free[i] = uint32(chunks - 1 - i)
	}
	return u
}

func (u *umem) chunkSize() int { return 1 << u.shift }

// alloc takes a free chunk and puts it at p.
func (u *umem) alloc(p place) (chunk uint32, ok bool) {
	n := len(u.free)
	if n == 0 {
		return 0, false
	}
	chunk = u.free[n-1]
	u.free = u.free[:n-1]
	u.where[chunk] = p
	return chunk, true
}

// release frees a chunk that is at p. It reports whether it was there.
func (u *umem) release(chunk uint32, p place) bool {
	if int(chunk) >= len(u.where) || u.where[chunk] != p {
		return false
	}
	u.where[chunk] = inFree
	u.free = append(u.free, chunk)
	return true
}

// move puts a chunk that is at from to to. It reports whether it was there.
func (u *umem) move(chunk uint32, from, to place) bool {
	if int(chunk) >= len(u.where) || u.where[chunk] != from {
		return false
	}
	u.where[chunk] = to
	return true
}

// chunkOf returns the chunk that an address of the kernel's lies in.
func (u *umem) chunkOf(addr uint64) uint32 { return uint32(min(addr>>u.shift, 1<<32-1)) }

// addrOf returns the UMEM address of b if all of b lies in one chunk.
func (u *umem) addrOf(b []byte) (addr uint64, ok bool) {
	off := uintptr(unsafe.Pointer(unsafe.SliceData(b))) - u.base // wraps below base
	if off >= uintptr(len(u.mem)) || len(b) == 0 {
		return 0, false
	}
	return uint64(off), off>>u.shift == (off+uintptr(len(b))-1)>>u.shift
}

// bytes returns n bytes at addr, with room to grow up to the chunk's end; ok is
// false if they do not fit.
func (u *umem) bytes(addr uint64, n uint32) (b []byte, ok bool) {
	if addr >= uint64(len(u.mem)) {
		return nil, false
	}
	end := (addr>>u.shift + 1) << u.shift
	if addr+uint64(n) > end {
		return nil, false
	}
	return u.mem[addr : addr+uint64(n) : end], true
}

// reclaim frees every chunk of a port that is closed.
func (u *umem) reclaim(port int) {
	for chunk, p := range u.where {
		if p.kind() != inFree && p.port() == port {
			u.where[chunk] = inFree
			u.free = append(u.free, uint32(chunk))
		}
	}
}

// check returns an error unless the free list and the places agree, and no
// chunk is in two hands.
func (u *umem) check() error {
	seen := make([]bool, len(u.where))
	for _, c := range u.free {
		if seen[c] {
			return fmt.Errorf("xdp: chunk %d is free twice", c)
		}
		if seen[c] = true; u.where[c] != inFree {
			return fmt.Errorf("xdp: chunk %d is free and at %d of port %d", c, u.where[c].kind(), u.where[c].port())
		}
	}
	for c, p := range u.where {
		if p == inFree && !seen[c] {
			return fmt.Errorf("xdp: chunk %d is nowhere", c)
		}
	}
	return nil
}
