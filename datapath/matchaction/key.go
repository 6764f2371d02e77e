package matchaction

import (
	"fmt"
	"math/bits"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/wire"
)

// Kind is how a field is matched.
type Kind uint8

// The kinds.
const (
	Exact   Kind = iota
	LPM          // longest prefix; one field of a table at most
	Ternary      // value and mask; not in one table with LPM
)

// KeyField is one field of a table's key.
type KeyField struct {
	Field datapath.Field
	Kind  Kind
}

// keyWords is the width of a key: 320 bits, enough for an IPv6 5-tuple.
const keyWords = 5

// Key is a packed key: the fields in order from the lowest bit up.
type Key [keyWords]uint64

// MACKey is the key of (VLAN, Ethernet address), for tables of exactly these.
// Learn and Get take it without a Packet.
func MACKey(vlan uint16, m wire.MAC) Key { return Key{uint64(vlan) | m.Uint64()<<12} }

// Match is what one field of an entry must be.
type Match struct {
	value, mask datapath.Value
	prefix      bool // made by Prefix
	len         int  // of a prefix, in bits
}

var allOnes = datapath.Value{Hi: ^uint64(0), Lo: ^uint64(0)}

// Exactly matches one value.
func Exactly(v datapath.Value) Match { return Match{value: v, mask: allOnes} }

// Masked matches the values that agree with v where mask is one.
func Masked(v, mask datapath.Value) Match { return Match{value: v, mask: mask} }

// Any matches every value.
func Any() Match { return Match{} }

// Prefix matches values whose first n bits, of the field's width, are those of v.
func Prefix(v datapath.Value, n int) Match { return Match{v, allOnes, true, n} }

// Prefix4 matches IPv4 addresses whose first n bits are those of a.
func Prefix4(a [4]byte, n int) Match { return Prefix(datapath.IPValue(wire.MapIPv4(a)), n+mappedBits) }

// mappedBits is the length of ::ffff:0:0, where IPv4 addresses are mapped to.
const mappedBits = 96

// fieldAt is where a field lies in a Key.
type fieldAt struct {
	KeyField
	off, width uint
}

// layout is the form of a table's keys.
type layout struct {
	fields []fieldAt
	words  int
	family bool // the key has an LPM field of IP addresses
}

func newLayout(key []KeyField) (l layout, kind Kind, err error) {
	off := uint(0)
	lpms := 0
	for _, f := range key {
		if f.Field >= datapath.NumFields || f.Kind > Ternary {
			return l, 0, fmt.Errorf("matchaction: key field %v, kind %d", f.Field, f.Kind)
		}
		switch f.Kind {
		case LPM:
			lpms++
			l.family = f.Field == datapath.FieldIPSrc || f.Field == datapath.FieldIPDst
		case Ternary:
			kind = Ternary
		}
		l.fields = append(l.fields, fieldAt{f, off, uint(f.Field.Bits())})
		off += uint(f.Field.Bits())
	}
	switch {
	case len(key) == 0:
		return l, 0, fmt.Errorf("matchaction: no key")
	case off > 64*keyWords:
		return l, 0, fmt.Errorf("matchaction: key has %d bits, want at most %d", off, 64*keyWords)
	case lpms > 1 || lpms == 1 && kind == Ternary:
		return l, 0, fmt.Errorf("matchaction: one LPM field at most, and none beside ternary ones")
	case lpms == 1:
		kind = LPM
	}
	l.words = int(off+63) / 64
	return l, kind, nil
}

// or puts v, which has at most width bits, at bit off of k.
func (k *Key) or(v datapath.Value, off, width uint) {
	w, s := off/64, off%64
	k[w] |= v.Lo << s
	if s+width > 64 {
		k[w+1] |= v.Lo>>(64-s) | v.Hi<<s // for s = 0 the first shift gives 0
		if s > 0 && s+width > 128 {
			k[w+2] |= v.Hi >> (64 - s)
		}
	}
}

// of returns p's key.
func (l *layout) of(p *datapath.Packet) (k Key) {
	for i := range l.fields {
		f := &l.fields[i]
		if v := p.Field(f.Field); f.off&63+f.width <= 64 {
			k[f.off/64] |= v.Lo << (f.off & 63)
		} else {
			k.or(v, f.off, f.width)
		}
	}
	return k
}

func ones(n uint) datapath.Value {
	switch {
	case n >= 128:
		return allOnes
	case n >= 64:
		return datapath.Value{Hi: 1<<(n-64) - 1, Lo: ^uint64(0)}
	}
	return datapath.Value{Lo: 1<<n - 1}
}

func and(a, b datapath.Value) datapath.Value {
	return datapath.Value{Hi: a.Hi & b.Hi, Lo: a.Lo & b.Lo}
}

func andNot(a, b datapath.Value) datapath.Value {
	return datapath.Value{Hi: a.Hi &^ b.Hi, Lo: a.Lo &^ b.Lo}
}

// pattern packs an entry's match: masked key, mask, and the prefix length.
func (l *layout) pattern(match []Match) (key, mask Key, prefix int, err error) {
	if len(match) != len(l.fields) {
		return key, mask, 0, fmt.Errorf("matchaction: %d matches for %d key fields", len(match), len(l.fields))
	}
	for i, m := range match {
		f := &l.fields[i]
		width := ones(f.width)
		fieldMask := and(m.mask, width)
		if !m.value.Fits(int(f.width)) {
			return key, mask, 0, fmt.Errorf("matchaction: %v: value is wider than %d bits", f.Field, f.width)
		}
		switch f.Kind {
		case Exact:
			if m.prefix || fieldMask != width {
				return key, mask, 0, fmt.Errorf("matchaction: %v is matched exactly", f.Field)
			}
		case LPM:
			prefix = m.len
			if !m.prefix && fieldMask == width {
				prefix = int(f.width) // Exactly
			} else if !m.prefix {
				prefix = -1
			}
			if prefix < 0 || prefix > int(f.width) {
				return key, mask, 0, fmt.Errorf("matchaction: %v is matched by a prefix of 0 to %d bits", f.Field, f.width)
			}
			fieldMask = andNot(width, ones(f.width-uint(prefix)))
		case Ternary:
			if m.prefix {
				return key, mask, 0, fmt.Errorf("matchaction: %v is matched by value and mask", f.Field)
			}
		}
		if and(m.value, fieldMask) != m.value && m.mask != (datapath.Value{}) {
			return key, mask, 0, fmt.Errorf("matchaction: %v: value has bits outside its mask", f.Field)
		}
		key.or(and(m.value, fieldMask), f.off, f.width)
		mask.or(fieldMask, f.off, f.width)
	}
	return key, mask, prefix, nil
}

func (k *Key) and(mask *Key) Key {
	return Key{k[0] & mask[0], k[1] & mask[1], k[2] & mask[2], k[3] & mask[3], k[4] & mask[4]}
}

// Odd constants for multiplication, as in tcp.
const (
	hashA = 0x9e3779b97f4a7c15
	hashB = 0x6a09e667f3bcc909
)

func hashWord(w, seed uint64) uint64 {
	hi, lo := bits.Mul64(w^seed^hashA, hashB)
	return (hi ^ lo) * hashA
}

func (k *Key) hash(words int, seed uint64) uint64 {
	h := seed ^ hashA
	for _, w := range k[:words] {
		hi, lo := bits.Mul64(w^h, hashB)
		h = hi ^ lo ^ hashA
	}
	hi, lo := bits.Mul64(h, hashA)
	return hi ^ lo
}
