package load

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

// ServeConfig describes the null server.
type ServeConfig struct {
	Listen      netip.AddrPort `json:"listen"`                 // port 0: any free one
	Body        string         `json:"body,omitempty"`         // default: 200 bytes of JSON
	Size        int            `json:"size,omitempty"`         // of a body of so many x instead, bytes, at most 64 MiB
	ContentType string         `json:"content_type,omitempty"` // default application/json
	Placement

	// Ready is called once, with the address, when connections are accepted.
	Ready func(netip.AddrPort) `json:"-"`
}

// ServeResult is what a server of this package has done.
type ServeResult struct {
	Schema      string  `json:"schema"`
	Mode        string  `json:"mode"`        // "serve", "echo", "sink"
	Requests    uint64  `json:"requests"`    // answered; echo: reads; sink: connections reported on
	Refused     uint64  `json:"refused"`     // answered with 4xx
	Connections uint64  `json:"connections"` // accepted
	Bytes       uint64  `json:"bytes"`       // received
	CPU         float64 `json:"cpu_us"`      // of the process, from start to end; 0 for sink
}

// NullBody is the default body of Serve: 200 bytes of JSON.
func NullBody() string {
	const begin, end = `{"server":"null","pad":"`, `"}`
	return begin + strings.Repeat("x", 200-len(begin)-len(end)) + end
}

func (c ServeConfig) withDefaults() (ServeConfig, error) {
	switch {
	case c.Size < 0 || c.Size > 64<<20:
		return c, failure.Usagef("load: size is %d, want at most 64 MiB", c.Size)
	case c.Size > 0 && c.Body != "":
		return c, failure.Usagef("load: body and size are two bodies; leave one out")
	case c.Size > 0:
		c.Body = strings.Repeat("x", c.Size)
	case c.Body == "":
		c.Body = NullBody()
	}
	if c.ContentType == "" {
		c.ContentType = "application/json"
	}
	if strings.ContainsAny(c.ContentType, "\r\n") {
		return c, failure.Usagef("load: content type must not hold line ends")
	}
	return c, nil
}

// answers are the null server's prepared answers: to keep the connection, to
// close it, and to HTTP/1.0 clients that asked to keep it.
func (c ServeConfig) answers() (keep, last, keep10 []byte) {
	make := func(connection string) []byte {
		return []byte("HTTP/1.1 200 OK\r\nContent-Type: " + c.ContentType + "\r\nContent-Length: " + strconv.Itoa(len(c.Body)) +
			"\r\n" + connection + "\r\n" + c.Body)
	}
	return make(""), make("Connection: close\r\n"), make("Connection: keep-alive\r\n")
}
