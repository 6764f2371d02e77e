package matchaction_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	. "github.com/meshnic/meshnic/datapath/matchaction"
	"github.com/meshnic/meshnic/datapath/wire"
)

func newTable(t testing.TB, capacity int, key ...KeyField) *Table {
	tab, err := New(Config{Name: "test", Key: key, Capacity: capacity})
	require.NoError(t, err)
	return tab
}

func ip(s string) datapath.Value { return datapath.IPValue(IP(s)) }

func to(p datapath.Port) []Action { return []Action{Forward(datapath.PortSet(0).Add(p))} }

const port1, port2, port3 = datapath.PortSet(1 << 1), datapath.PortSet(1 << 2), datapath.PortSet(1 << 3)

var tcp80 = Eth().IPv4("10.1.2.3", "10.4.5.6").TCP(4000, 80, "S")

// Each action as data, on packets that have what it needs and packets that have
// not.
func TestActions(t *testing.T) {
	arp := Eth().ARP(1, DefaultSrc, "10.0.0.1", DefaultDst, "10.0.0.2")
	for _, tt := range []struct {
		name    string
		actions []Action
		row     Row
	}{
		{"none continues", nil, Row{In: tcp80, Out: tcp80}},
		{"forward", to(1), Row{In: tcp80, Out: tcp80, Verdict: datapath.Forward, Egress: port1}},
		{"forward to several", []Action{Forward(port1 | port2)}, Row{In: tcp80, Verdict: datapath.Forward, Egress: port1 | port2}},
		{"drop", []Action{Drop()}, Row{In: tcp80, Verdict: datapath.Drop, Reason: datapath.DropTable}},
		{"punt", []Action{Punt()}, Row{In: tcp80, Verdict: datapath.Punt}},
		{"mirror continues", []Action{Mirror(port3)}, Row{In: tcp80, Mirror: port3}},
		{"mirror twice", []Action{Mirror(port3), Mirror(port2), Drop()}, Row{In: tcp80, Mirror: port2 | port3, Verdict: datapath.Drop, Reason: datapath.DropTable}},
		{"set field", []Action{SetField(datapath.FieldDstPort, datapath.Uint(8080))}, Row{In: tcp80, Out: Eth().IPv4("10.1.2.3", "10.4.5.6").TCP(4000, 8080, "S")}},
		{"NAT and forward", []Action{SetField(datapath.FieldIPDst, ip("192.0.2.9")), SetField(datapath.FieldTTL, datapath.Uint(63)), Forward(port1)},
			Row{In: tcp80, Out: Eth().IPv4("10.1.2.3", "192.0.2.9").TCP(4000, 80, "S").TTL(63), Verdict: datapath.Forward, Egress: port1}},
		{"set field without its header", []Action{SetField(datapath.FieldDstPort, datapath.Uint(8080))}, Row{In: arp, Out: arp}},
		{"set IPv6 address on IPv4", []Action{SetField(datapath.FieldIPDst, ip("2001:db8::1"))}, Row{In: tcp80, Out: tcp80}},
		{"push", []Action{SetField(datapath.FieldVLAN, datapath.Uint(7))}, Row{In: tcp80, Out: Eth().VLAN(7).IPv4("10.1.2.3", "10.4.5.6").TCP(4000, 80, "S")}},
		{"count continues", []Action{Count("seen")}, Row{In: tcp80, Out: tcp80}},
	} {
		tt.row.Name = tt.name
		for _, missing := range []bool{false, true} { // by an entry and as what a miss does
			tab := newTable(t, 4, KeyField{Field: datapath.FieldInPort})
			if missing {
				require.NoError(t, tab.SetMiss(tt.actions...))
			} else {
				require.NoError(t, tab.Add(Entry{Match: []Match{Exactly(datapath.Uint(0))}, Actions: tt.actions}))
			}
			Run(t, func(testing.TB) datapath.Stage { return tab }, []Row{tt.row})
			absent := uint64(0)
			if strings.Contains(tt.name, "without") || strings.Contains(tt.name, "IPv6 address on") {
				absent = 1
			}
			require.Equal(t, absent, tab.Stats().SetAbsent)
			c := Counter{1, uint64(len(tt.row.In))}
			if tt.name == "push" {
				c.Bytes = uint64(len(tcp80)) // counted as it came
			}
			if missing {
				require.Equal(t, c, tab.Stats().Miss)
				continue
			}
			require.Equal(t, c, tab.Stats().Hit)
			hits, err := tab.Hits(Exactly(datapath.Uint(0)))
			require.NoError(t, err)
			require.Equal(t, c, hits)
		}
	}
}

