package area_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/datapath/area"
	"github.com/meshnic/meshnic/datapath/axis"
	"github.com/meshnic/meshnic/datapath/card"
	"github.com/meshnic/meshnic/datapath/corundum"
	"github.com/meshnic/meshnic/datapath/ethernet"
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/netfpga"
)

var modules = slices.Concat(axis.Modules, ethernet.Modules, corundum.Modules, netfpga.Modules, card.Modules)

// Every module of every package has an estimate with its rules, of ranges that
// are ranges; and none is so for nothing.
func TestEveryModule(t *testing.T) {
	for _, m := range modules {
		require.True(t, area.Known(m.Name), m.Name)
		a := module.Args{}
		for _, p := range m.Params {
			if a[p.Name] = p.Default; p.Required && len(p.Allowed) > 0 {
				a[p.Name] = p.Allowed[0]
			} else if p.Required {
				a[p.Name] = max(p.Min, min(64, p.Max))
			}
		}
		e := area.Of(m.Name, a)
		require.NotEmpty(t, e.Rules, m.Name)
		for _, r := range []area.Range{e.LUT, e.FF, e.BRAM} {
			require.GreaterOrEqual(t, r.Hi, 0.0, m.Name)
			if !r.Open {
				require.LessOrEqual(t, r.Lo, r.Hi, "%s %+v", m.Name, e)
			}
		}
	}
}

func TestEstimates(t *testing.T) {
	for _, tt := range []struct {
		name          string
		args          module.Args
		lut, ff, bram string
	}{
		{"axis_register", module.Args{"DATA_WIDTH": 512, "REG_TYPE": 0}, "0", "0", "0"},
		{"axis_register", module.Args{"DATA_WIDTH": 512, "REG_TYPE": 1}, "1-4", "579-596", "0"},       // 512 + 64 + 1
		{"axis_register", module.Args{"DATA_WIDTH": 512, "REG_TYPE": 2}, "288-602", "1157-1191", "0"}, // two of them
		{"axis_fifo", module.Args{"DATA_WIDTH": 64, "DEPTH": 4096, "RAM_PIPELINE": 1}, "30-96", "30-268", "1.5-2"},
		{"axis_fifo", module.Args{"DATA_WIDTH": 512, "DEPTH": 65536, "RAM_PIPELINE": 1}, "33-104", "33-1284", "16.5-18"},
		{"mac_tx", module.Args{"DATA_WIDTH": 512}, "unknown", "unknown", "0"},
		{"dma_write", module.Args{"DATA_WIDTH": 512, "BUFFER": 1 << 17}, "unknown", "unknown", "36.5-40"},
		{"nonsense", nil, "unknown", "unknown", "unknown"},
	} {
		e := area.Of(tt.name, tt.args)
		require.Equal(t, []string{tt.lut, tt.ff, tt.bram}, []string{e.LUT.String(), e.FF.String(), e.BRAM.String()}, "%s %v", tt.name, tt.args)
	}
}

// More of anything does not cost less.
func TestMonotonic(t *testing.T) {
	for _, tt := range []struct{ name, param string }{
		{"axis_fifo", "DEPTH"}, {"axis_async_fifo", "DEPTH"}, {"axis_register", "DATA_WIDTH"}, {"axis_arb_mux", "S_COUNT"},
		{"axis_switch", "M_COUNT"}, {"match_action", "ENTRIES"}, {"match_action", "KEY_BITS"}, {"dma_read", "BUFFER"},
		{"l7_scanner", "HEAD_MAX"}, {"mac_rx", "RX_FIFO_DEPTH"}, {"axis_srl_fifo", "DEPTH"}, {"rx_checksum", "DATA_WIDTH"},
	} {
		for kind := range 3 {
			var last area.Estimate
			for v := 64.0; v <= 1024; v *= 2 {
				a := module.Args{"DATA_WIDTH": 64, "KIND": float64(kind)}
				a[tt.param] = v
				e := area.Of(tt.name, a)
				for _, r := range [][2]area.Range{{last.LUT, e.LUT}, {last.FF, e.FF}, {last.BRAM, e.BRAM}} {
					require.GreaterOrEqual(t, r[1].Lo, r[0].Lo, "%s %s %g", tt.name, tt.param, v)
				}
				last = e
			}
		}
	}
}

func TestSum(t *testing.T) {
	a := area.Of("axis_register", module.Args{"DATA_WIDTH": 64, "REG_TYPE": 1})
	require.Len(t, a.Plus(a).Rules, 1, "each rule once")
	require.Equal(t, 2*a.FF.Lo, a.Plus(a).FF.Lo)
	require.Equal(t, "from 75", a.Plus(area.Of("mac_tx", nil)).FF.String(), "what is not known stays not known")
}

func ExampleOf() {
	e := area.Of("axis_fifo", module.Args{"DATA_WIDTH": 512, "DEPTH": 16384, "RAM_PIPELINE": 1})
	fmt.Println("LUT", e.LUT, "FF", e.FF, "BRAM", e.BRAM)
	// Output: LUT 27-88 FF 27-1268 BRAM 8.5-9
}
