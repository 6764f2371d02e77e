// Package failure gives an error the three sentences a user needs (what failed,
// why we think so, what to type next) and the kind that decides the process's
// exit code. It imports nothing of the project, so every layer above datapath
// may use it.
package failure

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is a class of failure. Its value is the process's exit code.
type Kind int

// The kinds, with the exit codes they stand for.
const (
	Unexpected  Kind = 1 // a bug, or something nobody foresaw
	Usage       Kind = 2 // the command line is wrong
	BadFile     Kind = 3 // a file is malformed: line:column and the allowed values
	Privilege   Kind = 4 // a capability is missing: names it and the remedies
	Unsupported Kind = 5 // this host or kernel cannot do it
	Conflict    Kind = 6 // somebody else owns the thing: names the owner
	Gate        Kind = 7 // a threshold or a comparison was not met
	Untrusted   Kind = 8 // the result is not trustworthy (noise, own drops, generator saturated)
)

// Error is a failure as a user reads it.
type Error struct {
	Kind Kind
	What string // what failed: operation and thing, "attach AF_XDP to veth0"
	Why  string // why we think so, one clause; may be empty when Err says it
	Next string // what to type or change next, one sentence; may be empty
	Err  error  // the cause, kept for errors.Is
}

// Error renders "what: why: cause; next".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.What)
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Next != "" {
		b.WriteString("\n  next: " + e.Next)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns an Error without a cause.
func New(kind Kind, what, why, next string) *Error {
	return &Error{Kind: kind, What: what, Why: why, Next: next}
}

// Wrap returns an Error around err. It returns nil if err is nil.
func Wrap(kind Kind, err error, what, next string) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, What: what, Next: next, Err: err}
}

// Usagef returns a Usage error.
func Usagef(format string, args ...any) error {
	return &Error{Kind: Usage, What: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of the outermost Error in err's chain, Unexpected if
// there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unexpected
}
