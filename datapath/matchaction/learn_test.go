package matchaction_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath"
	. "github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/datapath/matchaction"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/wire"
)

const maxAge = 300

func newFDB(t testing.TB, capacity int) *matchaction.Table {
	tab, err := matchaction.New(matchaction.Config{
		Name: "fdb", Capacity: capacity, MaxAge: maxAge,
		Key: []matchaction.KeyField{{Field: datapath.FieldVLAN}, {Field: datapath.FieldEthDst}},
	})
	require.NoError(t, err)
	return tab
}

func mac(i int) wire.MAC { return wire.MACFromUint64(0x020000000000 | uint64(i)) }

func static(tab *matchaction.Table, i int, port datapath.Port) error {
	return tab.Add(matchaction.Entry{
		Match:   []matchaction.Match{matchaction.Exactly(datapath.Uint(1)), matchaction.Exactly(datapath.MACValue(mac(i)))},
		Actions: []matchaction.Action{matchaction.Forward(datapath.PortSet(0).Add(port))},
	})
}

func TestLearn(t *testing.T) {
	tab := newFDB(t, 4)
	key := func(i int) matchaction.Key { return matchaction.MACKey(1, mac(i)) }
	at := func(i int, now sim.Cycle) int {
		ports, ok := tab.Get(key(i), now)
		if !ok {
			return -1
		}
		for p := range datapath.Port(datapath.MaxPorts) {
			if ports == datapath.PortSet(0).Add(p) {
				return int(p)
			}
		}
		return -2
	}
	require.Equal(t, -1, at(1, 0))
	require.Equal(t, matchaction.LearnedNew, tab.Learn(key(1), 3, 0))
	require.Equal(t, 3, at(1, maxAge))
	require.Equal(t, -1, at(1, maxAge+1), "too old, though nobody has swept")
	require.Equal(t, matchaction.LearnedSame, tab.Learn(key(1), 3, maxAge+1))
	require.Equal(t, 3, at(1, 2*maxAge+1), "its age started again")
	require.Equal(t, matchaction.LearnedMove, tab.Learn(key(1), 63, 2*maxAge))
	require.Equal(t, 63, at(1, 3*maxAge))
	_, other := tab.Get(matchaction.MACKey(2, mac(1)), 3*maxAge)
	require.False(t, other, "a VLAN of its own")

	require.NoError(t, static(tab, 2, 5))
	require.Equal(t, matchaction.LearnStatic, tab.Learn(key(2), 5, 0))
	require.Zero(t, tab.Stats().StaticKept)
	require.Equal(t, matchaction.LearnStatic, tab.Learn(key(2), 6, 0))
	require.Equal(t, uint64(1), tab.Stats().StaticKept, "someone else has its address")
	require.Equal(t, 5, at(2, 1e9), "static entries do not age")
	require.NoError(t, static(tab, 1, 7), "and take the place of learned ones")
	require.Equal(t, 7, at(1, 1e9))
	require.Equal(t, 2, tab.Stats().Entries)
	require.ErrorIs(t, static(tab, 1, 8), matchaction.ErrExists)
	s := tab.Stats()
	require.Equal(t, []uint64{1, 1}, []uint64{s.Learned, s.Moved})
}

func TestLearnIsBounded(t *testing.T) {
	tab := newFDB(t, 4)
	require.NoError(t, static(tab, 0, 5))
	for i := 1; i < 4; i++ {
		require.Equal(t, matchaction.LearnedNew, tab.Learn(matchaction.MACKey(1, mac(i)), 1, sim.Cycle(i)))
	}
	require.Equal(t, matchaction.LearnFull, tab.Learn(matchaction.MACKey(1, mac(9)), 1, 100))
	require.Equal(t, uint64(1), tab.Stats().LearnFull)
	require.Equal(t, matchaction.LearnedNew, tab.Learn(matchaction.MACKey(1, mac(9)), 1, maxAge+3), "the old ones make room")
	require.Equal(t, uint64(2), tab.Stats().Aged)
	_, ok := tab.Get(matchaction.MACKey(1, mac(0)), 1e9)
	require.True(t, ok, "the static one does not")
}

func TestForget(t *testing.T) {
	tab := newFDB(t, 16)
	require.NoError(t, static(tab, 0, 2))
	for i := 1; i < 9; i++ {
		tab.Learn(matchaction.MACKey(1, mac(i)), datapath.Port(i%3), 0)
	}
	require.Equal(t, 3, tab.Forget(2))
	require.Zero(t, tab.Forget(2))
	require.Equal(t, 6, tab.Stats().Entries)
}

