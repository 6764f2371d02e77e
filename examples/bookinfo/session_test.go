package bookinfo

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func name(s string) *string { return &s }

// stamp is when the real Flask 3.1.0 with itsdangerous 2.2.0 signed the
// vectors below.
var stamp = time.Unix(1795467556, 0)

func TestSessionVectors(t *testing.T) {
	for _, tt := range []struct {
		user   *string
		cookie string
	}{
		{name("jason"), "eyJ1c2VyIjoiamFzb24ifQ.awSpJA.Q1NloB5CJM7_kis-bRqUpnVFZCk"},
		{name("izzy"), "eyJ1c2VyIjoiaXp6eSJ9.awSpJA.C44Xq34_8BkafImYJE5pN6LxA5g"},
		{nil, "eyJ1c2VyIjpudWxsfQ.awSpJA.jGTIyAay6iKQW43BLlJHhmqU88Q"},
		{name(`Zoë <Б> "q"`), "eyJ1c2VyIjoiWm9cdTAwZWIgPFx1MDQxMT4gXCJxXCIifQ.awSpJA.8rK1TLWR5McRWAREPYckOHB7pFo"},
		{name(""), "eyJ1c2VyIjoiIn0.awSpJA.xxVpwijDYL3HEwM__dZoQ7XqpSc"},
		{name("\U0001F600"), "eyJ1c2VyIjoiXHVkODNkXHVkZTAwIn0.awSpJA.oCwo2ea7lOxaNZHIJyNCYy9j9aM"},
	} {
		s := session{has: true, user: tt.user}
		require.Equal(t, tt.cookie, s.encode(stamp))
		require.Equal(t, s, decodeSession(tt.cookie, stamp))
	}
	// Deflated: two compressors need not write the same bytes, only the same text.
	long := session{has: true, user: name(strings.Repeat("a", 300))}
	require.Equal(t, long, decodeSession(".eJyrViotTi1SslJKHAVEA6VaACpIdSY.awSpJA.eyDC70xP5oBsD-BxzfGxj3f1dLE", stamp))
	own := long.encode(stamp)
	require.True(t, strings.HasPrefix(own, "."))
	require.Equal(t, long, decodeSession(own, stamp))
}

func TestSessionRefused(t *testing.T) {
	good := "eyJ1c2VyIjoiaXp6eSJ9.awSpJA.C44Xq34_8BkafImYJE5pN6LxA5g"
	resign := func(text string) string {
		return strings.TrimSuffix(text+"."+b64(sign(text)), "\n")
	}
	require.True(t, decodeSession(resign("eyJ1c2VyIjoiaXp6eSJ9.awSpJA"), stamp).has)
	for what, cookie := range map[string]string{
		"empty": "", "no dot": "abc", "one dot": "a.b", "signature": good[:len(good)-3] + "AAA",
		"payload": "f" + good[1:], "time": strings.Replace(good, "awSpJA", "awSpJB", 1),
		"not base64":       resign("***.awSpJA"),
		"no JSON":          resign(b64([]byte("x")) + ".awSpJA"),
		"no user":          resign(b64([]byte(`{"u":1}`)) + ".awSpJA"),
		"a number":         resign(b64([]byte(`{"user":1}`)) + ".awSpJA"),
		"not deflated":     resign("." + b64([]byte(`{"user":"a"}`)) + ".awSpJA"),
		"time too long":    resign("eyJ1c2VyIjoiaXp6eSJ9.awSpJAawSpJAawSpJA"),
		"deflate bomb":     resign("." + b64(deflated([]byte(`{"user":"`+strings.Repeat("a", sessionMax)+`"}`))) + ".awSpJA"),
		"beyond int64 age": resign("eyJ1c2VyIjoiaXp6eSJ9.__________8"),
	} {
		require.Equal(t, session{}, decodeSession(cookie, stamp), what)
	}
	require.Equal(t, session{}, decodeSession(good, stamp.Add(-time.Second)), "from the future")
	require.True(t, decodeSession(good, stamp.Add(sessionAge)).has)
	require.False(t, decodeSession(good, stamp.Add(sessionAge+time.Second)).has, "too old")
}

