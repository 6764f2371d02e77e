package mesh

import (
	"bytes"
	"net/netip"
	"strconv"
)

// Append appends what f says of e. What is not known is "-", or nothing if
// omit is true. It allocates nothing if dst has room.
func (f *Format) Append(dst []byte, e *Entry, omit bool) []byte {
	for i := range f.parts {
		p := &f.parts[i]
		var ok bool
		if dst, ok = p.append(dst, e); !ok && !omit {
			dst = append(dst, '-')
		}
	}
	return dst
}

// append appends the command's value; ok is false if there is none.
func (p *part) append(dst []byte, e *Entry) (_ []byte, ok bool) {
	switch p.op {
	case opText:
		return append(dst, p.text...), true
	case opRequest:
		return p.appendHeader(dst, e.requestHeader)
	case opResponse:
		return p.appendHeader(dst, e.responseHeader)
	case opStartTime, opStartTimeLocal:
		return p.appendTime(dst, e.Start), true
	case opEmitTime:
		return p.appendTime(dst, e.Now), true
	case opProtocol:
		return appendIf(dst, "HTTP/1.1", e.Type == LogRequest || e.Spoke)
	case opDetails:
		return appendIf(dst, e.Details, e.Details != "")
	case opTermination:
		return appendIf(dst, e.Termination, e.Termination != "")
	case opFlags:
		return e.Flag.append(dst, false), true
	case opFlagsLong:
		return e.Flag.append(dst, true), true
	case opUpstream, opUpstreamIP:
		return appendAddress(dst, e.Upstream, p.op == opUpstream)
	case opUpstreamRemote, opUpstreamRemoteIP:
		return appendAddress(dst, e.connected(), p.op == opUpstreamRemote)
	case opUpstreamProtocol:
		return appendIf(dst, "HTTP/1.1", e.Reached(UpstreamBegins))
	case opCluster:
		return appendIf(dst, e.Cluster, e.Cluster != "")
	case opUpstreamLocal, opUpstreamLocalIP:
		return appendAddress(dst, e.UpstreamLocal, p.op == opUpstreamLocal)
	case opFailure:
		return appendIf(dst, e.Failure, e.Failure != "")
	case opRemote, opRemoteIP:
		return appendAddress(dst, e.Remote, p.op == opRemote)
	case opPeer, opPeerIP:
		return appendAddress(dst, e.peer, p.op == opPeer)
	case opLocal, opLocalIP:
		return appendAddress(dst, e.Local, p.op == opLocal)
	case opDirect, opDirectIP:
		return appendAddress(dst, e.Direct, p.op == opDirect)
	case opRoute:
		return appendIf(dst, e.routeName(), e.routeName() != "")
	case opServerName:
		return appendIf(dst, e.ServerName, e.ServerName != "")
	case opStream:
		if e.Type != LogRequest {
			return append(dst, e.ID...), len(e.ID) > 0
		}
		id, ok := field(e.Request, "x-request-id")
		return append(dst, id...), ok
	case opHostname:
		return appendIf(dst, e.Hostname, e.Hostname != "")
	case opQuery:
		return p.query(dst, e)
	case opPath, opPathAlone, opOriginalPath, opOriginalPathAlone, opPathAsIs, opPathAsIsAlone:
		return p.appendPath(dst, e)
	case opType:
		return append(dst, e.Type.String()...), true
	}
	if n, ok := p.number(e); ok {
		return strconv.AppendInt(dst, n, 10), true
	}
	return dst, false
}

// numeric reports whether the command's values are numbers, which JSON has
// without quotes.
func (p *part) numeric() bool {
	switch p.op {
	case opStatus, opReceived, opSent, opBetween, opHandshake, opAttempts, opConnection, opUpstreamPort, opUpstreamLocalPort, opRemotePort, opPeerPort, opLocalPort, opDirectPort:
		return true
	}
	return false
}

// number is the value of a numeric command.
func (p *part) number(e *Entry) (n int64, ok bool) {
	switch p.op {
	case opStatus:
		return int64(e.Status), true
	case opReceived:
		return int64(e.Received), true
	case opSent:
		return int64(e.Sent), true
	case opBetween:
		return e.between(p.from, p.to, p.unit)
	case opHandshake: // of a request below 0, as with Envoy
		return (e.times[HandshakeOver] - 1) / 1e6, e.Reached(HandshakeOver)
	case opAttempts:
		return int64(e.Attempts), true
	case opConnection:
		return int64(e.Connection), true
	case opUpstreamPort:
		return int64(e.connected().Port()), e.connected().IsValid()
	case opUpstreamLocalPort:
		return int64(e.UpstreamLocal.Port()), e.UpstreamLocal.IsValid()
	case opRemotePort:
		return int64(e.Remote.Port()), e.Remote.IsValid()
	case opPeerPort:
		return int64(e.peer.Port()), e.peer.IsValid()
	case opLocalPort:
		return int64(e.Local.Port()), e.Local.IsValid()
	case opDirectPort:
		return int64(e.Direct.Port()), e.Direct.IsValid()
	}
	return 0, false
}

