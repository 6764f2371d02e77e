package bookinfo

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A style is how the web server under one of the originals writes responses:
// which fields it adds, in which order and spelling, how it frames the body
// and how long it keeps an idle connection. The fields and their order were
// measured on the real servers (and, for gunicorn and Node, once more while
// this was written: gunicorn 23.0.0 with Flask 3.1.0, Node 20.20).
type style struct {
	idle      time.Duration // an idle kept-alive connection is closed after it
	maxHead   int64         // bytes of a request head
	needHost  bool          // an HTTP/1.1 request without Host is refused
	render    func(message) ([]byte, bool)
	malformed func(status int) []byte
}

// message is a response with what its request and its connection add to it.
type message struct {
	response
	head  bool // the request was a HEAD: no body
	minor int  // of the request's HTTP version
	keep  bool // the connection may be kept
	date  string
}

// gunicorn answers productpage: Server, Date and Connection first, then the
// application's fields, reason phrases in upper case, the request's version.
func gunicorn() style {
	return style{
		idle: 2 * time.Second, maxHead: 64 << 10,
		render: func(m message) ([]byte, bool) {
			b := statusLine(nil, m.minor, m.status, strings.ToUpper)
			b = appendField(b, "Server", "gunicorn")
			b = appendField(b, "Date", m.date)
			b = appendField(b, "Connection", pick(m.keep, "keep-alive", "close"))
			return m.finish(appendFields(b, m.fields)), m.keep
		},
		malformed: func(status int) []byte {
			body := "<html><head><title>Bad Request</title></head><body><h1>Bad Request</h1></body></html>\n"
			b := statusLine(nil, 1, status, nil)
			b = appendField(b, "Connection", "close")
			b = appendField(b, "Content-Type", "text/html")
			b = appendField(b, "Content-Length", strconv.Itoa(len(body)))
			return append(append(b, "\r\n"...), body...)
		},
	}
}

// webrickServer is WEBrick's signature in the image of details.
const webrickServer = "WEBrick/1.8.2 (Ruby/3.4.3/2025-04-14)"

// webrick answers details: the application's fields, Server, Date,
// Content-Length, Connection; always HTTP/1.1.
func webrick() style {
	render := func(m message) ([]byte, bool) {
		b := statusLine(nil, 1, m.status, nil)
		b = appendFields(b, m.fields)
		b = appendField(b, "Server", webrickServer)
		b = appendField(b, "Date", m.date)
		b = appendField(b, "Content-Length", strconv.Itoa(len(m.body)))
		b = appendField(b, "Connection", pick(m.keep, "Keep-Alive", "close"))
		return m.finish(b), m.keep
	}
	return style{
		idle: 30 * time.Second, maxHead: 64 << 10, render: render,
		malformed: func(status int) []byte {
			b, _ := render(message{
				response: webrickError(status), date: time.Now().UTC().Format(http.TimeFormat),
			})
			return b
		},
	}
}

// node answers ratings: the application's fields, Date, Connection,
// Keep-Alive, and one chunk; always HTTP/1.1. An HTTP/1.0 client gets the body
// up to the end of the connection.
func node() style {
	return style{
		// Node says timeout=5 and closes a second later (measured).
		idle: 6 * time.Second, maxHead: 16 << 10, needHost: true,
		render: func(m message) ([]byte, bool) {
			keep := m.keep && m.minor > 0
			b := statusLine(nil, 1, m.status, nil)
			explicit := slices.ContainsFunc(m.fields, func(f field) bool { return f.name == "Connection" })
			b = appendFields(b, m.fields)
			if m.status == 400 && m.close && !explicit { // Node's own refusal writes Connection before Date
				b = appendField(b, "Connection", "close")
				explicit = true
			}
			b = appendField(b, "Date", m.date)
			if !explicit {
				b = appendField(b, "Connection", pick(keep, "keep-alive", "close"))
			}
			if keep {
				b = appendField(b, "Keep-Alive", "timeout=5")
			}
			if m.minor == 0 {
				return m.finish(b), false
			}
			b = appendField(b, "Transfer-Encoding", "chunked")
			b = append(b, "\r\n"...)
			if len(m.body) > 0 {
				b = strconv.AppendInt(b, int64(len(m.body)), 16)
				b = append(append(append(b, "\r\n"...), m.body...), "\r\n"...)
			}
			return append(b, "0\r\n\r\n"...), keep
		},
		malformed: func(status int) []byte {
			return append(appendField(statusLine(nil, 1, status, nil), "Connection", "close"), "\r\n"...)
		},
	}
}

// liberty answers reviews: X-Powered-By, the application's fields, Date,
// Content-Language, Content-Length; Connection only to close.
func liberty() style {
	return style{
		idle: 30 * time.Second, maxHead: 64 << 10,
		render: func(m message) ([]byte, bool) {
			b := statusLine(nil, 1, m.status, nil)
			b = appendField(b, "X-Powered-By", "Servlet/3.1")
			b = appendFields(b, m.fields)
			b = appendField(b, "Date", m.date)
			b = appendField(b, "Content-Language", "en")
			b = appendField(b, "Content-Length", strconv.Itoa(len(m.body)))
			if !m.keep {
				b = appendField(b, "Connection", "Close")
			} else if m.minor == 0 {
				b = appendField(b, "Connection", "Keep-Alive")
			}
			return m.finish(b), m.keep
		},
		malformed: func(status int) []byte {
			b := appendField(statusLine(nil, 1, status, nil), "Connection", "Close")
			return append(appendField(b, "Content-Length", "0"), "\r\n"...)
		},
	}
}

func (m message) finish(b []byte) []byte {
	b = append(b, "\r\n"...)
	if m.head || m.status == http.StatusNotModified {
		return b
	}
	return append(b, m.body...)
}

func statusLine(b []byte, minor, status int, reason func(string) string) []byte {
	text := http.StatusText(status)
	if reason != nil {
		text = reason(text)
	}
	b = append(b, "HTTP/1."...)
	b = strconv.AppendInt(b, int64(minor), 10)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(status), 10)
	return append(append(append(b, ' '), text...), "\r\n"...)
}

func appendField(b []byte, name, value string) []byte {
	return append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
}

func appendFields(b []byte, fields []field) []byte {
	for _, f := range fields {
		b = appendField(b, f.name, f.value)
	}
	return b
}

func pick(cond bool, yes, no string) string {
	if cond {
		return yes
	}
	return no
}
