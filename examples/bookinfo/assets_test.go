package bookinfo

import (
	"bytes"
	"image/png"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAssets(t *testing.T) {
	a := start(t, Options{Service: "productpage"})
	head, body := headBody(t, get(t, a, "/static/img/izzy.png"))
	require.Regexp(t, `^HTTP/1.1 200 OK
Server: gunicorn
Date: D
Connection: close
Content-Disposition: inline; filename=izzy.png
Content-Type: image/png
Content-Length: `+itoa(len(body))+`
Last-Modified: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT
Cache-Control: no-cache
ETag: "[0-9a-f]{16}"$`, undated(head))
	_, err := png.Decode(bytes.NewReader([]byte(body)))
	require.NoError(t, err)

	tag := regexp.MustCompile(`ETag: (\S+)`).FindStringSubmatch(head)[1]
	now := time.Now().UTC()
	for _, tt := range []struct {
		line  string
		fresh bool
	}{
		{"If-None-Match: " + tag, true},
		{`If-None-Match: "x", W/` + tag, true},
		{"If-None-Match: *", true},
		{`If-None-Match: "x"`, false},
		{"If-Modified-Since: " + now.Add(time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"), true},
		{"If-Modified-Since: " + now.Add(-time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"), false},
		{"If-Modified-Since: yesterday", false},
	} {
		t.Run(tt.line, func(t *testing.T) {
			h, b := headBody(t, get(t, a, "/static/img/izzy.png", tt.line))
			if !tt.fresh {
				require.True(t, strings.HasPrefix(h, "HTTP/1.1 200 OK\r\n"), h)
				return
			}
			require.Equal(t, "HTTP/1.1 304 NOT MODIFIED\nServer: gunicorn\nDate: D\nConnection: close\n"+
				"Content-Disposition: inline; filename=izzy.png\nCache-Control: no-cache\nETag: "+tag, undated(h))
			require.Empty(t, b)
		})
	}
}

// Every class that the pages use has a rule, so that they look as meant.
func TestStylesheetCoversPages(t *testing.T) {
	css, err := static.ReadFile("static/tailwind/tailwind.css")
	require.NoError(t, err)
	page, err := templates.ReadFile("templates/productpage.html")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllSubmatch(page, -1) {
		for _, class := range strings.Fields(string(m[1])) {
			if strings.Contains(class, "{{") {
				continue
			}
			escaped := strings.NewReplacer("/", `\/`, ":", `\:`).Replace(class)
			require.Contains(t, string(css), "."+escaped+" ", "no rule for %s", class)
		}
	}
}
