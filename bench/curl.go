package bench

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/bench/load"
	"github.com/meshnic/meshnic/nic"
)

// curlRequests is how many requests each system answers over all repeats, and
// curlFiner how many repeats take the place of one: a request is 12 ms, nearly all of
// it curl's start, in which the machine's own pace changes by more than a NIC adds.
const (
	curlRequests = 300
	curlFiner    = 3
)

// path is one way from a client to a server: what the curl and the link
// experiment compare.
type path struct {
	name    string
	short   string // of its lab
	fabric  lab.Fabric
	mode    string // of the NIC, empty without one
	program nic.Program
	hops    int
	attach  []string // options of attach besides
}

// like is the same path without a NIC.
func (p path) like() string {
	if p.mode == "" {
		return ""
	}
	return "direct"
}

// paths from a client to a server, the baseline first.
func (r *Run) paths() []path {
	all := []path{
		{"direct", "direct", lab.Direct, "", "", 0, nil},
		{"linux_bridge", "bridge", lab.Bridge, "", "", 0, nil},
		{"nic_null", "null", lab.Ports, r.nicMode(), nic.Null, 1, nil},
		{"nic_passthrough_xdp", "xdp", lab.Ports, "xdp", nic.Passthrough, 1, nil},
		{"nic_passthrough_slowpath", "slow", lab.Ports, "xdp", nic.Passthrough, 1, []string{"--flow-table", "off"}},
		{"nic_passthrough_tap", "tap", lab.Taps, "tap", nic.Passthrough, 1, nil},
		{"nic_passthrough_packet", "packet", lab.Ports, "packet", nic.Passthrough, 1, nil},
	}
	var out []path
	for _, p := range all {
		if p.name == "direct" || r.wanted(p.name) {
			out = append(out, p)
		}
	}
	return out
}

// httpPaths are the paths that HTTP can take: with the NIC's proxy in the last.
func (r *Run) httpPaths() []path {
	paths := r.paths()
	if r.wanted("nic_offload") {
		paths = append(paths, path{"nic_offload", "offload", lab.Ports, r.nicMode(), nic.Offload, 1, nil})
	}
	return paths
}

// unmodelled says why a path through a NIC has no model time.
func (p path) unmodelled() string {
	switch p.program {
	case nic.Null:
		return "a wire has no pipeline"
	case nic.Offload:
		return noProxyStages
	}
	return ""
}

// upPath makes the lab of one path, with serve started in the server's host.
// It returns why the path is absent, if it is.
func (s *rigs) upPath(ctx context.Context, experiment string, p path, cores []int, serve func(*rig) error) (g *rig, absent string, err error) {
	if p.mode != "" {
		if absent = s.run.modeAbsent(p.mode); absent != "" {
			return nil, absent, nil
		}
	}
	hosts := []lab.Host{{Name: "client"}, {Name: "server"}}
	g, err = s.up(ctx, func(ctx context.Context) (*rig, error) {
		return s.run.rig(ctx, experiment+"_"+p.short, p.fabric, hosts, cores)
	}, func(g *rig) error {
		var err error
		switch {
		case p.program == nic.Offload:
			proxy := relay("nic", g.vip(0)+":8000", g.lab.IP("server")+":8000")
			err = g.startProxyNIC(ctx, experiment+"/"+p.name+".yaml", proxy)
		case p.mode != "":
			err = g.startNIC(ctx, p.mode, p.program, p.attach...)
		}
		if err != nil {
			return err
		}
		return serve(g)
	})
	return g, "", err
}

// Curl measures the paper's second experiment: python3 -m http.server and one
// curl process a request, directly and through the NIC, on one core.
func Curl(ctx context.Context, r *Run) (Document, error) {
	s := &rigs{run: r, finer: curlFiner}
	if r.Quick {
		s.finer = 1
	}
	cells, err := curlCells(ctx, r, s)
	if err != nil {
		s.down()
		return Document{}, err
	}
	if s.finer > 1 {
		r.note(fmt.Sprintf("curl: %d repeats in the place of each", s.finer))
	}
	return s.finish(ctx, "curl", Document{Experiment: "curl"}, cells)
}

func curlCells(ctx context.Context, r *Run, s *rigs) ([]cell, error) {
	python, noPython := r.program("python3")
	curl, noCurl := r.program("curl")
	missing := noPython
	if missing == "" {
		missing = noCurl
	}
	body := bytes.Repeat([]byte("meshnic "), 25) // 200 bytes
	file, err := r.file("curl/www/index.txt", body)
	if err != nil {
		return nil, err
	}
	serve := func(g *rig) error {
		return g.start(service, "server", "http.server", "0.0.0.0:8000", lab.Cmd{Path: python,
			Args: []string{"-m", "http.server", "8000", "--bind", "0.0.0.0", "--directory", filepath.Dir(file)},
			Env:  append(os.Environ(), "PYTHONUNBUFFERED=1")})
	}
	n := max(curlRequests/(r.Repeats*s.finer), 1)
	if r.Quick {
		n = 20
	}
	length := int64(len(body))
	cores := r.cores("curl", "one")
	var cells []cell
	add := func(g *rig, p path, url string, absent string) {
		c := cell{name: p.name, connections: 1, hops: p.hops, like: p.like(), absent: absent, unmodelled: p.unmodelled()}
		if absent == "" {
			w := work{"client", "curl", load.CurlConfig{Command: []string{curl}, URL: url, N: n, Warmup: 1, BodyLen: &length}}
			c.measure = func(ctx context.Context) (sample, error) { return g.measure(ctx, w) }
			if p.program == nic.Passthrough && p.mode == r.nicMode() {
				s.check = &checked{p.name, g, w}
			}
		}
		cells = append(cells, c)
	}
	var direct *rig
	for _, p := range r.httpPaths() {
		if missing != "" {
			add(nil, p, "", missing)
			continue
		}
		g, absent, err := s.upPath(ctx, "curl", p, cores, serve)
		if err != nil {
			return nil, err
		}
		if direct == nil {
			direct = g
		}
		url := ""
		if absent == "" {
			server := g.lab.IP("server")
			if p.program == nic.Offload {
				server = g.vip(0)
			}
			url = fmt.Sprintf("http://%s:8000/index.txt", server)
		}
		add(g, p, url, absent)
	}
	if direct != nil && r.wanted("floor") {
		if err := direct.nullServer("client", "127.0.0.1:8080"); err != nil {
			return nil, err
		}
		add(direct, path{name: "floor"}, "http://127.0.0.1:8080/", "")
	}
	return cells, nil
}
