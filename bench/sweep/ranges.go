package sweep

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// maxValues is how many values a range may have: more is a slip of the finger.
const maxValues = 1 << 16

// howRanges says what a range may be.
const howRanges = "want a list like 64,128,256, a range with a step like 100..400:+50, or one with a factor like 512..65536:x2"

// ParseRange reads values: numbers and ranges a..b:+step or a..b:xfactor (both
// ends inclusive), separated by commas.
func ParseRange(text string) ([]float64, error) {
	var all []float64
	seen := map[float64]bool{}
	for item := range strings.SplitSeq(text, ",") {
		values, err := parseItem(strings.TrimSpace(item))
		if err != nil {
			return nil, err
		}
		for _, v := range values {
			if seen[v] {
				return nil, fmt.Errorf("%s comes twice in %q", number(v), text)
			}
			seen[v] = true
			if all = append(all, v); len(all) > maxValues {
				return nil, fmt.Errorf("%q has more than %d values", text, maxValues)
			}
		}
	}
	return all, nil
}

func parseItem(item string) ([]float64, error) {
	ends, step, stepped := strings.Cut(item, ":")
	low, high, ranged := strings.Cut(ends, "..")
	if !ranged && !stepped {
		v, err := parseNumber(item)
		return []float64{v}, err
	}
	a, err := parseNumber(low)
	if err != nil {
		return nil, err
	}
	b, err := parseNumber(high)
	if err != nil {
		return nil, err
	}
	if len(step) < 2 || step[0] != '+' && step[0] != 'x' {
		return nil, fmt.Errorf("%q has no step: write %s..%s:+STEP or %s..%s:xFACTOR", item, low, high, low, high)
	}
	by, err := parseNumber(step[1:])
	switch {
	case err != nil:
		return nil, err
	case a > b:
		return nil, fmt.Errorf("%q ends before it begins: write %s..%s:%s", item, high, low, step)
	case step[0] == '+' && by <= 0:
		return nil, fmt.Errorf("%q: the step is %s, want more than 0", item, number(by))
	case step[0] == 'x' && by <= 1:
		return nil, fmt.Errorf("%q: the factor is %s, want more than 1", item, number(by))
	case step[0] == 'x' && a <= 0:
		return nil, fmt.Errorf("%q begins at %s: a factor needs a beginning of more than 0", item, number(a))
	}
	return slices.Collect(func(yield func(float64) bool) {
		for i := 0; i <= maxValues; i++ { // one too many is told from all
			v := a + float64(i)*by
			if step[0] == 'x' {
				v = a * math.Pow(by, float64(i))
			}
			if v = tidy(v); v > b || !yield(v) {
				return
			}
		}
	}), nil
}

// tidy takes the noise of sums and powers off: 12 digits stay.
func tidy(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 12, 64), 64)
	return v
}

func parseNumber(s string) (float64, error) {
	s = strings.TrimSpace(s)
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%q is not a number; %s", s, howRanges)
	}
	return v, nil
}

// number writes a value as short as it can be exact.
func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
