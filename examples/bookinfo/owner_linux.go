package bookinfo

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// portOwner says which process listens on address's port, " by pid 12 (node)",
// or "" where it cannot be seen: another user's, another namespace's.
func portOwner(address string) string {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return ""
	}
	inodes := listeners(n)
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		target, err := os.Readlink(fd)
		if err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(fd, "/")[2]
		name, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf(" by pid %s (%s)", pid, strings.TrimSpace(string(name)))
	}
	return ""
}

// listeners returns the "socket:[inode]" of every TCP socket listening on port.
func listeners(port uint64) map[string]bool {
	const stateListen = "0A" // TCP_LISTEN in proc_net_tcp(5)
	out := make(map[string]bool)
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			col := strings.Fields(s.Text())
			if len(col) < 10 || col[3] != stateListen {
				continue
			}
			_, hex, _ := strings.Cut(col[1], ":")
			if p, err := strconv.ParseUint(hex, 16, 16); err == nil && p == port {
				out["socket:["+col[9]+"]"] = true
			}
		}
		f.Close()
	}
	return out
}
