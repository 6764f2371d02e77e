package sweep

import (
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/pipeline"
)

// word is a target that means one thing by whatever names the modules have for it.
type word struct {
	Name    string
	Doc     string
	params  []string
	modules string // prefix of those that it is about
	alike   bool   // only where the value is that of the first stage that has one
}

// words are the words, beside clock_mhz.
var words = []word{
	{
		Name: "width", Doc: "bits of the bus: of every stage that is as wide as the first", alike: true,
		params: []string{"DATA_WIDTH", "AXIS_DATA_WIDTH", "S_DATA_WIDTH", "M_DATA_WIDTH", "C_S_AXIS_DATA_WIDTH"},
	},
	{
		Name: "fifo_depth", Doc: "of every FIFO and queue, in the unit of its parameter: bytes, and beats of axis_srl_fifo",
		params: []string{"DEPTH", "FIFO_DEPTH", "RX_FIFO_DEPTH", "TX_FIFO_DEPTH", "DATA_FIFO_DEPTH", "PAYLOAD_FIFO_DEPTH", "BUFFER_SIZE"},
	},
	{Name: "table_size", Doc: "entries of every table", params: []string{"ENTRIES", "FLOWS"}},
	{Name: "scan_bytes", Doc: "bytes that every scanner of heads looks at in a cycle", params: []string{"BYTES_PER_CYCLE"}, modules: "l7_scanner"},
	{Name: "memory_latency_ns", Doc: "of one access of every table that has its memory's latency as a parameter", params: []string{"ACCESS_NS"}},
	{Name: "pcie_latency_ns", Doc: "of every PCIe crossing", params: []string{"LATENCY_NS"}, modules: "dma_"},
}

// Words lists the words that may be varied, one a line, for help texts.
func Words() string {
	width := 0
	for _, w := range words {
		width = max(width, len(w.Name)+2)
	}
	var b strings.Builder
	line := func(name, doc string) { b.WriteString("  " + name + strings.Repeat(" ", width-len(name)) + doc + "\n") }
	line(clock, "of the pipeline's input, and of all that runs at the same frequency")
	for _, w := range words {
		line(w.Name, w.Doc)
	}
	return b.String()
}

func wordNames() []string {
	names := []string{clock}
	for _, w := range words {
		names = append(names, w.Name)
	}
	return names
}

// sets lists the parameters of stage i that a target without a stage's name sets.
func sets(d *pipeline.Description, i int, target string) (names []string) {
	s := &d.Stages[i]
	k := slices.IndexFunc(words, func(w word) bool { return w.Name == target })
	if k < 0 {
		if hasParam(s, target) {
			return []string{target}
		}
		return nil
	}
	w := words[k]
	for _, name := range w.of(s) {
		if !w.alike || value(s, name) == w.first(d) {
			names = append(names, name)
		}
	}
	return names
}

// of lists a stage's parameters that the word is about.
func (w word) of(s *pipeline.Stage) (names []string) {
	if strings.HasPrefix(s.Module, w.modules) {
		for _, name := range w.params {
			if hasParam(s, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// first is the value at the first stage that has one.
func (w word) first(d *pipeline.Description) float64 {
	for i := range d.Stages {
		if names := w.of(&d.Stages[i]); len(names) > 0 {
			return value(&d.Stages[i], names[0])
		}
	}
	return 0
}

// value is a parameter's, or its default.
func value(s *pipeline.Stage, name string) float64 {
	if v, ok := s.Params[name]; ok {
		return v
	}
	if m, ok := pipeline.Find(s.Module); ok {
		for _, p := range m.Params {
			if p.Name == name {
				return p.Default
			}
		}
	}
	return 0
}
