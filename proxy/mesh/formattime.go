package mesh

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// timePart is a piece of a time: text, a layout of package time, or a number of
// its own.
type timePart struct {
	text   string
	layout string
	kind   byte // 's' seconds since 1970; 'f' digits of the second's fraction; 'E' the second with them; the others as in strftime
	digits int
}

// layouts are the conversions of strftime that package time has a layout for, in
// the C locale.
var layouts = map[byte]string{
	'Y': "2006", 'y': "06", 'm': "01", 'd': "02", 'e': "_2", 'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM",
	'b': "Jan", 'h': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'j': "002", 'z': "-0700", 'Z': "MST",
	'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'R': "15:04", 'c': "Mon Jan _2 15:04:05 2006", 'x': "01/02/06",
	'X': "15:04:05", 'r': "03:04:05 PM",
}

// compileTime reads the argument of a command that writes a time; without one it
// is written as RFC 3339 does, in milliseconds.
func (p part) compileTime(name string) (part, string) {
	if p.text == "" {
		if p.text = "%Y-%m-%dT%H:%M:%E3SZ"; p.op == opStartTimeLocal {
			p.text = "%Y-%m-%dT%H:%M:%E3S%z"
		}
	}
	for rest := p.text; rest != ""; {
		i := strings.IndexByte(rest, '%')
		if i != 0 {
			if i < 0 {
				i = len(rest)
			}
			p.time = append(p.time, timePart{text: rest[:i]})
			rest = rest[i:]
			continue
		}
		t, n := conversion(rest[1:])
		if n == 0 {
			return p, fmt.Sprintf("%s: %q begins no conversion of strftime that is supported", name, rest[:min(3, len(rest))])
		}
		p.time = append(p.time, t)
		rest = rest[1+n:]
	}
	return p, ""
}

// conversion reads one behind its percent sign, and says how long it is.
func conversion(s string) (t timePart, n int) {
	switch {
	case s == "":
	case s[0] == '%':
		return timePart{text: "%"}, 1
	case s[0] == 's', s[0] == 'k', s[0] == 'l', s[0] == 'u', s[0] == 'w', s[0] == 'C':
		return timePart{kind: s[0]}, 1
	case s[0] == 'f':
		return timePart{kind: 'f', digits: 9}, 1
	case s[0] >= '1' && s[0] <= '9' && len(s) > 1 && s[1] == 'f':
		return timePart{kind: 'f', digits: int(s[0] - '0')}, 2
	case strings.HasPrefix(s, "Ez"):
		return timePart{layout: "-07:00"}, 2
	case len(s) > 2 && s[0] == 'E' && s[1] >= '0' && s[1] <= '9' && s[2] == 'S':
		return timePart{kind: 'E', digits: int(s[1] - '0')}, 3
	case layouts[s[0]] != "":
		return timePart{layout: layouts[s[0]]}, 1
	}
	return t, 0
}

// appendTime writes the time ns after 1970.
func (p *part) appendTime(dst []byte, ns int64) []byte {
	t := time.Unix(0, ns)
	if p.op != opStartTimeLocal {
		t = t.UTC()
	}
	for i := range p.time {
		switch x := &p.time[i]; {
		case x.layout != "":
			dst = t.AppendFormat(dst, x.layout)
		case x.kind == 0:
			dst = append(dst, x.text...)
		default:
			dst = x.append(dst, t)
		}
	}
	return dst
}

func (x *timePart) append(dst []byte, t time.Time) []byte {
	switch x.kind {
	case 's':
		return strconv.AppendInt(dst, t.Unix(), 10)
	case 'E':
		dst = t.AppendFormat(dst, "05")
		if x.digits == 0 {
			return dst
		}
		return appendFraction(append(dst, '.'), t.Nanosecond(), x.digits)
	case 'f':
		return appendFraction(dst, t.Nanosecond(), x.digits)
	case 'k':
		return appendPadded(dst, t.Hour())
	case 'l':
		return appendPadded(dst, (t.Hour()+11)%12+1)
	case 'u':
		return append(dst, byte('1'+(t.Weekday()+6)%7))
	case 'w':
		return append(dst, byte('0'+t.Weekday()))
	}
	return strconv.AppendInt(dst, int64(t.Year()/100), 10) // C
}

// appendFraction writes the first digits of so many ns.
func appendFraction(dst []byte, ns, digits int) []byte {
	var b [9]byte
	for i := 8; i >= 0; i-- {
		b[i], ns = byte('0'+ns%10), ns/10
	}
	return append(dst, b[:digits]...)
}

func appendPadded(dst []byte, n int) []byte {
	if n < 10 {
		dst = append(dst, ' ')
	}
	return strconv.AppendInt(dst, int64(n), 10)
}