func TestCounters(t *testing.T) {
	tab := newTable(t, 4, KeyField{Field: datapath.FieldDstPort})
	require.NoError(t, tab.Add(Entry{Match: []Match{Exactly(datapath.Uint(80))}, Actions: []Action{Count("web"), Count("all")}}))
	require.NoError(t, tab.Add(Entry{Match: []Match{Exactly(datapath.Uint(22))}, Actions: []Action{Count("all"), Drop()}}))
	for range 3 {
		tab.Process(0, Packet(t, tcp80))
	}
	tab.Process(0, Packet(t, Eth().IPv4("10.0.0.1", "10.0.0.2").TCP(1, 22, "S")))
	got := map[string]uint64{}
	var names []string
	for name, c := range tab.Counters() {
		got[name] = c.Packets
		require.Equal(t, 54*c.Packets, c.Bytes)
		names = append(names, name)
	}
	require.Equal(t, []string{"web", "all"}, names)
	require.Equal(t, map[string]uint64{"web": 3, "all": 4}, got)
}

func TestConfigErrors(t *testing.T) {
	key := []KeyField{{Field: datapath.FieldVLAN}}
	for name, c := range map[string]Config{
		"no key":         {Capacity: 1},
		"no capacity":    {Key: key},
		"huge":           {Key: key, Capacity: MaxCapacity + 1},
		"too wide":       {Key: []KeyField{{Field: datapath.FieldIPSrc}, {Field: datapath.FieldIPDst}, {Field: datapath.FieldEthDst}, {Field: datapath.FieldEthSrc}}, Capacity: 1},
		"two prefixes":   {Key: []KeyField{{datapath.FieldIPSrc, LPM}, {datapath.FieldIPDst, LPM}}, Capacity: 1},
		"prefix, masked": {Key: []KeyField{{datapath.FieldIPSrc, LPM}, {datapath.FieldProto, Ternary}}, Capacity: 1},
		"no such field":  {Key: []KeyField{{Field: datapath.NumFields}}, Capacity: 1},
		"no such kind":   {Key: []KeyField{{datapath.FieldVLAN, 9}}, Capacity: 1},
		"miss":           {Key: key, Capacity: 1, Miss: []Action{Drop(), Punt()}},
	} {
		_, err := New(c)
		require.Error(t, err, name)
		require.True(t, strings.HasPrefix(err.Error(), "matchaction: "), err.Error())
	}
}

