package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/bench/istio"
	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/nic/control"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// nicLab is a meshLab whose pods a, b1, b2 and c are behind a NIC that is their proxy;
// e is elsewhere, with a sidecar that wants TLS, and the node has a sidecar beside the NIC.
type nicLab struct {
	*meshLab
	nic  istio.NIC
	sock string
	apps map[string]*lab.Process
	card *lab.Process
}

func newNICLab(t *testing.T) *nicLab {
	exe, proxies := sidecars(t)
	service := func(name string, pods ...string) lab.Service {
		return lab.Service{Name: name, Ports: []lab.ServicePort{{Name: "http", Port: 9080}}, Pods: pods}
	}
	up, err := lab.Up(t.Context(), lab.Spec{Name: fmt.Sprintf("n%d", os.Getpid()), Fabric: lab.Kubernetes,
		Hosts:    []lab.Host{{Name: "client"}, {Name: "a", NIC: true}, {Name: "b1", NIC: true}, {Name: "b2", NIC: true}, {Name: "c", NIC: true}, {Name: "e", Sidecar: true}},
		Services: []lab.Service{service("b", "b1", "b2"), service("c", "c"), service("e", "e"), service("none")}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, up.Down()) })
	l := &nicLab{meshLab: &meshLab{Lab: up, t: t, dir: up.Journal().Dir(), exe: exe, self: append(os.Environ(), asMeshnic+"=1")}, apps: map[string]*lab.Process{}}
	_, err = l.StartDNS(lab.Cmd{Path: exe, Args: []string{"dns"}, Env: l.self}, false)
	require.NoError(t, err)
	l.ca, err = istio.NewCA(time.Now(), time.Hour)
	require.NoError(t, err)
	l.write("root.pem", l.ca.Root())
	l.nic = istio.NIC{Sidecar: istio.Sidecar{Namespace: "default", Domain: clusterdns.Domain, Files: istio.Files{Secret: "./nic-secret.yaml", Root: "root.pem"}}}
	for _, name := range []string{"b", "c", "e"} {
		v, _ := l.Service(name)
		s := istio.Service{Name: name, Namespace: "default", IP: v.IP, Port: 9080, Target: 9080, Account: name}
		for _, p := range v.Pods {
			s.Pods = append(s.Pods, netip.MustParseAddr(l.IP(p)))
		}
		l.nic.Services = append(l.nic.Services, s)
	}
	for _, p := range []string{"a", "b1", "b2", "c"} {
		l.nic.Behind = append(l.nic.Behind, netip.MustParseAddr(l.IP(p)))
	}
	for _, p := range []string{"b1", "b2", "c", "e"} {
		app, err := l.Start(p, lab.Cmd{Path: exe, Args: []string{"__load", "serve"}, Env: l.self, Stdin: fmt.Appendf(nil, `{"listen":"0.0.0.0:9080","body":"app"}`)})
		require.NoError(t, err)
		require.NoError(t, app.WaitListening(":9080", 60*time.Second))
		l.apps[p] = app
	}
	l.deliver("nic")
	l.deliver("e")
	strict := istio.Sidecar{Pod: "e", Namespace: "default", Target: 9080, Domain: clusterdns.Domain, Services: l.nic.Services, Files: istio.Files{Secret: "./e-secret.yaml", Root: "root.pem"}}.Config()
	for i := range strict.Listeners { // no plain text
		if l := &strict.Listeners[i]; l.Match.Transport == "raw_buffer" {
			strict.Listeners = append(strict.Listeners[:i], strict.Listeners[i+1:]...)
			break
		}
	}
	l.proxy("e", "e", proxies["sidecar"], strict, istio.Inbound)
	l.proxy(lab.SwitchHost, "beside", proxies["sidecar"], l.nic.Beside(), "0.0.0.0:9080")
	l.attach()
	return l
}

func (l *nicLab) config(name string, cfg mesh.Config) string {
	yaml, err := envoyconf.Bootstrap(cfg)
	require.NoError(l.t, err)
	l.write(name, yaml)
	return filepath.Join(l.dir, name)
}

func (l *nicLab) proxy(host, name string, proxy lab.Cmd, cfg mesh.Config, at string) {
	c := proxy
	c.Args, c.Dir = append(append([]string(nil), proxy.Args...), l.config(name+".yaml", cfg)), l.dir
	if host != lab.SwitchHost {
		c.User = int(lab.Sidecar.User)
	}
	p, err := l.Start(host, c)
	require.NoError(l.t, err)
	require.NoError(l.t, p.WaitListening(at, 60*time.Second))
}

