package splice_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the conversations give now")

// TestConversations runs each file of testdata/conversations, over IPv4 and, with an MTU that
// gives the same MSS, over IPv6. Lines that begin with
// "client <" or "server <" are segments that the engine gets; lines with ">" are
// those it sends, and lines that begin with "." what the App is told: both are
// written by the test. Sequence numbers count from the first of each side, and where
// an input gives none, they are those of a host that has got and sent everything so far.
//
//	client < PA "GET /0 HTTP/1.1\r\n\r\n"     seq= ack= win= len= ts=VAL,ECR sack=L-R,...
//	advance 200                               milliseconds
//	nobody there                              has endpoint 0's address
//	client isn=4294967290                     before its SYN; server: of the next connection
//	client no ts, no sack, no scale, mss=536  in its SYN
//	config conns=16 halfopen=1 ts             ts: hosts speak it, unless they say no
//	config idle=200                           milliseconds that a connection may stay in its pool, 0 for ever
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/conversations/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			got := converse(t, string(b), false)
			require.Equal(t, got, converse(t, string(b), true), "IPv6")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
				return
			}
			require.Equal(t, string(b), got)
		})
	}
}
