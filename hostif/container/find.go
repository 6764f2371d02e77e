package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meshnic/meshnic/internal/failure"
)

// sockets are where runtimes listen by default; Docker's first, as containerd knows
// its containers by their IDs alone.
var sockets = []string{
	"/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock",
	"/run/containerd/containerd.sock", "/run/k3s/containerd/containerd.sock", "/run/crio/crio.sock",
}

// patience bounds how long a runtime may take to answer.
const patience = 10 * time.Second

// Socket reads the address of a runtime: unix:///path, or the path; empty: any of
// those that are there.
func Socket(s string) (string, error) {
	path := strings.TrimPrefix(s, "unix://")
	if s != "" && !strings.HasPrefix(path, "/") {
		return "", failure.Usagef("--runtime %q: want a Unix socket, for example unix:///run/containerd/containerd.sock", s)
	}
	return path, nil
}

// candidates are the sockets to ask.
func candidates(socket string) (paths []string) {
	if socket != "" {
		return []string{socket}
	}
	if p, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		paths = append(paths, p)
	}
	var seen []os.FileInfo
	for _, p := range sockets {
		fi, err := os.Stat(p)
		if errors.Is(err, fs.ErrNotExist) || sameAsOneOf(seen, fi) { // /var/run is /run
			continue
		}
		if fi != nil {
			seen = append(seen, fi)
		}
		paths = append(paths, p)
	}
	return paths
}

func sameAsOneOf(seen []os.FileInfo, fi os.FileInfo) bool {
	for _, s := range seen {
		if fi != nil && os.SameFile(s, fi) {
			return true
		}
	}
	return false
}

// open finds out what a socket serves.
func open(ctx context.Context, path string) (any, error) {
	// gRPC first: its servers speak first, which an HTTP/1.1 client takes ill.
	g := grpc{dial(path, true)}
	err := cri{g}.ping(ctx)
	switch {
	case err == nil && (containerd{g}).ping(ctx) == nil:
		return both{cri{g}, containerd{g}}, nil
	case err == nil:
		return cri{g}, nil
	case refused(err):
		return nil, err
	case unimplemented(err) && (containerd{g}).ping(ctx) == nil:
		return containerd{g}, nil
	}
	d := docker{dial(path, false)}
	if failed := d.ping(ctx); failed != nil {
		return nil, fmt.Errorf("nothing there speaks Docker's API (%w), CRI or containerd's (%w)", failed, err)
	}
	return d, nil
}

// both is containerd with its CRI plugin: it knows containers that CRI does not.
type both struct {
	cri
	c containerd
}

func (b both) list(ctx context.Context) ([]Container, error) { return b.c.list(ctx) }
func (b both) inspect(context.Context, *Container) error     { return nil }

// refused reports whether a socket cannot be reached at all.
func refused(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrPermission)
}

// unreachable says what is wrong with a socket.
func unreachable(path string, err error) error {
	what := "ask the runtime at " + path
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err // without the URL, which is made up
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return failure.Wrap(failure.Privilege, err, what, "run as root (sudo)")
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return failure.Wrap(failure.Usage, err, what, "start it (systemctl start docker), or name another socket: --runtime unix:///path")
	case errors.Is(err, context.DeadlineExceeded):
		return failure.New(failure.Unexpected, what, "no answer in "+patience.String(), "look whether it hangs: docker ps, crictl ps")
	}
	return failure.Wrap(failure.Unexpected, err, what, "name the socket of a runtime: --runtime unix:///path")
}

// noSocket is the failure where there is none.
func noSocket() error {
	return failure.New(failure.Usage, "find a container runtime", "there is no socket at "+strings.Join(sockets, ", "),
		"start Docker or containerd, or name its socket: --runtime unix:///path")
}

