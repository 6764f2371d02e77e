package bench

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/nic"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// hopWindow is how long one repeat of a cell lasts, and hopFiner how many take the place
// of one: a machine that others use too has a quick and a slow pace for a while each, and
// ratios are of what is measured within a repeat.
const (
	hopWindow = 100 * time.Millisecond
	hopFiner  = 2
)

// hopProxies are the proxies of the hop experiment, and the port each listens
// on with one hop; with two, the outer one listens on the port after it.
var hopProxies = []struct {
	name string
	port int
}{{"sidecar", 8110}, {"envoy", 8120}, {"haproxy", 8130}, {"nginx", 8140}}

// Hop measures what one and two proxies in front of one small static backend
// cost. A proxy stands where a sidecar stands, in the server's namespace; the
// second one in the client's. One worker each, and everything on one core: a
// wake-up across cores costs more than what is measured. Bulk responses are
// measured in labs of their own, with the cores free.
func Hop(ctx context.Context, r *Run) (Document, error) {
	s := &rigs{run: r, finer: hopFiner}
	if r.Quick || r.Duration > 0 {
		s.finer = 1
	}
	cells, err := hopCells(ctx, r, s)
	if err != nil {
		s.down()
		return Document{}, err
	}
	if s.finer > 1 {
		r.note(fmt.Sprintf("hop: %d repeats in the place of each", s.finer))
	}
	return s.finish(ctx, "hop", Document{Experiment: "hop"}, cells)
}

func hopCells(ctx context.Context, r *Run, s *rigs) ([]cell, error) {
	core, free := r.cores("hop", "one"), r.cores("hop: bulk responses", "any")
	hosts := []lab.Host{{Name: "client"}, {Name: "server"}}
	direct, err := s.up(ctx, func(ctx context.Context) (*rig, error) { return r.rig(ctx, "hop", lab.Direct, hosts, core) },
		func(g *rig) error { return g.nullServer("server", "0.0.0.0:8080") })
	if err != nil {
		return nil, err
	}
	if err := direct.nullServer("client", "127.0.0.1:8080"); err != nil {
		return nil, err
	}
	server := direct.lab.IP("server")
	bulk, err := s.up(ctx, func(ctx context.Context) (*rig, error) { return r.rig(ctx, "hopbulk", lab.Direct, hosts, free) },
		func(g *rig) error { return g.bulkResponses("0.0.0.0:8080") })
	if err != nil {
		return nil, err
	}
	one := func(g *rig, name string, hops int, target string) []cell {
		var cells []cell
		for _, c := range r.connections(1, 8, 64) {
			w := g.http("client", target, c, r.window(hopWindow), load.Check{Body: load.NullBody()}, "/")
			cells = append(cells, cell{name: name, connections: c, hops: hops,
				measure: func(ctx context.Context) (sample, error) { return g.measure(ctx, w) }})
		}
		return cells
	}
	cells := one(direct, "direct", 0, server+":8080")
	cells[0].measure = bulk.withBulk(bulk.lab.IP("server")+":8080", cells[0].measure)

	if r.wanted("nic_passthrough") {
		through, err := s.up(ctx, func(ctx context.Context) (*rig, error) { return r.rig(ctx, "hopnic", lab.Ports, hosts, core) },
			func(g *rig) error {
				if err := g.startNIC(ctx, r.nicMode(), nic.Passthrough); err != nil {
					return err
				}
				return g.nullServer("server", "0.0.0.0:8080")
			})
		if err != nil {
			return nil, err
		}
		group := one(through, "nic_passthrough", 1, through.lab.IP("server")+":8080")
		for i := range group {
			group[i].like = "direct"
		}
		cells = append(cells, group...)
	}
	for _, o := range []offloadHop{
		{name: "nic_offload", short: "hopoff", two: true, unmodelled: noProxyStages},
		{name: "nic_offload_untimed", short: "hopuntimed", attach: []string{"--pipeline", "none"}, unmodelled: "it is not counted"},
	} {
		if !r.wanted(o.name) {
			continue
		}
		group, err := s.hopOffload(ctx, o, hosts, core, one)
		if err != nil {
			return nil, err
		}
		if o.two {
			if err := s.hopOffloadBulk(ctx, hosts, free, &group[0]); err != nil {
				return nil, err
			}
		}
		cells = append(cells, group...)
	}
	for _, p := range hopProxies {
		if !r.wanted(p.name) {
			continue
		}
		inbound := fmt.Sprintf("%s:%d", server, p.port)
		outbound := fmt.Sprintf("127.0.0.1:%d", p.port+1)
		absent, err := direct.relays("hop", p.name, inbound, outbound)
		if err != nil {
			return nil, err
		}
		inBulk := fmt.Sprintf("%s:%d", bulk.lab.IP("server"), p.port)
		if _, err := bulk.relays("hop/bulk", p.name, inBulk, ""); err != nil {
			return nil, err
		}
		for hops, target := range []string{inbound, outbound} {
			group := one(direct, p.name, hops+1, target)
			for i := range group {
				group[i].absent = absent
			}
			if hops == 0 {
				group[0].measure = bulk.withBulk(inBulk, direct.withMemory(p.name, inbound, group[0].measure))
			}
			cells = append(cells, group...)
		}
	}
	cells = append(cells, one(direct, "floor", 0, "127.0.0.1:8080")...)
	for i := range cells {
		if cells[i].hops > 0 {
			cells[i].beside = hopBeside
		}
	}
	return cells, nil
}

