//go:build linux

package sidecar

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// TestBreakersOfAFile gives both proxies requests that the upstream does not
// answer yet, one after another: which of them are turned away, with what, and
// which are answered in the end is the same.
func TestBreakersOfAFile(t *testing.T) {
	for name, tt := range map[string]struct {
		breakers  mesh.Breakers
		endpoints int
		want      string // by request: k is answered, o turned away
	}{
		"one connection, one waits":       {mesh.Breakers{MaxConnections: 1, MaxPending: 1, MaxRequests: 9}, 1, "kkoo"},
		"two connections, none waits":     {mesh.Breakers{MaxConnections: 2, MaxPending: 0, MaxRequests: 9}, 1, "oooo"},
		"one request":                     {mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 1}, 1, "kooo"},
		"no request":                      {mesh.Breakers{MaxConnections: 9, MaxPending: 9, MaxRequests: 0}, 1, "oooo"},
		"no connection but one of each":   {mesh.Breakers{MaxConnections: 0, MaxPending: 1, MaxRequests: 9}, 2, "kkko"},
		"two requests, one connection":    {mesh.Breakers{MaxConnections: 1, MaxPending: 9, MaxRequests: 2}, 1, "kkkk"},
		"two requests, two connections":   {mesh.Breakers{MaxConnections: 2, MaxPending: 9, MaxRequests: 2}, 1, "kkkk"},
		"two requests, three connections": {mesh.Breakers{MaxConnections: 3, MaxPending: 9, MaxRequests: 2}, 1, "kkoo"},
		"room for all":                    {mesh.Breakers{MaxConnections: 4, MaxPending: 1, MaxRequests: 4}, 1, "kkkk"},
	} {
		run := func(t *testing.T, proxy func(cfg mesh.Config) string) (fate string, answers []string) {
			gate := make(chan struct{})
			var endpoints []mesh.Endpoint
			for range tt.endpoints {
				endpoints = append(endpoints, mesh.Endpoint{Address: answer(t, func(c net.Conn, r *bufio.Reader) {
					for skipHead(r) == nil {
						<-gate
						io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
					}
				})})
			}
			cfg := relay(0, endpoints...)
			cfg.Clusters[0].Breakers = &tt.breakers
			addr := proxy(cfg)
			var readers []*bufio.Reader
			for range tt.want {
				c, err := net.Dial("tcp", addr)
				require.NoError(t, err)
				t.Cleanup(func() { c.Close() })
				_, err = io.WriteString(c, get)
				require.NoError(t, err)
				require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
				r := bufio.NewReader(c)
				_, _ = r.Peek(1) // it is turned away, or had its turn before the next
				require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
				readers = append(readers, r)
			}
			close(gate)
			for _, r := range readers {
				resp, err := http.ReadResponse(r, nil)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				fate += map[int]string{200: "k", 503: "o"}[resp.StatusCode]
				resp.Header.Del("Date")
				resp.Header.Del("X-Envoy-Upstream-Service-Time")
				answers = append(answers, fmt.Sprint(resp.Status, resp.Header, string(body)))
			}
			return fate, answers
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var s *Server
			fate, ours := run(t, func(cfg mesh.Config) string {
				s = start(t, cfg, Options{Concurrency: 1})
				return s.Addrs()[0].String()
			})
			require.Equal(t, tt.want, fate)
			require.Equal(t, uint64(strings.Count(tt.want, "o")), stat(t, s, "cluster.app.upstream_rq_pending_overflow"))
			path := envoy(t)
			fate, envoys := run(t, func(cfg mesh.Config) string {
				addr := reserve(t, 1)[0]
				cfg.Listeners[0].Address = addr
				startEnvoy(t, path, cfg, addr)
				return addr
			})
			require.Equal(t, tt.want, fate, "Envoy's")
			require.Equal(t, envoys, ours)
		})
	}
}
