package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic/control"
	"github.com/meshnic/meshnic/nic/offload"
)

// explanation is what meshnic explain says.
type explanation struct {
	Schema    string            `json:"schema"`
	Parts     []offload.Part    `json:"parts,omitempty"`
	Fallbacks map[string]uint64 `json:"fallbacks,omitempty"` // connections by reason, of a running NIC
	Flow      string            `json:"flow,omitempty"`
}

func newExplain() *cobra.Command {
	var config, socket, flow, output string
	cmd := &cobra.Command{
		Use:   "explain --config FILE [--control SOCK [--flow CLIENT:PORT]]",
		Short: "Say what the NIC's proxy carries, and what falls back to the host sidecar",
		Long: `explain says of each listener, route and cluster of an Envoy bootstrap file whether the NIC's
proxy (meshnic attach --program offload) carries it, or why it falls back to a host sidecar
(--fallback of attach). Of a running NIC it says how often that happened, by reason, and of
a client's connection where that is.

  meshnic explain --config bootstrap.yaml
  meshnic explain --config bootstrap.yaml --control nic.sock --flow 10.0.0.2:40312`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("output", output, "table", "json"); err != nil {
				return err
			}
			if config == "" && socket == "" {
				return failure.Usagef("explain: name a bootstrap file (--config) or the control socket of a running NIC (--control)")
			}
			e := explanation{Schema: "meshnic.explain/1"}
			if config != "" {
				cfg, err := readBootstrap(config)
				if err != nil {
					return err
				}
				if e.Parts, err = offload.Explain(cfg); err != nil {
					return err
				}
			}
			if err := e.ask(cmd, socket, flow); err != nil {
				return err
			}
			return e.print(cmd, output)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&config, "config", "", "an Envoy bootstrap file")
	fl.StringVar(&socket, "control", "", "control socket of a running NIC (meshnic attach --control)")
	fl.StringVar(&flow, "flow", "", "a client's connection, by its address and port; needs --control")
	fl.StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// ask adds what a running NIC says.
func (e *explanation) ask(cmd *cobra.Command, socket, flow string) error {
	if socket == "" {
		if flow != "" {
			return failure.Usagef("explain: --flow needs the control socket of a running NIC: --control SOCK")
		}
		return nil
	}
	s, err := control.Get(cmd.Context(), socket)
	if err != nil {
		return failure.Wrap(failure.Usage, err, "ask the NIC at "+socket, "name the socket of a NIC that runs, as given to attach --control")
	}
	e.Fallbacks = map[string]uint64{}
	for name, v := range s.Counters {
		if r, ok := strings.CutPrefix(name, "proxy.fallback."); ok {
			e.Fallbacks[r] = v
		}
	}
	if flow == "" {
		return nil
	}
	client, err := netip.ParseAddrPort(flow)
	if err != nil {
		return failure.Usagef("explain: --flow %q: want a client's address and port, for example 10.0.0.2:40312", flow)
	}
	e.Flow, err = control.Flow(cmd.Context(), socket, client)
	return err
}

func (e *explanation) print(cmd *cobra.Command, output string) error {
	w := cmd.OutOrStdout()
	if output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(e)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, p := range e.Parts {
		if p.Reason != "" {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s: %s\n", p.Kind, p.Name, p.Where, p.Reason, p.Why)
		} else {
			fmt.Fprintf(tw, "%s\t%s\t%s\t\n", p.Kind, p.Name, p.Where)
		}
	}
	if e.Fallbacks != nil {
		fmt.Fprintln(tw, "\nfell back\tconnections")
		for _, r := range sortedKeys(e.Fallbacks) {
			fmt.Fprintf(tw, "%s\t%d\n", r, e.Fallbacks[r])
		}
		if len(e.Fallbacks) == 0 {
			fmt.Fprintln(tw, "nothing\t0")
		}
	}
	if err := tw.Flush(); err != nil || e.Flow == "" {
		return err
	}
	_, err := fmt.Fprintln(w, "\n"+e.Flow)
	return err
}
