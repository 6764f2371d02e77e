package xdp

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ring is one of the four queues that a socket shares with the kernel: a power
// of two of entries, and two indices that only grow and wrap at 2³². One side
// writes producer, the other consumer; we keep copies of both so that the
// shared words, and the cache lines they bounce on, are touched once a batch.
//
//	consumer          producer
//	    | full  full  full | free  free … size - (producer - consumer)
type ring[T any] struct {
	entries  []T
	mask     uint32
	producer *uint32 // shared
	consumer *uint32 // shared
	flags    *uint32 // shared, written by the kernel: need wakeup
	prod     uint32  // ours: up to here we have written, or know to be written
	cons     uint32  // ours: up to here we have read, or know to be read
	mem      []byte  // the mapping, nil in tests
}

// mapRing maps one ring of socket fd.
func mapRing[T any](fd int, off unix.XDPRingOffset, pgoff int64, size int) (*ring[T], error) {
	var entry T
	mem, err := unix.Mmap(fd, pgoff, int(off.Desc)+size*int(unsafe.Sizeof(entry)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, err
	}
	base := unsafe.Pointer(unsafe.SliceData(mem))
	return &ring[T]{
		entries:  unsafe.Slice((*T)(unsafe.Add(base, off.Desc)), size),
		mask:     uint32(size - 1),
		producer: (*uint32)(unsafe.Add(base, off.Producer)),
		consumer: (*uint32)(unsafe.Add(base, off.Consumer)),
		flags:    (*uint32)(unsafe.Add(base, off.Flags)),
		mem:      mem,
	}, nil
}

func (r *ring[T]) unmap() error {
	if r == nil || r.mem == nil {
		return nil
	}
	mem := r.mem
	r.mem, r.entries, r.producer, r.consumer, r.flags = nil, nil, nil, nil, nil
	return unix.Munmap(mem)
}

func (r *ring[T]) size() uint32 { return r.mask + 1 }

// free returns how many entries may be put, as far as want needs to know: the
// shared index is read only when the copy does not suffice.
func (r *ring[T]) free(want uint32) uint32 {
	if n := r.size() - (r.prod - r.cons); n >= want {
		return n
	}
	r.cons = atomic.LoadUint32(r.consumer)
	return r.size() - (r.prod - r.cons)
}

// put writes the next entry. The kernel sees it after submit.
func (r *ring[T]) put(v T) {
	r.entries[r.prod&r.mask] = v
	r.prod++
}

// submit publishes what was put.
func (r *ring[T]) submit() { atomic.StoreUint32(r.producer, r.prod) }

// insert makes room for n entries in front of the one at at, which and whatever
// follows moves on. There must be room, and the kernel must not be reading.
func (r *ring[T]) insert(at, n uint32) {
	for i := r.prod; i != at; i-- {
		r.entries[(i-1+n)&r.mask] = r.entries[(i-1)&r.mask]
	}
	r.prod += n
}

// pending returns how many published entries the kernel has not taken yet.
func (r *ring[T]) pending() uint32 {
	r.cons = atomic.LoadUint32(r.consumer)
	return r.prod - r.cons
}

// avail returns how many entries may be taken, as far as want needs to know.
func (r *ring[T]) avail(want uint32) uint32 {
	if n := r.prod - r.cons; n >= want {
		return n
	}
	r.prod = atomic.LoadUint32(r.producer)
	return r.prod - r.cons
}

// peek returns the i-th entry to be taken; take takes n; release gives their
// places back to the kernel.
func (r *ring[T]) peek(i uint32) T { return r.entries[(r.cons+i)&r.mask] }

func (r *ring[T]) take(n uint32) { r.cons += n }

func (r *ring[T]) release() { atomic.StoreUint32(r.consumer, r.cons) }

// needWakeup reports whether the kernel waits for a system call before it looks
// at the ring.
func (r *ring[T]) needWakeup() bool {
	return atomic.LoadUint32(r.flags)&unix.XDP_RING_NEED_WAKEUP != 0
}
