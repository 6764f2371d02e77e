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
	"github.com/meshnic/meshnic/proxy/mesh"
)

// proxyConns is how many connections the NIC's proxy has room for: 100,000 flows
// and their servers' connections.
const proxyConns = 1 << 18

// hostSource is where the proxy's connections to the container that it is in front of
// come from: of link-local addresses (RFC 3927), one that nobody is known to use.
var hostSource = netip.AddrFrom4([4]byte{169, 254, 110, 105})

// newProxy makes the proxy of program offload for the ports of set, in front of host if
// that is valid.
func newProxy(f attachFlags, set *attach.Set, host netip.Addr) (*offload.Offload, nic.Origin, error) {
	mtu := 0
	for _, l := range set.Links {
		if mtu == 0 || l.MTU() < mtu {
			mtu = l.MTU()
		}
	}
	boot, err := f.bootstrap(host)
	if err != nil {
		return nil, nic.Origin{}, err
	}
	o := nic.Origin{Seed: f.seed, MTU: mtu, Conns: proxyConns, Ports: len(set.Links), Start: time.Now(), Before: host}
	p, err := proxyOf(boot, f.fallback, o)
	return p, o, err
}

// bootstrap reads --config, for a NIC in front of host if that is valid. Of many NICs,
// none can have the file's admin address.
func (f *attachFlags) bootstrap(host netip.Addr) (mesh.Config, error) {
	boot, err := readBefore(f.config, host)
	if f.to.label != "" {
		boot.Admin = ""
	}
	return boot, err
}

// readBefore reads an Envoy bootstrap file, for a NIC in front of host if that is
// valid.
func readBefore(file string, host netip.Addr) (mesh.Config, error) {
	boot, err := readBootstrap(file)
	if err == nil && host.IsValid() {
		boot = offload.Before(boot, host)
	}
	return boot, err
}

// proxyOf makes the proxy of a configuration.
func proxyOf(boot mesh.Config, beside string, o nic.Origin) (*offload.Offload, error) {
	fallback, err := parseFallback(beside)
	if err != nil {
		return nil, err
	}
	var source netip.Addr
	if o.Before.IsValid() {
		source = hostSource
	}
	hostname, _ := os.Hostname()
	return offload.New(offload.Config{
		Mesh: boot, Source: source, Conns: o.Conns, Ports: o.Ports, MTU: o.MTU,
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

// administer serves the admin of n's proxy, and has it read its file again on SIGHUP, until
// stop is called, which must be while n runs.
func administer(ctx context.Context, n *nic.NIC, o *offload.Offload, file string, read func() (mesh.Config, error), log func(string, ...any)) (a *offload.Admin, stop func(), err error) {
	do := func(f func()) error { return n.Do(ctx, func(*nic.NIC) { f() }) }
	if a, err = offload.NewAdmin(o, do, logWriter{log}); err != nil {
		return nil, nil, err
	}
	a.Start()
	hup := reloadOnHangup(a, file, read, logWriter{log})
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
