// Package pipeline holds a pipeline as data: a Description that Go code or a
// YAML file makes, Build, which turns it into a network of stages for either
// engine, and Run, which drives the network with synthetic frames and measures
// what the records of real RTL measure.
//
// A description is a list of stages. Each takes its input from the stage before
// it, or from where its `from` says, so a list is a chain and names make a graph:
//
//	name: two-ports
//	clock_mhz: 250
//	stages:
//	  - {module: axis_fifo, name: a, DATA_WIDTH: 64, DEPTH: 4096, from: in0}
//	  - {module: axis_fifo, name: b, DATA_WIDTH: 64, DEPTH: 4096, from: in1}
//	  - {module: axis_arb_mux, S_COUNT: 2, DATA_WIDTH: 64, from: [a, b]}
//
// In Go the same is a Description of stages made with Of, Named, Clocked and
// Taking; encoding/json writes one as a file that Parse reads. JSONSchema is the
// file's schema.
//
// In a list without names, stages before the first with several inputs are
// built once for each input of the run.
package pipeline
