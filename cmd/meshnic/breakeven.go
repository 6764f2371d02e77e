package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/breakeven"
	"github.com/meshnic/meshnic/bench/report"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

func newBreakEven() *cobra.Command {
	var against, pipe, dir string
	cmd := &cobra.Command{
		Use:   "break-even HOP.json",
		Short: "Where the proxy on the card loses against one on the host: the model against a run's figures",
		Long: `break-even makes it harder and harder for a proxy on the card: short connections, heads in many
segments, bodies in tiny ones, slow clocks, far memory, slow scanners, requests that are left to the host. The card's time
of a request is the model's; what the host's proxy adds is taken from a run's hop document.

  meshnic break-even runs/20260102-030405/hop.json --against envoy`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			doc, err := report.ReadFile(args[0])
			if err != nil {
				return err
			}
			host, err := breakeven.Read(doc, against)
			if err != nil {
				return err
			}
			d, _, err := readPipeline(pipe, cmd.InOrStdin())
			if err != nil {
				return err
			}
			rows, err := breakeven.Rows(d, host)
			if err != nil {
				return failure.Wrap(failure.Usage, err, "pipeline "+pipe, "--pipeline "+nic.OffloadPipeline)
			}
			if dir == "" {
				dir = filepath.Dir(args[0])
			}
			file := filepath.Join(dir, "break-even.html")
			f, err := os.Create(file)
			if err != nil {
				return failure.Wrap(failure.Usage, err, "write "+file, "--dir a folder that can be written to")
			}
			if err := errors.Join(report.SheetHTML(f, breakEvenSheet(d.Name, host, rows)), f.Close()); err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', tabwriter.AlignRight)
			fmt.Fprintln(w, "what makes it hard\tat\tmodel_ns per request\tratio (projected)\t\t")
			for _, r := range rows {
				fmt.Fprintf(w, "%s\t%g\t%.1f\t%.4f\t%s\t\n", r.Axis, r.At, r.ModelNS, r.Ratio, loses(r))
			}
			if err := w.Flush(); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), file)
			return nil
		},
	}
	cmd.Flags().StringVar(&against, "against", "envoy", "the host's proxy, by its name in the document")
	cmd.Flags().StringVar(&pipe, "pipeline", nic.OffloadPipeline, "the card: a built-in pipeline, or a YAML file with stages of the same names")
	cmd.Flags().StringVar(&dir, "dir", "", "folder for break-even.html (default: the document's)")
	return cmd
}

func loses(r breakeven.Row) string {
	if r.Loses() {
		return "the host is faster"
	}
	return ""
}

// breakEvenSheet is chart and table on a page.
func breakEvenSheet(pipe string, h breakeven.Host, rows []breakeven.Row) report.Sheet {
	s := report.Sheet{
		Title: "Break-even of " + pipe + " and " + h.System,
		Lede: fmt.Sprintf("model_ns of a request on the card, over the %.1f us of wall time that %s was measured to add on this run's host (it carried up to %.0f requests/s there). "+
			"The ratio is projected: derived from both, measured by nobody. At 1 and above the host's proxy is faster.", h.AddedUS, h.System, h.RPS),
		Caption: "One panel for each thing that makes it hard for the card; all else is as usual: many requests a connection, heads in one segment. " +
			"A request that is left to the host costs what the host's proxy adds, and its way through the card.",
		Tables: []report.SheetTable{{
			Caption: "All points",
			Columns: []report.SheetColumn{{Name: "what makes it hard", Left: true}, {Name: "at"}, {Unit: "model", Name: "ns per request"}, {Unit: "projected", Name: "ratio"}, {Name: "", Left: true}},
		}},
	}
	chart := report.Scatter{Label: s.Title, X: "the panel's title", Y: "ratio to what the host's proxy adds (projected)", Says: [3]string{"", "the card is faster", "the host's proxy is"}}
	for _, r := range rows {
		if n := len(chart.Panels); n == 0 || chart.Panels[n-1].Title != r.Axis {
			chart.Panels = append(chart.Panels, report.ScatterPanel{Title: r.Axis})
		}
		p := &chart.Panels[len(chart.Panels)-1]
		p.Dots = append(p.Dots, report.ScatterDot{X: r.At, Y: r.Ratio, XLow: r.At, Open: r.Loses(), Tip: fmt.Sprintf("%g: %.1f ns, ratio %.4f", r.At, r.ModelNS, r.Ratio)})
		s.Tables[0].Rows = append(s.Tables[0].Rows, []string{r.Axis, strconv.FormatFloat(r.At, 'g', -1, 64), fmt.Sprintf("%.1f", r.ModelNS), fmt.Sprintf("%.4f", r.Ratio), loses(r)})
	}
	s.Figure = chart
	return s
}
