package mesh

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// PathError says which part of a Config is wrong, in the words of its JSON
// form: "listeners[0].virtual_hosts[1].domains[0]".
type PathError struct {
	Path string
	Why  string
}

// Error renders "mesh: path: why".
func (e *PathError) Error() string { return "mesh: " + e.Path + ": " + e.Why }

// Validate reports every mistake in c that would keep a proxy from running it,
// each as a *PathError, joined. It resolves nothing and opens nothing.
func (c *Config) Validate() error {
	v := validator{clusters: map[string]bool{}}
	for i := range c.Clusters {
		v.cluster(fmt.Sprintf("clusters[%d]", i), &c.Clusters[i])
	}
	if len(c.Listeners) == 0 {
		v.fail("listeners", "is empty, want at least one")
	}
	names, addrs := map[string]bool{}, map[string]string{}
	if c.Admin != "" && v.address("admin", c.Admin) {
		addrs[c.Admin] = "admin"
	}
	for i := range c.Listeners {
		l, path := &c.Listeners[i], fmt.Sprintf("listeners[%d]", i)
		v.chain(path, l)
		if i > 0 && l.Name == c.Listeners[i-1].Name && l.Address == c.Listeners[i-1].Address {
			for j := i - 1; j >= 0 && c.Listeners[j].Name == l.Name; j-- {
				if reflect.DeepEqual(c.Listeners[j].Match, l.Match) {
					v.fail(path+".filter_chain_match", "is also that of listeners[%d]", j)
				}
			}
			if !reflect.DeepEqual(c.Listeners[i-1].ConnLogs, l.ConnLogs) {
				v.fail(path+".listener_access_log", "is not that of listeners[%d], of the same listener", i-1)
			}
		} else if v.unique(path+".name", l.Name, names); v.address(path+".address", l.Address) && !strings.HasSuffix(l.Address, ":0") {
			if owner, dup := addrs[l.Address]; dup {
				v.fail(path+".address", "%s is also the address of %s", l.Address, owner)
			}
			addrs[l.Address] = path
		}
		if l.StatPrefix == "" {
			v.fail(path+".stat_prefix", "is empty; it names the counters http.<prefix>.* or tcp.<prefix>.*")
		}
		v.mutations(path+".mutate_headers", &l.Mutate)
		v.logs(path+".access_log", l.Logs)
		v.logs(path+".listener_access_log", l.ConnLogs)
		v.filters(path+".http_filters", l)
		v.virtualHosts(path, l)
		v.tcp(path, l)
	}
	return errors.Join(v.errs...)
}

type validator struct {
	clusters map[string]bool
	errs     []error
}

func (v *validator) fail(path, format string, args ...any) {
	v.errs = append(v.errs, &PathError{Path: path, Why: fmt.Sprintf(format, args...)})
}

func (v *validator) unique(path, name string, seen map[string]bool) {
	switch {
	case name == "":
		v.fail(path, "is empty")
	case seen[name]:
		v.fail(path, "%q is used twice", name)
	}
	seen[name] = true
}

func (v *validator) address(path, s string) bool {
	if _, err := netip.ParseAddrPort(s); err != nil {
		v.fail(path, "%q is not ip:port", s)
		return false
	}
	return true
}

func (v *validator) cluster(path string, c *Cluster) {
	v.unique(path+".name", c.Name, v.clusters)
	if c.ConnectTimeout < 0 {
		v.fail(path+".connect_timeout", "is %v, want 0 (5 s) or more", c.ConnectTimeout)
	}
	if c.Idle != nil && *c.Idle < 0 {
		v.fail(path+".idle_timeout", "is %v, want 0 (none) or more", *c.Idle)
	}
	if c.Policy != "" && !slices.Contains(Policies(), string(c.Policy)) {
		v.fail(path+".lb_policy", "is %q, want one of %s", c.Policy, strings.Join(Policies(), ", "))
	}
	if c.Breakers != nil {
		v.budget(path+".circuit_breakers.retry_budget", c.Breakers.Budget)
	}
	v.outliers(path+".outlier_detection", c.Outliers)
	v.check(path+".health_check", c.Check)
	if c.Panic != nil && !(*c.Panic >= 0 && *c.Panic <= 100) {
		v.fail(path+".healthy_panic_threshold", "is %g, want 0 to 100", *c.Panic)
	}
	if c.MergeWindow != nil && *c.MergeWindow < 0 {
		v.fail(path+".update_merge_window", "is %v, want 0 (none) or more", *c.MergeWindow)
	}
	if c.TLS != nil {
		v.tls(path+".tls", &c.TLS.TLS, false)
	}
	v.originalDst(path, c)
	v.dns(path, c)
	if c.Choices == 1 {
		v.fail(path+".choice_count", "is 1, want 2 or more")
	}
	if c.Choices != 0 && c.Policy != LeastRequest {
		v.fail(path+".choice_count", "is for %s, and the policy is not", LeastRequest)
	}
	if (c.MinRing != 0 || c.MaxRing != 0) && c.Policy != RingHash {
		v.fail(path+".minimum_ring_size", "and maximum_ring_size are for %s, and the policy is not", RingHash)
	}
	if least, most := cmp.Or(c.MinRing, DefaultMinRing), cmp.Or(c.MaxRing, DefaultMaxRing); least > most || most > DefaultMaxRing {
		v.fail(path+".minimum_ring_size", "is %d and the maximum %d, want at most that and that at most %d", least, most, DefaultMaxRing)
	}
	var sum uint64
	for i, e := range c.Endpoints {
		p := fmt.Sprintf("%s.endpoints[%d].address", path, i)
		v.endpoint(p, c, &c.Endpoints[i])
		sum += uint64(max(e.Weight, 1))
	}
	// Envoy's limit on the sum of a locality's weights.
	if sum > 1<<32-1 {
		v.fail(path+".endpoints", "weights add up to %d, want at most %d", sum, uint32(1<<32-1))
	}
}

