package bookinfo

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// pageWait is how long productpage waits for a connection and between reads.
const pageWait = 3 * time.Second

// reviewsTries is twice, on purpose: Istio's fault-injection task shows the
// 6 s that it costs when reviews hangs.
const reviewsTries = 2

// productpage is the front: pages, sessions, and an API over the other three.
type productpage struct {
	burn    func(time.Duration)
	log     *log.Logger
	now     func() time.Time
	flood   int // FLOOD_FACTOR
	pages   *pages
	assets  map[string]asset
	results *results

	details, reviews, ratings upstream
}

func newProductpage(e env, burn func(time.Duration), l *log.Logger) (*productpage, error) {
	p := &productpage{burn: burn, log: l, now: time.Now, results: newResults()}
	for name, u := range map[string]*upstream{"details": &p.details, "reviews": &p.reviews, "ratings": &p.ratings} {
		a, err := e.upstream(name)
		if err != nil {
			return nil, err
		}
		*u = upstream{authority: a, timeout: pageWait}
	}
	var err error
	flood := e.get("FLOOD_FACTOR", "0")
	if p.flood, err = strconv.Atoi(flood); err != nil {
		return nil, failure.New(failure.Usage, fmt.Sprintf("bookinfo: FLOOD_FACTOR is %q", flood), "not a number",
			"set it to how many extra requests to reviews a page shall make, or unset it")
	}
	p.pages = newPages()
	p.assets = newAssets(time.Now())
	return p, nil
}

func (p *productpage) waits(d time.Duration) {
	p.details.timeout, p.reviews.timeout, p.ratings.timeout = d, d, d
}

func (p *productpage) handle(ctx context.Context, r *http.Request) response {
	p.burn(burnPageRequest)
	path := "/" + strings.TrimLeft(r.URL.Path, "/")
	route, allow := p.route(ctx, path)
	if route == nil {
		return htmlError(http.StatusNotFound, "The requested URL was not found on the server. "+
			"If you entered the URL manually please check your spelling and try again.")
	}
	method := r.Method
	if method == http.MethodHead && allow == allowGet {
		method = http.MethodGet
	}
	switch {
	case method == http.MethodOptions:
		return response{status: http.StatusOK, fields: []field{
			{"Content-Type", textHTML}, {"Allow", allow}, {"Content-Length", "0"},
		}}
	case !strings.Contains(allow, method):
		resp := htmlError(http.StatusMethodNotAllowed, "The method is not allowed for the requested URL.")
		resp.fields = []field{resp.fields[0], {"Allow", allow}, resp.fields[1]}
		return resp
	}
	return route(r)
}

const (
	textHTML  = "text/html; charset=utf-8"
	allowGet  = "GET, HEAD, OPTIONS"
	allowPost = "OPTIONS, POST"
)

// route returns the handler of a path and the methods it takes.
func (p *productpage) route(ctx context.Context, path string) (func(*http.Request) response, string) {
	switch path {
	case "/", "/index.html":
		return func(*http.Request) response { return p.index() }, allowGet
	case "/health":
		return func(*http.Request) response { return pageReply(textHTML, []byte("Product page is healthy")) }, allowGet
	case "/login":
		return p.login, allowPost
	case "/logout":
		return p.logout, allowGet
	case "/productpage":
		return func(r *http.Request) response { return p.front(ctx, r) }, allowGet
	case "/metrics":
		return func(*http.Request) response { return pageReply(textHTML, p.results.text()) }, allowGet
	case "/api/v1/products":
		return func(*http.Request) response { return pageReply("application/json", products()) }, allowGet
	}
	if a, ok := p.assets[path]; ok {
		return a.serve, allowGet
	}
	rest, ok := strings.CutPrefix(path, "/api/v1/products/")
	id, kind, _ := strings.Cut(rest, "/")
	if !ok || id == "" {
		return nil, ""
	}
	switch {
	case rest == id:
		return func(r *http.Request) response { return p.api(ctx, r, "details", id) }, allowGet
	case kind == "reviews" || kind == "ratings":
		return func(r *http.Request) response { return p.api(ctx, r, kind, id) }, allowGet
	}
	return nil, ""
}

// front is /productpage: details, then reviews, then the page.
func (p *productpage) front(ctx context.Context, r *http.Request) response {
	s := sessionOf(r, p.now())
	fields := p.forward(r, s)
	details, err := p.product(ctx, "details", "0", fields)
	if err != nil {
		return p.broken("details", err)
	}
	for range p.flood { // extra requests, one after the other as in the original
		if _, err := p.product(ctx, "reviews", "0", fields); err != nil {
			return p.broken("reviews", err)
		}
	}
	reviews, err := p.product(ctx, "reviews", "0", fields)
	if err != nil {
		return p.broken("reviews", err)
	}
	p.burn(burnPageRender)
	body, err := p.pages.front(s.name(), details, reviews)
	if err != nil {
		return p.broken("reviews", err)
	}
	resp := pageReply(textHTML, body)
	resp.fields = append(resp.fields, field{"Vary", "Cookie"})
	return resp
}

