package mesh

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	require.Equal(t, "-", Flags(0).String())
	require.Equal(t, "DI,FI", FlagDI.And(FlagFI).String())
	require.Equal(t, "URX,UPE,DI", FlagURX.And(FlagUPE.And(FlagURX)).And(0).And(FlagDI).String())
	require.Equal(t, FlagUO, Flags(0).And(FlagUO).And(FlagUO))
	require.Equal(t, "DelayInjected,UnconditionalDropOverload", string(FlagDI.And(FlagUDO).append(nil, true)))
	var all Flags
	for i, n := range FlagNames() {
		require.Equal(t, n, ParseFlag(n).String())
		all = all.And(ParseFlag(n))
		require.Equal(t, i < maxFlags, all.has(ParseFlag(n)), n)
	}
	require.Equal(t, "UDO", FlagUDO.String())
	require.Zero(t, ParseFlag("XX"))
}
