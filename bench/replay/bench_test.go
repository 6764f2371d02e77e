package replay

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzReplay replays whatever looks like a capture: nothing panics, and every
// frame is accounted for.
func FuzzReplay(f *testing.F) {
	f.Add(talk(12, 50), false)
	f.Add(talk(3, 5), true)
	f.Add(little().section().face(1, nil).face(1, nil).enhanced(1, 1e6, 62, request(20)).enhanced(0, 1<<50, 9000, answer(20)).b, false)
	f.Add(big().pcap(magicNano, 1).record(1, 0, 1, []byte{1}).record(0xffffffff, 0, 14, request(0)[:14]).record(0, 0, 65535, nil).b, true)
	d := load(f, "passthrough-100g")
	f.Fuzz(func(t *testing.T, b []byte, mac bool) {
		c, err := Open(bytes.NewReader(b), "x")
		if err != nil {
			return
		}
		o := Options{Pipeline: d, Limit: 64, Traces: Traces{VCD: io.Discard, Pcapng: io.Discard, Waterfall: true}}
		if mac {
			o.Ports = "mac"
		}
		r, err := Run(context.Background(), c, o)
		if err != nil {
			return
		}
		if !r.Finished || r.Carried.Frames+r.Dropped < r.Offered.Frames || r.Capture.Frames != r.Offered.Frames {
			t.Fatalf("offered %+v, carried %+v, dropped %d; capture %+v", r.Offered, r.Carried, r.Dropped, r.Capture)
		}
	})
}

func BenchmarkReplay(b *testing.B) {
	file := filepath.Join(b.TempDir(), "capture.pcap")
	f := little().pcap(magicNano, 1)
	one := request(22)
	const frames = 1 << 20
	for i := range uint32(frames) {
		f.record(i/100_000_000, i*10%1_000_000_000, len(one), one)
	}
	require.NoError(b, os.WriteFile(file, f.b, 0o644))
	f = nil
	for _, traced := range []bool{false, true} {
		b.Run(fmt.Sprintf("waterfall=%v", traced), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				in, err := os.Open(file)
				require.NoError(b, err)
				c, err := Open(in, file)
				require.NoError(b, err)
				r, err := Run(context.Background(), c, Options{Pipeline: load(b, "passthrough-100g"), Traces: Traces{Waterfall: traced}})
				require.NoError(b, err)
				require.Equal(b, uint64(frames), r.Carried.Frames)
				in.Close()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/frames, "ns/frame")
		})
	}
}
