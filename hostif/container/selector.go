package container

import (
	"context"
	"strings"

	"github.com/meshnic/meshnic/internal/failure"
)

// Selector chooses pods of one node by their labels.
type Selector struct {
	Labels    map[string]string // all of them, with these values
	Namespace string            // empty: any
}

// ParseSelector reads KEY=VALUE[,KEY=VALUE...].
func ParseSelector(s string) (Selector, error) {
	sel := Selector{Labels: map[string]string{}}
	for _, part := range strings.Split(s, ",") {
		k, v, ok := strings.Cut(part, "=")
		if !ok || k == "" || strings.ContainsAny(part, " !<>") || strings.HasPrefix(v, "=") {
			return Selector{}, failure.Usagef("--pod-label %q: want KEY=VALUE, or several with commas between, for example app=reviews,version=v2", s)
		}
		sel.Labels[k] = v
	}
	return sel, nil
}

// has reports whether c is one of the chosen.
func (s Selector) has(c *Container) bool {
	if ns, _, _ := strings.Cut(c.Name, "/"); s.Namespace != "" && ns != s.Namespace {
		return false
	}
	for k, v := range s.Labels {
		if got, ok := c.Labels[k]; !ok || got != v {
			return false
		}
	}
	return c.State == ""
}

// Pods returns the sandboxes that s chooses and that are ready, without those of the
// host's network, which have no interface of their own.
func Pods(ctx context.Context, socket string, s Selector) (found []Container, err error) {
	err = eachCRI(ctx, socket, "find pods", func(r pods) (bool, error) {
		all, err := r.sandboxes(ctx)
		if err != nil {
			return true, err
		}
		for _, c := range all {
			if !s.has(&c) {
				continue
			}
			if err := r.inspectSandbox(ctx, &c); err != nil {
				continue // it has gone since
			}
			if !c.Host {
				found = append(found, c)
			}
		}
		return true, nil
	})
	return found, err
}
