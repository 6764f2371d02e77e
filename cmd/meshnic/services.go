package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/examples/bookinfo"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
	"github.com/meshnic/meshnic/proxy/sidecar"
)

func newSidecar() *cobra.Command {
	var config string
	var concurrency int
	var drain, flush time.Duration
	cmd := &cobra.Command{
		Use:   "sidecar --config BOOTSTRAP",
		Short: "Run the host sidecar on an Envoy bootstrap file",
		Long: `sidecar reads an Envoy bootstrap file (v3, YAML or JSON), listens, routes and balances as
Envoy would, and drains when it is interrupted. What it does not carry of the file it refuses,
by its path in the file. On SIGHUP it reads the file again and changes over without dropping a
request; a file that it refuses then changes nothing. On SIGUSR1 it opens its access logs anew.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return failure.New(failure.Usage, "sidecar needs a bootstrap file", "", "meshnic sidecar --config envoy.yaml")
			}
			if concurrency < 0 {
				return failure.Usagef("--concurrency %d: want 0 (one a core) or more", concurrency)
			}
			if drain < 0 || flush < 0 {
				return failure.Usagef("--drain-time %v, --log-flush %v: must not be negative", drain, flush)
			}
			cfg, err := readBootstrap(config)
			if err != nil {
				return err
			}
			s, err := sidecar.New(cfg, sidecar.Options{Log: cmd.ErrOrStderr(), Concurrency: concurrency, DrainTime: drain, LogFlush: flush})
			if err != nil {
				return err
			}
			read := func() (mesh.Config, error) { return readBootstrap(config) }
			defer reloadOnHangup(s, config, read, cmd.ErrOrStderr())()
			defer reopenOnUser(s)()
			return s.Run(cmd.Context())
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "Envoy bootstrap file")
	cmd.Flags().IntVar(&concurrency, "concurrency", 0, "worker threads; 0 is one a core")
	cmd.Flags().DurationVar(&drain, "drain-time", mesh.DrainTime, "how long connections of listeners that are drained have to finish")
	cmd.Flags().DurationVar(&flush, "log-flush", 10*time.Second, "how long a line of an access log may wait to be written")
	return cmd
}

func newBookinfo() *cobra.Command {
	var listen, work string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "bookinfo SERVICE",
		Short: "Run one service of Bookinfo: productpage, details, ratings, reviews",
		Long: `bookinfo runs one of the four services. Everything but the address comes from the
environment, by the originals' variables. A version can be part of the name: reviews-v3.

  meshnic bookinfo productpage --listen :9080
  meshnic bookinfo ratings-v-faulty --listen :9080`,
		ValidArgs: bookinfo.Services(),
		Args:      cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w, err := bookinfo.ParseWork(work)
			if err != nil {
				return err
			}
			s, err := bookinfo.New(bookinfo.Options{Service: args[0], Listen: listen, Work: w, CallTimeout: wait, Getenv: os.Getenv, Log: cmd.ErrOrStderr()})
			if err != nil {
				return err
			}
			err = s.Run(cmd.Context())
			if errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		},
	}
	cmd.Flags().StringVar(&listen, "listen", bookinfo.DefaultListen, "address:port")
	cmd.Flags().StringVar(&work, "work", "native", "CPU burnt a request: native (none), polyglot (as measured on the original) or paper")
	cmd.Flags().DurationVar(&wait, "call-timeout", 0, "how long a call of another service may take to connect, and for each read; 0 is as with the originals: 3s in productpage, 10s (black stars) or 2.5s in reviews")
	cmd.SetUsageTemplate(cmd.UsageTemplate() + fmt.Sprintf("\nServices: %s\n", strings.Join(bookinfo.Services(), ", ")))
	return cmd
}
