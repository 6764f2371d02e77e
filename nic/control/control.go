// Package control lets other processes ask a running NIC: a Unix socket that
// answers each connection with one Snapshot as JSON, or, where its first line is
// "flow ADDRESS:PORT", with a line that says where the connection of that client is.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/nic"
)

// patience bounds one question and its answer.
const patience = 2 * time.Second

const (
	quiet   = 200 * time.Millisecond // after which who has said nothing wants a Snapshot
	maxLine = 128
	clients = 16 // answered at a time
)

// Serve answers on l until ctx ends, and closes it, which removes its socket.
func Serve(ctx context.Context, l net.Listener, n *nic.NIC) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	free := make(chan struct{}, clients)
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("control: %w", err)
		}
		free <- struct{}{}
		all.Go(func() {
			answer(ctx, conn, n)
			<-free
		})
	}
}

func answer(ctx context.Context, conn net.Conn, n *nic.NIC) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// Who wants a Snapshot need not say so.
	conn.SetReadDeadline(time.Now().Add(quiet))
	line, _ := bufio.NewReader(io.LimitReader(conn, maxLine)).ReadString('\n')
	conn.SetWriteDeadline(time.Now().Add(2 * patience)) // of which the NIC may take one
	if client, ok := strings.CutPrefix(strings.TrimSpace(line), "flow "); ok {
		fmt.Fprintln(conn, flow(ctx, n, client))
		return
	}
	s, err := n.Snapshot(ctx)
	if err != nil {
		return
	}
	json.NewEncoder(conn).Encode(s)
}

func flow(ctx context.Context, n *nic.NIC, client string) string {
	a, err := netip.ParseAddrPort(client)
	if err != nil {
		return err.Error()
	}
	switch where, ok, err := n.Flow(ctx, a); {
	case err != nil:
		return err.Error()
	case ok:
		return where
	}
	return fmt.Sprintf("connection %v: the NIC's proxy has none of that client", a)
}

// Listen makes the Unix socket at path. A socket that a dead process left behind
// is replaced.
func Listen(path string) (net.Listener, error) {
	l, err := net.Listen("unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, failure.Wrap(failure.Usage, err, "listen on control socket "+path, "choose a path that can be written, shorter than 108 bytes")
	}
	conn, err := net.DialTimeout("unix", path, patience)
	if err == nil {
		conn.Close()
		return nil, failure.New(failure.Conflict, "listen on control socket "+path, "another meshnic answers on it", "choose another path with --control")
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSocket == 0 {
		return nil, failure.New(failure.Conflict, "listen on control socket "+path, "it is a file, not a socket", "choose another path with --control")
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // a dead process's refuses
		return nil, failure.Wrap(failure.Conflict, err, "listen on control socket "+path+", which another program may have", "choose another path with --control")
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("control: remove the socket that a dead process left: %w", err)
	}
	l, err = net.Listen("unix", path)
	return l, failure.Wrap(failure.Usage, err, "listen on control socket "+path, "choose another path with --control")
}

// Flow asks the NIC behind the socket at path where the connection of a client is.
func Flow(ctx context.Context, path string, client netip.AddrPort) (string, error) {
	conn, err := dial(ctx, path, "flow "+client.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("control: answer of %s: %w", path, err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// dial connects to the socket at path and says a line.
func dial(ctx context.Context, path, line string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	// It may have been too quiet for too long: then the answer is there already.
	if _, err := fmt.Fprintln(conn, line); err != nil && !errors.Is(err, syscall.EPIPE) {
		conn.Close()
		return nil, fmt.Errorf("control: %w", err)
	}
	return conn, nil
}

// Get asks the NIC behind the socket at path for its counters.
func Get(ctx context.Context, path string) (nic.Snapshot, error) {
	var s nic.Snapshot
	conn, err := dial(ctx, path, "snapshot")
	if err != nil {
		return s, err
	}
	defer conn.Close()
	if err := json.NewDecoder(conn).Decode(&s); err != nil {
		return s, fmt.Errorf("control: answer of %s: %w", path, err)
	}
	if s.Schema != nic.SnapshotSchema {
		return s, fmt.Errorf("control: answer of %s has schema %q, want %q", path, s.Schema, nic.SnapshotSchema)
	}
	return s, nil
}
