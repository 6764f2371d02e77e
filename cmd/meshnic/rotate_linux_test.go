package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/istio"
	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// Certificates are renewed under load, for Envoy and for the sidecar alike: no request
// fails, connections that begin from then on have the new ones at both ends, and a file
// that holds none changes nothing.
func TestCertificatesAreRenewed(t *testing.T) {
	exe, proxies := sidecars(t)
	for name, cmd := range proxies {
		t.Run(name, func(t *testing.T) { renewed(t, name, cmd, exe) })
	}
}

func renewed(t *testing.T, name string, proxy lab.Cmd, exe string) {
	l := newMeshLab(t, "r"+name, exe)
	l.start(proxy, func(*istio.Sidecar) {})
	serial := func(pod string) *big.Int {
		text, err := os.ReadFile(filepath.Join(l.dir, pod+"-secret.yaml"))
		require.NoError(t, err)
		c, err := envoyconf.ReadSecret(text, pod, istio.SecretName)
		require.NoError(t, err)
		pair, err := tls.X509KeyPair([]byte(c.Chain.Inline), []byte(c.Key.Inline))
		require.NoError(t, err)
		return pair.Leaf.SerialNumber
	}
	chain, key, err := l.ca.Issue(time.Now(), istio.Identity("default", "c"))
	require.NoError(t, err)
	own, err := tls.X509KeyPair(chain, key)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(l.ca.Root()))

	// What b shows to who connects to it.
	shown := func() *big.Int {
		var c net.Conn
		require.NoError(t, l.Do("client", func() (err error) { c, err = net.DialTimeout("tcp", l.IP("b")+":9080", 60*time.Second); return err }))
		defer c.Close()
		s := tls.Client(c, &tls.Config{Certificates: []tls.Certificate{own}, InsecureSkipVerify: true})
		s.SetDeadline(time.Now().Add(60 * time.Second))
		require.NoError(t, s.Handshake())
		return s.ConnectionState().PeerCertificates[0].SerialNumber
	}
	// What a shows to c, to which each request is a connection of its own.
	var ln net.Listener
	require.NoError(t, l.Do("c", func() (err error) { ln, err = net.Listen("tcp", ":9080"); return err }))
	defer ln.Close()
	var mu sync.Mutex
	var last *big.Int
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: roots, ClientAuth: tls.RequireAndVerifyClientCert})
			s.SetDeadline(time.Now().Add(60 * time.Second))
			if s.Handshake() == nil {
				mu.Lock()
				last = s.ConnectionState().PeerCertificates[0].SerialNumber
				mu.Unlock()
				s.Read(make([]byte, 4096))
				fmt.Fprint(s, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nc")
			}
			s.Close()
		}
	}()
	taken := func() *big.Int {
		r, err := l.Run(t.Context(), "a", lab.Cmd{Path: "curl", Args: []string{"-s", "--max-time", "60", "http://c:9080/"}})
		require.NoError(t, err)
		require.Equal(t, "c", string(r.Stdout))
		mu.Lock()
		defer mu.Unlock()
		return last
	}
	require.Equal(t, serial("b"), shown())
	require.Equal(t, serial("a"), taken())

	// Two loads on b: over a's sidecar, with TLS, and, each request on a connection of
	// its own, by a pod that has none.
	var loads []*lab.Process
	var results []string
	for i, from := range []string{"a", "client"} {
		service, _ := l.Service("b")
		in, err := json.Marshal(map[string]any{"target": service.IP + ":9080", "host": "b:9080", "connections": 4, "duration_ns": time.Hour, "close": i == 1, "check": map[string]any{"body": "app b"}})
		require.NoError(t, err)
		out := filepath.Join(t.TempDir(), "result")
		p, err := l.Start(from, lab.Cmd{Path: exe, Args: []string{"__load", "run"}, Env: l.self, Stdin: in, Stdout: out})
		require.NoError(t, err)
		loads, results = append(loads, p), append(results, out)
	}
	for range 2 {
		time.Sleep(500 * time.Millisecond)
		was := []*big.Int{serial("a"), serial("b")}
		l.deliver("a")
		l.deliver("b")
		now := []*big.Int{serial("a"), serial("b")}
		require.NotEqual(t, was, now)
		require.Eventually(t, func() bool {
			return slices.EqualFunc([]*big.Int{taken(), shown()}, now, func(a, b *big.Int) bool { return a.Cmp(b) == 0 })
		}, 60*time.Second, 50*time.Millisecond)
	}
	// A file that holds no certificate leaves the ones so far in force.
	before := serial("b")
	good, err := os.ReadFile(filepath.Join(l.dir, "b-secret.yaml"))
	require.NoError(t, err)
	l.write("b-secret.yaml.new", []byte("resources: []\n"))
	require.NoError(t, os.Rename(filepath.Join(l.dir, "b-secret.yaml.new"), filepath.Join(l.dir, "b-secret.yaml")))
	time.Sleep(1500 * time.Millisecond)
	require.Equal(t, before, shown())
	l.write("b-secret.yaml", good)
	for i, out := range results {
		loads[i].Stop(time.Minute) // with what it has
		require.NoError(t, loads[i].Wait())
		r, err := os.ReadFile(out)
		require.NoError(t, err)
		var got struct {
			N      uint64         `json:"n"`
			Errors map[string]any `json:"errors"`
		}
		require.NoError(t, json.Unmarshal(r, &got), "%s", r)
		require.NotZero(t, got.N)
		for kind, n := range got.Errors {
			require.EqualValues(t, 0, n, "%s: %s", kind, r)
		}
	}
}
