package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/report"
	"github.com/meshnic/meshnic/internal/failure"
)

func newReport() *cobra.Command {
	var figure string
	cmd := &cobra.Command{
		Use:   "report RUN",
		Short: "Write report.html anew from a run folder's documents",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := writeReport(args[0]); err != nil {
				return err
			}
			if figure != "" {
				if err := writeFigure(args[0], figure); err != nil {
					return err
				}
			}
			fmt.Fprintln(cmd.OutOrStdout(), filepath.Join(args[0], "report.html"))
			return nil
		},
	}
	cmd.Flags().StringVar(&figure, "figure", "", "also write the paper's figure as an SVG file of this name")
	return cmd
}

func newCompare() *cobra.Command {
	var limit float64
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Compare two documents of the same experiment; exit 7 if a system got slower",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit <= 0 {
				return failure.Usagef("--limit %g: want a ratio above 0", limit)
			}
			return compareFiles(cmd.OutOrStdout(), args[0], args[1], limit)
		},
	}
	cmd.Flags().Float64Var(&limit, "limit", 1.2, "largest allowed new over old, of each system's ratio to the baseline (p90)")
	return cmd
}

// writeFigure writes the paper's figure from a run folder's bookinfo document.
func writeFigure(dir, file string) error {
	run, err := report.Load(dir)
	if err != nil {
		return err
	}
	for _, d := range run.Documents {
		if d.Experiment != "bookinfo" {
			continue
		}
		f, err := os.Create(file)
		if err != nil {
			return failure.Wrap(failure.Usage, err, "write the figure", "name a file that can be written")
		}
		return errors.Join(report.PaperFigureSVG(f, d, report.Auto), f.Close())
	}
	return failure.New(failure.BadFile, "read run folder "+dir, "it has no bookinfo*.json", "meshnic bench bookinfo")
}
