//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// balanced is three servers that say who they are. /hold is answered at once by
// all but the first, which answers it when the test is over.
func balanced(t *testing.T, weights ...uint32) (endpoints []mesh.Endpoint, held *atomic.Int64) {
	held = new(atomic.Int64)
	over := make(chan struct{})
	for i, w := range weights {
		endpoints = append(endpoints, mesh.Endpoint{Weight: w, Address: answer(t, func(c net.Conn, r *bufio.Reader) {
			for {
				line, err := r.ReadString('\n')
				if err != nil || skipHead(r) != nil {
					return
				}
				if i == 0 && strings.HasPrefix(line, "GET /hold") {
					held.Add(1)
					<-over
				}
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n%d", i)
			}
		})})
	}
	t.Cleanup(func() { close(over) })
	return endpoints, held
}

// TestBalancing holds the distribution of each policy, ours and Envoy's, against
// what it should be.
func TestBalancing(t *testing.T) {
	third := []float64{1. / 3, 1. / 3, 1. / 3}
	for name, c := range map[string]struct {
		policy  mesh.Policy
		choices uint32
		weights []uint32
		hold    bool // requests are under way to the first endpoint
		want    []float64
	}{
		"random":                     {mesh.Random, 0, []uint32{1, 1, 1}, false, third},
		"random with weights":        {mesh.Random, 0, []uint32{1, 2, 3}, false, third},
		"least request":              {mesh.LeastRequest, 0, []uint32{1, 1, 1}, false, third},
		"least request, one busy":    {mesh.LeastRequest, 0, []uint32{1, 1, 1}, true, []float64{1. / 9, 4. / 9, 4. / 9}},
		"least, by weight":           {mesh.LeastRequest, 0, []uint32{1, 2, 3}, false, []float64{1. / 6, 2. / 6, 3. / 6}},
		"least, by weight, one busy": {mesh.LeastRequest, 0, []uint32{4, 2, 3}, true, []float64{1. / 6, 2. / 6, 3. / 6}}, // three requests: a weight of 4/(3+1)
		"least of three, one busy":   {mesh.LeastRequest, 3, []uint32{1, 1, 1}, true, []float64{1. / 27, 13. / 27, 13. / 27}},
	} {
		world := func(t *testing.T) (mesh.Config, *atomic.Int64) {
			endpoints, held := balanced(t, c.weights...)
			cfg := relay(0, endpoints...)
			cfg.Clusters[0].Policy, cfg.Clusters[0].Choices = c.policy, c.choices
			return cfg, held
		}
		check := func(t *testing.T, addr string, held *atomic.Int64) {
			if c.hold {
				holdFirst(t, addr, held)
			}
			counts := ask3000(t, addr)
			require.Less(t, distance(counts, c.want), 41.4, "%v", counts) // p = 1e-9 with two degrees of freedom
		}
		t.Run(name, func(t *testing.T) {
			cfg, held := world(t)
			check(t, start(t, cfg, Options{Concurrency: 1}).Addrs()[0].String(), held)
		})
		t.Run(name+", Envoy", func(t *testing.T) {
			path := envoy(t)
			cfg, held := world(t)
			addr := reserve(t, 1)[0]
			cfg.Listeners[0].Address = addr
			startEnvoy(t, path, cfg, addr)
			check(t, addr, held)
		})
	}
}

// holdFirst sends requests until some are under way to the first endpoint.
func holdFirst(t *testing.T, addr string, held *atomic.Int64) {
	for end := time.Now().Add(60 * time.Second); held.Load() < 3; {
		require.True(t, time.Now().Before(end), "no request gets to the first endpoint")
		before := held.Load()
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, "GET /hold HTTP/1.1\r\nhost: x\r\n\r\n")
		require.NoError(t, err)
		for b := make([]byte, 1); held.Load() == before && time.Now().Before(end); { // until it is answered, or held
			require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			if n, _ := c.Read(b); n > 0 {
				break
			}
		}
	}
}

