package mesh

import (
	"bytes"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/meshnic/meshnic/proxy/http1"
)

// HashPolicy is one thing of a request that RingHash and Maglev place it by: one of
// the values of a header, of a cookie or of a parameter of the query (the first of its
// name, as it is written), and the client's address.
type HashPolicy struct {
	Header   string `json:"header,omitempty"`
	Cookie   string `json:"cookie,omitempty"`
	Query    string `json:"query_parameter,omitempty"`
	SourceIP bool   `json:"source_ip,omitempty"`

	Give     *GivenCookie `json:"give,omitempty"`     // who has no such Cookie is given one
	Terminal bool         `json:"terminal,omitempty"` // if the request has a hash by now, the rest is not looked at
}

// Client is what of a client's connection its requests are placed by, and which
// cookies the last of them is given.
type Client struct {
	Remote, Local netip.AddrPort // its two ends, as the client sees them

	given uint64 // by HashPolicy
}

// Hashes reports whether requests of c are placed by what they hash to.
func (c *CompiledCluster) Hashes() bool { return c.Policy == RingHash || c.Policy == Maglev }

// HashesClient reports whether Hash looks at the Client.
func (r *RouteEntry) HashesClient() bool { return r.hashesClient }

// Hash returns the hash of a request by the route's policies, false if it has
// nothing that they look at. It allocates nothing, unless the request was forwarded
// and is hashed by its client's address.
func (r *RouteEntry) Hash(h *http1.Head, c *Client) (hash uint64, ok bool) {
	for i := range r.hash {
		p := &r.hash[i]
		x, found := p.of(h, c)
		if !found && p.Give != nil {
			c.given |= 1 << i
			x, found = xxhash.Sum64(c.appendCookie(make([]byte, 0, 16))), true
		}
		if found {
			// Rotated, so that the same twice does not cancel out.
			hash, ok = bits.RotateLeft64(hash, 1)^x, true
		}
		if p.Terminal && ok {
			break
		}
	}
	return hash, ok
}

func (r *RouteEntry) compileHash(list []HashPolicy) {
	r.hash = lowered(list)
	for i := range list {
		r.hashesClient = r.hashesClient || list[i].SourceIP || list[i].Give != nil
	}
}

// lowered has header names in lower case, as look-ups want them.
func lowered(list []HashPolicy) []HashPolicy {
	list = slices.Clone(list)
	for i := range list {
		list[i].Header = strings.ToLower(list[i].Header)
	}
	return list
}

// maxValues is how many values of a header count; all, in any sane request.
const maxValues = 16

func (p *HashPolicy) of(h *http1.Head, c *Client) (hash uint64, ok bool) {
	switch {
	case p.Cookie != "":
		v, ok := cookie(h, p.Cookie)
		return xxhash.Sum64(v), ok
	case p.Query != "":
		_, query, _ := bytes.Cut(h.Bytes(h.Path), []byte("?"))
		v, ok := parameter(query, p.Query)
		return xxhash.Sum64(v), ok
	case p.SourceIP:
		var text [maxAddr]byte
		return xxhash.Sum64(c.ip(h).AppendTo(text[:0])), true
	}
	if joinedOfRequests[p.Header] {
		v, ok := together(h, p.Header)
		return seeded(v, 0), ok
	}
	var values [maxValues][]byte
	n := 0
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if n < maxValues && http1.EqualFold(h.Bytes(f.Name), p.Header) && visible(h, f) {
			values[n] = valueOf(h, f)
			n++
		}
	}
	slices.SortFunc(values[:n], bytes.Compare) // their order means nothing
	for _, v := range values[:n] {
		hash = seeded(v, hash)
	}
	return hash, n > 0
}

// maxAddr is how long an address is in text, with room for a zone.
const maxAddr = 64

// ip is the address of who has sent a request: what a proxy before us has said of it,
// the last in x-forwarded-for, or where the connection comes from.
func (c *Client) ip(h *http1.Head) netip.Addr {
	if a, ok := forwardedFor(h); ok {
		return a
	}
	return c.Remote.Addr()
}

// forwardedFor is the last address in x-forwarded-for, if there is one.
func forwardedFor(h *http1.Head) (netip.Addr, bool) {
	v, ok := together(h, "x-forwarded-for")
	if !ok {
		return netip.Addr{}, false
	}
	last := bytes.Trim(v[bytes.LastIndexByte(v, ',')+1:], " \t")
	a, err := netip.ParseAddr(string(last))
	return a, err == nil && a.Zone() == ""
}

// maxHashed is how many policies a route may have: as many as Client has bits.
const maxHashed = 64

func (v *validator) hash(path string, list []HashPolicy) {
	if len(list) > maxHashed {
		v.fail(path, "has %d entries, want at most %d", len(list), maxHashed)
	}
	for i, p := range list {
		path := fmt.Sprintf("%s[%d]", path, i)
		given := 0
		for _, has := range []bool{p.Header != "", p.Cookie != "", p.Query != "", p.SourceIP} {
			if has {
				given++
			}
		}
		if given != 1 {
			v.fail(path, "has %d of header, cookie, query_parameter and source_ip, want one of them", given)
		}
		if p.Give != nil {
			v.give(path, &p)
		}
	}
}
