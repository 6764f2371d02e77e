package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

// clock is the name of what is no parameter of a module: a clock.
const clock = "clock_mhz"

// clockParams are the parameters that name a clock.
var clockParams = []string{"S_CLK_MHZ", "M_CLK_MHZ", "MAC_MHZ", "LOGIC_MHZ"}

func hasParam(s *pipeline.Stage, name string) bool { return slices.Contains(params(s), name) }

func params(s *pipeline.Stage) (names []string) {
	if m, ok := pipeline.Find(s.Module); ok {
		for _, p := range m.Params {
			names = append(names, p.Name)
		}
	}
	return names
}

// checkVary checks the targets of one dimension against the pipeline and the
// dimensions before it.
func (p *Plan) checkVary(i int) error {
	v := p.Vary[i]
	if len(v.Values) == 0 {
		return fmt.Errorf("has no values; %s", howRanges)
	}
	for k, t := range v.Targets {
		if err := checkTarget(p.Pipeline, t); err != nil {
			return err
		}
		others := slices.Clone(v.Targets[:k])
		for _, other := range p.Vary[:i] {
			others = append(others, other.Targets...)
		}
		for _, other := range others {
			if other == t {
				return fmt.Errorf("%s is varied twice", t)
			}
			if both := common(p.Pipeline, t, other); both != "" {
				return fmt.Errorf("%s and %s both set %s", other, t, both)
			}
		}
	}
	return nil
}

// common is a parameter that two targets without a stage's name set.
func common(d *pipeline.Description, a, b string) string {
	for i := range d.Stages {
		for _, name := range sets(d, i, a) {
			if slices.Contains(sets(d, i, b), name) {
				return name
			}
		}
	}
	return ""
}

func checkTarget(d *pipeline.Description, target string) error {
	stage, param, named := strings.Cut(target, ".")
	if !named && target == clock {
		return nil
	}
	var names, all []string
	for i := range d.Stages {
		s := &d.Stages[i]
		switch {
		case !named && len(sets(d, i, target)) > 0:
			return nil
		case named && s.Name == stage && (param == clock || hasParam(s, param)):
			return nil
		case named && s.Name == stage:
			return fmt.Errorf("stage %s (%s) has no parameter %q, want %s, %s", stage, s.Module, param, strings.Join(params(s), ", "), clock)
		}
		names = append(names, s.Name)
		for _, name := range params(s) {
			if !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	if named {
		return fmt.Errorf("there is no stage %q, want %s", stage, strings.Join(names, ", "))
	}
	if slices.Contains(wordNames(), target) {
		return fmt.Errorf("no stage of pipeline %s has anything that %s is about", d.Name, target)
	}
	return fmt.Errorf("no stage has a parameter %q, want %s, or %s", target, strings.Join(wordNames(), ", "), strings.Join(all, ", "))
}

// baseClock is the frequency at the pipeline's first input; 0 if it does not
// say one and cannot be built.
func baseClock(d *pipeline.Description) float64 {
	if d.ClockMHz > 0 {
		return d.ClockMHz
	}
	b, err := d.Build(pipeline.Setup{})
	if err != nil || len(b.In) == 0 {
		return 0
	}
	return 1000 / b.In[0].Wire.Clock.Period.Nanos()
}

// apply sets one target. The clock of the pipeline takes along whatever in the
// description says the same frequency: it is the same clock. as is the
// description before anything was set.
func apply(d, as *pipeline.Description, target string, value, base float64) {
	set := func(s *pipeline.Stage, name string) {
		if s.Params == nil {
			s.Params = module.Args{}
		}
		s.Params[name] = value
	}
	same := func(mhz float64) bool { return base > 0 && math.Abs(mhz-base) <= 2e-4*base }
	stage, param, named := strings.Cut(target, ".")
	if !named {
		param = target
	}
	if !named && param == clock {
		d.ClockMHz = value
	}
	for i := range d.Stages {
		s := &d.Stages[i]
		switch {
		case named && s.Name != stage:
		case named && param == clock:
			s.ClockMHz = value
		case named:
			set(s, param)
		case param == clock:
			if same(s.ClockMHz) {
				s.ClockMHz = value
			}
			for _, name := range clockParams {
				if v, ok := s.Params[name]; ok && same(v) {
					set(s, name)
				}
			}
		default:
			for _, name := range sets(as, i, param) {
				set(s, name)
			}
		}
	}
}
