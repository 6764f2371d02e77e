package sidecar

import (
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/mesh"
)

const (
	logBound = 4 << 20  // what a log file may be behind; lines beyond it are dropped, and counted
	logFlush = 64 << 10 // what is written before its time, as in Envoy
)

// logFile is an access log's file, for all workers. They only copy lines to buf:
// a goroutine that lives while there are some writes them, so that a slow file
// keeps nobody waiting.
type logFile struct {
	path     string
	interval time.Duration
	c        *logCounters

	mu      sync.Mutex
	buf     []byte
	running bool // write is
	reopen  bool // before the next line
	closing bool

	poke chan struct{} // do not wait for the interval
	done chan struct{} // closed by write when it ends with closing
	file *os.File      // write's, or nobody's
}

// logCounters are Envoy's filesystem.*; what is dropped has failed.
type logCounters struct {
	buffered, completed, failed, byTimer, reopenFailed atomic.Uint64
	waiting                                            atomic.Int64 // bytes
}

// openLog opens path to append to it. A file that cannot be opened is a
// failure.BadFile.
func openLog(path string, interval time.Duration, c *logCounters) (*logFile, error) {
	f := &logFile{path: path, interval: interval, c: c, poke: make(chan struct{}, 1), done: make(chan struct{})}
	var err error
	if f.file, err = f.open(); err != nil {
		return nil, failure.Wrap(failure.BadFile, err, "sidecar: access log "+path, "name a file that can be written in the access_log's path")
	}
	return f, nil
}

func (f *logFile) open() (*os.File, error) {
	return os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
}

// add takes in whole lines. It never waits for the file.
func (f *logFile) add(lines []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.buf)+len(lines) > logBound {
		f.c.failed.Add(1)
		return
	}
	f.buf = append(f.buf, lines...)
	f.c.buffered.Add(1)
	f.c.waiting.Add(int64(len(lines)))
	f.run(len(f.buf) >= logFlush)
}

// run sees to it that write runs, and at once if now is true. f is locked.
func (f *logFile) run(now bool) {
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

// again has the file opened anew, because the old one was moved away.
func (f *logFile) again() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reopen = true
	f.run(true)
}

// write writes what there is, when its time has come, until there is nothing.
func (f *logFile) write() {
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
		f.run(f.closing || len(f.buf) >= logFlush)
		f.mu.Unlock()
	}
}

// renew opens the file anew; if it can't be, the old one stays.
func (f *logFile) renew() {
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

// close gives the file up once what is in it is written. Lines that come later
// open it again. It does not wait.
func (f *logFile) close() {
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
func (f *logFile) shut() {
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

// wait waits for a close, but not longer than a slow file is worth.
func (f *logFile) wait() {
	select {
	case <-f.done:
	case <-time.After(time.Second):
	}
}

// stats lists the counters of the log files.
func (c *logCounters) stats() []mesh.Stat {
	return []mesh.Stat{
		{Name: "filesystem.write_buffered", Value: c.buffered.Load()},
		{Name: "filesystem.write_completed", Value: c.completed.Load()},
		{Name: "filesystem.write_failed", Value: c.failed.Load()},
		{Name: "filesystem.flushed_by_timer", Value: c.byTimer.Load()},
		{Name: "filesystem.reopen_failed", Value: c.reopenFailed.Load()},
		{Name: "filesystem.write_total_buffered", Value: uint64(c.waiting.Load()), Gauge: true},
	}
}

// openLogs returns the files of cfg's access logs by path, those that old has among
// them.
func (s *Server) openLogs(cfg *mesh.Config, old *config) (map[string]*logFile, error) {
	files := map[string]*logFile{}
	for i := range cfg.Listeners {
		for _, l := range cfg.Listeners[i].Logs {
			if files[l.Path] != nil {
				continue
			}
			if old != nil && old.logs[l.Path] != nil {
				files[l.Path] = old.logs[l.Path]
				continue
			}
			f, err := openLog(l.Path, s.opt.LogFlush, &s.logCounters)
			if err != nil {
				closeLogs(files, old)
				return nil, err
			}
			files[l.Path] = f
		}
	}
	return files, nil
}

// closeLogs closes those of files that keep has not.
func closeLogs(files map[string]*logFile, keep *config) {
	for path, f := range files {
		if keep == nil || keep.logs[path] != f {
			f.close()
		}
	}
}

// ReopenLogs opens the files of the access logs anew, because the old ones were
// moved away.
func (s *Server) ReopenLogs() {
	for _, f := range s.force.Load().logs {
		f.again()
	}
}
