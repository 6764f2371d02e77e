// Package trace writes down what moved in a network: as a waveform (VCD), as a
// timeline (Perfetto), as a capture (pcapng), as a waterfall of where the time
// of a frame went, and as a table of frames.
//
// Every writer is a sim.Observer: give one to an engine, or several through
// Tee. They stream: what they hold does not grow with the length of a run, but
// with what is in flight. VCD, Perfetto and Pcapng want events in the order of
// time, as the tick engine gives them; Frames and Waterfall take those of the
// maxplus engine too, whose wires are in order each by itself, and then say the
// same, the frames perhaps in another order. Recorder keeps events and replays
// them in order.
//
// A frame has one number everywhere: frame in a waveform, the flow and the
// annotation id in a timeline, the packet id and the comment id=N in a capture,
// id in the waterfall and in the table.
//
// Cycles are those of the model: an event carries the number of the edge at
// which it is sampled. Times are picoseconds from the start of the simulation;
// where a format has only nanoseconds, they are rounded down and the exact
// figure stands beside them.
package trace
