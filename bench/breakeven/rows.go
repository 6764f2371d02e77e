package breakeven

import (
	"github.com/meshnic/meshnic/datapath/module"
	"github.com/meshnic/meshnic/datapath/pipeline"
)

// Row is one way of making it hard.
type Row struct {
	Axis    string
	At      float64
	ModelNS float64 // of a request on the card
	Ratio   float64 // derived: that, and the host's part of requests that the card leaves to it, over what the host adds
}

// Loses reports whether the host's proxy is faster.
func (r Row) Loses() bool { return r.Ratio >= 1 }

// axis is a parameter that makes it harder.
type axis struct {
	name string
	at   []float64
	flow func(v float64) Flow
	set  func(v float64) map[string]module.Args
	host func(v float64) float64 // share of requests that the host's proxy does
}

var usual = Flow{Requests: 1000, Pieces: 1}

func same(float64) Flow { return usual }

// axes are what is gone through; of a head in several segments the last is waited for, the others are
// scanned as they come; on all others a request is one of many on its connections.
var axes = []axis{
	{name: "requests a connection", at: []float64{1, 2, 4, 16, 64, 1000}, flow: func(v float64) Flow { return Flow{Requests: int(v), Pieces: 1} }},
	{name: "segments of a request's head", at: []float64{1, 2, 4, 8, 16}, flow: func(v float64) Flow { return Flow{Requests: 1000, Pieces: int(v)} }},
	{name: "bytes of a frame of the body, headers included", at: []float64{67, 80, 128, 264}, flow: func(v float64) Flow { return Flow{Requests: 1000, Pieces: 1, Segment: int(v)} }},
	{name: "clock of the core, MHz", at: []float64{1, 5, 25, 100, 250, 322}, flow: same, set: func(v float64) map[string]module.Args {
		return map[string]module.Args{"rx_cross": {"M_CLK_MHZ": v}, "tx_cross": {"S_CLK_MHZ": v}}
	}},
	{name: "latency of the tables' memory, ns", at: []float64{20, 90, 122, 1000, 10000}, flow: same, set: func(v float64) map[string]module.Args {
		return map[string]module.Args{"flow_state": {"ACCESS_NS": v}, "decide": {"ACCESS_NS": v}}
	}},
	{name: "bytes scanned a cycle", at: []float64{1, 2, 4, 8, 16, 64}, flow: same, set: func(v float64) map[string]module.Args {
		return map[string]module.Args{"head_scan": {"BYTES_PER_CYCLE": v}}
	}},
	{name: "share of requests left to the host (TLS)", at: []float64{0, 0.01, 0.1, 0.5, 0.9, 1}, flow: same, host: func(v float64) float64 { return v }},
}

// Rows goes through all axes with a card, against a host's proxy. A request that is left to
// the host goes through the card as well, and takes no less time there.
func Rows(d *pipeline.Description, h Host) (rows []Row, err error) {
	for _, x := range axes {
		for _, v := range x.at {
			card := d
			if x.set != nil {
				card = with(d, x.set(v))
			}
			r := Row{Axis: x.name, At: v}
			if r.ModelNS, err = Time(card, x.flow(v)); err != nil {
				return nil, err
			}
			r.Ratio = r.ModelNS / 1e3 / h.AddedUS
			if x.host != nil {
				r.Ratio += x.host(v)
			}
			rows = append(rows, r)
		}
	}
	return rows, nil
}
