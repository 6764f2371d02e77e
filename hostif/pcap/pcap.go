// Package pcap is a hostif.Link over capture files: Recv reads the frames of a
// pcap or pcapng file (gzip is fine), and Send writes a pcapng file. The NIC
// replays recorded traffic through it.
package pcap

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

const (
	ethHeaderLen = 14
	batch        = 64      // most frames a Recv
	maxFrame     = 1 << 18 // what readers accept (MAXIMUM_SNAPLEN of libpcap)
)

// Config says what to read and write.
type Config struct {
	Name string           // for messages and the written file's interface
	In   io.Reader        // capture to receive from; nil: Recv gives io.EOF
	Out  io.Writer        // where to write what is sent; nil: it is counted and forgotten
	MTU  int              // 0 is 65535: captures hold superframes
	Now  func() time.Time // times of written frames; nil is time.Now
}

// Link is an open capture. See New and Open.
type Link struct {
	name string
	mtu  int
	now  func() time.Time

	mu    sync.Mutex // orders the calls against Close
	shut  bool
	in    *source
	out   *sink
	files []*os.File
	pipe  [2]int // holds a byte: a capture always has something to say

	frames [batch]hostif.Frame
	bufs   [batch][]byte
	times  []time.Time
	err    error // what ended the input
	st     hostif.Stats
}

var _ hostif.Link = (*Link)(nil)

// Open returns a link that receives from the file read and writes to the file
// write, which it makes or truncates; either may be empty.
//
// Failures: Usage (a file cannot be opened or made), Privilege, BadFile (read
// is no capture of Ethernet frames).
func Open(read, write string) (*Link, error) {
	if read == "" && write == "" {
		return nil, failure.Usagef("pcap: neither a file to read nor one to write")
	}
	cfg := Config{Name: read}
	var files []*os.File
	closeAll := func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	if read != "" {
		f, err := os.Open(read)
		if err != nil {
			return nil, fileFailure("read", read, err)
		}
		files = append(files, f)
		cfg.In = f
	} else {
		cfg.Name = write
	}
	var out *os.File
	if write != "" {
		f, err := os.OpenFile(write, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			closeAll()
			return nil, fileFailure("write", write, err)
		}
		files = append(files, f)
		cfg.Out, out = f, f
	}
	if read != "" && write != "" && sameFile(files[0], files[1]) {
		closeAll()
		return nil, failure.New(failure.Usage, "pcap: write "+write, "it is the file to read", "choose another file to write")
	}
	if out != nil {
		if err := out.Truncate(0); err != nil && !errors.Is(err, unix.EINVAL) { // a pipe has no length
			closeAll()
			return nil, fileFailure("write", write, err)
		}
	}
	l, err := New(cfg)
	if err != nil {
		closeAll()
		return nil, err
	}
	l.files = files
	return l, nil
}

func sameFile(a, b *os.File) bool {
	sa, errA := a.Stat()
	sb, errB := b.Stat()
	return errA == nil && errB == nil && os.SameFile(sa, sb)
}

func fileFailure(verb, path string, err error) error {
	kind := failure.Usage
	if errors.Is(err, os.ErrPermission) {
		kind = failure.Privilege
	}
	return failure.Wrap(kind, err, "pcap: "+verb+" "+path, "check the path and its permissions")
}

// New returns a link over cfg's reader and writer, which stay the caller's to
// close after the link. Its errors are of the kind failure.BadFile when the
// input is no capture of Ethernet frames.
func New(cfg Config) (*Link, error) {
	l := &Link{name: cfg.Name, mtu: cfg.MTU, now: cfg.Now}
	if l.mtu == 0 {
		l.mtu = 65535
	}
	if l.now == nil {
		l.now = time.Now
	}
	var err error
	if cfg.In != nil {
		if l.in, err = newSource(cfg.Name, cfg.In); err != nil {
			return nil, err
		}
	} else {
		l.err = io.EOF
	}
	if cfg.Out != nil {
		if l.out, err = newSink(cfg.Name, cfg.Out); err != nil {
			return nil, failure.Wrap(failure.Unexpected, err, "pcap: write "+cfg.Name, "check the disk")
		}
	}
	if err := unix.Pipe(l.pipe[:]); err != nil {
		return nil, &hostif.OpError{Op: "open", Iface: l.name, Err: err}
	}
	for _, fd := range l.pipe {
		unix.CloseOnExec(fd)
	}
	if _, err := unix.Write(l.pipe[1], []byte{1}); err != nil {
		l.closePipe()
		return nil, &hostif.OpError{Op: "open", Iface: l.name, Err: err}
	}
	return l, nil
}

