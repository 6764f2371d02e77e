package sweep

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/internal/failure"
)

// Schema is the version of the formats that a sweep writes.
const Schema = "meshnic.sweep/1"

// MaxPoints is how many points a plan may have.
const MaxPoints = 1 << 20

// Plan is what a sweep does: it alone decides every figure.
type Plan struct {
	Pipeline *pipeline.Description `json:"pipeline"`
	Vary     []Vary                `json:"vary"`
	Traffic  Traffic               `json:"traffic"`
	Chart    Chart                 `json:"chart,omitzero"` // how points are shown; not in the hash

	base float64 // MHz at the pipeline's first input
}

// Vary is one dimension: values for one or more targets at a time. A target is
// STAGE.PARAM, PARAM (every stage that has it), STAGE.clock_mhz, or one of Words.
type Vary struct {
	Targets []string  `json:"targets"`
	Values  []float64 `json:"values"`
}

// Name is the dimension in keys and headers.
func (v Vary) Name() string { return strings.Join(v.Targets, "+") }

// ParseVary reads TARGET[,TARGET...]=RANGE.
func ParseVary(text string) (Vary, error) {
	targets, values, ok := strings.Cut(text, "=")
	if !ok || targets == "" || values == "" {
		return Vary{}, fmt.Errorf("want STAGE.PARAM=RANGE, PARAM=RANGE or clock_mhz=RANGE")
	}
	all, err := ParseRange(values)
	return Vary{fields(targets), all}, err
}

// fields takes a list with commas apart.
func fields(text string) (all []string) {
	for t := range strings.SplitSeq(text, ",") {
		all = append(all, strings.TrimSpace(t))
	}
	return all
}

// Complete fills in defaults and checks the plan. The errors are usage errors;
// those of a file have been found with their places before.
func (p *Plan) Complete() error {
	refuse := func(what string, err error) error {
		return failure.Wrap(failure.Usage, err, what, "meshnic sweep --help")
	}
	p.Traffic.defaults()
	if field, err := p.Traffic.check(); err != nil {
		return refuse("--"+field, err)
	}
	for i := range p.Vary {
		if err := p.checkVary(i); err != nil {
			return refuse("--vary "+p.Vary[i].Name(), err)
		}
	}
	if err := p.Chart.check(); err != nil {
		return refuse("--chart", err)
	}
	if n := p.size(); n > MaxPoints {
		return failure.New(failure.Usage, "the sweep", fmt.Sprintf("has %.0f points, want at most %d", n, MaxPoints), "use larger steps, or several sweeps")
	}
	p.base = baseClock(p.Pipeline)
	stored := *p.Pipeline
	stored.Doc = "" // what it says does not change a figure
	p.Pipeline = &stored
	return nil
}

func (p *Plan) size() float64 {
	t, n := p.Traffic, 1.0
	for _, v := range p.Vary {
		n *= float64(len(v.Values))
	}
	return n * float64(len(t.Bytes)) * float64(len(t.Frames)) * float64(len(t.Gap)) * float64(len(t.Sink)) * float64(len(t.Inputs))
}

// Size is the number of points.
func (p *Plan) Size() int { return int(min(p.size(), MaxPoints+1)) }

// Hash identifies the plan: two plans with the same hash have the same points.
func (p *Plan) Hash() string {
	hashed := *p
	hashed.Chart = Chart{}
	b, err := json.Marshal(struct {
		Schema string `json:"schema"`
		Plan   *Plan  `json:"plan"`
	}{Schema, &hashed})
	if err != nil {
		panic(err) // plain values
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Setting is what one point is run with.
type Setting struct {
	Vary    map[string]float64 // by the dimension's name
	Traffic pipeline.Traffic
}

// Setting returns point i: the first dimension changes slowest, traffic fastest.
func (p *Plan) Setting(i int) Setting {
	t := p.Traffic
	next := func(n int) int {
		k := i % n
		i /= n
		return k
	}
	dests, _ := pipeline.ParseDests(t.Dest) // checked
	s := Setting{Vary: map[string]float64{}, Traffic: pipeline.Traffic{Phases: t.Phases, Engine: t.Engine, Dest: dests}}
	s.Traffic.Inputs = t.Inputs[next(len(t.Inputs))]
	s.Traffic.Sink = t.Sink[next(len(t.Sink))]
	s.Traffic.Gap = t.Gap[next(len(t.Gap))]
	s.Traffic.Frames = t.Frames[next(len(t.Frames))]
	s.Traffic.Bytes = t.Bytes[next(len(t.Bytes))]
	for _, v := range slices.Backward(p.Vary) {
		s.Vary[v.Name()] = v.Values[next(len(v.Values))]
	}
	return s
}

// Describe returns the pipeline with a setting's values in it.
func (p *Plan) Describe(s Setting) *pipeline.Description {
	d := *p.Pipeline
	d.Stages = slices.Clone(d.Stages)
	for i := range d.Stages {
		d.Stages[i].Params = maps.Clone(d.Stages[i].Params)
	}
	// What names a stage says more than what means all of them, so it comes later.
	for _, named := range []bool{false, true} {
		for _, v := range p.Vary {
			for _, t := range v.Targets {
				if strings.Contains(t, ".") == named {
					apply(&d, p.Pipeline, t, s.Vary[v.Name()], p.base)
				}
			}
		}
	}
	return &d
}
