package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/hostif/fault"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

func newSoak() *cobra.Command {
	var f benchFlags
	var connections int
	var system string
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "Run Bookinfo through the NIC for a long time, with faults; exit 7 if an answer was wrong or missing",
		Long: `soak asks for pages of Bookinfo through a NIC with faults on its ports. It ends with exit code
7 if one was wrong or missing, if the NIC left a connection to a host, or if its heap grew.

Services wait 30 s for each other, as the load does for a page; the originals wait 3 s in
productpage, 10 s or 2.5 s in reviews. What is asked is whether the NIC loses or garbles
anything: two SYNs lost in a row take 3 s with or without one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			outliveReader()
			if f.duration <= 0 || connections < 1 {
				return failure.Usagef("--duration and --connections must be above 0")
			}
			if err := oneOf("work", f.work, "polyglot", "native", "paper"); err != nil {
				return err
			}
			if err := oneOf("system", system, bench.SoakSystems()...); err != nil {
				return err
			}
			if _, err := fault.Parse(f.fault); err != nil {
				return err
			}
			if !netns.Privileged() {
				return reenter()
			}
			dir, err := runFolder(f.dir)
			if err != nil {
				return err
			}
			defer dropEmpty(dir)
			opt, err := f.options(cmd, dir)
			if err != nil {
				return err
			}
			opt.Repeats = 1
			r, err := bench.NewRun(cmd.Context(), opt)
			if err != nil {
				return err
			}
			res, soakErr := bench.Soak(cmd.Context(), r, system, connections, f.duration)
			if res.Schema != "" {
				b, err := json.MarshalIndent(res, "", "  ")
				if err != nil {
					return err
				}
				if err := os.WriteFile(filepath.Join(dir, "soak.json"), append(b, '\n'), 0o644); err != nil {
					return err
				}
				if err := bench.WriteRunManifest(dir, res.Manifest); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), string(b))
			}
			return soakErr
		},
	}
	fl := cmd.Flags()
	fl.DurationVar(&f.duration, "duration", 10*time.Minute, "how long")
	fl.StringVar(&system, "system", "nic_passthrough", strings.Join(bench.SoakSystems(), ", "))
	fl.IntVarP(&connections, "connections", "c", 8, "connections")
	fl.StringVar(&f.fault, "fault", "loss=1%,dup=1%,reorder=1%", "faults on every port of the NIC")
	fl.StringVar(&f.work, "work", "polyglot", "CPU burnt a request: polyglot, native or paper")
	fl.StringVar(&f.dir, "dir", "", "run folder (default: runs/<time>)")
	fl.Uint64Var(&f.seed, "seed", 1, "seed of the faults")
	return cmd
}
