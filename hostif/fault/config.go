package fault

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
)

// Config says what is done to the frames that enter through a link. The
// probabilities are per frame, 0 to 1, and independent of each other.
type Config struct {
	Seed uint64 `json:"seed"` // the same seed makes the same decisions, frame by frame

	Loss      float64 `json:"loss"`      // the frame never arrives
	Duplicate float64 `json:"duplicate"` // a copy follows it at once
	Reorder   float64 `json:"reorder"`   // one to three later frames overtake it
	Corrupt   float64 `json:"corrupt"`   // one byte behind the Ethernet header changes

	Delay  time.Duration `json:"delay_ns"`  // every frame arrives later by this
	Jitter time.Duration `json:"jitter_ns"` // and by a random part of this; order is kept

	// Superframes keeps frames that are still to be segmented whole: a loss
	// then takes up to 64 KiB at once, and no superframe is corrupted, as its
	// checksum does not exist yet. Otherwise, if any probability is set, they
	// are segmented before the decisions, so that faults hit packets.
	Superframes bool `json:"superframes,omitempty"`
}

// maxDelay keeps the frames held within reason.
const maxDelay = time.Minute

// any reports whether single frames are treated differently.
func (c *Config) any() bool { return c.Loss > 0 || c.Duplicate > 0 || c.Reorder > 0 || c.Corrupt > 0 }

const syntax = "want a comma-separated list of loss, dup, reorder, corrupt (each =1% or =0.01), delay, jitter (=2ms), seed (=7) and superframes"

// Parse reads a flag such as "loss=1%,dup=1%,reorder=1%,corrupt=0.1%,delay=2ms".
// Further keys are jitter, seed and superframes. The empty string is no faults.
// Its errors are of the kind failure.Usage.
func Parse(s string) (Config, error) {
	var c Config
	seen := map[string]bool{}
	if strings.TrimSpace(s) == "" {
		return c, nil
	}
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		key, val, has := strings.Cut(item, "=")
		if seen[key] {
			return Config{}, usage(item, "given twice")
		}
		seen[key] = true
		if key == "superframes" && !has {
			c.Superframes = true
			continue
		}
		if !has || val == "" {
			return Config{}, usage(item, "has no value")
		}
		if err := c.set(key, val); err != nil {
			return Config{}, usage(item, err.Error())
		}
	}
	return c, nil
}

func (c *Config) set(key, val string) (err error) {
	switch key {
	case "loss":
		c.Loss, err = probability(val)
	case "dup", "duplicate":
		c.Duplicate, err = probability(val)
	case "reorder":
		c.Reorder, err = probability(val)
	case "corrupt":
		c.Corrupt, err = probability(val)
	case "delay":
		c.Delay, err = duration(val)
	case "jitter":
		c.Jitter, err = duration(val)
	case "seed":
		if c.Seed, err = strconv.ParseUint(val, 0, 64); err != nil {
			err = fmt.Errorf("a seed is a whole number of at most 64 bits")
		}
	default:
		err = fmt.Errorf("unknown fault %q", key)
	}
	return err
}

func probability(s string) (float64, error) {
	num, percent := strings.CutSuffix(s, "%")
	p, err := strconv.ParseFloat(num, 64)
	if err != nil || math.IsNaN(p) {
		return 0, fmt.Errorf("a probability is a percentage (1%%) or a number from 0 to 1 (0.01)")
	}
	if percent {
		p /= 100
	}
	if p < 0 || p > 1 {
		return 0, fmt.Errorf("a probability lies between 0 and 100%%; without %% it is a number from 0 to 1")
	}
	return p + 0, nil // no negative zero
}

func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, fmt.Errorf("a duration needs a unit: 500us, 2ms, 1s")
	case d < 0 || d > maxDelay:
		return 0, fmt.Errorf("a duration lies between 0 and %v", maxDelay)
	}
	return d, nil
}

func usage(item, why string) error {
	return failure.New(failure.Usage, "fault: "+strconv.Quote(item), why, syntax)
}

// String renders c as Parse reads it.
func (c Config) String() string {
	var items []string
	for _, p := range []struct {
		key string
		val float64
	}{{"loss", c.Loss}, {"dup", c.Duplicate}, {"reorder", c.Reorder}, {"corrupt", c.Corrupt}} {
		if p.val != 0 {
			items = append(items, p.key+"="+strconv.FormatFloat(p.val, 'g', -1, 64))
		}
	}
	if c.Delay != 0 {
		items = append(items, "delay="+c.Delay.String())
	}
	if c.Jitter != 0 {
		items = append(items, "jitter="+c.Jitter.String())
	}
	if c.Seed != 0 {
		items = append(items, "seed="+strconv.FormatUint(c.Seed, 10))
	}
	if c.Superframes {
		items = append(items, "superframes")
	}
	return strings.Join(items, ",")
}
