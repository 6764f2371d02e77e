package sweep

import (
	"context"
	"sync"
	"time"
)

// patience is how long an interrupted run waits for the points that are under way.
const patience = time.Second

// Run computes the points of a shard that a store does not have, with so many
// workers, and adds them as they come. When ctx ends it stops and returns ctx's
// error; what the store has then stays valid.
func (p *Plan) Run(ctx context.Context, s *Store, shard Shard, workers int, progress func(done, total int)) error {
	var todo []int
	for i := range p.Size() {
		if shard.Has(i) && !s.Has(i) {
			todo = append(todo, i)
		}
	}
	total := shard.Size(p.Size())
	done := total - len(todo)
	progress(done, total)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	results, idle := p.start(ctx, todo, workers)
	var err error
	for err == nil && done < total {
		select {
		case pt := <-results:
			if err = s.Add(pt); err == nil {
				done++
				progress(done, total)
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	stop()
	select {
	case <-idle:
	case <-time.After(patience): // a point of very many frames; the process ends soon
	}
	return err
}

// start sets workers to the points. The second channel closes when all have
// stopped.
func (p *Plan) start(ctx context.Context, todo []int, workers int) (<-chan Point, <-chan struct{}) {
	next, results, idle := make(chan int), make(chan Point), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(next)
		for _, i := range todo {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for range min(max(workers, 1), len(todo)) {
		wg.Go(func() {
			for i := range next {
				select {
				case results <- p.Point(i):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	go func() { wg.Wait(); close(idle) }()
	return results, idle
}
