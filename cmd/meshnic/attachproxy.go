package main

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
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
	fallback, err := parseFallback(f.fallback)
	if err != nil {
		return nil, err
	}
	mtu := 0
	for _, l := range set.Links {
		if mtu == 0 || l.MTU() < mtu {
			mtu = l.MTU()
		}
	}
	hostname, _ := os.Hostname()
	return offload.New(offload.Config{
		Mesh: boot, Conns: proxyConns, Ports: len(set.Links), MTU: mtu,
		Clock: sim.Clock{Hz: nic.CoreHz}, Epoch: time.Now(), Seed: f.seed, Fallback: fallback, Hostname: hostname,
	})
}

// parseFallback reads ADDR[,PORT=ADDR:PORT...].
func parseFallback(s string) (f offload.Fallback, err error) {
	if s == "" {
		return f, nil
	}
	addr, ports, _ := strings.Cut(s, ",")
	if f.Addr, err = netip.ParseAddr(addr); err != nil {
		return f, failure.Usagef("--fallback %q: want the host sidecar's address, for example 10.0.0.5 or 10.0.0.5,8443=10.0.0.5:18443", s)
	}
	f.Ports = map[uint16]netip.AddrPort{}
	for ports != "" {
		var one string
		one, ports, _ = strings.Cut(ports, ",")
		from, to, _ := strings.Cut(one, "=")
		port, err := strconv.ParseUint(from, 10, 16)
		at, err2 := netip.ParseAddrPort(to)
		if err != nil || err2 != nil {
			return f, failure.Usagef("--fallback: %q: want PORT=ADDR:PORT, for example 8443=10.0.0.5:18443", one)
		}
		f.Ports[uint16(port)] = at
	}
	return f, nil
}
