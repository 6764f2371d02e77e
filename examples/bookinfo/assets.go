package bookinfo

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed static
var static embed.FS

// asset is a file under /static with what Flask says about it.
type asset struct {
	fields []field // without Last-Modified and Content-Length
	etag   string
	body   []byte
	since  time.Time // of the server's start: an embedded file has no time of its own
}

// newAssets returns the files of /static by path.
func newAssets(now time.Time) map[string]asset {
	out := make(map[string]asset)
	for name, kind := range map[string]string{
		"static/tailwind/tailwind.css": "text/css; charset=utf-8",
		"static/img/izzy.png":          "image/png",
	} {
		body, err := static.ReadFile(name)
		if err != nil {
			panic(err) // the file is part of this package
		}
		sum := sha256.Sum256(body)
		out["/"+name] = asset{
			fields: []field{{"Content-Disposition", "inline; filename=" + path.Base(name)}, {"Content-Type", kind}},
			etag:   `"` + hex.EncodeToString(sum[:8]) + `"`,
			body:   body, since: now.UTC().Truncate(time.Second),
		}
	}
	return out
}

func (a asset) serve(r *http.Request) response {
	tail := []field{{"Cache-Control", "no-cache"}, {"ETag", a.etag}}
	if a.fresh(r.Header) {
		return response{status: http.StatusNotModified, fields: append(a.fields[:1:1], tail...)}
	}
	f := append(a.fields[:2:2],
		field{"Content-Length", strconv.Itoa(len(a.body))},
		field{"Last-Modified", a.since.Format(http.TimeFormat)})
	return response{status: http.StatusOK, fields: append(f, tail...), body: a.body}
}

// fresh reports whether the client's copy is this one. If-None-Match, when
// there is one, decides alone (RFC 9110 §13.2.2).
func (a asset) fresh(h http.Header) bool {
	if match := h.Get("If-None-Match"); match != "" {
		for tag := range strings.SplitSeq(match, ",") {
			if t := strings.TrimPrefix(strings.TrimSpace(tag), "W/"); t == a.etag || t == "*" {
				return true
			}
		}
		return false
	}
	t, err := http.ParseTime(h.Get("If-Modified-Since"))
	return err == nil && !a.since.After(t)
}
