package netns

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Rules are a table of nftables for IPv4: Text is what nft reads, SetRules puts
// the same into a namespace without the program.
type Rules struct {
	table  string
	sets   []set
	chains []chain
}

// set is a named set, or a map from keys to verdicts.
type set struct {
	name     string
	key      []string // of keyAddr, keyProto, keyPort
	verdicts bool
	elements []element
}

// The types that keys are made of, by nft's names.
const (
	keyAddr  = "ipv4_addr"
	keyProto = "inet_proto"
	keyPort  = "inet_service"
)

// element is what stands in a set; of its key it has what the set's has.
type element struct {
	addr  netip.Addr
	proto string
	port  uint16
	to    string // in a map: the chain that is gone to
}

// chain is a list of rules, from a hook on where it has one.
type chain struct {
	name       string
	kind, hook string // "nat" or "filter"; nft's names of the hooks
	priority   int
	rules      []rule
}

type rule []term

// term is a condition or an action of a rule.
type term struct {
	op     op
	not    bool
	prefix netip.Prefix
	name   string // of a set, a protocol, an interface or a chain
	n      uint32
	port   uint16
	chains []string
}

type op int

const (
	opNew      op = iota // ct state new
	opProto              // meta l4proto name
	opSaddr              // ip saddr prefix
	opDaddr              // ip daddr prefix
	opDaddrIn            // ip daddr @name
	opDport              // of proto name
	opOif                // oifname name
	opUID                // meta skuid n
	opGID                // meta skgid n
	opUnmarked           // mark and n == 0
	opMarkOr             // mark set mark or n
	opMarkXor            // mark set mark xor n
	opService            // address, protocol and port, a verdict of map name
	opNodePort           // protocol and port, a verdict of map name
	opOneOf              // numgen random mod len(chains) vmap
	opJump               // name
	opReturn
	opReject
	opDrop
	opMasquerade // masquerade fully-random
	opDNAT       // to prefix's address and port
	opRedirect   // to port
)

func is(p netip.Addr) netip.Prefix { return netip.PrefixFrom(p, p.BitLen()) }

func (t term) text() string {
	not := ""
	if t.not {
		not = "!= "
	}
	addr := t.prefix.String()
	if t.prefix.IsSingleIP() {
		addr = t.prefix.Addr().String()
	}
	switch t.op {
	case opNew:
		return "ct state new"
	case opProto:
		return "meta l4proto " + t.name
	case opSaddr:
		return "ip saddr " + not + addr
	case opDaddr:
		return "ip daddr " + not + addr
	case opDaddrIn:
		return "ip daddr @" + t.name
	case opDport:
		return fmt.Sprintf("%s dport %s%d", t.name, not, t.port)
	case opOif:
		return fmt.Sprintf("oifname %q", t.name)
	case opUID:
		return fmt.Sprintf("meta skuid %s%d", not, t.n)
	case opGID:
		return fmt.Sprintf("meta skgid %s%d", not, t.n)
	case opUnmarked:
		return fmt.Sprintf("meta mark & 0x%08x == 0x00000000", t.n)
	case opMarkOr:
		return fmt.Sprintf("meta mark set meta mark | 0x%08x", t.n)
	case opMarkXor:
		return fmt.Sprintf("meta mark set meta mark ^ 0x%08x", t.n)
	case opService:
		return "ip daddr . meta l4proto . th dport vmap @" + t.name
	case opNodePort:
		return "meta l4proto . th dport vmap @" + t.name
	case opOneOf:
		var to []string
		for i, c := range t.chains {
			to = append(to, fmt.Sprintf("%d : goto %s", i, c))
		}
		return fmt.Sprintf("numgen random mod %d vmap { %s }", len(t.chains), strings.Join(to, ", "))
	case opJump:
		return "jump " + t.name
	case opReturn:
		return "return"
	case opReject:
		return "reject"
	case opDrop:
		return "drop"
	case opMasquerade:
		return "masquerade fully-random"
	case opDNAT:
		return fmt.Sprintf("dnat to %v:%d", t.prefix.Addr(), t.port)
	case opRedirect:
		return fmt.Sprintf("redirect to :%d", t.port)
	}
	panic("netns: a rule has a term without a text")
}

func (e element) text(s *set) string {
	var key []string
	for _, k := range s.key {
		switch k {
		case keyAddr:
			key = append(key, e.addr.String())
		case keyProto:
			key = append(key, e.proto)
		case keyPort:
			key = append(key, fmt.Sprint(e.port))
		}
	}
	text := strings.Join(key, " . ")
	if s.verdicts {
		text += " : goto " + e.to
	}
	return text
}

// Text returns the rules as nft -f reads them.
func (r Rules) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %s {\n", r.table)
	for i := range r.sets {
		s := &r.sets[i]
		kind, verdict := "set", ""
		if s.verdicts {
			kind, verdict = "map", " : verdict"
		}
		fmt.Fprintf(&b, "\t%s %s {\n\t\ttype %s%s\n", kind, s.name, strings.Join(s.key, " . "), verdict)
		for k, e := range s.elements {
			lead, end := "\t\t\t     ", ","
			if k == 0 {
				lead = "\t\telements = { "
			}
			if k == len(s.elements)-1 {
				end = " }"
			}
			b.WriteString(lead + e.text(s) + end + "\n")
		}
		b.WriteString("\t}\n")
	}
	// A chain must be there before a rule leads to it: first those that are led to.
	for _, c := range slices.Backward(r.chains) {
		fmt.Fprintf(&b, "\tchain %s {\n", c.name)
		if c.hook != "" {
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %d;\n", c.kind, c.hook, c.priority)
		}
		for _, r := range c.rules {
			var terms []string
			for _, t := range r {
				terms = append(terms, t.text())
			}
			b.WriteString("\t\t" + strings.Join(terms, " ") + "\n")
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}
