package bookinfo

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"log"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// details answers with one book, whatever the id.
type details struct {
	burn     func(time.Duration)
	external bool // ENABLE_EXTERNAL_BOOK_SERVICE
}

func newDetails(e env, burn func(time.Duration), l *log.Logger) *details {
	d := &details{burn: burn, external: e.get("ENABLE_EXTERNAL_BOOK_SERVICE", "") == "true"}
	if d.external {
		l.Print("ENABLE_EXTERNAL_BOOK_SERVICE is not supported: /details answers 501")
	}
	return d
}

func (d *details) handle(_ context.Context, r *http.Request) response {
	d.burn(burnDetails)
	health := under(r.URL.Path, "/health")
	if !health && !under(r.URL.Path, "/details") {
		return webrickError(http.StatusNotFound, "`"+r.URL.Path+"' not found.")
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut:
	case http.MethodOptions:
		return response{status: http.StatusOK, fields: []field{{"Allow", "GET, HEAD, OPTIONS, POST, PUT"}}}
	default:
		return webrickError(http.StatusMethodNotAllowed, "unsupported method `"+r.Method+"'.")
	}
	if health {
		return jsonReply(http.StatusOK, `{"status":"Details is healthy"}`)
	}
	id, ok := rubyInteger(lastPart(r.URL.Path))
	switch {
	case !ok:
		return jsonReply(http.StatusBadRequest, `{"error":"please provide numeric product id"}`)
	case d.external:
		return jsonReply(http.StatusNotImplemented, `{"error":"the external book service is not supported by meshnic bookinfo"}`)
	}
	book := struct {
		ID        json.Number `json:"id"`
		Author    string      `json:"author"`
		Year      int         `json:"year"`
		Type      string      `json:"type"`
		Pages     int         `json:"pages"`
		Publisher string      `json:"publisher"`
		Language  string      `json:"language"`
		ISBN10    string      `json:"ISBN-10"`
		ISBN13    string      `json:"ISBN-13"`
	}{
		json.Number(id.String()), "William Shakespeare", 1595, "paperback", 200,
		"PublisherA", "English", "1234567890", "123-1234567890",
	}
	body, err := json.Marshal(book)
	if err != nil {
		panic(err) // a struct of ours always marshals
	}
	return jsonReply(http.StatusOK, string(body))
}

func jsonReply(status int, body string) response {
	return response{status: status, fields: []field{{"Content-Type", "application/json"}}, body: []byte(body)}
}

// webrickError is WEBrick's page for an error it raises itself; it closes.
func webrickError(status int, text ...string) response {
	title := http.StatusText(status)
	var b strings.Builder
	fmt.Fprintf(&b, "<HTML>\n<HEAD><TITLE>%s</TITLE></HEAD>\n<BODY>\n<H1>%s</H1>\n", title, title)
	for _, t := range text {
		fmt.Fprintf(&b, "<P>%s</P>\n", html.EscapeString(t))
	}
	fmt.Fprintf(&b, "<HR>\n<ADDRESS>%s</ADDRESS>\n</BODY>\n</HTML>\n", webrickServer)
	r := response{
		status: status, close: true, body: []byte(b.String()),
		fields: []field{{"Content-Type", "text/html; charset=ISO-8859-1"}},
	}
	return r
}

// under reports whether path is prefix or lies below it.
func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// lastPart is Ruby's path.split("/")[-1]: trailing slashes do not count.
func lastPart(path string) string {
	path = strings.TrimRight(path, "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}

// rubyInteger is Ruby's Integer(string): decimal, 0x, 0b, 0o or plain 0 for
// octal, 0d, a sign, single underscores between digits, white space around.
func rubyInteger(s string) (*big.Int, bool) {
	const longest = 4096 // digits; a request line could not hold many more
	if len(s) > longest {
		return nil, false
	}
	s = strings.Trim(s, " \t\n\v\f\r")
	neg := strings.HasPrefix(s, "-")
	if neg || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	base := 10
	if len(s) > 1 && s[0] == '0' {
		switch s[1] | 0x20 {
		case 'x':
			base, s = 16, s[2:]
		case 'b':
			base, s = 2, s[2:]
		case 'o':
			base, s = 8, s[2:]
		case 'd':
			s = s[2:]
		default:
			base = 8
		}
	}
	if s == "" || s[0] == '_' || s[len(s)-1] == '_' || strings.Contains(s, "__") || strings.ContainsAny(s, "+-") {
		return nil, false
	}
	n, ok := new(big.Int).SetString(strings.ReplaceAll(s, "_", ""), base)
	if ok && neg {
		n.Neg(n)
	}
	return n, ok
}

// quotePath escapes an id for a URL as Python's requests does: reserved
// characters stay, so that "a?b" becomes a path with a query.
func quotePath(id string) string {
	id, _, _ = strings.Cut(id, "#")
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		if c > ' ' && c < 0x7f && !strings.ContainsRune("\"%<>\\^`{|}", rune(c)) {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// rawTarget splits the request target as it came into path and the whole.
func rawTarget(r *http.Request) (path, target string) {
	target = r.RequestURI
	if !strings.HasPrefix(target, "/") { // absolute form
		if u, err := url.Parse(target); err == nil {
			return u.EscapedPath(), target
		}
	}
	path, _, _ = strings.Cut(target, "?")
	return path, target
}
