package splice

import (
	"encoding/binary"
	"math/bits"

	"github.com/meshnic/meshnic/datapath"
)

// blockLen is how many connections get their memory at once: 96 KiB.
const blockLen = 512

// table finds connections by their addresses. The index holds a connection's
// number plus one and the upper bits of its hash in four bytes, is twice as long
// as there may be connections, and is probed linearly. Connections lie in blocks,
// which are made when they are first needed.
type table struct {
	conns   []*[blockLen]conn
	exch    []*[blockLen]exchange // of the same numbers, in blocks that have had a client
	made    int                   // blocks
	size    int                   // connections there is room for
	used    int
	index   []uint32
	stock   [2]stock // of numbers, by kind
	shift   uint     // of a hash, to its place in the index
	numbits uint     // bits of an index element that hold the number
	seed    [2]uint64
}

// kind is whose connection it is. Clients' numbers are kept apart from servers' as
// far as there is room, for a server's needs no exchange.
type kind int

const (
	client kind = iota
	server
)

// stock is what numbers there are for a kind of connection: those that were given
// back, each linked to the next, then those of its last block that never were used.
type stock struct{ free, next, end int32 }

func newTable(n int, seed uint64) table {
	blocks := (n + blockLen - 1) / blockLen
	t := table{
		conns:   make([]*[blockLen]conn, blocks),
		exch:    make([]*[blockLen]exchange, blocks),
		size:    n,
		index:   make([]uint32, 2*n),
		stock:   [2]stock{{free: none}, {free: none}},
		numbits: uint(bits.Len(uint(n))),
	}
	t.shift = 64 - t.numbits
	t.seed = [2]uint64{mix(seed^hashA, hashB), mix(seed^hashB, hashC)}
	return t
}

func (t *table) conn(n int32) *conn { return &t.conns[uint32(n)/blockLen][uint32(n)%blockLen] }

func (t *table) exchange(n int32) *exchange { return &t.exch[uint32(n)/blockLen][uint32(n)%blockLen] }

// room is how many more connections there may be.
func (t *table) room() int { return t.size - t.used }

// take takes a number out of the stock for k, which gets another block if it is empty.
func (t *table) take(k kind) int32 {
	s := &t.stock[k]
	if n := s.free; n != none {
		s.free = t.conn(n).link
		return n
	}
	if s.next == s.end && t.made < len(t.conns) {
		t.conns[t.made] = new([blockLen]conn)
		s.next = int32(t.made * blockLen)
		s.end = min(s.next+blockLen, int32(t.size))
		t.made++
	}
	if s.next == s.end {
		return none
	}
	s.next++
	return s.next - 1
}

// give puts number n back, into the stock for those whose block it is of.
func (t *table) give(n int32) {
	s := &t.stock[server]
	if t.exch[n/blockLen] != nil {
		s = &t.stock[client]
	}
	t.conn(n).link, s.free = s.free, n
}

// Odd constants with as many ones as zeros, from the fraction of the golden
// ratio and of the square roots of 2 and 3.
const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0x6a09e667f3bcc909
	hashC = 0xbb67ae8584caa73b
)

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (t *table) hash(remote, local *[16]byte, remotePort, localPort uint16) uint64 {
	rh, rl := binary.LittleEndian.Uint64(remote[:8]), binary.LittleEndian.Uint64(remote[8:])
	lh, ll := binary.LittleEndian.Uint64(local[:8]), binary.LittleEndian.Uint64(local[8:])
	a := mix(rl^t.seed[0], (rh^uint64(remotePort))*hashA^t.seed[1])
	b := mix(ll^t.seed[1], (lh^uint64(localPort))*hashB^t.seed[0])
	return mix(a^bits.RotateLeft64(b, 32), hashC)
}

func (t *table) hashOf(remote, local *Addr) uint64 {
	return t.hash(&remote.IP, &local.IP, remote.Port, local.Port)
}

func (t *table) tag(hash uint64) uint32 { return uint32(hash) << t.numbits }

// find returns the number of the connection that a packet is of, none if there is none.
func (t *table) find(h *datapath.PHV) int32 {
	return t.search(t.hash(&h.IPSrc, &h.IPDst, h.SrcPort, h.DstPort), &h.IPSrc, &h.IPDst, h.SrcPort, h.DstPort)
}

// at is find by addresses.
func (t *table) at(remote, local *Addr) int32 {
	return t.search(t.hashOf(remote, local), &remote.IP, &local.IP, remote.Port, local.Port)
}

func (t *table) search(hash uint64, remote, local *[16]byte, remotePort, localPort uint16) int32 {
	mask := uint64(len(t.index) - 1)
	tag, number := t.tag(hash), uint32(1)<<t.numbits-1
	for i := hash >> t.shift; ; i++ {
		v := t.index[i&mask]
		if v == 0 {
			return none
		}
		if v&^number != tag {
			continue
		}
		n := int32(v&number - 1)
		if c := t.conn(n); c.remote.Port == remotePort && c.local.Port == localPort && c.remote.IP == *remote && c.local.IP == *local {
			return n
		}
	}
}

// insert makes a connection of these addresses; none if there is no room.
func (t *table) insert(k kind, remote, local Addr) int32 {
	n := t.take(k)
	if n == none {
		n = t.take(1 - k)
	}
	if n == none {
		return none
	}
	t.used++
	if at := &t.exch[n/blockLen]; k == client && *at == nil {
		*at = new([blockLen]exchange)
	}
	hash := t.hashOf(&remote, &local)
	mask := uint64(len(t.index) - 1)
	i := hash >> t.shift
	for t.index[i&mask] != 0 {
		i++
	}
	t.index[i&mask] = t.tag(hash) | uint32(n+1)
	*t.conn(n) = newConn(remote, local)
	return n
}

// remove takes connection n out. Elements of the index that were pushed past its
// place move back, so that there are no gaps to skip.
func (t *table) remove(n int32) {
	mask := uint64(len(t.index) - 1)
	number := uint32(1)<<t.numbits - 1
	home := func(n int32) uint64 {
		c := t.conn(n)
		return t.hashOf(&c.remote, &c.local) >> t.shift
	}
	i := home(n)
	for t.index[i&mask]&number != uint32(n+1) {
		i++
	}
	for hole := i; ; {
		i++
		v := t.index[i&mask]
		if v == 0 {
			t.index[hole&mask] = 0
			break
		}
		if (i-home(int32(v&number-1)))&mask >= (i-hole)&mask {
			t.index[hole&mask] = v
			hole = i
		}
	}
	t.used--
	t.give(n)
}
