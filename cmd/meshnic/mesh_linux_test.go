package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/bench/istio"
	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// The sidecar and Envoy, from one file, in pods whose connections are redirected
// to them: pods reach each other's services over mutual TLS, and their own by way
// of the proxy once more, but themselves without it; what has no sidecar is let in
// without TLS, and not with TLS and no certificate; what no service is for is passed
// on; a pod that has another identity than it should is not asked.
func TestSidecarsInACluster(t *testing.T) {
	exe, proxies := sidecars(t)
	seen := map[string][]string{}
	for name, cmd := range proxies {
		seen[name] = meshed(t, name, cmd, exe)
	}
	require.Equal(t, seen["envoy"], seen["sidecar"])
	require.Equal(t, []string{
		"a to b: 200 app b", "a to a: 200 app a", "client to b: 200 app b", "a to b's address: 200 app b", "a to its own address: 200 app a",
		"a to a service without pods: closed", "client without a certificate: closed", "b to a as a: 503",
		"a: cluster.inbound|9080||.upstream_rq_200: 1",
		"a: cluster.outbound|9080||a.default.svc.cluster.local.ssl.handshake: 1", "a: cluster.outbound|9080||a.default.svc.cluster.local.upstream_rq_200: 1",
		"a: cluster.outbound|9080||b.default.svc.cluster.local.ssl.handshake: 1",
		"a: cluster.outbound|9080||b.default.svc.cluster.local.upstream_rq_200: 1", "a: http.outbound_0.0.0.0_9080.downstream_rq_2xx: 3",
		"b: cluster.inbound|9080||.upstream_rq_200: 3", "b: cluster.outbound|9080||a.default.svc.cluster.local.ssl.fail_verify_san: 3",
	}, seen["sidecar"])
}

// sidecars are the two proxies of pods, and this binary, which is meshnic.
func sidecars(t *testing.T) (exe string, proxies map[string]lab.Cmd) {
	hostiftest.NeedNet(t, func() error {
		if _, err := exec.LookPath("curl"); err != nil {
			return err
		}
		if os.Getenv("MESHNIC_ENVOY") == "" {
			return errors.New("MESHNIC_ENVOY is not set")
		}
		return netns.Probe()
	})
	if netns.Entered() == "unprivileged" {
		t.Skip("a user namespace of one user has no other for the proxy")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	return exe, map[string]lab.Cmd{
		"sidecar": {Path: exe, Args: []string{"sidecar", "--concurrency", "1", "--config"}, Env: append(os.Environ(), asMeshnic+"=1")},
		"envoy":   {Path: os.Getenv("MESHNIC_ENVOY"), Args: []string{"--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"}},
	}
}

// meshLab is a cluster with two services, a and b, of a pod each that has a sidecar,
// a service c whose pod has none, a service of no pod, and a client.
type meshLab struct {
	*lab.Lab
	t    *testing.T
	dir  string
	exe  string
	self []string // environment
	ca   *istio.CA
}

func newMeshLab(t *testing.T, name, exe string) *meshLab {
	ports := []lab.ServicePort{{Name: "http", Port: 9080}}
	l, err := lab.Up(t.Context(), lab.Spec{Name: fmt.Sprintf("m%d_%s", os.Getpid(), name), Fabric: lab.Kubernetes,
		Hosts: []lab.Host{{Name: "client"}, {Name: "a", Sidecar: true}, {Name: "b", Sidecar: true}, {Name: "c"}},
		Services: []lab.Service{{Name: "a", Ports: ports, Pods: []string{"a"}}, {Name: "b", Ports: ports, Pods: []string{"b"}},
			{Name: "c", Ports: ports, Pods: []string{"c"}}, {Name: "none", Ports: []lab.ServicePort{{Port: 80}}}}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Down()) })
	m := &meshLab{Lab: l, t: t, dir: l.Journal().Dir(), exe: exe, self: append(os.Environ(), asMeshnic+"=1")}
	_, err = l.StartDNS(lab.Cmd{Path: exe, Args: []string{"dns"}, Env: m.self}, false)
	require.NoError(t, err)
	m.ca, err = istio.NewCA(time.Now(), time.Hour)
	require.NoError(t, err)
	m.write("root.pem", m.ca.Root())
	return m
}

func (m *meshLab) write(name string, text []byte) {
	require.NoError(m.t, os.WriteFile(filepath.Join(m.dir, name), text, 0o600))
}

// deliver gives a pod's sidecar a certificate.
func (m *meshLab) deliver(pod string) {
	require.NoError(m.t, m.ca.Deliver(time.Now(), istio.Identity("default", pod), filepath.Join(m.dir, pod+"-secret.yaml")))
}