// ask3000 counts who answers, on one connection.
func ask3000(t *testing.T, addr string) []int {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	counts := make([]int, 3)
	for range 3000 {
		status, body := ask(t, c, r, get)
		require.Equal(t, 200, status)
		counts[body[0]-'0']++
	}
	return counts
}

// distance is chi-square of counts against shares of their sum.
func distance(counts []int, shares []float64) (x float64) {
	for i, n := range counts {
		e := shares[i] * 3000
		x += (float64(n) - e) * (float64(n) - e) / e
	}
	return x
}

// hashed are requests with and without what the route's policies look at.
func hashed() (requests []string) {
	add := func(fields string) { requests = append(requests, "GET / HTTP/1.1\r\nhost: x\r\n"+fields+"\r\n") }
	for i := range 200 {
		add(fmt.Sprintf("X-User: user%d\r\n", i))
	}
	for i := range 50 {
		add(fmt.Sprintf("cookie: a=b; session=%d; c=d\r\n", i))
		add(fmt.Sprintf("cookie: session=\"%d\"\r\n", i))
		add(fmt.Sprintf("x-last: %d\r\ncookie: session=%d\r\n", i%7, i))
		add(fmt.Sprintf("x-user: b%d\r\nx-user: a%d\r\n", i, i))
		add(fmt.Sprintf("x-user: a%d\r\nx-user: b%d\r\n", i, i))
		add(fmt.Sprintf("user-agent: b%d\r\nuser-agent: a%d\r\n", i, i)) // one value, in this order
		add(fmt.Sprintf("x-last: %d\r\nuser-agent: %d\r\n", i, i))
		add(fmt.Sprintf("x-user: %d\r\nx-last: %d\r\ncookie: session=%d\r\n", i, i, i))
	}
	add("x-user: \r\n")
	add("cookie: sessions=1; session=2; session=3\r\n")
	return requests
}

// TestPlacement gives both proxies the same endpoints and the same requests:
// each goes to the same endpoint, whatever of it is hashed.
func TestPlacement(t *testing.T) {
	for name, change := range map[string]func(c *mesh.Cluster){
		"ring":             func(c *mesh.Cluster) { c.Policy = mesh.RingHash },
		"ring, small":      func(c *mesh.Cluster) { c.Policy, c.MinRing, c.MaxRing = mesh.RingHash, 10, 40 },
		"ring, by weight":  func(c *mesh.Cluster) { c.Policy = mesh.RingHash; c.Endpoints[0].Weight = 5 },
		"table":            func(c *mesh.Cluster) { c.Policy = mesh.Maglev },
		"table, by weight": func(c *mesh.Cluster) { c.Policy = mesh.Maglev; c.Endpoints[1].Weight = 7 },
		"table, last address first": func(c *mesh.Cluster) {
			c.Policy, c.Endpoints[1].Weight = mesh.Maglev, 7
			slices.SortFunc(c.Endpoints, func(a, b mesh.Endpoint) int { return strings.Compare(b.Address, a.Address) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			endpoints, _ := balanced(t, 1, 2, 3)
			cfg := relay(0, endpoints...)
			change(&cfg.Clusters[0])
			cfg.Listeners[0].VirtualHosts[0].Routes[0].Hash = []mesh.HashPolicy{{Header: "x-user", Terminal: true}, {Header: "X-Last"}, {Header: "User-Agent"}, {Cookie: "session"}, {Query: "id"}}
			ours, envoys := both(t, cfg)
			got, want := placed(t, ours, hashed()), placed(t, envoys, hashed())
			for i, r := range hashed() {
				require.Equal(t, string(want[i]), string(got[i]), "%q", r)
			}
			require.Contains(t, got, "0")
			require.Contains(t, got, "1")
			require.Contains(t, got, "2")
		})
	}
}

// placed is who answers each request.
func placed(t *testing.T, addr string, requests []string) (who string) {
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer c.Close()
	r := bufio.NewReader(c)
	for _, x := range requests {
		status, body := ask(t, c, r, x)
		require.Equal(t, 200, status)
		who += body
	}
	return who
}
