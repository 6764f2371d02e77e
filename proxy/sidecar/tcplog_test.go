//go:build linux

package sidecar

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// loggedCommands are those looked at, but for what settle takes out of a line; of
// durations it is whether there is one, and that it lies within the whole.
var loggedCommands = []string{
	"ACCESS_LOG_TYPE", "PROTOCOL", "REQ(:METHOD)", "RESP(:STATUS)", "RESPONSE_CODE", "RESPONSE_CODE_DETAILS", "CONNECTION_TERMINATION_DETAILS", "RESPONSE_FLAGS",
	"RESPONSE_FLAGS_LONG", "BYTES_RECEIVED", "BYTES_SENT", "REQUEST_DURATION", "REQUEST_TX_DURATION", "RESPONSE_DURATION", "RESPONSE_TX_DURATION",
	"COMMON_DURATION(DS_RX_BEG:DS_RX_BEG:ms)", "COMMON_DURATION(DS_RX_BEG:DS_RX_END:ms)", "COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ms)", "COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ms)",
	"COMMON_DURATION(DS_RX_BEG:DS_TX_END:ms)", "UPSTREAM_HOST", "UPSTREAM_HOST_NAME", "UPSTREAM_REMOTE_ADDRESS", "UPSTREAM_REMOTE_PORT", "UPSTREAM_PROTOCOL", "UPSTREAM_CLUSTER",
	"UPSTREAM_CLUSTER_RAW", "UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_REQUEST_ATTEMPT_COUNT", "UPSTREAM_TRANSPORT_FAILURE_REASON",
	"DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_DIRECT_LOCAL_ADDRESS", "DOWNSTREAM_HANDSHAKE_DURATION",
	"ROUTE_NAME", "VIRTUAL_CLUSTER_NAME", "REQUESTED_SERVER_NAME", "FILTER_CHAIN_NAME", "STREAM_ID", "HOSTNAME", "QUERY_PARAM(a)", "PATH",
}

// logScene is a scene at one of the listeners of loggedProxies.
type logScene struct {
	scene
	at    string
	takes time.Duration // at least
	alone bool          // the listener has a line of it, no TCP proxy has
	quiet bool          // its lines are not looked at
}

// hello begins TLS to a server of that name.
func (s *stage) hello(name string) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	s.t.Cleanup(cancel)
	go tls.Client(s.c, &tls.Config{ServerName: name}).HandshakeContext(ctx)
}

// pause is a long time for what happens by itself.
const pause = 400 * time.Millisecond