// connected is the endpoint that the request was sent to, or the connection linked.
func (e *Entry) connected() netip.AddrPort {
	if e.Reached(UpstreamBegins) || e.Linked {
		return e.Upstream
	}
	return netip.AddrPort{}
}

func appendIf(dst []byte, s string, ok bool) ([]byte, bool) {
	if ok {
		dst = append(dst, s...)
	}
	return dst, ok
}

func appendAddress(dst []byte, a netip.AddrPort, port bool) ([]byte, bool) {
	switch {
	case !a.IsValid():
		return dst, false
	case port:
		return a.AppendTo(dst), true
	}
	return a.Addr().AppendTo(dst), true
}

// appendHeader appends the header's value, or its alternative's, cut to the length.
func (p *part) appendHeader(dst []byte, get func(name string) ([]byte, bool)) ([]byte, bool) {
	v, ok := get(p.text)
	if !ok && p.alt != "" {
		v, ok = get(p.alt)
	}
	if !ok {
		return dst, false
	}
	return append(dst, p.cut(v)...), true
}

func (p *part) cut(v []byte) []byte {
	if p.max >= 0 && len(v) > p.max {
		return v[:p.max]
	}
	return v
}

func (e *Entry) requestHeader(name string) ([]byte, bool) {
	switch name {
	case ":method":
		return e.Method, e.Head
	case ":path":
		return e.Path, e.Head && len(e.Path) > 0
	case ":authority", "host":
		return e.Authority, e.Head && e.Authority != nil
	case ":scheme":
		name = "x-forwarded-proto"
	}
	return field(e.Request, name)
}

func (e *Entry) responseHeader(name string) ([]byte, bool) {
	if name == ":status" && e.Status != 0 {
		return append(e.status[:0], byte('0'+e.Status/100%10), byte('0'+e.Status/10%10), byte('0'+e.Status%10)), true
	}
	return field(e.Response, name)
}

// field is the value of the first of fields that has the name.
func field(fields []byte, name string) ([]byte, bool) {
	for len(fields) > 0 {
		line, rest, _ := bytes.Cut(fields, crlf)
		if len(line) > len(name)+1 && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return line[len(name)+2:], true
		}
		fields = rest
	}
	return nil, false
}

var crlf = []byte("\r\n")

func (e *Entry) routeName() string {
	if e.Route == nil {
		return ""
	}
	return e.Route.name
}

// query appends a parameter of the path's query, decoded.
func (p *part) query(dst []byte, e *Entry) ([]byte, bool) {
	_, query, _ := bytes.Cut(e.Path, []byte("?"))
	for len(query) > 0 {
		var param []byte
		param, query, _ = bytes.Cut(query, []byte("&"))
		k, v, _ := bytes.Cut(param, []byte("="))
		n := len(dst)
		dst = appendDecoded(dst, k)
		found := string(dst[n:]) == p.text
		if dst = dst[:n]; found {
			dst = appendDecoded(dst, v)
			return dst[:n+len(p.cut(dst[n:]))], true
		}
	}
	return dst, false
}

// appendDecoded appends v with its %XX decoded.
func appendDecoded(dst, v []byte) []byte {
	for i := 0; i < len(v); i++ {
		if c := v[i]; c == '%' && i+2 < len(v) && hex(v[i+1]) >= 0 && hex(v[i+2]) >= 0 {
			dst = append(dst, byte(hex(v[i+1])<<4|hex(v[i+2])))
			i += 2
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

// appendPath appends the path that a command asks for.
func (p *part) appendPath(dst []byte, e *Entry) ([]byte, bool) {
	v, ok := e.Path, e.Head && len(e.Path) > 0
	if p.op != opPath && p.op != opPathAlone {
		if original, rewritten := field(e.Request, "x-envoy-original-path"); rewritten {
			v = original
		} else if p.op == opOriginalPath || p.op == opOriginalPathAlone {
			ok = false
		}
	}
	if p.op == opPathAlone || p.op == opOriginalPathAlone || p.op == opPathAsIsAlone {
		v, _, _ = bytes.Cut(v, []byte("?"))
	}
	if !ok {
		return dst, false
	}
	return append(dst, v...), true
}
