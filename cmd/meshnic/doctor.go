package main

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench"
	"github.com/meshnic/meshnic/hostif/probe"
)

func newDoctor() *cobra.Command {
	var output, envoy string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what this host can do, and what to do about the rest",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "table", "json"); err != nil {
				return err
			}
			findings := append(probe.Host(), bench.Programs(cmd.Context(), envoy)...)
			w := cmd.OutOrStdout()
			if output == "json" {
				enc := json.NewEncoder(w)
				enc.SetIndent("", "  ")
				return enc.Encode(struct {
					Schema   string          `json:"schema"`
					Findings []probe.Finding `json:"findings"`
				}{"meshnic.doctor/1", findings})
			}
			tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
			for _, f := range findings {
				state := "ok"
				if !f.OK {
					state = "no"
				}
				fmt.Fprintf(tw, "%s\t%s\tfor %s\n", state, f.Name, f.For)
				if f.Why != "" {
					fmt.Fprintf(tw, "\t\t%s\n", f.Why)
				}
				if f.Next != "" {
					fmt.Fprintf(tw, "\t\tnext: %s\n", f.Next)
				}
			}
			return tw.Flush()
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.Flags().StringVar(&envoy, "envoy", "", "the Envoy to look for")
	return cmd
}
