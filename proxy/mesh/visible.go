package mesh

import "github.com/meshnic/meshnic/proxy/http1"

// hopByHop are the fields of a request that end with the proxy.
var hopByHop = func() (t [http1.NumIDs]bool) {
	for _, id := range []http1.ID{http1.Connection, http1.KeepAlive, http1.ProxyConnection, http1.TransferEncoding,
		http1.Upgrade, http1.HTTP2Settings, http1.XForwardedClientCert, http1.XEnvoyControl} {
		t[id] = true
	}
	return t
}()

// visible reports whether what looks at h sees its field f. Envoy takes out of a
// request what ends with the proxy before it asks for a route: nobody is routed by a
// field that the upstream does not get.
func visible(h *http1.Head, f *http1.Field) bool {
	switch {
	case f.Nominated:
		return false
	case h.Status != 0: // a response
		return true
	case f.ID == http1.TE:
		return h.TETrailers
	case f.ID == http1.Expect:
		return !h.Expect
	}
	return !hopByHop[f.ID]
}

// valueOf is the value of h's field f as it goes on. It is a copy only where that
// differs from how it came.
func valueOf(h *http1.Head, f *http1.Field) []byte {
	switch {
	case f.ID == http1.TE && h.Status == 0:
		return trailers
	case f.Dirty:
		return h.AppendValue(nil, f)
	}
	return h.Bytes(f.Value)
}

var trailers = []byte("trailers")

// lookup is the value of the first visible field of a name, which is in lower case.
func lookup(h *http1.Head, name string) ([]byte, bool) {
	for i := range h.Fields() {
		if f := &h.Fields()[i]; http1.EqualFold(h.Bytes(f.Name), name) && visible(h, f) {
			return valueOf(h, f), true
		}
	}
	return nil, false
}
