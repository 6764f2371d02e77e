// Package replay sends the frames of a capture through a pipeline: the program of
// the NIC decides what becomes of each, the timed pipeline in which cycles.
//
// A frame's number is that of its record in the capture, from 1, as Wireshark
// counts them; it is the same in every output. Model time 0 is the time of the
// capture's first record, so model times are offsets into the capture.
//
// What is read is what hosts record: captures are cut, damaged, or of links that
// are no Ethernet. A record that cannot be used is counted by what is wrong with
// it, and the rest is replayed. What a truncated record lacks is zeros; the model
// uses the length on the wire, and the program verifies no layer-4 checksum of it.
//
// The program sees frames in the order of the capture, also those which the timed
// pipeline then has no room for.
package replay
