// Package clusterdns is the name server of a lab's cluster: it answers for
// services by name as a Kubernetes cluster's does (the DNS-based service
// discovery specification, version 1.1.0), and knows nothing of the world
// outside.
package clusterdns

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

// Domain is what the names of a cluster end in unless it is told otherwise.
const Domain = "cluster.local"

// Zone is what the server knows.
type Zone struct {
	Domain   string    `json:"domain"`
	Services []Service `json:"services"`
}

// Service is one name.
type Service struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	IP        string `json:"ip"` // IPv4
}

// FQDN is the name of a service in a domain, without a dot at its end.
func FQDN(service, namespace, domain string) string {
	return service + "." + namespace + ".svc." + domain
}

// Search lists the domains in which a pod of a namespace looks for a name that
// has fewer dots than Dots.
func Search(namespace, domain string) []string {
	return []string{namespace + ".svc." + domain, "svc." + domain, domain}
}

// Dots is ndots in a pod's resolv.conf, as the kubelet writes it.
const Dots = 5

// Resolv is the resolv.conf of a pod.
func Resolv(server netip.Addr, namespace, domain string) string {
	return fmt.Sprintf("search %s\nnameserver %v\noptions ndots:%d\n", strings.Join(Search(namespace, domain), " "), server, Dots)
}

// ParseZone reads a Zone as JSON. An error is a failure.BadFile.
func ParseZone(text []byte, file string) (Zone, error) {
	var z Zone
	bad := func(format string, args ...any) (Zone, error) {
		return Zone{}, failure.New(failure.BadFile, "zone "+file, fmt.Sprintf(format, args...), "")
	}
	if err := json.Unmarshal(text, &z); err != nil {
		return bad("%v", err)
	}
	if z.Domain == "" {
		return bad("domain is empty")
	}
	for i, s := range z.Services {
		if a, err := netip.ParseAddr(s.IP); err != nil || !a.Is4() {
			return bad("services[%d].ip is %q, want IPv4", i, s.IP)
		}
		if s.Name == "" || s.Namespace == "" {
			return bad("services[%d] needs a name and a namespace", i)
		}
	}
	return z, nil
}
