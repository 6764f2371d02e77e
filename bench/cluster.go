package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/bench/istio"
	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// clusterBase is the system that those with a sidecar in a cluster are compared
// with.
const clusterBase = "k8s_without_istio"

// certificateLife is how long the sidecars' certificates hold, and longer than four
// measurements: a day in Istio. They are renewed after half of it, as in Istio, between
// measurements.
const certificateLife = 4 * time.Minute

// wantsCluster reports whether a system is wanted that clusterBase is for.
func (r *Run) wantsCluster() bool {
	for _, t := range topologies {
		if t.cluster && r.wanted(t.name) {
			return true
		}
	}
	return false
}

// clusterSpec are the pods and services of Istio's bookinfo.yaml, one replica
// each, and a pod to ask from, which has no sidecar and is not behind the NIC.
func (t topology) clusterSpec() lab.Spec {
	spec := lab.Spec{Fabric: lab.Kubernetes, Hosts: []lab.Host{{Name: "client", IP: ip("client")}}}
	var services []string
	of := map[string][]string{}
	for _, p := range pods {
		spec.Hosts = append(spec.Hosts, lab.Host{Name: p, IP: ip(p), Sidecar: t.program != "", NIC: t.nic != ""})
		s := serviceOf(p)
		if of[s] == nil {
			services = append(services, s)
		}
		of[s] = append(of[s], p)
	}
	for _, s := range services {
		spec.Services = append(spec.Services, lab.Service{Name: s, Ports: []lab.ServicePort{{Name: "http", Port: bookinfoPort}}, Pods: of[s]})
	}
	return spec
}

func serviceOf(pod string) string {
	service, _, _ := strings.Cut(pod, "-")
	return service
}

// cluster makes the lab of a system in a cluster and starts what runs in it.
func (s *rigs) cluster(ctx context.Context, short string, t topology, program string) (*rig, error) {
	return s.up(ctx, func(ctx context.Context) (*rig, error) {
		return s.run.rigOf(ctx, short, t.clusterSpec(), s.run.cores("bookinfo", "any"))
	}, func(g *rig) error {
		dns := g.self(nil, "dns")
		dns.Cores, dns.Stderr = g.cores, g.run.logFile(g.lab.Spec().Name, "node", "dns")
		p, err := g.lab.StartDNS(dns, false)
		if err != nil {
			return err
		}
		g.procs[service] = append(g.procs[service], p)
		if t.nic != "" {
			if err := g.startProxyNIC(ctx, "bookinfo/istio/nic.yaml", clusterNIC(g.lab.Spec()).Config()); err != nil {
				return err
			}
		}
		if err := g.services(t); err != nil {
			return err
		}
		return g.clusterSidecars(t, program)
	})
}

func (g *rig) serviceIP(name string) string {
	v, _ := g.lab.Service(name)
	return v.IP
}

// clusterSidecars starts a proxy in every pod of Bookinfo, as Istio's user. Envoy
// and the sidecar read the very same file: what differs from lab to lab are the
// certificates, which it names as they are called in the lab's directory.
func (g *rig) clusterSidecars(t topology, program string) error {
	if t.program == "" {
		return nil
	}
	files, err := g.certificates()
	if err != nil {
		return err
	}
	services := meshServices(g.lab.Spec())
	for _, p := range pods {
		side := istio.Sidecar{Pod: p, Namespace: "default", Target: bookinfoPort, Files: files[serviceOf(p)], Log: "/dev/stdout",
			Services: services, Domain: clusterdns.Domain}
		yaml, err := envoyconf.Bootstrap(side.Config())
		if err != nil {
			return err
		}
		file, err := g.run.file("bookinfo/istio/"+p+".yaml", yaml)
		if err != nil {
			return err
		}
		cmd := g.meshProxy(t.program, program, file, 2)
		cmd.Dir, cmd.User, cmd.Stdout = g.lab.Journal().Dir(), int(lab.Sidecar.User), g.run.logFile(g.lab.Spec().Name, p, "access")
		if err := g.start(proxy, p, t.program, istio.Inbound, cmd); err != nil {
			return err
		}
		all := g.procs[proxy]
		g.starting = append(g.starting, func() error { return all[len(all)-1].WaitListening(istio.Outbound, startTimeout) })
	}
	return nil
}

// clusterNIC is the NIC of a lab's pods. Its log goes where the NIC's own messages go.
func clusterNIC(spec lab.Spec) istio.NIC {
	n := istio.NIC{Sidecar: istio.Sidecar{Namespace: "default", Log: "/dev/stderr", Services: meshServices(spec), Domain: clusterdns.Domain}}
	for _, h := range spec.Hosts {
		if h.NIC {
			n.Behind = append(n.Behind, netip.MustParseAddr(h.IP))
		}
	}
	return n
}

// meshServices are a lab's services as sidecars know them; each has a service
// account of its own, as in bookinfo.yaml.
func meshServices(spec lab.Spec) (out []istio.Service) {
	at := map[string]netip.Addr{}
	for _, h := range spec.Hosts {
		at[h.Name] = netip.MustParseAddr(h.IP)
	}
	for _, v := range spec.Services {
		s := istio.Service{Name: v.Name, Namespace: v.Namespace, IP: v.IP, Port: uint16(v.Ports[0].Port), Target: uint16(v.Ports[0].Target), Account: account(v.Name)}
		for _, p := range v.Pods {
			s.Pods = append(s.Pods, at[p])
		}
		out = append(out, s)
	}
	return out
}

func account(service string) string { return "bookinfo-" + service }

// credentials are those of a lab's sidecars.
type credentials struct {
	ca     *istio.CA
	life   time.Duration
	issued time.Time
}

// certificates makes an authority and a certificate for each service's account,
// in the lab's directory, with which they go.
func (g *rig) certificates() (map[string]istio.Files, error) {
	g.creds = &credentials{life: max(certificateLife, 4*g.run.Duration)}
	var err error
	if g.creds.ca, err = istio.NewCA(time.Now(), g.creds.life); err != nil {
		return nil, err
	}
	const root = "root.pem"
	if err := os.WriteFile(filepath.Join(g.lab.Journal().Dir(), root), g.creds.ca.Root(), 0o600); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out := map[string]istio.Files{}
	for _, v := range g.lab.Spec().Services {
		out[v.Name] = istio.Files{Secret: secretFile(v.Name), Root: root}
	}
	return out, g.issue()
}

// secretFile has a slash in it, without which Envoy takes no path.
func secretFile(service string) string { return "./" + service + "-secret.yaml" }

// issue gives every service's account a new certificate.
func (g *rig) issue() error {
	services := g.lab.Spec().Services
	now, errs := time.Now(), make([]error, len(services))
	var wg sync.WaitGroup
	for i, v := range services {
		wg.Go(func() { // finding primes takes a while
			errs[i] = g.creds.ca.Deliver(now, istio.Identity(v.Namespace, account(v.Name)), filepath.Join(g.lab.Journal().Dir(), secretFile(v.Name)))
		})
	}
	wg.Wait()
	g.creds.issued = now
	return errors.Join(errs...)
}

// renew is issue once half of the certificates' life is over; without sidecars that
// have some it is nothing.
func (g *rig) renew() error {
	if g.creds == nil || time.Since(g.creds.issued) < g.creds.life/2 {
		return nil
	}
	_, short, _ := strings.Cut(g.lab.Spec().Name, "_")
	g.run.note(short + ": the sidecars' certificates were renewed while they ran")
	return g.issue()
}
