package breakeven

import (
	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/internal/failure"
)

// Host is what was measured of a proxy on a host.
type Host struct {
	System  string
	AddedUS float64 // wall p50 with it less that of the path without, us, on the fewest connections
	RPS     float64 // requests a second, the most of its rows
}

// Read takes a system's figures from a hop document.
func Read(d bench.Document, system string) (h Host, err error) {
	refuse := func(why string) (Host, error) {
		return h, failure.New(failure.BadFile, "break-even against "+system, why, "meshnic bench hop, and name its hop.json")
	}
	if d.Experiment != "hop" {
		return refuse("the document is of " + d.Experiment + ", not of hop")
	}
	direct := map[int]float64{}
	for _, s := range d.Systems {
		if s.Name == "direct" && s.WallUS != nil {
			direct[s.Connections] = s.WallUS.P50
		}
	}
	fewest := 0
	for _, s := range d.Systems {
		if s.Name != system || s.WallUS == nil {
			continue
		}
		h.RPS = max(h.RPS, s.RPS)
		if base, ok := direct[s.Connections]; ok && (fewest == 0 || s.Connections < fewest) {
			fewest, h.AddedUS = s.Connections, s.WallUS.P50-base
		}
	}
	h.System = system
	switch {
	case fewest == 0:
		return refuse("it has no figures of it, or none of direct with as many connections")
	case h.AddedUS <= 0:
		return refuse("there it adds nothing that could be measured")
	}
	return h, nil
}
