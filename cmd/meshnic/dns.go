package main

import (
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/clusterdns"
	"github.com/meshnic/meshnic/internal/failure"
)

func newDNS() *cobra.Command {
	var zone, listen string
	cmd := &cobra.Command{
		Use:   "dns --zone FILE --listen ADDRESS:PORT",
		Short: "Run the name server of a lab's cluster",
		Long: `dns answers over UDP and TCP for the services in a JSON file, as a Kubernetes cluster's name
server does: SERVICE.NAMESPACE.svc.DOMAIN has an A record, what is not there NXDOMAIN. It has
nobody to ask for other names. lab up starts it in the node of a lab of fabric kubernetes.

  {"domain": "cluster.local", "services": [{"name": "reviews", "namespace": "default", "ip": "10.96.0.13"}]}`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			at, err := netip.ParseAddrPort(listen)
			if err != nil {
				return failure.Usagef("--listen %q: want ADDRESS:PORT", listen)
			}
			text, err := os.ReadFile(zone)
			if err != nil {
				return failure.Wrap(failure.BadFile, err, "read zone "+zone, "name a file with --zone; meshnic dns --help shows one")
			}
			z, err := clusterdns.ParseZone(text, zone)
			if err != nil {
				return err
			}
			return clusterdns.Serve(cmd.Context(), at, clusterdns.NewAnswerer(z))
		},
	}
	cmd.Flags().StringVar(&zone, "zone", "", "what there is to be answered, JSON")
	cmd.Flags().StringVar(&listen, "listen", "", "address:port")
	return cmd
}
