package bookinfo

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// exchange is a row of a contract: a request and the whole response, Date
// replaced by D, lines separated by \n in the head.
type exchange struct{ name, request, head, body string }

func (x exchange) run(t *testing.T, address string) {
	t.Run(x.name, func(t *testing.T) {
		head, body := headBody(t, raw(t, address, x.request))
		require.Equal(t, x.head, undated(head))
		require.Equal(t, x.body, body)
	})
}

func closing(method, path string, lines ...string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + crlf(lines) + "\r\n"
}

func posting(path, body string, lines ...string) string {
	return closing("POST", path, append(lines, "Content-Length: "+itoa(len(body)))...) + body
}

// Bytes measured on the real details, reference §5.
func TestDetailsContract(t *testing.T) {
	a := start(t, Options{Service: "details"})
	const server = "\nServer: " + webrickServer + "\nDate: D\n"
	book := func(id string) string {
		return `{"id":` + id + `,"author":"William Shakespeare","year":1595,"type":"paperback","pages":200,` +
			`"publisher":"PublisherA","language":"English","ISBN-10":"1234567890","ISBN-13":"123-1234567890"}`
	}
	require.Len(t, book("0"), 178)
	json := func(status, body string) string {
		return "HTTP/1.1 " + status + "\nContent-Type: application/json" + server + "Content-Length: " + itoa(len(body)) + "\nConnection: close"
	}
	for id, says := range map[string]string{
		"/details/0": "0", "/details/1": "1", "/details/-3": "-3", "/details/+3": "3", "/details/0x10": "16",
		"/details/0/1": "1", "/details/7/": "7", "/details/010": "8", "/details/0b101": "5", "/details/0o17": "15",
		"/details/0d9": "9", "/details/1_000": "1000", "/details/%31": "1", "/details/0?x=/abc": "0",
		"/details/123456789012345678901234567890": "123456789012345678901234567890",
	} {
		exchange{id, closing("GET", id), json("200 OK", book(says)), book(says)}.run(t, a)
	}
	const bad = `{"error":"please provide numeric product id"}`
	for _, id := range []string{"/details/abc", "/details", "/details/", "/details/1__0", "/details/_1", "/details/08", "/details/1.0", "/details/0x", "/details/0x_1", "/details/--1"} {
		exchange{id, closing("GET", id), json("400 Bad Request", bad), bad}.run(t, a)
	}
	const health = `{"status":"Details is healthy"}`
	for _, x := range []exchange{
		{"health", closing("GET", "/health"), json("200 OK", health), health},
		{"POST is GET", posting("/details/0", "x"), json("200 OK", book("0")), book("0")},
		{"PUT is GET", closing("PUT", "/details/0"), json("200 OK", book("0")), book("0")},
		{"HEAD", closing("HEAD", "/details/0"), json("200 OK", book("0")), ""},
		{"OPTIONS", closing("OPTIONS", "/details/0"), "HTTP/1.1 200 OK\nAllow: GET, HEAD, OPTIONS, POST, PUT" + server + "Content-Length: 0\nConnection: close", ""},
		{"HTTP/1.0 is answered with 1.1", "GET /health HTTP/1.0\r\n\r\n", json("200 OK", health), health},
	} {
		x.run(t, a)
	}
	t.Run("kept alive", func(t *testing.T) {
		got := raw(t, a, "GET /details/x HTTP/1.1\r\nHost: x\r\n\r\n"+closing("GET", "/health"))
		require.Contains(t, got, "Connection: Keep-Alive\r\n")
		require.Contains(t, got, health)
	})
	for name, request := range map[string]string{
		"404": "GET /nope<b> HTTP/1.1\r\nHost: x\r\n\r\n", "405": "DELETE /details/0 HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		t.Run(name+" is HTML and closes", func(t *testing.T) {
			head, body := headBody(t, raw(t, a, request))
			require.Contains(t, head, "HTTP/1.1 "+name)
			require.Contains(t, head, "Content-Type: text/html; charset=ISO-8859-1\r\n")
			require.Contains(t, head, "Connection: close")
			require.Contains(t, body, "<H1>")
			require.NotContains(t, body, "<b>")
		})
	}
}