// hopBeside are the systems that what a hop adds is compared with.
var hopBeside = []string{"envoy", "haproxy", "nginx"}

// checkedRequests are captured, to be counted again.
const checkedRequests = 5000

// offloadHop is a NIC's proxy in front of the null server.
type offloadHop struct {
	name, short string
	two         bool     // with a row of two hops
	attach      []string // options of attach besides
	unmodelled  string   // why it has no model time, if it has none
}

// hopOffload measures one listener, and one whose endpoint is the other's address.
func (s *rigs) hopOffload(ctx context.Context, o offloadHop, hosts []lab.Host, core []int, group func(g *rig, name string, hops int, target string) []cell) ([]cell, error) {
	var inbound, outbound string
	g, err := s.up(ctx, func(ctx context.Context) (*rig, error) { return s.run.rig(ctx, o.short, lab.Ports, hosts, core) },
		func(g *rig) error {
			inbound, outbound = g.vip(0)+":8080", g.vip(1)+":8080"
			cfg := mesh.Config{
				Node:      "nic",
				Listeners: []mesh.Listener{relayAt("inbound", inbound, "inbound"), relayAt("outbound", outbound, "outbound")},
				Clusters:  []mesh.Cluster{cluster("inbound", g.lab.IP("server")+":8080"), cluster("outbound", inbound)},
			}
			g.log(&cfg, o.name, "nic")
			if err := g.startProxyNIC(ctx, "hop/"+o.name+".yaml", cfg, o.attach...); err != nil {
				return err
			}
			return g.nullServer("server", "0.0.0.0:8080")
		})
	if err != nil {
		return nil, err
	}
	cells := group(g, o.name, 1, inbound)
	if o.two {
		cells = append(cells, group(g, o.name, 2, outbound)...)
	}
	for i := range cells {
		cells[i].like, cells[i].unmodelled = "direct", o.unmodelled
	}
	if o.two {
		conns := s.run.connections(1, 8, 64)
		s.check = &checked{o.name, g, work{"client", "run", load.Config{
			Target: netip.MustParseAddrPort(inbound), Connections: conns[len(conns)-1], MaxRequests: checkedRequests, Check: load.Check{Body: load.NullBody()},
		}}}
	}
	cells[0].measure = g.withMemory(o.name, inbound, cells[0].measure)
	return cells, nil
}

