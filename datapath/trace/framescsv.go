package trace

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
)

// framesHead is the columns of FramesCSV: the keys of the JSON rows.
var framesHead = []string{"id", "bytes", "in", "out", "out_bytes", "offered_ns", "in_ns", "out_ns", "first_latency_ns", "last_latency_ns",
	"first_latency_cycles", "last_latency_cycles", "in_stall_cycles", "bad", "drop", "drop_stage", "drop_ns", "under_way", "partial"}

// FramesCSV is FramesJSON for CSV. What a frame does not have is empty.
func FramesCSV(to io.Writer) (see func(*Frame), end func() error) {
	w := csv.NewWriter(to)
	err := w.Write(framesHead)
	row := make([]string, len(framesHead))
	return func(f *Frame) {
			if err != nil {
				return
			}
			row = append(row[:0], strconv.FormatUint(uint64(f.ID), 10), strconv.Itoa(f.Bytes), f.In, f.Out, text(f.OutBytes),
				text(f.OfferedNs), text(f.InNs), text(f.OutNs), text(f.FirstNs), text(f.LastNs), text(f.FirstCycles), text(f.LastCycles),
				strconv.FormatUint(uint64(f.InWaitCycles), 10), strconv.FormatBool(f.Bad), f.Drop, f.DropStage, text(f.DropNs),
				strconv.FormatBool(f.UnderWay), strconv.FormatBool(f.Partial))
			err = w.Write(row)
		}, func() error {
			w.Flush()
			if err == nil {
				err = w.Error()
			}
			return err
		}
}

func text[T any](v *T) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(*v)
}
