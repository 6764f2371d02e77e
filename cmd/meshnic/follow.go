package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/meshnic/meshnic/bench/lab"
	"github.com/meshnic/meshnic/hostif/attach"
	"github.com/meshnic/meshnic/hostif/container"
	"github.com/meshnic/meshnic/internal/failure"
)

// followEvery is how often the runtime is asked which pods there are.
const followEvery = time.Second

// follow puts a NIC in front of every pod that the selector chooses, also of those that
// come later, until ctx ends. Of a pod that cannot be had it is said why, once; that the
// runtime does not answer any more is no reason to leave the pods that there are.
func (j *job) follow(ctx context.Context) error {
	t := &j.f.to
	// Nobody else cleans up where a pod's supervisor has started us again.
	removed, err := lab.Clean(false, attach.UndoHandlers())
	if err != nil && failure.KindOf(err) != failure.Conflict { // that of another which runs is its own
		j.log("what a dead run left here could not all be undone: %v", err)
	}
	for _, name := range removed {
		j.log("undone: %s, whose process is dead", name)
	}
	pods, err := container.Pods(ctx, t.runtime, t.selector)
	if err != nil {
		return err
	}
	j.log("pods with %s: %d now; interrupt to leave", t.label, len(pods))
	var out sync.Mutex // of what they print
	var all sync.WaitGroup
	here := map[string]bool{} // by sandbox: one that is over never comes back
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	silent := false
	for {
		for _, p := range pods {
			if here[p.ID] {
				continue
			}
			here[p.ID] = true
			all.Go(func() {
				one := *j
				var said bytes.Buffer
				one.stdout = &said
				err := one.inline(ctx, &p)
				out.Lock()
				if said.Len() > 0 {
					j.log("%s:", p.String())
					_, werr := j.stdout.Write(said.Bytes())
					err = errors.Join(err, werr)
				}
				out.Unlock()
				if err != nil {
					j.log("%s: %v", p.String(), err)
				}
			})
		}
		select {
		case <-ctx.Done():
			all.Wait()
			return nil
		case <-tick.C:
		}
		now, err := container.Pods(ctx, t.runtime, t.selector)
		if err != nil {
			if !silent && ctx.Err() == nil {
				j.log("the runtime does not answer, the pods so far stay: %v", err)
			}
			silent = true
			continue
		}
		if silent {
			j.log("the runtime answers again")
		}
		silent, pods = false, now
		forget(here, pods)
	}
}

// forget drops the sandboxes that are no more.
func forget(here map[string]bool, pods []container.Container) {
	there := map[string]bool{}
	for _, p := range pods {
		there[p.ID] = true
	}
	for id := range here {
		if !there[id] {
			delete(here, id)
		}
	}
}
