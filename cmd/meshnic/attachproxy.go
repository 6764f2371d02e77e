package main

import (
	"context"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

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
func newProxy(f attachFlags, set *attach.Set) (*offload.Offload, nic.Origin, error) {
	if f.config == "" {
		return nil, nic.Origin{}, failure.Usagef("attach: --program offload needs the proxy's configuration: --config FILE, an Envoy bootstrap")
	}
	mtu := 0
	for _, l := range set.Links {
		if mtu == 0 || l.MTU() < mtu {
			mtu = l.MTU()
		}
	}
	o := nic.Origin{Seed: f.seed, MTU: mtu, Conns: proxyConns, Ports: len(set.Links), Start: time.Now()}
	p, err := proxyOf(f.config, f.fallback, o)
	return p, o, err
}

// proxyOf makes the proxy of a file's configuration.
func proxyOf(config, beside string, o nic.Origin) (*offload.Offload, error) {
	boot, err := readBootstrap(config)
	if err != nil {
		return nil, err
	}
	fallback, err := parseFallback(beside)
	if err != nil {
		return nil, err
	}
	hostname, _ := os.Hostname()
	return offload.New(offload.Config{
		Mesh: boot, Conns: o.Conns, Ports: o.Ports, MTU: o.MTU,
		Clock: sim.Clock{Hz: nic.CoreHz}, Epoch: o.Start, Seed: o.Seed, Fallback: fallback, Hostname: hostname,
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

// administer serves the admin of n's proxy, and reads its file again on SIGHUP, until
// stop is called, which must be while n runs.
func administer(ctx context.Context, n *nic.NIC, o *offload.Offload, file string, log func(string, ...any)) (a *offload.Admin, stop func(), err error) {
	do := func(f func()) error { return n.Do(ctx, func(*nic.NIC) { f() }) }
	if a, err = offload.NewAdmin(o, do, logWriter{log}); err != nil {
		return nil, nil, err
	}
	a.Start()
	hup := reloadOnHangup(a, file, logWriter{log})
	return a, func() {
		hup()
		a.Close()
	}, nil
}

// logWriter has whole lines written to a log.
type logWriter struct{ log func(string, ...any) }

func (w logWriter) Write(b []byte) (int, error) {
	w.log("%s", strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}
