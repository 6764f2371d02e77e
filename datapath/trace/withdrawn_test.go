package trace_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/datapath/trace"
)

// A beat that goes although nobody took it shows as what it is.
func TestWithdrawn(t *testing.T) {
	n := &sim.Net{}
	w := n.Wire("w", n.Clock("clk", 4000, 0), 8)
	var file bytes.Buffer
	v := trace.NewVCD(&file, n, nil)
	v.Offered(w, 2, sim.Beat{Frame: 1, Bytes: 8, Left: 16, First: true})
	v.Withdrawn(w, 4)
	require.NoError(t, v.Close())
	valid := readVCD(t, file.Bytes()).vars["meshnic.w.tvalid"]
	require.Equal(t, []change{{0, "0"}, {6000, "1"}, {14000, "0"}}, valid.changes)
}
