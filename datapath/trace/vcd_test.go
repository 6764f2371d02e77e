package trace_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// wave is a waveform as a strict reader sees it.
type wave struct {
	vars  map[string]*variable // by scope and name
	ids   map[string]*variable
	times int
	last  int64
}

type variable struct {
	kind    string
	width   int
	value   string
	changes []change
}

type change struct {
	at    int64
	value string
}

// readVCD reads a waveform and refuses what IEEE 1364-2005, 18.2 does not
// allow.
func readVCD(t testing.TB, file []byte) *wave {
	t.Helper()
	w := &wave{vars: map[string]*variable{}, ids: map[string]*variable{}, last: -1}
	tokens := strings.Fields(string(file))
	next := func() string {
		require.NotEmpty(t, tokens, "the file ends early")
		s := tokens[0]
		tokens = tokens[1:]
		return s
	}
	end := func() { require.Equal(t, "$end", next()) }
	var scope []string
	scopes := map[string]bool{}
	for head := true; head; {
		switch key := next(); key {
		case "$version", "$comment", "$date":
			for next() != "$end" {
			}
		case "$timescale":
			unit := ""
			for s := next(); s != "$end"; s = next() {
				unit += s
			}
			require.Equal(t, "1ps", unit)
		case "$scope":
			require.Equal(t, "module", next())
			scope = append(scope, identifier(t, next()))
			require.False(t, scopes[strings.Join(scope, ".")], "scope twice: %v", scope)
			scopes[strings.Join(scope, ".")] = true
			end()
		case "$upscope":
			require.NotEmpty(t, scope)
			scope = scope[:len(scope)-1]
			end()
		case "$var":
			kind := next()
			require.Contains(t, []string{"wire", "reg", "integer", "event"}, kind)
			width, err := strconv.Atoi(next())
			require.NoError(t, err)
			require.Positive(t, width)
			id := next()
			name := strings.Join(append(scope[:len(scope):len(scope)], identifier(t, next())), ".")
			require.Nil(t, w.vars[name], "declared twice: %s", name)
			v := w.ids[id]
			if v == nil {
				v = &variable{kind: kind, width: width}
				w.ids[id] = v
			}
			require.Equal(t, [2]any{v.kind, v.width}, [2]any{kind, width}, "an alias differs: %s", name)
			w.vars[name] = v
			if r := next(); r != "$end" {
				require.Equal(t, "["+strconv.Itoa(width-1)+":0]", r)
				end()
			}
		case "$enddefinitions":
			require.Empty(t, scope)
			end()
			head = false
		default:
			t.Fatalf("in the head: %q", key)
		}
	}
	dump, dumped := false, false
	for len(tokens) > 0 {
		s := next()
		switch {
		case s == "$dumpvars":
			require.False(t, dumped)
			require.Equal(t, 1, w.times)
			dump, dumped = true, true
		case s == "$end":
			require.True(t, dump)
			dump = false
			for name, v := range w.vars {
				require.True(t, v.kind == "event" || v.value != "", "no first value: %s", name)
			}
		case s[0] == '#':
			n, err := strconv.ParseInt(s[1:], 10, 64)
			require.NoError(t, err)
			require.Greater(t, n, w.last)
			w.last = n
			w.times++
		case s[0] == 'b':
			w.set(t, next(), s[1:])
		case strings.ContainsRune("01xz", rune(s[0])):
			require.Equal(t, 1, w.ids[s[1:]].width)
			w.set(t, s[1:], s[:1])
		default:
			t.Fatalf("value change %q", s)
		}
	}
	require.True(t, dumped && !dump)
	return w
}

func identifier(t testing.TB, s string) string {
	require.Regexp(t, `^[A-Za-z_][A-Za-z0-9_]*$`, s)
	return s
}

func (w *wave) set(t testing.TB, id, bits string) {
	v := w.ids[id]
	require.NotNil(t, v, "unknown variable %s", id)
	require.NotEqual(t, int64(-1), w.last, "a value before the first time")
	require.LessOrEqual(t, len(bits), v.width)
	require.Empty(t, strings.Trim(bits, "01xz"))
	fill := "0"
	if bits[0] == 'x' || bits[0] == 'z' {
		fill = bits[:1]
	}
	v.value = strings.Repeat(fill, v.width-len(bits)) + bits
	v.changes = append(v.changes, change{w.last, v.value})
}

