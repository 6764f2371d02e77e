package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// What this test binary does when it is started with LAB_TEST_CHILD set.
const (
	childVar  = "LAB_TEST_CHILD"
	childArg  = "LAB_TEST_ARG"
	childArg2 = "LAB_TEST_ARG2"
)

func child(verb string) int {
	arg := os.Getenv(childArg)
	switch verb {
	case "dns":
		return serveNames(os.Args[1:])
	case "serve": // say who this is to everybody who connects to arg
		l, err := net.Listen("tcp", arg)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		for {
			c, err := l.Accept()
			if err != nil {
				return 1
			}
			name, hold := strings.CutSuffix(os.Getenv(childArg2), " hold")
			fmt.Fprintln(c, name)
			if hold { // and to send back what they say
				go io.Copy(c, c)
				continue
			}
			c.Close()
		}
	case "dial": // connect to arg, arg2 times, and print each answer
		n, _ := strconv.Atoi(os.Getenv(childArg2))
		for range n {
			c, err := net.DialTimeout("tcp", arg, 20*time.Second)
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			if _, err := io.Copy(os.Stdout, c); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
			c.Close()
		}
	case "burn": // use 200 ms of CPU in threads that end, then wait for SIGTERM
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				runtime.LockOSThread() // the thread ends with the goroutine
				used := func() int64 {
					var ts unix.Timespec
					unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts)
					return ts.Nano()
				}
				for end := used() + int64(50*time.Millisecond); used() < end; {
				}
			})
		}
		wg.Wait()
		fmt.Println("burnt")
		for { // not select {}: with nothing else to run that is a deadlock, and the end
			time.Sleep(time.Hour)
		}
	case "forgot": // a copy in a binary that does not dispatch
		os.Setenv("MESHNIC_SPAWNED", "1")
		l, err := Up(context.Background(), twoHosts("forgot"))
		if err == nil {
			_, err = l.Start("a", Cmd{Path: "true"})
			l.Down()
		}
		fmt.Println(err)
	case "up": // make a lab, print the error
		l, err := Up(context.Background(), twoHosts(arg))
		if err != nil {
			fmt.Println(err)
			return int(failure.KindOf(err))
		}
		fmt.Println("up")
		if os.Getenv(childArg2) == "start" {
			p, err := l.Start("a", Cmd{Path: "sleep", Args: []string{"1000"}})
			if err != nil {
				fmt.Println(err)
				return 1
			}
			fmt.Println(p.Pid)
		}
		bufio.NewReader(os.Stdin).ReadString('\n')
		if err := l.Leave(); err != nil {
			fmt.Println(err)
			return 1
		}
	case "crash":
		n, _ := strconv.Atoi(arg)
		return crash(n, os.Getenv(childArg2))
	default:
		fmt.Println("unknown verb", verb)
		return 1
	}
	return 0
}

// twoPods is a cluster with a service of both pods, and one of none.
func twoPods(name string) Spec {
	return Spec{Name: name, Fabric: Kubernetes, Hosts: []Host{{Name: "a"}, {Name: "b"}}, Services: []Service{
		{Name: "both", Ports: []ServicePort{{Name: "http", Port: 80, Target: 9080}, {Name: "udp", Port: 80, Target: 9080, Protocol: "UDP"}}, Pods: []string{"a", "b"}},
		{Name: "none", Namespace: "shop", Ports: []ServicePort{{Port: 80}}},
	}}
}

func twoHosts(name string) Spec {
	return Spec{Name: name, Fabric: Bridge, Hosts: []Host{{Name: "a"}, {Name: "b"}}}
}

// crash lives the life of a lab and kills itself at the nth point of it. If it
// gets to the end, it prints how many points there are.
func crash(n int, kind string) int {
	points := 0
	observe := func(string) {
		if points++; points == n {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
	}
	spec := twoHosts("crash")
	spec.Hosts[0].Balance = []VIP{{Addr: "10.1.1.1:80", Backends: []string{"10.1.1.2:80", "10.1.1.3:80"}}}
	cluster := kind != ""
	if cluster {
		spec = twoPods("crash")
		spec.Hosts[1].Sidecar = true
		switch kind {
		case "nodes":
			spec.Nodes = 2
		case "nic":
			spec.Hosts[0].NIC = true
		}
	}
	l, err := up(context.Background(), spec, observe)
	if err == nil && cluster {
		if _, err = l.StartDNS(nameServer(), true); err == nil {
			err = l.SetEndpoints("both", "a")
		}
	}
	if err == nil {
		// One that dies with us, one that it started and that does not.
		_, err = l.Start("a", Cmd{Path: "sh", Args: []string{"-c", "sleep 1000 & sleep 1000; true"}})
	}
	if err == nil {
		_, err = l.Run(context.Background(), "b", Cmd{Path: "true"})
	}
	if err == nil {
		err = l.Journal().Setting("test", "", points)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// The setting has nobody to restore it here: Down says so, the lab stays.
	if err := l.Down(); err == nil || errors.Is(err, context.Canceled) {
		fmt.Println("Down is", err)
		return 1
	}
	fmt.Println(points)
	return 0
}
