package nictest

import (
	"math/rand/v2"
	"time"
)

// Random draws a conversation. The same seed draws the same one.
func Random(seed uint64) *Conversation {
	d := dice{rand.New(rand.NewPCG(seed, 0x6d657368))}
	c := &Conversation{Seed: seed}
	for range 1 + d.IntN(2) {
		c.Clients = append(c.Clients, d.host())
	}
	for range 1 + d.IntN(2) {
		c.Servers = append(c.Servers, d.host())
	}
	if d.one(2) {
		faulty := d.cable()
		for _, list := range [][]HostConfig{c.Clients, c.Servers} {
			for i := range list {
				list[i].Out, list[i].In = faulty, faulty
				if d.one(3) { // one direction only, or another kind
					list[i].Out = d.cable()
				}
			}
		}
	}
	for range 1 + d.IntN(4) {
		c.Connections = append(c.Connections, d.connection(c))
	}
	return c
}

type dice struct{ *rand.Rand }

// one is true once in n times.
func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func (d dice) upTo(t time.Duration) time.Duration { return time.Duration(d.Int64N(int64(t))) }

func pick[T any](d dice, list ...T) T { return list[d.IntN(len(list))] }

func (d dice) host() HostConfig {
	h := HostConfig{
		MTU:           pick(d, 1500, 1500, 1500, 1280, 576, 9000),
		NoSACK:        d.one(4),
		NoTimestamps:  d.one(4),
		NoWindowScale: d.one(4),
		ARP:           d.one(4),
	}
	if d.one(4) {
		h.ReceiveBuffer = MinBuffer << d.IntN(4)
	}
	return h
}

// cable draws one or two kinds of fault, rarely all.
func (d dice) cable() Cable {
	c := Cable{Latency: pick(d, 0, 0, time.Millisecond, 20*time.Millisecond)}
	p := func() float64 { return pick(d, 0.005, 0.02, 0.05) }
	all := d.one(6)
	for range 2 {
		k := d.IntN(8)
		if all || k == 0 {
			c.Loss = p()
		}
		if all || k == 1 {
			c.Duplicate = p() * 2
		}
		if all || k == 2 {
			c.Reorder = p() * 2
			c.ReorderBy = pick(d, 100*time.Microsecond, 2*time.Millisecond, 30*time.Millisecond)
		}
		if all || k == 3 {
			c.Corrupt = p()
		}
		if all || k == 4 {
			c.Stall = p() / 2
			c.StallBy = pick(d, 10*time.Millisecond, 300*time.Millisecond, 2*time.Second)
		}
		if all || k == 5 {
			c.Split = pick(d, 0.1, 0.5)
		}
		if all || k == 6 {
			c.Coalesce = pick(d, 0.2, 1)
		}
	}
	return c
}

func (d dice) connection(c *Conversation) Connection {
	k := Connection{
		At:     d.upTo(200 * time.Millisecond),
		Client: d.IntN(len(c.Clients)),
		Server: d.IntN(len(c.Servers)),
		End:    pick(d, EndAnswered, EndAnswered, EndAnswered, EndClose, EndClose, EndHalfClose, EndServer),
	}
	largest := pick(d, 100, 3000, 3000, 30_000, 100_000)
	if d.one(8) {
		k.End = pick(d, EndReset, EndAbort)
		k.EndAfter = 1 + d.upTo(pick(d, time.Millisecond, 50*time.Millisecond, 500*time.Millisecond))
	}
	if d.one(10) {
		k.Idle = pick(d, d.upTo(time.Second)+1, racy+d.upTo(racy))
	}
	if d.one(6) {
		k.Reading, largest = d.slow(), pick(d, 3000, 40_000)
	}
	if d.one(6) {
		k.Serving, largest = d.slow(), pick(d, 3000, 40_000)
	}
	pipelined := d.one(4)
	n := pick(d, 0, 1, 1, 1, 2, 2, 3, 5)
	for i := range n {
		e := d.exchange(largest, i == n-1)
		e.Pipelined = pipelined && i > 0 && !d.one(4)
		k.Exchanges = append(k.Exchanges, e)
	}
	return k
}

func (d dice) slow() Reading {
	return Reading{Buffer: MinBuffer << d.IntN(2), Size: 100 + d.IntN(2000), Every: 1 + d.upTo(20*time.Millisecond)}
}

func (d dice) size(largest int) int {
	return pick(d, 0, 1, d.IntN(largest+1), d.IntN(largest+1), d.IntN(200))
}

func (d dice) exchange(largest int, last bool) Exchange {
	e := Exchange{Method: pick(d, "GET", "GET", "GET", "POST", "POST", "PUT", "HEAD"), Pieces: 1}
	if e.Method == "POST" || e.Method == "PUT" {
		e.Body = d.size(largest)
		e.Chunked = d.one(3)
		e.Expect = d.one(8) && e.Body > 0
	}
	if d.one(5) {
		e.Padding = d.IntN(pick(d, 500, 6000))
	}
	if d.one(3) {
		e.Pieces = 2 + d.IntN(6)
		e.Gap = pick(d, 0, 0, d.upTo(2*time.Millisecond), d.upTo(60*time.Millisecond))
	}
	if d.one(4) {
		e.Think = d.upTo(pick(d, 2*time.Millisecond, 200*time.Millisecond))
	}
	a := Answer{
		Status:  pick(d, 200, 200, 200, 200, 404, 500, 204, 304),
		Framing: pick(d, Length, Length, Length, Chunked),
		Body:    d.size(largest),
		Pieces:  1,
		Early:   d.one(6) && !e.Expect,
	}
	if d.one(5) {
		a.Padding = d.IntN(pick(d, 500, 6000))
	}
	if d.one(10) {
		a.Interim = 1 + d.IntN(2)
	}
	if d.one(3) {
		a.Delay = d.upTo(pick(d, time.Millisecond, 100*time.Millisecond, 2*time.Second))
	}
	if d.one(3) {
		a.Pieces = 2 + d.IntN(6)
		a.Gap = pick(d, 0, 0, d.upTo(2*time.Millisecond), d.upTo(60*time.Millisecond))
	}
	if last && d.one(4) || d.one(20) {
		a.Close = true
	}
	if last && d.one(8) || d.one(40) {
		a.Framing = UntilClose
	}
	if d.one(25) {
		a.Reset = 1 + d.IntN(a.Body+100)
	}
	e.Answer = a
	return e
}
