package runbook

import (
	"context"
	"errors"
	"fmt"

	"weir/ops/fault"
	"weir/ops/haproxy"
)

// setServer is drain and maint: on both HAProxies, back as it was when one does not obey or when
// nobody would be left to serve.
func setServer(to haproxy.Admin) func(context.Context, *Runbook, *deed) error {
	return func(ctx context.Context, r *Runbook, d *deed) error {
		was, err := r.orders(ctx, d.Host)
		if err != nil {
			return err
		}
		p := plan{verify: r.someServe}
		for _, name := range r.Inventory.HAProxy.NodeNames() {
			node := r.Nodes[name]
			p.steps = append(p.steps, step{
				host: name,
				do:   func(ctx context.Context) error { return node.SetServer(ctx, haproxy.Poolers, d.Host, to) },
				undo: func(ctx context.Context) error { return node.SetServer(ctx, haproxy.Poolers, d.Host, was[name]) },
			})
		}
		return r.carryOut(ctx, d, p)
	}
}

// ready is never undone: a pooler that serves behind one HAProxy is better than behind none.
func ready(ctx context.Context, r *Runbook, d *deed) error {
	var p plan
	for _, name := range r.Inventory.HAProxy.NodeNames() {
		node := r.Nodes[name]
		p.steps = append(p.steps, step{host: name, do: func(ctx context.Context) error {
			return node.SetServer(ctx, haproxy.Poolers, d.Host, haproxy.Ready)
		}})
	}
	return r.carryOut(ctx, d, p)
}

// orders reads what every HAProxy was last told about a pooler: what an undo leads back to. Where
// the pooler is DOWN, HAProxy's statistics hide a drain, and this reads ready.
func (r *Runbook) orders(ctx context.Context, pooler string) (map[string]haproxy.Admin, error) {
	names := r.Inventory.HAProxy.NodeNames()
	was := make([]haproxy.Admin, len(names))
	errs := each(indexes(names), func(i int) error {
		stats, err := r.Nodes[names[i]].Stats(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		row, ok := stats.Find(haproxy.Poolers, pooler)
		if !ok {
			return fmt.Errorf("%s does not know %s", names[i], pooler)
		}
		was[i] = row.Admin
		return nil
	})
	if err := errors.Join(errs...); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "Nothing was done: both HAProxies must answer to an order about %s.", pooler)
	}
	out := map[string]haproxy.Admin{}
	for i, name := range names {
		out[name] = was[i]
	}
	return out, nil
}

func indexes[T any](list []T) []int {
	out := make([]int, len(list))
	for i := range out {
		out[i] = i
	}
	return out
}

// someServe looks once more after the act: somebody else may have taken out the last of the others at
// the same moment, or that one may have died.
func (r *Runbook) someServe(ctx context.Context) error {
	var blind []string
	for _, name := range r.Inventory.HAProxy.NodeNames() {
		stats, err := r.Nodes[name].Stats(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		left := 0
		for _, row := range stats.Servers(haproxy.Poolers) {
			if serves(row) {
				left++
			}
		}
		if left == 0 {
			blind = append(blind, name)
		}
	}
	if len(blind) > 0 {
		return fault.Errorf(fault.Refused, "no other pooler serves clients of %s any more", list(blind))
	}
	return nil
}
