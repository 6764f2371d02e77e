package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/failure"
)

func newLab() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "Networks of namespaces for experiments: make, look at, remove",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return failure.New(failure.Usage, "lab needs a verb", "", "meshnic lab --help")
		},
	}
	var force bool
	down := &cobra.Command{
		Use: "down NAME", Short: "Remove a lab, whoever made it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			found, err := lab.Down(args[0], force, attach.UndoHandlers())
			if err == nil && !found {
				_, err = lab.Inspect(args[0])
			}
			return err
		},
	}
	down.Flags().BoolVar(&force, "force", false, "also from a live owner")
	up := &cobra.Command{
		Use: "up FILE", Short: "Make the lab that a YAML or JSON file describes", Args: cobra.ExactArgs(1),
		Long: `up makes a lab, all of it or nothing, and leaves it to be used; lab down removes it.

  name: two
  fabric: bridge            # direct, bridge, ports (for attach), taps or kubernetes
  hosts:
  - name: client
  - name: server
    hosts: {www: 10.77.1.11}

In one of fabric kubernetes the hosts are the pods of a node, and there are services, which have
addresses and names: kube-proxy's nftables rules, and a name server that goes with the lab.

  nodes: 2                  # joined by VXLAN; hosts say "node: 2", or are placed in turns
  services:
  - {name: web, ports: [{port: 80, target: 8000}], pods: [server]}

A pod with "nic: true" reaches its node only through the NIC that you attach to the ports p-node and
p-POD of namespace mnic-NAME-nic.

Run programs in it with: meshnic lab exec two client curl http://server:8000/`,
		RunE: labUp,
	}
	plan := &cobra.Command{
		Use: "plan FILE", Short: "Print what up would make, as commands", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := readSpec(args[0])
			if err != nil {
				return err
			}
			text, err := lab.Plan(spec)
			fmt.Fprint(cmd.OutOrStdout(), text)
			return err
		},
	}
	var output string
	inspect := &cobra.Command{
		Use: "inspect [NAME]", Short: "Show the labs on this host, or one in full", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return labInspect(cmd.OutOrStdout(), args, output) },
	}
	inspect.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	run := &cobra.Command{
		Use: "exec NAME HOST COMMAND [ARG]...", Short: "Run a program in a host of a lab, with the host's names", Args: cobra.MinimumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			code, err := lab.Exec(args[0], args[1], args[2:])
			if err == nil && code != 0 {
				return exitStatus(code)
			}
			return err
		},
	}
	run.Flags().SetInterspersed(false) // the flags after HOST are the program's
	cmd.AddCommand(up, down, plan, inspect, run)
	return cmd
}

func readSpec(file string) (lab.Spec, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return lab.Spec{}, failure.Wrap(failure.BadFile, err, "read lab description "+file, "meshnic lab up --help shows one")
	}
	return lab.Parse(b, file)
}

func labUp(cmd *cobra.Command, args []string) error {
	outliveReader()
	spec, err := readSpec(args[0])
	if err != nil {
		return err
	}
	l, err := lab.Up(cmd.Context(), spec)
	if err != nil {
		return err
	}
	if spec.Fabric == lab.Kubernetes {
		exe, err := os.Executable()
		if err == nil {
			_, err = l.StartDNS(lab.Cmd{Path: exe, Args: []string{"dns"}}, true)
		}
		if err != nil {
			return errors.Join(err, l.Down())
		}
	}
	for _, h := range l.Spec().Hosts {
		fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", netns.Name(spec.Name, h.Name), h.IP)
	}
	for _, v := range l.Spec().Services {
		fmt.Fprintf(cmd.OutOrStdout(), "%s.%s\t%s\n", v.Name, v.Namespace, v.IP)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "to remove it: meshnic lab down %s\n", spec.Name)
	return l.Leave()
}

func labInspect(w io.Writer, args []string, output string) error {
	if err := oneOf("output", output, "table", "json"); err != nil {
		return err
	}
	var infos []lab.Info
	var err error
	if len(args) == 0 {
		infos, err = lab.List()
	} else {
		var one *lab.Info
		if one, err = lab.Inspect(args[0]); one != nil {
			infos = append(infos, *one)
		}
	}
	if err != nil {
		return err
	}
	if output == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(infos)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "lab\towner_pid\talive\tnamespaces\tprocesses\tmade")
	for _, i := range infos {
		fmt.Fprintf(tw, "%s\t%d\t%t\t%d\t%d\t%s\n", i.Name, i.Owner, i.Alive, len(i.Namespaces), len(i.Processes), i.Made)
	}
	if err := tw.Flush(); err != nil || len(args) == 0 {
		return err
	}
	for _, i := range infos {
		fmt.Fprintf(w, "\n%s\n", strings.Join(i.Steps, "\n"))
		for _, p := range i.Processes {
			fmt.Fprintf(w, "%+v\n", p)
		}
	}
	return nil
}

func newClean() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use:   "clean",
		Short: "Remove what dead runs left on this host, and restore the settings they changed",
		Long: `clean removes every lab whose owner is dead, restores every setting that a dead attach
changed, and leaves alone what a live process uses. It may be repeated.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			removed, err := lab.Clean(force, attach.UndoHandlers())
			for _, name := range removed {
				fmt.Fprintln(cmd.OutOrStdout(), "removed", name)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "also labs of live owners, and settings that cannot be restored are given up")
	return cmd
}
