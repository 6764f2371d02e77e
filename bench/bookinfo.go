package bench

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// How long one repeat of a cell lasts. A page is slower the more connections
// wait for two cores, and at one connection a window holds the fewest pages:
// those get more, but for paper work, in which ratios are looked at that are far apart.
// The floor needs little.
const (
	bookinfoWindow = 250 * time.Millisecond
	perConnection  = 15 * time.Millisecond
	nativeWindow   = 120 * time.Millisecond
	floorWindow    = 60 * time.Millisecond
)

// bookinfoPort is where every service of Bookinfo listens.
const bookinfoPort = 9080

// topology is who stands where in one system of the Bookinfo experiment.
type topology struct {
	name, short string
	passes      int         // proxies or NICs that a page with stars passes, one after the other
	program     string      // "sidecar", "envoy", or empty
	outbound    bool        // a proxy also on the caller's side
	balanced    bool        // without a proxy: the network picks a version of reviews for each connection
	nic         nic.Program // or empty
	like        string      // through a NIC: the same without one
	cluster     bool        // pods, services and names of a cluster, as in cluster.go

	// Of a variant, that shows what one cause does to the paper's ratios:
	of, varies string // the system that it is but for one thing, and that one
	baseline   string // of its own; empty: that of the others
	workers    int    // of each proxy; 0 is 2
	spent      bool   // proxies close connections to endpoints after a request
	oneCore    bool   // everything on one core
}

var topologies = []topology{
	{name: "without_envoy", short: "none"},
	{name: "without_envoy_balanced", short: "nft", balanced: true},
	{name: "sidecar_inbound", short: "scin", passes: 4, program: "sidecar"},
	{name: "sidecar", short: "sc", passes: 7, program: "sidecar", outbound: true},
	{name: "envoy_inbound", short: "envin", passes: 4, program: "envoy"},
	{name: "envoy", short: "env", passes: 7, program: "envoy", outbound: true},
	{name: "nic_passthrough", short: "nic", passes: 4, balanced: true, nic: nic.Passthrough, like: "without_envoy_balanced"},
	{name: "nic_offload", short: "off", passes: 7, nic: nic.Offload, like: "without_envoy_balanced"},
	{name: clusterBase, short: "k8s", cluster: true},
	{name: "k8s_sidecar", short: "k8ssc", passes: 7, program: "sidecar", outbound: true, cluster: true},
	{name: "k8s_with_istio", short: "k8senv", passes: 7, program: "envoy", outbound: true, cluster: true},
	{name: "k8s_nic_offload", short: "k8soff", passes: 7, nic: nic.Offload, like: clusterBase, cluster: true},
}

// variants are what the paper's second system would be with one thing different.
var variants = []topology{
	{name: "without_envoy_one_core", short: "none1", of: "without_envoy", varies: "everything on one core", oneCore: true},
	{name: "envoy_one_core", short: "env1", passes: 7, program: "envoy", outbound: true, of: "envoy", varies: "everything on one core",
		oneCore: true, baseline: "without_envoy_one_core"},
	{name: "envoy_one_worker", short: "env1w", passes: 7, program: "envoy", outbound: true, of: "envoy", varies: "one worker in each proxy, not two", workers: 1},
	{name: "envoy_no_reuse", short: "envnr", passes: 7, program: "envoy", outbound: true, of: "envoy", varies: "no connection to an endpoint kept", spent: true},
}

// paperSystems are those whose figures the paper states.
var paperSystems = []string{"without_envoy", "envoy_inbound", "envoy", clusterBase, "k8s_with_istio"}

// systems are those of a run, in order. As paper work, whose pages take the longest,
// it has the paper's alone unless told otherwise, and their variants: it is there to
// say what their ratios come from.
func (r *Run) systems() (out []topology) {
	for _, t := range slices.Concat(topologies, variants) {
		wanted := slices.Contains(r.Systems, t.name)
		if len(r.Systems) == 0 {
			wanted = t.of == ""
			if r.Work == "paper" {
				wanted = t.of != "" || slices.Contains(paperSystems, t.name)
			}
		}
		baseline := t.name == topologies[0].name || t.name == clusterBase && r.wantsCluster() || slices.ContainsFunc(variants, func(v topology) bool {
			return v.baseline == t.name && slices.Contains(r.Systems, v.name)
		})
		if wanted || baseline {
			out = append(out, t)
		}
	}
	return out
}

// pods of Bookinfo: the version of the image is in the name.
var pods = []string{"productpage", "details", "ratings", "reviews-v1", "reviews-v2", "reviews-v3"}

// Bookinfo measures the paper's main experiment: GET /productpage against the
// number of connections, behind nothing, host proxies and the NIC.
func Bookinfo(ctx context.Context, r *Run) (Document, error) {
	s := &rigs{run: r}
	cells, err := bookinfoCells(ctx, r, s)
	if err != nil {
		s.down()
		return Document{}, err
	}
	file := "bookinfo"
	if r.Work != "polyglot" {
		file += "_" + r.Work
	}
	return s.finish(ctx, file, Document{Experiment: "bookinfo", Work: r.Work}, cells)
}