// attach attaches the NIC.
func (l *nicLab) attach() {
	l.sock = filepath.Join(l.dir, "nic.sock")
	node := l.IP("a")[:strings.LastIndexByte(l.IP("a"), '.')] + ".1"
	args := []string{"attach", "--program", "offload", "--control", l.sock, "--config", l.config("nic.yaml", l.nic.Config()), "--fallback", node, "--pipeline", "none"}
	for _, p := range l.SwitchPorts() {
		args = append(args, "--port", p.Host+"="+p.IfName+"@"+p.NSPath)
	}
	var err error
	l.card, err = l.Start(l.NICHost(), lab.Cmd{Path: l.exe, Args: args, Env: l.self})
	require.NoError(l.t, err)
	require.Eventually(l.t, func() bool { _, err := control.Get(l.t.Context(), l.sock); return err == nil }, 60*time.Second, 10*time.Millisecond)
}

// count is one of the NIC's proxy's counters.
func (l *nicLab) count(name string) uint64 {
	s, err := control.Get(l.t.Context(), l.sock)
	require.NoError(l.t, err)
	return s.Counters["proxy."+name]
}

func (l *nicLab) curl(from, url string) string {
	r, err := l.Run(l.t.Context(), from, lab.Cmd{Path: "curl", Args: []string{"-s", "--max-time", "60", "-w", " %{http_code}", url}})
	require.NoError(l.t, err, r.Stderr)
	return string(r.Stdout)
}

