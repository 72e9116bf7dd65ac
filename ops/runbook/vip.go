package runbook

import (
	"context"
	"fmt"
	"time"

	"weir/ops/fault"
)

const (
	// moveLimit is how long the VIP may take to arrive; it takes 0.95 s from the order.
	moveLimit = 5 * time.Second
	moveLook  = 100 * time.Millisecond
)

// relinquish holds the node back and waits until the other holds the VIP. The hold stays, so that
// the VIP does not come back while somebody works there; HAProxy ignores it when the other node
// fails, and forgets it when it restarts.
func relinquish(ctx context.Context, r *Runbook, d *deed) error {
	node, peer := r.Nodes[d.Host], r.Inventory.HAProxy.Peer(d.Host).Name
	return r.carryOut(ctx, d, plan{
		steps: []step{{
			host: d.Host,
			do:   func(ctx context.Context) error { return node.SetHold(ctx, true) },
			undo: func(ctx context.Context) error { return node.SetHold(ctx, false) },
		}},
		verify: func(ctx context.Context) error {
			began := time.Now()
			if err := r.arrives(ctx, d.Host, peer); err != nil {
				return err
			}
			d.say(fmt.Sprintf("%s: holds the VIP, %.2f s after the order", peer, time.Since(began).Seconds()))
			return nil
		},
	})
}

// arrives waits until one node has left the VIP and the other holds it.
func (r *Runbook) arrives(ctx context.Context, from, to string) error {
	ctx, cancel := context.WithTimeout(ctx, moveLimit)
	defer cancel()
	tick := time.NewTicker(moveLook)
	defer tick.Stop()
	for {
		left, err := r.Nodes[from].Node(ctx)
		if err == nil && !left.VIP {
			if come, err := r.Nodes[to].Node(ctx); err == nil && come.VIP {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fault.Errorf(fault.Timeout, "%s did not take the VIP within %s", to, moveLimit)
		}
	}
}

// reclaim lifts the hold.
func reclaim(ctx context.Context, r *Runbook, d *deed) error {
	return r.carryOut(ctx, d, plan{steps: []step{{
		host: d.Host,
		do:   func(ctx context.Context) error { return r.Nodes[d.Host].SetHold(ctx, false) },
	}}})
}
