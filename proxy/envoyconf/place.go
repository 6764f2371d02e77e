package envoyconf

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// invalid tells of the mistakes that mesh found in what was read, each at its place
// in the file.
func (r *reader) invalid(err error) {
	list := []error{err}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		list = all.Unwrap()
	}
	for _, err := range list {
		var p *mesh.PathError
		if !errors.As(err, &p) {
			r.fail("", "%v", err)
			continue
		}
		r.fail(r.place(p.Path), "%s", p.Why)
	}
}

var (
	meshItem   = regexp.MustCompile(`^(listeners|clusters)\[(\d+)\](.*)$`)
	inRoute    = regexp.MustCompile(`(\.routes\[\d+\])\.(cluster|weighted_clusters|timeout|retry_policy|hash_policy)`)
	inRewrite  = regexp.MustCompile(`(\.routes\[\d+\])\.rewrite`)
	inFilters  = regexp.MustCompile(`(\.http_filters\[\d+\])\.(local_ratelimit|fault)`)
	inFault    = regexp.MustCompile(`(\.virtual_hosts\[\d+\](\.routes\[\d+\])?)\.fault`)
	inClusters = regexp.MustCompile(`\.weighted_clusters\[`)
)

// place is where the file has what a mesh.Config has at path, or something above
// it.
func (r *reader) place(path string) string {
	m := meshItem.FindStringSubmatch(path)
	if m == nil {
		return path
	}
	var i int
	fmt.Sscan(m[2], &i) // digits, by the expression
	rest := inRoute.ReplaceAllString(m[3], "$1.route.$2")
	rest = inRewrite.ReplaceAllString(rest, "$1.route")
	rest = inFilters.ReplaceAllString(rest, "$1.typed_config")
	rest = inFault.ReplaceAllString(rest, "$1.typed_per_filter_config")
	rest = inClusters.ReplaceAllString(rest, ".weighted_clusters.clusters[")
	if m[1] == "clusters" {
		return fmt.Sprintf("static_resources.clusters[%d]%s", i, rest)
	}
	if i >= len(r.chains) {
		return "static_resources.listeners"
	}
	chain := r.chains[i]
	filter := chain + ".filters[0].typed_config"
	switch {
	case strings.HasPrefix(rest, ".listener_access_log"):
		return chain[:strings.LastIndex(chain, ".filter_chains")] + "." + strings.TrimPrefix(rest, ".listener_")
	case strings.HasPrefix(rest, ".name"), strings.HasPrefix(rest, ".address"):
		return chain[:strings.LastIndex(chain, ".filter_chains")] + rest
	case strings.HasPrefix(rest, ".virtual_hosts"):
		return filter + ".route_config" + rest
	case strings.HasPrefix(rest, ".tcp_proxy"):
		return filter + strings.TrimPrefix(rest, ".tcp_proxy")
	case strings.HasPrefix(rest, ".stat_prefix"), strings.HasPrefix(rest, ".access_log"), strings.HasPrefix(rest, ".http_filters"):
		return filter + rest
	}
	return chain + rest
}
