package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/load"
)

const (
	linkWindow  = 300 * time.Millisecond
	bulkWindow  = 1 * time.Second
	bulkRepeats = 2 // of the repeats, for bulk TCP: iperf3 takes at least a second
)

// Ports of the link experiment: the echo and the bulk server's own, and where
// haproxy listens in front of them.
const (
	echoPort  = 7000
	bulkPort  = 7001
	proxyStep = 10
)

// Link measures what a path costs a packet: the round trip of one byte over
// TCP with everything on one core, and, in a lab of its own, bulk TCP with the
// cores free.
func Link(ctx context.Context, r *Run) (Document, error) {
	s := &rigs{run: r}
	cells, err := linkCells(ctx, r, s)
	if err != nil {
		s.down()
		return Document{}, err
	}
	return s.finish(ctx, "link", Document{Experiment: "link"}, cells)
}

func linkCells(ctx context.Context, r *Run, s *rigs) ([]cell, error) {
	one, free := r.cores("link: round trip", "one"), r.cores("link: bulk", "any")
	paths := r.paths()
	if r.wanted("haproxy_tcp") {
		paths = append(paths, path{name: "haproxy_tcp", short: "haproxy", fabric: lab.Direct, hops: 1})
	}
	var cells []cell
	for _, p := range paths {
		program, absent := "", ""
		if p.short == "haproxy" {
			program, absent = r.program("haproxy")
		}
		c := cell{name: p.name, connections: 1, hops: p.hops, like: p.like(), absent: absent, unmodelled: p.unmodelled()}
		if absent == "" {
			var trip, bulk *rig
			var err error
			if trip, c.absent, err = s.upPath(ctx, "link", p, one, func(g *rig) error { return g.echo(program) }); err != nil {
				return nil, err
			}
			if bulk, _, err = s.upPath(ctx, "bulk", p, free, func(g *rig) error { return g.bulkServer(program) }); err != nil {
				return nil, err
			}
			c.measure = linkMeasure(trip, bulk, program != "")
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// echo starts the other end of the ping-pong, with haproxy in front of it if
// program is its path.
func (g *rig) echo(program string) error {
	cfg := load.EchoConfig{Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), echoPort)}
	if err := g.start(service, "server", "echo", cfg.Listen.String(), g.self(cfg, "__load", "echo")); err != nil {
		return err
	}
	return g.tcpProxy(program, echoPort)
}

// bulkServer starts the other end of the bulk transfer: iperf3, or our own sink
// where that is not installed.
func (g *rig) bulkServer(program string) error {
	cfg := load.SinkConfig{Listen: netip.AddrPortFrom(netip.IPv4Unspecified(), bulkPort)}
	cmd := g.self(cfg, "__load", "sink")
	if iperf, absent := g.run.program("iperf3"); absent == "" {
		cmd = lab.Cmd{Path: iperf, Args: []string{"-s", "-p", fmt.Sprint(bulkPort)}}
	}
	if err := g.start(service, "server", "bulk", cfg.Listen.String(), cmd); err != nil {
		return err
	}
	return g.tcpProxy(program, bulkPort)
}

// tcpProxy starts haproxy in TCP mode in front of a port, if program is its path.
func (g *rig) tcpProxy(program string, port int) error {
	if program == "" {
		return nil
	}
	listen := fmt.Sprintf("%s:%d", g.lab.IP("server"), port+proxyStep)
	file, err := g.run.file(fmt.Sprintf("link/haproxy-%d.cfg", port), []byte(haproxyTCPConf(listen, fmt.Sprintf("127.0.0.1:%d", port))))
	if err != nil {
		return err
	}
	return g.start(proxy, "server", "haproxy", listen, lab.Cmd{Path: program, Args: []string{"-db", "-f", file}})
}

// linkMeasure measures a round trip in one lab and, in the first repeats, bulk
// TCP in another.
func linkMeasure(trip, bulk *rig, proxied bool) func(context.Context) (sample, error) {
	if trip == nil {
		return nil
	}
	target := func(g *rig, port int) netip.AddrPort {
		if proxied {
			port += proxyStep
		}
		return netip.AddrPortFrom(netip.MustParseAddr(g.lab.IP("server")), uint16(port))
	}
	ping := work{"client", "pingpong", load.PingPongConfig{Target: target(trip, echoPort), Warmup: 500, Duration: trip.run.window(linkWindow)}}
	repeat := 0
	return func(ctx context.Context) (sample, error) {
		s, err := trip.measure(ctx, ping)
		if repeat++; err != nil || repeat > bulkRepeats {
			return s, err
		}
		s.gbps, err = bulk.bulk(ctx, target(bulk, bulkPort))
		return s, err
	}
}

// bulk returns the throughput of one TCP stream in Gbit/s of payload.
func (g *rig) bulk(ctx context.Context, target netip.AddrPort) (float64, error) {
	window := g.run.window(bulkWindow)
	iperf, absent := g.run.program("iperf3")
	if absent != "" {
		cmd := g.self(load.BulkConfig{Target: target, Duration: window}, "__load", "bulk")
		out, err := g.lab.Run(ctx, "client", cmd)
		if err != nil {
			return 0, err
		}
		var res load.BulkResult
		if err := json.NewDecoder(bytes.NewReader(out.Stdout)).Decode(&res); err != nil {
			return 0, fmt.Errorf("bench: result of the bulk transfer: %w", err)
		}
		return res.BitsPerSec / 1e9, nil
	}
	out, err := g.lab.Run(ctx, "client", lab.Cmd{Path: iperf, Env: os.Environ(), Args: []string{
		"-c", target.Addr().String(), "-p", fmt.Sprint(target.Port()), "-t", fmt.Sprint(max(int(window.Seconds()), 1)), "-J"}})
	if err != nil {
		return 0, err
	}
	return iperfGbps(out.Stdout)
}

// iperfGbps reads what the receiver got from iperf3's JSON.
func iperfGbps(b []byte) (float64, error) {
	var doc struct {
		Error string `json:"error"`
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		} `json:"end"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return 0, fmt.Errorf("bench: output of iperf3: %w", err)
	}
	if doc.Error != "" {
		return 0, fmt.Errorf("bench: iperf3: %s", doc.Error)
	}
	return doc.End.Received.BitsPerSecond / 1e9, nil
}
