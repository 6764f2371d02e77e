// Package sim is the card's time and its wires: clocks, AXI-Stream channels,
// what a stage owes the engine, and the two engines that run a network of
// stages.
//
// A Wire is one AXI-Stream channel. Its producer drives Valid and Beat, its
// consumer drives Ready, and a beat moves at a clock edge at which both are
// set. An event carries the number of the edge at which it is sampled: a wire
// adds 0 cycles, a register 1.
//
// A Stage is clocked like hardware: Offer and Accept drive its outputs from its
// registers (and, where the hardware has a combinational path, from the other
// side's signals), Edge loads the registers. All stages have driven their wires
// before the first is clocked, and clocking changes no wire, so the order in
// which stages are clocked never matters.
//
// Nothing here reads a wall clock; time is counted in picoseconds and edges.
package sim
