package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/hostif/probe"
	"github.com/meshnic/meshnic/internal/spawn"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// asMeshnic makes the test binary be meshnic, so that tests can run it as a
// process of its own, kill it, and let it start copies of itself.
const asMeshnic = "MESHNIC_TEST_BE_MESHNIC"

// The tests run on a host of their own, so that its state can be compared as a
// whole, whatever else this machine is doing.
func TestMain(m *testing.M) {
	spawn.Dispatch()
	if len(os.Args) > 1 && os.Args[1] == "__load" {
		os.Exit(load.Main(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if os.Getenv(asMeshnic) != "" {
		if what := os.Getenv(denyVar); what != "" {
			if err := deny(what); err != nil {
				panic(err)
			}
		}
		os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
	}
	if netns.Entered() == "" {
		enter := func() (int, error) { return netns.EnterPrivate(os.Args[1:]) }
		if !netns.Privileged() {
			enter = func() (int, error) { return netns.EnterUnprivileged(os.Args[1:]) }
		}
		if code, err := enter(); err == nil {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// meshnic is a command that runs this program with args.
func meshnic(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(os.Environ(), asMeshnic+"=1")
	return cmd
}

// result runs it to its end.
func result(t *testing.T, cmd *exec.Cmd) (code int, stdout, stderr string) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	require.NotNil(t, cmd.ProcessState, "%v", err)
	return cmd.ProcessState.ExitCode(), out.String(), errOut.String()
}

// Bad input: each its exit code, a message that says what to do, and nothing
// printed on stdout.
func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	files := 0
	file := func(name, content string) string {
		files++
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, tt := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"unknown verb", []string{"brench"}, 2, []string{`"brench"`, "next: meshnic bench"}},
		{"unknown flag", []string{"bench", "--quik"}, 2, []string{"--quik", "meshnic bench --help"}},
		{"unknown experiment", []string{"bench", "curly"}, 2, []string{`"curly"`}},
		{"unknown system", []string{"bench", "hop", "--systems", "envy"}, 2, []string{`"envy"`, "sidecar"}},
		{"json of two experiments", []string{"bench", "-o", "json"}, 2, []string{"name one experiment"}},
		{"no connections", []string{"bench", "hop", "-c", "0"}, 2, []string{"1 to 1024"}},
		{"unknown placement", []string{"bench", "hop", "--placement", "two"}, 2, []string{"one core"}},
		{"unknown work", []string{"bench", "bookinfo", "--work", "hard"}, 2, []string{"polyglot"}},
		{"faults that make no sense", []string{"attach", "--port", "a=lo", "--port", "b=lo@x", "--fault", "loss=200%"}, 2, []string{"loss"}},
		{"faults that make no sense in a bench", []string{"bench", "hop", "--fault", "loss=x"}, 2, []string{"loss=x", "1%"}},
		{"faults that make no sense in a soak", []string{"bench", "soak", "--fault", "zz"}, 2, []string{`"zz"`, "loss, dup"}},
		{"negative rate", []string{"bench", "hop", "--rate", "-1"}, 2, []string{"negative", "next: meshnic bench --help"}},
		{"a rate that is no number", []string{"bench", "hop", "--rate", "NaN", "--dir", filepath.Join(dir, "run")}, 2, []string{"--rate NaN", "0 (closed loop) to 10000000 requests a second"}},
		{"a rate without end", []string{"bench", "hop", "--rate", "Inf", "--dir", filepath.Join(dir, "run")}, 2, []string{"--rate +Inf"}},
		{"no number", []string{"bench", "hop", "--duration", "1x"}, 2, []string{"1x", "meshnic bench --help"}},
		{"a run folder that cannot be made", []string{"bench", "hop", "--dir", filepath.Join(dir, "bad.yaml", "x")}, 2, []string{"bad.yaml", "--dir"}},
		{"run folder in use", []string{"bench", "hop", "--dir", dir}, 6, []string{"not empty", "--dir"}},
		{"attach without ports", []string{"attach"}, 2, []string{"--port a=IF"}},
		{"attach with a port that is none", []string{"attach", "--port", "veth0"}, 2, []string{"NAME=INTERFACE"}},
		{"attach twice to one interface", []string{"attach", "--port", "a=x", "--port", "b=x"}, 2, []string{"same interface"}},
		{"two ports of one name", []string{"attach", "--port", "a=x", "--port", "a=y"}, 2, []string{"two ports are named a", "next: meshnic attach --help"}},
		{"unknown program", []string{"attach", "--port", "a=x", "--port", "b=y", "--program", "offlaod"}, 2, []string{"offlaod", "null passthrough"}},
		{"unknown pipeline", []string{"attach", "--port", "a=x", "--port", "b=y", "--pipeline", "nope"}, 3, []string{"nope", "passthrough-100g"}},
		{"malformed pipeline", []string{"attach", "--port", "a=x", "--port", "b=y", "--pipeline", file("p.yaml", "- {module: axis_fifoo}\n")}, 3, []string{"p.yaml:1:12", "axis_fifo?"}},
		{"a model without time", []string{"attach", "--port", "a=x", "--port", "b=y", "--model-share", "0"}, 2, []string{"--model-share is 0", "--pipeline none"}},
		{"a model with too much", []string{"attach", "--port", "a=x", "--port", "b=y", "--model-share", "NaN"}, 2, []string{"--model-share is NaN", "to 1"}},
		{"unknown mode", []string{"attach", "--port", "a=x", "--port", "b=y", "--mode", "dpdk"}, 2, []string{"xdp, tap or packet"}},
		{"a proxy's file without the proxy", []string{"attach", "--port", "a=x", "--port", "b=y", "--config", "envoy.yaml"}, 2, []string{"program passthrough has none", "add --program offload"}},
		{"a fallback without the proxy", []string{"attach", "--port", "a=x", "--port", "b=y", "--program", "null", "--fallback", "10.0.0.1"}, 2, []string{"program null has none", "add --program offload"}},
		{"a proxy without a file", []string{"attach", "--port", "a=x", "--port", "b=y", "--program", "offload"}, 2, []string{"--config FILE"}},
		{"a proxy's file that is not there, before interfaces that are not", []string{"attach", "--port", "a=x", "--port", "b=y", "--program", "offload", "--config", filepath.Join(dir, "none.yaml")}, 3, []string{"none.yaml"}},
		{"attach for less than no time", []string{"attach", "--port", "a=x", "--port", "b=y", "--for", "-1s"}, 2, []string{"--for -1s is negative"}},
		{"attach that polls for less than no time", []string{"attach", "--port", "a=x", "--port", "b=y", "--poll", "-1s"}, 2, []string{"--poll -1s is negative"}},
		{"sidecar that drains for less than no time", []string{"sidecar", "--config", "envoy.yaml", "--drain-time", "-1s"}, 2, []string{"--drain-time -1s"}},
		{"sidecar that flushes in less than no time", []string{"sidecar", "--config", "envoy.yaml", "--log-flush", "-1s"}, 2, []string{"--log-flush -1s"}},
		{"unknown namespace", []string{"attach", "--port", "a=x@nowhere_at_all", "--port", "b=y"}, 2, []string{"nowhere_at_all", "ip netns list"}},
		{"two kinds of target", []string{"attach", "--container", "web", "--pod", "default/web"}, 2, []string{"choose one of", "next: meshnic attach --help"}},
		{"a container and ports", []string{"attach", "--container", "web", "--port", "a=x"}, 2, []string{"leave out --port"}},
		{"a pod without its namespace", []string{"attach", "--pod", "web"}, 2, []string{"NAMESPACE/NAME"}},
		{"labels that are none", []string{"attach", "--pod-label", "app"}, 2, []string{"KEY=VALUE"}},
		{"one socket for many NICs", []string{"attach", "--pod-label", "app=web", "--control", "x"}, 2, []string{"use --pod"}},
		{"a runtime that is no socket", []string{"attach", "--container", "web", "--runtime", "tcp://1.2.3.4:2375"}, 2, []string{"unix:///run/containerd/containerd.sock"}},
		{"a runtime that is not there", []string{"attach", "--container", "web", "--runtime", "unix:///none.sock"}, 2, []string{"no such file", "--runtime unix:///path"}},
		{"static entry", []string{"attach", "--port", "a=x", "--port", "b=y", "--static", "zz=a"}, 2, []string{"MAC=PORT"}},
		{"sidecar without a file", []string{"sidecar"}, 2, []string{"--config"}},
		{"sidecar with a missing file", []string{"sidecar", "--config", filepath.Join(dir, "none.yaml")}, 3, []string{"none.yaml"}},
		{"sidecar with a malformed file", []string{"sidecar", "--config", file("bad.yaml", "static_resources: [")}, 3, []string{"bad.yaml:1:1", "next: "}},
		{"sidecar on a port in use", []string{"sidecar", "--config", file("taken.yaml", bootstrap(t, taken.Addr()))}, 6, []string{taken.Addr().String(), "next: "}},
		{"unknown service", []string{"bookinfo", "pages"}, 2, []string{"productpage"}},
		{"port in use", []string{"bookinfo", "details", "--listen", taken.Addr().String()}, 6, []string{taken.Addr().String(), "--listen"}},
		{"malformed lab", []string{"lab", "plan", file("lab.yaml", "name: x\nfabrik: bridge\n")}, 3, []string{"lab.yaml:2:1: fabrik", "want name, hosts, fabric"}},
		{"lab with a wrong value", []string{"lab", "up", file("lab2.yaml", "name: x\nfabric: token\nhosts: [{name: a}]\n")}, 3, []string{"lab2.yaml:2:9", "direct, bridge, ports, taps or kubernetes"}},
		{"lab without a verb", []string{"lab"}, 2, []string{"lab needs a verb", "meshnic lab --help"}},
		{"lab up without a file", []string{"lab", "up"}, 2, []string{"meshnic lab up FILE", "next: meshnic lab up --help"}},
		{"lab exec where there is no lab", []string{"lab", "exec", "not_there", "a", "true"}, 2, []string{"not_there"}},
		{"names at no address", []string{"dns", "--zone", "x", "--listen", "53"}, 2, []string{"ADDRESS:PORT"}},
		{"names of no file", []string{"dns", "--zone", filepath.Join(dir, "none.json"), "--listen", "127.0.0.1:0"}, 3, []string{"none.json", "--zone"}},
		{"names of a malformed file", []string{"dns", "--zone", file("zone.json", "{}"), "--listen", "127.0.0.1:0"}, 3, []string{"zone.json", "domain is empty"}},
		{"lab that is not there", []string{"lab", "down", "not_there"}, 2, []string{"not_there", "meshnic lab"}},
		{"report of nothing", []string{"report", t.TempDir()}, 3, []string{"bookinfo"}},
		{"comparison of folders", []string{"compare", t.TempDir(), t.TempDir()}, 3, []string{"is a directory", "next: name a document of a run folder, such as runs/20260102-030405/hop.json"}},
		{"report of nonsense", []string{"compare", file("a.json", "{"), file("b.json", "{}")}, 3, []string{"a.json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := result(t, meshnic(t, tt.args...))
			require.Equal(t, tt.code, code, "stderr: %s", stderr)
			require.Empty(t, stdout)
			for _, s := range tt.says {
				require.Contains(t, stderr, s)
			}
			require.NotContains(t, stderr, "goroutine", "no stack for a user's mistake")
		})
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, files, "nothing half-created remains")
	require.NoDirExists(t, "runs", "no empty run folder remains")
}

// bootstrap is an Envoy bootstrap file with one listener.
func bootstrap(t *testing.T, at net.Addr) string {
	t.Helper()
	b, err := envoyconf.Bootstrap(mesh.Config{Listeners: []mesh.Listener{{Name: "l", Address: at.String(), StatPrefix: "l",
		VirtualHosts: []mesh.VirtualHost{{Name: "v", Domains: []string{"*"}, Routes: []mesh.Route{{Prefix: "/", Direct: &mesh.DirectResponse{Status: 200}}}}}}}})
	require.NoError(t, err)
	return string(b)
}

func TestHelpNamesEveryVerb(t *testing.T) {
	code, stdout, _ := result(t, meshnic(t, "--help"))
	require.Zero(t, code)
	for _, verb := range []string{"bench", "attach", "lab", "clean", "doctor", "report", "compare", "sidecar", "bookinfo", "explain"} {
		require.Contains(t, stdout, "\n  "+verb+" ")
	}
	require.NotContains(t, stdout, "__", "what the program uses on itself is not shown")
}

func TestDoctorSpeaksJSON(t *testing.T) {
	code, stdout, stderr := result(t, meshnic(t, "doctor", "-o", "json"))
	require.Zero(t, code, stderr)
	var doc struct {
		Schema   string
		Findings []struct {
			Name, Why, For string
			OK             bool
		}
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &doc))
	require.Equal(t, "meshnic.doctor/1", doc.Schema)
	require.Greater(t, len(doc.Findings), 10)
}

func TestUnknownInterfaceLeavesNothing(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, mode := range []string{"xdp", "packet"} {
		before, err := netns.Snapshot()
		require.NoError(t, err)
		code, stdout, stderr := result(t, meshnic(t, "attach", "--mode", mode, "--port", "a=nosuch0", "--port", "b=nosuch1"))
		require.NotZero(t, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "nosuch0")
		require.Contains(t, stderr, "next: ")
		after, err := netns.Snapshot()
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}

// An interrupted attach prints its counters, restores the host and says 130.
func TestInterruptedAttach(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	dir := t.TempDir()
	spec := filepath.Join(dir, "lab.yaml")
	name := "t_attach"
	require.NoError(t, os.WriteFile(spec, []byte("name: "+name+"\nfabric: ports\nhosts: [{name: blue}, {name: green}]\n"), 0o644))
	code, stdout, stderr := result(t, meshnic(t, "lab", "up", spec))
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "mnic-"+name+"-green")
	defer func() {
		code, _, stderr := result(t, meshnic(t, "lab", "down", name))
		require.Zero(t, code, stderr)
	}()
	ns := "mnic-" + name + "-switch"
	before := features(t, name)

	for sig, code := range map[unix.Signal]int{unix.SIGINT: 130, unix.SIGTERM: 143} {
		sock := filepath.Join(dir, "nic.sock")
		cmd := meshnic(t, "attach", "--netns", ns, "--port", "a=p-blue", "--port", "b=p-green", "--control", sock, "-o", "json")
		var out, errOut bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errOut
		require.NoError(t, cmd.Start())
		require.Eventually(t, func() bool { _, err := os.Stat(sock); return err == nil }, 60*time.Second, 10*time.Millisecond)
		require.NoError(t, cmd.Process.Signal(sig))
		cmd.Wait()
		require.Equal(t, code, cmd.ProcessState.ExitCode(), errOut.String())
		var s struct{ Schema, Mode string }
		require.NoError(t, json.Unmarshal(out.Bytes(), &s))
		require.Equal(t, "meshnic.nic/1", s.Schema)
		require.Equal(t, before, features(t, name), "every setting is as it was")
		require.NoFileExists(t, sock)
	}

	if probe.XDP() != nil {
		return // nothing of the peers is changed then
	}
	// After kill -9 the settings stay changed until clean.
	sock := filepath.Join(dir, "nic.sock")
	cmd := meshnic(t, "attach", "--netns", ns, "--port", "a=p-blue", "--port", "b=p-green", "--mode", "xdp", "--control", sock)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(sock); return err == nil }, 60*time.Second, 10*time.Millisecond)
	require.NotEqual(t, before, features(t, name), "attach turned an offload off")
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	var journal string
	labs, err := netns.Labs()
	require.NoError(t, err)
	for _, l := range labs {
		if l == fmt.Sprintf("attach_%d", cmd.Process.Pid) {
			journal = l
		}
	}
	require.NotEmpty(t, journal, "the changed settings are journalled")
	code, _, stderr = result(t, meshnic(t, "lab", "down", journal)) // clean would take the lab along
	require.Zero(t, code, stderr)
	require.Equal(t, before, features(t, name))
}

