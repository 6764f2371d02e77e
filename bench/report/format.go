package report

import (
	"math"
	"strconv"
	"strings"
	"unicode"
)

// none stands where there is no figure.
const none = "–"

// repeats writes how many there are.
func repeats(n int) string {
	if n == 1 {
		return "1 repeat"
	}
	return strconv.Itoa(n) + " repeats"
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// fmtUS writes microseconds with three or four significant digits, never an
// exponent, so that a column can be compared by eye.
func fmtUS(v float64) string {
	a := math.Abs(v)
	switch {
	case !finite(v):
		return none
	case a >= 99.95:
		return fixed(v, 0)
	case a >= 9.995:
		return fixed(v, 1)
	}
	return fixed(v, 2)
}

// fmtRatio writes a ratio with the given number of decimals, fewer from 10 on.
func fmtRatio(v float64, digits int) string {
	switch {
	case !finite(v):
		return none
	case math.Abs(v) >= 99.95:
		return fixed(v, 0)
	case math.Abs(v) >= 9.995:
		return fixed(v, 1)
	}
	return fixed(v, digits)
}

// fixed is strconv's fixed notation without a negative zero.
func fixed(v float64, digits int) string {
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return s
}

// group writes a count with narrow no-break spaces between thousands.
func group(v uint64) string {
	s := fmtUint(v)
	for i := len(s) - 3; i > 0 && v >= 10000; i -= 3 {
		s = s[:i] + "\u202f" + s[i:]
	}
	return s
}

func fmtUint(v uint64) string { return strconv.FormatUint(v, 10) }

// oneLine makes text safe for a terminal line: control characters, which could
// move the cursor or start an escape sequence, become spaces.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return ' '
		}
		return r
	}, s)
}

// ratioDigits: curl's and the link's ratios are near 1, where the third decimal matters.
func ratioDigits(experiment string) int {
	if experiment == "curl" {
		return 3
	}
	return 2
}
