package fault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meshnic/meshnic/internal/failure"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]Config{
		"":  {},
		" ": {},
		"loss=1%,dup=1%,reorder=1%,corrupt=0.1%,delay=2ms": {Loss: .01, Duplicate: .01, Reorder: .01, Corrupt: .001, Delay: 2 * time.Millisecond},
		"loss=0.01, duplicate=0.5 ,jitter=1ms":             {Loss: .01, Duplicate: .5, Jitter: time.Millisecond},
		"seed=0x10,superframes,loss=100%":                  {Seed: 16, Superframes: true, Loss: 1},
	} {
		got, err := Parse(in)
		require.NoError(t, err, in)
		require.InDelta(t, want.Corrupt, got.Corrupt, 1e-12)
		got.Corrupt = want.Corrupt
		require.Equal(t, want, got, in)
	}
}

func TestParseRefuses(t *testing.T) {
	for in, part := range map[string]string{
		"loss":                 "no value",
		"loss=":                "no value",
		"los=1%":               `unknown fault "los"`,
		"loss=1":               "",
		"loss=2":               "without % it is a number from 0 to 1",
		"loss=101%":            "between 0 and 100%",
		"loss=-1%":             "between 0 and 100%",
		"loss=NaN":             "a probability is",
		"loss=x%":              "a probability is",
		"delay=2":              "needs a unit",
		"delay=-2ms":           "between 0 and 1m0s",
		"delay=2h":             "between 0 and 1m0s",
		"seed=-1":              "whole number",
		"loss=1%,loss=2%":      "given twice",
		"loss=1%,,dup=1%":      "no value",
		"superframes=yes":      "unknown fault",
		"loss=1%;dup=1%":       "a probability is",
		"superframes,loss=1%%": "a probability is",
	} {
		_, err := Parse(in)
		if part == "" {
			require.NoError(t, err, in)
			continue
		}
		require.ErrorContains(t, err, part, in)
		require.ErrorContains(t, err, "loss, dup, reorder, corrupt", "the allowed words are named")
		require.Equal(t, failure.Usage, failure.KindOf(err))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("loss=1%,dup=1%,reorder=1%,corrupt=0.1%,delay=2ms,jitter=1us,seed=9,superframes")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Parse(s)
		if err != nil {
			return
		}
		again, err := Parse(c.String())
		require.NoError(t, err, c.String())
		require.Equal(t, c, again)
	})
}
