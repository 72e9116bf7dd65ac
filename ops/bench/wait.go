package bench

import (
	"context"
	"fmt"
	"time"
)

// WaitSuccesses waits until n more new connections have succeeded: the signal that the target
// serves, again or still. The error is ctx's, with the count that was reached.
func (g *Gap) WaitSuccesses(ctx context.Context, n int) error {
	want := g.tally.successes() + n
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		have := g.tally.successes()
		if have >= want {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d more new connections, still %d to go: %w", n, want-have, ctx.Err())
		}
	}
}

func (t *tally) successes() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.r.New.OK
}
