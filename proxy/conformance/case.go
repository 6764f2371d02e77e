package conformance

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Case is a text file AREA/NAME.txt below testdata: one conversation of clients
// and upstream servers with the proxy between them, and what each of them sees. The
// same file is played through the host sidecar, the NIC's offload and, where it is
// at hand, the real Envoy, all of them running from the same bootstrap file.
//
// MESHNIC_UPDATE=1 writes down what is seen. Where that is not what the sidecar
// has, a step has both, the other's below "---- envoy" or "---- nic", and the file
// needs a line "# differs: REASON" or "# nic differs: REASON"; a difference that is
// gone fails the test, as a new one does.
//
// Steps are parted by empty lines; what a step sees follows "----":
//
//	config [NAME]            YAML below it, see caseConfig; NAME.yaml is shared, world if left out
//	client send              writes the quoted strings below it; x3 "a" is "aaa"
//	client recv [head]       reads a response, its head alone after a HEAD request
//	client closed            waits for the proxy to close
//	client shutdown|close|reset   closes the sending side, or all
//	client open              goes on with a new connection; client2, client3 ... are others
//	ask [answer] [seen]      sends a request a line, see asks, and says where it went
//	upstream recv [head]     reads a request, or its head alone
//	upstream read N          reads N bytes
//	upstream send            writes the quoted strings below it
//	upstream closed          waits for the proxy to close
//	upstream close|reset     closes
//	upstream use N           goes on with connection N
//	upstream quiet           sees that nothing comes
//	wait 300ms
//	log                      the case's access log, when it is over
//	stats                    the case's counters that are not 0, when it is over
type Case struct {
	Name    string // AREA/NAME
	path    string
	comment []string
	steps   []step
}

type step struct {
	cmd   string
	text  []string         // below the command
	want  string           // what is seen with the sidecar
	other map[Proxy]string // with another, where that differs
}

// Proxy says who else holds the conversations.
type Proxy string

// The proxies.
const (
	Sidecar Proxy = ""
	Envoy   Proxy = "envoy"
	NIC     Proxy = "nic"
)

// differs is the comment that a file needs where a proxy is not like the sidecar.
var differs = map[Proxy]string{Envoy: "# differs: ", NIC: "# nic differs: "}

// Differs reports whether the file says why p is not like the sidecar.
func (c *Case) Differs(p Proxy) bool {
	return slices.ContainsFunc(c.comment, func(l string) bool { return strings.HasPrefix(l, differs[p]) })
}

// Load reads the cases below root, this package's testdata.
func Load(t testing.TB, root string) (all []Case) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".txt") {
			c := parseCase(t, path)
			c.Name = strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), filepath.ToSlash(root)+"/"), ".txt")
			all = append(all, c)
		}
		return err
	}))
	return all
}

func parseCase(t testing.TB, path string) Case {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	c := Case{path: path}
	var s *step
	out := func(string) {}
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		switch {
		case s == nil && strings.HasPrefix(line, "#"):
			c.comment = append(c.comment, line)
		case line == "":
			s = nil
		case s == nil:
			c.steps = append(c.steps, step{cmd: line})
			s = &c.steps[len(c.steps)-1]
			out = func(l string) { s.text = append(s.text, l) }
		case line == "----":
			out = func(l string) { s.want += l + "\n" }
		case strings.HasPrefix(line, "---- "):
			p := Proxy(line[len("---- "):])
			s.set(p, "")
			out = func(l string) { s.other[p] += l + "\n" }
		default:
			out(line)
		}
	}
	return c
}

// data is what a step sends.
func (s *step) data() (out []byte, err error) {
	for _, line := range s.text {
		n := 1
		if rest, ok := strings.CutPrefix(line, "x"); ok {
			count, q, _ := strings.Cut(rest, " ")
			if n, err = strconv.Atoi(count); err != nil {
				return nil, err
			}
			line = q
		}
		u, err := strconv.Unquote(line)
		if err != nil {
			return nil, err
		}
		out = append(out, strings.Repeat(u, n)...)
	}
	return out, nil
}

// Sends are the things that clients say.
func (c *Case) Sends() (all [][]byte) {
	for i := range c.steps {
		if s := &c.steps[i]; s.cmd == "client send" {
			if b, err := s.data(); err == nil {
				all = append(all, b)
			}
		}
	}
	return all
}

// String is the file.
func (c *Case) String() string {
	var b strings.Builder
	for _, l := range c.comment {
		b.WriteString(l + "\n")
	}
	for i, s := range c.steps {
		if i > 0 || len(c.comment) > 0 {
			b.WriteString("\n")
		}
		b.WriteString(s.cmd + "\n")
		for _, l := range s.text {
			b.WriteString(l + "\n")
		}
		if s.want != "" || len(s.other) > 0 {
			b.WriteString("----\n" + s.want)
		}
		for _, p := range slices.Sorted(maps.Keys(s.other)) {
			fmt.Fprintf(&b, "---- %s\n%s", p, s.other[p])
		}
	}
	return b.String()
}

// set notes what another proxy than the sidecar has shown.
func (s *step) set(p Proxy, seen string) {
	if s.other == nil {
		s.other = map[Proxy]string{}
	}
	s.other[p] = seen
}

// clone is a copy whose steps can be changed.
func (c *Case) clone() *Case {
	out := *c
	out.steps = slices.Clone(c.steps)
	for i := range out.steps {
		out.steps[i].other = maps.Clone(out.steps[i].other)
	}
	return &out
}

// Note notes what was seen of p, a step each. The sidecar's comes first.
func (c *Case) Note(p Proxy, seen []string) {
	for i := range c.steps {
		s := &c.steps[i]
		switch {
		case p == Sidecar:
			s.want = seen[i]
		case seen[i] != s.want:
			s.set(p, seen[i])
		default:
			delete(s.other, p)
		}
	}
}

// Agrees reports whether what was seen of p is what the file says.
func (c *Case) Agrees(p Proxy, seen []string) bool {
	got := c.clone()
	got.Note(p, seen)
	return got.String() == c.String()
}

// Compare fails the test if what was seen of the proxies in seen is not what the
// file says, or writes the file.
func (c *Case) Compare(t *testing.T, seen map[Proxy][]string) {
	t.Helper()
	got := c.clone()
	for _, p := range []Proxy{Sidecar, Envoy, NIC} {
		if seen[p] != nil {
			got.Note(p, seen[p])
		}
	}
	if Updating() {
		require.NoError(t, os.WriteFile(c.path, []byte(got.String()), 0o644))
	} else {
		for j, s := range got.steps {
			require.Equal(t, c.steps[j].want, s.want, "step %d, %s", j+1, s.cmd)
			for p := range seen {
				require.Equal(t, c.steps[j].other[p], s.other[p], "step %d, %s: %s", j+1, s.cmd, p)
			}
		}
		require.Equal(t, c.String(), got.String())
	}
	for p := range seen {
		if p == Sidecar {
			continue
		}
		two := slices.ContainsFunc(got.steps, func(s step) bool { _, ok := s.other[p]; return ok })
		require.False(t, two && !c.Differs(p), "the sidecar's is not the %s's: mend it, or say why in a line %q", p, differs[p]+"REASON")
		require.False(t, c.Differs(p) && !two, "the difference is gone: drop the line %q", differs[p])
	}
}

// Updating reports whether the files are to be written.
func Updating() bool { return os.Getenv("MESHNIC_UPDATE") == "1" }
