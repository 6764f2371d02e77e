package sidecar

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// stats answers as Envoy does: "name: value" lines in order, or JSON, or
// Prometheus's text, with its filter (a regular expression), usedonly and type
// parameters.
func (a *admin) stats(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	format := q.Get("format")
	if format == "" {
		format = "text"
	}
	if !slices.Contains([]string{"text", "json", "prometheus"}, format) {
		refuse(w, http.StatusBadRequest, "usage: /stats?format=(json|prometheus|text)\n\n")
		return
	}
	kind := q.Get("type")
	if !slices.Contains([]string{"", "All", "Counters", "Gauges", "Histograms", "TextReadouts"}, kind) {
		refuse(w, http.StatusBadRequest, "invalid &type= param")
		return
	}
	re := filter(w, r)
	if re == nil {
		return
	}
	all := slices.DeleteFunc(a.s.Stats(), func(st mesh.Stat) bool {
		return !re.MatchString(st.Name) || q.Has("usedonly") && st.Value == 0 && !st.Gauge ||
			kind == "Counters" && st.Gauge || kind == "Gauges" && !st.Gauge || kind == "Histograms" || kind == "TextReadouts"
	})
	switch format {
	case "prometheus":
		writePrometheus(w, all)
	case "json":
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, `{"stats":[`)
		for i, st := range all {
			if i > 0 {
				io.WriteString(w, ",")
			}
			fmt.Fprintf(w, `{"name":%q,"value":%d}`, st.Name, st.Value)
		}
		io.WriteString(w, `]}`)
	default:
		for _, st := range all {
			fmt.Fprintf(w, "%s: %d\n", st.Name, st.Value)
		}
	}
}

func (a *admin) prometheus(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	q.Set("format", "prometheus")
	r.URL.RawQuery = q.Encode()
	a.stats(w, r)
}

// Stats returns the counters of all workers added up, in the order of their
// names. Each worker's are from one moment between two of its rounds.
func (s *Server) Stats() []mesh.Stat {
	sum := map[string]*mesh.Stat{}
	add := func(stats []mesh.Stat) {
		for _, st := range stats {
			if t := sum[st.Name]; t != nil {
				t.Value += st.Value
			} else {
				sum[st.Name] = &st
			}
		}
	}
	for _, w := range s.workers {
		done := make(chan []mesh.Stat, 1)
		w.post(func() { done <- w.stats() })
		add(<-done)
	}
	force := s.force.Load()
	for i := range force.limits {
		cluster := force.table.Clusters[i].Name
		add(force.limits[i].stats(nil, cluster, func(name string) uint64 {
			if st := sum["cluster."+cluster+"."+name]; st != nil {
				return st.Value
			}
			return 0
		}))
	}
	live := uint64(0)
	if s.State() == Live {
		live = 1
	}
	add(s.logCounters.Stats())
	add(s.names.stats())
	add([]mesh.Stat{
		{Name: "server.live", Value: live, Gauge: true},
		{Name: "server.state", Value: uint64(s.State()), Gauge: true},
		{Name: "server.concurrency", Value: uint64(s.opt.Concurrency), Gauge: true},
		{Name: "server.uptime", Value: uint64(time.Since(s.started).Seconds()), Gauge: true},
	})
	out := make([]mesh.Stat, 0, len(sum))
	for _, st := range sum {
		out = append(out, *st)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
