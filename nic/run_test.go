package nic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDefaultPoll(t *testing.T) {
	require.Equal(t, 50*time.Microsecond, DefaultPoll(1, false))
	require.Equal(t, 300*time.Microsecond, DefaultPoll(2, false))
	require.Zero(t, DefaultPoll(1, true), "the host carries by itself")
	require.Zero(t, DefaultPoll(2, true))
}
