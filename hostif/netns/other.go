//go:build !linux

package netns

import (
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/meshnic/meshnic/hostif"
	"github.com/meshnic/meshnic/internal/failure"
)

// Elsewhere than on Linux there are no network namespaces: every function that
// would make or look for something says so.

func unsupported() error {
	return failure.Wrap(failure.Unsupported, hostif.ErrNotSupported, "network namespaces", "run it on Linux")
}

// Proc is a process that lives in a namespace.
type Proc struct {
	Pid     int    `json:"pid"`
	Start   uint64 `json:"start_ticks"`
	NS      string `json:"namespace"`
	Command string `json:"command"`
}

// UndoOptions say how far Undo may go.
type UndoOptions struct {
	Force    bool
	Handlers map[string]UndoFunc
	Observe  func(point string)
}

func New(string) error                                        { return unsupported() }
func Delete(string) error                                     { return unsupported() }
func Do(string, func() error) error                           { return unsupported() }
func DoPath(string, func() error) error                       { return unsupported() }
func Probe() error                                            { return unsupported() }
func Undo(string, UndoOptions) (bool, error)                  { return false, unsupported() }
func Tidy() error                                             { return unsupported() }
func Veth(End, End, int) error                                { return unsupported() }
func Bridge(string, string, int) error                        { return unsupported() }
func Enslave(string, string, string) error                    { return unsupported() }
func SetUp(string, string) error                              { return unsupported() }
func WaitUp(string, string, time.Duration) error              { return unsupported() }
func SetMTU(string, string, int) error                        { return unsupported() }
func SetMAC(string, string, string) error                     { return unsupported() }
func AddAddr(string, string, netip.Prefix) error              { return unsupported() }
func AddRoute(string, string, netip.Prefix, netip.Addr) error { return unsupported() }
func AddNeigh(string, string, netip.Addr, string) error       { return unsupported() }
func AddVXLAN(string, VXLAN) error                            { return unsupported() }
func AddRemote(string, string, string, netip.Addr) error      { return unsupported() }
func Sysctl(string, string, string) error                     { return unsupported() }
func Balance(string, []VIP) error                             { return unsupported() }
func SetRules(string, Rules) error                            { return unsupported() }
func StartTime(int) (uint64, error)                           { return 0, unsupported() }
func ProcessesIn([]string) ([]Proc, error)                    { return nil, unsupported() }
func Snapshot() (string, error)                               { return "", unsupported() }
func Privileged() bool                                        { return false }
func EnterUnprivileged([]string) (int, error)                 { return 0, unsupported() }
func EnterPrivate([]string) (int, error)                      { return 0, unsupported() }
func InitMain([]string)                                       { os.Exit(int(failure.Unsupported)) }

func commandOf(int) string                  { return "" }
func ownerEntry() (Entry, error)            { return Entry{}, unsupported() }
func ownerAlive(Entry) bool                 { return false }
func lockRun(bool) (func(), string, error)  { return nil, "", unsupported() }
func claimNetnsDir(string) error            { return unsupported() }
func writable(string) bool                  { return false }
func privateDir(fs.FileInfo) bool           { return false }
func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
