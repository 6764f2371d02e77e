// Package accesslog has the files of access logs: lines are copied to a buffer and
// written off the threads that serve requests, so that a slow file keeps nobody
// waiting.
package accesslog

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	Bound = 4 << 20  // what a log file may be behind; lines beyond it are dropped, and counted
	flush = 64 << 10 // what is written before its time, as in Envoy
)

// File is an access log's file, for all who write to it. They only copy lines to buf:
// a goroutine that lives while there are some writes them, so that a slow file
// keeps nobody waiting.
type File struct {
	path     string
	interval time.Duration
	c        *Counters

	mu      sync.Mutex
	buf     []byte
	running bool // write is
	reopen  bool // before the next line
	closing bool

	poke chan struct{} // do not wait for the interval
	done chan struct{} // closed by write when it ends with closing
	file *os.File      // write's, or nobody's
}

// Counters are Envoy's filesystem.*; what is dropped has failed.
type Counters struct {
	buffered, completed, failed, byTimer, reopenFailed atomic.Uint64
	waiting                                            atomic.Int64 // bytes
}

// Open opens path to append to it. A file that cannot be opened is a
// failure.BadFile.
func Open(path string, interval time.Duration, c *Counters) (*File, error) {
	f := &File{path: path, interval: interval, c: c, poke: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if f.file, err = f.open(); err != nil {
		return nil, failure.Wrap(failure.BadFile, err, "accesslog: "+path, "name a file that can be written in the access_log's path")
	}
	return f, nil
}

func (f *File) open() (*os.File, error) {
	return os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// Add takes in whole lines. It never waits for the file.
func (f *File) Add(lines []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.buf)+len(lines) > Bound {
		f.c.failed.Add(1)
		return
	}
	f.buf = append(f.buf, lines...)
	f.c.buffered.Add(1)
	f.c.waiting.Add(int64(len(lines)))
	f.run(len(f.buf) >= flush)
}

// run sees to it that write runs, and at once if now is true. f is locked.
func (f *File) run(now bool) {
	if !f.running {
		f.running = true
		go f.write()
	}
	if now {
		select {
		case f.poke <- struct{}{}:
		default:
		}
	}
}

// Reopen has the file opened anew, because the old one was moved away.
func (f *File) Reopen() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reopen = true
	f.run(true)
}

// write writes what there is, when its time has come, until there is nothing.
func (f *File) write() {
	var spare []byte
	for {
		t := time.NewTimer(f.interval)
		select {
		case <-f.poke:
			t.Stop()
		case <-t.C:
			f.c.byTimer.Add(1)
		}
		f.mu.Lock()
		out := f.buf
		f.buf, spare = spare[:0], out
		reopen := f.reopen
		f.reopen = false
		f.mu.Unlock()

		if f.file == nil {
			f.renew()
		}
		if len(out) > 0 && f.file != nil {
			if _, err := f.file.Write(out); err != nil {
				f.c.failed.Add(1)
			} else {
				f.c.completed.Add(1)
			}
		}
		f.c.waiting.Add(-int64(len(out)))
		if reopen { // what was waiting is still the old one's
			f.renew()
		}

		f.mu.Lock()
		if len(f.buf) == 0 && !f.reopen {
			f.running = false
			if f.closing {
				f.shut()
			}
			f.mu.Unlock()
			return
		}
		f.run(f.closing || len(f.buf) >= flush)
		f.mu.Unlock()
	}
}

// renew opens the file anew; if it can't be, the old one stays.
func (f *File) renew() {
	file, err := f.open()
	if err != nil {
		f.c.reopenFailed.Add(1)
		return
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file = file
}

// Close gives the file up once what is in it is written. Lines that come later
// open it again. It does not wait.
func (f *File) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closing = true
	if f.running {
		f.run(true)
	} else {
		f.shut()
	}
}

// shut closes the file. f is locked, and write does not run.
func (f *File) shut() {
	if f.file != nil {
		f.file.Close()
		f.file = nil
	}
	select {
	case <-f.done:
	default:
		close(f.done)
	}
}

// Wait waits for a Close, but not longer than a slow file is worth.
func (f *File) Wait() {
	select {
	case <-f.done:
	case <-time.After(time.Second):
	}
}

// Stats lists the counters of the log files.
func (c *Counters) Stats() []mesh.Stat {
	return []mesh.Stat{
		{Name: "filesystem.write_buffered", Value: c.buffered.Load()},
		{Name: "filesystem.write_completed", Value: c.completed.Load()},
		{Name: "filesystem.write_failed", Value: c.failed.Load()},
		{Name: "filesystem.flushed_by_timer", Value: c.byTimer.Load()},
		{Name: "filesystem.reopen_failed", Value: c.reopenFailed.Load()},
		{Name: "filesystem.write_total_buffered", Value: uint64(c.waiting.Load()), Gauge: true},
	}
}
