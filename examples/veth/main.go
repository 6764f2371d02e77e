// Command veth puts the NIC between two veth pairs and lets two network
// namespaces talk through it: what `meshnic attach` does, as a program.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/internal/spawn"
	"github.com/meshnic/meshnic/nic"
)

func main() {
	spawn.Dispatch() // programs in namespaces are started by way of this binary
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, attach.Auto); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, mode attach.Mode) (err error) {
	// Two namespaces, and a veth pair from each to a third, where the NIC is.
	l, err := lab.Up(ctx, lab.Spec{Name: "veth_example", Fabric: lab.Ports, Hosts: []lab.Host{{Name: "blue"}, {Name: "green"}}})
	if err != nil {
		return err
	}
	defer func() {
		if e := l.Down(); err == nil {
			err = e
		}
	}()
	var specs []attach.PortSpec
	for _, p := range l.SwitchPorts() {
		specs = append(specs, attach.PortSpec{Name: p.Host, Iface: p.IfName, NS: p.NSPath})
	}
	log := func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
	set, err := attach.Open(specs, attach.Options{Mode: mode, Log: log})
	if err != nil {
		return err
	}
	defer func() {
		if e := set.Close(); err == nil {
			err = e
		}
	}()

	n, err := nic.New(nic.DefaultConfig(), []nic.Port{{Name: "blue", Link: set.Links[0]}, {Name: "green", Link: set.Links[1]}})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(running, nic.RunOptions{}) }()
	took, err := exchange(l)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return err
	}
	s := n.Counters() // after the end the model has counted every frame
	fmt.Fprintf(w, "blue asked green over TCP in %v (wall); the NIC forwarded %d frames, %.0f ns each on the card (model), mode %s\n",
		took.Round(time.Microsecond), s.Counters["forwarded"], s.ModelNS.P50, set.Mode)
	return nil
}