// hopOffloadBulk has c measure bulk responses through a NIC's proxy too.
func (s *rigs) hopOffloadBulk(ctx context.Context, hosts []lab.Host, cores []int, c *cell) error {
	var inbound string
	g, err := s.up(ctx, func(ctx context.Context) (*rig, error) { return s.run.rig(ctx, "hopoffbulk", lab.Ports, hosts, cores) },
		func(g *rig) error {
			inbound = g.vip(0) + ":8080"
			cfg := relay("nic", inbound, g.lab.IP("server")+":8080")
			g.log(&cfg, c.name, "nic")
			if err := g.startProxyNIC(ctx, "hop/bulk/"+c.name+".yaml", cfg); err != nil {
				return err
			}
			return g.bulkResponses("0.0.0.0:8080")
		})
	if err != nil {
		return err
	}
	c.measure = g.withBulk(inbound, c.measure)
	return nil
}

// relays starts a proxy's two instances: inbound in the server's namespace in
// front of the backend, outbound, if it is an address, in the client's in front of
// inbound. Configurations go to dir. It returns why the proxy is absent, if it is.
func (g *rig) relays(dir, name, inbound, outbound string) (absent string, err error) {
	program, absent := "", ""
	if name != "sidecar" {
		if program, absent = g.run.program(name); absent != "" {
			return absent, nil
		}
	}
	for _, x := range []struct{ host, listen, upstream string }{
		{"server", inbound, "127.0.0.1:8080"},
		{"client", outbound, inbound},
	} {
		if x.listen == "" {
			continue
		}
		cmd, err := g.relay(dir, name, program, x.host, x.listen, x.upstream)
		if err != nil {
			return "", err
		}
		if err := g.start(proxy, x.host, name, x.listen, cmd); err != nil {
			return "", err
		}
	}
	return "", nil
}

// relay writes the configuration of one proxy and returns how it is started.
func (g *rig) relay(dir, name, program, host, listen, upstream string) (lab.Cmd, error) {
	switch name {
	case "haproxy":
		log := g.accessLog(name, host)
		file, err := g.run.file(dir+"/haproxy-"+host+".cfg", []byte(haproxyConf(listen, upstream, log != "")))
		return lab.Cmd{Path: program, Args: []string{"-db", "-f", file}, Stdout: log}, err
	case "nginx":
		prefix := filepath.Join(g.lab.Journal().Dir(), "nginx-"+host)
		if err := os.MkdirAll(prefix, 0o755); err != nil {
			return lab.Cmd{}, fmt.Errorf("bench: %w", err)
		}
		file, err := g.run.file(dir+"/nginx-"+host+".conf", []byte(nginxConf(prefix, g.accessLog(name, host), listen, upstream)))
		return lab.Cmd{Path: program, Args: []string{"-e", "stderr", "-p", prefix, "-c", file}}, err
	}
	cfg := relay(name+"-"+host, listen, upstream)
	g.log(&cfg, name, host)
	yaml, err := envoyconf.Bootstrap(cfg)
	if err != nil {
		return lab.Cmd{}, err
	}
	file, err := g.run.file(dir+"/"+name+"-"+host+".yaml", yaml)
	if err != nil {
		return lab.Cmd{}, err
	}
	return g.meshProxy(name, program, file, 1), nil
}

// accessLog is where a proxy writes its lines: to memory, and gone with the lab.
// Empty: it writes none.
func (g *rig) accessLog(name, host string) string {
	if !g.run.AccessLog {
		return ""
	}
	return filepath.Join(g.lab.Journal().Dir(), "access-"+name+"-"+host)
}

// log has the listeners of cfg write their lines, if they are to.
func (g *rig) log(cfg *mesh.Config, name, host string) {
	path := g.accessLog(name, host)
	if path == "" {
		return
	}
	for i := range cfg.Listeners {
		cfg.Listeners[i].Logs = []mesh.AccessLog{{Path: path}}
	}
}

// meshProxy starts Envoy or the sidecar on a bootstrap file.
func (g *rig) meshProxy(name, program, file string, workers int) lab.Cmd {
	if name == "envoy" {
		return lab.Cmd{Path: program, Args: []string{"-c", file, "--concurrency", fmt.Sprint(workers),
			"--disable-hot-restart", "--log-level", "error"}}
	}
	return g.self(nil, "sidecar", "--config", file, "--concurrency", fmt.Sprint(workers))
}
