package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// BulkConfig describes a bulk transfer over TCP to a Sink.
type BulkConfig struct {
	Target   netip.AddrPort `json:"target"`
	Duration time.Duration  `json:"duration_ns"`          // of sending; up to an hour
	Streams  int            `json:"streams,omitempty"`    // connections; default 1, at most 64
	Write    int            `json:"write,omitempty"`      // bytes a write; default 65536, at most 4 MiB
	Timeout  time.Duration  `json:"timeout_ns,omitempty"` // of the connect, and of draining at the end; default 10 s
	Placement
}

// BulkResult is a throughput. Bytes were received: the sink says so when it has
// read the last of them, and only then does the clock stop.
type BulkResult struct {
	Schema     string  `json:"schema"`
	Mode       string  `json:"mode"` // "bulk"
	Streams    int     `json:"streams"`
	Bytes      uint64  `json:"bytes"`
	Elapsed    float64 `json:"elapsed_s"`
	BitsPerSec float64 `json:"bits_per_s"` // of TCP payload
}

// SinkConfig describes the receiving end of Bulk.
type SinkConfig struct {
	Listen netip.AddrPort `json:"listen"` // port 0: any free one
	Placement

	// Ready is called once, with the address, when connections are accepted.
	Ready func(netip.AddrPort) `json:"-"`
}

func (c BulkConfig) withDefaults() (BulkConfig, error) {
	if c.Streams == 0 {
		c.Streams = 1
	}
	if c.Write == 0 {
		c.Write = 64 << 10
	}
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	switch {
	case !c.Target.IsValid() || c.Target.Port() == 0:
		return c, failure.Usagef("load: target %q is not an address and a port", c.Target)
	case c.Duration <= 0 || c.Duration > time.Hour:
		return c, failure.Usagef("load: duration is %v, want more than 0 and at most an hour", c.Duration)
	case c.Streams < 1 || c.Streams > 64:
		return c, failure.Usagef("load: streams is %d, want 1 to 64", c.Streams)
	case c.Write < 1 || c.Write > 4<<20:
		return c, failure.Usagef("load: write is %d, want 1 to 4194304 bytes", c.Write)
	case c.Timeout < time.Millisecond:
		return c, failure.Usagef("load: timeout is %v, want at least 1 ms", c.Timeout)
	}
	return c, nil
}

// Bulk sends as fast as TCP takes it and returns the throughput the sink saw.
// At 64 KiB a write the scheduler's part is small, so it uses package net.
func Bulk(ctx context.Context, cfg BulkConfig) (*BulkResult, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d := net.Dialer{Timeout: cfg.Timeout}
	conns := make([]*net.TCPConn, cfg.Streams)
	for i := range conns {
		c, err := d.DialContext(ctx, "tcp", cfg.Target.String())
		if err != nil {
			return nil, failure.Wrap(failure.Unexpected, err, "load: bulk transfer", "start the sink first and check that the path carries TCP")
		}
		defer c.Close()
		conns[i] = c.(*net.TCPConn)
	}
	var wg sync.WaitGroup
	got, errs := make([]uint64, len(conns)), make([]error, len(conns))
	begin := time.Now()
	for i, c := range conns {
		stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
		defer stop()
		wg.Go(func() { got[i], errs[i] = cfg.pour(c, begin.Add(cfg.Duration)) })
	}
	wg.Wait()
	elapsed := time.Since(begin)
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if err := errors.Join(errs...); err != nil {
		return nil, failure.Wrap(failure.Unexpected, err, "load: bulk transfer", "")
	}
	r := &BulkResult{Schema: Schema, Mode: "bulk", Streams: cfg.Streams, Elapsed: elapsed.Seconds()}
	for _, n := range got {
		r.Bytes += n
	}
	r.BitsPerSec = 8 * float64(r.Bytes) / r.Elapsed
	return r, nil
}

// pour sends until the time has come and returns what the sink has counted.
func (cfg BulkConfig) pour(c *net.TCPConn, until time.Time) (uint64, error) {
	if err := c.SetDeadline(until.Add(cfg.Timeout)); err != nil {
		return 0, err
	}
	buf := make([]byte, cfg.Write)
	var sent uint64
	for time.Now().Before(until) {
		n, err := c.Write(buf)
		sent += uint64(n)
		if err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	var count [8]byte
	if _, err := io.ReadFull(c, count[:]); err != nil {
		return 0, fmt.Errorf("the sink did not report what it has received: %w", err)
	}
	if got := binary.BigEndian.Uint64(count[:]); got != sent {
		return 0, fmt.Errorf("sent %d bytes, the sink received %d", sent, got)
	}
	return sent, nil
}

// Sink reads and drops what Bulk sends until ctx ends, and reports to each
// sender, at the end of its stream, the number of bytes as 8 bytes big endian.
func Sink(ctx context.Context, cfg SinkConfig) (*ServeResult, error) {
	if !cfg.Listen.IsValid() {
		return nil, failure.Usagef("load: listen address %q is not an address and a port", cfg.Listen)
	}
	ln, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(cfg.Listen))
	if err != nil {
		return nil, sinkError(err, cfg.Listen)
	}
	defer ln.Close()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	if cfg.Ready != nil {
		cfg.Ready(ln.Addr().(*net.TCPAddr).AddrPort())
	}
	res := ServeResult{Schema: Schema, Mode: "sink"}
	var mu sync.Mutex // guards res
	var peers sync.WaitGroup
	for {
		c, err := ln.AcceptTCP()
		if err != nil {
			peers.Wait()
			if ctx.Err() == nil {
				return nil, failure.Wrap(failure.Unexpected, err, "load: accept", "")
			}
			return &res, nil
		}
		peers.Go(func() {
			defer c.Close()
			defer context.AfterFunc(ctx, func() { c.Close() })()
			n, ok := drain(c)
			mu.Lock()
			defer mu.Unlock()
			res.Connections++
			res.Bytes += n
			if ok {
				res.Requests++
			}
		})
	}
}

func drain(c *net.TCPConn) (n uint64, ok bool) {
	// not io.Copy to io.Discard: its 8 KiB reads would be the bottleneck
	buf := make([]byte, 256<<10)
	for {
		m, err := c.Read(buf)
		n += uint64(m)
		if errors.Is(err, io.EOF) {
			_, err := c.Write(binary.BigEndian.AppendUint64(nil, n))
			return n, err == nil
		}
		if err != nil {
			return n, false
		}
	}
}
