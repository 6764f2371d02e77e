package admin

import (
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// stats answers as Envoy does: "name: value" lines in order, or JSON, or
// Prometheus's text, with its filter (a regular expression), usedonly and type
// parameters.
func (a *Server) stats(w http.ResponseWriter, r *http.Request) {
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
	all := slices.DeleteFunc(a.p.Stats(), func(st mesh.Stat) bool {
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

func (a *Server) prometheus(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	q.Set("format", "prometheus")
	r.URL.RawQuery = q.Encode()
	a.stats(w, r)
}
