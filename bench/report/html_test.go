package report

import (
	"bytes"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHTMLIsWritten(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, HTML(&b, loadSynthetic(t)))
	if p := os.Getenv("REPORT_OUT"); p != "" {
		require.NoError(t, os.WriteFile(p, b.Bytes(), 0o644))
	}
}
