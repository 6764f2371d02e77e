package load

import (
	"encoding/json"
	"fmt"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

const (
	histMin    = 1                     // ns
	histMax    = int64(60_000_000_000) // ns
	histDigits = 3                     // significant digits: quantiles are off by at most 0.1 %
	maxCDF     = 200                   // points
)

// Hist is a latency histogram: nanoseconds, 1 ns to 60 s, three significant
// digits. In JSON it is the base64 text of HdrHistogram's V2 encoding.
type Hist struct{ h *hdr.Histogram }

// NewHist returns an empty histogram.
func NewHist() *Hist { return &Hist{hdr.New(histMin, histMax, histDigits)} }

// Record adds one latency in ns; it is held to the range of the histogram.
func (h *Hist) Record(ns int64) {
	// The range is clamped, so RecordValue cannot fail.
	_ = h.h.RecordValue(max(histMin, min(ns, histMax)))
}

// Merge adds what o holds to h.
func (h *Hist) Merge(o *Hist) { h.h.Merge(o.h) }

// N is the number of values.
func (h *Hist) N() uint64 { return uint64(h.h.TotalCount()) }

// QuantileUS returns the value at q (0 to 1) in microseconds, 0 if h is empty.
func (h *Hist) QuantileUS(q float64) float64 {
	if h.h.TotalCount() == 0 {
		return 0
	}
	return float64(h.h.ValueAtQuantile(100*q)) / 1e3
}

// Quantiles of a distribution, in the unit of the enclosing field's key. The
// fields are those of bench.Quantiles, so one converts to the other.
type Quantiles struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func (q *Quantiles) worst(o Quantiles) {
	q.P50, q.P90, q.P99 = max(q.P50, o.P50), max(q.P90, o.P90), max(q.P99, o.P99)
	q.P999, q.Max = max(q.P999, o.P999), max(q.Max, o.Max)
}

// Quantiles returns the usual quantiles in microseconds.
func (h *Hist) Quantiles() Quantiles {
	return Quantiles{
		P50: h.QuantileUS(0.5), P90: h.QuantileUS(0.9), P99: h.QuantileUS(0.99),
		P999: h.QuantileUS(0.999), Max: h.QuantileUS(1),
	}
}

// Point of a cumulative distribution; converts to bench.Point.
type Point struct {
	WallUS float64 `json:"wall_us"`
	Share  float64 `json:"share"` // of values at or below WallUS, 0 to 1
}

// CDF returns the cumulative distribution in at most n points (n at least 2):
// evenly spread over the shares, the smallest and the largest value always
// among them.
func (h *Hist) CDF(n int) []Point {
	total := h.h.TotalCount()
	if total == 0 {
		return nil
	}
	var out []Point
	var seen, next int64
	step := max(1, (total+int64(n)-3)/max(1, int64(n)-2))
	for _, b := range h.h.Distribution() {
		if b.Count == 0 {
			continue
		}
		seen += b.Count
		if seen >= next || seen == total {
			out = append(out, Point{WallUS: float64(b.To) / 1e3, Share: float64(seen) / float64(total)})
			next = seen + step
		}
	}
	return out
}

// MarshalJSON encodes the histogram.
func (h *Hist) MarshalJSON() ([]byte, error) {
	b, err := h.h.EncodeV2()
	if err != nil {
		return nil, fmt.Errorf("load: encode histogram: %w", err)
	}
	return json.Marshal(string(b))
}

// UnmarshalJSON decodes a histogram of the package's own geometry.
func (h *Hist) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("load: decode histogram: %w", err)
	}
	d, err := hdr.Decode([]byte(s))
	if err != nil {
		return fmt.Errorf("load: decode histogram: %w", err)
	}
	if d.SignificantFigures() != histDigits || d.LowestTrackableValue() != histMin || d.HighestTrackableValue() != histMax {
		return fmt.Errorf("load: decode histogram: range %d to %d ns with %d digits, want %d to %d with %d",
			d.LowestTrackableValue(), d.HighestTrackableValue(), d.SignificantFigures(), histMin, histMax, histDigits)
	}
	h.h = d
	return nil
}
