package mesh

import (
	"bytes"
	"net/netip"

	"github.com/meshnic/meshnic/proxy/http1"
)

// Point is a moment in the life of a request, by Envoy's names of %COMMON_DURATION%.
type Point uint8

// The points, in the order in which they usually come.
const (
	RequestBegins    Point = iota // DS_RX_BEG: its first byte came
	RequestEnds                   // DS_RX_END: its last
	PoolReady                     // it got a connection upstream
	UpstreamBegins                // US_TX_BEG: its first byte went upstream
	UpstreamEnds                  // US_TX_END: its last
	ResponseBegins                // US_RX_BEG: the response's first byte came
	ResponseEnds                  // US_RX_END: its last
	DownstreamBegins              // DS_TX_BEG: its first byte went to the client
	DownstreamEnds                // DS_TX_END: its last
	RequestOver                   // nothing more comes of it
	HandshakeOver                 // the client's TLS was there, before a request or behind the beginning of a connection
	numPoints
)

// points are Envoy's names of those that it has a name of.
var points = map[string]Point{
	"DS_RX_BEG": RequestBegins, "DS_RX_END": RequestEnds, "US_TX_BEG": UpstreamBegins, "US_TX_END": UpstreamEnds,
	"US_RX_BEG": ResponseBegins, "US_RX_END": ResponseEnds, "DS_TX_BEG": DownstreamBegins, "DS_TX_END": DownstreamEnds,
}

// Entry is what is known of a request, for its log line and for headers with
// format strings, or of a connection. Its byte slices are the caller's.
type Entry struct {
	Type  LogType
	Start int64            // ns since 1970, when its first byte came, or the connection
	Now   int64            // ns since 1970
	times [numPoints]int64 // ns since Start plus one, 0 for what has not happened

	// Of the request, as it goes upstream.
	Head                    bool // its head was read and is well-formed
	Method, Path, Authority []byte
	Request                 []byte // its fields, a line each, names in lower case
	Received                uint64 // bytes of its body, or of the connection

	// Of the response, as it goes to the client.
	Status   int    // 0 if there is none
	Response []byte // its fields, like Request's
	Sent     uint64 // bytes of its body, or to the connection's client
	Flag     Flags
	Details  string // why it is what it is, in Envoy's words

	Route    *RouteEntry
	Cluster  string
	Upstream netip.AddrPort // the endpoint; not valid if none was chosen
	Attempts int            // how often an endpoint was looked for
	Failure  string         // of the way to the endpoint

	Remote, Local netip.AddrPort // the two ends of the client's connection, as the client sees them; see Forwarded
	Direct        netip.AddrPort // where it was taken in: Local, unless it was on its way elsewhere
	UpstreamLocal netip.AddrPort // our end of the endpoint's
	ServerName    string         // that the client's TLS asked for, where filter chains are told apart by it
	Connection    uint64         // the client's connection's number
	Hostname      string         // this machine's

	// Of a connection alone.
	Spoke       bool   // HTTP
	Linked      bool   // there was a connection to the endpoint
	ID          []byte // a UUID, of a TCP proxy's
	Termination string // why it was ended, in Envoy's words

	peer    netip.AddrPort // the connection's Remote
	status  [3]byte        // Status, in text
	kept    []byte         // what Keep and KeepResponse copied
	scratch []byte         // lines of headers to be added
	lines   [][2]uint32    // where in it they are
}

// Begin makes e ready for the next request on its connection, whose first byte
// came start ns after 1970.
func (e *Entry) Begin(start int64) {
	*e = Entry{
		Start: start, Remote: e.Remote, peer: e.Remote, Local: e.Local, Direct: e.Direct, Connection: e.Connection, Hostname: e.Hostname, ServerName: e.ServerName,
		kept: e.kept[:0], scratch: e.scratch, lines: e.lines,
	}
	e.Reach(RequestBegins, 0)
}

// Forwarded notes on whose behalf request h was sent, if a proxy before us says so: to
// logs that is where it comes from, at port 0.
func (e *Entry) Forwarded(h *http1.Head) {
	if a, ok := forwardedFor(h); ok {
		e.Remote = netip.AddrPortFrom(a, 0)
	}
}

// Keep makes a copy of the request's head as AppendRequest wrote it.
func (e *Entry) Keep(head []byte) {
	e.kept = append(e.kept[:0], head...)
	line, fields, _ := bytes.Cut(e.kept, crlf)
	method, rest, _ := bytes.Cut(line, space)
	path, _, _ := bytes.Cut(rest, space)
	host, fields, _ := bytes.Cut(fields, crlf)
	e.Head, e.Method, e.Path, e.Request = true, method, path, fields
	e.Authority = host[min(len("host: "), len(host)):]
	if string(method) == "CONNECT" {
		e.Path = nil
	}
}

// KeepID gives a connection an ID of ids.
func (e *Entry) KeepID(ids *RequestIDs) {
	e.kept = ids.Append(e.kept[:0])
	e.ID = e.kept
}

// KeepLine makes a copy of what was read of the head of a request that is refused
// although it is well-formed.
func (e *Entry) KeepLine(h *http1.Head) {
	e.kept = append(append(e.kept[:0], h.Bytes(h.MethodSpan)...), h.Bytes(h.Target)...)
	n, line := len(h.Bytes(h.MethodSpan)), len(e.kept)
	for i := range h.Fields() {
		e.kept = h.AppendField(e.kept, &h.Fields()[i])
	}
	e.Head, e.Method, e.Path, e.Request = true, e.kept[:n], e.kept[n:line], e.kept[line:]
}

// KeepResponse makes a copy of the fields of the response's head as AppendResponse
// or AppendReply wrote it; a body may follow.
func (e *Entry) KeepResponse(head []byte) {
	if i := bytes.Index(head, endOfHead); i >= 0 {
		head = head[:i+len(crlf)]
	}
	_, fields, _ := bytes.Cut(head, crlf)
	fields = bytes.TrimSuffix(fields, chunkedLine) // which is Envoy's codec's
	n := len(e.kept)
	e.kept = append(e.kept, fields...)
	e.Response = e.kept[n:]
}

var (
	space     = []byte(" ")
	endOfHead = []byte("\r\n\r\n")
)

// Reach says that p is reached, ns after Start.
func (e *Entry) Reach(p Point, ns int64) { e.times[p] = ns + 1 }

// Reached reports whether p is reached.
func (e *Entry) Reached(p Point) bool { return e.times[p] != 0 }

// between is the time from one point to another, in units of so many ns.
func (e *Entry) between(from, to Point, unit int64) (int64, bool) {
	a, b := e.times[from], e.times[to]
	if a == 0 || b == 0 || b < a {
		return 0, false
	}
	return (b - a) / unit, true
}
