//go:build linux

package sidecar

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A testcase is a text file testdata/conformance/AREA/NAME.txt: one conversation
// of clients and upstream servers with the proxy between them, and what each of
// them sees. The same file is played through our sidecar and, where it is at
// hand, through the real Envoy, both running from the same bootstrap file.
//
// MESHNIC_UPDATE=1 writes down what is seen. Where ours is not Envoy's, a step
// has both, Envoy's below "---- envoy", and the file needs a line "# differs:
// REASON"; a difference that is gone fails the test, as a new one does.
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
type testcase struct {
	path    string
	name    string // AREA/NAME
	comment []string
	differs bool
	steps   []step
}

type step struct {
	cmd   string
	text  []string // below the command
	want  string   // what is seen with ours
	envoy string   // with Envoy, if differs
	two   bool     // they differ
}

func testcases(t testing.TB) (all []testcase) {
	t.Helper()
	root := filepath.Join("testdata", "conformance")
	require.NoError(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".txt") {
			c := parseCase(t, path)
			c.name = strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(path), "testdata/conformance/"), ".txt")
			all = append(all, c)
		}
		return err
	}))
	return all
}

func parseCase(t testing.TB, path string) testcase {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	c := testcase{path: path}
	var s *step
	var out *string
	for _, line := range strings.Split(strings.TrimRight(string(b), "\n"), "\n") {
		switch {
		case s == nil && strings.HasPrefix(line, "#"):
			c.comment = append(c.comment, line)
			c.differs = c.differs || strings.HasPrefix(line, "# differs: ")
		case line == "":
			s = nil
		case s == nil:
			c.steps = append(c.steps, step{cmd: line})
			s, out = &c.steps[len(c.steps)-1], nil
		case line == "----":
			out = &s.want
		case line == "---- envoy":
			out, s.two = &s.envoy, true
		case out != nil:
			*out += line + "\n"
		default:
			s.text = append(s.text, line)
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

// String is the file.
func (c *testcase) String() string {
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
		if s.want != "" || s.two {
			b.WriteString("----\n" + s.want)
		}
		if s.two {
			b.WriteString("---- envoy\n" + s.envoy)
		}
	}
	return b.String()
}

// seen is the case with what was seen of it, ours and, unless it is nil,
// Envoy's.
func (c *testcase) seen(ours, envoys []string) *testcase {
	out := *c
	out.steps = append([]step(nil), c.steps...)
	for i := range out.steps {
		s := &out.steps[i]
		s.want = ours[i]
		if envoys != nil {
			if s.envoy, s.two = "", envoys[i] != ours[i]; s.two {
				s.envoy = envoys[i]
			}
		}
	}
	return &out
}
