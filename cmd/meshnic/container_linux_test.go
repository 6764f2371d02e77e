package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
)

// The containers of these tests are made by hand, as a runtime makes them: a network
// namespace, a veth whose near end is a port of a bridge or has a route, and a process.
// What the runtime would say of them is said by one that is made up: fakeDocker.
type box struct {
	name string
	addr netip.AddrPort // of the load generator's server in it
	pid  int
}

// cycles is how often a NIC comes and goes.
var cycles = flag.Int("cycles", 4, "how often a NIC is put in front of a container under load")

const bridgeAddr = "10.88.0.1"

// newBridge makes the bridge br-test.
func newBridge(t *testing.T) {
	t.Helper()
	hostiftest.NeedNet(t, netns.Probe)
	if netns.Entered() == "unprivileged" {
		t.Skip("AF_XDP and tcx need root")
	}
	hostiftest.IP(t, "link", "add", "br-test", "type", "bridge")
	t.Cleanup(func() { exec.Command("ip", "link", "del", "br-test").Run() })
	hostiftest.IP(t, "link", "set", "br-test", "addrgenmode", "none")
	hostiftest.IP(t, "addr", "add", bridgeAddr+"/24", "dev", "br-test")
	hostiftest.IP(t, "link", "set", "br-test", "up")
}

// newBox makes a container with the null server in it; on the bridge, or routed to with
// a near end of its own, as CNI's ptp has it.
func newBox(t *testing.T, name string, n int, routed bool) *box {
	t.Helper()
	addr := fmt.Sprintf("10.88.%d.%d", btoi(routed), 10+n)
	near, gateway := "veth-"+name, bridgeAddr
	hostiftest.IP(t, "netns", "add", name)
	t.Cleanup(func() { exec.Command("ip", "netns", "del", name).Run() })
	hostiftest.IP(t, "link", "add", near, "type", "veth", "peer", "name", "eth0", "netns", name)
	t.Cleanup(func() { exec.Command("ip", "link", "del", near).Run() }) // the namespace takes its time
	hostiftest.IP(t, "link", "set", near, "addrgenmode", "none")
	hostiftest.IP(t, "-n", name, "link", "set", "eth0", "addrgenmode", "none")
	hostiftest.IP(t, "-n", name, "link", "set", "lo", "up")
	hostiftest.IP(t, "-n", name, "link", "set", "eth0", "up")
	if routed {
		gateway = "169.254.1.1"
		hostiftest.IP(t, "addr", "add", gateway+"/32", "dev", near)
		hostiftest.IP(t, "link", "set", near, "up")
		hostiftest.IP(t, "-n", name, "addr", "add", addr+"/32", "dev", "eth0")
		hostiftest.IP(t, "-n", name, "route", "add", gateway, "dev", "eth0", "scope", "link")
		hostiftest.IP(t, "route", "add", addr+"/32", "dev", near, "scope", "link")
	} else {
		hostiftest.IP(t, "link", "set", near, "master", "br-test")
		hostiftest.IP(t, "link", "set", near, "up")
		hostiftest.IP(t, "-n", name, "addr", "add", addr+"/24", "dev", "eth0")
	}
	hostiftest.IP(t, "-n", name, "route", "add", "default", "via", gateway)

	b := &box{name: name, addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 9080)}
	b.pid = b.serve(t)
	return b
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// inside is a command in the container.
func (b *box) inside(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "nsenter", append([]string{"--net=/run/netns/" + b.name}, args...)...)
	cmd.Env = append(os.Environ(), asMeshnic+"=1")
	return cmd
}

// serve starts the null server, and waits for it.
func (b *box) serve(t *testing.T) (pid int) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cfg, err := json.Marshal(load.ServeConfig{Listen: b.addr})
	require.NoError(t, err)
	cmd := b.inside(t, exe, "__load", "serve")
	cmd.Stdin = strings.NewReader(string(cfg))
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	_, err = load.ReadListening(out)
	require.NoError(t, err)
	return cmd.Process.Pid
}

