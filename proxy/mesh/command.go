package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// op is what a command writes.
type op uint8

const (
	opText op = iota
	opRequest
	opResponse
	opNothing // what neither requests nor connections have here
	opStartTime
	opStartTimeLocal
	opEmitTime
	opProtocol
	opStatus
	opDetails
	opTermination
	opFlags
	opFlagsLong
	opReceived
	opSent
	opBetween
	opHandshake
	opUpstream
	opUpstreamIP
	opUpstreamRemote
	opUpstreamRemoteIP
	opUpstreamPort
	opUpstreamProtocol
	opCluster
	opUpstreamLocal
	opUpstreamLocalIP
	opUpstreamLocalPort
	opAttempts
	opFailure
	opRemote
	opRemoteIP
	opRemotePort
	opPeer
	opPeerIP
	opPeerPort
	opLocal
	opLocalIP
	opLocalPort
	opDirect
	opDirectIP
	opDirectPort
	opRoute
	opServerName
	opConnection
	opStream
	opHostname
	opQuery
	opPath
	opPathAlone
	opOriginalPath
	opOriginalPathAlone
	opPathAsIs
	opPathAsIsAlone
	opType
)

// takes is what may stand behind a command's name.
type takes uint8

const (
	takesNothing takes = iota
	takesHeader        // (NAME?OTHER):LENGTH
	takesTime          // (strftime)
	takesText          // (TEXT):LENGTH
	takesPath          // (WQ|NQ:ORIG|PATH|ORIG_OR_PATH)
	takesSpan          // (POINT:POINT:UNIT)
	takesSpaces        // (ALLOW_WHITESPACES)
)

type commandSpec struct {
	op       op
	takes    takes
	from, to Point // of opBetween
}

func span(from, to Point) commandSpec { return commandSpec{op: opBetween, from: from, to: to} }

// commands are those of Envoy's that we have.
var commands = map[string]commandSpec{
	"REQ": {op: opRequest, takes: takesHeader}, "RESP": {op: opResponse, takes: takesHeader}, "TRAILER": {op: opNothing, takes: takesHeader},
	"START_TIME": {op: opStartTime, takes: takesTime}, "START_TIME_LOCAL": {op: opStartTimeLocal, takes: takesTime},
	"EMIT_TIME": {op: opEmitTime, takes: takesTime}, "PROTOCOL": {op: opProtocol}, "RESPONSE_CODE": {op: opStatus},
	"RESPONSE_CODE_DETAILS": {op: opDetails, takes: takesSpaces}, "CONNECTION_TERMINATION_DETAILS": {op: opTermination},
	"RESPONSE_FLAGS": {op: opFlags}, "RESPONSE_FLAGS_LONG": {op: opFlagsLong}, "BYTES_RECEIVED": {op: opReceived}, "BYTES_SENT": {op: opSent},
	"DURATION": span(RequestBegins, RequestOver), "REQUEST_DURATION": span(RequestBegins, RequestEnds),
	"REQUEST_TX_DURATION": span(RequestBegins, UpstreamEnds), "RESPONSE_DURATION": span(RequestBegins, ResponseBegins),
	"RESPONSE_TX_DURATION": span(ResponseBegins, DownstreamEnds), "UPSTREAM_CONNECTION_POOL_READY_DURATION": span(RequestBegins, PoolReady),
	"COMMON_DURATION": {op: opBetween, takes: takesSpan}, "DOWNSTREAM_HANDSHAKE_DURATION": {op: opHandshake}, "ROUNDTRIP_DURATION": {op: opNothing},
	"UPSTREAM_HOST": {op: opUpstream}, "UPSTREAM_REMOTE_ADDRESS": {op: opUpstreamRemote}, "UPSTREAM_HOST_NAME": {op: opUpstream},
	"UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {op: opUpstreamRemoteIP}, "UPSTREAM_HOST_NAME_WITHOUT_PORT": {op: opUpstreamIP},
	"UPSTREAM_REMOTE_PORT": {op: opUpstreamPort}, "UPSTREAM_PROTOCOL": {op: opUpstreamProtocol},
	"UPSTREAM_CLUSTER": {op: opCluster}, "UPSTREAM_CLUSTER_RAW": {op: opCluster}, "UPSTREAM_LOCAL_ADDRESS": {op: opUpstreamLocal},
	"UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": {op: opUpstreamLocalIP}, "UPSTREAM_LOCAL_PORT": {op: opUpstreamLocalPort},
	"UPSTREAM_REQUEST_ATTEMPT_COUNT": {op: opAttempts}, "UPSTREAM_TRANSPORT_FAILURE_REASON": {op: opFailure},
	"DOWNSTREAM_REMOTE_ADDRESS": {op: opRemote}, "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": {op: opRemoteIP}, "DOWNSTREAM_REMOTE_PORT": {op: opRemotePort},
	"DOWNSTREAM_DIRECT_REMOTE_ADDRESS": {op: opPeer}, "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": {op: opPeerIP}, "DOWNSTREAM_DIRECT_REMOTE_PORT": {op: opPeerPort},
	"DOWNSTREAM_LOCAL_ADDRESS": {op: opLocal}, "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT": {op: opLocalIP}, "DOWNSTREAM_LOCAL_PORT": {op: opLocalPort},
	"DOWNSTREAM_DIRECT_LOCAL_ADDRESS": {op: opDirect}, "DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT": {op: opDirectIP}, "DOWNSTREAM_DIRECT_LOCAL_PORT": {op: opDirectPort},
	"ROUTE_NAME": {op: opRoute}, "VIRTUAL_CLUSTER_NAME": {op: opNothing}, "REQUESTED_SERVER_NAME": {op: opServerName}, "FILTER_CHAIN_NAME": {op: opNothing},
	"CONNECTION_ID": {op: opConnection}, "STREAM_ID": {op: opStream}, "HOSTNAME": {op: opHostname},
	"QUERY_PARAM": {op: opQuery, takes: takesText}, "PATH": {op: opPath, takes: takesPath},
	"ACCESS_LOG_TYPE": {op: opType},
}

