package mesh

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// pathForm says how a route looks at a path.
type pathForm uint8

const (
	formPath pathForm = iota
	formPrefix
	formSeparated
	formRegex
)

func (r *RouteEntry) compilePath(c *Route) {
	switch {
	case c.Prefix != "":
		r.form, r.path = formPrefix, []byte(c.Prefix)
	case c.Separated != "":
		r.form, r.path = formSeparated, []byte(c.Separated)
	case c.Regex != "":
		r.form, r.path, r.regex = formRegex, []byte(c.Regex), regexp.MustCompile(whole(c.Regex)) // Validate has
	default:
		r.form, r.path = formPath, []byte(c.Path)
	}
}

// takes reports whether the path, without its query, is the route's.
func (r *RouteEntry) takes(path []byte) bool {
	switch r.form {
	case formPrefix:
		return bytes.HasPrefix(path, r.path)
	case formSeparated:
		return bytes.HasPrefix(path, r.path) && (len(path) == len(r.path) || path[len(r.path)] == '/')
	case formRegex:
		return r.regex.Match(path)
	}
	return bytes.Equal(path, r.path)
}

// String names the route for a log.
func (r *RouteEntry) String() string {
	return fmt.Sprintf("%s %s", [...]string{"path", "prefix", "path_separated_prefix", "safe_regex"}[r.form], r.path)
}

func (v *validator) path(path string, r *Route) {
	given := 0
	for _, s := range []string{r.Prefix, r.Path, r.Separated, r.Regex} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1:
		v.fail(path, "has %d of prefix, path, path_separated_prefix and safe_regex, want one of them", given)
	case r.Prefix != "" && r.Prefix[0] != '/':
		v.fail(path+".prefix", "%q does not begin with /", r.Prefix)
	case r.Path != "" && (r.Path[0] != '/' || strings.ContainsAny(r.Path, "?#")):
		v.fail(path+".path", "%q does not begin with / or has a query or fragment", r.Path)
	case r.Separated != "" && (r.Separated[0] != '/' || strings.ContainsAny(r.Separated, "?#") || strings.HasSuffix(r.Separated, "/")):
		v.fail(path+".path_separated_prefix", "%q does not begin with /, or ends in one, or has a query or fragment", r.Separated)
	case r.Regex != "":
		if _, err := regexp.Compile(whole(r.Regex)); err != nil {
			v.fail(path+".safe_regex", "%v", err)
		}
	}
}
