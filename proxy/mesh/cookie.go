package mesh

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/meshnic/meshnic/proxy/http1"
)

// GivenCookie is what a cookie is that the proxy gives.
type GivenCookie struct {
	TTL        time.Duration     `json:"ttl,omitempty"` // in whole seconds; 0 is for the browser's session
	Path       string            `json:"path,omitempty"`
	Attributes []CookieAttribute `json:"attributes,omitempty"`
}

// CookieAttribute is one more attribute of a GivenCookie.
type CookieAttribute struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
}

// appendCookie appends the value of the cookies that c is given, the same for all
// requests on its connection: as with Envoy it is a hash of the connection's ends, in
// hexadecimal.
func (c *Client) appendCookie(dst []byte) []byte {
	var text [2 * maxAddr]byte
	x := xxhash.Sum64(c.Local.AppendTo(c.Remote.AppendTo(text[:0])))
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, "0123456789abcdef"[x>>shift&15])
	}
	return dst
}

// appendCookies appends the set-cookie fields of what c is given by r.
func (r *RouteEntry) appendCookies(dst []byte, c *Client) []byte {
	for i := range r.hash {
		p := &r.hash[i]
		if c.given&(1<<i) == 0 {
			continue
		}
		dst = append(append(append(dst, "set-cookie: "...), p.Cookie...), `="`...)
		dst = append(c.appendCookie(dst), '"')
		if s := int64(p.Give.TTL / time.Second); s != 0 {
			dst = strconv.AppendInt(append(dst, "; Max-Age="...), s, 10)
		}
		if p.Give.Path != "" {
			dst = append(append(dst, "; Path="...), p.Give.Path...)
		}
		for _, a := range p.Give.Attributes {
			if dst = append(append(dst, "; "...), a.Name...); a.Value != "" {
				dst = append(append(dst, '='), a.Value...)
			}
		}
		dst = append(dst, "; HttpOnly\r\n"...)
	}
	return dst
}

func (v *validator) give(path string, p *HashPolicy) {
	if p.Cookie == "" {
		v.fail(path, "gives a cookie without a name")
	}
	if p.Give.TTL < 0 {
		v.fail(path+".cookie.ttl", "is %v, want 0 (a session) or more", p.Give.TTL)
	}
	text := p.Cookie + p.Give.Path
	for _, a := range p.Give.Attributes {
		if text += a.Name + a.Value; a.Name == "" {
			v.fail(path+".cookie.attributes", "has one without a name")
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		v.fail(path+".cookie", "%q has a control character", text)
	}
}

// cookie is the value of a request's cookie, without quotes. An empty one counts
// as none, as with Envoy.
func cookie(h *http1.Head, name string) ([]byte, bool) {
	for i := range h.Fields() {
		f := &h.Fields()[i]
		if !http1.EqualFold(h.Bytes(f.Name), "cookie") || !visible(h, f) {
			continue
		}
		for rest := valueOf(h, f); len(rest) > 0; {
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
