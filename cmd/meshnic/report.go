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
	var figure, dir, chart string
	var merge bool
	cmd := &cobra.Command{
		Use:   "report RUN | --merge SWEEP...",
		Short: "Write report.html anew from a run folder's documents; merge the shards of a sweep",
		Long: `report writes report.html anew from the documents of a run folder.

With --merge it puts the points of a sweep's shards (folders, or points.jsonl files) into one
folder with table, chart and page, and prints its name last. It refuses shards of different
plans or versions; if points are missing it says which, writes what is there, and exits with 7.

  meshnic report runs/20260102-030405
  meshnic report --merge runs/sweep-*-of-16 --dir runs/all`,
		Args: func(cmd *cobra.Command, args []string) error {
			if merge {
				return cobra.MinimumNArgs(1)(cmd, args)
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if merge && figure != "" {
				return failure.New(failure.Usage, "--merge with --figure", "--figure is of a run folder", "leave --figure away: the merge writes pareto.svg")
			}
			if merge {
				return mergeSweeps(cmd, args, dir, chart)
			}
			if dir != "" || chart != "" {
				return failure.New(failure.Usage, "--dir and --chart", "are of --merge", "meshnic report --merge "+args[0])
			}
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
	cmd.Flags().BoolVar(&merge, "merge", false, "merge the shards of a sweep")
	cmd.Flags().StringVar(&dir, "dir", "", "with --merge: folder for the whole (default: runs/sweep-<plan>-merged)")
	cmd.Flags().StringVar(&chart, "chart", "", "with --merge: axes of the chart, Y:X, instead of the plan's")
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