// start starts an application and a sidecar in a and b; change changes what b's
// sidecar knows.
func (m *meshLab) start(proxy lab.Cmd, change func(*istio.Sidecar)) {
	t := m.t
	var services []istio.Service
	for _, pod := range []string{"a", "b", "c"} {
		v, _ := m.Service(pod)
		services = append(services, istio.Service{Name: pod, Namespace: "default", IP: v.IP, Port: 9080, Target: 9080, Account: pod,
			Pods: []netip.Addr{netip.MustParseAddr(m.IP(pod))}})
	}
	for _, pod := range []string{"a", "b"} {
		m.deliver(pod)
		side := istio.Sidecar{Pod: pod, Namespace: "default", Target: 9080, Domain: clusterdns.Domain, Log: "/dev/stdout",
			Files: istio.Files{Secret: "./" + pod + "-secret.yaml", Root: "root.pem"}, Services: slices.Clone(services)}
		if pod == "b" {
			change(&side)
		}
		yaml, err := envoyconf.Bootstrap(side.Config())
		require.NoError(t, err)
		m.write(pod+".yaml", yaml)
		app, err := m.Start(pod, lab.Cmd{Path: m.exe, Args: []string{"__load", "serve"}, Env: m.self,
			Stdin: fmt.Appendf(nil, `{"listen":"0.0.0.0:9080","body":"app %s"}`, pod)})
		require.NoError(t, err)
		require.NoError(t, app.WaitListening(":9080", 60*time.Second))
		c := proxy
		c.Args, c.Dir, c.User, c.Stdout = append(slices.Clone(proxy.Args), pod+".yaml"), m.dir, int(lab.Sidecar.User), filepath.Join(m.dir, pod+".log")
		p, err := m.Start(pod, c)
		require.NoError(t, err)
		for _, at := range []string{istio.Outbound, istio.Inbound, istio.Admin} {
			require.NoError(t, p.WaitListening(at, 60*time.Second))
		}
	}
}

func meshed(t *testing.T, name string, proxy lab.Cmd, exe string) (seen []string) {
	l := newMeshLab(t, name, exe)
	l.start(proxy, func(b *istio.Sidecar) { b.Services[0].Account = "somebody-else" }) // b takes a for another
	ask := func(what, from string, args ...string) {
		r, err := l.Run(t.Context(), from, lab.Cmd{Path: "curl", Args: append([]string{"-s", "--max-time", "60", "-w", " %{http_code}"}, args...)})
		if err != nil {
			how := fmt.Sprint("curl's exit code ", r.Code)
			if slices.Contains([]int{52, 55, 56}, r.Code) { // before, while or after it sent the request
				how = "closed"
			}
			seen = append(seen, what+": "+how)
			return
		}
		i := strings.LastIndexByte(string(r.Stdout), ' ')
		body, code := string(r.Stdout[:i]), string(r.Stdout[i+1:])
		if code != "200" {
			body = ""
		}
		seen = append(seen, strings.TrimSpace(what+": "+code+" "+body))
	}
	ask("a to b", "a", "http://b:9080/")
	ask("a to a", "a", "http://a.default:9080/")
	ask("client to b", "client", "http://b:9080/")
	ask("a to b's address", "a", "http://"+l.IP("b")+":9080/")
	ask("a to its own address", "a", "http://"+l.IP("a")+":9080/")
	ask("a to a service without pods", "a", "http://none/")
	ask("client without a certificate", "client", "-k", "https://"+l.IP("b")+":9080/")
	ask("b to a as a", "b", "http://a:9080/")

	var stats []string
	wanted := regexp.MustCompile(`^(cluster\.inbound\|9080\|\|\.upstream_rq_200|http\.outbound_0\.0\.0\.0_9080\.downstream_rq_2xx|cluster\.outbound\|9080\|\|[ab]\.default\.svc\.cluster\.local\.(ssl\.handshake|ssl\.fail_verify_san|upstream_rq_200)): [1-9]`)
	for _, pod := range []string{"a", "b"} {
		r, err := l.Run(t.Context(), pod, lab.Cmd{Path: "curl", Args: []string{"-s", "http://" + istio.Admin + "/stats"}})
		require.NoError(t, err)
		for line := range strings.Lines(string(r.Stdout)) {
			if wanted.MatchString(line) {
				stats = append(stats, pod+": "+strings.TrimSpace(line))
			}
		}
	}
	slices.Sort(stats)
	return append(seen, stats...)
}
