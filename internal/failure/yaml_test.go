package failure

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// The line is one in which a person finds the mistake, whichever part of the library found it.
func TestSyntax(t *testing.T) {
	for _, tt := range []struct {
		text string
		line int
		why  string
	}{
		{"a: 1\nb: {c: 1\nd: 2\n", 2, "did not find expected ',' or '}'"},
		{"a: 1\nb: [1\n", 2, "did not find expected ',' or ']'"},
		{"a: 1\nb: [\n", 2, "did not find expected node content"},
		{"a: [1", 1, "did not find expected ',' or ']'"},
		{"a:\n  - 1\n - 2\nb: 3\n", 3, "did not find expected key"},
		{"x: 1\ny:\n  - {a: 1}\n  b: 2\n", 3, "did not find expected '-' indicator"},
		{"a: 1\nb: \"x\nc: 2\n", 2, "found unexpected end of stream"},
		{"a: 1\nb: 2\n c: 3\n", 3, "mapping values are not allowed in this context"},
		{"a: 1\nb: 2\nc\n", 3, "could not find expected ':'"},
		{"a:\n  - 1\n  \t- 2\n", 3, "found a tab character: YAML is indented with spaces"},
		{"a:\n\t- 1\n", 2, "found a tab character: YAML is indented with spaces"},
		{"a: 1\nb: *c\n", 1, "unknown anchor 'c' referenced"},
	} {
		var n yaml.Node
		err := yaml.Unmarshal([]byte(tt.text), &n)
		require.Error(t, err, tt.text)
		line, why := Syntax([]byte(tt.text), err)
		require.Equal(t, tt.line, line, "%s: %v", tt.text, err)
		require.Equal(t, tt.why, why, "%s: %v", tt.text, err)
	}
}