// at is what a variable showed just before a time; what is written at time 0
// counts as before it.
func (v *variable) at(t int64) string {
	s := ""
	for _, c := range v.changes {
		if c.at >= t && c.at > 0 {
			break
		}
		s = c.value
	}
	return s
}

// sampled is one beat that a wire moved, as the clock's rising edges show it.
type sampled struct {
	at                                       int64
	tlast, tkeep, tdata, tuser, tdest, frame string
}

// beats samples a wire at the rising edges of its clock.
func (w *wave) beats(t testing.TB, scope string) (moved []sampled, valid int) {
	clk, last := w.vars[scope+".aclk"], "0"
	require.NotNil(t, clk)
	see := func(name string, at int64) string { return w.vars[scope+"."+name].at(at) }
	for _, c := range clk.changes {
		if rising := last == "0" && c.value == "1"; rising && see("tvalid", c.at) == "1" {
			valid++
			if see("tready", c.at) == "1" {
				moved = append(moved, sampled{c.at, see("tlast", c.at), see("tkeep", c.at), see("tdata", c.at), see("tuser", c.at), see("tdest", c.at), see("frame", c.at)})
			} else {
				require.Equal(t, "0", see("tready", c.at))
			}
		}
		last = c.value
	}
	return moved, valid
}

func number(t testing.TB, bits string) uint64 {
	n, err := strconv.ParseUint(bits, 2, 64)
	require.NoError(t, err, bits)
	return n
}

func TestVCDShowsEveryBeat(t *testing.T) {
	r := full(t, 30)
	var buf bytes.Buffer
	v, rec := trace.NewVCD(&buf, r.net, r.data), &trace.Recorder{}
	r.tick(t, v, rec)
	require.NoError(t, v.Close())
	w := readVCD(t, buf.Bytes())
	for _, wire := range r.net.Wires {
		scope := "meshnic." + strings.ReplaceAll(wire.Name, ".", "_")
		got, valid := w.beats(t, scope)
		stood, offered := 0, sim.Cycle(0)
		n := 0
		for e := range rec.All() {
			if e.Wire != wire {
				continue
			}
			if e.Kind == trace.Offer {
				offered = e.Cycle
				continue
			}
			stood += int(e.Cycle-offered) + 1
			require.Less(t, n, len(got), "%s: beats are missing", wire.Name)
			g, b := got[n], e.Beat
			n++
			require.Equal(t, int64(e.Time), g.at, "%s: beat %d", wire.Name, n)
			require.Equal(t, uint64(b.Frame), number(t, g.frame))
			require.Equal(t, uint64(b.Dest), number(t, g.tdest))
			require.Equal(t, [2]bool{b.Last, b.Bad}, [2]bool{g.tlast == "1", g.tuser == "1"})
			require.Equal(t, uint64(1)<<b.Bytes-1, number(t, g.tkeep))
			data := r.data(wire, b.Frame)[b.Off:][:b.Bytes]
			var want uint64
			for i, x := range data {
				want |= uint64(x) << (8 * i)
			}
			require.Equal(t, want, number(t, g.tdata))
		}
		require.Len(t, got, n, wire.Name)
		require.Equal(t, stood, valid, "%s: edges at which a beat stood", wire.Name)
	}
}

