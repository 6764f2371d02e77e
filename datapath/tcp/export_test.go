package tcp

import (
	"testing"
	"unsafe"

	"github.com/meshnic/meshnic/datapath"
)

// HashOf is what Process looks for p's flow by.
func HashOf(t *Tracker, p *datapath.Packet) Hint {
	k := keyOf(&p.PHV)
	return Hint(t.table.hash(&k))
}

// The flow table's memory is laid out in whole cache lines: who and when, then
// one for each side.
func TestEntryIsThreeCacheLines(t *testing.T) {
	const line = 64
	var e entry
	if unsafe.Sizeof(e) != 3*line || unsafe.Offsetof(e.dir) != line || unsafe.Sizeof(e.dir[0]) != line {
		t.Fatalf("an entry is %d bytes, its sides begin at %d", unsafe.Sizeof(e), unsafe.Offsetof(e.dir))
	}
	tab := newTable(1<<10, 0)
	if a := uintptr(unsafe.Pointer(&tab.entries[0])); a%line != 0 {
		t.Fatalf("the table begins at %#x", a)
	}
}

// The hash does not care who speaks, spreads, and depends on the seed.
func TestHash(t *testing.T) {
	tab, other := newTable(1<<14, 1), newTable(1<<14, 2)
	used := map[uint64]int{}
	for i := range uint64(1 << 14) {
		k := key{srcLo: 0xffff<<16 | (10+i>>8)<<32, dstLo: 0xffff<<16 | 99<<56, srcPort: uint16(i), dstPort: 80}
		back := k.reverse()
		h := tab.hash(&k)
		if h != tab.hash(&back) {
			t.Fatal("both directions must hash alike")
		}
		if h == other.hash(&k) {
			t.Fatal("the seed must matter")
		}
		used[h>>tab.shift]++
		swapped := k
		swapped.srcPort, swapped.dstPort = k.dstPort, k.srcPort
		if k.srcPort != k.dstPort && h == tab.hash(&swapped) {
			t.Fatal("ports belong to their address")
		}
	}
	most := 0
	for _, n := range used {
		most = max(most, n)
	}
	if most > 8 {
		t.Fatalf("%d of 2^14 flows share one of 2^15 places", most)
	}
}
