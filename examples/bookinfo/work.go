package bookinfo

import (
	"fmt"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// Work says how much CPU time a service burns a request on top of its own, so
// that a proxy is compared with an application of the original's weight.
type Work int

// The kinds of work.
const (
	Native   Work = iota // nothing is burnt
	Polyglot             // what the originals were measured to use
	Paper                // Polyglot times paperFactor
)

// ParseWork reads "native", "polyglot" or "paper".
func ParseWork(s string) (Work, error) {
	for w := Native; w <= Paper; w++ {
		if w.String() == s {
			return w, nil
		}
	}
	return Native, failure.New(failure.Usage, fmt.Sprintf("bookinfo: unknown work %q", s), "",
		"name one of "+strings.Join([]string{Native.String(), Polyglot.String(), Paper.String()}, ", ")+".")
}

// String returns the name that ParseWork reads.
func (w Work) String() string {
	switch w {
	case Native:
		return "native"
	case Polyglot:
		return "polyglot"
	case Paper:
		return "paper"
	}
	return fmt.Sprintf("Work(%d)", int(w))
}

// CPU time a request at Polyglot. Source: host CPU of the real services while
// wrk loaded /productpage, all versions and connection counts: productpage 3.1
// to 4.6 ms, reviews-v3 0.6 to 1.5, details 0.6 to 1.1, ratings 0.13 to 0.38 a
// page; each constant is the middle of its range. Together 6.0 ms, where the
// whole application was measured at 4.4 to 7.6 ms; productpage is 64 % of it,
// where two thirds were measured.
//
// Where in a request it goes: productpage was profiled per thread CPU time in
// process (Flask application called directly, instant upstreams): of 2.4 ms,
// 36 % in the call to details, 34 % in the call to reviews, 6 % rendering, the
// rest Flask and tracing around the handler, to which gunicorn's parsing adds.
// Its four parts below are 35, 35, 8 and 22 % of the middle.
//
// Reviews without ratings: alone on a kept-alive connection v1 answered in 115
// us and v3 in 620, 74 of which were the call to ratings, so v1 is taken as
// 115/546 of v3. v2 is the same program as v3 (528 us, within the drift of
// the machine) and burns the same.
const (
	burnPageRequest = 850 * time.Microsecond  // productpage: every request, before anything else
	burnPageCall    = 1350 * time.Microsecond // productpage: each call, before it is sent
	burnPageRender  = 300 * time.Microsecond  // productpage: the page, after the last call
	burnDetails     = 850 * time.Microsecond
	burnReviews     = 220 * time.Microsecond // reviews: every request
	burnReviewsCall = 830 * time.Microsecond // reviews: the call to ratings, before it is sent
	burnRatings     = 255 * time.Microsecond
)

// paperFactor scales Polyglot so that /productpage at one connection, services
// calling each other over loopback, has the paper's P90 of 16.51 ms.
//
// Source: calibrated, see BenchmarkPaperP90.
const paperFactor = 2.6

func (w Work) check() error {
	if w < Native || w > Paper {
		return failure.Usagef("bookinfo: %s is no kind of work", w)
	}
	if w != Native && !canBurn {
		return failure.New(failure.Unsupported, "bookinfo: work "+w.String(),
			"this system has no clock of a thread's CPU time", "use --work native, or run on Linux.")
	}
	return nil
}

// burn uses up the CPU time that d stands for at this kind of work.
func (w Work) burn(d time.Duration) {
	switch w {
	case Polyglot:
		burnCPU(d)
	case Paper:
		burnCPU(time.Duration(float64(d) * paperFactor))
	}
}
