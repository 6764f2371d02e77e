package mesh

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/meshnic/meshnic/proxy/http1"
)

// HashPolicy is one thing of a request that RingHash and Maglev place it by: the
// values of a header, or of a cookie.
type HashPolicy struct {
	Header   string `json:"header,omitempty"`
	Cookie   string `json:"cookie,omitempty"`
	Terminal bool   `json:"terminal,omitempty"` // if the request has a hash by now, the rest is not looked at
}

// Hash returns the hash of a request by the route's policies, false if it has
// nothing that they look at. It allocates nothing.
func (r *RouteEntry) Hash(h *http1.Head) (hash uint64, ok bool) {
	for i := range r.hash {
		p := &r.hash[i]
		x, found := p.of(h)
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

func (p *HashPolicy) of(h *http1.Head) (hash uint64, ok bool) {
	if p.Cookie != "" {
		v, ok := cookie(h, p.Cookie)
		return xxhash.Sum64(v), ok
	}
	if joinedOfRequests[p.Header] {
		v, ok := together(h, p.Header)
		return seeded(v, 0), ok
	}
	var values [maxValues][]byte
	n := 0
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if n < maxValues && http1.EqualFold(h.Bytes(f.Name), p.Header) {
			values[n] = h.Bytes(f.Value)
			n++
		}
	}
	slices.SortFunc(values[:n], bytes.Compare) // their order means nothing
	for _, v := range values[:n] {
		hash = seeded(v, hash)
	}
	return hash, n > 0
}

// cookie is the value of a request's cookie, without quotes. An empty one counts
// as none, as with Envoy.
func cookie(h *http1.Head, name string) ([]byte, bool) {
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if !http1.EqualFold(h.Bytes(f.Name), "cookie") {
			continue
		}
		for rest := h.Bytes(f.Value); len(rest) > 0; {
			var pair []byte
			pair, rest, _ = bytes.Cut(rest, []byte(";"))
			k, v, ok := bytes.Cut(bytes.TrimLeft(pair, " "), []byte("="))
			if !ok || string(k) != name {
				continue
			}
			v = bytes.TrimRight(v, " ")
			if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, len(v) > 0
		}
	}
	return nil, false
}
