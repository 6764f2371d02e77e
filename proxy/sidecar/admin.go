package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/envoyconf"
)

// admin is the admin listener: a plain HTTP server beside the workers. Its paths,
// parameters and answers are Envoy's.
type admin struct {
	s    *Server
	ln   net.Listener
	srv  *http.Server
	done chan struct{}
}

// page is one of the admin's paths.
type page struct {
	path    string
	mutates bool // wants POST
	serve   func(a *admin, w http.ResponseWriter, r *http.Request)
	help    string
}

func pages() []page {
	return []page{
		{"/certs", false, (*admin).certs, "print certs on machine"},
		{"/clusters", false, (*admin).clusters, "upstream cluster status"},
		{"/config_dump", false, (*admin).configDump, "dump current configuration"},
		{"/drain_listeners", true, (*admin).drain, "drain listeners; graceful: stop listening at the end of the drain time only"},
		{"/healthcheck/fail", true, (*admin).healthFail, "cause the server to fail health checks"},
		{"/healthcheck/ok", true, (*admin).healthOK, "cause the server to pass health checks"},
		{"/listeners", false, (*admin).listeners, "print listener info"},
		{"/ready", false, (*admin).ready, "print server state, return 200 if LIVE, otherwise return 503"},
		{"/server_info", false, (*admin).info, "print server version/status information"},
		{"/stats", false, (*admin).stats, "print server stats; filter, usedonly, type, format=text|json|prometheus"},
		{"/stats/prometheus", false, (*admin).prometheus, "print server stats in prometheus format"},
	}
}

func newAdmin(s *Server, address string) (*admin, error) {
	ln, err := net.Listen("tcp", address)
	what := fmt.Sprintf("sidecar: listen on %s for admin", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		why, next := "the address is in use", "stop its owner or choose another admin port"
		if pid, name := portOwner(netip.MustParseAddrPort(address)); pid != 0 {
			why = fmt.Sprintf("the address is in use by %s (pid %d)", name, pid)
			next = fmt.Sprintf("stop process %d or choose another admin port", pid)
		}
		return nil, &failure.Error{Kind: failure.Conflict, What: what, Why: why, Next: next, Err: err}
	}
	if err != nil {
		return nil, failure.Wrap(failure.Unexpected, err, what, "")
	}
	a := &admin{s: s, ln: ln}
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	return a, nil
}

func (a *admin) addr() net.Addr { return a.ln.Addr() }

func (a *admin) start() {
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		if err := a.srv.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(a.s.opt.Log, "sidecar: admin: %v\n", err)
		}
	}()
}

func (a *admin) close() {
	if a.done == nil {
		a.ln.Close()
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if a.srv.Shutdown(ctx) != nil {
			a.srv.Close()
		}
		<-a.done
	}
}

// ServeHTTP answers as Envoy's admin does.
func (a *admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	all := pages()
	i := slices.IndexFunc(all, func(p page) bool { return p.path == r.URL.Path })
	switch {
	case i < 0:
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "invalid path. admin commands are:\n")
		for _, p := range all {
			post := ""
			if p.mutates {
				post = " (POST)"
			}
			fmt.Fprintf(w, "  %s%s: %s\n", p.path, post, p.help)
		}
	case all[i].mutates && r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
		fmt.Fprintf(w, "Method %s not allowed, POST required.", r.Method)
	default:
		all[i].serve(a, w, r)
	}
}

// refuse answers a request whose parameters are wrong.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	w.WriteHeader(status)
	fmt.Fprintf(w, format, args...)
}

// filter compiles a request's filter parameter. It answers the request and
// returns nil if that is not an expression.
func filter(w http.ResponseWriter, r *http.Request) *regexp.Regexp {
	re, err := regexp.Compile(r.URL.Query().Get("filter"))
	if err != nil {
		why := ""
		if r.URL.Path != "/clusters" { // where Envoy says no more
			why = strings.TrimPrefix(err.Error(), "error parsing regexp")
		}
		refuse(w, http.StatusBadRequest, "Invalid re2 regex%s", why)
		return nil
	}
	return re
}

func (a *admin) ready(w http.ResponseWriter, _ *http.Request) {
	state := a.s.State()
	if state != Live {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, state)
}

func (a *admin) healthFail(w http.ResponseWriter, _ *http.Request) {
	a.s.FailHealthcheck(true)
	io.WriteString(w, "OK\n")
}

func (a *admin) healthOK(w http.ResponseWriter, _ *http.Request) {
	a.s.FailHealthcheck(false)
	io.WriteString(w, "OK\n")
}

// drain: no listener is marked as inbound, so inboundonly drains none.
func (a *admin) drain(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); !q.Has("inboundonly") {
		a.s.DrainListeners(q.Has("graceful"))
	}
	io.WriteString(w, "OK\n")
}

func (a *admin) configDump(w http.ResponseWriter, r *http.Request) {
	for p := range r.URL.Query() {
		refuse(w, http.StatusBadRequest, "%s is not supported; the dump is given whole\n", p)
		return
	}
	c := a.s.force.Load()
	b, err := envoyconf.Dump(c.cfg, c.since)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%v\n", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func (a *admin) clusters(w http.ResponseWriter, r *http.Request) {
	re := filter(w, r)
	switch {
	case re == nil:
	case r.URL.Query().Get("format") == "json":
		writeJSON(w, a.s.clusterStatuses(re))
	default:
		a.s.writeClusters(w, re)
	}
}

func (a *admin) listeners(w http.ResponseWriter, r *http.Request) {
	c := a.s.force.Load()
	if r.URL.Query().Get("format") != "json" {
		for i, addr := range c.addrs {
			if !c.joins(i) {
				fmt.Fprintf(w, "%s::%v\n", c.table.Listeners[i].Name, addr)
			}
		}
		return
	}
	type status struct {
		Name  string       `json:"name"`
		Local envoyAddress `json:"local_address"`
	}
	var out struct {
		All []status `json:"listener_statuses"`
	}
	for i, addr := range c.addrs {
		if !c.joins(i) {
			out.All = append(out.All, status{c.table.Listeners[i].Name, addressOf(addr)})
		}
	}
	writeJSON(w, out)
}

func (a *admin) info(w http.ResponseWriter, _ *http.Request) {
	node, o := a.s.force.Load().cfg.Node, &a.s.opt
	up := fmt.Sprintf("%ds", int(time.Since(a.s.started).Seconds()))
	writeJSON(w, map[string]any{
		"state":                a.s.State().String(),
		"version":              "meshnic",
		"uptime_current_epoch": up,
		"uptime_all_epochs":    up,
		"node":                 map[string]string{"id": node, "cluster": node},
		"command_line_options": map[string]any{
			"concurrency": o.Concurrency, "drain_time": fmt.Sprintf("%gs", o.DrainTime.Seconds()), "drain_strategy": "Gradual",
		},
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	e.Encode(v)
}

// envoyAddress is Envoy's Address in JSON.
type envoyAddress struct {
	Socket struct {
		Address string `json:"address"`
		Port    uint16 `json:"port_value"`
	} `json:"socket_address"`
}

func addressOf(a netip.AddrPort) (out envoyAddress) {
	out.Socket.Address, out.Socket.Port = a.Addr().String(), a.Port()
	return out
}
