// Package admin is the admin listener of a proxy: a plain HTTP server beside what
// carries requests. Its paths, parameters and answers are Envoy's.
package admin

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
	"time"

	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// Proxy is what is administered. Its methods may be called by many at once.
type Proxy interface {
	State() State
	// FailHealthcheck makes the state Draining, or takes that back.
	FailHealthcheck(fail bool)
	// DrainListeners has connections closed, more and more of them, and listeners at
	// once or, if graceful, at the end of the drain time.
	DrainListeners(graceful bool)
	// Stats lists the counters, in the order of their names.
	Stats() []mesh.Stat
	Clusters() []Cluster
	Listeners() []Listener
	// Config is the configuration in force, and since when it is.
	Config() (cfg mesh.Config, since time.Time)
	Info() Info
}

// Listener is a listener's address.
type Listener struct {
	Name string
	Addr netip.AddrPort
}

// Info is what /server_info says.
type Info struct {
	Node        string
	Started     time.Time
	Concurrency int
	DrainTime   time.Duration
}

// State is what the admin says of a proxy, by Envoy's numbers (server.state).
type State uint32

// The states that a Proxy can be in.
const (
	Live     State = 0
	Draining State = 1 // POST /healthcheck/fail, or the end of it
)

// String is Envoy's word, as in /ready.
func (s State) String() string {
	if s == Draining {
		return "DRAINING"
	}
	return "LIVE"
}

// ServerStats are the stats of a proxy as a whole.
func ServerStats(p Proxy) []mesh.Stat {
	live, i := uint64(0), p.Info()
	if p.State() == Live {
		live = 1
	}
	return []mesh.Stat{
		{Name: "server.live", Value: live, Gauge: true},
		{Name: "server.state", Value: uint64(p.State()), Gauge: true},
		{Name: "server.concurrency", Value: uint64(i.Concurrency), Gauge: true},
		{Name: "server.uptime", Value: uint64(time.Since(i.Started).Seconds()), Gauge: true},
	}
}

// Server is the admin listener.
type Server struct {
	p    Proxy
	ln   net.Listener
	log  io.Writer
	own  []Page
	srv  *http.Server
	done chan struct{}
}

// Page is a path that a proxy has of its own.
type Page struct {
	Path, Help string
	Serve      func(w http.ResponseWriter)
}

// page is one of the admin's paths.
type page struct {
	path    string
	mutates bool // wants POST
	serve   func(a *Server, w http.ResponseWriter, r *http.Request)
	help    string
}

func (a *Server) pages() []page {
	all := []page{
		{"/clusters", false, (*Server).clusters, "upstream cluster status"},
		{"/config_dump", false, (*Server).configDump, "dump current configuration"},
		{"/drain_listeners", true, (*Server).drain, "drain listeners; graceful: stop listening at the end of the drain time only"},
		{"/healthcheck/fail", true, (*Server).healthFail, "cause the server to fail health checks"},
		{"/healthcheck/ok", true, (*Server).healthOK, "cause the server to pass health checks"},
		{"/listeners", false, (*Server).listeners, "print listener info"},
		{"/ready", false, (*Server).ready, "print server state, return 200 if LIVE, otherwise return 503"},
		{"/server_info", false, (*Server).info, "print server version/status information"},
		{"/stats", false, (*Server).stats, "print server stats; filter, usedonly, type, format=text|json|prometheus"},
		{"/stats/prometheus", false, (*Server).prometheus, "print server stats in prometheus format"},
	}
	for _, p := range a.own {
		all = append(all, page{p.Path, false, func(_ *Server, w http.ResponseWriter, _ *http.Request) { p.Serve(w) }, p.Help})
	}
	slices.SortFunc(all, func(a, b page) int { return strings.Compare(a.path, b.path) })
	return all
}

// New returns the admin of p on ln, with pages of its own besides. Errors go to log.
func New(p Proxy, ln net.Listener, log io.Writer, own ...Page) *Server {
	a := &Server{p: p, ln: ln, log: log, own: own}
	a.srv = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	return a
}

// Addr is where it listens.
func (a *Server) Addr() net.Addr { return a.ln.Addr() }

// Start begins to answer, in a goroutine of its own.
func (a *Server) Start() {
	a.done = make(chan struct{})
	go func() {
		defer close(a.done)
		if err := a.srv.Serve(a.ln); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintf(a.log, "admin: %v\n", err)
		}
	}()
}

// Close ends it; if it was started, after the requests under way, for up to a second.
func (a *Server) Close() {
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
func (a *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Cache-Control", "no-cache, max-age=0")
	h.Set("X-Content-Type-Options", "nosniff")
	all := a.pages()
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

func (a *Server) ready(w http.ResponseWriter, _ *http.Request) {
	state := a.p.State()
	if state != Live {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, state)
}

func (a *Server) healthFail(w http.ResponseWriter, _ *http.Request) {
	a.p.FailHealthcheck(true)
	io.WriteString(w, "OK\n")
}

func (a *Server) healthOK(w http.ResponseWriter, _ *http.Request) {
	a.p.FailHealthcheck(false)
	io.WriteString(w, "OK\n")
}

// drain: no listener is marked as inbound, so inboundonly drains none.
func (a *Server) drain(w http.ResponseWriter, r *http.Request) {
	if q := r.URL.Query(); !q.Has("inboundonly") {
		a.p.DrainListeners(q.Has("graceful"))
	}
	io.WriteString(w, "OK\n")
}

func (a *Server) configDump(w http.ResponseWriter, r *http.Request) {
	for p := range r.URL.Query() {
		refuse(w, http.StatusBadRequest, "%s is not supported; the dump is given whole\n", p)
		return
	}
	b, err := envoyconf.Dump(a.p.Config())
	if err != nil {
		refuse(w, http.StatusInternalServerError, "%v\n", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b)
}

func (a *Server) clusters(w http.ResponseWriter, r *http.Request) {
	re := filter(w, r)
	switch {
	case re == nil:
	case r.URL.Query().Get("format") == "json":
		WriteJSON(w, clusterStatuses(a.p.Clusters(), re))
	default:
		writeClusters(w, a.p.Clusters(), re)
	}
}

func (a *Server) listeners(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("format") != "json" {
		for _, l := range a.p.Listeners() {
			fmt.Fprintf(w, "%s::%v\n", l.Name, l.Addr)
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
	for _, l := range a.p.Listeners() {
		out.All = append(out.All, status{l.Name, addressOf(l.Addr)})
	}
	WriteJSON(w, out)
}

func (a *Server) info(w http.ResponseWriter, _ *http.Request) {
	i := a.p.Info()
	up := fmt.Sprintf("%ds", int(time.Since(i.Started).Seconds()))
	WriteJSON(w, map[string]any{
		"state":                a.p.State().String(),
		"version":              "meshnic",
		"uptime_current_epoch": up,
		"uptime_all_epochs":    up,
		"node":                 map[string]string{"id": i.Node, "cluster": i.Node},
		"command_line_options": map[string]any{
			"concurrency": i.Concurrency, "drain_time": fmt.Sprintf("%gs", i.DrainTime.Seconds()), "drain_strategy": "Gradual",
		},
	})
}

// WriteJSON answers by v, as Envoy formats it.
func WriteJSON(w http.ResponseWriter, v any) {
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