// each calls f with the runtime of every socket that answers, until f says that it
// is done. The error is that of the first socket that does not, if none does.
func each(ctx context.Context, socket string, f func(r any) (done bool, err error)) error {
	paths := candidates(socket)
	if len(paths) == 0 {
		return noSocket()
	}
	var first error
	asked := 0
	for _, p := range paths {
		ctx, cancel := context.WithTimeout(ctx, patience)
		r, err := open(ctx, p)
		done := false
		if err == nil {
			asked++
			done, err = f(r)
		}
		cancel()
		if done {
			return err
		}
		if err != nil && first == nil {
			first = unreachable(p, err)
		}
	}
	if asked == 0 || first != nil {
		return first
	}
	return nil
}

// eachCRI is each of the runtimes that know pods. That there is none is a failure of what
// it is for.
func eachCRI(ctx context.Context, socket, what string, f func(r pods) (done bool, err error)) error {
	asked := false
	err := each(ctx, socket, func(x any) (bool, error) {
		r, ok := x.(pods)
		if !ok {
			return false, nil
		}
		asked = true
		return f(r)
	})
	if err == nil && !asked {
		return failure.New(failure.Usage, what, "no runtime here serves CRI", "name its socket: --runtime unix:///run/containerd/containerd.sock")
	}
	return err
}

// Find finds the running container that ref means: a name, an ID or the beginning of
// one.
func Find(ctx context.Context, socket, ref string) (found Container, err error) {
	var seen, matched []Container
	err = each(ctx, socket, func(x any) (bool, error) {
		r, ok := x.(runtime)
		if !ok {
			return false, nil
		}
		all, err := r.list(ctx)
		if err != nil {
			return false, err
		}
		seen = append(seen, all...)
		matched = match(all, ref)
		for i := range matched {
			if err := r.inspect(ctx, &matched[i]); err != nil {
				return false, err
			}
		}
		return len(matched) > 0, nil
	})
	if err != nil && len(matched) == 0 {
		return found, err
	}
	return one("container", ref, seen, matched)
}

// Pod finds the sandbox of a pod that is ready; ref is NAMESPACE/NAME.
func Pod(ctx context.Context, socket, ref string) (found Container, err error) {
	if ns, name, ok := strings.Cut(ref, "/"); !ok || ns == "" || name == "" || strings.Contains(name, "/") {
		return found, failure.Usagef("--pod %q: want NAMESPACE/NAME, for example default/web-0", ref)
	}
	var seen, matched []Container
	err = eachCRI(ctx, socket, "find pod "+ref, func(r pods) (bool, error) {
		all, err := r.sandboxes(ctx)
		if err != nil {
			return false, err
		}
		seen = append(seen, all...)
		for _, c := range all {
			if c.Name != ref {
				continue
			}
			if c.State == "" {
				if err := r.inspectSandbox(ctx, &c); err != nil {
					return false, err
				}
			}
			matched = append(matched, c)
		}
		return len(matched) > 0, nil
	})
	if err != nil && len(matched) == 0 {
		return found, err
	}
	return one("pod", ref, seen, matched)
}

// one is the container of matched that runs.
func one(kind, ref string, seen, matched []Container) (Container, error) {
	what := "find " + kind + " " + ref
	run := running(matched)
	switch {
	case len(run) == 1:
		return run[0], nil
	case len(run) > 1:
		return Container{}, failure.New(failure.Usage, what, "there are several: "+ids(run), "name one by its whole ID")
	case len(matched) > 0:
		next := "start it, with Docker: docker start " + ref
		if kind == "pod" {
			next = "kubectl get pod says what it waits for"
		}
		return Container{}, failure.New(failure.Usage, what, "it is not running: "+matched[0].State, next)
	}
	if there := running(seen); len(there) > 0 {
		return Container{}, failure.New(failure.Usage, what, "there is no such "+kind, "choose one that runs: "+names(there))
	}
	return Container{}, failure.New(failure.Usage, what, "there is no such "+kind+", and none runs", "start it first")
}

func running(all []Container) (run []Container) {
	for _, c := range all {
		if c.State == "" {
			run = append(run, c)
		}
	}
	return run
}

func ids(all []Container) string {
	var list []string
	for _, c := range all {
		list = append(list, c.ID)
	}
	return strings.Join(list, ", ")
}
