// Package nictest is a network in memory for tests of what lies between hosts:
// a NIC that answers, splices or forwards TCP. Its hosts are gVisor netstacks, its
// cables lose, double, reorder, corrupt, delay, split and merge by a seed, and its
// clock stands still until nothing is left to do: a virtual minute takes
// milliseconds, and a seed gives the same frames at the same nanoseconds again.
//
//	World         hosts on the ports of a Card, one event loop, one clock
//	Card          what is tested: frames in, frames out, timers
//	Conversation  HTTP/1.1 over TCP as plain data: who says what when, in which pieces
//	Record        every byte that each end sent and saw, and how its streams ended
//
// Random draws a conversation from a seed, Run holds it through a card, Check
// compares what was seen with what was said, Shrink makes a failing one small and
// Transcript tells it.
//
// A conversation knows TCP as the interface below only: dial, listen, read, write,
// end, reset and a clock. World's hosts implement it; sockets can.
//
// # Quiescence
//
// gVisor works off segments in goroutines of its own, one for each of GOMAXPROCS.
// After each frame a host is given, and after each timer and each close, the loop
// stops these (Stack.Pause), which returns once their queues are empty, and starts
// them again. So at any time at most one of them works, on one frame, and its
// answers, timers and wake-ups come in an order of their own making only. All
// random numbers of a stack come from the World's seed; timers that fall on one
// instant fire in the order they were set.
package nictest