func logScenes() (all []logScene) {
	at := func(listener, name string, takes time.Duration, alone bool, play func(s *stage)) {
		all = append(all, logScene{scene: scene{name, play}, at: listener, takes: takes, alone: alone})
	}
	ends := func(s *stage) { s.dial(); s.hear("client", s.c, 1) }
	for _, sc := range scenes {
		switch sc.name {
		case "nobody listens":
			at("dead", sc.name, 0, false, ends)
		case "neither speaks":
			at("plain", sc.name, time.Second, false, sc.play)
		default:
			at("plain", sc.name, 0, false, sc.play)
		}
	}
	again := func(s *stage) { s.meet(); s.u.Close(); s.hear("client", s.c, 1); s.c.Close() }
	at("again", "whichever endpoint has its turn", 0, false, again)
	all[len(all)-1].quiet = true // the next one begins with the other
	at("again", "the second try", 0, false, again)
	at("hole", "no answer in time", 200*time.Millisecond, false, ends)
	at("none", "no endpoint", 0, false, ends)
	at("full", "the breaker is open", 0, false, ends)
	at("port", "no filter chain of that port", 0, true, ends)
	at("names", "the server's name tells", pause, false, func(s *stage) {
		s.dial()
		time.Sleep(pause)
		s.hello("A.Example")
		s.accept()
		_, err := s.u.Read(make([]byte, 4<<10))
		require.NoError(s.t, err)
		s.u.Close()
		s.hear("client", s.c, 1)
		s.c.Close()
	})
	at("names", "no filter chain of that name", 0, true, func(s *stage) {
		s.dial()
		s.hello("B.Example")
		time.Sleep(100 * time.Millisecond)
	})
	at("names", "no filter chain of clear text", 0, true, func(s *stage) { s.dial(); write(s.t, s.c, "clear"); s.hear("client", s.c, 1) })
	at("names", "left before that is known", pause, true, func(s *stage) { s.dial(); time.Sleep(pause); s.c.Close() })
	at("tls", "over TLS", 0, false, func(s *stage) {
		s.meet()
		c := tls.Client(s.c, &tls.Config{InsecureSkipVerify: true, ServerName: "not asked"})
		write(s.t, c, "hello")
		s.hear("server", s.u, 5)
		write(s.t, s.u, "hi")
		s.hear("client", c, 2)
		c.Close()
		s.hear("server", s.u, 1)
		s.u.Close()
	})
	at("https", "a request over TLS", 0, false, func(s *stage) {
		s.dial()
		c := tls.Client(s.c, &tls.Config{InsecureSkipVerify: true})
		require.NoError(s.t, c.Handshake())
		time.Sleep(pause)
		write(s.t, c, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
		s.hear("client", c, 100)
		c.Close()
	})
	at("tls", "TLS takes too long", time.Second, false, func(s *stage) { s.meet(); s.hear("client", s.c, 1); s.u.Close() })
	at("https", "TLS takes too long before HTTP", time.Second, true, ends)
	at("https", "clear text where there is to be TLS", 0, true, func(s *stage) { s.dial(); write(s.t, s.c, "GET / HTTP/1.1\r\n\r\n"); s.hear("client", s.c, 1) })
	return all
}

// loggedProxies are TCP proxies on addrs, those in front of something to up, with
// logs in dir.
func loggedProxies(t *testing.T, up, dir string, w *secureWorld, addrs []string) (cfg mesh.Config, at map[string]int) {
	format := map[string]any{"START_TIME": "%START_TIME%", "DURATION": "%DURATION%", "READY": "%UPSTREAM_CONNECTION_POOL_READY_DURATION%", "CONNECTION_ID": "%CONNECTION_ID%"}
	for _, c := range loggedCommands {
		format[c] = "%" + c + "%"
	}
	hole := blackhole(t)
	at = map[string]int{}
	for i, l := range []struct {
		name      string
		endpoints []string
		change    func(l *mesh.Listener, c *mesh.Cluster)
	}{
		{"plain", []string{up}, nil},
		{"dead", []string{"127.0.0.1:1"}, nil},
		{"again", []string{up, "127.0.0.1:1"}, nil},
		{"hole", []string{hole}, func(l *mesh.Listener, c *mesh.Cluster) { c.ConnectTimeout, l.TCP.Attempts = 200*time.Millisecond, 1 }},
		{"none", nil, nil},
		{"full", []string{up}, func(_ *mesh.Listener, c *mesh.Cluster) { c.Breakers = &mesh.Breakers{MaxPending: 1, MaxRequests: 1} }},
		{"port", []string{up}, func(l *mesh.Listener, _ *mesh.Cluster) { l.Match.Port = 1 }},
		{"names", []string{up}, func(l *mesh.Listener, _ *mesh.Cluster) { l.Match.ServerNames = []string{"a.example"} }},
		{"tls", []string{up}, func(l *mesh.Listener, _ *mesh.Cluster) {
			l.TLS = &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{w.server.certificate()}}}
			l.Handshake, l.TCP.Idle = time.Second, 0
		}},
		{"https", nil, func(l *mesh.Listener, _ *mesh.Cluster) {
			l.TLS = &mesh.ServerTLS{TLS: mesh.TLS{Certificates: []mesh.Certificate{w.server.certificate()}}}
			l.Handshake, l.TCP, l.VirtualHosts = time.Second, nil, relay(0).Listeners[0].VirtualHosts
			l.VirtualHosts[0].Routes[0].Cluster = "https"
		}},
	} {
		at[l.name] = i
		one := relay(0)
		x, c := &one.Listeners[0], &one.Clusters[0]
		x.Name, x.StatPrefix, x.Address, x.VirtualHosts = l.name, l.name, addrs[i], nil
		x.TCP = &mesh.TCPProxy{Cluster: l.name, Idle: time.Second, Attempts: 2}
		x.Logs = []mesh.AccessLog{{Path: filepath.Join(dir, "tcp"), JSON: format}}
		x.ConnLogs = []mesh.AccessLog{{Path: filepath.Join(dir, "listener"), JSON: format}}
		c.Name = l.name
		for _, e := range l.endpoints {
			c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: e})
		}
		if l.change != nil {
			l.change(x, c)
		}
		cfg.Listeners, cfg.Clusters = append(cfg.Listeners, *x), append(cfg.Clusters, *c)
	}
	return cfg, at
}

