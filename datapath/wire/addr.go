package wire

import (
	"errors"
	"strconv"
	"strings"
)

const hexDigits = "0123456789abcdef"

// String returns m as 02:00:00:00:00:01.
func (m MAC) String() string {
	b := make([]byte, 0, 17)
	for i, v := range m {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, hexDigits[v>>4], hexDigits[v&0xf])
	}
	return string(b)
}

// ParseMAC reads an address of six hexadecimal bytes with colons.
func ParseMAC(s string) (m MAC, err error) {
	parts := strings.Split(s, ":")
	if len(parts) != len(m) {
		return m, errors.New("wire: MAC address " + strconv.Quote(s) + ": want six bytes like 02:00:00:00:00:01")
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 16, 8)
		if err != nil || len(p) > 2 {
			return MAC{}, errors.New("wire: MAC address " + strconv.Quote(s) + ": byte " + strconv.Quote(p))
		}
		m[i] = uint8(v)
	}
	return m, nil
}

// ParseIP reads an IPv4 address, which it returns mapped, or an IPv6 address
// without zone.
func ParseIP(s string) (a [16]byte, err error) {
	bad := errors.New("wire: IP address " + strconv.Quote(s))
	if !strings.Contains(s, ":") {
		v4, ok := parseIPv4(s)
		if !ok {
			return a, bad
		}
		return MapIPv4(v4), nil
	}
	head, tail, gap := strings.Cut(s, "::")
	if strings.Contains(tail, "::") {
		return a, bad
	}
	h, ok1 := parseGroups(head, !gap)
	t, ok2 := parseGroups(tail, true)
	n := len(h) + len(t)
	if !ok1 || !ok2 || n > 16 || gap && n > 14 || !gap && n != 16 {
		return a, bad
	}
	copy(a[:], h)
	copy(a[16-len(t):], t)
	return a, nil
}

func parseIPv4(s string) (a [4]byte, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return a, false
	}
	for i, p := range parts {
		v, err := strconv.ParseUint(p, 10, 8)
		if err != nil || len(p) > 1 && p[0] == '0' {
			return a, false
		}
		a[i] = uint8(v)
	}
	return a, true
}

// parseGroups reads 16-bit groups with colons. If they end the address the last
// may be an IPv4 address.
func parseGroups(s string, ends bool) (b []byte, ok bool) {
	if s == "" {
		return nil, true
	}
	parts := strings.Split(s, ":")
	for i, p := range parts {
		if ends && i == len(parts)-1 && strings.Contains(p, ".") {
			v4, ok := parseIPv4(p)
			return append(b, v4[:]...), ok
		}
		v, err := strconv.ParseUint(p, 16, 16)
		if err != nil || len(p) > 4 {
			return nil, false
		}
		b = append(b, uint8(v>>8), uint8(v))
	}
	return b, true
}

// FormatIP returns a as ParseIP reads it: an IPv4 address if a is mapped,
// otherwise RFC 5952.
func FormatIP(a [16]byte) string {
	if v4, ok := UnmapIPv4(a); ok {
		b := make([]byte, 0, 15)
		for i, v := range v4 {
			if i > 0 {
				b = append(b, '.')
			}
			b = strconv.AppendUint(b, uint64(v), 10)
		}
		return string(b)
	}
	var g [8]uint16
	for i := range g {
		g[i] = uint16(a[2*i])<<8 | uint16(a[2*i+1])
	}
	from, to := longestZeros(g)
	b := make([]byte, 0, 39)
	for i := 0; i < 8; i++ {
		if i == from {
			b = append(b, ':', ':')
			i = to - 1
			continue
		}
		if i > 0 && i != to {
			b = append(b, ':')
		}
		b = strconv.AppendUint(b, uint64(g[i]), 16)
	}
	return string(b)
}

// longestZeros returns the longest run of at least two zero groups, the first of
// several; from is -1 if there is none.
func longestZeros(g [8]uint16) (from, to int) {
	from, to = -1, -1
	for i := 0; i < 8; i++ {
		j := i
		for j < 8 && g[j] == 0 {
			j++
		}
		if j-i >= 2 && j-i > to-from {
			from, to = i, j
		}
		i = j
	}
	return from, to
}