// Login, signed-in page and API, logout; a cookie that is not ours is ignored.
func TestLogin(t *testing.T) {
	upstream := record(t, always(ok(`{}`)))
	e := vars{}.with("details", upstream.address).with("reviews", upstream.address)
	a := start(t, Options{Service: "productpage", Getenv: e.get})
	form := "Content-Type: application/x-www-form-urlencoded"

	head, body := headBody(t, raw(t, a, posting("/login", "username=jason&passwd=x", form, "Referer: http://a/productpage?x=<b>")))
	cookie := regexp.MustCompile(`Set-Cookie: (session=[\w.-]+); HttpOnly; Path=/$`).FindStringSubmatch(head)
	require.NotNil(t, cookie, head)
	require.Equal(t, "HTTP/1.1 302 FOUND\nServer: gunicorn\nDate: D\nConnection: close\nContent-Type: text/html; charset=utf-8\n"+
		"Content-Length: "+itoa(len(body))+"\nLocation: http://a/productpage?x=%3Cb%3E\nVary: Cookie\n"+cookie[0], undated(head))
	require.NotContains(t, body, "<b>")

	head, body = headBody(t, get(t, a, "/productpage", "Cookie: x=1; "+cookie[1], "end-user: eve"))
	require.Contains(t, head, "\r\nVary: Cookie")
	require.Contains(t, body, ">jason</p>")
	require.Contains(t, body, "Sign out")
	require.NotContains(t, body, `id="sign-in-button"`)
	heads, _ := upstream.seen()
	require.Len(t, heads, 2)
	for _, h := range heads {
		require.Contains(t, h, "\r\nend-user: jason\r\n")
		require.Contains(t, h, "\r\ncookie: x=1; "+cookie[1]+"\r\n")
		require.NotContains(t, h, "eve")
	}
	head, _ = headBody(t, get(t, a, "/api/v1/products/0", "Cookie: "+cookie[1]))
	require.True(t, strings.HasSuffix(head, "\r\nVary: Cookie"), head)

	_, body = headBody(t, get(t, a, "/productpage", "Cookie: session=bad"))
	require.Contains(t, body, `id="sign-in-button"`)
	head, _ = headBody(t, get(t, a, "/api/v1/products/0", "Cookie: session=bad"))
	require.NotContains(t, head, "Vary")
	heads, _ = upstream.seen()
	require.NotContains(t, heads[len(heads)-1], "end-user")

	head, _ = headBody(t, get(t, a, "/logout", "Cookie: "+cookie[1], "Referer: /y"))
	require.Contains(t, head, "HTTP/1.1 302 FOUND\r\n")
	require.True(t, strings.HasSuffix(head, "\r\nLocation: /y\r\nVary: Cookie\r\n"+
		"Set-Cookie: session=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly; Path=/"), head)
	head, _ = headBody(t, get(t, a, "/logout"))
	require.True(t, strings.HasSuffix(head, "\r\nLocation: None"), head)

	for what, request := range map[string]string{
		"the query counts before the form": posting("/login?username=jason", "username=eve", form),
		"multipart": posting("/login", "--b\r\nContent-Disposition: form-data; name=\"username\"\r\n\r\njason\r\n--b--\r\n",
			"Content-Type: multipart/form-data; boundary=b"),
	} {
		head, _ = headBody(t, raw(t, a, request))
		require.Equal(t, "jason", signedIn(t, head), what)
	}
	head, _ = headBody(t, raw(t, a, posting("/login", "")))
	require.Contains(t, head, "\r\nSet-Cookie: session=eyJ1c2VyIjpudWxsfQ.", "no user is null")
}

func signedIn(t *testing.T, head string) string {
	t.Helper()
	m := regexp.MustCompile(`Set-Cookie: session=([\w.-]+);`).FindStringSubmatch(head)
	require.NotNil(t, m, head)
	return decodeSession(m[1], time.Now()).name()
}

// A name that no header can carry fails the calls, and is escaped on the page.
func TestOddUsers(t *testing.T) {
	upstream := record(t, always(ok(`{}`)))
	e := vars{}.with("details", upstream.address).with("reviews", upstream.address)
	a := start(t, Options{Service: "productpage", Getenv: e.get})
	for _, tt := range []struct{ user, header string }{
		{"Zoë", "Zo\xeb"}, {"Б", ""}, {" x", ""}, {"a\r\nX: 1", ""}, {`<script>"`, `<script>"`},
	} {
		before, _ := upstream.seen()
		cookie := http.Cookie{Name: "session", Value: session{has: true, user: &tt.user}.encode(time.Now())}
		head, body := headBody(t, get(t, a, "/productpage", "Cookie: "+cookie.String()))
		require.Contains(t, head, "200 OK")
		require.NotContains(t, body, "<script>\"")
		after, _ := upstream.seen()
		if tt.header == "" {
			require.Len(t, after, len(before), tt.user)
			require.Contains(t, body, "Error fetching product details")
			continue
		}
		require.Contains(t, after[len(after)-1], "\r\nend-user: "+tt.header+"\r\n")
	}
}
