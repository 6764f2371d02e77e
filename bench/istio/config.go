package istio

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Ports of a sidecar, Istio's.
const (
	Admin    = "127.0.0.1:15000"
	Outbound = "0.0.0.0:15001"
	Inbound  = "0.0.0.0:15006"
)

// LogFormat is Istio's default for access logs in text.
const LogFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% ` +
	`%CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ` +
	`"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% ` +
	`%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%` + "\n"

// Service is a service that sidecars know.
type Service struct {
	Name, Namespace, IP string
	Port, Target        uint16 // HTTP
	Account             string // of its pods
	Pods                []netip.Addr
}

// Files are where a sidecar's certificate and its key are (see CA.Deliver), and the
// CA's certificate.
type Files struct{ Secret, Root string }

// Sidecar is one pod's.
type Sidecar struct {
	Pod, Namespace string
	Target         uint16 // where the pod's application listens, HTTP
	Files          Files
	Log            string // file of the access log; empty: none
	Services       []Service
	Domain         string // of the cluster
}

// passthrough is the cluster of what a sidecar has no other for.
const (
	passthrough        = "PassthroughCluster"
	inboundPassthrough = "InboundPassthroughCluster"
	connectTimeout     = 10 * time.Second // Istio's default
)

// Config describes s's proxy as Istio does an Envoy whose pod has no policies:
// one listener takes what the pod sends and hands it to one without a socket for
// each port of services, which routes by authority; one takes what the pod gets,
// with mutual TLS or, Istio being permissive by default, without.
func (s Sidecar) Config() mesh.Config {
	cfg := mesh.Config{Node: s.Pod + "." + s.Namespace, Admin: Admin}
	cfg.Listeners = append(cfg.Listeners, mesh.Listener{Name: "virtualOutbound", Address: Outbound, StatPrefix: passthrough,
		Intercept: mesh.Interception{OriginalDst: true, HandOver: true}, TCP: &mesh.TCPProxy{Cluster: passthrough, Idle: mesh.DefaultTCPIdle}})
	var ports []uint16
	for _, v := range s.Services {
		if !slices.Contains(ports, v.Port) {
			ports = append(ports, v.Port)
		}
	}
	slices.Sort(ports)
	for _, p := range ports {
		cfg.Listeners = append(cfg.Listeners, s.outbound(p))
	}
	cfg.Listeners = append(cfg.Listeners, s.inbound()...)
	for _, v := range s.Services {
		cfg.Clusters = append(cfg.Clusters, s.cluster(v))
	}
	cfg.Clusters = append(cfg.Clusters,
		mesh.Cluster{Name: s.inboundName(), ConnectTimeout: connectTimeout, Breakers: unlimited(),
			Endpoints: []mesh.Endpoint{{Address: fmt.Sprintf("127.0.0.1:%d", s.Target)}}},
		mesh.Cluster{Name: passthrough, ConnectTimeout: connectTimeout, Breakers: unlimited(), OriginalDst: true},
		mesh.Cluster{Name: inboundPassthrough, ConnectTimeout: connectTimeout, Breakers: unlimited(), OriginalDst: true},
	)
	return cfg
}

// outbound is the listener of one port of services.
func (s Sidecar) outbound(port uint16) mesh.Listener {
	at := fmt.Sprintf("0.0.0.0:%d", port)
	l := mesh.Listener{Name: fmt.Sprintf("0.0.0.0_%d", port), Address: at, StatPrefix: fmt.Sprintf("outbound_0.0.0.0_%d", port),
		Intercept: mesh.Interception{Unbound: true}, Logs: s.logs()}
	l.VirtualHosts = append(s.hosts(port), allowAny(passthrough))
	return l
}

// hosts are the services at a port.
func (s Sidecar) hosts(port uint16) (out []mesh.VirtualHost) {
	for _, v := range s.Services {
		if v.Port != port {
			continue
		}
		full := s.fqdn(v)
		names := []string{full, v.Name + "." + v.Namespace + ".svc", v.Name + "." + v.Namespace, v.IP}
		if v.Namespace == s.Namespace {
			names = append(names, v.Name)
		}
		h := mesh.VirtualHost{Name: fmt.Sprintf("%s:%d", full, port), CountRequests: true,
			Routes: []mesh.Route{{Name: "default", Prefix: "/", Cluster: s.clusterName(v), Retry: retries()}}}
		for _, n := range names {
			h.Domains = append(h.Domains, n, fmt.Sprintf("%s:%d", n, port))
		}
		out = append(out, h)
	}
	return out
}

