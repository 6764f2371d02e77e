package failure

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var yamlLine = regexp.MustCompile(`^line (\d+): (.*)$`)

// What go.yaml.in/yaml/v3's parser says. It counts lines from 0, its scanner from 1.
var ofParser = []string{
	"did not find expected ',' or ']'", "did not find expected ',' or '}'", "did not find expected '-' indicator", "did not find expected key",
	"did not find expected node content", "did not find expected <document start>", "did not find expected <stream-start>",
	"found duplicate %TAG directive", "found duplicate %YAML directive", "found incompatible YAML document", "found undefined tag handle",
}

// Syntax returns where text is no YAML and why, as err of go.yaml.in/yaml/v3 has it: a line from 1, which is that where a
// list or mapping begins if its end was not found.
func Syntax(text []byte, err error) (line int, why string) {
	line, why = 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlLine.FindStringSubmatch(why); m != nil {
		line, _ = strconv.Atoi(m[1])
		why = m[2]
		if slices.Contains(ofParser, why) {
			line++
		}
	}
	lines := bytes.Split(bytes.TrimRight(text, "\r\n\t "), []byte("\n"))
	line = min(line, len(lines))
	tab := func(l []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(l, " "), []byte("\t")) }
	if strings.Contains(why, "tab character") { // its line is that of the scalar before
		line += max(slices.IndexFunc(lines[line-1:], tab), 0)
	}
	if tab(lines[line-1]) && (strings.Contains(why, "tab character") || strings.HasPrefix(why, "found character that cannot start")) {
		why = "found a tab character: YAML is indented with spaces"
	}
	return line, why
}
