package lab

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

// dnsTimeout is how long the name server may take until it answers.
const dnsTimeout = 10 * time.Second

// StartDNS starts the cluster's name server in the node: the program of c, with
// two more arguments, --zone=FILE and --listen=ADDRESS. One that stays lives on
// after Leave, until the lab is taken down by name.
func (l *Lab) StartDNS(c Cmd, stays bool) (*Process, error) {
	if l.spec.Fabric != Kubernetes {
		return nil, failure.New(failure.Usage, "start a name server", "the lab's fabric is "+string(l.spec.Fabric)+", not "+string(Kubernetes), "")
	}
	at := netip.AddrPortFrom(l.spec.gateway(1), dnsPort)
	c.Name, c.stays = "dns", stays
	c.Args = append(slices.Clone(c.Args), "--zone="+filepath.Join(l.journal.Dir(), zoneFile), "--listen="+at.String())
	if c.Stderr == "" { // a pipe would end with this process
		c.Stderr = filepath.Join(l.journal.Dir(), "dns.log")
	}
	p, err := l.Start(SwitchHost, c)
	if err != nil {
		return nil, err
	}
	return p, p.WaitListening(at.String(), dnsTimeout) // over TCP, after UDP
}

// Service returns a service of the cluster by its name, or by NAME.NAMESPACE,
// with everything chosen; ok is false if there is none.
func (l *Lab) Service(name string) (_ Service, ok bool) {
	i := l.spec.service(name)
	if i < 0 {
		return Service{}, false
	}
	return l.current().Services[i], true
}

// current is the description with the endpoints that were set since.
func (l *Lab) current() Spec {
	s := l.spec
	s.Services = slices.Clone(s.Services)
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, pods := range l.pods {
		s.Services[i].Pods = pods
	}
	return s
}

func (s Spec) service(name string) int {
	name, namespace, _ := strings.Cut(name, ".")
	if namespace == "" {
		namespace = defaultNamespace
	}
	return slices.IndexFunc(s.Services, func(v Service) bool { return v.Name == name && v.Namespace == namespace })
}

// SetEndpoints has a service stand for other pods, as when one becomes ready or
// is about to go: connections that there are stay where they are, the next ones
// go to these. It is not for several goroutines at once.
func (l *Lab) SetEndpoints(service string, pods ...string) error {
	spec := l.current()
	i := spec.service(service)
	if i < 0 {
		return failure.New(failure.Usage, fmt.Sprintf("lab %s: service %q", spec.Name, service), "there is no such service", "")
	}
	spec.Services[i].Pods = pods
	spec, err := spec.complete()
	if err != nil {
		return err
	}
	for n := 1; n <= spec.nodes(); n++ {
		ns, rules := spec.ns(spec.node(n)), netns.KubeProxy(spec.cluster())
		entry := netns.Entry{Kind: netns.KindInner, NS: ns, Text: "# endpoints of " + service + ": " + strings.Join(pods, ", ")}
		if err := l.journal.Step(entry, func() error { return netns.SetRules(ns, rules) }); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pods == nil {
		l.pods = map[int][]string{}
	}
	l.pods[i] = pods
	return nil
}
