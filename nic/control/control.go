// Package control lets other processes ask a running NIC for its counters: a
// Unix socket that answers each connection with one Snapshot as JSON.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// patience bounds one question and its answer.
const patience = 2 * time.Second

// Serve answers on l until ctx ends, and closes it, which removes its socket.
func Serve(ctx context.Context, l net.Listener, n *nic.NIC) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("control: %w", err)
		}
		answer(ctx, conn, n)
	}
}

func answer(ctx context.Context, conn net.Conn, n *nic.NIC) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := n.Snapshot(ctx)
	if err != nil {
		return
	}
	conn.SetWriteDeadline(time.Now().Add(patience))
	json.NewEncoder(conn).Encode(s)
}

// Listen makes the Unix socket at path. A socket that a dead process left behind
// is replaced.
func Listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, failure.Wrap(failure.Usage, err, "listen on control socket "+path, "choose a path that can be written, shorter than 108 bytes")
	}
	if conn, err := net.DialTimeout("unix", path, patience); err == nil {
		conn.Close()
		return nil, failure.New(failure.Conflict, "listen on control socket "+path, "another meshnic answers on it", "choose another path with --control")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, failure.New(failure.Conflict, "listen on control socket "+path, "it is a file, not a socket", "choose another path with --control")
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("control: remove the socket that a dead process left: %w", err)
	}
	l, err = net.Listen("unix", path)
	return l, failure.Wrap(failure.Usage, err, "listen on control socket "+path, "choose another path with --control")
}

// Get asks the NIC behind the socket at path for its counters.
func Get(ctx context.Context, path string) (nic.Snapshot, error) {
	var s nic.Snapshot
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return s, fmt.Errorf("control: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	if err := json.NewDecoder(conn).Decode(&s); err != nil {
		return s, fmt.Errorf("control: answer of %s: %w", path, err)
	}
	if s.Schema != nic.SnapshotSchema {
		return s, fmt.Errorf("control: answer of %s has schema %q, want %q", path, s.Schema, nic.SnapshotSchema)
	}
	return s, nil
}
