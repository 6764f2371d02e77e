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
	var threshold float64
	cmd := &cobra.Command{
		Use:   "compare OLD NEW",
		Short: "Compare two documents of the same experiment; exit 7 if a system got slower",
		Long: `compare sets two documents of one experiment side by side. It compares each system's P90
ratio to the experiment's baseline, so that a slower machine cancels out.

  meshnic compare runs/a/hop.json runs/b/hop.json --threshold 0.1`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := report.ReadFile(args[0])
			if err != nil {
				return err
			}
			after, err := report.ReadFile(args[1])
			if err != nil {
				return err
			}
			c, err := report.Compare(before, after, threshold)
			if err != nil {
				return err
			}
			if err := c.Write(cmd.OutOrStdout()); err != nil {
				return err
			}
			return c.Err()
		},
	}
	cmd.Flags().Float64Var(&threshold, "threshold", 0.2, "how much a ratio may rise: 0.1 is a tenth")
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
