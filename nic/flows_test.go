package nic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/datapathtest"
	"github.com/meshnic/meshnic/hostif"
)

// host is a FlowTable without a host: it notes what it is told, and says that it
// has carried what the test puts there.
type host struct {
	learned   [][3]any // in, out, frame
	forgotten []string
	carried   []hostif.CarriedFrame
	unseen    uint64
}

func (h *host) Learn(in, out int, frame []byte) bool {
	h.learned = append(h.learned, [3]any{in, out, string(frame)})
	return true
}
func (h *host) Forget(in int, frame []byte) { h.forgotten = append(h.forgotten, string(frame)) }
func (h *host) Unseen() uint64              { return h.unseen }
func (h *host) Count(c map[string]uint64)   { c["flow_table.learned"] = uint64(len(h.learned)) }
func (h *host) Carried(limit int, visit func(hostif.CarriedFrame)) int {
	n := min(limit, len(h.carried))
	for _, c := range h.carried[:n] {
		visit(c)
	}
	h.carried = h.carried[n:]
	return n
}

func carriedDevice(t *testing.T) (*device, *host) {
	h, cfg := &host{}, DefaultConfig()
	cfg.FlowTable = h
	d := newDevice(t, cfg, "a", "b", "c")
	syn := datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S")
	answer := datapathtest.Eth(macA, macB).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 4000, "SA")
	d.send("a", syn)
	require.Empty(t, h.learned, "it was flooded")
	d.send("b", answer)
	require.Equal(t, [][3]any{{1, 0, string(answer)}}, h.learned, "where A is, is known")
	h.learned = nil
	return d, h
}

// A way is learned where no frame can be overtaken: from one that nothing waits
// behind.
func TestFlowsAreLearned(t *testing.T) {
	d, h := carriedDevice(t)
	f := tcpFrame(macB, macA)
	d.send("a", f, f)
	require.Empty(t, h.learned)
	d.send("a", f)
	require.Equal(t, [][3]any{{0, 1, string(f)}}, h.learned)
	bad := append([]byte(nil), f...)
	bad[len(bad)-1] ^= 1
	d.send("a", bad)
	require.Len(t, h.learned, 1, "a dropped frame has no way")
}

// What the host has carried counts as what the NIC has carried, for the switch, the
// tracker and the model, at the time when it came.
func TestCarriedFramesCount(t *testing.T) {
	plain := newDevice(t, DefaultConfig(), "a", "b", "c")
	plain.send("a", datapathtest.Eth(macB, macA).IPv4("10.0.0.1", "10.0.0.2").TCP(4000, 80, "S"))
	plain.send("b", datapathtest.Eth(macA, macB).IPv4("10.0.0.2", "10.0.0.1").TCP(80, 4000, "SA"))
	d, h := carriedDevice(t)
	f := tcpFrame(macB, macA)
	require.Equal(t, plain.now, d.now)
	for range 100 {
		plain.now += 9_998 // and 2 that it takes to send
		plain.send("a", f)
	}
	d.now += 100*10_000 + 9_998 // the copies waited, the oldest for 100 times 10,000 cycles of 4 ns
	for i := range 100 {
		seen := append(append([]byte(nil), f[:54]...), make([]byte, len(f)-54)...) // of the payload nothing is seen
		h.carried = append(h.carried, hostif.CarriedFrame{In: 0, Out: 1, Age: time.Duration(100-i) * 40 * time.Microsecond, Data: seen})
	}
	d.now++
	moved, err := d.Step(d.now)
	require.NoError(t, err)
	require.Zero(t, moved, "nothing is there to be sent")
	require.True(t, d.waiting, "a batch, and there may be more")
	d.collect(d.now)
	require.False(t, d.waiting)
	require.Equal(t, d.now, d.latest)
	for _, x := range []*device{plain, d} {
		x.settle()
	}
	want, got := plain.Counters(), d.Counters()
	require.EqualValues(t, 103, got.ModelNS.Frames, "a flooded SYN leaves twice")
	require.Equal(t, want.ModelNS.Frames, got.ModelNS.Frames)
	require.Equal(t, want.ModelNS.Times, got.ModelNS.Times, "they came as far apart")
	delete(got.Counters, "flow_table.learned")
	require.Zero(t, got.Counters["flow_table.strayed"])
	delete(got.Counters, "flow_table.strayed")
	require.Equal(t, want.Counters, got.Counters)
}

// What goes another way by now is given back to the program.
func TestStrayedFlowIsForgotten(t *testing.T) {
	d, h := carriedDevice(t)
	d.send("c", tcpFrame(macA, macB)) // B has moved
	f := tcpFrame(macB, macA)
	h.carried = []hostif.CarriedFrame{{In: 0, Out: 1, Data: append([]byte(nil), f...)}}
	d.now++
	_, err := d.Step(d.now)
	require.NoError(t, err)
	require.Equal(t, []string{string(f)}, h.forgotten)
	require.EqualValues(t, 1, d.count("flow_table.strayed"))
}

// Of what the host carried without a copy the model says that it has no time.
func TestUnseenFramesAreUntimed(t *testing.T) {
	d, h := carriedDevice(t)
	h.unseen = 7
	d.now++
	_, err := d.Step(d.now)
	require.NoError(t, err)
	_, err = d.Step(d.now + 1)
	require.NoError(t, err)
	require.EqualValues(t, 7, d.Counters().ModelNS.Untimed)
}
