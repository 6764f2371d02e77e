package bookinfo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// results counts productpage's calls by service and status, as the original's
// only metric of its own does.
type results struct {
	mu   sync.Mutex
	rows []result
}

type result struct {
	app     string
	status  int
	n       uint64
	created time.Time
}

func newResults() *results { return &results{} }

func (r *results) add(app string, status int, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.rows, func(x result) bool { return x.app == app && x.status == status })
	if i < 0 {
		i = len(r.rows)
		r.rows = append(r.rows, result{app: app, status: status, created: now})
	}
	r.rows[i].n++
}

// text is the Prometheus exposition, format 0.0.4.
func (r *results) text() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	var total, created strings.Builder
	for _, x := range r.rows {
		labels := fmt.Sprintf(`{destination_app="%s",response_code="%d"}`, x.app, x.status)
		fmt.Fprintf(&total, "request_result_total%s %s\n", labels, strconv.FormatFloat(float64(x.n), 'f', 1, 64))
		fmt.Fprintf(&created, "request_result_created%s %s\n", labels,
			strconv.FormatFloat(float64(x.created.UnixMicro())/1e6, 'g', -1, 64))
	}
	const help = "# HELP request_result_%s Results of requests\n# TYPE request_result_%s %s\n"
	return fmt.Appendf(nil, help+"%s"+help+"%s",
		"total", "total", "counter", total.String(), "created", "created", "gauge", created.String())
}
