package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

func newCheck() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Say of each item of an Envoy bootstrap file who would carry it",
		Long: `check reads an Envoy bootstrap file (v3, YAML or JSON) and says of each item, with its line
and column, what would become of it, and why:

  host      the host sidecar carries it
  nic       the host sidecar carries it, and it needs no payload: by design a NIC can carry it
            too; attach --program offload does not carry all of it yet
  ignored   it changes nothing that the sidecar does
  refused   the sidecar does not run with it; the exit code is then 3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("output", output, "table", "json"); err != nil {
				return err
			}
			b, err := bootstrapText(args[0])
			if err != nil {
				return err
			}
			items := envoyconf.Check(b, args[0])
			refused := 0
			for _, i := range items {
				if i.Verdict == envoyconf.Refused {
					refused++
				}
			}
			w := cmd.OutOrStdout()
			if output == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				err = enc.Encode(struct {
					Schema string           `json:"schema"`
					File   string           `json:"file"`
					Items  []envoyconf.Item `json:"items"`
				}{"meshnic.check/1", args[0], items})
			} else {
				tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
				for _, i := range items {
					path := i.Path
					if path == "" {
						path = "the file"
					}
					fmt.Fprintf(tw, "%s:%d:%d:\t%s\t%s: %s\n", args[0], i.Line, i.Column, i.Verdict, path, i.Why)
				}
				err = tw.Flush()
			}
			if err == nil && refused > 0 {
				err = failure.New(failure.BadFile, "check "+args[0], fmt.Sprintf("%d of %d items are refused", refused, len(items)),
					"take the named items out of the file, or correct them")
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}