// allowAny is where requests go whose authority is no service's.
func allowAny(cluster string) mesh.VirtualHost {
	return mesh.VirtualHost{Name: "allow_any", CountRequests: true, Domains: []string{"*"},
		Routes: []mesh.Route{{Name: "allow_any", Prefix: "/", Cluster: cluster}}}
}

// inbound is the other listener, one Listener a filter chain.
func (s Sidecar) inbound() []mesh.Listener {
	base := mesh.Listener{Name: "virtualInbound", Address: Inbound, Intercept: mesh.Interception{OriginalDst: true}}
	app := s.application()
	app.Name, app.Address, app.Intercept = base.Name, base.Address, base.Intercept
	app.Match = mesh.ChainMatch{Port: uint32(s.Target)}
	secure, plain := app, app
	secure.Match.Transport, plain.Match.Transport = "tls", "raw_buffer"
	common := s.tls()
	common.Validation.SANs = nil // whoever has a certificate of the cluster
	secure.TLS = &mesh.ServerTLS{TLS: common, RequireClientCert: true}
	rest := base
	rest.StatPrefix, rest.TCP = inboundPassthrough, &mesh.TCPProxy{Cluster: inboundPassthrough, Idle: mesh.DefaultTCPIdle}
	return []mesh.Listener{secure, plain, rest}
}

// application is the listener of what the pod's application gets, without its place.
func (s Sidecar) application() mesh.Listener {
	return mesh.Listener{StatPrefix: fmt.Sprintf("inbound_0.0.0.0_%d", s.Target), Logs: s.logs(),
		VirtualHosts: []mesh.VirtualHost{{Name: fmt.Sprintf("inbound|http|%d", s.Target), Domains: []string{"*"},
			Routes: []mesh.Route{{Name: "default", Prefix: "/", Cluster: s.inboundName()}}}}}
}

// cluster is a service as others reach it.
func (s Sidecar) cluster(v Service) mesh.Cluster {
	c := mesh.Cluster{Name: s.clusterName(v), Policy: mesh.LeastRequest, ConnectTimeout: connectTimeout, Breakers: unlimited()}
	for _, p := range v.Pods {
		c.Endpoints = append(c.Endpoints, mesh.Endpoint{Address: netip.AddrPortFrom(p, v.Target).String()})
	}
	t := &mesh.ClientTLS{TLS: s.tls(), SNI: fmt.Sprintf("outbound_.%d_._.%s", v.Port, s.fqdn(v))}
	t.Validation.SANs = []mesh.SANName{{Type: "URI", Match: mesh.StringMatch{Kind: mesh.MatchExact, Text: Identity(v.Namespace, v.Account)}}}
	c.TLS = t
	return c
}

func (s Sidecar) tls() mesh.TLS {
	return mesh.TLS{MinVersion: "TLSv1_2", MaxVersion: "TLSv1_3",
		Certificates: []mesh.Certificate{{Secret: mesh.Secret{Name: SecretName, Path: s.Files.Secret}}},
		Validation:   &mesh.Validation{CA: mesh.Source{File: s.Files.Root}}}
}

func (s Sidecar) fqdn(v Service) string { return v.Name + "." + v.Namespace + ".svc." + s.Domain }

func (s Sidecar) clusterName(v Service) string {
	return fmt.Sprintf("outbound|%d||%s", v.Port, s.fqdn(v))
}

func (s Sidecar) inboundName() string { return fmt.Sprintf("inbound|%d||", s.Target) }

func (s Sidecar) logs() []mesh.AccessLog {
	if s.Log == "" {
		return nil
	}
	return []mesh.AccessLog{{Path: s.Log, Text: LogFormat}}
}

// unlimited are Istio's circuit breakers where nobody has set any.
func unlimited() *mesh.Breakers {
	const all = 1<<32 - 1
	return &mesh.Breakers{MaxConnections: all, MaxPending: all, MaxRequests: all, MaxRetries: all, TrackRemaining: true}
}

// retries is Istio's default policy, but for what HTTP/1.1 has not.
func retries() *mesh.RetryPolicy {
	return &mesh.RetryPolicy{On: []string{"connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"},
		Retries: 2, Statuses: []uint32{503}, OtherHosts: true, HostAttempts: 5}
}