func commandList() string {
	var names []string
	for n := range commands {
		names = append(names, n)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// compileCommand makes a part of a command; why says what is wrong with it.
func compileCommand(name, arg, length string) (p part, why string) {
	spec, ok := commands[name]
	if !ok {
		return p, "%" + name + "% is not supported; supported: " + commandList()
	}
	p = part{op: spec.op, text: arg, max: -1, from: spec.from, to: spec.to, unit: 1e6}
	if strings.ContainsAny(arg, "\r\n\x00") {
		return p, name + " has a line break in its argument"
	}
	if length != "" {
		if spec.takes != takesHeader && spec.takes != takesText {
			return p, name + " takes no length"
		}
		if _, err := fmt.Sscan(length, &p.max); err != nil || p.max > 1<<20 {
			return p, fmt.Sprintf("%s has a length of %s, want at most %d", name, length, 1<<20)
		}
	}
	switch spec.takes {
	case takesNothing:
		if arg != "" {
			return p, name + " takes no argument"
		}
	case takesHeader:
		return p.header(name)
	case takesTime:
		return p.compileTime(name)
	case takesText:
		if arg == "" {
			return p, fmt.Sprintf("%s wants an argument, as in %%%s(NAME)%%", name, name)
		}
	case takesSpaces:
		if arg != "" && arg != "ALLOW_WHITESPACES" {
			return p, fmt.Sprintf("%s takes no argument but ALLOW_WHITESPACES", name)
		}
	case takesPath:
		return p.path(name)
	case takesSpan:
		return p.span(name)
	}
	return p, ""
}

// header reads "NAME" or "NAME?OTHER".
func (p part) header(name string) (part, string) {
	first, second, _ := strings.Cut(strings.ToLower(p.text), "?")
	switch {
	case p.text == "":
		return p, name + " wants a header's name, as in %" + name + "(USER-AGENT)%"
	case strings.Contains(second, "?"):
		return p, name + " has more than one alternative; want NAME or NAME?OTHER"
	}
	for _, n := range []string{first, second} {
		if strings.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '(' || r == ')' }) {
			return p, fmt.Sprintf("%s: %q is not a header's name", name, n)
		}
	}
	p.text, p.alt = first, second
	return p, ""
}

var pathOps = map[string][2]op{ // with and without the query
	"": {opPathAsIs, opPathAsIsAlone}, "ORIG_OR_PATH": {opPathAsIs, opPathAsIsAlone},
	"PATH": {opPath, opPathAlone}, "ORIG": {opOriginalPath, opOriginalPathAlone},
}

func (p part) path(name string) (part, string) {
	query, which, _ := strings.Cut(p.text, ":")
	ops, ok := pathOps[which]
	if query != "" && query != "WQ" && query != "NQ" || !ok {
		return p, name + ": want WQ or NQ and, behind a colon, one of ORIG, PATH, ORIG_OR_PATH"
	}
	if p.op = ops[0]; query == "NQ" {
		p.op = ops[1]
	}
	return p, ""
}

func (p part) span(name string) (part, string) {
	f := strings.Split(p.text, ":")
	units := map[string]int64{"ms": 1e6, "us": 1e3, "ns": 1}
	if len(f) == 3 {
		var a, b, c bool
		p.from, a = points[f[0]]
		p.to, b = points[f[1]]
		p.unit, c = units[f[2]]
		if a && b && c {
			return p, ""
		}
	}
	var names []string
	for n := range points {
		names = append(names, n)
	}
	slices.Sort(names)
	return p, name + " wants POINT:POINT:UNIT, of the points " + strings.Join(names, ", ") + " and the units ms, us, ns"
}
