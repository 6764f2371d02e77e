// Package reference holds the figures of the paper that meshnic reproduces, as
// the paper's text states them. They were measured on the paper's hosts, so
// only their ratios compare with a run here. README.md names each figure's source.
package reference

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

//go:embed paper.csv
var paperCSV string

// Point is one figure of the paper.
type Point struct {
	System      string
	Experiment  string // "bookinfo" or "curl"
	Connections int
	Statistic   string  // "p90"; "time_total" is curl's own, without a quantile in the paper
	LatencyMS   float64 // on the paper's host
	Ratio       float64 // LatencyMS over that of Baseline, rounded to three decimals
	Baseline    string
}

// header is the first row of the file; the columns are read by position.
var header = [...]string{"system", "experiment", "connections", "statistic", "latency_ms", "ratio_to_baseline", "baseline"}

// Paper returns the paper's figures in the order of paper.csv.
func Paper() []Point {
	points, err := Parse(strings.NewReader(paperCSV))
	if err != nil {
		panic(err) // the file is built in: a bug, and a test reads it
	}
	return points
}

// Lookup returns the paper's figure for a system at one number of connections.
func Lookup(experiment, system string, connections int) (Point, bool) {
	for _, p := range Paper() {
		if p.Experiment == experiment && p.System == system && p.Connections == connections {
			return p, true
		}
	}
	return Point{}, false
}

// Parse reads a file in the form of paper.csv: lines that begin with # are
// comments, then a header row, then a row a figure. It refuses a ratio that
// does not follow from the latencies.
func Parse(r io.Reader) ([]Point, error) {
	cr := csv.NewReader(r)
	cr.Comment = '#'
	cr.FieldsPerRecord = len(header)
	rows, err := cr.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reference: %w", err)
	}
	if len(rows) == 0 || !slices.Equal(rows[0], header[:]) {
		return nil, fmt.Errorf("reference: the first row is not %s", strings.Join(header[:], ","))
	}
	var points []Point
	for _, row := range rows[1:] {
		p, err := point(row)
		if err != nil {
			return nil, err
		}
		points = append(points, p)
	}
	return points, checkRatios(points)
}

func point(row []string) (Point, error) {
	p := Point{System: row[0], Experiment: row[1], Statistic: row[3], Baseline: row[6]}
	var err error
	if p.Connections, err = strconv.Atoi(row[2]); err != nil || p.Connections < 1 {
		return p, fmt.Errorf("reference: %s: connections is %q, want a whole number above 0", p.System, row[2])
	}
	if p.LatencyMS, err = positive(row[4]); err != nil {
		return p, fmt.Errorf("reference: %s: latency_ms %w", p.System, err)
	}
	if p.Ratio, err = positive(row[5]); err != nil {
		return p, fmt.Errorf("reference: %s: ratio_to_baseline %w", p.System, err)
	}
	return p, nil
}

func positive(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 {
		return 0, fmt.Errorf("is %q, want a number above 0", s)
	}
	return v, nil
}

func checkRatios(points []Point) error {
	for _, p := range points {
		i := slices.IndexFunc(points, func(q Point) bool {
			return q.System == p.Baseline && q.Experiment == p.Experiment && q.Connections == p.Connections
		})
		if i < 0 {
			return fmt.Errorf("reference: %s: baseline %q has no row", p.System, p.Baseline)
		}
		if want := p.LatencyMS / points[i].LatencyMS; math.Abs(p.Ratio-want) > 0.0006*want+1e-12 {
			return fmt.Errorf("reference: %s: ratio_to_baseline is %g, the latencies give %.4f", p.System, p.Ratio, want)
		}
	}
	return nil
}
