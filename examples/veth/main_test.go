package main

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/spawn"
)

func TestMain(m *testing.M) { os.Exit(spawn.InOwn(m.Run)) }

func TestTwoNamespacesTalkThroughTheNIC(t *testing.T) {
	hostiftest.NeedNet(t, netns.Probe)
	for _, mode := range []attach.Mode{attach.Auto, attach.Packet} {
		var out strings.Builder
		require.NoError(t, run(t.Context(), &out, mode))
		// Three-way handshake, question, answer, and both ends: at least eight frames.
		require.Regexp(t, `forwarded ([89]|[1-9]\d+) frames, [1-9]\d* ns each on the card`, out.String())
	}
}
