package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain runs the tests on a host of their own: what they compare is the
// state of the whole host.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == InitVerb {
		InitMain(os.Args[2:])
	}
	switch os.Getenv("NETNS_TEST_CHILD") {
	case "own": // own a lab until killed
		if _, err := Create(os.Getenv("NETNS_TEST_LAB"), nil); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("owned")
		time.Sleep(time.Minute)
	case "labs":
		hidden, err := strconv.Atoi(os.Getenv("NETNS_TEST_HIDDEN"))
		if err = errors.Join(err, comeAndGo(os.Getenv("NETNS_TEST_LAB"), hidden)); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	case "user", "user wait":
		user()
	}
	if Entered() == "" {
		enter := func() (int, error) { return EnterPrivate(os.Args[1:]) }
		if !Privileged() {
			enter = func() (int, error) { return EnterUnprivileged(os.Args[1:]) }
		}
		code, err := enter()
		if err == nil {
			os.Exit(code)
		}
		fmt.Fprintln(os.Stderr, err)
	}
	goleak.VerifyTestMain(m)
}

// user enters a private host as a user without rights, makes a lab there and
// removes it.
func user() {
	if Entered() == "" {
		code, err := EnterUnprivileged(os.Args[1:])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		os.Exit(code)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM)
	ns := Name("t", "a")
	before, err := Snapshot()
	j, err2 := Create("t", nil)
	if err := errors.Join(err, err2); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	err = j.Step(Entry{Kind: KindNetns, Name: ns}, func() error { return New(ns) })
	err = errors.Join(err, Veth(End{NS: ns, Name: "eth0"}, End{NS: ns, Name: "eth1"}, 1500), SetUp(ns, "eth0"),
		Balance(ns, []VIP{{Addr: "10.0.0.1:80", Backends: []string{"10.0.0.2:80", "10.0.0.3:81"}}}),
		Sysctl(ns, "net.ipv6.conf.default.disable_ipv6", "1"))
	code := 43
	if os.Getenv("NETNS_TEST_CHILD") == "user wait" {
		fmt.Println("waiting", err)
		s := <-signals
		time.Sleep(50 * time.Millisecond) // a second signal would be here by now
		fmt.Println("cleaned up after", 1+len(signals), s)
		code = 143
	}
	_, err2 = Undo("t", UndoOptions{})
	after, err3 := Snapshot()
	if before != after {
		err = errors.Join(err, fmt.Errorf("before\n%s\nafter\n%s", before, after))
	}
	if err := errors.Join(err, j.Close(), err2, err3); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if code == 43 {
		fmt.Printf("entered %s uid %d made a lab and removed it\n", Entered(), os.Getuid())
	}
	os.Exit(code)
}

func snapshot(t *testing.T) string {
	t.Helper()
	s, err := Snapshot()
	require.NoError(t, err)
	return s
}

// restored fails the test unless the host is at its end what it is now.
func restored(t *testing.T) {
	t.Helper()
	before := snapshot(t)
	t.Cleanup(func() { require.Equal(t, before, snapshot(t)) })
}

// inNS starts a program that does nothing inside a namespace.
func inNS(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	require.NoError(t, Do(name, cmd.Start))
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return cmd
}