// Pods behind a NIC find services by name and reach them through it in plain text, a
// pod elsewhere over the host sidecar and TLS, counted; what has no sidecar and is not
// behind it reaches them, too, and what is no service's address passes.
func TestPodsBehindANIC(t *testing.T) {
	l := newNICLab(t)
	require.Equal(t, "app 200", l.curl("a", "http://b:9080/"))
	require.Equal(t, "app 200", l.curl("a", "http://c.default.svc.cluster.local:9080/"))
	require.Equal(t, "app 200", l.curl("a", "http://"+l.IP("c")+":9080/"), "a pod's address")
	require.Equal(t, "app 200", l.curl("c", "http://c.default:9080/"), "itself")
	require.Equal(t, "app 200", l.curl("client", "http://b:9080/"))
	require.Zero(t, l.count("fallback.upstream_tls"))
	require.EqualValues(t, 1, l.count("cluster.outbound|9080||b.default.svc.cluster.local.upstream_rq_200"), "the client has no proxy")
	require.EqualValues(t, 3, l.count("cluster.inbound|9080||"+l.IP("c")+".upstream_rq_200"))

	require.Equal(t, "app 200", l.curl("a", "http://e:9080/"))
	require.EqualValues(t, 1, l.count("fallback.upstream_tls"))
	stats, err := l.Run(t.Context(), "e", lab.Cmd{Path: "curl", Args: []string{"-s", "http://" + istio.Admin + "/stats"}})
	require.NoError(t, err)
	require.Contains(t, string(stats.Stdout), "listener.0.0.0.0_15006.ssl.handshake: 1\n")
	_, err = l.Run(t.Context(), "client", lab.Cmd{Path: "curl", Args: []string{"-s", "--max-time", "60", "http://e:9080/"}})
	require.Error(t, err, "e takes no plain text")

	none, _ := l.Service("none")
	require.ErrorContains(t, l.Do("a", func() error {
		c, err := net.DialTimeout("tcp", none.IP+":9080", 60*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	}), "refused", "by the node, behind the NIC")
}

// of is how many pages a pod has served.
func (l *nicLab) of(pod string) uint64 {
	return l.count("cluster.inbound|9080||" + l.IP(pod) + ".upstream_rq_200")
}

// known tells the NIC, as a sidecar is by istiod, which pods service b has.
func (l *nicLab) known(pods ...string) {
	l.nic.Services[0].Pods = nil
	for _, p := range pods {
		l.nic.Services[0].Pods = append(l.nic.Services[0].Pods, netip.MustParseAddr(l.IP(p)))
	}
	l.config("nic.yaml.new", l.nic.Config())
	require.NoError(l.t, os.Rename(filepath.Join(l.dir, "nic.yaml.new"), filepath.Join(l.dir, "nic.yaml")))
	reloads := func() int { return strings.Count(l.card.Tail(), "meshnic: reloaded ") }
	was := reloads()
	require.NoError(l.t, syscall.Kill(l.card.Pid, syscall.SIGHUP))
	require.Eventually(l.t, func() bool { return reloads() > was }, 60*time.Second, 10*time.Millisecond)
}

// during is what comes of a load of services b and c while something is done. None of c's
// may fail.
func (l *nicLab) during(lasts time.Duration, do func()) loadResult {
	results := map[string]loadResult{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	was := map[string]uint64{"b2": l.of("b2"), "c": l.of("c")}
	for _, name := range []string{"b", "c"} {
		wg.Go(func() {
			r := l.load("a", name, lasts)
			mu.Lock()
			defer mu.Unlock()
			results[name] = r
		})
	}
	require.Eventually(l.t, func() bool { return l.of("b2") > was["b2"]+50 && l.of("c") > was["c"]+50 }, 60*time.Second, 10*time.Millisecond)
	do()
	wg.Wait()
	require.NotZero(l.t, results["b"].N)
	require.NotZero(l.t, results["c"].N)
	require.Zero(l.t, results["c"].failed(), "another service: %+v", results["c"])
	return results["b"]
}

// triesOfB counts tries again of service b's callers.
const triesOfB = "cluster.outbound|9080||b.default.svc.cluster.local.upstream_rq_retry"

// A pod that is taken out of its service, as when it is about to go, and whose application
// ends under load, costs nothing. One whose application ends unannounced costs next to nothing:
// its callers try another pod, as their sidecars would, though not always with success: of two
// pods LEAST_REQUEST likes the one that is quick to fail, and after five more looks at it that is taken.
func TestPodBehindANICVanishes(t *testing.T) {
	l := newNICLab(t)
	r := l.during(2*time.Second, func() {
		require.NotZero(t, l.of("b1"))
		l.known("b2")
		l.apps["b1"].Stop(0)
	})
	require.Zero(t, r.failed(), "%+v", r)

	l.known("b1", "b2") // and b1's application is not there
	was, tried, failed := l.count(triesOfB), uint64(0), uint64(0)
	for range 20 { // a busy machine needs more than one
		r = l.during(2*time.Second, func() {})
		failed += r.failed()
		if tried = l.count(triesOfB) - was; tried > 300 {
			break
		}
	}
	require.Greater(t, tried, uint64(300))
	require.Less(t, 10*failed, tried, "%+v", r)
	l.known("b2")
	require.Zero(t, l.during(2*time.Second, func() {}).failed())
}

// A pod that is gone without a word, because its link is down or all of it is deleted, costs
// the requests that it has, eight at most, and those of which it got every try: the
// others go to another pod. When its link is up again it has requests.
func TestPodBehindANICIsGone(t *testing.T) {
	l := newNICLab(t)
	gone := func(lasts time.Duration, do func()) {
		t.Helper()
		tried := l.count(triesOfB)
		r := l.during(lasts, func() {
			require.NotZero(t, l.of("b1"))
			do()
		})
		tried = l.count(triesOfB) - tried
		require.Greater(t, tried, uint64(20))
		require.Less(t, 10*(max(r.failed(), 8)-8), tried, "%+v", r)
		t.Logf("of %d requests %d failed, %d were tried again", r.N, r.failed(), tried)
		was := l.of("b1")
		r = l.during(time.Second, func() {})
		require.Equal(t, was, l.of("b1"))
		require.Zero(t, r.Errors["timeout"]+r.Errors["reset"], "%+v", r)
	}
	ip := func(args ...string) string {
		r, err := l.Run(t.Context(), "b1", lab.Cmd{Path: "ip", Args: args})
		require.NoError(t, err, r.Stderr)
		return string(r.Stdout)
	}
	routes := ip("route") // which go with the link
	gone(6*time.Second, func() { ip("link", "set", "eth0", "down") })
	ip("link", "set", "eth0", "up")
	for _, r := range slices.Backward(strings.Split(strings.TrimSpace(routes), "\n")) {
		ip(append([]string{"route", "replace"}, strings.Fields(r)...)...)
	}
	was := l.of("b1")
	for range 20 {
		if l.during(2*time.Second, func() {}); l.of("b1") > was+50 {
			break
		}
	}
	require.Greater(t, l.of("b1"), was+50)

	gone(2*time.Second, func() {
		l.apps["b1"].Stop(0)
		_, err := l.Run(t.Context(), lab.SwitchHost, lab.Cmd{Path: "ip", Args: []string{"netns", "del", filepath.Base(l.Namespace("b1"))}})
		require.NoError(t, err)
	})
	l.known("b2")
	require.Zero(t, l.during(2*time.Second, func() {}).failed())
}

// loadResult is of what a load says.
type loadResult struct {
	N        uint64            `json:"n"`
	Errors   map[string]uint64 `json:"errors"`
	Examples map[string]string `json:"examples"`
}

func (r loadResult) failed() (n uint64) {
	for _, k := range r.Errors {
		n += k
	}
	return n
}

// load asks a service from a pod, on eight connections.
func (l *nicLab) load(from, service string, lasts time.Duration) (out loadResult) {
	v, _ := l.Service(service)
	in, err := json.Marshal(map[string]any{"target": v.IP + ":9080", "host": service + ":9080", "connections": 8, "duration_ns": lasts, "check": map[string]any{"body": "app"}})
	if err != nil {
		l.t.Error(err)
	}
	r, err := l.Run(l.t.Context(), from, lab.Cmd{Path: l.exe, Args: []string{"__load", "run"}, Env: l.self, Stdin: in})
	if err == nil {
		err = json.Unmarshal(r.Stdout, &out)
	}
	if err != nil {
		l.t.Error(err, r.Stderr)
	}
	return out
}