// Learned entries against a map of what was said last and when.
func TestLearnAgainstMap(t *testing.T) {
	type said struct {
		port datapath.Port
		at   sim.Cycle
	}
	r := rand.New(rand.NewPCG(8, 8))
	tab := newFDB(t, 128)
	model := map[int]said{}
	now := sim.Cycle(0)
	for range 20000 {
		now += sim.Cycle(r.IntN(4))
		i := r.IntN(200)
		switch r.IntN(3) {
		case 0:
			port := datapath.Port(r.IntN(4))
			if tab.Learn(matchaction.MACKey(1, mac(i)), port, now) != matchaction.LearnFull {
				model[i] = said{port, now}
			}
		case 1:
			tab.Age(now, 3)
		}
		i = r.IntN(200)
		m, known := model[i]
		known = known && now-m.at <= maxAge
		ports, ok := tab.Get(matchaction.MACKey(1, mac(i)), now)
		require.Equal(t, known, ok)
		if ok {
			require.Equal(t, datapath.PortSet(0).Add(m.port), ports)
		}
	}
	tab.Age(now+maxAge+1, 128)
	require.Zero(t, tab.Stats().Entries)
}

func TestLearnedEntriesForward(t *testing.T) {
	tab := newFDB(t, 4)
	tab.Learn(matchaction.MACKey(0, MAC(DefaultDst)), 3, 0)
	RunSequence(t, tab, []Row{
		{Name: "known", In: tcp80, Now: 1, Verdict: datapath.Forward, Egress: 1 << 3},
		{Name: "unknown", In: Eth("02:00:00:00:00:77").IPv4("10.0.0.1", "10.0.0.2")},
		{Name: "another VLAN", In: Eth().VLAN(9).IPv4("10.0.0.1", "10.0.0.2")},
		{Name: "too old", In: tcp80, Now: maxAge + 1},
	})
}

func TestLearnIsForExactTables(t *testing.T) {
	tab := newTable(t, 4, matchaction.KeyField{Field: datapath.FieldIPDst, Kind: matchaction.LPM})
	require.Panics(t, func() { tab.Learn(matchaction.Key{}, 0, 0) })
}

func TestLearnAllocatesNothing(t *testing.T) {
	tab := newFDB(t, 16)
	i := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		i++
		tab.Learn(matchaction.MACKey(1, mac(i%40)), datapath.Port(i%3), sim.Cycle(i*20))
		tab.Get(matchaction.MACKey(1, mac(i%40)), sim.Cycle(i*20))
		tab.Age(sim.Cycle(i*20), 2)
	}))
	require.NotZero(t, tab.Stats().Aged)
}

// FuzzTable adds, deletes, learns and looks up by bytes; rows and counts must
// agree at every step.
func FuzzTable(f *testing.F) {
	f.Add([]byte{0, 1, 2, 1, 1, 2, 2, 1, 2, 3, 1, 2}, uint8(0))
	f.Add([]byte("add delete learn and look up"), uint8(2))
	f.Fuzz(func(t *testing.T, b []byte, kind uint8) {
		k := matchaction.Kind(kind % 3)
		tab, err := matchaction.New(matchaction.Config{Name: "fuzz", Capacity: 8, MaxAge: 9, Key: []matchaction.KeyField{{Field: datapath.FieldDstPort, Kind: k}}})
		require.NoError(t, err)
		match := func(v, m byte) matchaction.Match {
			mask := []uint64{0xffff, 0, 0xf, 0xf000}[m%4]
			switch k {
			case matchaction.LPM:
				n := int(m % 17)
				return matchaction.Prefix(datapath.Uint(uint64(v)<<8&^(1<<(16-n)-1)), n)
			case matchaction.Ternary:
				return matchaction.Masked(datapath.Uint(uint64(v)&mask), datapath.Uint(mask))
			}
			return matchaction.Exactly(datapath.Uint(uint64(v)))
		}
		for now := sim.Cycle(0); len(b) >= 3; b, now = b[3:], now+1 {
			switch b[0] % 5 {
			case 0:
				_ = tab.Add(matchaction.Entry{Match: []matchaction.Match{match(b[1], b[2])}, Priority: int(b[2]), Actions: []matchaction.Action{matchaction.Drop()}})
			case 1:
				_ = tab.Delete(match(b[1], b[2]))
			case 2:
				if k == matchaction.Exact {
					tab.Learn(matchaction.Key{uint64(b[1])}, datapath.Port(b[2]%4), now)
				}
			case 3:
				tab.Age(now, int(b[1]%4))
			}
			p := &datapath.Packet{PHV: datapath.PHV{DstPort: uint16(b[1])}}
			v := tab.Process(now, p)
			require.Equal(t, v == datapath.Drop, p.Reason == datapath.DropTable)
			n := 0
			for range tab.Entries() {
				n++
			}
			require.Equal(t, n, tab.Stats().Entries)
			require.LessOrEqual(t, n, 8)
		}
	})
}
