// Package mesh is the proxy's brain: what a proxy decides (virtual host, route,
// cluster, endpoint, header changes), with no sockets and no clock of its own.
// The host sidecar calls it; so will the NIC.
package mesh

import "time"

// Config describes one proxy: its listeners and the clusters they reach. It is
// what the Envoy bootstrap file of the same proxy says, in our words.
type Config struct {
	Node      string     `json:"node"`            // node id, shown in stats
	Admin     string     `json:"admin,omitempty"` // address:port of the admin listener, empty for none
	Listeners []Listener `json:"listeners"`
	Clusters  []Cluster  `json:"clusters"`
}

// Listener accepts downstream connections and routes their requests, or passes
// the connections on. One with several filter chains is several Listeners, one
// after the other, of the same name and address, that differ in Match.
type Listener struct {
	Name         string        `json:"name"`
	Address      string        `json:"address"`     // ip:port
	StatPrefix   string        `json:"stat_prefix"` // Envoy's http.<prefix>.* or tcp.<prefix>.*
	VirtualHosts []VirtualHost `json:"virtual_hosts,omitempty"`
	TCP          *TCPProxy     `json:"tcp_proxy,omitempty"` // instead of HTTP
	Intercept    Interception  `json:"interception,omitzero"`

	Match     ChainMatch    `json:"filter_chain_match,omitzero"`
	TLS       *ServerTLS    `json:"tls,omitempty"`                             // nil means clear text
	Handshake time.Duration `json:"transport_socket_connect_timeout,omitzero"` // how long TLS may take; 0 means as long as an idle connection may live

	Mutate  HeaderMutations `json:"mutate_headers,omitzero"`
	Logs    []AccessLog     `json:"access_log,omitempty"`   // of requests, or of the TCP proxy's connections
	Filters []Filter        `json:"http_filters,omitempty"` // before the router, in this order

	ConnLogs []AccessLog `json:"listener_access_log,omitempty"` // of all connections, also those for which there is no filter chain; the same in all of a listener's
}

// VirtualHost groups routes by the request's authority.
type VirtualHost struct {
	Name    string   `json:"name"`
	Domains []string `json:"domains"` // exact, "*.suffix", "prefix.*" or "*"; with or without port
	Routes  []Route  `json:"routes"`  // first match wins

	Mutate HeaderMutations `json:"mutate_headers,omitzero"`
	Retry  *RetryPolicy    `json:"retry_policy,omitempty"` // of routes that have none
	Fault  *Fault          `json:"fault,omitempty"`        // of routes that have none, in the place of the listener's

	CountRequests  bool `json:"include_request_attempt_count,omitempty"`     // x-envoy-attempt-count tells the upstream which try it gets
	CountResponses bool `json:"include_attempt_count_in_response,omitempty"` // and the client how many there were
}

// Route sends the requests it matches to a cluster.
type Route struct {
	Name string `json:"name,omitempty"` // for logs

	// One of these; none looks at the query.
	Prefix    string `json:"prefix,omitempty"`
	Path      string `json:"path,omitempty"`                  // all of it
	Separated string `json:"path_separated_prefix,omitempty"` // all of it, or up to a slash
	Regex     string `json:"safe_regex,omitempty"`            // RE2, all of it

	Headers []HeaderMatch `json:"headers,omitempty"`          // all of which have to match too
	Query   []QueryMatch  `json:"query_parameters,omitempty"` // and all of these

	// One of these.
	Cluster  string            `json:"cluster,omitempty"`
	Clusters []WeightedCluster `json:"weighted_clusters,omitempty"` // one of which is chosen by chance, request by request
	Direct   *DirectResponse   `json:"direct_response,omitempty"`
	Redirect *Redirect         `json:"redirect,omitempty"`

	Rewrite Rewrite         `json:"rewrite,omitzero"`
	Mutate  HeaderMutations `json:"mutate_headers,omitzero"`
	Hash    []HashPolicy    `json:"hash_policy,omitempty"` // what RingHash and Maglev place requests by
	Retry   *RetryPolicy    `json:"retry_policy,omitempty"`
	Fault   *Fault          `json:"fault,omitempty"` // in the place of the virtual host's and the listener's
	Timeout time.Duration   `json:"timeout"`         // 0 means none; Envoy's default of 15 s is written out by the reader

	Idle *time.Duration `json:"idle_timeout,omitempty"` // of a request on which nothing moves; 0 means none, nil StreamIdleTimeout
}

