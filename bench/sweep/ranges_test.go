package sweep

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseRange(t *testing.T) {
	for text, want := range map[string][]float64{
		"64":                   {64},
		"64, 128,256":          {64, 128, 256},
		"100..400:+100":        {100, 200, 300, 400},
		"100..399:+100":        {100, 200, 300},
		"512..4096:x2":         {512, 1024, 2048, 4096},
		"1..10:x3":             {1, 3, 9},
		"0.1..0.5:+0.1":        {0.1, 0.2, 0.3, 0.4, 0.5}, // no noise of sums
		"156.25,200..300:+50":  {156.25, 200, 250, 300},
		"7..7:+1":              {7},
		"-2..2:+2":             {-2, 0, 2},
		"322.265625, 8..32:x2": {322.265625, 8, 16, 32},
	} {
		got, err := ParseRange(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
}

func TestBadRanges(t *testing.T) {
	for text, want := range map[string]string{
		"":             `"" is not a number; want a list like 64,128,256`,
		"many":         `"many" is not a number`,
		"1,,2":         `"" is not a number`,
		"NaN":          `"NaN" is not a number`,
		"1..Inf:+1":    `"Inf" is not a number`,
		"1..8":         `"1..8" has no step: write 1..8:+STEP or 1..8:xFACTOR`,
		"1..8:2":       `"1..8:2" has no step`,
		"1..8:+":       `"1..8:+" has no step`,
		"1..8:+0":      "the step is 0, want more than 0",
		"1..8:+-1":     "the step is -1, want more than 0",
		"1..8:x1":      "the factor is 1, want more than 1",
		"1..8:x0.5":    "the factor is 0.5, want more than 1",
		"0..8:x2":      "begins at 0: a factor needs a beginning of more than 0",
		"8..1:+1":      `"8..1:+1" ends before it begins: write 1..8:+1`,
		"8:+1":         `"" is not a number`,
		"64,128,64":    `64 comes twice in "64,128,64"`,
		"1..9:+4,5":    "5 comes twice",
		"0..1:+1e-9":   "has more than 65536 values",
		"1..1e300:+1":  "has more than 65536 values",
		"1..2:x1.0001": "", // 6932 values are many, and fine
	} {
		_, err := ParseRange(text)
		if want == "" {
			require.NoError(t, err, text)
			continue
		}
		require.ErrorContains(t, err, want, text)
	}
}

func FuzzParseRange(f *testing.F) {
	for _, s := range []string{"64,128", "1..8:x2", "1..8:+1", "8..1:x", "1..1e308:x1.5", "-0,0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values, err := ParseRange(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, values)
		seen := map[float64]bool{}
		for _, v := range values {
			require.False(t, seen[v] || math.IsNaN(v) || math.IsInf(v, 0), "%q: %v", text, v)
			seen[v] = true
		}
	})
}
