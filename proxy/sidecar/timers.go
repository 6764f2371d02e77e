package sidecar

// timer is a deadline that moves often and passes rarely. Moving it later costs
// nothing: the heap keeps the old time, and a timer that comes up early is put
// back. Times are nanoseconds of the worker's monotonic clock.
type timer struct {
	deadline int64 // when to fire; 0 for never
	queued   int64 // where it stands in the heap
	index    int   // position in the heap plus one; 0 if it is not there
	fire     func()
}

// timers is a binary heap by queued.
type timers struct{ heap []*timer }

// set arms t for the given time, 0 for never.
func (q *timers) set(t *timer, deadline int64) {
	t.deadline = deadline
	switch {
	case deadline == 0:
	case t.index == 0:
		t.queued = deadline
		q.heap = append(q.heap, t)
		t.index = len(q.heap)
		q.up(t.index - 1)
	case deadline < t.queued:
		t.queued = deadline
		q.up(t.index - 1)
	}
}

// remove takes t out, so that nothing refers to it any more.
func (q *timers) remove(t *timer) {
	t.deadline = 0
	if t.index == 0 {
		return
	}
	i, last := t.index-1, len(q.heap)-1
	q.swap(i, last)
	q.heap[last] = nil
	q.heap = q.heap[:last]
	t.index = 0
	if i < last {
		q.down(i)
		q.up(i)
	}
}

// next returns when expire has something to do, 0 for never.
func (q *timers) next() int64 {
	if len(q.heap) == 0 {
		return 0
	}
	return q.heap[0].queued
}

// expire fires every timer whose deadline is not after now.
func (q *timers) expire(now int64) {
	for len(q.heap) > 0 && q.heap[0].queued <= now {
		t := q.heap[0]
		if t.deadline > now {
			t.queued = t.deadline
			q.down(0)
			continue
		}
		due := t.deadline != 0
		q.remove(t)
		if due {
			t.fire()
		}
	}
}

func (q *timers) swap(i, j int) {
	h := q.heap
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i+1, j+1
}

func (q *timers) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if q.heap[p].queued <= q.heap[i].queued {
			return
		}
		q.swap(i, p)
		i = p
	}
}

func (q *timers) down(i int) {
	for {
		c := 2*i + 1
		if c >= len(q.heap) {
			return
		}
		if c+1 < len(q.heap) && q.heap[c+1].queued < q.heap[c].queued {
			c++
		}
		if q.heap[i].queued <= q.heap[c].queued {
			return
		}
		q.swap(i, c)
		i = c
	}
}
