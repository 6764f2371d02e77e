package lab

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// signal sends SIGTERM or SIGKILL to the program's process group. The group's
// number cannot have been used again: wait has not reaped its leader before
// done is closed, or other members keep it.
func (p *Process) signal(kill bool) {
	sig := unix.SIGTERM
	if kill {
		sig = unix.SIGKILL
	}
	if !p.exited() {
		unix.Kill(-p.Pid, sig)
	}
}

// CPU returns the CPU time of the program so far, of all its threads, those
// that have ended included, at the kernel's full resolution. Children are not
// included.
func (p *Process) CPU() (time.Duration, error) {
	if p.exited() {
		return p.finalCPU(), nil
	}
	t, err := cpuTime(p.Pid)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) { // it has ended this moment
		<-p.done
		return p.finalCPU(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("lab: CPU time of %s: %w", p.Name, err)
	}
	return max(0, t-p.before), nil
}

// cpuTime reads the clock of another process's CPU time, clock_getcpuclockid(3):
// its number is the complement of the pid above the clock's kind, 2 for
// CPUCLOCK_SCHED. Unlike /proc/PID/schedstat it counts threads that have ended.
func cpuTime(pid int) (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}

// RSS returns the bytes of memory the program holds now.
func (p *Process) RSS() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.Pid))
	if err != nil {
		return 0, fmt.Errorf("lab: memory of %s: %w", p.Name, err)
	}
	f := strings.Fields(string(b))
	if len(f) < 2 {
		return 0, fmt.Errorf("lab: memory of %s: /proc/%d/statm is %q", p.Name, p.Pid, b)
	}
	pages, err := strconv.ParseInt(f[1], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("lab: memory of %s: %w", p.Name, err)
	}
	return pages * int64(os.Getpagesize()), nil
}

// WaitListening waits until something in the program's network namespace
// listens on a TCP address, IP:port or :port for any. It looks at the table of
// sockets, so that the server sees no connection. A program that ends before
// that is an error with the end of its stderr.
func (p *Process) WaitListening(addr string, timeout time.Duration) error {
	want, err := parseListen(addr)
	if err != nil {
		return failure.Wrap(failure.Usage, err, "wait for "+p.Name, "want IP:port or :port")
	}
	deadline := time.Now().Add(timeout)
	for {
		if listening(p.Pid, want) {
			return nil
		}
		select {
		case <-p.done:
			why := "it ended with exit code 0"
			if p.err != nil {
				why = p.err.Error()
			}
			if tail := p.Tail(); tail != "" {
				why += ": " + tail
			}
			return p.deaf(addr, why)
		case <-time.After(2 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			why := fmt.Sprintf("it has not begun to within %v", timeout)
			if tail := p.Tail(); tail != "" {
				why += "; its last words: " + tail
			}
			return p.deaf(addr, why)
		}
	}
}

// deaf is the failure of a program that does not listen.
func (p *Process) deaf(addr, why string) error {
	next := "see whether " + p.Name + " runs by itself"
	if p.tail.file != "" {
		next += ", and read " + p.tail.file
	}
	return failure.New(failure.Unexpected, fmt.Sprintf("%s in host %s does not listen on %s", p.Name, p.Host, addr), why, next)
}

func parseListen(addr string) (netip.AddrPort, error) {
	if port, ok := strings.CutPrefix(addr, ":"); ok {
		n, err := strconv.ParseUint(port, 10, 16)
		return netip.AddrPortFrom(netip.Addr{}, uint16(n)), err
	}
	return netip.ParseAddrPort(addr)
}

// listening reports whether a TCP socket in the network namespace of process
// pid listens on want, or on want's port at any address.
func listening(pid int, want netip.AddrPort) bool {
	for _, file := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, file))
		if err != nil {
			continue
		}
		for sc := bufio.NewScanner(f); sc.Scan(); {
			got, ok := listenLine(sc.Text())
			if ok && got.Port() == want.Port() && (!want.Addr().IsValid() || got.Addr().IsUnspecified() || got.Addr() == want.Addr()) {
				f.Close()
				return true
			}
		}
		f.Close()
	}
	return false
}

// listenLine returns the address of a line of /proc/net/tcp whose socket
// listens (state 0A). Addresses there are 32-bit words in host order, in hex.
func listenLine(line string) (netip.AddrPort, bool) {
	f := strings.Fields(line)
	if len(f) < 4 || f[3] != "0A" {
		return netip.AddrPort{}, false
	}
	ip, port, ok := strings.Cut(f[1], ":")
	raw, err := hex.DecodeString(ip)
	n, err2 := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || err2 != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok
}
