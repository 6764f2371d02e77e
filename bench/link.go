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

// Link measures what a path costs a packet: the round trip of one byte over
// TCP with everything on one core, and bulk TCP with the cores free.
func Link(ctx context.Context, r *Run) (Document, error) {
	s := &rigs{run: r}
	cells, err := linkCells(ctx, r, s)
	if err != nil {
		s.down()
		return Document{}, err
	}
	r.Manifest.Placement["link: ends of the bulk transfer"] = "any core"
	return s.finish(ctx, "link", Document{Experiment: "link"}, cells)
}

func linkCells(ctx context.Context, r *Run, s *rigs) ([]cell, error) {
	core := r.cores("link", "one")
	serve := func(g *rig) error {
		cfg := load.EchoConfig{Listen: netip.MustParseAddrPort("0.0.0.0:7000")}
		if err := g.start(service, "server", "echo", "0.0.0.0:7000", g.self(cfg, "__load", "echo")); err != nil {
			return err
		}
		return g.bulkServer()
	}
	var cells []cell
	for _, p := range r.paths() {
		g, absent, err := s.upPath(ctx, "link", p, core, serve)
		if err != nil {
			return nil, err
		}
		c := cell{name: p.name, connections: 1, hops: p.hops, absent: absent}
		if absent == "" {
			c.measure = g.linkMeasure(7000, 7001)
		}
		cells = append(cells, c)
	}
	if !r.wanted("haproxy_tcp") {
		return cells, nil
	}
	program, absent := r.program("haproxy")
	c := cell{name: "haproxy_tcp", connections: 1, hops: 1, absent: absent}
	if absent == "" {
		g, _, err := s.upPath(ctx, "link", path{short: "haproxy", fabric: lab.Direct}, core, func(g *rig) error {
			if err := serve(g); err != nil {
				return err
			}
			for port, upstream := range map[int]int{7010: 7000, 7011: 7001} {
				listen := fmt.Sprintf("%s:%d", g.lab.IP("server"), port)
				file, err := r.file(fmt.Sprintf("link/haproxy-%d.cfg", port), []byte(haproxyTCPConf(listen, fmt.Sprintf("127.0.0.1:%d", upstream))))
				if err != nil {
					return err
				}
				if err := g.start(proxy, "server", "haproxy", listen, lab.Cmd{Path: program, Args: []string{"-db", "-f", file}}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		c.measure = g.linkMeasure(7010, 7011)
	}
	return append(cells, c), nil
}

// bulkServer starts the other end of the bulk transfer: iperf3, or our own sink
// where that is not installed.
func (g *rig) bulkServer() error {
	cmd := g.self(load.SinkConfig{Listen: netip.MustParseAddrPort("0.0.0.0:7001")}, "__load", "sink")
	if iperf, absent := g.run.program("iperf3"); absent == "" {
		cmd = lab.Cmd{Path: iperf, Args: []string{"-s", "-p", "7001"}}
	}
	cores := g.cores
	g.cores = nil
	defer func() { g.cores = cores }()
	return g.start(service, "server", "bulk", "0.0.0.0:7001", cmd)
}

// linkMeasure measures a round trip on one port and bulk TCP on another.
func (g *rig) linkMeasure(echo, bulk int) func(context.Context) (sample, error) {
	target := func(port int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr(g.lab.IP("server")), uint16(port))
	}
	ping := work{"client", "pingpong", load.PingPongConfig{Target: target(echo), Warmup: 500, Duration: g.run.window(linkWindow)}}
	repeat := 0
	return func(ctx context.Context) (sample, error) {
		s, err := g.measure(ctx, ping)
		if repeat++; err != nil || repeat > bulkRepeats {
			return s, err
		}
		s.gbps, err = g.bulk(ctx, target(bulk))
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
