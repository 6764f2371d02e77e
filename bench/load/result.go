package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"
)

// Result is one measurement. Every request issued is counted once: in N, in
// Errors, in Warmup or in Unfinished.
type Result struct {
	Schema      string  `json:"schema"`
	Mode        string  `json:"mode"` // "closed", "open", "pingpong", "curl"
	Connections int     `json:"connections"`
	Rate        float64 `json:"rate_per_s,omitempty"` // intended, open loop

	N          uint64 `json:"n"` // right answers, after the warm-up
	Errors     Errors `json:"errors"`
	Warmup     uint64 `json:"warmup"`               // requests discarded, right or not
	WarmupBad  uint64 `json:"warmup_bad,omitempty"` // those of them that failed
	Unfinished uint64 `json:"unfinished,omitempty"` // in flight when the run was cancelled
	// Stray counts connections on which the server sent bytes nobody had asked for.
	Stray uint64 `json:"stray,omitempty"`
	// Examples has the first error of each kind, in words.
	Examples map[string]string `json:"examples,omitempty"`

	Elapsed  float64 `json:"elapsed_s"`      // the measured window
	RPS      float64 `json:"requests_per_s"` // right answers that ended in the window, over its length
	Connects uint64  `json:"connects"`       // connections made, warm-up included
	Bytes    uint64  `json:"bytes"`          // received, warm-up included

	WallUS Quantiles `json:"wall_us"` // from the (intended) start to the complete answer
	// SentUS is, in an open loop, the same from when the request was really
	// sent: what a closed-loop generator would have shown.
	SentUS *Quantiles `json:"sent_us,omitempty"`
	CDF    []Point    `json:"cdf,omitempty"`

	Generator Generator `json:"generator"`

	Hist     *Hist `json:"hist"`
	SentHist *Hist `json:"sent_hist,omitempty"`
}

// Errors counts requests without a right answer, by kind.
type Errors struct {
	Connect uint64 `json:"connect"` // no connection: refused, unreachable, not in time
	Reset   uint64 `json:"reset"`   // connection lost before the answer was complete
	Missing uint64 `json:"missing"` // connection closed in order without a byte of the answer
	Timeout uint64 `json:"timeout"` // no complete answer in time; open loop: or never sent in time
	Status  uint64 `json:"status"`  // another status than expected
	Wrong   uint64 `json:"wrong"`   // another body than expected
	Parse   uint64 `json:"parse"`   // not HTTP/1.x, or bytes after the end of the answer
}

// Total is the number of requests without a right answer.
func (e Errors) Total() uint64 {
	return e.Connect + e.Reset + e.Missing + e.Timeout + e.Status + e.Wrong + e.Parse
}

func (e *Errors) at(k kind) *uint64 {
	return [...]*uint64{&e.Connect, &e.Reset, &e.Missing, &e.Timeout, &e.Status, &e.Wrong, &e.Parse}[k]
}

// Generator says what the measurement cost the measuring side, and whether
// that side was the limit.
type Generator struct {
	CPU  float64 `json:"cpu_us_per_request"` // of the measuring process; curl: of the curl processes
	Busy float64 `json:"busy_share"`         // of the window not spent waiting in epoll, 0 to 1
	// Runnable is the share of the window the process was ready to run and had
	// no processor, 0 to 1 (schedstat; 0 where the kernel does not tell).
	Runnable float64 `json:"runnable_share"`
	// LagUS is how late the generator noticed intended starts for which a
	// connection was free (open loop). It is part of WallUS.
	LagUS *Quantiles `json:"lag_us,omitempty"`
	// Queued counts intended starts that found every connection busy: the
	// system under test, or too few connections, held them up.
	Queued uint64 `json:"queued,omitempty"`
	// Saturated means the figures are the generator's and not the system's; Why
	// says how it shows. A closed loop against a server faster than the
	// generator ends like this by design: that is the floor.
	Saturated bool   `json:"saturated"`
	Why       string `json:"why,omitempty"`

	lag *Hist
}

// Limits from which a generator is called saturated: a thread that never waits
// is the bottleneck, and a lag of a millisecond is what an offloaded hop is to
// be told apart by.
const (
	busyLimit  = 0.90
	lagLimitUS = 1000
)

func (g *Generator) judge() {
	g.Saturated, g.Why = false, ""
	if g.Busy > busyLimit {
		g.Saturated = true
		g.Why = fmt.Sprintf("the generator's thread was busy %.0f %% of the time", 100*g.Busy)
	}
	if g.LagUS != nil && g.LagUS.P99 > lagLimitUS {
		g.Saturated = true
		g.Why = fmt.Sprintf("one in a hundred intended starts was noticed %.0f us late or later", g.LagUS.P99)
	}
}

