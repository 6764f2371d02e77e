package bench

import (
	"context"

	"github.com/meshnic/meshnic/hostif/probe"
)

// uses says what each program is for.
var uses = map[string]string{
	"envoy": "the envoy systems", "haproxy": "bench hop and link", "nginx": "bench hop",
	"curl": "bench curl", "python3": "bench curl", "iperf3": "bench link (our own sender without it)", "wrk": "cross-checking the generator",
}

// Programs says which of the programs that the bench compares with are here.
// envoy is a path, or empty.
func Programs(ctx context.Context, envoy string) []probe.Finding {
	found := findPrograms(ctx, Options{Envoy: envoy})
	var out []probe.Finding
	for _, p := range programs {
		f := probe.Finding{Name: p.name, For: uses[p.name]}
		if b, ok := found[p.name]; ok {
			f.OK, f.Name = true, p.name+" "+b.Version
		} else {
			f.Why, f.Next = absentReason(p.name, envoy)
		}
		out = append(out, f)
	}
	return out
}