// Name returns the file's name.
func (l *Link) Name() string { return l.name }

// Offloads is false: a capture does not say what was left to do. Sums of
// captured outgoing frames may be unfinished all the same.
func (l *Link) Offloads() bool { return false }

// MTU returns the largest L3 packet in bytes.
func (l *Link) MTU() int { return l.mtu }

// Fd always polls readable: a frame, the end, or net.ErrClosed waits for Recv.
// It is -1 once Recv has returned net.ErrClosed.
func (l *Link) Fd() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pipe[0]
}

// Recv reads the next frames of the capture, at most 64. After the last it
// gives io.EOF; at a malformed place the frames before it, then an error of the
// kind failure.BadFile that names the offset. Frames that were captured in part,
// and those without an Ethernet header, are skipped and counted (RxDropBad).
func (l *Link) Recv(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		l.closePipe()
		return 0, l.closed("recv")
	}
	l.times = l.times[:0]
	n := 0
	for n < min(len(frames), batch) && l.err == nil {
		data, at, whole, err := l.in.next()
		if err != nil {
			l.err = err
			break
		}
		if !whole || len(data) < ethHeaderLen {
			l.st.RxDropBad++
			continue
		}
		l.bufs[n] = append(l.bufs[n][:0], data...)
		l.frames[n] = hostif.Frame{Data: l.bufs[n][:len(data):len(data)]}
		frames[n] = &l.frames[n]
		l.times = append(l.times, at)
		l.st.RxFrames++
		l.st.RxBytes += uint64(len(data))
		n++
	}
	if n == 0 && l.err != nil {
		return 0, l.err
	}
	return n, nil
}

// Times returns when the frames of the last Recv were captured, to the
// nanosecond if the file says so. It is valid until the next Recv.
func (l *Link) Times() []time.Time { return l.times }

// Send appends the frames to the written file, stamped with Config.Now. An
// error means that the file could not be written.
func (l *Link) Send(frames []*hostif.Frame) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return 0, l.closed("send")
	}
	sent := 0
	for _, f := range frames {
		switch {
		case len(f.Data) < ethHeaderLen, f.Offload != hostif.Offload{}:
			l.st.TxDropError++
			continue
		case len(f.Data) > min(l.mtu+ethHeaderLen+4, maxFrame):
			l.st.TxDropSize++
			continue
		}
		if l.out != nil {
			if err := l.out.write(f.Data, l.now()); err != nil {
				return sent, &hostif.OpError{Op: "send", Iface: l.name, Err: err}
			}
		}
		sent++
		l.st.TxFrames++
		l.st.TxBytes += uint64(len(f.Data))
	}
	return sent, nil
}

// Stats returns the counters so far.
func (l *Link) Stats() hostif.Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.st
}

// Close writes what is buffered and closes the files that Open opened. It is
// safe from any goroutine, also twice.
func (l *Link) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shut {
		return nil
	}
	l.shut = true
	var errs []error
	if l.out != nil {
		errs = append(errs, l.out.flush())
	}
	for _, f := range l.files {
		errs = append(errs, f.Close())
	}
	_ = unix.Close(l.pipe[1]) // a poll on the other end sees the hang-up
	l.pipe[1] = -1
	if err := errors.Join(errs...); err != nil {
		return &hostif.OpError{Op: "close", Iface: l.name, Err: err}
	}
	return nil
}

func (l *Link) closed(op string) error {
	return &hostif.OpError{Op: op, Iface: l.name, Err: net.ErrClosed}
}

func (l *Link) closePipe() {
	for i, fd := range l.pipe {
		if fd >= 0 {
			_ = unix.Close(fd)
			l.pipe[i] = -1
		}
	}
}