func bookinfoCells(ctx context.Context, r *Run, s *rigs) ([]cell, error) {
	var cells []cell
	for _, t := range r.systems() {
		g, absent, err := s.bookinfo(ctx, t)
		if err != nil {
			return nil, err
		}
		for _, c := range r.clientsOf(t) {
			row := cell{name: t.name, connections: c, hops: t.passes, like: t.like, absent: absent, of: t.of, varies: t.varies, baseline: t.baseline}
			if t.nic == nic.Offload {
				row.unmodelled = noProxyStages
			}
			if t.cluster {
				row.baseline = clusterBase
			}
			if absent == "" {
				w := g.page(t, c, r.pageWindow(c))
				row.measure = func(ctx context.Context) (sample, error) {
					if err := g.renew(); err != nil {
						return sample{}, err
					}
					return g.measure(ctx, w)
				}
				if t.nic == nic.Passthrough {
					s.check = &checked{t.name, g, w}
				}
			}
			cells = append(cells, row)
		}
	}
	floor, err := s.floor(r)
	return append(cells, floor...), err
}

// clients are the connections that pages are asked for on: the paper's, of those
// in a quick run the ones that its claims are about, and one between, and as native or
// paper work, beside the headline's, the one that its ratios are for.
func (r *Run) clients() []int {
	switch {
	case r.Work == "paper", r.Work == "native" && !r.Quick:
		return r.connections(1)
	case r.Quick:
		return r.connections(1, 2, 8)
	}
	return r.connections(1, 2, 4, 8, 16)
}

// clientsOf are fewer in a cluster: what the paper says of those systems is about
// one connection, and their proxies take the longest to start.
func (r *Run) clientsOf(t topology) []int {
	switch {
	case !t.cluster:
		return r.clients()
	case r.Quick, r.Work == "paper", r.Work == "native":
		return r.connections(1)
	}
	return r.connections(1, 16)
}

func (r *Run) pageWindow(connections int) time.Duration {
	w, more := bookinfoWindow, time.Duration(connections)*perConnection
	if r.Work == "native" {
		w, more = nativeWindow, more/5
	}
	if connections == 1 && r.Work != "paper" {
		w *= 2
	}
	return max(r.window(w+more), 2*more) // also a quick run sees two rounds of pages
}

// floor is the generator against the null server beside it.
func (s *rigs) floor(r *Run) ([]cell, error) {
	g := s.all[0]
	if err := g.nullServer("client", "127.0.0.1:8080"); err != nil {
		return nil, err
	}
	var cells []cell
	for _, c := range r.clients() {
		w := g.http("client", "127.0.0.1:8080", c, r.window(floorWindow), load.Check{Body: load.NullBody()}, "/")
		cells = append(cells, cell{name: "floor", connections: c, measure: func(ctx context.Context) (sample, error) { return g.measure(ctx, w) }})
	}
	return cells, nil
}

// page is GET /productpage.
func (g *rig) page(t topology, connections int, window time.Duration) work {
	check := completePage()
	if t.name == "without_envoy" || t.of == "without_envoy" { // every page comes from reviews-v3
		check.Contains = append(check.Contains, "glyphicon-star")
	}
	target := ip("productpage")
	switch {
	case t.cluster:
		target = g.serviceIP("productpage")
	case t.nic == nic.Offload:
		target = podVIP("productpage")
	}
	return g.http("client", at(target), connections, window, check, "/productpage")
}

// completePage is what a page must hold: the book's details and its reviews,
// and none of the sentences that stand for a service that could not be had.
func completePage() load.Check {
	return load.Check{
		Contains: []string{"ISBN-10", "Reviewer1", "Reviewer2", "</html>"},
		Excludes: []string{"Error fetching", "currently unavailable"},
	}
}

// bookinfo makes the lab of one system and starts what runs in it.
func (s *rigs) bookinfo(ctx context.Context, t topology) (g *rig, absent string, err error) {
	program := ""
	if t.cluster && t.program != "" && s.run.Unprivileged {
		return nil, "without root: a user namespace of one user has no other for the proxy, whose connections are told from the pod's by it", nil
	}
	if t.program == "envoy" {
		if program, absent = s.run.program("envoy"); absent != "" {
			return nil, absent, nil
		}
	}
	fabric := lab.Bridge
	if t.nic != "" {
		fabric = lab.Ports
	}
	short := "bi" + s.run.Work[:1] + "_" + t.short
	if t.cluster {
		g, err = s.cluster(ctx, short, t, program)
		return g, "", err
	}
	g, err = s.up(ctx, func(ctx context.Context) (*rig, error) {
		return s.run.rig(ctx, short, fabric, t.hosts(), s.run.coresOf(t))
	}, func(g *rig) error {
		var err error
		switch t.nic {
		case nic.Passthrough:
			err = g.startNIC(ctx, s.run.nicMode(), nic.Passthrough)
		case nic.Offload:
			err = g.startProxyNIC(ctx, "bookinfo/"+t.name+"/nic.yaml", nicMesh())
		}
		if err != nil {
			return err
		}
		if err := g.services(t); err != nil {
			return err
		}
		return g.sidecars(t, program)
	})
	return g, "", err
}

