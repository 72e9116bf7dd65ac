package graph_test

import (
	"context"
	"time"

	"weir/ops/fault"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/runbook"
)

// deaf is every part of a chain that does not answer.
type deaf struct{}

var errDeaf = fault.Errorf(fault.Unavailable, "It does not answer.")

func (deaf) Node(context.Context) (haproxy.NodeState, error) { return haproxy.NodeState{}, errDeaf }
func (deaf) Stats(context.Context) (haproxy.Stats, error)    { return haproxy.Stats{}, errDeaf }
func (deaf) SetHold(context.Context, bool) error             { return errDeaf }
func (deaf) State(context.Context) (pgbouncer.State, error)  { return pgbouncer.State{}, errDeaf }
func (deaf) Pause(context.Context, string) error             { return errDeaf }
func (deaf) Resume(context.Context, string) error            { return errDeaf }
func (deaf) Reconnect(context.Context, string) error         { return errDeaf }
func (deaf) Reload(context.Context) error                    { return errDeaf }
func (deaf) Save(context.Context, []runbook.Paused) error    { return errDeaf }
func (deaf) Forget(context.Context, runbook.Paused) error    { return errDeaf }
func (deaf) List(context.Context) ([]runbook.Paused, error)  { return nil, errDeaf }
func (deaf) SetServer(context.Context, string, string, haproxy.Admin) error {
	return errDeaf
}
func (deaf) Databases(context.Context) ([]pgbouncer.Database, error) { return nil, errDeaf }
func (deaf) Acknowledge(context.Context, string, string, string, time.Time) error {
	return errDeaf
}
func (deaf) Silence(context.Context, runbook.Silenced) (int64, error)  { return 0, errDeaf }
func (deaf) Unsilence(context.Context, int64, string, time.Time) error { return errDeaf }
func (deaf) Test(context.Context, string, time.Time) error             { return errDeaf }

// deafChain is a runbook for it.
func deafChain(inv *inventory.Inventory, f runbook.Fleet, audit *accounts) *runbook.Runbook {
	d := runbook.Deps{Inventory: inv, Fleet: f, Nodes: map[string]runbook.Node{}, Poolers: map[string]runbook.Pooler{},
		Backends: nobody{}, Incidents: deaf{}, Pauses: deaf{}, Journal: audit, Spool: audit, NewID: newID}
	for _, name := range inv.HAProxy.NodeNames() {
		d.Nodes[name] = deaf{}
	}
	for _, name := range inv.PgBouncer.PoolerNames() {
		d.Poolers[name] = deaf{}
	}
	return runbook.New(d)
}
