package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// called are the services that other services call.
var called = []string{"details", "ratings", "reviews"}

// reviewsVIP stands for reviews where the network balances, or the NIC. It is on the
// pods' own network, so that a route to it exists.
const reviewsVIP = bookinfoNet + "100"

// serviceVIP is the address of a service whose callers' proxies are the NIC's.
func serviceVIP(service string) string {
	if service == "reviews" {
		return reviewsVIP
	}
	return fmt.Sprintf("%s%d", bookinfoNet, 200+address[service])
}

// podVIP is the address of a pod whose own proxy is the NIC's.
func podVIP(pod string) string { return fmt.Sprintf("%s%d", bookinfoNet, 100+address[pod]) }

// idleTimeouts of connections to services are a second below what their servers keep, or say that they keep (ratings, as Node): no request meets a server's close.
var idleTimeouts = map[string]time.Duration{"productpage": time.Second, "details": 29 * time.Second, "ratings": 4 * time.Second, "reviews": 29 * time.Second}

// serviceCluster is a cluster of a service's pods, or of the proxies before them.
func serviceCluster(service, name string, endpoints ...string) mesh.Cluster {
	c := cluster(name, endpoints...)
	c.Idle = new(idleTimeouts[service])
	return c
}

// mesh describes the proxy of one pod.
func (t topology) mesh(pod string) mesh.Config {
	service, _, _ := strings.Cut(pod, "-")
	inbound := serviceCluster(service, "inbound", at("127.0.0.1"))
	if pod == "reviews" { // the front: no service of its own
		inbound = serviceCluster(service, "inbound", at(ip("reviews-v1")), at(ip("reviews-v2")), at(ip("reviews-v3")))
	}
	cfg := mesh.Config{
		Node: pod,
		Listeners: []mesh.Listener{{Name: "inbound", Address: at(ip(pod)), StatPrefix: "inbound",
			VirtualHosts: []mesh.VirtualHost{toCluster(service, []string{"*"}, "inbound")}}},
		Clusters: []mesh.Cluster{inbound},
	}
	if !t.outbound || (service != "productpage" && service != "reviews") {
		return cfg
	}
	hosts, clusters := outbound(ip)
	cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: "outbound", Address: at(outboundIP), StatPrefix: "outbound", VirtualHosts: hosts})
	cfg.Clusters = append(cfg.Clusters, clusters...)
	return cfg
}

// outbound is what a caller's proxy knows: every service, and its pods at the
// addresses that where gives.
func outbound(where func(pod string) string) (hosts []mesh.VirtualHost, clusters []mesh.Cluster) {
	for _, service := range called {
		hosts = append(hosts, toCluster(service, []string{service, fmt.Sprintf("%s:%d", service, bookinfoPort)}, service))
		var endpoints []string
		for _, p := range pods {
			if s, _, _ := strings.Cut(p, "-"); s == service {
				endpoints = append(endpoints, at(where(p)))
			}
		}
		clusters = append(clusters, serviceCluster(service, service, endpoints...))
	}
	return hosts, clusters
}

// nicMesh describes the proxies of topology sidecar as one, the NIC's: each pod's
// inbound listener at an address of its own, which is the endpoint of the outbound
// ones. Those are everybody's, at the addresses of the services.
func nicMesh() mesh.Config {
	hosts, clusters := outbound(podVIP)
	cfg := mesh.Config{Node: "nic", Clusters: clusters}
	for _, service := range called {
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: "outbound_" + service, Address: at(serviceVIP(service)), StatPrefix: "outbound", VirtualHosts: hosts})
	}
	for _, pod := range pods {
		service, _, _ := strings.Cut(pod, "-")
		in := "inbound_" + pod
		cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: in, Address: at(podVIP(pod)), StatPrefix: in,
			VirtualHosts: []mesh.VirtualHost{toCluster(service, []string{"*"}, in)}})
		cfg.Clusters = append(cfg.Clusters, serviceCluster(service, in, at(ip(pod))))
	}
	return cfg
}
