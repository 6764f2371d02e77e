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
	Polyglot             // up to what the originals were measured to use
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
		"name one of "+strings.Join([]string{Native.String(), Polyglot.String(), Paper.String()}, ", "))
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

// CPU time burnt at Polyglot. Source: host CPU of the real services while wrk
// loaded /productpage, all versions and connection counts: productpage 3.1 to
// 4.6 ms, reviews-v3 0.6 to 1.5, details 0.6 to 1.1, ratings 0.13 to 0.38 a
// page, 4.4 to 7.6 together. From the middle of each range what these services
// use themselves is taken off (measured at Native, each in its own process, one
// connection: 0.37, 0.24, 0.19 and 0.06 ms a page, 0.86 together):
//
//	productpage 3.85 - 0.37 = 3.48 ms, two thirds of the page as measured
//	reviews-v3  1.05 - 0.24 = 0.81
//	details     0.85 - 0.19 = 0.66
//	ratings     0.255 - 0.06 = 0.195
//
// Where in a request it goes: productpage was profiled by thread CPU time in
// process (the Flask application called directly, instant upstreams): of 2.4
// ms, 36 % in the call to details, 34 % in the call to reviews, 6 % rendering,
// the rest Flask and tracing around the handler, to which gunicorn's parsing
// adds. Its parts below are 22 % before, 35 % for each call, 8 % for rendering.
//
// Reviews without ratings: alone on a kept-alive connection v1 answered in 115
// us and v3 in 620, 74 of which were the call to ratings, so v1 is taken as
// 115/546 of v3 before its own 0.1 ms are taken off. v2 is the same program as
// v3 (528 us, within the drift of the machine) and burns the same.
const (
	burnPageRequest = 770 * time.Microsecond  // productpage: every request, before anything else
	burnPageCall    = 1220 * time.Microsecond // productpage: each call, before it is sent
	burnPageRender  = 270 * time.Microsecond  // productpage: the page, after the last call
	burnDetails     = 660 * time.Microsecond
	burnReviews     = 120 * time.Microsecond // reviews: every request
	burnReviewsCall = 690 * time.Microsecond // reviews: the call to ratings, before it is sent
	burnRatings     = 195 * time.Microsecond
)

// paperFactor scales Polyglot so that /productpage at one connection, services
// calling each other over loopback, has the paper's P90 of 16.51 ms.
//
// Source: calibrated with `meshnic bench bookinfo --work paper -c 1`, two cores, AMD
// EPYC: 16.38 ms at 2.72, 17.48 ms at 2.9.
const paperFactor = 2.72

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
