package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/meshnic/meshnic/bench/replay"
	"github.com/meshnic/meshnic/datapath/trace"
)

func printReplay(out io.Writer, r *replay.Result, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "csv":
		w := csv.NewWriter(out)
		w.Write([]string{"field", "value"})
		w.WriteAll(r.Rows())
		return w.Error()
	}
	return replayTable(out, r)
}

// replayTable is the summary as text.
func replayTable(out io.Writer, r *replay.Result) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	program := r.Program
	if program == "" {
		program = "none"
	}
	fmt.Fprintf(w, "pipeline\t%s, engine %s, program %s\n", r.Pipeline, r.Engine, program)
	fmt.Fprintf(w, "capture\t%s: %s, %d records, %d frames\n", r.File, r.Format, r.Capture.Records, r.Capture.Frames)
	if odd := r.Capture.Odd(); len(odd) > 0 {
		var words []string
		for _, row := range odd {
			words = append(words, row[1]+" "+row[0])
		}
		fmt.Fprintf(w, "\t%s\n", strings.Join(words, ", "))
	}
	for _, l := range []struct {
		name string
		replay.Load
	}{{"offered", r.Offered}, {"carried", r.Carried}} {
		fmt.Fprintf(w, "%s\t%d frames, %d bytes", l.name, l.Frames, l.Bytes)
		if l.BitsPerS != nil {
			fmt.Fprintf(w, ", %s to %s ns\t%s bit/s\t%s frames/s", l.FirstNs, l.LastNs, rate(*l.BitsPerS), rate(*l.FramesPerS))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "dropped\t%d frames\n", r.Dropped)
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	const spread = "min_ns\tp50_ns\tp90_ns\tp99_ns\tp99.9_ns\tmax_ns\tmean_ns"
	fmt.Fprintf(w, "\nstage\tframes\t%s\tmax_occupancy_bytes\tdropped\t\n", spread)
	for _, s := range r.Stages {
		peak := "-"
		if s.Peak != nil {
			peak = strconv.Itoa(*s.Peak)
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%d\t\n", s.Stage, s.Frames, spreadRow(s.Latency), peak, s.Dropped)
	}
	fmt.Fprintf(w, "latency\t%d\t%s\t-\t-\t\n", r.Carried.Frames, spreadRow(r.Latency))
	if r.Wait != nil && r.Wait.MaxNs > 0 {
		fmt.Fprintf(w, "wait before it\t%d\t%s\t-\t-\t\n", r.Carried.Frames, spreadRow(r.Wait))
	}
	if len(r.Ports) > 1 {
		fmt.Fprint(w, "\nport\tin_frames\tin_bytes\tout_frames\tout_bytes\t\n")
		for _, p := range r.Ports {
			fmt.Fprintf(w, "%d %s\t%d\t%d\t%d\t%d\t\n", p.Port, p.Name, p.In, p.InBytes, p.Out, p.OutBytes)
		}
	}
	if len(r.Drops) > 0 {
		fmt.Fprint(w, "\ndropped by\treason\tframes\tfirst_id\t\n")
		for _, d := range r.Drops {
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t\n", d.Stage, d.Reason, d.Frames, d.First)
		}
	}
	return w.Flush()
}

func spreadRow(s *replay.Spread) string {
	if s == nil {
		return strings.Repeat("-\t", 6) + "-"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%.3f", s.MinNs, s.P50Ns, s.P90Ns, s.P99Ns, s.P999Ns, s.MaxNs, s.MeanNs)
}

// rate is a whole number, or has three digits.
func rate(v float64) string {
	if v < 100 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// framesTable is trace.FramesCSV as text.
func framesTable(to io.Writer) (see func(*trace.Frame), end func() error) {
	w := tabwriter.NewWriter(to, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "id\tbytes\tin_ns\tout_ns\tfirst_latency_ns\tlast_latency_ns\tin_stall_cycles\twhat\t")
	ns := func(n *trace.Nanos) string {
		if n == nil {
			return "-"
		}
		return n.String()
	}
	rows := 0
	return func(f *trace.Frame) {
		what := "passed"
		switch {
		case f.Drop != "":
			what = f.DropStage + ": " + f.Drop
		case f.UnderWay:
			what = "under way"
		}
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\t%d\t%s\t\n", f.ID, f.Bytes, ns(f.InNs), ns(f.OutNs), ns(f.FirstNs), ns(f.LastNs), f.InWaitCycles, what)
		if rows++; rows%4096 == 0 { // or it holds all
			w.Flush()
		}
	}, w.Flush
}

var waterfallHTML = template.Must(template.New("waterfall").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.Pipeline}}: where the time of a frame goes</title>
<style>body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",Arial,sans-serif;color:#1b2128;background:#fff;margin:2rem auto;max-width:60rem;padding:0 1rem}
h1{font-size:1.4rem}svg{max-width:100%;height:auto}pre{overflow-x:auto;font-size:12px}</style></head><body>
<h1>Where the time of a frame goes: {{.Pipeline}}</h1>
<p>{{.File}}: {{.Frames}} frames that left the card, engine {{.Engine}}. Model time: cycles of the card, not of this computer.
The stages and the remainder add up to the total. id is the number of the record in the capture.</p>
{{.SVG}}
<pre>{{.Table}}</pre>
</body></html>
`))

// waterfallPage is drawing and table on one page, which fetches nothing.
func waterfallPage(w io.Writer, r *replay.Result) error {
	var svg, table strings.Builder
	if err := r.Waterfall.SVG(&svg); err != nil {
		return err
	}
	if err := r.Waterfall.Table(&table); err != nil {
		return err
	}
	return waterfallHTML.Execute(w, struct {
		Pipeline, File, Engine string
		Frames                 uint64
		SVG                    template.HTML // ours, with all names escaped
		Table                  string
	}{r.Pipeline, r.File, r.Engine, r.Waterfall.Frames, template.HTML(svg.String()), table.String()})
}
