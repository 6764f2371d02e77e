package mesh

import (
	"fmt"
	"regexp"
	"strings"
)

// DefaultLogFormat is Envoy's.
const DefaultLogFormat = `[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" ` +
	`%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% ` +
	`"%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"` + "\n"

// Format is a compiled format string: text, and commands in percent signs that
// stand for what is known of a request. It never changes.
type Format struct{ parts []part }

// part is one command, or text between two.
type part struct {
	op       op
	text     string     // of opText; else the header's name, in lower case, or another argument
	alt      string     // the header that is taken if text is not there
	max      int        // how much of the value is written, below 0 for all
	time     []timePart // of the commands that write a time
	from, to Point      // of opBetween
	unit     int64      // and its unit, ns
}

// constant is f's text, if it has no command.
func (f *Format) constant() (text string, ok bool) {
	switch {
	case len(f.parts) == 0:
		return "", true
	case len(f.parts) == 1 && f.parts[0].op == opText:
		return f.parts[0].text, true
	}
	return "", false
}

// FormatError says where a format string is wrong.
type FormatError struct {
	At  int // byte
	Why string
}

// Error renders "at byte N: why".
func (e *FormatError) Error() string { return fmt.Sprintf("at byte %d: %s", e.At, e.Why) }

// command is Envoy's syntax of one.
var command = regexp.MustCompile(`^%([A-Z0-9_]+)(?:\((.*?)\))?(?::([0-9]+))?%`)

// ParseFormat compiles a format string of Envoy's. The error is a *FormatError.
func ParseFormat(s string) (*Format, error) {
	f := &Format{}
	text := func(t string) {
		if n := len(f.parts); n > 0 && f.parts[n-1].op == opText {
			f.parts[n-1].text += t
		} else {
			f.parts = append(f.parts, part{op: opText, text: t})
		}
	}
	for at := 0; at < len(s); {
		rest := s[at:]
		if n := strings.IndexByte(rest, '%'); n != 0 {
			if n < 0 {
				n = len(rest)
			}
			text(rest[:n])
			at += n
			continue
		}
		if strings.HasPrefix(rest, "%%") {
			text("%")
			at += 2
			continue
		}
		m := command.FindStringSubmatch(rest)
		if m == nil {
			return nil, &FormatError{at, "a % that begins no command like %PROTOCOL% or %REQ(NAME):10%; %% is a percent sign"}
		}
		p, why := compileCommand(m[1], m[2], m[3])
		if why != "" {
			return nil, &FormatError{at, why}
		}
		f.parts = append(f.parts, p)
		at += len(m[0])
	}
	return f, nil
}
