package mesh

// Flags are Envoy's response flags: what was out of the ordinary with a request, in
// the order in which it was noticed, as Envoy writes them. The zero Flags are none.
type Flags uint64 // places in flagNames plus one, flagBits each, the first one lowest

// The flags, by Envoy's short names.
const (
	FlagLH Flags = 1 + iota
	FlagUH
	FlagUT
	FlagLR
	FlagUR
	FlagUF
	FlagUC
	FlagUO
	FlagNR
	FlagDI
	FlagFI
	FlagRL
	FlagUAEX
	FlagRLSE
	FlagDC
	FlagURX
	FlagSI
	FlagIH
	FlagDPE
	FlagUMSDR
	FlagRFCF
	FlagNFCF
	FlagDT
	FlagUPE
	FlagNC
	FlagOM
	FlagDF
	FlagDO
	FlagDR
	FlagUDO
)

const (
	flagBits = 5
	maxFlags = 64 / flagBits // far more than come together
)

// flagNames are their names, short and long.
var flagNames = [...][2]string{
	{"LH", "FailedLocalHealthCheck"}, {"UH", "NoHealthyUpstream"}, {"UT", "UpstreamRequestTimeout"}, {"LR", "LocalReset"},
	{"UR", "UpstreamRemoteReset"}, {"UF", "UpstreamConnectionFailure"}, {"UC", "UpstreamConnectionTermination"}, {"UO", "UpstreamOverflow"},
	{"NR", "NoRouteFound"}, {"DI", "DelayInjected"}, {"FI", "FaultInjected"}, {"RL", "RateLimited"},
	{"UAEX", "UnauthorizedExternalService"}, {"RLSE", "RateLimitServiceError"}, {"DC", "DownstreamConnectionTermination"},
	{"URX", "UpstreamRetryLimitExceeded"}, {"SI", "StreamIdleTimeout"}, {"IH", "InvalidEnvoyRequestHeaders"},
	{"DPE", "DownstreamProtocolError"}, {"UMSDR", "UpstreamMaxStreamDurationReached"}, {"RFCF", "ResponseFromCacheFilter"},
	{"NFCF", "NoFilterConfigFound"}, {"DT", "DurationTimeout"}, {"UPE", "UpstreamProtocolError"}, {"NC", "NoClusterFound"},
	{"OM", "OverloadManagerTerminated"}, {"DF", "DnsResolutionFailed"}, {"DO", "DropOverload"}, {"DR", "DownstreamRemoteReset"},
	{"UDO", "UnconditionalDropOverload"},
}

// FlagNames are the short names, for messages.
func FlagNames() (all []string) {
	for _, n := range flagNames {
		all = append(all, n[0])
	}
	return all
}

// ParseFlag returns the flag of a short name, 0 if there is none.
func ParseFlag(short string) Flags {
	for i, n := range flagNames {
		if n[0] == short {
			return Flags(i + 1)
		}
	}
	return 0
}

// And is f, and behind it those of g that are not in it.
func (f Flags) And(g Flags) Flags {
	n := 0
	for r := f; r != 0; r >>= flagBits {
		n++
	}
	for ; g != 0 && n < maxFlags; g >>= flagBits {
		if flag := g.first(); !f.has(flag) {
			f |= flag << (n * flagBits)
			n++
		}
	}
	return f
}

func (f Flags) first() Flags { return f & (1<<flagBits - 1) }

func (f Flags) has(flag Flags) bool {
	for ; f != 0; f >>= flagBits {
		if f.first() == flag {
			return true
		}
	}
	return false
}

// String renders the short names with commas between them, "-" if there is none.
func (f Flags) String() string { return string(f.append(nil, false)) }

func (f Flags) append(dst []byte, long bool) []byte {
	if f == 0 {
		return append(dst, '-')
	}
	which := 0
	if long {
		which = 1
	}
	for ; f != 0; f >>= flagBits {
		dst = append(append(dst, flagNames[f.first()-1][which]...), ',')
	}
	return dst[:len(dst)-1]
}
