package load

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHistogramQuantiles(t *testing.T) {
	h := NewHist()
	require.Zero(t, h.Quantiles())
	require.Nil(t, h.CDF(10))
	for us := range int64(1000) {
		h.Record((us + 1) * 1000)
	}
	q := h.Quantiles()
	require.InEpsilon(t, 500, q.P50, 0.002)
	require.InEpsilon(t, 900, q.P90, 0.002)
	require.InEpsilon(t, 990, q.P99, 0.002)
	require.InEpsilon(t, 999, q.P999, 0.002)
	require.InEpsilon(t, 1000, q.Max, 0.002)
	h.Record(-5)
	h.Record(1 << 60)
	require.EqualValues(t, 1002, h.N())
	require.InEpsilon(t, 60e6, h.Quantiles().Max, 0.002)
}

// Merged histograms are the histogram of all values, also through JSON.
func TestMergeOfRepeats(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	all := NewHist()
	var repeats []*Result
	for i := range 5 {
		r := &Result{Schema: Schema, Mode: "open", Connections: 4, Rate: 10, Hist: NewHist(), SentHist: NewHist(),
			Elapsed: 2, RPS: float64(100 * (i + 1)), Errors: Errors{Wrong: 1, Timeout: uint64(i)},
			Generator: Generator{CPU: float64(i), Busy: 0.5, LagUS: &Quantiles{P99: float64(i)}}, Connects: 3}
		for range 1000 * (i + 1) {
			v := int64(rnd.ExpFloat64() * 1e5)
			r.Hist.Record(v)
			r.SentHist.Record(v / 2)
			all.Record(v)
		}
		b, err := json.Marshal(r)
		require.NoError(t, err)
		back, err := DecodeResult(bytes.NewReader(b))
		require.NoError(t, err)
		require.True(t, back.Hist.h.Equals(r.Hist.h))
		repeats = append(repeats, back)
	}
	m, err := Merge(repeats...)
	require.NoError(t, err)
	require.True(t, m.Hist.h.Equals(all.h))
	require.Equal(t, all.Quantiles(), m.WallUS)
	require.EqualValues(t, 15000, m.N)
	require.Equal(t, Errors{Wrong: 5, Timeout: 10}, m.Errors)
	require.EqualValues(t, 15, m.Errors.Total())
	require.InDelta(t, 300, m.RPS, 1e-9)
	require.InDelta(t, 10, m.Elapsed, 1e-9)
	require.InDelta(t, (1.*200+2*300+3*400+4*500)/1500, m.Generator.CPU, 1e-9)
	require.InDelta(t, 4, m.Generator.LagUS.P99, 1e-9)
	require.EqualValues(t, 15, m.Connects)
	require.NotNil(t, m.SentUS)
	require.False(t, m.Generator.Saturated)

	repeats[3].Generator.Saturated, repeats[3].Generator.Why = true, "it was"
	m, err = Merge(repeats...)
	require.NoError(t, err)
	require.Equal(t, "it was", m.Generator.Why)

	repeats[3].Connections = 5
	_, err = Merge(repeats...)
	require.ErrorContains(t, err, "merge of")
	_, err = Merge()
	require.Error(t, err)
}

func TestCDF(t *testing.T) {
	for _, n := range []int{1, 2, 150, 1000, 100000} {
		h := NewHist()
		rnd := rand.New(rand.NewPCG(3, 4))
		for range n {
			h.Record(int64(1e4 + rnd.ExpFloat64()*1e5))
		}
		cdf := h.CDF(maxCDF)
		require.LessOrEqual(t, len(cdf), maxCDF)
		for i := 1; i < len(cdf); i++ {
			require.Less(t, cdf[i-1].WallUS, cdf[i].WallUS)
			require.Less(t, cdf[i-1].Share, cdf[i].Share)
		}
		require.InDelta(t, 1, cdf[len(cdf)-1].Share, 1e-12)
		require.InEpsilon(t, h.Quantiles().Max, cdf[len(cdf)-1].WallUS, 1e-9)
		require.InEpsilon(t, float64(h.h.Min())/1e3, cdf[0].WallUS, 0.002)
	}
}

func TestDecodeResultRefuses(t *testing.T) {
	for _, s := range []string{"", "{}", `{"schema":"meshnic.load/1"}`, `{"schema":"meshnic.load/1","hist":"AAAA"}`, `{"schema":"meshnic.load/1","hist":3}`} {
		_, err := DecodeResult(bytes.NewReader([]byte(s)))
		require.Error(t, err, s)
	}
}

func FuzzHist(f *testing.F) {
	b, _ := json.Marshal(NewHist())
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var h Hist
		if h.UnmarshalJSON(b) != nil {
			return
		}
		h.Quantiles()
		h.CDF(maxCDF)
		out, err := h.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var again Hist
		if err := again.UnmarshalJSON(out); err != nil || !again.h.Equals(h.h) {
			t.Fatalf("decode(encode(h)): %v", err)
		}
	})
}

func TestSaturation(t *testing.T) {
	g := Generator{Busy: 0.95}
	g.judge()
	require.True(t, g.Saturated)
	g = Generator{Busy: 0.5, LagUS: &Quantiles{P99: 2000}}
	g.judge()
	require.True(t, g.Saturated)
	require.Contains(t, g.Why, "2000 us late")
	g = Generator{Busy: 0.5, LagUS: &Quantiles{P99: 100}}
	g.judge()
	require.False(t, g.Saturated)
	require.Empty(t, g.Why)
}
