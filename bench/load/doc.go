// Package load puts load on a server and measures how long it takes to answer:
// HTTP/1.1 over N connections (Run), a TCP ping-pong (PingPong), bulk TCP (Bulk)
// and the real curl (Curl); and it has their other ends: a null HTTP server
// (Serve), an echo server (EchoServe) and a sink (Sink).
//
// The generator and the null server are one thread each: raw system calls and
// epoll, no goroutine per connection and no allocation per request,
// so that the figure is the path's and not Go's scheduler's. Every result is
// encoded as JSON, its histogram included: Main runs each of them as a process
// of its own, in whichever network namespace the parent has put it, and Merge
// joins repeats. The package shares no code with the proxies it measures.
//
// What the clock sees. Closed loop: from the first write of the request to the
// read that completes the answer. A request that needs a new connection pays
// for it, except for the connections made before the clock starts. Open loop:
// from the intended start, however late the request could be sent, so that a
// server that stalls is charged for every request it kept waiting (no
// coordinated omission). Only right answers enter the histogram; the others are
// counted, by kind.
//
// The Go scheduler. A raw system call is invisible to it and keeps its P. Run,
// Serve, PingPong and EchoServe block raw for at most 2 ms, then in a call the
// scheduler can see; and they yield every 5 ms where no clock is running,
// because sysmon would otherwise interrupt them after 10 ms in the middle of a
// request. They are not locked to their thread: to preempt a locked goroutine
// takes two switches of threads, measured at 24 us p50 and 2.3 ms p90 on two
// busy processors, against 6 and 10 us unlocked with GOMAXPROCS=1, where the
// goroutine stays on its thread because there is no other P to take it. So Main
// sets GOMAXPROCS to 1 for the first three (echo: at least 4, one a connection)
// and turns the collector off; in a process with
// other goroutines, GOMAXPROCS has to leave a P for each of them.
package load

// Schema is the "schema" field of every JSON document of this package.
const Schema = "meshnic.load/1"