// fakeDocker answers as Docker would that these containers run.
func fakeDocker(t *testing.T, boxes ...*box) (runtime string) {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "docker.sock")
	ln, err := net.Listen("unix", sock)
	require.NoError(t, err)
	mux := http.NewServeMux()
	id := func(i int) string { return fmt.Sprintf("%064x", 0xabcdef00+i) }
	mux.HandleFunc("GET /_ping", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") })
	mux.HandleFunc("GET /containers/json", func(w http.ResponseWriter, _ *http.Request) {
		var all []map[string]any
		for i, b := range boxes {
			all = append(all, map[string]any{"Id": id(i), "Names": []string{"/" + b.name}, "State": "running"})
		}
		json.NewEncoder(w).Encode(all)
	})
	mux.HandleFunc("GET /containers/{id}/json", func(w http.ResponseWriter, r *http.Request) {
		for i, b := range boxes {
			if r.PathValue("id") == id(i) {
				json.NewEncoder(w).Encode(map[string]any{"Id": id(i), "State": map[string]any{"Status": "running", "Running": true, "Pid": b.pid},
					"HostConfig": map[string]any{"NetworkMode": "bridge"}})
				return
			}
		}
		http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
	})
	srv := &http.Server{Handler: mux}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	return "unix://" + sock
}

// settled waits until the host is as it was twice, and returns that.
func settled(t *testing.T) (state string) {
	t.Helper()
	for was := "none"; was != state; time.Sleep(300 * time.Millisecond) {
		was, state = state, hostState(t)
	}
	return state
}

// speech is what a process has said so far.
type speech struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *speech) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *speech) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// attach is meshnic attach --container, started.
func (b *box) attach(t *testing.T, runtime string, more ...string) (cmd *exec.Cmd, said *speech) {
	t.Helper()
	cmd = meshnic(t, append([]string{"attach", "--container", b.name, "--runtime", runtime}, more...)...)
	said = new(speech)
	cmd.Stderr = said
	require.NoError(t, cmd.Start())
	return cmd, said
}

// inFront waits until an attach says that it is.
func inFront(t *testing.T, b *box, said *speech) {
	t.Helper()
	require.Eventually(t, func() bool { return strings.Contains(said.String(), "in front of ") }, 60*time.Second, 5*time.Millisecond, "%s: %s", b.name, said)
}

// leave ends an attach as its user does.
func (b *box) leave(t *testing.T, cmd *exec.Cmd, said *speech, cycle int) {
	t.Helper()
	require.NoError(t, cmd.Process.Signal(unix.SIGTERM))
	cmd.Wait()
	require.Equal(t, 143, cmd.ProcessState.ExitCode(), "cycle %d: %s", cycle, said)
}

// null is what is asked of the null server.
func (b *box) null() load.Config {
	size := int64(len(load.NullBody()))
	return load.Config{Target: b.addr, Check: load.Check{BodyLen: &size}}
}

// under runs load from the host, over kept connections and new ones, while do runs, and
// requires that no request failed.
func (b *box) under(t *testing.T, cfg load.Config, do func()) {
	t.Helper()
	ctx := t.Context()
	results := make(chan *load.Result, 2)
	stop := make(chan struct{})
	cfg.Connections, cfg.Duration, cfg.Rate = 4, 500*time.Millisecond, 400
	for _, again := range []bool{false, true} {
		go func() {
			cfg := cfg
			cfg.Close = again
			var parts []*load.Result
			for more := true; more; {
				r, err := load.Run(ctx, cfg)
				if err != nil {
					t.Error(err)
					break
				}
				parts = append(parts, r)
				select {
				case <-stop:
					more = false
				default:
				}
			}
			sum, err := load.Merge(parts...)
			if err != nil {
				t.Error(err)
			}
			results <- sum
		}()
	}
	timeouts := tcpTimeouts(t)
	do()
	close(stop)
	n := uint64(0)
	for range 2 {
		r := <-results
		require.NotNil(t, r)
		require.Zero(t, r.Errors.Total(), "%+v: %v", r.Errors, r.Examples)
		require.Zero(t, r.Unfinished)
		n += r.N
		t.Logf("%s: %d requests, %d connections, none failed; p99 %.0f us, max %.0f us", r.Mode, r.N, r.Connects, r.WallUS.P99, r.WallUS.Max)
	}
	require.NotZero(t, n)
	t.Logf("retransmission timeouts of the client meanwhile: %d", tcpTimeouts(t)-timeouts)
}