func TestEntryErrors(t *testing.T) {
	exact := newTable(t, 2, KeyField{Field: datapath.FieldVLAN})
	lpm := newTable(t, 2, KeyField{datapath.FieldIPDst, LPM})
	tern := newTable(t, 2, KeyField{datapath.FieldDstPort, Ternary})
	for _, tt := range []struct {
		name string
		tab  *Table
		e    Entry
		want string
	}{
		{"too few matches", exact, Entry{}, "0 matches for 1"},
		{"too wide", exact, Entry{Match: []Match{Exactly(datapath.Uint(4096))}}, "wider than 12"},
		{"mask on exact", exact, Entry{Match: []Match{Masked(datapath.Uint(1), datapath.Uint(1))}}, "exactly"},
		{"any on exact", exact, Entry{Match: []Match{Any()}}, "exactly"},
		{"prefix on exact", exact, Entry{Match: []Match{Prefix(datapath.Uint(1), 4)}}, "exactly"},
		{"prefix too long", lpm, Entry{Match: []Match{Prefix(ip("::1"), 129)}}, "0 to 128"},
		{"prefix negative", lpm, Entry{Match: []Match{Prefix(ip("::1"), -2)}}, "0 to 128"},
		{"host bits", lpm, Entry{Match: []Match{Prefix4([4]byte{10, 0, 0, 1}, 24)}}, "outside its mask"},
		{"mask on a prefix", lpm, Entry{Match: []Match{Masked(ip("::"), ip("::1"))}}, "prefix"},
		{"prefix on masked", tern, Entry{Match: []Match{Prefix(datapath.Uint(0), 4)}}, "value and mask"},
		{"value outside mask", tern, Entry{Match: []Match{Masked(datapath.Uint(3), datapath.Uint(1))}}, "outside its mask"},
		{"behind the end", exact, Entry{Match: []Match{Exactly(datapath.Uint(1))}, Actions: []Action{Drop(), Count("x")}}, "ends the list"},
		{"no operation", exact, Entry{Match: []Match{Exactly(datapath.Uint(1))}, Actions: []Action{{}}}, "no operation"},
		{"nameless counter", exact, Entry{Match: []Match{Exactly(datapath.Uint(1))}, Actions: []Action{Count("")}}, "without a name"},
		{"not settable", exact, Entry{Match: []Match{Exactly(datapath.Uint(1))}, Actions: []Action{SetField(datapath.FieldEtherType, datapath.Uint(1))}}, "cannot be set"},
		{"value does not fit", exact, Entry{Match: []Match{Exactly(datapath.Uint(1))}, Actions: []Action{SetField(datapath.FieldTTL, datapath.Uint(256))}}, "cannot be set"},
	} {
		err := tt.tab.Add(tt.e)
		require.ErrorContains(t, err, tt.want, tt.name)
		require.True(t, strings.HasPrefix(err.Error(), "matchaction: "), err.Error())
	}
	for _, tab := range []*Table{exact, lpm, tern} {
		require.Zero(t, tab.Stats().Entries, "what is refused leaves nothing")
	}
	one := []Match{Exactly(datapath.Uint(1))}
	require.ErrorIs(t, exact.Delete(one...), ErrNotFound)
	require.NoError(t, exact.Add(Entry{Match: one}))
	require.ErrorIs(t, exact.Add(Entry{Match: one}), ErrExists)
	require.NoError(t, exact.Add(Entry{Match: []Match{Exactly(datapath.Uint(2))}}))
	require.ErrorIs(t, exact.Add(Entry{Match: []Match{Exactly(datapath.Uint(3))}}), ErrFull)
	require.NoError(t, exact.Delete(one...))
	require.NoError(t, exact.Add(Entry{Match: []Match{Exactly(datapath.Uint(3))}}))
	_, err := exact.Hits(one...)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestLongestPrefixWins(t *testing.T) {
	tab := newTable(t, 16, KeyField{datapath.FieldIPDst, LPM})
	add := func(m Match, p datapath.Port) {
		require.NoError(t, tab.Add(Entry{Match: []Match{m}, Actions: to(p)}))
	}
	add(Prefix4([4]byte{}, 0), 1)
	add(Prefix4([4]byte{10}, 8), 2)
	add(Prefix4([4]byte{10, 1, 2}, 24), 3)
	add(Exactly(ip("10.1.2.3")), 4)
	add(Prefix(ip("::"), 0), 5)
	add(Prefix(ip("2001:db8::"), 32), 6)
	add(Prefix(ip("2001:db8::1"), 128), 7)
	v4 := func(dst string) Frame { return Eth().IPv4("10.9.9.9", dst).UDP(1, 2) }
	v6 := func(dst string) Frame { return Eth().IPv6("fe80::1", dst).UDP(1, 2) }
	row := func(name string, in Frame, p int) Row {
		return Row{Name: name, In: in, Verdict: datapath.Forward, Egress: 1 << p}
	}
	rows := []Row{
		row("default", v4("192.0.2.1"), 1),
		row("/8", v4("10.2.0.1"), 2),
		row("/24", v4("10.1.2.4"), 3),
		row("host", v4("10.1.2.3"), 4),
		row("IPv6 default", v6("2002::1"), 5),
		row("/32", v6("2001:db8:ffff::1"), 6),
		row("IPv6 host", v6("2001:db8::1"), 7),
		row("an IPv6 packet to a mapped address is IPv6", v6("::ffff:10.1.2.3"), 5),
		{Name: "ARP has no address", In: Eth().ARP(1, DefaultSrc, "10.0.0.1", DefaultDst, "10.1.2.3")},
	}
	RunSequence(t, tab, rows)
	require.NoError(t, tab.Delete(Exactly(ip("10.1.2.3"))))
	require.NoError(t, tab.Delete(Prefix4([4]byte{10}, 8)))
	require.NoError(t, tab.Delete(Prefix(ip("::"), 0)))
	RunSequence(t, tab, []Row{
		row("host is gone", v4("10.1.2.3"), 3),
		row("/8 is gone", v4("10.2.0.1"), 1),
		{Name: "IPv6 default is gone: IPv4's is not for it", In: v6("2002::1")},
	})
}

func TestHighestPriorityWins(t *testing.T) {
	tab := newTable(t, 16, KeyField{datapath.FieldProto, Ternary}, KeyField{datapath.FieldDstPort, Ternary}, KeyField{datapath.FieldHeaders, Ternary})
	hdr := func(h datapath.Header) Match { v := datapath.Uint(uint64(h)); return Masked(v, v) }
	add := func(prio int, p datapath.Port, m ...Match) {
		require.NoError(t, tab.Add(Entry{Match: m, Priority: prio, Actions: to(p)}))
	}
	add(0, 1, Any(), Any(), Any())
	add(10, 2, Exactly(datapath.Uint(6)), Any(), Any())
	add(5, 3, Any(), Exactly(datapath.Uint(80)), Any())
	add(20, 4, Any(), Masked(datapath.Uint(8000), datapath.Uint(0xffc0)), Any())
	add(30, 5, Any(), Any(), hdr(datapath.HdrVLAN))
	row := func(name string, in Frame, p int) Row {
		return Row{Name: name, In: in, Verdict: datapath.Forward, Egress: 1 << p}
	}
	base := Eth().IPv4("10.0.0.1", "10.0.0.2")
	RunSequence(t, tab, []Row{
		row("anything", base.Proto(99), 1),
		row("TCP above port 80", base.TCP(1, 80, "S"), 2),
		row("UDP port 80", base.UDP(1, 80), 3),
		row("port range above TCP", base.TCP(1, 8063, "S"), 4),
		row("behind the range", base.TCP(1, 8064, "S"), 2),
		row("a header", Eth().VLAN(5).IPv4("10.0.0.1", "10.0.0.2").TCP(1, 8000, "S"), 5),
	})
	require.ErrorIs(t, tab.Add(Entry{Match: []Match{Any(), Any(), Any()}, Priority: 99}), ErrExists)
	require.NoError(t, tab.Delete(Exactly(datapath.Uint(6)), Any(), Any()))
	RunSequence(t, tab, []Row{row("TCP is gone", base.TCP(1, 80, "S"), 3)})
}

// A row of the slow model: fields and masks side by side.
type modelRow struct {
	value, mask []uint64 // of three fields
	priority    int
	port        datapath.Port
}

// Random tables of each kind against a scan over all rows.
func TestAgainstScan(t *testing.T) {
	fields := []datapath.Field{datapath.FieldVLAN, datapath.FieldSrcPort, datapath.FieldTCPSeq}
	width := []int{12, 16, 32}
	for _, kind := range []Kind{Exact, LPM, Ternary} {
		for seed := range uint64(20) {
			r := rand.New(rand.NewPCG(seed, uint64(kind)))
			var key []KeyField
			for i, f := range fields {
				k := Exact
				if kind == Ternary && i > 0 || kind == LPM && i == 2 {
					k = kind
				}
				key = append(key, KeyField{f, k})
			}
			const capacity = 60
			tab := newTable(t, capacity, key...)
			var rows []modelRow
			masks := func(i int) (mask uint64, prefix int) {
				full := uint64(1)<<width[i] - 1
				switch key[i].Kind {
				case LPM:
					prefix = r.IntN(width[i] + 1)
					return full &^ (1<<(width[i]-prefix) - 1), prefix
				case Ternary:
					return []uint64{0, full, 0xf, 0xff0}[r.IntN(4)], -1
				}
				return full, -1
			}
			value := func(i int) uint64 { return uint64(r.IntN(6)) << (r.IntN(2) * (width[i] - 3)) }
			for step := range 400 {
				switch r.IntN(4) {
				case 0, 1:
					row := modelRow{priority: step, port: datapath.Port(r.IntN(64))}
					if r.IntN(2) == 0 {
						row.priority = -step
					}
					var match []Match
					for i := range fields {
						m, prefix := masks(i)
						v := value(i) & m
						row.value, row.mask = append(row.value, v), append(row.mask, m)
						switch key[i].Kind {
						case LPM:
							row.priority = prefix
							match = append(match, Prefix(datapath.Uint(v), prefix))
						case Ternary:
							match = append(match, Masked(datapath.Uint(v), datapath.Uint(m)))
						default:
							match = append(match, Exactly(datapath.Uint(v)))
						}
					}
					same := slices.IndexFunc(rows, func(o modelRow) bool {
						return slices.Equal(o.value, row.value) && slices.Equal(o.mask, row.mask)
					})
					err := tab.Add(Entry{Match: match, Priority: row.priority, Actions: to(row.port)})
					switch {
					case same >= 0 && r.IntN(2) == 0:
						require.ErrorIs(t, err, ErrExists)
						require.NoError(t, tab.Delete(match...))
						rows = slices.Delete(rows, same, same+1)
					case same >= 0:
						require.ErrorIs(t, err, ErrExists)
					case len(rows) == capacity:
						require.ErrorIs(t, err, ErrFull)
					default:
						require.NoError(t, err)
						rows = append(rows, row)
					}
				case 2:
					if len(rows) == 0 {
						continue
					}
					n := r.IntN(len(rows))
					var match []Match
					for i := range fields {
						switch key[i].Kind {
						case LPM:
							match = append(match, Prefix(datapath.Uint(rows[n].value[i]), rows[n].priority))
						case Ternary:
							match = append(match, Masked(datapath.Uint(rows[n].value[i]), datapath.Uint(rows[n].mask[i])))
						default:
							match = append(match, Exactly(datapath.Uint(rows[n].value[i])))
						}
					}
					require.NoError(t, tab.Delete(match...))
					rows = slices.Delete(rows, n, n+1)
				}
				require.Equal(t, len(rows), tab.Stats().Entries)
				for range 5 {
					v := []uint64{value(0), value(1), value(2)}
					p := &datapath.Packet{PHV: datapath.PHV{VLAN: uint16(v[0]), SrcPort: uint16(v[1]), TCPSeq: wire.Seq(v[2])}}
					var best *modelRow
					for i := range rows {
						hit := true
						for j := range v {
							hit = hit && v[j]&rows[i].mask[j] == rows[i].value[j]
						}
						if hit && (best == nil || rows[i].priority > best.priority) {
							best = &rows[i]
						}
					}
					verdict := tab.Process(0, p)
					if best == nil {
						require.Equal(t, datapath.Continue, verdict)
						continue
					}
					require.Equal(t, datapath.Forward, verdict)
					require.Equal(t, datapath.PortSet(1)<<best.port, p.Egress)
				}
			}
		}
	}
}

// Every field, alone and beside others, at every offset in the key.
func TestWideKeys(t *testing.T) {
	frame := Eth().VLAN(0xabc).IPv6("2001:db8::1234", "fe80::ffff:5678").TCP(4000, 80, "SA", Seq(7), Ack(9), Win(5))
	for _, key := range [][]datapath.Field{
		{datapath.FieldIPSrc, datapath.FieldIPDst, datapath.FieldProto, datapath.FieldSrcPort, datapath.FieldDstPort},
		{datapath.FieldProto, datapath.FieldIPSrc, datapath.FieldSrcPort, datapath.FieldIPDst, datapath.FieldDstPort},
		{datapath.FieldEthDst, datapath.FieldIPDst, datapath.FieldEthSrc, datapath.FieldVLAN, datapath.FieldTCPSeq},
		{datapath.FieldVLAN, datapath.FieldTCPAck, datapath.FieldTCPWindow, datapath.FieldTCPFlags, datapath.FieldTTL, datapath.FieldEtherType, datapath.FieldIPSrc, datapath.FieldInPort},
		{datapath.FieldTTL, datapath.FieldVLAN, datapath.FieldIPSrc, datapath.FieldIPDst, datapath.FieldHeaders},
	} {
		p := Packet(t, frame)
		p.In = 3
		var fields []KeyField
		var match []Match
		for _, f := range key {
			fields = append(fields, KeyField{Field: f})
			match = append(match, Exactly(p.Field(f)))
		}
		tab := newTable(t, 4, fields...)
		require.NoError(t, tab.Add(Entry{Match: match, Actions: to(1)}))
		require.Equal(t, datapath.Forward, tab.Process(0, p))
		for i, f := range key { // one bit off, the lowest or the highest
			for _, bit := range []int{0, f.Bits() - 1} {
				v := p.Field(f)
				if bit < 64 {
					v.Lo ^= 1 << bit
				} else {
					v.Hi ^= 1 << (bit - 64)
				}
				other := slices.Clone(match)
				other[i] = Exactly(v)
				tab := newTable(t, 4, fields...)
				require.NoError(t, tab.Add(Entry{Match: other, Actions: to(1)}))
				require.Equal(t, datapath.Continue, tab.Process(0, p), "%v bit %d", f, bit)
			}
		}
	}
}

func TestProcessAllocatesNothing(t *testing.T) {
	for _, kind := range []Kind{Exact, LPM, Ternary} {
		tab := newTable(t, 8, KeyField{datapath.FieldIPDst, kind})
		require.NoError(t, tab.Add(Entry{Match: []Match{Exactly(ip("10.4.5.6"))}, Actions: []Action{Count("x"), SetField(datapath.FieldTTL, datapath.Uint(3)), Mirror(1), Forward(2)}}))
		p := Packet(t, tcp80)
		require.Zero(t, testing.AllocsPerRun(100, func() { tab.Process(0, p) }))
		require.NotZero(t, tab.Stats().Hit)
	}
}

func TestEntries(t *testing.T) {
	tab := newTable(t, 8, KeyField{Field: datapath.FieldVLAN}, KeyField{Field: datapath.FieldEthDst})
	m := MAC(DefaultDst)
	require.NoError(t, tab.Add(Entry{Match: []Match{Exactly(datapath.Uint(5)), Exactly(datapath.MACValue(m))}, Actions: to(2)}))
	tab.Learn(MACKey(6, m), 1, 0)
	got := slices.Collect(tab.Entries())
	require.Len(t, got, 2)
	require.Equal(t, MACKey(5, m), got[0].Key, "MACKey is the key of such a table")
	require.False(t, got[0].Learned)
	require.Equal(t, MACKey(6, m), got[1].Key)
	require.True(t, got[1].Learned)
	require.Equal(t, port1, got[1].Ports)
}

func BenchmarkLookup(b *testing.B) {
	for _, bb := range []struct {
		name string
		kind Kind
		add  func(i int) Match
	}{
		{"exact", Exact, func(i int) Match { return Exactly(ip("10.4.5.6")) }},
		{"lpm24lengths", LPM, func(i int) Match { return Prefix4([4]byte{}, i%24) }},
		{"ternary8masks", Ternary, func(i int) Match { return Masked(datapath.Value{}, datapath.Uint(1<<(i%8))) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			tab := newTable(b, 1024, KeyField{datapath.FieldIPDst, bb.kind})
			for i := range 24 {
				tab.Add(Entry{Match: []Match{bb.add(i)}, Priority: i, Actions: to(1)})
			}
			p := Packet(b, tcp80)
			b.ReportAllocs()
			for b.Loop() {
				tab.Process(0, p)
			}
		})
	}
}
