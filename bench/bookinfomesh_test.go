package bench

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/examples/bookinfo"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// The NIC's proxy is those of the sidecar's topology, but for addresses: what an
// outbound listener routes by is the same, and its endpoints are inbound listeners,
// in front of the same pods.
func TestTheNICsProxyIsTheSidecars(t *testing.T) {
	sidecar := topologies[slices.IndexFunc(topologies, func(t topology) bool { return t.name == "sidecar" })]
	off := topologies[slices.IndexFunc(topologies, func(t topology) bool { return t.name == "nic_offload" })]
	require.Equal(t, sidecar.passes, off.passes)
	nic := nicMesh()
	_, err := mesh.Compile(nic)
	require.NoError(t, err)

	taken := map[string]bool{}
	for _, h := range off.hosts() {
		taken[at(h.IP)] = true
	}
	listeners, clusters := map[string]mesh.Listener{}, map[string]mesh.Cluster{}
	for _, l := range nic.Listeners {
		require.False(t, taken[l.Address], "%s: %s is taken", l.Name, l.Address)
		taken[l.Address] = true
		listeners[l.Address] = l
	}
	for _, c := range nic.Clusters {
		clusters[c.Name] = c
	}
	for _, pod := range pods {
		in := listeners[at(podVIP(pod))]
		behind := clusters[in.VirtualHosts[0].Routes[0].Cluster]
		require.Equal(t, at(ip(pod)), behind.Endpoints[0].Address)
		if service, _, _ := strings.Cut(pod, "-"); service != "productpage" && service != "reviews" {
			continue
		}
		own := sidecar.mesh(pod)
		out := own.Listeners[slices.IndexFunc(own.Listeners, func(l mesh.Listener) bool { return l.Name == "outbound" })]
		for _, service := range called {
			require.Equal(t, out.VirtualHosts, listeners[at(serviceVIP(service))].VirtualHosts, "%s calls %s", pod, service)
		}
		for _, want := range own.Clusters {
			if want.Name == "inbound" {
				continue
			}
			got := clusters[want.Name]
			for i, e := range want.Endpoints { // the pod's proxy has the pod's address
				front, ok := listeners[got.Endpoints[i].Address]
				require.True(t, ok, got.Endpoints[i].Address)
				require.Equal(t, e.Address, clusters[front.VirtualHosts[0].Routes[0].Cluster].Endpoints[0].Address)
			}
			want.Endpoints, got.Endpoints = nil, nil
			require.Equal(t, want, got)
		}
	}
	for _, h := range off.hosts()[1:] {
		for _, service := range called {
			require.Equal(t, serviceVIP(service), h.Hosts[service], "%s calls %s", h.Name, service)
		}
	}
}

// Proxies close a connection to ratings before its server does, by what that one says.
func TestProxiesCloseBeforeRatings(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s, err := bookinfo.New(bookinfo.Options{Service: "ratings", Getenv: func(string) string { return "" }})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/ratings/0")
	require.NoError(t, err)
	resp.Body.Close()
	stop()
	require.NoError(t, <-done)
	seconds, ok := strings.CutPrefix(resp.Header.Get("Keep-Alive"), "timeout=")
	require.True(t, ok, resp.Header)
	keeps, err := time.ParseDuration(seconds + "s")
	require.NoError(t, err)

	all := nicMesh().Clusters
	for _, top := range topologies {
		if top.program != "" && !top.cluster {
			all = append(all, top.mesh("ratings").Clusters[0])
			all = append(all, top.mesh("reviews-v2").Clusters[1:]...)
		}
	}
	seen := 0
	for _, c := range all {
		require.NotNil(t, c.Idle, c.Name)
		if strings.Contains(c.Name, "ratings") || c.Endpoints[0].Address == at("127.0.0.1") {
			require.Less(t, *c.Idle, keeps, c.Name)
			require.Positive(t, *c.Idle, c.Name)
			seen++
		}
	}
	require.Equal(t, 2+4+2, seen, "two of the NIC's, ratings' own in four topologies, a caller's in two")
}