// Bytes measured on the real ratings.
func TestRatingsContract(t *testing.T) {
	a := start(t, Options{Service: "ratings"})
	head := func(status string) string {
		return "HTTP/1.1 " + status + "\nContent-type: application/json\nDate: D\nConnection: close\nTransfer-Encoding: chunked"
	}
	chunk := func(body string) string {
		return strconv.FormatInt(int64(len(body)), 16) + "\r\n" + body + "\r\n0\r\n\r\n"
	}
	const stars = `"ratings":{"Reviewer1":5,"Reviewer2":4}}`
	require.Len(t, `{"id":0,`+stars, 48)
	for path, id := range map[string]string{
		"/ratings/0": "0", "/ratings/12abc": "12", "/ratings/-1": "-1", "/ratings/+4": "4", "/ratings/0x10": "16",
		"/ratings/1e3": "1", "/ratings/0?a=/7": "7", "/ratings/0?x": "0", "/ratings/99999999999999999999999": "1e+23",
		"/ratings/-0": "0", "/ratings/0/5": "5",
	} {
		exchange{path, closing("GET", path), head("200 OK"), chunk(`{"id":` + id + `,` + stars)}.run(t, a)
	}
	const bad = `{"error":"please provide numeric product ID"}`
	for _, path := range []string{"/ratings/abc", "/ratings/", "/ratings/%35", "/ratings/0/", "/ratings/-", "/ratings/0x"} {
		exchange{path, closing("GET", path), head("400 Bad Request"), chunk(bad)}.run(t, a)
	}
	const notFound = "HTTP/1.1 404 Not Found\nDate: D\nConnection: close\nTransfer-Encoding: chunked"
	for _, path := range []string{"/ratings", "/", "/ratingsx/0", "/x/ratings/3", "/health/"} {
		exchange{path, closing("GET", path), notFound, "0\r\n\r\n"}.run(t, a)
	}
	posted := `{"0":null,"1":1e+21,"b":"é<","f":0,"t":1e-7,"a":[]}`
	const health = `{"status":"Ratings is healthy"}`
	for _, x := range []exchange{
		{"health", closing("GET", "/health?x"), head("200 OK"), chunk(health)},
		{"POST", posting("/ratings/8", `{"b":1.0,"1":1e21,"0":null,"b":"\u00e9<", "f":-0.0, "t":1e-7, "a":[ ]}`), head("200 OK"), chunk(`{"id":8,"ratings":` + posted + `}`)},
		{"stays", closing("GET", "/ratings/8"), head("200 OK"), chunk(`{"id":8,"ratings":` + posted + `}`)},
		{"POST null", posting("/ratings/-1", "null"), head("200 OK"), chunk(`{"id":-1,"ratings":null}`)},
		{"POST bad JSON", posting("/ratings/0", "{]"), head("400 Bad Request"), chunk(`{"error":"please provide valid ratings JSON"}`)},
		{"POST nothing", posting("/ratings/0", ""), head("400 Bad Request"), chunk(`{"error":"please provide valid ratings JSON"}`)},
		{"POST bad id", posting("/ratings/x", "{}"), head("400 Bad Request"), chunk(bad)},
		{"POST elsewhere", posting("/nope", "x"), notFound, "0\r\n\r\n"},
		{"no Host", "GET /ratings/0 HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\nConnection: close\nDate: D\nTransfer-Encoding: chunked", "0\r\n\r\n"},
		{"HTTP/1.0", "GET /ratings/0 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\nContent-type: application/json\nDate: D\nConnection: close", `{"id":0,` + stars},
		{"HTTP/1.0 keep-alive", "GET /ratings/0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK\nContent-type: application/json\nDate: D\nConnection: close", `{"id":0,` + stars},
		{"garbage", "GARBAGE\r\n\r\n", "HTTP/1.1 400 Bad Request\nConnection: close", ""},
		{"unknown method", "BLAH / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\nConnection: close", ""},
		{"head too long", "GET / HTTP/1.1\r\nX: " + strings.Repeat("a", 20000) + "\r\n\r\n", "HTTP/1.1 431 Request Header Fields Too Large\nConnection: close", ""},
	} {
		x.run(t, a)
	}
	t.Run("kept alive", func(t *testing.T) {
		got, _ := headBody(t, raw(t, a, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"+closing("GET", "/health")))
		require.Equal(t, "HTTP/1.1 200 OK\nContent-type: application/json\nDate: D\nConnection: keep-alive\nKeep-Alive: timeout=5\nTransfer-Encoding: chunked", undated(got))
	})
	t.Run("body too long", func(t *testing.T) {
		require.Contains(t, raw(t, a, posting("/ratings/0", strings.Repeat(" ", bodyMax+1))), "HTTP/1.1 413 ")
	})
	t.Run("100-continue", func(t *testing.T) {
		got := raw(t, a, posting("/ratings/5", "1", "Expect: 100-continue"))
		require.True(t, strings.HasPrefix(got, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), got)
	})
}

// Bytes measured on the real reviews.
func TestReviewsContract(t *testing.T) {
	ratings := start(t, Options{Service: "ratings"})
	e := vars{"HOSTNAME": "abcdefghij"}.with("ratings", ratings)
	size := map[string]int{"v1": 341, "v2": 425, "v3": 421}
	body := map[string]string{
		"v1": `{"id": "0","podname": "abcdefghij","clustername": "null","reviews": [{  "reviewer": "Reviewer1",  "text": "` + review1 +
			`"},{  "reviewer": "Reviewer2",  "text": "` + review2 + `"}]}`,
		"v2": `{"id": "0","podname": "abcdefghij","clustername": "null","reviews": [{  "reviewer": "Reviewer1",  "text": "` + review1 +
			`", "rating": {"stars": 5, "color": "black"}},{  "reviewer": "Reviewer2",  "text": "` + review2 + `", "rating": {"stars": 4, "color": "black"}}]}`,
	}
	body["v3"] = strings.ReplaceAll(body["v2"], "black", "red")
	head := func(n int, rest string) string {
		return "HTTP/1.1 200 OK\nX-Powered-By: Servlet/3.1\nContent-Type: application/json\nDate: D\nContent-Language: en\nContent-Length: " + itoa(n) + rest
	}
	for v, want := range body {
		a := start(t, Options{Service: "reviews", Version: v, Getenv: e.get})
		require.Len(t, want, size[v])
		exchange{v, closing("GET", "/reviews/0"), head(size[v], "\nConnection: Close"), want}.run(t, a)
	}
	a := start(t, Options{Service: "reviews", Getenv: vars{"CLUSTER_NAME": "east"}.get})
	const health = `{"status": "Reviews is healthy"}`
	const gone = "\nDate: D\nContent-Language: en\nContent-Length: 0\nConnection: Close"
	for _, x := range []exchange{
		{"health", closing("GET", "/health"), head(len(health), "\nConnection: Close"), health},
		{"HEAD", closing("HEAD", "/health"), head(len(health), "\nConnection: Close"), ""},
		{"post", posting("/reviews/0", ""), "HTTP/1.1 405 Method Not Allowed\nX-Powered-By: Servlet/3.1\nAllow: GET,HEAD,OPTIONS" + gone, ""},
	} {
		x.run(t, a)
	}
	t.Run("no Connection when kept", func(t *testing.T) {
		h, b := headBody(t, raw(t, a, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"+closing("HEAD", "/health")))
		require.Equal(t, head(len(health), ""), undated(h))
		require.True(t, strings.HasPrefix(b, health+"HTTP/1.1 200 OK\r\n"), b)
	})
	for _, path := range []string{"/", "/reviews/abc", "/reviews/2147483648", "/reviews/1/2", "/reviews/", "/nope"} {
		exchange{path, "GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found\nX-Powered-By: Servlet/3.1\nAllow: OPTIONS" + gone, ""}.run(t, a)
	}
	for path, id := range map[string]string{"/reviews/-3": "-3", "/reviews/+7": "7", "/reviews/007": "7", "/reviews/1/": "1", "/reviews/2147483647": "2147483647"} {
		_, b := headBody(t, get(t, a, path))
		require.True(t, strings.HasPrefix(b, `{"id": "`+id+`","podname": "null","clustername": "east",`), b)
	}
}

// Heads measured on the real productpage.
func TestProductpageContract(t *testing.T) {
	a := app(t, "reviews-v3", Native)
	head := func(status, kind string, n int, rest ...string) string {
		return "HTTP/1.1 " + status + "\nServer: gunicorn\nDate: D\nConnection: close\nContent-Type: " + kind +
			"\nContent-Length: " + itoa(n) + strings.Join(rest, "")
	}
	const health = "Product page is healthy"
	book := `{"id": 0, "author": "William Shakespeare", "year": 1595, "type": "paperback", "pages": 200, ` +
		`"publisher": "PublisherA", "language": "English", "ISBN-10": "1234567890", "ISBN-13": "123-1234567890"}`
	sorry := func(kind string) string {
		return `{"error": "Sorry, product ` + kind + ` are currently unavailable for this book."}`
	}
	rated := `{"id": 0, "ratings": {"Reviewer1": 5, "Reviewer2": 4}}`
	require.Len(t, book, 195)
	require.Len(t, rated, 54)
	require.Len(t, products(), 395)
	api := func(status, body string) string { return head(status, "application/json", len(body)) }
	for _, x := range []exchange{
		{"health", closing("GET", "/health"), head("200 OK", textHTML, 23), health},
		{"no Host", "GET /health HTTP/1.1\r\nConnection: close\r\n\r\n", head("200 OK", textHTML, 23), health},
		{"any Host", "GET http://other/health HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n", head("200 OK", textHTML, 23), health},
		{"HTTP/1.0", "GET /health HTTP/1.0\r\n\r\n", strings.Replace(head("200 OK", textHTML, 23), "HTTP/1.1", "HTTP/1.0", 1), health},
		{"HEAD", closing("HEAD", "/health"), head("200 OK", textHTML, 23), ""},
		{"OPTIONS", closing("OPTIONS", "/health"), "HTTP/1.1 200 OK\nServer: gunicorn\nDate: D\nConnection: close\nContent-Type: " + textHTML + "\nAllow: GET, HEAD, OPTIONS\nContent-Length: 0", ""},
		{"products", closing("GET", "/api/v1/products"), head("200 OK", "application/json", 395), string(products())},
		{"product", closing("GET", "/api/v1/products/0"), api("200 OK", book), book},
		{"ratings", closing("GET", "/api/v1/products/0/ratings"), api("200 OK", rated), rated},
		{"details of abc", closing("GET", "/api/v1/products/abc"), api("400 BAD REQUEST", sorry("details")), sorry("details")},
		{"reviews of abc", closing("GET", "/api/v1/products/abc/reviews"), api("404 NOT FOUND", sorry("reviews")), sorry("reviews")},
		{"ratings of abc", closing("GET", "/api/v1/products/abc/ratings"), api("400 BAD REQUEST", sorry("ratings")), sorry("ratings")},
	} {
		x.run(t, a)
	}
	t.Run("reviews", func(t *testing.T) {
		_, b := headBody(t, get(t, a, "/api/v1/products/0/reviews"))
		require.Len(t, b, 419)
		require.True(t, strings.HasPrefix(b, `{"id": "0", "podname": "abcdefghij", "clustername": "null", "reviews": [{"reviewer": "Reviewer1", "text": "An`), b)
	})
	for path, allow := range map[string]string{"/productpage": "GET, HEAD, OPTIONS", "/logout": "GET, HEAD, OPTIONS", "/static/img/izzy.png": "GET, HEAD, OPTIONS"} {
		t.Run("405 "+path, func(t *testing.T) {
			h, _ := headBody(t, raw(t, a, posting(path, "")))
			require.Contains(t, h, "HTTP/1.1 405 METHOD NOT ALLOWED\r\n")
			require.Contains(t, h, "\r\nAllow: "+allow+"\r\n")
		})
	}
	for _, path := range []string{"/nope", "/health/", "/api/v1/products/", "/api/v1/products/0/", "/api/v1/products/0/nope", "/static/nope", "/static/../doc.go"} {
		t.Run("404 "+path, func(t *testing.T) {
			require.Contains(t, get(t, a, path), "HTTP/1.1 404 NOT FOUND\r\n")
		})
	}
	t.Run("GET /login", func(t *testing.T) {
		h, _ := headBody(t, get(t, a, "/login"))
		require.Contains(t, h, "405 METHOD NOT ALLOWED")
		require.Contains(t, h, "\r\nAllow: OPTIONS, POST\r\n")
	})
	t.Run("index", func(t *testing.T) {
		for _, path := range []string{"/", "/index.html"} {
			_, b := headBody(t, get(t, a, path))
			require.Contains(t, b, `href="/productpage?u=normal"`)
			require.Contains(t, b, `href="/productpage?u=test"`)
			require.Contains(t, b, "http://127.0.0.1:")
		}
	})
	t.Run("garbage", func(t *testing.T) {
		require.Contains(t, raw(t, a, "GARBAGE\r\n\r\n"), "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/html\r\n")
	})
}