// finish fills in what follows from the histograms and the counters.
// completed is the number of right answers that ended in the window.
func (r *Result) finish(window time.Duration, completed uint64) {
	r.Schema = Schema
	r.N = r.Hist.N()
	r.Elapsed = window.Seconds()
	if window > 0 {
		r.RPS = float64(completed) / window.Seconds()
	}
	r.summarise()
}

func (r *Result) summarise() {
	r.WallUS = r.Hist.Quantiles()
	r.CDF = r.Hist.CDF(maxCDF)
	if r.SentHist != nil {
		q := r.SentHist.Quantiles()
		r.SentUS = &q
	}
	if r.Generator.lag != nil {
		q := r.Generator.lag.Quantiles()
		r.Generator.LagUS = &q
	}
	r.Generator.judge()
}

// seen reports whether there is an example of k.
func (r *Result) seen(k kind) bool {
	_, ok := r.Examples[k.String()]
	return ok
}

// example keeps the first error of a kind in words.
func (r *Result) example(k kind, text string) {
	if r.Examples == nil {
		r.Examples = make(map[string]string)
	}
	if !r.seen(k) {
		r.Examples[k.String()] = text
	}
}

// Merge joins repeats of the same measurement: counters and histograms add up,
// rates are taken over the summed time, and the generator is as saturated as
// its worst repeat (lag quantiles: the worst of each).
func Merge(rs ...*Result) (*Result, error) {
	if len(rs) == 0 {
		return nil, errors.New("load: merge of no results")
	}
	m := &Result{Schema: Schema, Mode: rs[0].Mode, Connections: rs[0].Connections, Rate: rs[0].Rate, Hist: NewHist()}
	var completed, cpu, busy, runnable float64
	var saturated []string
	for _, r := range rs {
		if r.Mode != m.Mode || r.Connections != m.Connections || r.Rate != m.Rate {
			return nil, fmt.Errorf("load: merge of %s with %d connections at rate %g and %s with %d at %g",
				m.Mode, m.Connections, m.Rate, r.Mode, r.Connections, r.Rate)
		}
		if r.Hist == nil {
			return nil, errors.New("load: merge of a result without a histogram")
		}
		m.Hist.Merge(r.Hist)
		if r.SentHist != nil {
			if m.SentHist == nil {
				m.SentHist = NewHist()
			}
			m.SentHist.Merge(r.SentHist)
		}
		for k := range kinds {
			*m.Errors.at(k) += *r.Errors.at(k)
		}
		m.Warmup += r.Warmup
		m.WarmupBad += r.WarmupBad
		m.Unfinished += r.Unfinished
		m.Stray += r.Stray
		m.Connects += r.Connects
		m.Bytes += r.Bytes
		m.Elapsed += r.Elapsed
		completed += r.RPS * r.Elapsed
		cpu += r.Generator.CPU * r.RPS * r.Elapsed
		busy += r.Generator.Busy * r.Elapsed
		runnable += r.Generator.Runnable * r.Elapsed
		m.Generator.Queued += r.Generator.Queued
		if r.Generator.LagUS != nil {
			if m.Generator.LagUS == nil {
				m.Generator.LagUS = new(Quantiles)
			}
			m.Generator.LagUS.worst(*r.Generator.LagUS)
		}
		if r.Generator.Saturated {
			saturated = append(saturated, r.Generator.Why)
		}
		if len(r.Examples) > 0 {
			all := maps.Clone(r.Examples)
			maps.Copy(all, m.Examples)
			m.Examples = all
		}
	}
	m.N = m.Hist.N()
	if m.Elapsed > 0 {
		m.RPS = completed / m.Elapsed
		m.Generator.Busy = busy / m.Elapsed
		m.Generator.Runnable = runnable / m.Elapsed
	}
	if completed > 0 {
		m.Generator.CPU = cpu / completed
	}
	m.summarise()
	if len(saturated) > 0 {
		m.Generator.Saturated, m.Generator.Why = true, saturated[0]
	}
	return m, nil
}

// DecodeResult reads a Result as Main wrote it.
func DecodeResult(r io.Reader) (*Result, error) {
	var res Result
	if err := json.NewDecoder(r).Decode(&res); err != nil {
		return nil, fmt.Errorf("load: result of the child process: %w", err)
	}
	if res.Schema != Schema {
		return nil, fmt.Errorf("load: result of the child process has schema %q, want %q", res.Schema, Schema)
	}
	if res.Hist == nil {
		return nil, errors.New("load: result of the child process has no histogram")
	}
	return &res, nil
}
