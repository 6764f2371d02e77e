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
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// admin is the admin listener: a plain HTTP server beside the workers.
type admin struct {
	s    *Server
	ln   net.Listener
	srv  *http.Server
	done chan struct{}
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
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ready", a.ready)
	mux.HandleFunc("GET /stats", a.stats)
	mux.HandleFunc("GET /server_info", a.info)
	a.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
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

func (a *admin) ready(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "LIVE\n") }

// stats answers as Envoy does: "name: value" lines in order, with its filter
// (a regular expression) and usedonly parameters.
func (a *admin) stats(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	filter, err := regexp.Compile(q.Get("filter"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var b strings.Builder
	for _, st := range a.s.Stats() {
		if !filter.MatchString(st.Name) || q.Has("usedonly") && st.Value == 0 && !st.Gauge {
			continue
		}
		fmt.Fprintf(&b, "%s: %d\n", st.Name, st.Value)
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	io.WriteString(w, b.String())
}

func (a *admin) info(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]any{
		"state":                "LIVE",
		"version":              "meshnic",
		"uptime_current_epoch": fmt.Sprintf("%ds", int(time.Since(a.s.started).Seconds())),
		"node":                 map[string]string{"id": a.s.force.Load().cfg.Node},
		"concurrency":          a.s.opt.Concurrency,
	})
}

// Stats returns the counters of all workers added up, in the order of their
// names. Each worker's are from one moment between two of its rounds.
func (s *Server) Stats() []mesh.Stat {
	sum := map[string]*mesh.Stat{}
	add := func(stats []mesh.Stat) {
		for _, st := range stats {
			if t := sum[st.Name]; t != nil {
				t.Value += st.Value
			} else {
				sum[st.Name] = &st
			}
		}
	}
	for _, w := range s.workers {
		done := make(chan []mesh.Stat, 1)
		w.post(func() { done <- w.stats() })
		add(<-done)
	}
	add([]mesh.Stat{
		{Name: "server.live", Value: 1, Gauge: true},
		{Name: "server.concurrency", Value: uint64(s.opt.Concurrency), Gauge: true},
		{Name: "server.uptime", Value: uint64(time.Since(s.started).Seconds()), Gauge: true},
	})
	out := make([]mesh.Stat, 0, len(sum))
	for _, st := range sum {
		out = append(out, *st)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}
