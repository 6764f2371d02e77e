package bench

import (
	"fmt"
	"slices"
)

// Emu is what the emulation costs a request, us: the wall time through the NIC
// minus that of the same path without one, within a repeat; the median over the
// repeats. What the NIC does for a request besides carrying its frames is in it, and
// what it saves: a proxy keeps connections that the path without one makes anew.
type Emu struct {
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	To  string  `json:"to"` // the system that was taken off
}

// Projected is what a request would take through the modelled card instead of
// its emulation, us: derived, neither measured nor counted.
type Projected struct {
	P50  float64 `json:"p50"`
	Low  float64 `json:"low"`  // the least p50 of a repeat without the NIC, as if nobody waited for the card
	High float64 `json:"high"` // the greatest, with a repeat's greatest time on the card
	To   string  `json:"to"`
	Rule string  `json:"rule"`
}

// emu compares the repeats of a system through a NIC with those of like, its
// path without one. Nil if there is nothing to compare.
func emu(samples, like []sample, to string) *Emu {
	samples, like = answeredBoth(samples, like)
	if len(samples) == 0 {
		return nil
	}
	return &Emu{P50: median(differences(samples, like, p50)), P90: median(differences(samples, like, p90)), To: to}
}

func differences(a, b []sample, of func(sample) float64) (d []float64) {
	for i := range a {
		d = append(d, of(a[i])-of(b[i]))
	}
	return d
}

// projected puts the card's time in the place of the emulation's. Nil without a
// card, or if there is nothing to compare.
func projected(samples, like []sample, to string) *Projected {
	samples, like = answeredBoth(samples, like)
	var wall, card []float64
	for i, s := range samples {
		if s.model == nil { // a repeat of which the model does not know all
			continue
		}
		wall, card = append(wall, p50(like[i])), append(card, s.model.PerRequest/1e3)
	}
	if len(wall) == 0 {
		return nil
	}
	return &Projected{
		P50: median(wall) + median(card), Low: slices.Min(wall), High: slices.Max(wall) + slices.Max(card), To: to,
		Rule: fmt.Sprintf("wall p50 of %s plus model_ns per request; low: its least repeat and nothing, high: its greatest repeat and the greatest model_ns", to),
	}
}
