// Package timing pairs the two halves of a NIC: a functional pipeline has decided
// what becomes of a frame, and a timed one, built from a description, says in
// which cycles that happens. The decisions come first: the stages of the timed
// pipeline ask for them, so that a frame is dropped where its functional twin
// dropped it and leaves by the ports it was sent to.
package timing
