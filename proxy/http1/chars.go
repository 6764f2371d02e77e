package http1

import "encoding/binary"

// lower maps the bytes of a token (RFC 9110 §5.6.2) to lower case and every
// other byte to 0, so that one look-up both checks and converts.
var lower = func() (t [256]byte) {
	for _, c := range []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
		t[c] = c
	}
	for c := byte('A'); c <= 'Z'; c++ {
		t[c] = c + 'a' - 'A'
	}
	return t
}()

// fold makes the letters among eight bytes of ASCII lower case. Another byte among them
// stays one that is not ASCII.
func fold(x uint64) uint64 {
	// Where all bytes are below 0x80 the sums set a byte's upper bit from 'A' on, and from
	// behind 'Z' on, and carry nothing into the next.
	letters := (x + (0x80-'A')*ones) &^ (x + (0x80-'Z'-1)*ones) & high
	return x | letters>>2
}

// toLower makes the letters of a token lower case.
func toLower(b []byte) {
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, fold(binary.LittleEndian.Uint64(b)))
		b = b[8:]
	}
	for i, c := range b {
		b[i] = lower[c]
	}
}

// hostByte holds the bytes that Envoy 1.40 accepts in an authority.
var hostByte = func() (t [256]bool) {
	for _, c := range []byte("!$%&'()*+,-.0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~") {
		t[c] = true
	}
	return t
}()

func validHost(b []byte) bool {
	for _, c := range b {
		if !hostByte[c] {
			return false
		}
	}
	return true
}

const (
	ones = 0x0101010101010101
	high = 0x8080808080808080
)

// plain reports whether b has no control character at all, eight bytes at a
// time. A false may be wrong for bytes of 0x80 and above next to one; the caller
// then looks byte by byte.
func plain(b []byte) bool {
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		ctl := (x - 0x20*ones) & ^x
		del := x ^ 0x7f*ones
		if (ctl|(del-ones)&^del)&high != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c < 0x20 || c == 0x7f {
			return false
		}
	}
	return true
}

// checkValue reports whether b may be part of a field value, and whether it
// holds a CR that must not be passed on (a bare CR; RFC 9112 §2.2).
func checkValue(b []byte) (ok, dirty bool) {
	if plain(b) {
		return true, false
	}
	for _, c := range b {
		switch {
		case c == '\r':
			dirty = true
		case c < 0x20 && c != '\t', c == 0x7f:
			return false, false
		}
	}
	return true, dirty
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

// trim removes spaces, tabs and CRs from both ends of b[off:end].
func trim(b []byte, off, end int) (int, int) {
	for off < end && (isSpace(b[off]) || b[off] == '\r') {
		off++
	}
	for end > off && (isSpace(b[end-1]) || b[end-1] == '\r') {
		end--
	}
	return off, end
}

// IsToken reports whether s is a token (RFC 9110 §5.6.2), as a field's name is.
func IsToken(s string) bool {
	for i := range len(s) {
		if lower[s[i]] == 0 {
			return false
		}
	}
	return s != ""
}

// EqualFold reports whether b is s, ignoring the case of ASCII letters. s must
// be a token in lower case.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for len(b) >= 8 && len(s) >= 8 {
		t := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if fold(binary.LittleEndian.Uint64(b)) != t {
			return false
		}
		b, s = b[8:], s[8:]
	}
	for i, c := range b {
		if i >= len(s) || lower[c] != s[i] {
			return false
		}
	}
	return true
}

// NextToken cuts the first member off a comma-separated list (RFC 9110 §5.6.1)
// and returns it trimmed. ok is false when the list is used up.
func NextToken(list []byte) (token, rest []byte, ok bool) {
	for len(list) > 0 {
		i := 0
		for i < len(list) && list[i] != ',' {
			i++
		}
		off, end := 0, i
		for off < end && (isSpace(list[off]) || list[off] == '\r' || list[off] == '\n') {
			off++
		}
		for end > off && (isSpace(list[end-1]) || list[end-1] == '\r' || list[end-1] == '\n') {
			end--
		}
		token = list[off:end]
		list = list[min(i+1, len(list)):]
		if len(token) > 0 {
			return token, list, true
		}
	}
	return nil, nil, false
}
