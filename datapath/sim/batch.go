package sim

// What a stage does beat by beat with Put and Accept it may do with many at once:
// each of these gives consecutive beats of a channel as slices, as far as they lie
// together; there may be more behind them. The stage fills in what it knows and
// says with how many of them it is through.

// Known is the beats that wait for the consumer and of which it is known, because
// it was promised, when they are accepted: at the cycle before done. Skip goes past
// them.
func (c *Chan) Known() (done []Cycle, beat []Beat) {
	if c.read >= c.taken {
		return nil, nil
	}
	i := c.read % places
	n := min(i+c.taken-c.read, places)
	return c.done[i:n], c.beat[i:n]
}

// Skip accepts so many of the Known beats.
func (c *Chan) Skip(beats uint64) {
	c.read += beats
	if c.full {
		c.full = false
		c.producer.wake()
	}
}

// Waiting is the beats that wait for the consumer to say when it accepts them,
// behind so many: it fills in done, the cycle after. A beat is shown from the given
// cycle, or that in which the one before is done. Take goes past them.
func (c *Chan) Waiting(behind uint64) (from, done []Cycle, beat []Beat) {
	k := c.read + behind
	if c.read < c.taken || k >= c.sent {
		return nil, nil, nil
	}
	i := k % places
	n := min(i+c.sent-k, places)
	return c.from[i:n], c.done[i:n], c.beat[i:n]
}

// Take accepts so many of the Waiting beats.
func (c *Chan) Take(beats uint64) {
	if beats == 0 {
		return
	}
	k := c.read
	c.read += beats
	c.full = false
	c.producer.wake()
	if c.see == nil {
		c.taken += beats
		c.passEnd(k, beats, false)
		return
	}
	for range beats {
		c.taken++
		c.passed(k % places)
		k++
	}
}

// Open is the places of the next beats if these are promised to be accepted when
// shown: the producer fills in beat, and done, the cycle after that, which grows
// from beat to beat. Flush puts them.
func (c *Chan) Open() (done []Cycle, beat []Beat) {
	if c.sent >= c.promised || !c.Room() {
		return nil, nil
	}
	i := c.sent % places
	n := min(i+min(c.promised, c.read+places-Past)-c.sent, places)
	return c.done[i:n], c.beat[i:n]
}

// Flush puts so many of the Open beats.
func (c *Chan) Flush(beats uint64) {
	if beats == 0 {
		return
	}
	k := c.sent
	c.sent += beats
	c.taken += beats
	c.consumer.wake()
	if c.see == nil {
		c.passEnd(k, beats, true)
		return
	}
	for i := range beats {
		c.tell(k + i)
	}
}

// Blank is the places of the next beats, of which nothing is promised: the producer
// fills in the cycle from which each can be shown, and the beat. Fill puts them.
func (c *Chan) Blank() (from []Cycle, beat []Beat) {
	if c.sent < c.promised || !c.Room() {
		return nil, nil
	}
	i := c.sent % places
	n := min(i+c.read+places-Past-c.sent, places)
	return c.from[i:n], c.beat[i:n]
}

// Fill puts so many of the Blank beats.
func (c *Chan) Fill(beats uint64) {
	if beats == 0 {
		return
	}
	i := c.sent % places
	first := c.sent == c.taken
	c.sent += beats
	c.consumer.wake()
	if c.slow && first {
		c.show(i, max(c.from[i], c.done[(i-1)%places]))
	}
}

// Move accepts and puts on, delay cycles later, up to so many of the beats of which
// it is already known when they are accepted here and there. It returns how many
// they were.
func (c *Chan) Move(to *Chan, delay Cycle, most uint64) (n uint64) {
	for n < most {
		done, beat := c.Known()
		left, put := to.Open()
		m := min(uint64(len(done)), uint64(len(left)), most-n)
		if m == 0 {
			break
		}
		done, left = done[:m], left[:m]
		last := to.Done(to.sent - 1)
		if m == 1 {
			left[0], put[0] = max(done[0]+delay, last+1), beat[0]
			c.Skip(1)
			to.Flush(1)
			n++
			continue
		}
		if last < done[0]+delay {
			for i, at := range done {
				left[i] = at + delay
			}
		} else { // they catch up with those before them
			for i, at := range done {
				last = max(at+delay, last+1)
				left[i] = last
			}
		}
		copy(put[:m], beat)
		c.Skip(m)
		to.Flush(m)
		if n += m; c.read >= c.taken {
			break
		}
	}
	return n
}

// skip goes past all beats, which were promised to be accepted.
func (c *Chan) skip() { c.Skip(c.sent - c.read) }