func TestVCDShowsDrops(t *testing.T) {
	r := full(t, 80)
	var buf bytes.Buffer
	v, rec := trace.NewVCD(&buf, r.net, nil), &trace.Recorder{}
	r.tick(t, v, rec)
	require.NoError(t, v.Close())
	w := readVCD(t, buf.Bytes())
	var want, got []int64
	for e := range rec.All() {
		if e.Kind == trace.Drop {
			want = append(want, int64(e.Time))
		}
	}
	for _, c := range w.vars["meshnic.queue.drop"].changes {
		got = append(got, c.at)
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
	require.Nil(t, w.vars["meshnic.skid.drop"])
}

func TestVCDDoesNotKnow(t *testing.T) {
	n := &sim.Net{}
	d := n.Clock("a clock", 4000, 0)
	out, same := n.Wire("out", d, 4), n.Wire("a.b", d, 4)
	other := n.Wire("a_b", d, 4)
	var buf bytes.Buffer
	v := trace.NewVCD(&buf, n, func(w *sim.Wire, _ uint32) []byte {
		if w == out {
			return []byte{0x11, 0x22, 0x33}
		}
		return nil
	})
	see := func(w *sim.Wire, at sim.Cycle, b sim.Beat) { v.Offered(w, at, b); v.Accepted(w, at, b) }
	see(out, 0, sim.Beat{Frame: 1, Off: -2, Bytes: 4, Left: 5, First: true}) // two bytes of a header
	see(out, 1, sim.Beat{Frame: 1, Off: 2, Bytes: 1, Left: 1, Last: true})
	see(out, 2, sim.Beat{Frame: 1, Off: 2, Bytes: 2, Left: 2, Last: true}) // longer than what is known
	see(same, 5, sim.Beat{Frame: 1, Bytes: 3, Left: 3, Last: true})
	require.NoError(t, v.Close())
	w := readVCD(t, buf.Bytes())
	require.Contains(t, w.vars, "meshnic.a_b.tvalid")
	require.Contains(t, w.vars, "meshnic.a_b_2.tvalid", "names stay apart: %s", other.Name)
	require.Contains(t, w.vars, "meshnic.clocks.a_clock")
	got, _ := w.beats(t, "meshnic.out")
	require.Len(t, got, 3)
	x := strings.Repeat("x", 8)
	require.Equal(t, "00100010"+"00010001"+x+x, got[0].tdata)
	require.Equal(t, strings.Repeat("0", 24)+"00110011", got[1].tdata)
	require.Equal(t, strings.Repeat("0", 16)+x+"00110011", got[2].tdata)
	require.Equal(t, "0011", got[2].tkeep)
	require.Equal(t, "x", w.vars["meshnic.out.tready"].at(20_000), "nobody knows whether it is ready")
	got, _ = w.beats(t, "meshnic.a_b")
	require.Equal(t, strings.Repeat("0", 8)+x+x+x, got[0].tdata)
}

func TestVCDLeavesIdleTimeOut(t *testing.T) {
	frames := []sim.Frame{{ID: 1, Bytes: 8}, {ID: 2, Bytes: 8, At: 1_000_000_000}}
	r := row(t, frames, "none", skid("skid"))
	var buf bytes.Buffer
	v := trace.NewVCD(&buf, r.net, nil)
	e, err := sim.NewTicker(r.net, v)
	require.NoError(t, err)
	require.True(t, e.Run(2e9))
	require.NoError(t, v.Close())
	w := readVCD(t, buf.Bytes())
	require.Less(t, w.times, 100)
	got, _ := w.beats(t, "meshnic.skid_out")
	require.Len(t, got, 2)
	require.EqualValues(t, 1_000_004_000, got[1].at)
	require.Equal(t, "x", w.vars["meshnic.clocks.core"].at(500_000_000))
}

// The tools of GTKWave read it, and write the same signals back.
func TestVCDAgainstGTKWave(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	for _, tool := range []string{"vcd2fst", "fst2vcd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s of GTKWave is not installed", tool)
		}
	}
	r := full(t, 30)
	dir := t.TempDir()
	file, fst := filepath.Join(dir, "a.vcd"), filepath.Join(dir, "a.fst")
	f, err := os.Create(file)
	require.NoError(t, err)
	v := trace.NewVCD(f, r.net, r.data)
	r.tick(t, v)
	require.NoError(t, v.Close())
	require.NoError(t, f.Close())
	out, err := exec.Command("vcd2fst", file, fst).CombinedOutput()
	require.NoError(t, err, string(out))
	back, err := exec.Command("fst2vcd", fst).Output()
	require.NoError(t, err)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	ours, theirs := readVCD(t, text), readVCD(t, back)
	for name, v := range ours.vars {
		if v.kind == "event" {
			continue
		}
		require.Contains(t, theirs.vars, name)
		for at := int64(1); at <= ours.last; at += 997 {
			require.Equal(t, v.at(at), theirs.vars[name].at(at), "%s before %d ps", name, at)
		}
	}
}
