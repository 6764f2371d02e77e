package load

import (
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// maxTimeout bounds a request, and with it what a histogram has to hold.
const maxTimeout = 60 * time.Second

// MaxRate is how many requests a second an open loop may ask for.
const MaxRate = 10_000_000

// Config says what Run sends, how fast, for how long and which answer is right.
// Durations are nanoseconds in JSON.
type Config struct {
	Target  netip.AddrPort `json:"target"`
	Method  string         `json:"method,omitempty"` // default GET; no request body is sent
	Path    string         `json:"path,omitempty"`   // default /
	Host    string         `json:"host,omitempty"`   // default Target
	Headers []Header       `json:"headers,omitempty"`

	Connections int     `json:"connections,omitempty"` // default 1
	Rate        float64 `json:"rate,omitempty"`        // requests a second over all connections; 0 is closed loop
	// Close asks for one request per connection ("Connection: close"); the
	// connection's set-up is part of the request.
	Close bool `json:"close,omitempty"`

	Warmup      time.Duration `json:"warmup_ns,omitempty"`    // requests that start in it are not counted
	Duration    time.Duration `json:"duration_ns,omitempty"`  // 0: until MaxRequests
	MaxRequests uint64        `json:"max_requests,omitempty"` // after the warm-up; 0: until Duration
	Timeout     time.Duration `json:"timeout_ns,omitempty"`   // a request, from its (intended) start; default 10 s, at most 60 s
	// Spin makes the open loop poll for the last stretch before each intended
	// start instead of sleeping, which wakes 15 us late at best. It costs CPU
	// that the system under test may need.
	Spin time.Duration `json:"spin_ns,omitempty"`

	Check Check `json:"check"`
	Placement
}

// Header is one request header field.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Check says which answer is right. A wrong status is an error of kind status,
// everything else one of kind wrong.
type Check struct {
	Status   int      `json:"status,omitempty"`   // default 200
	BodyLen  *int64   `json:"body_len,omitempty"` // bytes, after chunked decoding
	Body     string   `json:"body,omitempty"`     // the exact body
	Contains []string `json:"contains,omitempty"` // each must occur in the body
	Excludes []string `json:"excludes,omitempty"` // none may occur in the body
	MaxBody  int      `json:"max_body,omitempty"` // bytes kept for Contains and Excludes; a longer body is wrong; default 1 MiB
}

// Placement is where Main puts the process.
type Placement struct {
	CPUs []int `json:"cpus,omitempty"` // processors the process may use; empty: as inherited
}

// withDefaults checks c and returns it with the defaults filled in.
func (c Config) withDefaults() (Config, error) {
	if !c.Target.IsValid() || c.Target.Port() == 0 {
		return c, failure.Usagef("load: target %q is not an address and a port", c.Target)
	}
	if c.Method == "" {
		c.Method = "GET"
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if c.Host == "" {
		c.Host = c.Target.String()
	}
	if c.Connections == 0 {
		c.Connections = 1
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.Check.Status == 0 {
		c.Check.Status = 200
	}
	if c.Check.MaxBody == 0 {
		c.Check.MaxBody = 1 << 20
	}
	switch {
	case c.Connections < 1 || c.Connections > 10000:
		return c, failure.Usagef("load: connections is %d, want 1 to 10000", c.Connections)
	case !(c.Rate >= 0 && c.Rate <= MaxRate):
		return c, failure.Usagef("load: rate is %g, want 0 (closed loop) to %d requests a second", c.Rate, MaxRate)
	case c.Warmup < 0 || c.Duration < 0 || c.Spin < 0 || c.Spin > time.Second:
		return c, failure.Usagef("load: warm-up and duration must not be negative, spin 0 to 1 s")
	case c.Duration == 0 && c.MaxRequests == 0:
		return c, failure.Usagef("load: neither duration nor max_requests is set")
	case c.Timeout < time.Millisecond || c.Timeout > maxTimeout:
		return c, failure.Usagef("load: timeout is %v, want 1 ms to %v", c.Timeout, maxTimeout)
	case c.Check.Status < 200 || c.Check.Status > 599:
		return c, failure.Usagef("load: expected status is %d, want 200 to 599", c.Check.Status)
	case c.Path[0] != '/' && c.Path != "*":
		return c, failure.Usagef("load: path %q does not begin with /", c.Path)
	}
	for _, h := range c.Headers {
		if strings.EqualFold(h.Name, "connection") || strings.EqualFold(h.Name, "host") || strings.EqualFold(h.Name, "content-length") {
			return c, failure.Usagef("load: header %s is set by the generator; use the field of the configuration", h.Name)
		}
	}
	if s := string(c.request()); strings.Count(s, "\n") != strings.Count(s, "\r\n") || strings.Count(s, "\r\n") != 3+len(c.Headers)+btoi(c.Close) ||
		strings.Count(s, "\r") != strings.Count(s, "\r\n") || strings.Contains(c.Path+c.Method, " ") {
		return c, failure.Usagef("load: method, path, host and headers must not hold line ends, method and path no spaces")
	}
	return c, nil
}

// request returns the bytes of one request.
func (c Config) request() []byte {
	b := []byte(c.Method + " " + c.Path + " HTTP/1.1\r\nHost: " + c.Host + "\r\n")
	for _, h := range c.Headers {
		b = append(b, h.Name+": "+h.Value+"\r\n"...)
	}
	if c.Close {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// kind is a class of error.
type kind uint8

const (
	errConnect kind = iota
	errReset
	errMissing
	errTimeout
	errStatus
	errWrong
	errParse
	kinds
)

func (k kind) String() string {
	if k < kinds {
		return [...]string{"connect", "reset", "missing", "timeout", "status", "wrong", "parse"}[k]
	}
	return "kind " + strconv.Itoa(int(k))
}
