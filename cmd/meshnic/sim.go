package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/meshnic/meshnic/datapath/pipeline"
	"github.com/meshnic/meshnic/datapath/sim"
	"github.com/meshnic/meshnic/internal/failure"
)

func newSim() *cobra.Command {
	var t pipeline.Traffic
	var file, output, dests string
	var modules, schema, show bool
	var lane int
	cmd := &cobra.Command{
		Use:   "sim --pipeline NAME|FILE",
		Short: "Drive a pipeline with synthetic frames and count its cycles",
		Long: `sim presents frames to a pipeline, back to back or with a gap, and prints the cycles that
the records of real RTL print, by the same names. All of it is model time.

  meshnic sim --pipeline passthrough-100g --bytes 60 --frames 64
  meshnic sim --pipeline mine.yaml --frames 8 --sink alt50 -o json
  echo '[{module: axis_fifo, DATA_WIDTH: 64, DEPTH: 4096}]' | meshnic sim --pipeline -

Built in: ` + strings.Join(pipeline.Shipped(), ", ") + `.
Sinks:    ` + strings.Join(sim.Patterns, ", ") + `.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			switch {
			case schema:
				_, err := out.Write(pipeline.JSONSchema())
				return err
			case modules:
				return printModules(out)
			case file == "":
				return failure.New(failure.Usage, "no pipeline", "--pipeline is missing",
					"meshnic sim --pipeline "+pipeline.Shipped()[0]+"; built in are "+strings.Join(pipeline.Shipped(), ", "))
			}
			d, text, err := readPipeline(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			if show {
				_, err := out.Write(text)
				return err
			}
			for _, name := range []string{"frames", "inputs", "phases"} {
				if v, _ := cmd.Flags().GetInt(name); v < 1 {
					return failure.New(failure.Usage, fmt.Sprintf("--%s %d", name, v), "want 1 or more", "meshnic sim --help")
				}
			}
			if lane != 0 && lane != 4 {
				return failure.Usagef("--start-lane %d: want START in lane 0 or 4", lane)
			}
			if t.Dest, err = pipeline.ParseDests(dests); err != nil {
				return simFailure(file, err)
			}
			t.Lines = slices.Repeat([]pipeline.Line{{Lane: lane}}, min(t.Phases, 64))
			r, err := d.Run(t)
			if err != nil {
				return simFailure(file, err)
			}
			if !r.Finished {
				fmt.Fprintln(cmd.ErrOrStderr(), "meshnic: the pipeline did not come to rest within a second of its own time; figures are of what had happened until then")
			}
			return printResult(out, r, output)
		},
	}
	f := cmd.Flags()
	f.StringVar(&file, "pipeline", "", "name of a built-in pipeline, a YAML file, or - for standard input")
	f.IntVar(&t.Bytes, "bytes", 60, "bytes of a frame, without FCS")
	f.IntVar(&t.Frames, "frames", 1, "frames on each input")
	f.IntVar(&t.Gap, "gap", 0, "idle cycles before each frame after the first")
	f.StringVar(&t.Sink, "sink", "none", "when the followed output is taken, which is the last stage's first that gives a frame: "+strings.Join(sim.Patterns, ", "))
	f.IntVar(&t.Inputs, "inputs", 1, "inputs with traffic; stages before the first with several inputs are built once for each")
	f.IntVar(&t.Phases, "phases", 1, "runs, with the phase of the second clock spread evenly; latencies are their means")
	f.StringVar(&t.Engine, "engine", "tick", strings.Join(pipeline.Engines, " or "))
	f.StringVar(&dests, "dest", "0", "tdest of the frames, which says what output a switch, demultiplexer or lookup takes: one for all inputs, or one each (0,64,128,192); with slashes an input's frames take them in turn (0/64)")
	f.IntVar(&lane, "start-lane", 0, "lane of the first START where the input is an XGMII line: 0 or 4")
	f.StringVarP(&output, "output", "o", "table", "table, json or csv")
	f.BoolVar(&modules, "modules", false, "list the modules and their parameters")
	f.BoolVar(&schema, "schema", false, "print the JSON Schema of a pipeline file")
	f.BoolVar(&show, "show", false, "print the pipeline's text instead of running it")
	return cmd
}

// readPipeline returns a built-in pipeline, or the one of a file.
func readPipeline(name string, stdin io.Reader) (*pipeline.Description, []byte, error) {
	if d, text, ok := pipeline.Load(name); ok {
		return d, text, nil
	}
	var text []byte
	var err error
	if name == "-" {
		text, err = io.ReadAll(io.LimitReader(stdin, 2<<20))
	} else {
		text, err = os.ReadFile(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, failure.New(failure.BadFile, "pipeline "+name, "is neither built in nor a file", "built in are "+strings.Join(pipeline.Shipped(), ", "))
	}
	if err != nil {
		return nil, nil, failure.Wrap(failure.BadFile, err, "read pipeline "+name, "name a file that can be read")
	}
	d, err := pipeline.Parse(text, name)
	return d, text, err
}

// simFailure makes a run's error one of a file or of the command line.
func simFailure(file string, err error) error {
	var p pipeline.Problems
	if errors.As(err, &p) {
		return pipeline.Refused(file, p)
	}
	return failure.Wrap(failure.Usage, err, "simulate "+file, "meshnic sim --help")
}

func printModules(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, m := range pipeline.Modules {
		fmt.Fprintf(w, "%s\t%s\n", m.Name, m.Doc)
		for _, p := range m.Params {
			def := "required"
			if !p.Required {
				def = "default " + strconv.FormatFloat(p.Default, 'g', -1, 64)
			}
			fmt.Fprintf(w, "  %s\t%s; %s\n", p.Name, p.Doc, def)
		}
		var beside []string
		for _, p := range m.Beside {
			beside = append(beside, p.Name)
		}
		if len(beside) > 0 {
			fmt.Fprintf(w, "  \twithout effect on the cycles: %s\n", strings.Join(beside, ", "))
		}
		fmt.Fprintf(w, "  \tsource: %s\n", m.Source)
	}
	return w.Flush()
}

func printResult(out io.Writer, r *pipeline.Result, format string) error {
	switch format {
	case "json":
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	case "table", "csv":
	default:
		return failure.New(failure.Usage, fmt.Sprintf("output %q", format), "want table, json or csv", "meshnic sim --help")
	}
	rows := r.Rows()
	if format == "csv" {
		w := csv.NewWriter(out)
		w.Write([]string{"field", "value"})
		w.WriteAll(rows)
		return w.Error()
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\n", row[0], row[1])
	}
	return w.Flush()
}