// address is the last part of each host's address; the rest is the lab's.
var address = map[string]int{"client": 10, "productpage": 11, "details": 12, "ratings": 13,
	"reviews-v1": 14, "reviews-v2": 15, "reviews-v3": 16, "reviews": 17}

// outboundIP is where a pod's outbound listener is, on the pod's loopback.
const outboundIP = "127.0.2.1"

const bookinfoNet = "10.77.90."

func ip(host string) string { return fmt.Sprintf("%s%d", bookinfoNet, address[host]) }

func at(ip string) string { return fmt.Sprintf("%s:%d", ip, bookinfoPort) }

// hosts are the pods, the client, and where the proxies are inbound only, a
// front proxy that balances reviews. The names that services call are in each
// pod's /etc/hosts.
func (t topology) hosts() []lab.Host {
	names := map[string]string{"reviews": ip("reviews-v3")}
	var balance []lab.VIP
	switch {
	case t.nic == nic.Offload:
		names = map[string]string{}
		for _, s := range called {
			names[s] = serviceVIP(s)
		}
	case t.outbound:
		names = map[string]string{"details": outboundIP, "ratings": outboundIP, "reviews": outboundIP}
	case t.program != "":
		names = map[string]string{"reviews": ip("reviews")}
	case t.balanced:
		names = map[string]string{"reviews": reviewsVIP}
		balance = []lab.VIP{{Addr: at(reviewsVIP), Backends: []string{at(ip("reviews-v1")), at(ip("reviews-v2")), at(ip("reviews-v3"))}}}
	}
	hosts := []lab.Host{{Name: "client", IP: ip("client")}}
	for _, p := range pods {
		h := lab.Host{Name: p, IP: ip(p), Hosts: names}
		if p == "productpage" {
			h.Balance = balance
		}
		hosts = append(hosts, h)
	}
	if t.program != "" && !t.outbound {
		hosts = append(hosts, lab.Host{Name: "reviews", IP: ip("reviews")})
	}
	return hosts
}

// services starts the six pods of Bookinfo: on the pod's address, or on its
// loopback where a proxy has the address.
func (g *rig) services(t topology) error {
	for _, p := range pods {
		listen := at(ip(p))
		switch {
		case t.cluster:
			listen = at("0.0.0.0") // as in the originals' images
		case t.program != "":
			listen = at("127.0.0.1")
		}
		cmd := g.self(nil, g.run.service(p, listen)...)
		cmd.Env = append(os.Environ(), "HOSTNAME="+p)
		if err := g.start(service, p, p, listen, cmd); err != nil {
			return err
		}
	}
	return nil
}

// service is the command line of a pod's service.
func (r *Run) service(pod, listen string) []string {
	args := []string{"bookinfo", pod, "--listen", listen, "--work", r.Work}
	if r.callTimeout > 0 {
		args = append(args, "--call-timeout", r.callTimeout.String())
	}
	return args
}

// sidecars starts a proxy in every pod and, where they are inbound only, the
// front of reviews. Envoy and the sidecar read the same file.
func (g *rig) sidecars(t topology, program string) error {
	if t.program == "" {
		return nil
	}
	for _, h := range g.lab.Spec().Hosts {
		if h.Name == "client" {
			continue
		}
		yaml, err := envoyconf.Bootstrap(t.mesh(h.Name))
		if err != nil {
			return err
		}
		if t.spent {
			yaml = spent(yaml)
		}
		file, err := g.run.file("bookinfo/"+t.name+"/"+h.Name+".yaml", yaml)
		if err != nil {
			return err
		}
		if err := g.start(proxy, h.Name, t.program, at(ip(h.Name)), g.meshProxy(t.program, program, file, cmp.Or(t.workers, 2))); err != nil {
			return err
		}
	}
	return nil
}

// spent is an Envoy's bootstrap whose clusters close a connection after its first
// request. Other proxies do not read it.
func spent(bootstrap []byte) []byte {
	const before = "      connect_timeout: "
	return []byte(strings.ReplaceAll(string(bootstrap), before, "      max_requests_per_connection: 1\n"+before))
}

// coresOf is where everything of a system runs.
func (r *Run) coresOf(t topology) []int {
	if t.oneCore {
		return r.cores("bookinfo, "+t.name, "one")
	}
	return r.cores("bookinfo", "any")
}