// api is one of the /api/v1/products/ID calls.
func (p *productpage) api(ctx context.Context, r *http.Request, kind, id string) response {
	s := sessionOf(r, p.now())
	a, err := p.product(ctx, kind, id, p.forward(r, s))
	var body []byte
	if err == nil {
		body, err = appendPython(nil, a.value)
	}
	if err != nil {
		return p.broken(kind, err)
	}
	resp := pageReply("application/json", body)
	resp.status = a.status
	if s.has {
		resp.fields = append(resp.fields, field{"Vary", "Cookie"})
	}
	return resp
}

// answer is what productpage makes of another service's response.
type answer struct {
	status int
	value  any
}

// product asks a service for a product. Its error means an answer 200 that is
// not JSON; everything else becomes an answer that says it is unavailable.
func (p *productpage) product(ctx context.Context, kind, id string, fields []field) (answer, error) {
	u, tries := &p.details, 1
	switch kind {
	case "reviews":
		u, tries = &p.reviews, reviewsTries
	case "ratings":
		u = &p.ratings
	}
	status := http.StatusInternalServerError
	for range tries {
		r, err := p.call(ctx, u, "/"+kind+"/"+quotePath(id), fields)
		if err != nil {
			p.log.Printf("%s: %v", kind, err)
			status = http.StatusInternalServerError
			continue
		}
		if status = r.status; status == http.StatusOK {
			p.results.add(kind, status, p.now())
			v, err := parseJSON(r.body)
			return answer{status, v}, err
		}
		p.log.Printf("%s: status %d", kind, status)
	}
	p.results.add(kind, status, p.now())
	sorry := &object{vals: make(map[string]any)}
	sorry.set("error", "Sorry, product "+kind+" are currently unavailable for this book.")
	return answer{status, sorry}, nil
}

// call writes the request head as Python's requests does.
func (p *productpage) call(ctx context.Context, u *upstream, path string, fields []field) (reply, error) {
	p.burn(burnPageCall)
	agent := field{"User-Agent", "python-requests/2.32.3"}
	var rest []byte
	for _, f := range fields {
		v, ok := headerBytes(f.value)
		if !ok {
			return reply{}, fmt.Errorf("bookinfo: %s is no header value", f.name)
		}
		if f.name == "user-agent" { // takes the place of the default
			agent = field{f.name, v}
			continue
		}
		rest = appendField(rest, f.name, v)
	}
	b := append(append([]byte("GET "), path...), " HTTP/1.1\r\n"...)
	b = appendField(b, "Host", u.header())
	b = appendField(b, agent.name, agent.value)
	b = appendField(b, "Accept-Encoding", "gzip, deflate")
	b = appendField(b, "Accept", "*/*")
	b = appendField(b, "Connection", "keep-alive") // though it never reuses one
	return u.get(ctx, append(append(b, rest...), "\r\n"...))
}

// forward returns the fields that productpage adds to its calls.
func (p *productpage) forward(r *http.Request, s session) []field {
	fields := forwardB3(r.Header)
	if s.user != nil {
		fields = append(fields, field{"end-user", *s.user})
	}
	for _, f := range forward(r.Header, productpageHeaders()) {
		fields = append(fields, field{f.name, latin1(f.value)})
	}
	return fields
}

// latin1 reads bytes as WSGI does, so that headerBytes gives the same bytes.
func latin1(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String()
}

// broken is Flask's answer to an exception: here a service that answered 200
// with something else than it should.
func (p *productpage) broken(kind string, err error) response {
	p.log.Printf("%s answered nonsense: %v", kind, err)
	return htmlError(http.StatusInternalServerError, "The server encountered an internal error and was unable to "+
		"complete your request. Either the server is overloaded or there is an error in the application.")
}

func pageReply(contentType string, body []byte) response {
	return response{status: http.StatusOK, body: body, fields: []field{
		{"Content-Type", contentType}, {"Content-Length", strconv.Itoa(len(body))},
	}}
}

func htmlError(status int, text string) response {
	title := http.StatusText(status)
	resp := pageReply(textHTML, fmt.Appendf(nil, "<!doctype html>\n<html lang=en>\n<title>%d %s</title>\n<h1>%s</h1>\n<p>%s</p>\n",
		status, title, title, text))
	resp.status = status
	return resp
}
