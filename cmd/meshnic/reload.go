package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
	"github.com/meshnic/meshnic/proxy/sidecar"
)

// readBootstrap reads an Envoy bootstrap file.
func readBootstrap(file string) (mesh.Config, error) {
	b, err := bootstrapText(file)
	if err != nil {
		return mesh.Config{}, err
	}
	return envoyconf.Read(b, file)
}

func bootstrapText(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	return b, failure.Wrap(failure.BadFile, err, "read bootstrap file", "name an Envoy bootstrap file")
}

// reopenOnUser has s open its access logs anew whenever SIGUSR1 comes, until stop is
// called.
func reopenOnUser(s *sidecar.Server) (stop func()) {
	usr, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(usr, syscall.SIGUSR1)
	go func() {
		defer close(done)
		for range usr {
			s.ReopenLogs()
		}
	}()
	return func() {
		signal.Stop(usr)
		close(usr)
		<-done
	}
}

// reloads is whether SIGHUP has a file read again.
var reloads atomic.Bool

// reloadOnHangup has s read its file again whenever SIGHUP comes, until stop is called.
// A file that is refused changes nothing; why goes to log.
func reloadOnHangup(s interface{ Reload(mesh.Config) error }, file string, read func() (mesh.Config, error), log io.Writer) (stop func()) {
	hup, done := make(chan os.Signal, 1), make(chan struct{})
	reloads.Store(true)
	signal.Notify(hup, syscall.SIGHUP)
	go func() {
		defer close(done)
		for range hup {
			cfg, err := read()
			if err == nil {
				err = s.Reload(cfg)
			}
			if err != nil {
				fmt.Fprintf(log, "meshnic: reload refused, the configuration so far stays in force: %v\n", err)
			} else {
				fmt.Fprintf(log, "meshnic: reloaded %s\n", file)
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		reloads.Store(false)
		close(hup)
		<-done
	}
}