// WeightedCluster is a cluster that gets a part of a route's requests.
type WeightedCluster struct {
	Name   string `json:"name"`
	Weight uint32 `json:"weight"`

	Mutate HeaderMutations `json:"mutate_headers,omitzero"`        // before the route's; not of TCP proxies
	Host   string          `json:"host_rewrite_literal,omitempty"` // the host the upstream sees; not of TCP proxies
}

// Cluster is a set of endpoints, balanced.
type Cluster struct {
	Name           string        `json:"name"`
	Policy         Policy        `json:"lb_policy,omitempty"`         // empty means RoundRobin
	Choices        uint32        `json:"choice_count,omitempty"`      // of LeastRequest; 0 means DefaultChoices, Envoy's 2
	MinRing        uint32        `json:"minimum_ring_size,omitempty"` // of RingHash; 0 means DefaultMinRing
	MaxRing        uint32        `json:"maximum_ring_size,omitempty"` // of RingHash; 0 means DefaultMaxRing
	ConnectTimeout time.Duration `json:"connect_timeout"`             // 0 means Envoy's default, 5 s
	Breakers       *Breakers     `json:"circuit_breakers,omitempty"`  // nil means DefaultBreakers
	TLS            *ClientTLS    `json:"tls,omitempty"`               // nil means clear text
	Endpoints      []Endpoint    `json:"endpoints"`
	DNS            *DNS          `json:"dns,omitempty"` // the endpoints are names; nil means IP addresses

	Idle *time.Duration `json:"idle_timeout,omitempty"` // of a connection without a request; 0 means none, nil ConnectionIdleTimeout. Below the server's own no request meets the server's close

	Outliers *OutlierDetection `json:"outlier_detection,omitempty"`
	Check    *HealthCheck      `json:"health_check,omitempty"`
	Panic    *float64          `json:"healthy_panic_threshold,omitempty"` // percent; nil means DefaultPanic

	MergeWindow *time.Duration `json:"update_merge_window,omitempty"` // of changes of health; 0 is none, nil means DefaultMergeWindow
	OriginalDst bool           `json:"original_dst,omitempty"`        // there are none: a connection goes on to where it was going
	Cleanup     time.Duration  `json:"cleanup_interval,omitempty"`    // after which a destination that was not asked for is forgotten; 0 means DefaultCleanup
}

// Breakers are a cluster's circuit breakers: how much of it all workers together
// may have at once. 0 is none at all.
type Breakers struct {
	MaxConnections uint32 `json:"max_connections"`      // beyond it an endpoint has one connection, and those that want more wait
	MaxPending     uint32 `json:"max_pending_requests"` // requests that wait for a connection
	MaxRequests    uint32 `json:"max_requests"`         // requests under way
	MaxRetries     uint32 `json:"max_retries"`          // requests that are being tried again

	Budget *RetryBudget `json:"retry_budget,omitempty"` // in the place of MaxRetries

	TrackRemaining bool `json:"track_remaining,omitempty"` // gauges say how much is left
}

// DefaultBreakers are Envoy's.
var DefaultBreakers = Breakers{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3}

// Endpoint is one upstream host.
type Endpoint struct {
	Address  string `json:"address"`            // ip:port, or name:port in a cluster with DNS
	Hostname string `json:"hostname,omitempty"` // what it is called where endpoints are listed; empty means its name, if it has one
	Weight   uint32 `json:"weight,omitempty"`   // 0 means 1

	found string // the Address that Config.Resolved had for it
}
