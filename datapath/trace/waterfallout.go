package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/meshnic/meshnic/datapath/sim"
)

// WaterfallSchema names the documents of a waterfall.
const WaterfallSchema = "meshnic.waterfall/1"

// WaterfallResult is a waterfall over the frames that left. Sums are exact:
// those of the stages and of the remainder add up to that of the total, as do
// the parts of each sample. Quantiles do not add up.
type WaterfallResult struct {
	Schema    string           `json:"schema"`
	Frames    uint64           `json:"frames"`
	Dropped   uint64           `json:"dropped"`
	UnderWay  uint64           `json:"under_way"`
	Partial   uint64           `json:"partial"` // entered before the trace began; not in the figures
	Stages    []WaterfallStage `json:"stages"`
	Remainder Spread           `json:"remainder"`
	Total     Spread           `json:"total"`
	Samples   []Sample         `json:"samples"`
}

// Spread is how a duration is spread over frames. Quantiles are exact up to
// 4096 different values, and with more rounded down by less than 0.1 %.
type Spread struct {
	SumNs Nanos `json:"sum_ns"`
	P50Ns Nanos `json:"p50_ns"`
	P99Ns Nanos `json:"p99_ns"`
	MaxNs Nanos `json:"max_ns"`
}

// WaterfallStage is the shares of one stage.
type WaterfallStage struct {
	Stage  string `json:"stage"`
	Frames uint64 `json:"frames"`
	Spread
	PassSumNs         Nanos `json:"pass_sum_ns"`
	QueueSumNs        Nanos `json:"queue_sum_ns"`
	StoreForwardSumNs Nanos `json:"store_forward_sum_ns"`
	BlockedSumNs      Nanos `json:"blocked_sum_ns"`
}

// Sample is a real frame whose total stands for a quantile: the one of
// the lowest number.
type Sample struct {
	Quantile string `json:"quantile"`
	FallJSON
}

// FallJSON is the JSON of a Fall.
type FallJSON struct {
	ID          uint32      `json:"id"`
	BeginNs     Nanos       `json:"begin_ns"`
	EndNs       Nanos       `json:"end_ns"`
	TotalNs     Nanos       `json:"total_ns"`
	Stages      []ShareJSON `json:"stages"`
	RemainderNs Nanos       `json:"remainder_ns"`
	Drop        string      `json:"drop,omitempty"`
	DropStage   string      `json:"drop_stage,omitempty"`
}

// ShareJSON is the JSON of a Share.
type ShareJSON struct {
	Stage          string `json:"stage"`
	ShareNs        Nanos  `json:"share_ns"`
	PassNs         Nanos  `json:"pass_ns"`
	QueueNs        Nanos  `json:"queue_ns"`
	StoreForwardNs Nanos  `json:"store_forward_ns"`
	BlockedNs      Nanos  `json:"blocked_ns"`
}

// JSON is what is written of a Fall.
func (f *Fall) JSON() FallJSON {
	j := FallJSON{ID: f.Frame, BeginNs: Nanos(f.Begin), EndNs: Nanos(f.End), TotalNs: Nanos(f.Total()),
		Stages: []ShareJSON{}, RemainderNs: Nanos(f.Remainder), DropStage: f.DropStage}
	if f.Why != sim.LossNone {
		j.Drop = f.Why.String()
	}
	for i := range f.Shares {
		s := &f.Shares[i]
		j.Stages = append(j.Stages, ShareJSON{s.Stage, Nanos(s.Total()), Nanos(s.Pass), Nanos(s.Queue), Nanos(s.StoreForward), Nanos(s.Blocked)})
	}
	return j
}

// FallsJSON returns what writes each frame's waterfall as a line of JSON, for
// WaterfallConfig.See, and what ends the file and says what went wrong. The
// first line has only the schema.
func FallsJSON(to io.Writer) (see func(*Fall), end func() error) {
	w := bufio.NewWriterSize(to, 1<<16)
	enc := json.NewEncoder(w)
	err := enc.Encode(struct {
		Schema string `json:"schema"`
	}{WaterfallSchema})
	return func(f *Fall) {
			if err == nil {
				err = enc.Encode(f.JSON())
			}
		}, func() error {
			if e := w.Flush(); err == nil {
				err = e
			}
			return err
		}
}

func (d *dist) spread() Spread {
	v, _ := d.quantiles(.5, .99)
	return Spread{Nanos(d.sum), Nanos(v[0]), Nanos(v[1]), Nanos(d.max)}
}

// Result is what was counted so far. Stages that no frame went through are left
// out.
func (w *Waterfall) Result() *WaterfallResult {
	r := w.out
	r.Schema, r.Stages, r.Samples = WaterfallSchema, []WaterfallStage{}, []Sample{}
	r.Remainder, r.Total = w.rest.spread(), w.total.spread()
	for i := range w.stats {
		s := &w.stats[i]
		if s.share.n > 0 {
			r.Stages = append(r.Stages, WaterfallStage{s.name, s.share.n, s.share.spread(),
				Nanos(s.sum.Pass), Nanos(s.sum.Queue), Nanos(s.sum.StoreForward), Nanos(s.sum.Blocked)})
		}
	}
	_, examples := w.total.quantiles(.5, .99, 1)
	for i, name := range []string{"p50", "p99", "max"} {
		if examples[i] != nil {
			r.Samples = append(r.Samples, Sample{name, examples[i].JSON()})
		}
	}
	return &r
}

// JSON writes the result as one document.
func (r *WaterfallResult) JSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// Table writes the result as text. Means add up to the total's mean.
func (r *WaterfallResult) Table(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "stage\tframes\tp50_ns\tp99_ns\tmax_ns\tmean_ns\tpass_ns\tqueue_ns\tstore_forward_ns\tblocked_ns\t")
	for _, s := range r.Stages {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", s.Stage, s.Frames, s.P50Ns, s.P99Ns, s.MaxNs,
			r.mean(s.SumNs), r.mean(s.PassSumNs), r.mean(s.QueueSumNs), r.mean(s.StoreForwardSumNs), r.mean(s.BlockedSumNs))
	}
	for _, s := range []struct {
		name string
		Spread
	}{{"remainder", r.Remainder}, {"total", r.Total}} {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t-\t-\t-\t-\t\n", s.name, r.Frames, s.P50Ns, s.P99Ns, s.MaxNs, r.mean(s.SumNs))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var notes []string
	for _, n := range []struct {
		n    uint64
		what string
	}{{r.Dropped, "dropped"}, {r.UnderWay, "under way at the end"}, {r.Partial, "entered before the trace began"}} {
		if n.n > 0 {
			notes = append(notes, fmt.Sprintf("%d %s", n.n, n.what))
		}
	}
	if len(notes) > 0 {
		_, err := fmt.Fprintln(w, "not in the figures: "+strings.Join(notes, ", "))
		return err
	}
	return nil
}

// mean is a sum over the frames that left, all of them.
func (r *WaterfallResult) mean(sum Nanos) string {
	if r.Frames == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3f", float64(sum)/1000/float64(r.Frames))
}