func (v *validator) virtualHosts(listener string, l *Listener) {
	hosts := l.VirtualHosts
	names, domains := map[string]bool{}, map[string]bool{}
	for i := range hosts {
		h, path := &hosts[i], fmt.Sprintf("%s.virtual_hosts[%d]", listener, i)
		v.unique(path+".name", h.Name, names)
		v.mutations(path+".mutate_headers", &h.Mutate)
		v.retry(path+".retry_policy", h.Retry)
		v.override(path+".fault", h.Fault, l)
		if len(h.Domains) == 0 {
			v.fail(path+".domains", "is empty, want at least one")
		}
		for j, d := range h.Domains {
			p := fmt.Sprintf("%s.domains[%d]", path, j)
			v.unique(p, strings.ToLower(d), domains)
			if strings.Contains(strings.TrimSuffix(strings.TrimPrefix(d, "*"), "*"), "*") ||
				len(d) > 1 && strings.HasPrefix(d, "*") && strings.HasSuffix(d, "*") {
				v.fail(p, "%q has a * that is neither its first nor its last character alone", d)
			}
		}
		for j := range h.Routes {
			p := fmt.Sprintf("%s.routes[%d]", path, j)
			v.route(p, &h.Routes[j])
			v.override(p+".fault", h.Routes[j].Fault, l)
		}
	}
}

func (v *validator) route(path string, r *Route) {
	v.path(path, r)
	given := 0
	for _, has := range []bool{r.Cluster != "", len(r.Clusters) > 0, r.Direct != nil, r.Redirect != nil} {
		if has {
			given++
		}
	}
	v.direct(path, r)
	v.rewrite(path+".rewrite", &r.Rewrite)
	v.mutations(path+".mutate_headers", &r.Mutate)
	v.retry(path+".retry_policy", r.Retry)
	if r.Retry != nil && (r.Direct != nil || r.Redirect != nil) {
		v.fail(path+".retry_policy", "is for a cluster, and there is none")
	}
	if given != 1 {
		v.fail(path, "has %d of cluster, weighted_clusters, direct_response and redirect, want one of them", given)
	} else if r.Cluster != "" && !v.clusters[r.Cluster] {
		v.fail(path+".cluster", "no cluster is named %q", r.Cluster)
	}
	v.weighted(path, r.Clusters)
	v.toward(path, r)
	for i := range r.Headers {
		v.header(fmt.Sprintf("%s.headers[%d]", path, i), &r.Headers[i])
	}
	for i, q := range r.Query {
		p := fmt.Sprintf("%s.query_parameters[%d]", path, i)
		if q.Name == "" {
			v.fail(p+".name", "is empty")
		}
		v.text(p, q.Value)
	}
	v.hash(path+".hash_policy", r.Hash)
	if r.Timeout < 0 {
		v.fail(path+".timeout", "is %v, want 0 (none) or more", r.Timeout)
	}
	if r.Idle != nil && *r.Idle < 0 {
		v.fail(path+".idle_timeout", "is %v, want 0 (none) or more", *r.Idle)
	}
}

func (v *validator) weighted(path string, clusters []WeightedCluster) {
	total := uint64(0)
	for i, c := range clusters {
		if total += uint64(c.Weight); !v.clusters[c.Name] {
			v.fail(fmt.Sprintf("%s.weighted_clusters[%d].name", path, i), "no cluster is named %q", c.Name)
		}
	}
	if len(clusters) > 0 && (total == 0 || total > 1<<32-1) {
		v.fail(path+".weighted_clusters", "weights add up to %d, want 1 to %d", total, uint32(1<<32-1))
	}
}

func (v *validator) header(path string, h *HeaderMatch) {
	if h.Name == "" {
		v.fail(path+".name", "is empty")
	}
	if strings.HasPrefix(h.Name, ":") && !slices.Contains([]string{":method", ":authority", ":path"}, h.Name) {
		v.fail(path+".name", "is %q; of the names with a colon there are :method, :authority and :path", h.Name)
	}
	v.text(path, h.Value)
}

func (v *validator) text(path string, m *StringMatch) {
	if m == nil {
		return
	}
	switch {
	case !slices.Contains(MatchKinds(), m.Kind):
		v.fail(path+".value.kind", "is %q, want one of %s", m.Kind, strings.Join(MatchKinds(), ", "))
	case m.Text == "" && m.Kind != MatchExact:
		v.fail(path+".value.text", "is empty")
	case m.Kind == MatchRegex && m.IgnoreCase:
		v.fail(path+".value.ignore_case", "is not for %s; begin the expression with (?i)", MatchRegex)
	case m.Kind == MatchRegex:
		if _, err := regexp.Compile(whole(m.Text)); err != nil {
			v.fail(path+".value.text", "%v", err)
		}
	}
}
