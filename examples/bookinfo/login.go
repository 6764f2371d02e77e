package bookinfo

import (
	"fmt"
	"html"
	"net/http"
	"strings"
)

// login signs a user in: any name will do.
func (p *productpage) login(r *http.Request) response {
	s := session{has: true}
	// The query counts before the form, and the password is not looked at.
	if q := r.URL.Query(); q.Has("username") {
		v := q.Get("username")
		s.user = &v
	} else if r.ParseMultipartForm(bodyMax); r.PostForm.Has("username") {
		v := r.PostForm.Get("username")
		s.user = &v
	} else if r.MultipartForm != nil && len(r.MultipartForm.Value["username"]) > 0 {
		s.user = &r.MultipartForm.Value["username"][0]
	}
	resp := redirect(r)
	resp.fields = append(resp.fields, field{"Vary", "Cookie"}, setCookie(s.encode(p.now())))
	return resp
}

func (p *productpage) logout(r *http.Request) response {
	resp := redirect(r)
	if sessionOf(r, p.now()).has {
		resp.fields = append(resp.fields, field{"Vary", "Cookie"}, dropCookie())
	}
	return resp
}

// redirect leads back to where the request came from; "None" is what Python
// makes of nowhere.
func redirect(r *http.Request) response {
	to := r.Referer()
	if to == "" {
		to = "None"
	}
	link := html.EscapeString(to)
	resp := pageReply(textHTML, fmt.Appendf(nil, "<!doctype html>\n<html lang=en>\n<title>Redirecting...</title>\n"+
		"<h1>Redirecting...</h1>\n<p>Back to <a href=\"%s\">%s</a>.</p>\n", link, link))
	resp.status = http.StatusFound
	resp.fields = append(resp.fields, field{"Location", locationValue(to)})
	return resp
}

// locationValue escapes what may not stand in a URL.
func locationValue(to string) string {
	var b strings.Builder
	for i := range len(to) {
		if c := to[i]; c <= ' ' || c >= 0x7f || strings.ContainsRune("\"<>\\^`{|}", rune(c)) {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
