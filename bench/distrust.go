package bench

import "fmt"

// Limits beyond which a figure says that it is not to be trusted. They are wide:
// a virtual machine with two cores has a bad moment in most runs.
const (
	spreadLimit = 3.0   // the baseline's largest p50 over its smallest, over the repeats
	errorLimit  = 0.001 // share of requests that failed
)

// distrust returns why figures of d are not to be trusted: requests that
// failed, rows without a request, and a baseline that did not hold still. A
// quick run is a check that everything works, too short to be held to the last.
func distrust(d Document, quick bool) []string {
	var why []string
	if w := d.ModelCheck.distrust(); w != "" {
		why = append(why, w)
	}
	for _, s := range d.Systems {
		if s.Absent != nil {
			continue
		}
		if bad := float64(s.Errors) / float64(max(s.N+s.Errors, 1)); bad > errorLimit {
			why = append(why, fmt.Sprintf("%s at %d connections: %d of %d requests failed", s.Name, s.Connections, s.Errors, s.N+s.Errors))
		}
		if quick || s.Name != d.Systems[0].Name || s.Spread == nil || s.Spread.P50Min == 0 {
			continue
		}
		if f := s.Spread.P50Max / s.Spread.P50Min; f > spreadLimit {
			why = append(why, fmt.Sprintf("the baseline %s at %d connections did not hold still: its p50 differs %.1f-fold between repeats", s.Name, s.Connections, f))
		}
	}
	return why
}
