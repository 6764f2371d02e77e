package reference

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPaper(t *testing.T) {
	points := Paper()
	require.Len(t, points, 7)
	for _, p := range points {
		require.Equal(t, 1, p.Connections, "the text states one connection only")
	}
	envoy, ok := Lookup("bookinfo", "envoy", 1)
	require.True(t, ok)
	require.Equal(t, Point{"envoy", "bookinfo", 1, "p90", 58.75, 3.558, "without_envoy"}, envoy)
	_, ok = Lookup("bookinfo", "nic_offload", 1)
	require.False(t, ok, "the paper never measured it")
	_, ok = Lookup("bookinfo", "envoy", 8)
	require.False(t, ok, "the text gives no figure at 8 connections")
}

func TestParseRefuses(t *testing.T) {
	head := strings.Join(header[:], ",") + "\n"
	for name, tt := range map[string]struct{ in, want string }{
		"nothing":               {"", "first row"},
		"other header":          {"a,b,c,d,e,f,g\n", "first row"},
		"short row":             {head + "direct,curl,1\n", "wrong number of fields"},
		"no connections":        {head + "a,curl,0,p90,1,1,a\n", "connections"},
		"latency is a word":     {head + "a,curl,1,p90,fast,1,a\n", "latency_ms"},
		"latency is NaN":        {head + "a,curl,1,p90,NaN,1,a\n", "latency_ms"},
		"negative ratio":        {head + "a,curl,1,p90,1,-1,a\n", "ratio_to_baseline"},
		"baseline missing":      {head + "a,curl,1,p90,1,1,b\n", `baseline "b"`},
		"ratio does not follow": {head + "a,curl,1,p90,1,1,a\nb,curl,1,p90,2,2.1,a\n", "the latencies give 2.0000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(strings.NewReader(tt.in))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(paperCSV)
	f.Fuzz(func(t *testing.T, s string) {
		points, err := Parse(strings.NewReader(s))
		if err != nil {
			return
		}
		for _, p := range points {
			if p.LatencyMS <= 0 || p.Ratio <= 0 || p.Connections < 1 {
				t.Fatalf("accepted %+v", p)
			}
		}
	})
}

func ExampleLookup() {
	p, _ := Lookup("bookinfo", "envoy", 1)
	fmt.Printf("%.2f ms, %.2fx %s\n", p.LatencyMS, p.Ratio, p.Baseline)
	// Output: 58.75 ms, 3.56x without_envoy
}
