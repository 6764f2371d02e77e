package trace

import (
	"fmt"
	"strconv"

	"github.com/meshnic/meshnic/datapath/sim"
)

// vcdWire is one wire's signals and what they show.
type vcdWire struct {
	*sim.Wire
	valid, ready, last, keep, data, user, dest, frame string // identifier codes

	shown, next cell
	due         bool
	bits        []byte // what tdata shows
}

// vcdDrop is the signals of a stage that can drop.
type vcdDrop struct{ event, frame, why string }

// code is the identifier code of variable n: printable characters.
func code(n int) string {
	s := []byte{byte('!' + n%94)}
	for n /= 94; n > 0; n /= 94 {
		s = append(s, byte('!'+n%94))
	}
	return string(s)
}

// scopes gives each scope a name of its own without characters that readers
// take for separators.
type scopes map[string]bool

func (u scopes) name(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			b[i] = '_'
		}
	}
	if len(b) == 0 || b[0] >= '0' && b[0] <= '9' {
		b = append([]byte{'_'}, b...)
	}
	name := string(b)
	for n := 2; u[name]; n++ {
		name = string(b) + "_" + strconv.Itoa(n)
	}
	u[name] = true
	return name
}

// head writes the declarations and the first values.
func (v *VCD) head(net *sim.Net) {
	n := 0
	declare := func(kind string, width int, name string) string {
		id := code(n)
		n++
		v.declare(kind, width, id, name)
		return id
	}
	names := scopes{}
	v.line("$version meshnic $end")
	v.line("$comment signals change half a period before the edge that samples them; x: means nothing, or is not known $end")
	v.line("$timescale 1 ps $end")
	v.line("$scope module meshnic $end")
	v.scope(names.name("clocks"))
	clocks := scopes{}
	for _, d := range net.Domains {
		v.clocks = append(v.clocks, vcdClock{Domain: d, id: declare("wire", 1, clocks.name(d.Name))})
	}
	v.line("$upscope $end")
	for _, w := range net.Wires {
		v.scope(names.name(w.Name))
		for i := range v.clocks {
			if c := &v.clocks[i]; c.Domain == w.Clock {
				v.declare("wire", 1, c.id, "aclk")
			}
		}
		v.wires = append(v.wires, vcdWire{Wire: w,
			valid: declare("wire", 1, "tvalid"), ready: declare("wire", 1, "tready"), last: declare("wire", 1, "tlast"),
			keep: declare("wire", w.Width, "tkeep"), data: declare("wire", 8*w.Width, "tdata"), user: declare("wire", 1, "tuser"),
			dest: declare("wire", 8, "tdest"), frame: declare("integer", 32, "frame")})
		v.line("$upscope $end")
	}
	v.drops = make([]vcdDrop, len(net.Stages))
	for i, s := range net.Stages {
		if _, ok := s.(sim.Lossy); ok {
			v.scope(names.name(net.Name(i)))
			v.drops[i] = vcdDrop{declare("event", 1, "drop"), declare("integer", 32, "frame"), declare("reg", 8, "why")}
			v.line("$upscope $end")
		}
	}
	v.line("$upscope $end")
	v.line("$enddefinitions $end")
	v.at(0)
	v.line("$dumpvars")
	for _, c := range v.clocks {
		v.bit('0', c.id)
	}
	for i := range v.wires {
		w := &v.wires[i]
		v.bit('0', w.valid)
		v.unknown(w)
		v.bit('x', w.ready)
	}
	for _, d := range v.drops {
		if d.event != "" {
			v.bits("bx", d.frame)
			v.bits("bx", d.why)
		}
	}
	v.line("$end")
}

func (v *VCD) scope(name string) { v.line("$scope module " + name + " $end") }

func (v *VCD) declare(kind string, width int, id, name string) {
	if width > 1 && kind != "integer" {
		name += fmt.Sprintf(" [%d:0]", width-1)
	}
	v.line(fmt.Sprintf("$var %s %d %s %s $end", kind, width, id, name))
}

