package bench

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// through is a repeat through a card.
func through(us, perRequest float64, lost uint64) sample {
	return sample{result: answered(us, 10), model: &ModelNS{P50: 200, PerRequest: perRequest, Frames: 10, Lost: lost}}
}

// A repeat is compared with the same one of the path without a NIC, whatever
// the machine does in between.
func TestEmuAndProjection(t *testing.T) {
	direct := []sample{{result: answered(100, 10)}, {result: answered(300, 10)}, {result: answered(200, 10)}}
	card := []sample{through(120, 2000, 1), through(315, 2400, 0), through(230, 2200, 2)}
	rows := summarise([]cell{{name: "direct", connections: 1}, {name: "nic", connections: 1, like: "direct"}}, [][]sample{direct, card})
	require.Nil(t, rows[0].EmuUS)
	require.Nil(t, rows[0].ProjectedUS)

	n := rows[1]
	require.Equal(t, &ModelNS{P50: 200, PerRequest: 2200, Frames: 10, Lost: 3}, n.ModelNS)
	require.Equal(t, "direct", n.EmuUS.To)
	require.InDelta(t, 20, n.EmuUS.P50, 0.3, "the median of 20, 15 and 30")
	require.InDelta(t, 200+2.2, n.ProjectedUS.P50, 0.3)
	require.InDelta(t, 100, n.ProjectedUS.Low, 0.2, "the best repeat, and nobody waits for the card")
	require.InDelta(t, 300+2.4, n.ProjectedUS.High, 0.4)
	require.Contains(t, n.ProjectedUS.Rule, "direct")
}

func TestNothingIsProjectedFromNothing(t *testing.T) {
	one := []sample{{result: answered(100, 10)}}
	rows := summarise([]cell{
		{name: "direct", connections: 1}, {name: "null", connections: 1, like: "direct"},
		{name: "nic", connections: 8, like: "direct"}, {name: "other", connections: 1, like: "absent"},
	}, [][]sample{one, one, {through(120, 2000, 0)}, {through(120, 2000, 0)}})
	require.NotNil(t, rows[1].EmuUS)
	require.Nil(t, rows[1].ProjectedUS, "no card")
	require.Nil(t, rows[2].EmuUS, "the path without a NIC has no row at 8 connections")
	require.Nil(t, rows[3].ProjectedUS)
}

// What a card counts is the difference over the work, divided by its requests.
func TestCardSince(t *testing.T) {
	var before, after card
	before.Sum, before.Frames, before.Lost, before.Timed = 1000, 10, 1, 10
	after.Sum, after.Frames, after.Lost, after.Timed, after.P50 = 5000, 50, 2, 50, 90
	require.Equal(t, &ModelNS{P50: 90, PerRequest: 400, Frames: 4, Lost: 1, Share: 1}, after.since(&before, 10))
	require.Equal(t, &ModelNS{P50: 90, PerRequest: 500, Frames: 5, Lost: 2, Share: 1}, after.since(nil, 10))
	after.Untimed = 120
	require.Equal(t, &ModelNS{P50: 90, PerRequest: 1600, Frames: 16, Lost: 1, Share: 0.25}, after.since(&before, 10), "40 of 160 frames stand for all")
	before.Timed = after.Timed
	require.Nil(t, after.since(&before, 10), "none was counted")
	require.Nil(t, (*card)(nil).since(nil, 10))
	require.Nil(t, after.since(&before, 0))
}

func TestDisagreeingModelIsDistrusted(t *testing.T) {
	require.Empty(t, distrust(Document{ModelCheck: &ModelCheck{Agree: true}}, true))
	why := distrust(Document{ModelCheck: &ModelCheck{System: "nic_passthrough", Capture: "curl-nic.pcapng", Live: 3, Tick: 3, Maxplus: 4}}, true)
	require.Len(t, why, 1)
	require.Contains(t, why[0], "model_ns of nic_passthrough is not to be trusted")
	require.Contains(t, why[0], "curl-nic.pcapng")
}

// A capture of which the live NIC had other figures is found out, and one that
// has them is not.
func TestRecount(t *testing.T) {
	const path = "../examples/replay/web.pcap"
	var m ModelCheck
	require.NoError(t, m.recount(context.Background(), library(path)))
	require.False(t, m.Agree, "nothing live")
	require.Positive(t, m.Tick)
	require.Equal(t, picos(m.Tick), picos(m.Maxplus))
	total := m.Remainder
	for _, s := range m.Stages {
		total += s.Pass + s.Queue + s.StoreForward + s.Blocked
	}
	require.InDelta(t, m.Tick, total, 1e-6, "the stages add up to the sum")

	live := ModelCheck{Live: m.Tick, Frames: 14, Requests: 1}
	require.NoError(t, live.recount(context.Background(), library(path)))
	require.True(t, live.Agree)
	for _, wrong := range []ModelCheck{{Live: m.Tick + 0.001, Frames: 14}, {Live: m.Tick, Frames: 13}, {Live: m.Tick, Frames: 14, Lost: 1}} {
		require.NoError(t, wrong.recount(context.Background(), library(path)))
		require.False(t, wrong.Agree, "%+v", wrong)
	}
	require.ErrorContains(t, m.recount(context.Background(), library("missing.pcapng")), "missing.pcapng")
}
