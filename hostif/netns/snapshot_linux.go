package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Snapshot describes what a lab could leave behind, one thing a line, sorted:
// named namespaces, what is mounted on their directory, directories of labs,
// and, in the caller's namespace, interfaces with their addresses, routes and
// nft tables; and processes in other network namespaces than the caller's. Two
// snapshots of an untouched host are the same text. Counters and addresses of
// neighbours are left out.
func Snapshot() (string, error) {
	var s snapshotter
	for _, part := range []func() error{s.namespaces, s.labs, s.links, s.routes, s.tables, s.processes} {
		if err := part(); err != nil {
			return "", fmt.Errorf("netns: snapshot: %w", err)
		}
	}
	slices.Sort(s.lines)
	return strings.Join(s.lines, "\n") + "\n", nil
}

type snapshotter struct{ lines []string }

func (s *snapshotter) add(format string, args ...any) {
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *snapshotter) namespaces() error {
	if fileExists(Dir) {
		s.add("dir %s", Dir)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo") // proc_pid_mountinfo(5)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == Dir {
			s.add("mount %s %s", Dir, f[3])
		}
	}
	files, err := os.ReadDir(Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range files {
		id, mounted := nsInode(Path(f.Name()))
		s.add("netns %s mounted=%v inode=%d", f.Name(), mounted, id)
	}
	return nil
}

func (s *snapshotter) labs() error {
	run, err := RunDir()
	if err != nil {
		return err
	}
	return filepath.WalkDir(run, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			s.add("file %s", path)
		}
		return err
	})
}

func (s *snapshotter) links() error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		a := l.Attrs()
		s.add("link %d %s %s %s mtu=%d master=%d %s", a.Index, a.Name, l.Type(), a.HardwareAddr, a.MTU, a.MasterIndex,
			a.Flags&(net.FlagUp|net.FlagLoopback|net.FlagBroadcast))
		addrs, err := netlink.AddrList(l, netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		for _, ip := range addrs {
			s.add("addr %s %s", a.Name, ip.IPNet)
		}
	}
	return nil
}

func (s *snapshotter) routes() error {
	list, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return err
	}
	for _, r := range list {
		s.add("route table=%d %s dev=%d via=%v src=%v metric=%d", r.Table, r.Dst, r.LinkIndex, r.Gw, r.Src, r.Priority)
	}
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return err
	}
	for _, r := range rules {
		s.add("rule %d table=%d %v %v", r.Priority, r.Table, r.Src, r.Dst)
	}
	return nil
}

func (s *snapshotter) tables() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := c.ListTables()
	if err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
			return nil
		}
		return err
	}
	chains, err := c.ListChains()
	if err != nil {
		return err
	}
	for _, t := range tables {
		s.add("nft table %d %s", t.Family, t.Name)
	}
	for _, ch := range chains {
		rules, err := c.GetRules(ch.Table, ch)
		if err != nil {
			return err
		}
		s.add("nft chain %d %s %s rules=%d", ch.Table.Family, ch.Table.Name, ch.Name, len(rules))
	}
	return nil
}

func (s *snapshotter) processes() error {
	home, _ := nsInode("/proc/self/ns/net")
	list, err := pids()
	if err != nil {
		return err
	}
	for _, pid := range list {
		id, ok := nsInode(fmt.Sprintf("/proc/%d/ns/net", pid))
		st, err := readStat(pid)
		if !ok || id == home || err != nil || st.state == 'Z' {
			continue
		}
		s.add("process %d %s started=%d netns=%d", pid, st.comm, st.start, id)
	}
	return nil
}