// tcpTimeouts is how often a retransmission timer has run out in this namespace.
func tcpTimeouts(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/net/netstat")
	require.NoError(t, err)
	lines := strings.Split(string(b), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	for i, n := range names {
		if n == "TCPTimeouts" {
			v := 0
			_, err := fmt.Sscan(values[i], &v)
			require.NoError(t, err)
			return v
		}
	}
	t.Fatal("no TCPTimeouts in /proc/net/netstat")
	return 0
}

// comesAndGoes has cycle put a NIC in the way of a container and take it out, again and
// again, under load, whatever ties the container to the host: nothing fails, and the host is
// as it was.
func comesAndGoes(t *testing.T, cycle func(b *box, runtime string, i int)) {
	newBridge(t)
	for n, routed := range []bool{false, true} {
		b := newBox(t, map[bool]string{false: "web", true: "routed"}[routed], n, routed)
		runtime := fakeDocker(t, b)
		before := settled(t)
		b.under(t, b.null(), func() {
			for i := range *cycles {
				cycle(b, runtime, i)
			}
		})
		require.Eventually(t, func() bool { return hostState(t) == before }, 60*time.Second, 50*time.Millisecond, "%s\n%s", before, hostState(t))
	}
}

// A NIC comes and goes, again and again, in the way of a container under load: nothing
// fails, whatever ties the container to the host, and the host is as it was.
func TestContainerUnderLoad(t *testing.T) {
	comesAndGoes(t, func(b *box, runtime string, i int) {
		cmd, said := b.attach(t, runtime)
		inFront(t, b, said)
		time.Sleep(200 * time.Millisecond)
		b.leave(t, cmd, said, i)
	})
}

// kill -9 at any moment: the container is never cut off, also before clean, which
// puts the rest back.
func TestKilledContainerAttach(t *testing.T) {
	newBridge(t)
	b := newBox(t, "web", 0, false)
	runtime := fakeDocker(t, b)
	before := settled(t)
	dirty := 0
	b.under(t, b.null(), func() {
		for _, ms := range []time.Duration{5, 20, 40, 80, 150, 300, 600, whenItRuns} {
			cmd, said := b.attach(t, runtime)
			if ms == whenItRuns {
				inFront(t, b, said)
			} else {
				time.Sleep(ms * time.Millisecond)
			}
			require.NoError(t, cmd.Process.Kill())
			cmd.Wait()
			time.Sleep(100 * time.Millisecond) // without the NIC, and without a clean
			if hostState(t) != before {
				dirty++
			}
			code, _, stderr := result(t, meshnic(t, "clean"))
			require.Zero(t, code, stderr)
		}
	})
	require.NotZero(t, dirty, "there was something to clean")
	cleaned(t, before, "at the end")
}

// inPod is the file of a sidecar in a container: what comes to its port is the
// application's on loopback.
const inPod = `
static_resources:
  listeners:
  - name: inbound
    address: {socket_address: {address: 0.0.0.0, port_value: 9080}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: inbound
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
          route_config:
            virtual_hosts:
            - name: app
              domains: ["*"]
              routes:
              - {match: {prefix: /}, route: {cluster: app}}
  clusters:
  - name: app
    type: STATIC
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9080}}}
`

// The same with the NIC as the container's proxy, by the file of its sidecar: connections
// that were there pass, new ones are the proxy's, and when it leaves those end after the
// response that they carry, and the next are the container's own.
func TestContainerOffloadUnderLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	require.NoError(t, os.WriteFile(file, []byte(inPod), 0o644))
	comesAndGoes(t, func(b *box, runtime string, i int) {
		cmd := meshnic(t, "attach", "--container", b.name, "--runtime", runtime, "--program", "offload", "--config", file, "-o", "json")
		said, out := new(speech), new(speech)
		cmd.Stderr, cmd.Stdout = said, out
		require.NoError(t, cmd.Start())
		inFront(t, b, said)
		time.Sleep(300 * time.Millisecond)
		b.leave(t, cmd, said, i)
		require.NotContains(t, said.String(), "were not done")
		var counted struct{ Counters map[string]uint64 }
		require.NoError(t, json.Unmarshal([]byte(out.String()), &counted), out.String())
		require.NotZero(t, counted.Counters["proxy.http.inbound.downstream_rq_2xx"], "%v", counted.Counters)
		require.Zero(t, counted.Counters["proxy.http.inbound.downstream_rq_5xx"])
	})
}