// features are the offload settings of both ends of the lab's veth pairs.
func features(t *testing.T, lab string) string {
	t.Helper()
	var b strings.Builder
	for _, x := range [][2]string{{"switch", "p-blue"}, {"switch", "p-green"}, {"blue", "eth0"}, {"green", "eth0"}} {
		require.NoError(t, netns.Do(netns.Name(lab, x[0]), func() error {
			f, err := ethtool.Get(-1, x[1])
			fmt.Fprintln(&b, x, f)
			return err
		}))
	}
	return b.String()
}

// An interrupted bench takes everything away and says 130 or 143.
func TestInterruptedBench(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	before, err := netns.Snapshot()
	require.NoError(t, err)
	for sig, code := range map[unix.Signal]int{unix.SIGINT: 130, unix.SIGTERM: 143} {
		cmd := meshnic(t, "bench", "hop", "--systems", "nic_passthrough,sidecar", "--dir", filepath.Join(t.TempDir(), "run"))
		require.NoError(t, cmd.Start())
		time.Sleep(time.Second)
		require.NoError(t, cmd.Process.Signal(sig))
		cmd.Wait()
		require.Equal(t, code, cmd.ProcessState.ExitCode())
		after, err := netns.Snapshot()
		require.NoError(t, err)
		require.Equal(t, before, after)
	}
}
