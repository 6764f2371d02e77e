package mesh

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/http1"
)

// config is a valid Config with one of everything.
func config() Config {
	return Config{
		Node: "n", Admin: "127.0.0.1:9901",
		Listeners: []Listener{{
			Name: "in", Address: "127.0.0.1:15001", StatPrefix: "in",
			VirtualHosts: []VirtualHost{{
				Name: "v", Domains: []string{"*"},
				Routes: []Route{{Prefix: "/", Cluster: "c", Timeout: time.Second}},
			}},
		}},
		Clusters: []Cluster{{Name: "c", Endpoints: []Endpoint{{Address: "127.0.0.1:80"}}}},
	}
}

func TestValidate(t *testing.T) {
	c := config()
	require.NoError(t, c.Validate())
	for _, tt := range []struct {
		name  string
		spoil func(c *Config)
		want  string
	}{
		{"no listener", func(c *Config) { c.Listeners = nil }, "listeners: is empty"},
		{"listener without a name", func(c *Config) { c.Listeners[0].Name = "" }, "listeners[0].name: is empty"},
		{"two listeners of a name", func(c *Config) {
			c.Listeners = append(c.Listeners, c.Listeners[0])
			c.Listeners[1].Address = "127.0.0.1:2"
		}, `listeners[1].name: "in" is used twice`},
		{"two listeners of an address", func(c *Config) {
			c.Listeners = append(c.Listeners, c.Listeners[0])
			c.Listeners[1].Name = "b"
		}, "listeners[1].address: 127.0.0.1:15001 is also the address of listeners[0]"},
		{"listener on the admin's address", func(c *Config) { c.Admin = c.Listeners[0].Address }, "is also the address of admin"},
		{"listener on a name", func(c *Config) { c.Listeners[0].Address = "localhost:80" }, `listeners[0].address: "localhost:80" is not ip:port`},
		{"no stat prefix", func(c *Config) { c.Listeners[0].StatPrefix = "" }, "listeners[0].stat_prefix: is empty"},
		{"admin without a port", func(c *Config) { c.Admin = "127.0.0.1" }, "admin:"},
		{"no domains", func(c *Config) { c.Listeners[0].VirtualHosts[0].Domains = nil }, "virtual_hosts[0].domains: is empty"},
		{"same domain in another case", func(c *Config) {
			v := &c.Listeners[0].VirtualHosts
			*v = append(*v, VirtualHost{Name: "w", Domains: []string{"a.B"}}, VirtualHost{Name: "x", Domains: []string{"A.b"}})
		}, `virtual_hosts[2].domains[0]: "a.b" is used twice`},
		{"star inside", func(c *Config) { c.Listeners[0].VirtualHosts[0].Domains = []string{"a.*.b"} }, "neither its first nor its last"},
		{"star on both sides", func(c *Config) { c.Listeners[0].VirtualHosts[0].Domains = []string{"*a*"} }, "neither its first nor its last"},
		{"neither prefix nor path", func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Prefix = "" }, "want one of them"},
		{"prefix and path", func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Path = "/" }, "want one of them"},
		{"relative prefix", func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Prefix = "a" }, "does not begin with /"},
		{"path with a query", func(c *Config) {
			c.Listeners[0].VirtualHosts[0].Routes[0] = Route{Path: "/a?b", Cluster: "c"}
		}, "has a query"},
		{"unknown cluster", func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Cluster = "d" }, `no cluster is named "d"`},
		{"negative timeout", func(c *Config) { c.Listeners[0].VirtualHosts[0].Routes[0].Timeout = -1 }, "timeout: is -1ns"},
		{"negative idle timeout", func(c *Config) { c.Clusters[0].Idle = new(time.Duration(-1)) }, "clusters[0].idle_timeout: is -1ns"},
		{"negative connect timeout", func(c *Config) { c.Clusters[0].ConnectTimeout = -1 }, "connect_timeout: is -1ns"},
		{"endpoint on port 0", func(c *Config) { c.Clusters[0].Endpoints[0].Address = "127.0.0.1:0" }, "has port 0"},
		{"weights beyond 32 bits", func(c *Config) {
			c.Clusters[0].Endpoints = []Endpoint{{Address: "127.0.0.1:1", Weight: 1 << 31}, {Address: "127.0.0.1:2", Weight: 1 << 31}}
		}, "weights add up to 4294967296"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config()
			tt.spoil(&c)
			err := c.Validate()
			require.ErrorContains(t, err, tt.want)
			var p *PathError
			require.True(t, errors.As(err, &p))
			_, err = Compile(c)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestValidateNamesEveryMistake(t *testing.T) {
	c := config()
	c.Listeners[0].Name, c.Clusters[0].Name = "", ""
	err := c.Validate()
	require.ErrorContains(t, err, "listeners[0].name")
	require.ErrorContains(t, err, "clusters[0].name")
}

// head parses a request.
func head(t testing.TB, s string) *http1.Head {
	t.Helper()
	h := &http1.Head{}
	h.Reset(false)
	n, err := h.Parse([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
	return h
}

func TestRoute(t *testing.T) {
	names := []string{"any", "exact", "port", "suffix", "longsuffix", "dash", "prefix", "longprefix"}
	c := Config{Listeners: []Listener{{Name: "l", Address: "127.0.0.1:1", StatPrefix: "l"}}}
	for i, d := range []string{"*", "A.example", "a.example:8080", "*.example", "*.b.example", "*-x.example", "web.*", "web.two.*"} {
		c.Clusters = append(c.Clusters, Cluster{Name: names[i]}, Cluster{Name: names[i] + "-path"})
		c.Listeners[0].VirtualHosts = append(c.Listeners[0].VirtualHosts, VirtualHost{
			Name: names[i], Domains: []string{d},
			Routes: []Route{{Path: "/p", Cluster: names[i] + "-path"}, {Prefix: "/", Cluster: names[i]}},
		})
	}
	c.Listeners[0].VirtualHosts[2].Routes = []Route{{Prefix: "/only", Cluster: "port"}}
	table, err := Compile(c)
	require.NoError(t, err)
	for _, tt := range []struct{ target, host, want string }{
		{"/", "a.example", "exact"},
		{"/", "A.EXAMPLE", "exact"},
		{"/", "a.example:80", "any"}, // a port is part of the name
		{"/only/x", "a.example:8080", "port"},
		{"/onl", "a.example:8080", ""},
		{"/", "c.example", "suffix"},
		{"/", "c.b.example", "longsuffix"},
		{"/", ".b.example", "suffix"}, // the star wants a byte
		{"/", ".example", "any"},
		{"/", "a-x.example", "dash"},
		{"/", "web.net", "prefix"},
		{"/", "web.two.net", "longprefix"},
		{"/", "web.", "any"},
		{"/", "web.example", "suffix"}, // suffixes go before prefixes
		{"/", "elsewhere", "any"},
		{"/p", "elsewhere", "any-path"},
		{"/p?q=/x", "elsewhere", "any-path"},
		{"/p/", "elsewhere", "any"},
		{"http://A.example/p", "elsewhere", "exact-path"},
		{"http://a.example", "elsewhere", "exact"},
		{"http://a.example?q", "elsewhere", "exact"},
	} {
		h := head(t, "GET "+tt.target+" HTTP/1.1\r\nHost: "+tt.host+"\r\n\r\n")
		r := table.Listeners[0].Route(h)
		got := ""
		if r != nil {
			got = table.Clusters[r.Cluster(nil)].Name
		}
		require.Equal(t, tt.want, got, "%s at %s", tt.target, tt.host)
	}
	require.Nil(t, table.Listeners[0].Route(head(t, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n")))
	require.Nil(t, table.Listeners[0].Route(head(t, "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")))
	require.Equal(t, "path /p", table.Listeners[0].any.routes[0].String())
	require.Equal(t, "prefix /", table.Listeners[0].any.routes[1].String())
}

func TestRouteWithoutAnyHost(t *testing.T) {
	c := config()
	c.Listeners[0].VirtualHosts[0].Domains = []string{"x"}
	table, err := Compile(c)
	require.NoError(t, err)
	require.Nil(t, table.Listeners[0].Route(head(t, "GET / HTTP/1.1\r\nHost: y\r\n\r\n")))
	require.Equal(t, DefaultConnectTimeout, table.Clusters[0].ConnectTimeout)
}

// picks returns the next n endpoints.
func picks(b *roundRobin, n int) (out []int) {
	for range n {
		out = append(out, b.pick())
	}
	return out
}

func TestRoundRobin(t *testing.T) {
	require.Equal(t, []int{-1, -1}, picks(newRoundRobin(nil, 7), 2))
	require.Equal(t, []int{0, 0}, picks(newRoundRobin([]uint32{5}, 7), 2))
	require.Equal(t, []int{0, 1, 2, 0, 1, 2}, picks(newRoundRobin([]uint32{1, 1, 1}, 0), 6))
	require.Equal(t, []int{2, 0, 1, 2}, picks(newRoundRobin([]uint32{0, 1, 1}, 5), 4), "0 counts as 1, the seed shifts")
	// Due at 1/3, 2/3, 1 and at 1: the last of them was put in later.
	require.Equal(t, []int{0, 0, 1, 0, 0, 0, 1, 0}, picks(newRoundRobin([]uint32{3, 1}, 0), 8))
	require.Equal(t, []int{2, 1, 2, 0, 1, 2, 2, 1, 2, 0, 1, 2}, picks(newRoundRobin([]uint32{1, 2, 3}, 0), 12))
}

// Whatever the weights and the seed, every run as long as their sum gives each
// endpoint exactly its weight, and picks of one are as far apart as they can be.
func TestRoundRobinIsExact(t *testing.T) {
	for _, weights := range [][]uint32{{1, 1, 1}, {2, 1}, {1, 2, 3}, {50, 30, 20}, {1, 100}, {7, 7, 7, 1}, {4, 4}} {
		sum := 0
		for _, w := range weights {
			sum += int(w)
		}
		for seed := range uint64(5) {
			b := newRoundRobin(weights, seed*13)
			seq := picks(b, 4*sum)
			for start := 0; start+sum <= len(seq); start += sum {
				// With a seed, windows do not begin where the schedule does; any
				// window of the periodic schedule has the same content.
				got := make([]uint32, len(weights))
				for _, i := range seq[start : start+sum] {
					got[i]++
				}
				if slices.Max(weights) == slices.Min(weights) {
					for _, g := range got {
						require.EqualValues(t, sum/len(weights), g)
					}
					continue
				}
				require.Equal(t, weights, got, "seed %d", seed)
			}
		}
	}
}

func TestRoundRobinDoesNotOverflow(t *testing.T) {
	b := newRoundRobin([]uint32{1<<32 - 2, 1}, 0)
	require.Equal(t, []int{0, 0, 0, 0}, picks(b, 4))
	b.heap[0].turn, b.left = 1<<32-2, 2 // as after 2³² - 3 more
	got := picks(b, 2)
	slices.Sort(got)
	require.Equal(t, []int{0, 1}, got)
}

func BenchmarkRoundRobin(b *testing.B) {
	for _, n := range []int{3, 100} {
		for _, equal := range []bool{true, false} {
			b.Run(fmt.Sprintf("endpoints=%d/equal=%v", n, equal), func(b *testing.B) {
				w := make([]uint32, n)
				for i := range w {
					w[i] = 1
					if !equal {
						w[i] = uint32(i + 1)
					}
				}
				lb := newRoundRobin(w, 0)
				b.ReportAllocs()
				for b.Loop() {
					lb.pick()
				}
			})
		}
	}
}

func TestRequestIDs(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	a, b, c := NewRequestIDs([32]byte{1}), NewRequestIDs([32]byte{1}), NewRequestIDs([32]byte{2})
	seen := map[string]bool{}
	for range 1000 {
		id := string(a.Append(nil))
		require.Regexp(t, form, id)
		require.False(t, seen[id])
		seen[id] = true
		require.Equal(t, id, string(b.Append(nil)))
		require.NotEqual(t, id, string(c.Append(nil)))
	}
}

func TestAppendDate(t *testing.T) {
	require.Equal(t, "Mon, 23 Nov 2026 21:47:28 GMT", string(AppendDate(nil, 1795470448)))
}

func TestCounters(t *testing.T) {
	var l ListenerCounters
	l.RqTotal = 3
	l.Count(200)
	l.Count(204)
	l.Count(503)
	var c ClusterCounters
	c.Count(200)
	c.Count(503)
	c.Count(503)
	get := map[string]uint64{}
	for _, st := range c.Stats(l.Stats(nil, &CompiledListener{StatPrefix: "in"}, "127.0.0.1_80"), "reviews") {
		_, dup := get[st.Name]
		require.False(t, dup, st.Name)
		get[st.Name] = st.Value
		require.False(t, strings.Contains(st.Name, " "))
	}
	for name, want := range map[string]uint64{
		"http.in.downstream_rq_total": 3, "http.in.downstream_rq_2xx": 2, "http.in.downstream_rq_5xx": 1,
		"http.in.downstream_rq_completed": 3, "cluster.reviews.upstream_rq_200": 1, "cluster.reviews.upstream_rq_503": 2,
		"cluster.reviews.upstream_rq_5xx": 2, "cluster.reviews.upstream_rq_completed": 3, "listener.127.0.0.1_80.downstream_cx_total": 0,
	} {
		v, ok := get[name]
		require.True(t, ok, name)
		require.Equal(t, want, v, name)
	}
}
