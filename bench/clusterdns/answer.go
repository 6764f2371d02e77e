package clusterdns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// ttl is how many seconds an answer may be kept: what kubeadm has CoreDNS say.
const ttl = 30

// maxUDP is the longest answer, in bytes, to somebody who does not say that he
// takes more (RFC 1035 §2.3.4). None of this server's is longer.
const maxUDP = 512

// Answerer answers questions about a Zone.
type Answerer struct {
	domain string // with a dot at its end, as all names here
	of     map[string]netip.Addr
	above  map[string]bool // names that others are below of
}

// NewAnswerer indexes z, which ParseZone has checked.
func NewAnswerer(z Zone) *Answerer {
	a := &Answerer{domain: strings.ToLower(z.Domain) + ".", of: map[string]netip.Addr{}, above: map[string]bool{}}
	for _, s := range z.Services {
		name := strings.ToLower(FQDN(s.Name, s.Namespace, z.Domain)) + "."
		a.of[name] = netip.MustParseAddr(s.IP)
		for rest := name; rest != a.domain; {
			_, rest, _ = strings.Cut(rest, ".")
			a.above[rest] = true
		}
	}
	a.above[a.domain] = true
	return a
}

// Answer returns the answer to a question, appended to dst, or nil to what is
// none: a message too short, or an answer.
func (a *Answerer) Answer(dst, question []byte) []byte {
	var p dnsmessage.Parser
	h, err := p.Start(question)
	if err != nil || h.Response {
		return nil
	}
	reply := dnsmessage.Header{ID: h.ID, Response: true, OpCode: h.OpCode, Authoritative: true, RecursionDesired: h.RecursionDesired}
	q, err := p.Question()
	if err == nil {
		if _, more := p.Question(); more == nil {
			err = dnsmessage.ErrSectionDone // RFC 9619: there is one question
		}
	}
	switch {
	case err != nil:
		reply.RCode = dnsmessage.RCodeFormatError
		return a.write(dst, reply, nil, netip.Addr{})
	case h.OpCode != 0:
		reply.RCode = dnsmessage.RCodeNotImplemented
		return a.write(dst, reply, &q, netip.Addr{})
	case q.Class != dnsmessage.ClassINET && q.Class != dnsmessage.ClassANY:
		reply.RCode = dnsmessage.RCodeRefused
		return a.write(dst, reply, &q, netip.Addr{})
	}
	name := strings.ToLower(q.Name.String())
	addr, ok := a.of[name]
	if !ok && !a.above[name] {
		reply.RCode = dnsmessage.RCodeNameError
	}
	if q.Type != dnsmessage.TypeA && q.Type != dnsmessage.TypeALL {
		addr = netip.Addr{} // the name is there, what is asked of it is not
	}
	return a.write(dst, reply, &q, addr)
}

// write appends a message with the one address, or with the reason why an
// answer may say so little for a while (RFC 2308 §2).
func (a *Answerer) write(dst []byte, h dnsmessage.Header, q *dnsmessage.Question, addr netip.Addr) []byte {
	b := dnsmessage.NewBuilder(dst, h)
	b.EnableCompression()
	err := b.StartQuestions()
	if err == nil && q != nil {
		err = b.Question(*q)
	}
	said := h.RCode == dnsmessage.RCodeSuccess || h.RCode == dnsmessage.RCodeNameError
	switch {
	case err != nil || q == nil || !said:
	case addr.IsValid():
		if err = b.StartAnswers(); err == nil {
			err = b.AResource(dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: ttl}, dnsmessage.AResource{A: addr.As4()})
		}
	default:
		if err = b.StartAuthorities(); err == nil {
			err = b.SOAResource(dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(a.domain), Class: dnsmessage.ClassINET, TTL: ttl}, dnsmessage.SOAResource{
				NS: dnsmessage.MustNewName("ns.dns." + a.domain), MBox: dnsmessage.MustNewName("hostmaster." + a.domain),
				Serial: 1, Refresh: 7200, Retry: 1800, Expire: 86400, MinTTL: ttl, // CoreDNS's, but for the serial
			})
		}
	}
	if err != nil {
		return nil // a name that cannot be written: it was never read
	}
	out, err := b.Finish()
	if err != nil {
		return nil
	}
	return out
}
