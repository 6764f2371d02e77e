package mesh

import (
	"fmt"
	"slices"
	"strings"
)

// Filter is an HTTP filter that requests go through before they are routed: one of
// these.
type Filter struct {
	RateLimit *RateLimit `json:"local_ratelimit,omitempty"`
	Fault     *Fault     `json:"fault,omitempty"`
}

// Fraction is a part of all requests.
type Fraction struct {
	Numerator   uint32 `json:"numerator"`
	Denominator string `json:"denominator,omitempty"` // one of Denominators; empty means HUNDRED
}

var denominators = map[string]uint64{"": 100, "HUNDRED": 100, "TEN_THOUSAND": 10_000, "MILLION": 1_000_000}

// Denominators are Envoy's names of what a Fraction is of.
func Denominators() []string { return []string{"HUNDRED", "TEN_THOUSAND", "MILLION"} }

// Draw reports whether a request is in f. draw is a number by chance; it is not asked
// for if f is none or all of them.
func (f Fraction) Draw(draw func() uint64) bool {
	n, of := uint64(f.Numerator), denominators[f.Denominator]
	return n != 0 && (n >= of || draw()%of < n)
}

// CompiledFilter is one compiled Filter.
type CompiledFilter struct {
	Limit *CompiledLimit
	Fault *CompiledFault
}

func compileFilters(list []Filter, secure bool) (out []CompiledFilter) {
	for i := range list {
		out = append(out, CompiledFilter{Limit: compileLimit(list[i].RateLimit), Fault: compileFault(list[i].Fault, secure)})
	}
	return out
}

// eachFormat calls f with the format strings of the filters.
func eachFormat(filters []CompiledFilter, f func(*Format)) {
	for i := range filters {
		if l := filters[i].Limit; l != nil {
			for j := range l.reply.add {
				for k := range l.reply.add[j].add {
					if x := l.reply.add[j].add[k].format; x != nil {
						f(x)
					}
				}
			}
		}
	}
}

func (v *validator) filters(path string, l *Listener) {
	if l.TCP != nil && len(l.Filters) > 0 {
		v.fail(path, "is for HTTP, and the listener is a TCP proxy")
	}
	limits, faults := 0, 0
	for i, f := range l.Filters {
		p := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case (f.RateLimit == nil) == (f.Fault == nil):
			v.fail(p, "want one of local_ratelimit and fault")
		case f.Fault != nil:
			if faults++; faults > 1 {
				v.fail(p+".fault", "is the second, want at most one")
			}
			v.fault(p+".fault", f.Fault)
		default:
			if limits++; limits > 1 {
				v.fail(p+".local_ratelimit", "is the second, want at most one")
			}
			v.rateLimit(p+".local_ratelimit", f.RateLimit)
		}
	}
}

// override is about a fault that takes the place of the listener's.
func (v *validator) override(path string, f *Fault, l *Listener) {
	if f != nil && !slices.ContainsFunc(l.Filters, func(x Filter) bool { return x.Fault != nil }) {
		v.fail(path, "takes the place of a fault among http_filters, and there is none")
	}
	v.fault(path, f)
}

func (v *validator) fraction(path string, f Fraction) {
	if _, ok := denominators[f.Denominator]; !ok {
		v.fail(path+".denominator", "is %q, want one of %s", f.Denominator, strings.Join(Denominators(), ", "))
	}
}
