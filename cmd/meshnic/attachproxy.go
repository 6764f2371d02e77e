package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/nic/offload"
)

// proxyConns is how many connections the NIC's proxy has room for: 100,000 flows
// and their servers' connections.
const proxyConns = 1 << 18

// newProxy makes the proxy of program offload for the ports of set.
func newProxy(cmd *cobra.Command, f attachFlags, set *attach.Set) (nic.Proxy, error) {
	if f.config == "" {
		return nil, failure.Usagef("attach: --program offload needs the proxy's configuration: --config FILE, an Envoy bootstrap")
	}
	boot, err := readBootstrap(f.config)
	if err != nil {
		return nil, err
	}
	mtu := 0
	for _, l := range set.Links {
		if mtu == 0 || l.MTU() < mtu {
			mtu = l.MTU()
		}
	}
	return offload.New(offload.Config{
		Mesh: boot, Conns: proxyConns, Ports: len(set.Links), MTU: mtu,
		Clock: sim.Clock{Hz: nic.CoreHz}, Epoch: time.Now(), Seed: f.seed,
	})
}
