package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/hostif/hostiftest"
	"github.com/meshnic/meshnic/hostif/netns"
	"github.com/meshnic/meshnic/internal/spawn"
)

func TestMain(m *testing.M) { os.Exit(spawn.InOwn(m.Run)) }

func TestCurlDirectAndThroughTheNIC(t *testing.T) {
	hostiftest.NeedNet(t, func() error {
		for _, program := range []string{"curl", "python3"} {
			if _, err := exec.LookPath(program); err != nil {
				return err
			}
		}
		return netns.Probe()
	})
	var out strings.Builder
	require.NoError(t, run(t.Context(), &out, 5))
	require.Regexp(t, `^direct \d+\.\d\d ms, through the NIC \d+\.\d\d ms, ratio \d+\.\d{3} `, out.String())
}
