//go:build !linux

package ethtool

import (
	"fmt"

	"github.com/meshnic/meshnic/hostif"
)

var errOS = fmt.Errorf("ethtool: %w: offload settings need Linux", hostif.ErrNotSupported)

// Do is Linux only.
func Do(int, func() error) error { return errOS }

// Identify is Linux only.
func Identify(int) (NetNS, error) { return NetNS{}, errOS }

// Open is Linux only.
func (n NetNS) Open() (int, error) { return -1, errOS }

// Get is Linux only.
func Get(int, string) (Features, error) { return nil, errOS }

// Plan is Linux only.
func Plan(Peer, bool, ...string) ([]Change, error) { return nil, errOS }

// Apply is Linux only.
func Apply(Change) error { return errOS }

// Undo is Linux only.
func Undo(Change) error { return errOS }

// Features is Linux only.
func (p Peer) Features() (Features, error) { return nil, errOS }

// Counters is Linux only.
func Counters(int, string) (map[string]uint64, error) { return nil, errOS }

// RxQueues is Linux only.
func RxQueues(int, string) (int, error) { return 0, errOS }

// FindPeer is Linux only.
func FindPeer(int, string) (Peer, error) { return Peer{}, errOS }

// NAPI is Linux only.
func (p Peer) NAPI() ([]NAPI, error) { return nil, errOS }

// Toggle is Linux only.
type Toggle struct{}

// NewToggle is Linux only.
func NewToggle(Peer, ...string) (*Toggle, error) { return nil, errOS }

// Set is Linux only.
func (t *Toggle) Set(bool) error { return errOS }

// Close is Linux only.
func (t *Toggle) Close() error { return errOS }
