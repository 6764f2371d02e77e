package report

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/meshnic/meshnic/bench"
)

//go:embed report.tmpl
var pageTemplate string

//go:embed report.css
var pageCSS string

// HTML writes the report of a run as one file: style sheet and figures inline,
// no script, nothing fetched. The same run gives the same bytes.
func HTML(w io.Writer, run Run) error {
	t, err := template.New("report").Funcs(template.FuncMap{"group": group}).Parse(pageTemplate)
	if err != nil {
		return wrap("parse the built-in template", err)
	}
	return wrap("write HTML", t.Execute(w, newPage(run)))
}

// page is what the template shows.
type page struct {
	Title, Name string
	CSS         template.CSS
	Headline    *figure // the paper's figure with polyglot work
	Beside      []figure
	Paper       paperTable
	Verdicts    []Verdict
	Causes      *causesPage
	Sections    []section
	Model       []htmlTable
	Manifest    manifest
	Warnings    []string
	Requests    uint64
	Errors      uint64
}

// figure is a drawing with its caption.
type figure struct {
	SVG     template.HTML
	Caption string
}

// section is one document.
type section struct {
	ID, Title, About string
	Experiment       string
	Requests, Errors uint64
	Repeats          string
	Figures          []figure
	Tables           []htmlTable
	CDF              *figure
}

func newPage(run Run) page {
	p := page{Title: run.Title, Name: run.Name, Verdicts: Verdicts(run), Paper: newPaperTable(run), Manifest: newManifest(run)}
	p.Causes = newCausesPage(run)
	if p.Title == "" {
		p.Title = "meshnic bench"
	}
	// Ours, and free of anything a document says.
	p.CSS = template.CSS(themeCSS(":root", Auto) + chartCSS + slotCSS() + pageCSS)
	ids := map[string]int{}
	for _, d := range run.order() {
		v := newView(d)
		s := newSection(v, ids)
		p.Sections = append(p.Sections, s)
		p.Requests += s.Requests
		p.Errors += s.Errors
		if t, ok := v.modelTable(); ok {
			p.Model = append(p.Model, t)
		}
		for _, warning := range d.Warnings {
			p.Warnings = append(p.Warnings, label(d)+": "+warning)
		}
		if d.Experiment != "bookinfo" || len(v.rows) == 0 {
			continue
		}
		f := figure{draw(paperFigure(v), paperFigureLabel(v)), workCaption(d.Work)}
		if p.Headline == nil {
			p.Headline = &f
		} else {
			p.Beside = append(p.Beside, f)
		}
	}
	return p
}

func draw(c *canvas, label string) template.HTML {
	return template.HTML(c.svg(label)) // canvas escapes every text
}

func workCaption(work string) string {
	switch work {
	case "polyglot":
		return "Polyglot work: each service burns the CPU time that the original Python, Ruby, Java or Node service was measured to burn. This is the headline."
	case "native":
		return "Native work: the Go services burn nothing beyond their own code, so every proxy weighs more than it would beside real services."
	case "paper":
		return "Paper work: set so that without_envoy reaches the paper's 16.51 ms, at 1 connection."
	}
	return ""
}

func newSection(v *view, ids map[string]int) section {
	s := section{ID: slug(v.Document), Title: title(v.Document), About: about(v.Experiment), Experiment: v.Experiment, Repeats: repeats(v.Manifest.Repeats)}
	if ids[s.ID]++; ids[s.ID] > 1 {
		s.ID += "-" + fmtUint(uint64(ids[s.ID]))
	}
	s.Requests, s.Errors = v.totals()
	add := func(c *canvas, label, caption string) {
		if c != nil {
			s.Figures = append(s.Figures, figure{draw(c, label), caption})
		}
	}
	switch v.Experiment {
	case "hop":
		add(v.addedChart(), "Latency added by one hop, a bar a system, a panel a number of connections", "")
	case "curl", "link":
		add(v.pathChart(), "Latency of each path", "")
	}
	add(v.waterfallChart(), "Time of a request through a NIC: measured, and projected; a panel a number of connections", "")
	add(v.stageChart(), "Time of a request's frames at each stage of the card", v.stageCaption())
	add(v.cpuChart(), "Host CPU time a request, stacked by who spent it", "")
	s.Tables = v.tables()
	if c := v.cdfChart(); c != nil {
		s.CDF = &figure{SVG: draw(c, "Cumulative distributions of wall time, a panel a number of connections"),
			Caption: "Share of requests answered within a wall time, over all repeats together. Markers at p50, p90 and p99 of the curve; the tables have the median over the repeats."}
	}
	return s
}

func title(d bench.Document) string {
	switch d.Experiment {
	case "bookinfo":
		return "Bookinfo, " + d.Work + " work"
	case "hop":
		return "One and two hops in front of a small backend"
	case "curl":
		return "curl and python3 -m http.server"
	case "link":
		return "The bare path: TCP round trip and bulk throughput"
	}
	return label(d)
}

func about(experiment string) string {
	switch experiment {
	case "bookinfo":
		return "GET /productpage, closed loop. without_envoy calls reviews-v3 only, as in the paper; without_envoy_balanced chooses v1, v2 or v3 at random per connection and is the like-for-like baseline, because a third of balanced pages never call ratings."
	case "hop":
		return "One small static response behind one and two proxies or NICs of a kind. Two hops of nic_offload are two listeners of one NIC, one behind the other. gbit/s is of responses of 4 MiB, one after the other on one connection, with the cores free."
	case "curl":
		return "One curl process a request, as in the paper. Most of the time is starting the process; the link experiment resolves what this one cannot."
	case "link":
		return "One TCP connection without HTTP: ping-pong round trips, then a bulk stream."
	}
	return ""
}
