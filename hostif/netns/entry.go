package netns

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Kind says what an Entry is about and thereby how it is undone.
type Kind string

// The kinds of journal entries.
const (
	KindOwner   Kind = "owner"   // first line: Pid and Start of the process whose lab it is; nothing to undo
	KindSpec    Kind = "spec"    // Change is the description the lab was made from; nothing to undo
	KindNetns   Kind = "netns"   // named namespace Name
	KindLink    Kind = "link"    // interface Name outside the lab's own namespaces
	KindFile    Kind = "file"    // file Path
	KindDir     Kind = "dir"     // directory Path, removed if empty
	KindSysctl  Kind = "sysctl"  // Path below /proc/sys, outside the lab's own namespaces; Old is its value before
	KindProcess Kind = "process" // process Pid, started at Start
	KindSetting Kind = "setting" // Change, undone by the UndoFunc registered as Handler
	KindInner   Kind = "inner"   // something in namespace NS of the lab, gone with it
)

// Entry is one line of a journal: a step about to be made.
type Entry struct {
	Kind    Kind            `json:"kind"`
	Name    string          `json:"name,omitempty"`
	NS      string          `json:"ns,omitempty"` // name of the namespace it is in; empty: the caller's
	Path    string          `json:"path,omitempty"`
	Old     string          `json:"old,omitempty"`
	Pid     int             `json:"pid,omitempty"`
	Start   uint64          `json:"start_ticks,omitempty"` // clock ticks since boot, /proc/PID/stat field 22
	Boot    string          `json:"boot,omitempty"`        // owner: kernel.random.boot_id
	PidNS   uint64          `json:"pid_ns,omitempty"`      // owner: inode of its pid namespace
	Handler string          `json:"handler,omitempty"`
	Change  json.RawMessage `json:"change,omitempty"`
	Text    string          `json:"text,omitempty"` // what a person would type for it
}

// appendLine appends e as one line of JSON.
func (e Entry) appendLine(b []byte) ([]byte, error) {
	line, err := json.Marshal(e)
	if err != nil {
		return b, fmt.Errorf("netns: journal entry: %w", err)
	}
	return append(append(b, line...), '\n'), nil
}

// DecodeJournal returns the entries of a journal and how many lines could not
// be read. A last line without its newline was being written when the writer
// died: its step was never made, so it is left out and not counted.
func DecodeJournal(b []byte) (entries []Entry, bad int) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			break
		}
		line := bytes.TrimSpace(b[:end])
		b = b[end+1:]
		if len(line) == 0 {
			continue
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Kind == "" {
			bad++
			continue
		}
		entries = append(entries, e)
	}
	return entries, bad
}
