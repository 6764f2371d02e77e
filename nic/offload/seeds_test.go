package offload_test

import "testing"

// TestSeeds holds conversations that once went wrong: what was wrong is their name.
func TestSeeds(t *testing.T) {
	byName := map[string]*fault{}
	for i := range faults {
		byName[faults[i].name] = &faults[i]
	}
	for _, tt := range []struct {
		name, fault string
		seed        uint64
	}{
		{"a segment of a head is not acknowledged, and the congestion window is full", "none", 2},
		{"an interim response is not acknowledged", "none", 84},
		{"an interim response takes its acknowledgement of the request with it", "loss of 5 %", 1883199189811395},
		{"a client's connection in TIME-WAIT forgets its server's", "small windows", 82},
		{"a FIN overtakes bytes of the request", "as drawn", 101},
		{"a FIN overtakes chunks of the response", "reordering", 9591930711},
		{"a zero-window probe is answered here, with the window of before", "loss of 5 %", 58},
		{"bytes of the next request count as passed on", "loss of 5 %", 9593770838},
		{"SACK blocks make a segment longer than the MTU", "reordering", 9593770550},
		{"a reply counts as silence", "loss of 5 %", 9593770755},
		{"an answer in the middle of a response's head keeps its parser", "corruption", 70},
		{"the response ends before the request", "none", 9615950072},
		{"a client's window is less than its server can be told, and the server says nothing", "reordering", 9717491372},
		{"the end of a handshake is lost, and the client has nothing to say", "loss of 5 %", 9717492562},
		{"both end at once, and the acknowledgement of the end comes twice", "as drawn", 9717494858},
		{"a request waits for one whose server is gone without a word, and its client gives up", "loss of 5 %", 9752401381},
		{"a client leaves in the middle of an answer of the proxy's own", "none", 9752405042},
		{"a client of whom nothing was heard for minutes is answered", "superframes", 591183252},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := drawnWith(tt.seed, byName[tt.fault])
			if err := through(c); failed(err) {
				report(t, c, err)
			}
		})
	}
}
