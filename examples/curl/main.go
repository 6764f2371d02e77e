// Command curl times the real curl against python3's http.server, directly and
// through the NIC, in turn: the paper's 4.0 and 4.1 ms.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/internal/spawn"
	"github.com/meshnic/meshnic/nic"
)

func main() {
	spawn.Dispatch()
	n := flag.Int("n", 100, "requests each way")
	flag.Parse()
	if err := run(context.Background(), os.Stdout, *n); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, w io.Writer, n int) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	direct, err := serve(ctx, "curl_direct", lab.Direct)
	if err != nil {
		return err
	}
	defer direct.Down()
	through, err := serve(ctx, "curl_through", lab.Ports)
	if err != nil {
		return err
	}
	defer through.Down()
	stop, err := carry(ctx, through)
	if err != nil {
		return err
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()

	times := map[*lab.Lab][]float64{}
	for range n {
		for _, l := range []*lab.Lab{direct, through} {
			ms, err := curl(ctx, l)
			if err != nil {
				return err
			}
			times[l] = append(times[l], ms)
		}
	}
	a, b := median(times[direct]), median(times[through])
	fmt.Fprintf(w, "direct %.2f ms, through the NIC %.2f ms, ratio %.3f (wall, medians of %d; the paper: 4.0 and 4.1 ms, ratio 1.025)\n", a, b, b/a, n)
	return nil
}

// serve makes two namespaces with python3's http.server in one of them.
func serve(ctx context.Context, name string, fabric lab.Fabric) (*lab.Lab, error) {
	l, err := lab.Up(ctx, lab.Spec{Name: name, Fabric: fabric, Hosts: []lab.Host{{Name: "client"}, {Name: "server"}}})
	if err != nil {
		return nil, err
	}
	p, err := l.Start("server", lab.Cmd{Path: "python3", Args: []string{"-m", "http.server", "8000"}})
	if err == nil {
		err = p.WaitListening(":8000", 10*time.Second)
	}
	if err != nil {
		l.Down()
		return nil, err
	}
	return l, nil
}

// carry runs the NIC between the lab's ports until stop is called.
func carry(ctx context.Context, l *lab.Lab) (stop func() error, err error) {
	var specs []attach.PortSpec
	for _, p := range l.SwitchPorts() {
		specs = append(specs, attach.PortSpec{Name: p.Host, Iface: p.IfName, NS: p.NSPath})
	}
	set, err := attach.Open(specs, attach.Options{Mode: attach.Auto})
	if err != nil {
		return nil, err
	}
	n, err := nic.New(nic.DefaultConfig(), []nic.Port{{Name: "client", Link: set.Links[0]}, {Name: "server", Link: set.Links[1]}})
	if err != nil {
		set.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, nic.RunOptions{}) }()
	return func() error {
		cancel()
		if err := <-ended; err != nil {
			set.Close()
			return err
		}
		return set.Close()
	}, nil
}

// curl returns curl's own time_total in milliseconds.
func curl(ctx context.Context, l *lab.Lab) (float64, error) {
	res, err := l.Run(ctx, "client", lab.Cmd{Path: "curl", Args: []string{"-q", "-sS", "-o", os.DevNull, "-m", "10",
		"-w", "%{time_total}", "http://server:8000/"}})
	if err != nil {
		return 0, err
	}
	s, err := strconv.ParseFloat(strings.TrimSpace(string(res.Stdout)), 64)
	return s * 1e3, err
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
