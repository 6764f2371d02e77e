package splice

import (
	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
)

// blockLen is how many connections get their memory at once: 96 KiB.
const blockLen = 512

// table finds connections by their addresses. They lie in blocks, which are made when they
// are first needed.
type table struct {
	conns []*[blockLen]conn
	exch  []*[blockLen]exchange // of the same numbers, in blocks that have had a client
	made  int                   // blocks
	size  int                   // connections there is room for
	used  int
	index flowindex.Index
	stock [2]stock // of numbers, by kind
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
	return table{
		conns: make([]*[blockLen]conn, blocks),
		exch:  make([]*[blockLen]exchange, blocks),
		size:  n,
		index: flowindex.New(n, seed),
		stock: [2]stock{{free: none}, {free: none}},
	}
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

// find returns the number of the connection that a packet is of, whose key is k; none if there is
// none.
func (t *table) find(k *flowindex.Key, h *datapath.PHV) int32 {
	for p := t.index.Probe(t.index.Hash(k)); ; {
		n, ok := t.index.Next(&p)
		if !ok {
			return none
		}
		if c := t.conn(int32(n)); c.remote.Port == h.SrcPort && c.local.Port == h.DstPort && c.remote.IP == h.IPSrc && c.local.IP == h.IPDst {
			return int32(n)
		}
	}
}

// at is find by addresses.
func (t *table) at(remote, local *Addr) int32 {
	k := keyOf(remote, local)
	return t.find(&k, &datapath.PHV{IPSrc: remote.IP, IPDst: local.IP, SrcPort: remote.Port, DstPort: local.Port})
}

func keyOf(remote, local *Addr) flowindex.Key {
	return flowindex.Between(&remote.IP, &local.IP, remote.Port, local.Port, 0)
}

func (t *table) hash(remote, local *Addr) uint64 {
	k := keyOf(remote, local)
	return t.index.Hash(&k)
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
	t.index.Insert(t.hash(&remote, &local), uint32(n))
	*t.conn(n) = newConn(remote, local)
	return n
}

func (t *table) hashOf(n uint32) uint64 {
	c := t.conn(int32(n))
	return t.hash(&c.remote, &c.local)
}

// remove takes connection n out.
func (t *table) remove(n int32) {
	t.index.Remove(t.hashOf(uint32(n)), uint32(n), t.hashOf)
	t.used--
	t.give(n)
}
