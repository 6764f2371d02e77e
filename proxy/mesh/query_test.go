package mesh

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueryIsValidated(t *testing.T) {
	for want, q := range map[string]QueryMatch{
		`query_parameters[0].name: is empty`:                     {},
		`query_parameters[0].value.kind: is "like", want one of`: {Name: "a", Value: &StringMatch{Kind: "like", Text: "x"}},
		`query_parameters[0].value.text: error parsing regexp`:   {Name: "a", Value: &StringMatch{Kind: MatchRegex, Text: "("}},
	} {
		cfg := config()
		cfg.Listeners[0].VirtualHosts[0].Routes[0].Query = []QueryMatch{q}
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

func TestQueryDoesNotAllocate(t *testing.T) {
	cfg := config()
	cfg.Listeners[0].VirtualHosts[0].Routes[0].Query = []QueryMatch{{Name: "b", Value: &StringMatch{Kind: MatchSuffix, Text: "x"}}, {Name: "a"}}
	table, err := Compile(cfg)
	require.NoError(t, err)
	h := head(t, "GET /?a=1&b=yx HTTP/1.1\r\nHost: a\r\n\r\n")
	require.NotNil(t, table.Listeners[0].Route(h))
	require.Zero(t, testing.AllocsPerRun(100, func() { table.Listeners[0].Route(h) }))
}

// FuzzQuery: the first parameter of a name decides, and a query without one is no match.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&b=2", "b", "2")
	f.Add("a&&=&a=1", "a", "")
	f.Add("b==", "b", "=")
	f.Fuzz(func(t *testing.T, query, name, value string) {
		if name == "" || strings.ContainsAny(name, "=&") {
			return
		}
		m := compileQuery([]QueryMatch{{Name: name, Value: &StringMatch{Kind: MatchExact, Text: value}}})[0]
		want := false
		for _, p := range strings.Split(query, "&") {
			if p == name || strings.HasPrefix(p, name+"=") {
				want = strings.TrimPrefix(strings.TrimPrefix(p, name), "=") == value
				break
			}
		}
		require.Equal(t, want, m.takes([]byte(query)), "%q", query)
	})
}
