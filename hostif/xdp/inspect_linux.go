package xdp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/hostif/ethtool"
	"github.com/meshnic/meshnic/internal/failure"
)

// port is what is known of an interface before it is attached to.
type port struct {
	name    string
	ns      int
	index   int
	mtu     int
	kind    string
	peer    ethtool.Peer
	hasPeer bool
	inode   uint64 // of its namespace
	down    bool   // administratively
}

func (p *port) same(q *port) bool { return p.index == q.index && p.inode == q.inode }

// inspect looks an interface up and refuses what cannot work.
func inspect(iface Iface) (*port, error) {
	p := &port{name: iface.Name, ns: iface.NS}
	err := ethtool.Do(iface.NS, func() error {
		l, err := netlink.LinkByName(iface.Name)
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return unknown(iface.Name)
		}
		if err != nil {
			return explain("look up", iface.Name, err)
		}
		a := l.Attrs()
		p.index, p.mtu, p.kind, p.down = a.Index, a.MTU, l.Type(), a.RawFlags&unix.IFF_UP == 0
		var st unix.Stat_t
		if err := unix.Stat("/proc/thread-self/ns/net", &st); err == nil {
			p.inode = st.Ino
		}
		if a.EncapType != "ether" && a.EncapType != "loopback" || p.mtu > maxMTU {
			return failure.Wrap(failure.Unsupported, hostif.ErrNotSupported, fmt.Sprintf("xdp: attach to %s: link type %s, MTU %d: want Ethernet, MTU at most %d", p.name, a.EncapType, p.mtu, maxMTU),
				"use another interface")
		}
		if x := a.Xdp; x != nil && x.Attached {
			return leftover(p, x)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	n, err := ethtool.RxQueues(iface.NS, iface.Name)
	if err != nil {
		return nil, explain("count the queues of", iface.Name, err)
	}
	if n > 1 {
		return nil, failure.Wrap(failure.Unsupported, hostif.ErrNotSupported,
			fmt.Sprintf("xdp: attach to %s: it has %d receive queues, and a socket serves one", iface.Name, n),
			fmt.Sprintf("ethtool -L %s rx 1 tx 1 (or combined 1), or use --mode packet", iface.Name))
	}
	return p, nil
}

// unknown names the interfaces that the user may have meant.
func unknown(name string) error {
	var names []string
	if links, err := netlink.LinkList(); err == nil {
		for _, l := range links {
			names = append(names, l.Attrs().Name)
		}
	}
	next := "ip link (here: " + strings.Join(names, ", ") + ")"
	if near := similar(name, names); len(near) > 0 {
		next = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return failure.Wrap(failure.Usage, hostif.ErrNoInterface, "xdp: attach to "+name, next)
}

// similar returns the names within two edits of name, or that extend it.
func similar(name string, names []string) (near []string) {
	for _, n := range names {
		if distance(name, n) <= 2 && len(name) > 2 || strings.HasPrefix(n, name) {
			near = append(near, n)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return distance(name, a) - distance(name, b) })
	return near[:min(3, len(near))]
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// leftover says whose program is on an interface. Ours ends with its process, so
// whatever is there has an owner.
func leftover(p *port, x *netlink.LinkXdp) error {
	what := fmt.Sprintf("xdp: attach to %s: XDP program %d", p.name, x.ProgId)
	if prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(x.ProgId)); err == nil {
		if info, err := prog.Info(); err == nil && info.Name != "" {
			what += " (" + info.Name + ")"
		}
		_ = prog.Close()
	}
	how := map[uint32]string{1: "xdpdrv", 2: "xdpgeneric", 3: "xdpoffload"}[x.AttachMode]
	if how == "" {
		how = "xdp"
	}
	next := fmt.Sprintf("ip link set dev %s %s off", p.name, how)
	if owner := holder(x.ProgId); owner != "" {
		what += " is already attached, held by " + owner
		next = "stop that process, or if it holds no bpf link: " + next
	} else {
		what += " is already attached, and no process we can see holds it"
		next += " (or remove its pin under /sys/fs/bpf)"
	}
	return failure.Wrap(failure.Conflict, hostif.ErrBusy, what, next)
}

// holder finds a process with a descriptor of the program, or of a link to it.
func holder(prog uint32) string {
	want := fmt.Sprintf("\nprog_id:\t%d\n", prog)
	infos, _ := filepath.Glob("/proc/[0-9]*/fdinfo/*")
	for _, path := range infos {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), want) {
			continue
		}
		pid := strings.Split(path, "/")[2]
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("process %s (%s)", pid, strings.TrimSpace(string(comm)))
	}
	return ""
}
