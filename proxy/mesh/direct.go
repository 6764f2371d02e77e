package mesh

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/proxy/http1"
)

// DirectResponse is an answer that a route gives without an upstream.
type DirectResponse struct {
	Status int    `json:"status"` // 200 to 599
	Body   string `json:"body,omitempty"`
}

// Redirect is an answer that sends the client elsewhere: to the request's own
// place but for what is said here.
type Redirect struct {
	Status     int    `json:"status,omitempty"` // 0 means 301
	HTTPS      bool   `json:"https_redirect,omitempty"`
	Host       string `json:"host_redirect,omitempty"`
	Port       uint16 `json:"port_redirect,omitempty"`
	Path       string `json:"path_redirect,omitempty"` // with a query of its own, or the request's
	StripQuery bool   `json:"strip_query,omitempty"`
}

// redirectStatuses are those that Envoy knows.
var redirectStatuses = []int{301, 302, 303, 307, 308}

// Direct returns the answer that the route gives by itself to request h, false if
// it has none and the request goes to a cluster. secure says that the request
// came over TLS.
func (r *RouteEntry) Direct(h *http1.Head, secure bool) (Reply, bool) {
	switch {
	case r.direct != nil:
		out := Reply{Status: r.direct.Status, Body: r.direct.Body, Details: "direct_response"}
		if s := out.Status; s == 201 || s/100 == 3 {
			out.Location = (&Redirect{}).location(h, secure)
		}
		return out, true
	case r.redirect != nil:
		status := r.redirect.Status
		if status == 0 {
			status = 301
		}
		return Reply{Status: status, Location: r.redirect.location(h, secure), Details: "direct_response"}, true
	}
	return Reply{}, false
}

// location is where the client is sent, as Envoy puts it together.
func (d *Redirect) location(h *http1.Head, secure bool) string {
	from := "http"
	if secure {
		from = "https"
	}
	for i := range h.Fields() {
		if f := &h.Fields()[i]; f.ID == http1.XForwardedProto {
			switch s := strings.ToLower(string(h.Bytes(f.Value))); s {
			case "http", "https": // a proxy before us has told
				from = s
			}
		}
	}
	to := from
	if d.HTTPS {
		to = "https"
	}
	host := d.Host
	if host == "" {
		host = string(h.Bytes(h.Authority))
		// Another port takes the place of the request's; with another scheme its
		// default port goes.
		if name, port, ok := cutPort(host); ok && (d.Port != 0 || to != from && (port == "80" && from == "http" || port == "443" && from == "https")) {
			host = name
		}
	}
	if d.Port != 0 {
		host += ":" + strconv.Itoa(int(d.Port))
	}
	path, query, asked := bytes.Cut(h.Bytes(h.Path), []byte("?"))
	at := string(path)
	if at == "" {
		at = "/"
	}
	if d.Path != "" {
		at = d.Path
	}
	if asked && !d.StripQuery && !strings.Contains(d.Path, "?") {
		at += "?" + string(query)
	}
	return to + "://" + host + at
}

// cutPort parts host and port.
func cutPort(authority string) (host, port string, ok bool) {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.HasSuffix(authority, "]") {
		return authority, "", false
	}
	return authority[:i], authority[i+1:], true
}

func (v *validator) direct(path string, r *Route) {
	if d := r.Direct; d != nil && (d.Status < 200 || d.Status > 599) {
		v.fail(path+".direct_response.status", "is %d, want 200 to 599", d.Status)
	}
	if d := r.Direct; d != nil && len(d.Body) > 4096 {
		v.fail(path+".direct_response.body", "is %d bytes long, want at most 4096, as in Envoy", len(d.Body))
	}
	d := r.Redirect
	if d == nil {
		return
	}
	if d.Status != 0 && !slices.Contains(redirectStatuses, d.Status) {
		v.fail(path+".redirect.status", "is %d, want one of %s", d.Status, strings.Trim(fmt.Sprint(redirectStatuses), "[]"))
	}
	for _, s := range []string{d.Host, d.Path} {
		if strings.ContainsAny(s, "\r\n\x00") {
			v.fail(path+".redirect", "%q has a control character", s)
		}
	}
	if d.Path != "" && d.Path[0] != '/' {
		v.fail(path+".redirect.path_redirect", "%q does not begin with /", d.Path)
	}
}