// show writes the signals of a wire that differ from what they show.
func (v *VCD) show(t sim.Picos, w *vcdWire) {
	if !w.due {
		return
	}
	old, c := w.shown, w.next
	w.due, w.shown = false, c
	if old == c {
		return
	}
	v.at(t)
	if old.valid != c.valid {
		v.bit(bit(c.valid), w.valid)
	}
	if !c.valid {
		v.bit('x', w.ready)
		v.unknown(w)
		return
	}
	if !old.valid || old.ready != c.ready {
		v.bit(bit(c.ready), w.ready)
	}
	a, b := old.beat, c.beat
	if !old.valid || a.Last != b.Last {
		v.bit(bit(b.Last), w.last)
	}
	if !old.valid || a.Bad != b.Bad {
		v.bit(bit(b.Bad), w.user)
	}
	if !old.valid || a.Dest != b.Dest {
		v.number(uint64(b.Dest), w.dest)
	}
	if !old.valid || a.Frame != b.Frame {
		v.number(uint64(b.Frame), w.frame)
	}
	if !old.valid || a.Bytes != b.Bytes {
		v.keep(int(b.Bytes), w)
	}
	if !old.valid || a != b {
		v.word(b, w)
	}
}

// unknown shows that nothing on the wire means anything.
func (v *VCD) unknown(w *vcdWire) {
	v.bit('x', w.last)
	v.bit('x', w.user)
	v.bits("bx", w.keep)
	v.bits("bx", w.data)
	v.bits("bx", w.dest)
	v.bits("bx", w.frame)
	w.bits = append(w.bits[:0], "bx"...)
}

func bit(b bool) byte {
	if b {
		return '1'
	}
	return '0'
}

func (v *VCD) keep(n int, w *vcdWire) {
	v.text = append(v.text[:0], 'b')
	if n < w.Width {
		v.text = append(v.text, '0') // a vector that begins with 0 or 1 is filled with 0
	}
	for range min(n, w.Width) {
		v.text = append(v.text, '1')
	}
	v.bits(string(v.text), w.keep)
}

// word writes tdata, the first byte in the low bits. Bytes that tkeep does not
// count are 0.
func (v *VCD) word(b sim.Beat, w *vcdWire) {
	data := v.data.of(w.Wire, b.Frame)
	v.text = append(v.text[:0], 'b')
	if int(b.Bytes) < w.Width {
		v.text = append(v.text, '0')
	}
	for i := int(b.Bytes) - 1; i >= 0; i-- {
		at := int(b.Off) + i
		if at < 0 || at >= len(data) {
			v.text = append(v.text, "xxxxxxxx"...)
			continue
		}
		for m := byte(0x80); m > 0; m >>= 1 {
			v.text = append(v.text, bit(data[at]&m != 0))
		}
	}
	if string(v.text) != string(w.bits) {
		w.bits = append(w.bits[:0], v.text...)
		v.bits(string(v.text), w.data)
	}
}

func (v *VCD) drop(t sim.Picos, c change) {
	d := v.drops[c.stage]
	if d.event == "" {
		return
	}
	v.at(t)
	v.bit('1', d.event)
	v.number(uint64(c.frame), d.frame)
	v.number(uint64(c.why), d.why)
}

// at writes a time, if it is not the one that was written last.
func (v *VCD) at(t sim.Picos) {
	if t > v.now || !v.stamped {
		v.now, v.stamped = t, true
		v.line("#" + strconv.FormatInt(int64(t), 10))
	}
}

func (v *VCD) bit(b byte, id string)      { v.line(string(b) + id) }
func (v *VCD) bits(bits, id string)       { v.line(bits + " " + id) }
func (v *VCD) number(n uint64, id string) { v.bits("b"+strconv.FormatUint(n, 2), id) }

func (v *VCD) line(s string) {
	if v.err == nil {
		_, v.err = v.w.WriteString(s)
	}
	if v.err == nil {
		v.err = v.w.WriteByte('\n')
	}
}
