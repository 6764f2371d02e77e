package accesslog

import (
	"slices"
	"time"

	"github.com/meshnic/meshnic/proxy/mesh"
)

// Files are the files of a configuration's access logs, by path.
type Files map[string]*File

// OpenAll opens the files of cfg's access logs, but those that old has.
func OpenAll(cfg *mesh.Config, old Files, interval time.Duration, c *Counters) (Files, error) {
	files := Files{}
	for i := range cfg.Listeners {
		for _, l := range slices.Concat(cfg.Listeners[i].Logs, cfg.Listeners[i].ConnLogs) {
			if files[l.Path] != nil {
				continue
			}
			if old[l.Path] != nil {
				files[l.Path] = old[l.Path]
				continue
			}
			f, err := Open(l.Path, interval, c)
			if err != nil {
				files.Close(old)
				return nil, err
			}
			files[l.Path] = f
		}
	}
	return files, nil
}

// Close closes those of files that keep has not.
func (files Files) Close(keep Files) {
	for path, f := range files {
		if keep[path] != f {
			f.Close()
		}
	}
}

// Reopen has all files opened anew, because the old ones were moved away.
func (files Files) Reopen() {
	for _, f := range files {
		f.Reopen()
	}
}

// Sink is what one thread has for a File since it last handed some over.
type Sink struct {
	File *File
	Buf  []byte
}

// Sinks are those of one thread.
type Sinks struct {
	of      map[*File]*Sink
	written []*Sink // in this round
}

// Of returns the sinks for the logs of a listener.
func (s *Sinks) Of(logs []mesh.Log, files Files) (out []*Sink) {
	if s.of == nil {
		s.of = map[*File]*Sink{}
	}
	for i := range logs {
		f := files[logs[i].Path]
		x := s.of[f]
		if x == nil {
			x = &Sink{File: f}
			s.of[f] = x
		}
		out = append(out, x)
	}
	return out
}

// Append writes the line for e of each of logs that wants one to its sink. draw is a
// number by chance. It allocates nothing once the buffers have their size.
func (s *Sinks) Append(to []*Sink, logs []mesh.Log, e *mesh.Entry, draw func() uint64) {
	for i, x := range to {
		if !logs[i].Wants(e, draw) {
			continue
		}
		if len(x.Buf) == 0 {
			s.written = append(s.written, x)
		}
		x.Buf = logs[i].Append(x.Buf, e)
	}
}

// HandOver gives the lines of this round to the files.
func (s *Sinks) HandOver() {
	for _, x := range s.written {
		if len(x.Buf) > 0 {
			x.File.Add(x.Buf)
			x.Buf = x.Buf[:0]
		}
	}
	s.written = s.written[:0]
}

// Keep forgets those of files that none of in use has any more.
func (s *Sinks) Keep(inUse ...[]*Sink) {
	s.HandOver()
	clear(s.of)
	for _, list := range inUse {
		for _, x := range list {
			s.of[x.File] = x
		}
	}
}
