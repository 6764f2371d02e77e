package mesh

import (
	"cmp"
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
	Scheme     string `json:"scheme_redirect,omitempty"` // instead of HTTPS
	Host       string `json:"host_redirect,omitempty"`
	Port       uint16 `json:"port_redirect,omitempty"`
	StripQuery bool   `json:"strip_query,omitempty"` // of the request

	// One of these, which are those of Rewrite but for the first.
	Path         string `json:"path_redirect,omitempty"` // with a query of its own, or the request's
	Prefix       string `json:"prefix_rewrite,omitempty"`
	Regex        string `json:"regex_rewrite,omitempty"`
	Substitution string `json:"substitution,omitempty"`
}

// rewrite is what d makes of the path.
func (d *Redirect) rewrite() *Rewrite {
	return &Rewrite{Prefix: d.Prefix, Regex: d.Regex, Substitution: d.Substitution}
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
			out.Location = (&Redirect{}).location(h, r, secure)
		}
		return out, true
	case r.redirect != nil:
		status := r.redirect.Status
		if status == 0 {
			status = 301
		}
		return Reply{Status: status, Location: r.redirect.location(h, r, secure), Details: "direct_response"}, true
	}
	return Reply{}, false
}

// Answered is the route by which AppendRequest makes the request that r answers by
// itself, as it is logged; nil if r makes nothing of it.
func (r *RouteEntry) Answered() *RouteEntry { return r.answered }

// answers notes what requests are to a log that r redirects elsewhere.
func (r *RouteEntry) answers() {
	if r.redirect != nil && r.rewrite != nil {
		r.answered = &RouteEntry{proto: noRoute.proto, form: r.form, path: r.path, rewrite: r.rewrite}
	}
}

// scheme is that of requests that come in over TLS, or not.
func scheme(secure bool) string {
	if secure {
		return "https"
	}
	return "http"
}

// location is where the client is sent by route r, as Envoy puts it together.
func (d *Redirect) location(h *http1.Head, r *RouteEntry, secure bool) string {
	from := scheme(secure)
	told := from
	if v, ok := together(h, "x-forwarded-proto"); ok && len(v) > 0 { // by a proxy before us
		told = string(v)
		if s := strings.ToLower(told); s == "http" || s == "https" {
			from = s
		}
	}
	to := cmp.Or(d.Scheme, from)
	if d.HTTPS {
		to = "https"
	}
	host := d.Host
	if host == "" {
		host = string(h.Bytes(h.Authority))
		// Another port takes the place of the request's; with another scheme its
		// default port goes.
		if name, port, ok := cutPort(host); ok && (d.Port != 0 || to != told && (port == "80" && strings.EqualFold(told, "http") || port == "443" && strings.EqualFold(told, "https"))) {
			host = name
		}
	}
	if d.Port != 0 {
		host += ":" + strconv.Itoa(int(d.Port))
	}
	target, _ := r.appendTarget(nil, h)
	at := string(target)
	own := strings.Contains(d.Path, "?") // which nothing strips
	if d.Path != "" {
		_, query, asked := strings.Cut(at, "?")
		if at = d.Path; asked && !own {
			at += "?" + query
		}
	}
	if d.StripQuery && !own {
		at, _, _ = strings.Cut(at, "?")
	}
	if !strings.HasPrefix(at, "/") {
		at = "/" + at
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
	for _, s := range []string{d.Scheme, d.Host, d.Path, d.Prefix, d.Substitution} {
		if strings.ContainsAny(s, "\r\n\x00") {
			v.fail(path+".redirect", "%q has a control character", s)
		}
	}
	if d.HTTPS && d.Scheme != "" {
		v.fail(path+".redirect.scheme_redirect", "and https_redirect are given, want one of them")
	}
	if d.Path != "" && (d.Prefix != "" || d.Regex != "") {
		v.fail(path+".redirect.path_redirect", "and a rewrite of the path are given, want one of them")
	}
	v.pathRewrite(path+".redirect", d.rewrite())
}
