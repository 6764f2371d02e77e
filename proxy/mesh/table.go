package mesh

import (
	"bytes"
	"cmp"
	"math"
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Envoy's defaults that a Config does not spell out.
const (
	DefaultConnectTimeout = 5 * time.Second
	DefaultRouteTimeout   = 15 * time.Second // of a bootstrap file that leaves it out
	StreamIdleTimeout     = 5 * time.Minute
	ConnectionIdleTimeout = time.Hour
	DelayedClose          = time.Second
	DrainTime             = 10 * time.Minute
	ListenerFilters       = 15 * time.Second // for the bytes that tell which filter chain a connection is for
	BufferLimit           = 1 << 20          // bytes of a body that are kept for another try
)

// Table is a Config made ready for look-ups. It never changes, so workers share
// it without locks.
type Table struct {
	Listeners []CompiledListener
	Clusters  []CompiledCluster
}

// CompiledListener is one compiled Listener.
type CompiledListener struct {
	Name       string
	Address    netip.AddrPort
	StatPrefix string
	TCP        *CompiledTCP // nil where it is HTTP
	Match      ChainMatch
	TLS        *ServerTLS
	Handshake  time.Duration
	Intercept  Interception

	Logs     []Log
	ConnLogs []Log
	Filters  []CompiledFilter // nil for none

	Observed      bool // an Entry is wanted, for logs or for headers with format strings
	UpstreamLocal bool // and in it our end of the upstream's connection

	hosts    []*host
	exact    map[string]*host
	suffixes []wildcard // longest first
	prefixes []wildcard
	any      *host
}

// CompiledCluster is one compiled Cluster.
type CompiledCluster struct {
	Name           string
	ConnectTimeout time.Duration
	Idle           *time.Duration // Cluster.Idle
	Breakers       Breakers
	Policy         Policy
	Choices        int // of LeastRequest
	Endpoints      []netip.AddrPort
	Weights        []uint32
	Hostnames      []string
	TLS            *ClientTLS
	OriginalDst    bool
	Cleanup        time.Duration

	Outliers *OutlierDetection // or nil
	Check    *HealthCheck      // or nil
	Panic    int               // threshold in percent

	MergeWindow time.Duration

	minRing, maxRing uint32
	found            []string
}

// place returns the placement of hosts by c's policy, nil if it has none.
func (c *CompiledCluster) place(hosts []*Host) placement {
	switch {
	case len(hosts) == 0:
		return nil
	case c.Policy == RingHash:
		return newRing(hosts, c.minRing, c.maxRing)
	case c.Policy == Maglev:
		return newMaglev(hosts)
	}
	return nil
}

type host struct{ routes []RouteEntry }

// observe finds out what of requests is of use for logs and headers.
func (l *CompiledListener) observe() {
	see := func(f *Format) {
		for i := range f.parts {
			switch f.parts[i].op {
			case opUpstreamLocal, opUpstreamLocalIP, opUpstreamLocalPort:
				l.UpstreamLocal = true
			}
		}
	}
	for i := range l.Logs {
		l.Observed = true
		l.Logs[i].each(see)
	}
	eachFormat(l.Filters, func(f *Format) {
		l.Observed = true
		see(f)
	})
	for _, h := range l.hosts {
		for i := range h.routes {
			r := &h.routes[i]
			l.observeRoute(r, see)
			for j := range r.toward {
				l.observeRoute(&r.toward[j], see)
			}
		}
	}
}

func (l *CompiledListener) observeRoute(r *RouteEntry, see func(*Format)) {
	l.Observed = l.Observed || r.Formats
	for _, levels := range [][]mutator{r.request, r.response} {
		for j := range levels {
			for k := range levels[j].add {
				if f := levels[j].add[k].format; f != nil {
					see(f)
				}
			}
		}
	}
}

type wildcard struct {
	part string // what the * stands before or after
	host *host
}

// RouteEntry is one compiled Route.
type RouteEntry struct {
	Timeout time.Duration
	Retry   *Retry         // nil for never
	PerTry  time.Duration  // of one try; 0 if there is none, or Timeout comes first
	Idle    *time.Duration // Route.Idle

	Formats bool // headers are added whose values are format strings, for which an Entry is wanted

	name string
	choice
	fault    *CompiledFault
	headers  []headerMatcher
	query    []headerMatcher
	direct   *DirectResponse
	redirect *Redirect
	answered *RouteEntry // see Answered

	proto             string // the x-forwarded-proto line
	path              []byte
	form              pathForm
	regex             *regexp.Regexp
	hash              []HashPolicy
	hashesClient      bool
	rewrite           *rewriter
	request, response []mutator
	host              []byte // the host upstream, empty for the request's own
	silent            bool   // the request's own is not told
	late              *lateHost
	autoHost          bool
	appendHost        bool         // to x-forwarded-host
	toward            []RouteEntry // see Toward
	expect            string       // the x-envoy-expected-rq-timeout-ms line, empty without a timeout
	countRequests     bool         // they get x-envoy-attempt-count
	countResponses    bool
}

// Compile validates cfg and makes it ready for look-ups.
func Compile(cfg Config) (*Table, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	t := &Table{}
	index := map[string]int{}
	for i, c := range cfg.Clusters {
		index[c.Name] = i
		out := CompiledCluster{Name: c.Name, ConnectTimeout: c.ConnectTimeout, Idle: c.Idle, Policy: c.Policy, Choices: int(c.Choices), TLS: c.TLS, Outliers: c.Outliers, Check: c.Check, Panic: DefaultPanic, MergeWindow: DefaultMergeWindow,
			OriginalDst: c.OriginalDst, Cleanup: cmp.Or(c.Cleanup, DefaultCleanup)}
		if out.Breakers = DefaultBreakers; c.Breakers != nil {
			out.Breakers = *c.Breakers
		}
		if out.Choices == 0 {
			out.Choices = DefaultChoices
		}
		if out.ConnectTimeout == 0 {
			out.ConnectTimeout = DefaultConnectTimeout
		}
		for _, e := range c.Endpoints {
			addr, err := netip.ParseAddrPort(e.Address)
			if err != nil {
				continue // a name that is not resolved
			}
			out.Endpoints = append(out.Endpoints, addr)
			out.Weights = append(out.Weights, max(e.Weight, 1))
			out.Hostnames = append(out.Hostnames, e.Hostname)
			out.found = append(out.found, e.found)
		}
		out.minRing, out.maxRing = cmp.Or(c.MinRing, DefaultMinRing), cmp.Or(c.MaxRing, DefaultMaxRing)
		if c.Panic != nil {
			out.Panic = int(math.Round(*c.Panic))
		}
		if c.MergeWindow != nil {
			out.MergeWindow = *c.MergeWindow
		}
		t.Clusters = append(t.Clusters, out)
	}
	for _, l := range cfg.Listeners {
		t.Listeners = append(t.Listeners, compileListener(l, index))
	}
	return t, nil
}

func compileListener(l Listener, cluster map[string]int) CompiledListener {
	out := CompiledListener{
		Name: l.Name, Address: netip.MustParseAddrPort(l.Address), StatPrefix: l.StatPrefix,
		TCP: compileTCP(l.TCP, cluster), Intercept: l.Intercept, Match: l.Match, TLS: l.TLS, Handshake: l.Handshake, Logs: compileLogs(l.Logs), ConnLogs: compileLogs(l.ConnLogs), Filters: compileFilters(l.Filters, l.TLS != nil), exact: map[string]*host{},
	}
	for _, v := range l.VirtualHosts {
		h := &host{}
		for _, r := range v.Routes {
			e := RouteEntry{name: r.Name, choice: newChoice(r.Cluster, r.Clusters, cluster), Timeout: r.Timeout, Idle: r.Idle, headers: compileRequestHeaders(r.Headers, l.TLS != nil), query: compileQuery(r.Query), direct: r.Direct, redirect: r.Redirect,
				request:  compileMutations(&r.Mutate.Request, &v.Mutate.Request, &l.Mutate.Request),
				response: compileMutations(&r.Mutate.Response, &v.Mutate.Response, &l.Mutate.Response),
				rewrite:  compileRewrite(&r.Rewrite), countRequests: v.CountRequests, countResponses: v.CountResponses, fault: compileFault(cmp.Or(r.Fault, v.Fault), l.TLS != nil)}
			e.proto = "x-forwarded-proto: " + scheme(l.TLS != nil) + "\r\n"
			e.Formats = formatted(e.request) || formatted(e.response)
			e.compilePath(&r)
			e.compileHash(r.Hash)
			if r.Redirect != nil {
				e.rewrite = compileRewrite(r.Redirect.rewrite())
			}
			e.answers()
			e.compileRetry(cmp.Or(r.Retry, v.Retry))
			if d := e.expectedAfter(0); d > 0 {
				e.expect = expectedName + ": " + strconv.FormatInt(d.Milliseconds(), 10) + "\r\n"
			}
			e.compileHost(&r.Rewrite)
			e.compileToward(&r, &v, &l)
			h.routes = append(h.routes, e)
		}
		out.hosts = append(out.hosts, h)
		for _, d := range v.Domains {
			d = strings.ToLower(d)
			switch {
			case d == "*":
				out.any = h
			case d[0] == '*':
				out.suffixes = append(out.suffixes, wildcard{d[1:], h})
			case d[len(d)-1] == '*':
				out.prefixes = append(out.prefixes, wildcard{d[:len(d)-1], h})
			default:
				out.exact[d] = h
			}
		}
	}
	out.observe()
	for _, w := range [][]wildcard{out.suffixes, out.prefixes} {
		sort.SliceStable(w, func(i, j int) bool { return len(w[i].part) > len(w[j].part) })
	}
	return out
}

// Route returns the route of the request h, nil if there is none: the virtual
// host by authority (exact, then the longest suffix wildcard, then the longest
// prefix wildcard, then "*"), in it the first route whose path and headers match. A port
// in the authority is part of it, as with Envoy.
func (l *CompiledListener) Route(h *http1.Head) *RouteEntry {
	if h.Method == http1.MethodConnect || h.Asterisk {
		return nil
	}
	v := l.host(h.Bytes(h.Authority))
	if v == nil {
		return nil
	}
	path, query, _ := bytes.Cut(h.Bytes(h.Path), []byte("?"))
	if len(path) == 0 {
		path = slash
	}
	for i := range v.routes {
		r := &v.routes[i]
		if r.takes(path) && r.wants(h) && r.asks(query) {
			return r
		}
	}
	return nil
}

// asks reports whether all parameters of the query match.
func (r *RouteEntry) asks(query []byte) bool {
	for i := range r.query {
		if !r.query[i].takes(query) {
			return false
		}
	}
	return true
}

// wants reports whether all headers match.
func (r *RouteEntry) wants(h *http1.Head) bool {
	for i := range r.headers {
		if !r.headers[i].matches(h) {
			return false
		}
	}
	return true
}

var slash = []byte("/")

func (l *CompiledListener) host(authority []byte) *host {
	if len(l.exact) == 0 && len(l.suffixes) == 0 && len(l.prefixes) == 0 {
		return l.any
	}
	var buf [128]byte
	a := append(buf[:0], authority...)
	for i, c := range a {
		if c >= 'A' && c <= 'Z' {
			a[i] = c + 'a' - 'A'
		}
	}
	if h := l.exact[string(a)]; h != nil {
		return h
	}
	// A wildcard stands for at least one byte.
	for _, w := range l.suffixes {
		if len(a) > len(w.part) && string(a[len(a)-len(w.part):]) == w.part {
			return w.host
		}
	}
	for _, w := range l.prefixes {
		if len(a) > len(w.part) && string(a[:len(w.part)]) == w.part {
			return w.host
		}
	}
	return l.any
}