// logWatch reads the lines of a file one by one.
type logWatch struct {
	t    *testing.T
	path string
	from int
}

func (w *logWatch) next(of string) (line map[string]any) {
	w.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(w.path)
		if n := bytes.IndexByte(b[min(w.from, len(b)):], '\n'); n >= 0 {
			require.NoError(w.t, json.Unmarshal(b[w.from:w.from+n], &line))
			w.from += n + 1
			return line
		}
		require.True(w.t, time.Now().Before(end), "%s: no line in %s", of, w.path)
	}
}

// none sees that there is no other line.
func (w *logWatch) none() {
	b, err := os.ReadFile(w.path)
	require.NoError(w.t, err)
	require.Empty(w.t, string(b[w.from:]))
}

var aUUID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// settle takes out of a line what is by chance, once that is looked at, and calls
// the addresses by who has them.
func (sc *logScene) settle(t *testing.T, s *stage, began time.Time, line map[string]any) {
	start, err := time.Parse(time.RFC3339, line["START_TIME"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, began, start, 20*time.Second, sc.name)
	ms := line["DURATION"].(float64)
	for k, v := range line {
		if v, ok := v.(float64); ok && (strings.HasPrefix(k, "COMMON_DURATION") || strings.HasPrefix(k, "REQUEST_") || strings.HasPrefix(k, "RESPONSE_") && strings.HasSuffix(k, "DURATION")) {
			require.GreaterOrEqual(t, v, float64(0), "%s: %s", sc.name, k)
			require.LessOrEqual(t, v, ms+1, "%s: %s", sc.name, k)
			line[k] = "ms"
		}
	}
	require.GreaterOrEqual(t, ms, float64((sc.takes / 2).Milliseconds()), sc.name)
	require.Less(t, ms, float64((sc.takes + 30*time.Second).Milliseconds()), sc.name)
	if ready := line["READY"]; ready != nil {
		want := float64(0)
		if sc.at == "hole" {
			want = float64((sc.takes / 2).Milliseconds())
		}
		require.GreaterOrEqual(t, ready.(float64), want, sc.name)
		if sc.at == "names" { // it is not looked for before that is known
			ms -= float64((pause / 2).Milliseconds())
		}
		require.LessOrEqual(t, ready.(float64), ms+1, sc.name)
		line["READY"] = "ms"
	}
	if shaken := line["DOWNSTREAM_HANDSHAKE_DURATION"]; shaken != nil {
		if line["ACCESS_LOG_TYPE"] == mesh.LogRequest.String() {
			require.Less(t, shaken.(float64), -float64((pause / 4).Milliseconds()), sc.name)
		} else {
			require.GreaterOrEqual(t, shaken.(float64), float64(0), sc.name)
			require.LessOrEqual(t, shaken.(float64), ms+1, sc.name)
		}
		line["DOWNSTREAM_HANDSHAKE_DURATION"] = "ms"
	}
	if id := line["STREAM_ID"]; id != nil {
		require.Regexp(t, aUUID, id)
	}
	who := map[string]string{s.c.LocalAddr().String(): "CLIENT", s.addr: "PROXY", s.ln.Addr().String(): "SERVER"}
	if s.u != nil {
		who[s.u.RemoteAddr().String()] = "US"
	}
	for k, v := range line {
		if v, ok := v.(string); ok {
			if name, ok := who[v]; ok {
				line[k] = name
			} else if strings.HasPrefix(k, "UPSTREAM_HOST") && sc.at == "hole" {
				line[k] = "HOLE"
			}
		}
	}
	if line["UPSTREAM_REMOTE_PORT"] != nil {
		require.EqualValues(t, s.ln.Addr().(*net.TCPAddr).Port, line["UPSTREAM_REMOTE_PORT"])
		line["UPSTREAM_REMOTE_PORT"] = "SERVER"
	}
	delete(line, "START_TIME")
	delete(line, "DURATION")
}

// playLogged plays every scene and returns the lines of each.
func playLogged(t *testing.T, dir string, at map[string]int, addrs []string, ln *net.TCPListener) map[string][]map[string]any {
	all := map[string][]map[string]any{}
	conns, tcp := &logWatch{t: t, path: filepath.Join(dir, "listener")}, &logWatch{t: t, path: filepath.Join(dir, "tcp")}
	for _, sc := range logScenes() {
		s := &stage{t: t, addr: addrs[at[sc.at]], ln: ln}
		began := time.Now()
		sc.play(s)
		lines := []map[string]any{conns.next(sc.name)}
		if !sc.alone {
			lines = append(lines, tcp.next(sc.name))
			require.Equal(t, lines[0]["CONNECTION_ID"], lines[1]["CONNECTION_ID"], sc.name)
			if sc.at != "https" { // which is the request's
				require.Equal(t, lines[0]["STREAM_ID"], lines[1]["STREAM_ID"], sc.name)
			}
		}
		for _, l := range lines {
			if l["CONNECTION_ID"] != float64(0) {
				l["CONNECTION_ID"] = "some"
			}
			sc.settle(t, s, began, l)
			if l["STREAM_ID"] != nil {
				l["STREAM_ID"] = "UUID"
			}
		}
		if !sc.quiet {
			all[sc.name] = lines
		}
	}
	time.Sleep(100 * time.Millisecond)
	conns.none()
	tcp.none()
	return all
}

// TestTCPLogsWithEnvoy: of whatever comes of a connection to a TCP proxy, its own
// log and its listener's say what those of the real Envoy say.
func TestTCPLogsWithEnvoy(t *testing.T) {
	path := envoy(t)
	w := newSecureWorld(t)
	up := upstreams(t, 2)
	const n = 10 // of loggedProxies
	free := reserve(t, n+1)
	dir := t.TempDir()
	cfg, at := loggedProxies(t, up[0].Addr().String(), dir, w, free)
	cfg.Admin = free[n]
	file, err := envoyconf.Bootstrap(cfg)
	require.NoError(t, err)
	runEnvoy(t, path, file, cfg.Admin, "--file-flush-interval-msec", "10")
	ready(t, cfg.Admin)
	want := playLogged(t, dir, at, free, up[0].(*net.TCPListener))

	dir = t.TempDir()
	addrs := make([]string, n)
	for i := range addrs {
		addrs[i] = "127.0.0.1:0"
	}
	cfg, at = loggedProxies(t, up[1].Addr().String(), dir, w, addrs)
	s := start(t, cfg, Options{Concurrency: 1, LogFlush: time.Millisecond})
	for i, a := range s.Addrs() {
		addrs[i] = a.String()
	}
	got := playLogged(t, dir, at, addrs, up[1].(*net.TCPListener))
	for name := range want {
		t.Run(name, func(t *testing.T) { require.Equal(t, want[name], got[name]) })
	}
	require.Len(t, got, len(want))
}
