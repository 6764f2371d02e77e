package pipeline

import "github.com/meshnic/meshnic/datapath/module"

// Of is a stage of a module with its parameters, those that the module's RTL has:
// the start of a description in Go.
func Of(name string, params module.Args) Stage { return Stage{Module: name, Params: params} }

// Named is the stage with a name, by which others can take from it.
func (s Stage) Named(name string) Stage {
	s.Name = name
	return s
}

// Clocked is the stage at a frequency of its own; of a crossing it is the far side's.
func (s Stage) Clocked(mhz float64) Stage {
	s.ClockMHz = mhz
	return s
}

// Taking is the stage with its inputs' origins, in order: inputs of the pipeline
// (in0, in1, …), stages, or stage.N for a stage's output N.
func (s Stage) Taking(from ...string) Stage {
	s.From = from
	return s
}
