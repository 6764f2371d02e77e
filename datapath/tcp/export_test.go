package tcp

import (
	"testing"
	"unsafe"

	"github.com/meshnic/meshnic/datapath"
	"github.com/meshnic/meshnic/datapath/tcp/flowindex"
)

// HashOf is what Process looks for p's flow by.
func HashOf(t *Tracker, p *datapath.Packet) Hint {
	k := flowindex.Of(&p.PHV)
	return Hint(t.table.index.Hash(&k))
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
