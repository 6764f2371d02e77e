package sidecar

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/meshnic/meshnic/internal/failure"
	"github.com/meshnic/meshnic/proxy/envoyconf"
	"github.com/meshnic/meshnic/proxy/mesh"
)

// secretsEvery is how often files of secrets are looked at.
const secretsEvery = time.Second

// secretFile is a file of secrets as it was when it was read.
type secretFile struct {
	path string
	info os.FileInfo
}

// changed reports whether another file has taken f's place, or its content has
// changed. One that is gone has not.
func (f *secretFile) changed() bool {
	now, err := os.Stat(f.path)
	return err == nil && (!os.SameFile(now, f.info) || now.Size() != f.info.Size() || !now.ModTime().Equal(f.info.ModTime()))
}

// readSecret reads a certificate from its file. path is where it stands in the
// configuration.
func readSecret(path string, s mesh.Secret) (mesh.Certificate, secretFile, error) {
	info, err := os.Stat(s.Path) // before it is read: what changes meanwhile is read again
	var text []byte
	if err == nil {
		text, err = os.ReadFile(s.Path)
	}
	if err != nil {
		return mesh.Certificate{}, secretFile{}, failure.Wrap(failure.BadFile, err, "sidecar: "+path, "name a file of secrets that can be read")
	}
	c, err := envoyconf.ReadSecret(text, s.Path, s.Name)
	return c, secretFile{s.Path, info}, err
}

// stale reports whether a file that c was made of has changed.
func (c *tlsContext) stale() bool {
	return c != nil && slices.ContainsFunc(c.secrets, func(f secretFile) bool { return f.changed() })
}

// watchSecrets has new secrets put in force until ctx ends. Those that are refused
// are said once; the ones so far stay.
func (s *Server) watchSecrets(ctx context.Context) {
	tick := time.NewTicker(secretsEvery)
	defer tick.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n, err := s.rotate()
		switch {
		case err != nil && err.Error() != said:
			said = err.Error()
			fmt.Fprintf(s.opt.Log, "sidecar: new secrets refused, those so far stay in force: %v\n", err)
		case n > 0:
			said = ""
			fmt.Fprintf(s.opt.Log, "sidecar: new secrets for %d TLS contexts\n", n)
		}
	}
}

// rotate has connections that begin from now on use the secrets that files hold now,
// and returns how many TLS contexts that changes. Connections that are there go on.
func (s *Server) rotate() (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return 0, nil
	}
	next := *s.force.Load()
	next.down, next.up = slices.Clone(next.down), slices.Clone(next.up)
	fresh := map[*tlsContext]*tlsContext{}
	for i, t := range next.down {
		if t.stale() {
			if next.down[i], err = serverContext(fmt.Sprintf("listeners[%d].tls", i), next.table.Listeners[i].TLS); err != nil {
				return 0, err
			}
			fresh[t] = next.down[i]
		}
	}
	for i, t := range next.up {
		if t.stale() {
			if next.up[i], err = clientContext(fmt.Sprintf("clusters[%d].tls", i), next.table.Clusters[i].TLS, len(next.table.Clusters[i].Endpoints)); err != nil {
				return 0, err
			}
			fresh[t] = next.up[i]
		}
	}
	if len(fresh) == 0 {
		return 0, nil
	}
	s.each(func(_ int, w *worker) error { w.rotate(fresh); return nil }, nil)
	s.force.Store(&next)
	return len(fresh), nil
}
