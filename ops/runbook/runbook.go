// Package runbook is what an operator can do to the chain. Every order goes the same way: may this
// actor, is the order complete, would it hurt (the pre-flight), do it on every host concerned or on
// none, verify, and write down who did what, why, how it ended and how long it took. The way is Do;
// what differs from verb to verb is the table in verb.go.
package runbook

import (
	"context"
	"strings"
	"sync"
	"time"

	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/word"
)

// actLimit is how long an order may take from its first act on; undoing gets undoLimit more.
const (
	actLimit  = 15 * time.Second
	undoLimit = 5 * time.Second
)

// Node is one HAProxy node; haproxy.Client is one.
type Node interface {
	Node(ctx context.Context) (haproxy.NodeState, error)
	Stats(ctx context.Context) (haproxy.Stats, error)
	SetServer(ctx context.Context, backend, server string, to haproxy.Admin) error
	SetHold(ctx context.Context, on bool) error
}

// Pooler is one PgBouncer's admin console; pgbouncer.Client as weir_admin is one.
type Pooler interface {
	State(ctx context.Context) (pgbouncer.State, error)
	Databases(ctx context.Context) ([]pgbouncer.Database, error)
	Pause(ctx context.Context, database string) error
	Resume(ctx context.Context, database string) error
	Reconnect(ctx context.Context, database string) error
	Reload(ctx context.Context) error
}

// Fleet is the live state; fleet.Hub is one.
type Fleet interface {
	Now() (*fleet.Snapshot, <-chan struct{})
}

// Deps is what a Runbook works with. A program that only enforces the expiry of pauses (the monitor)
// needs no Nodes, Backends and Incidents.
type Deps struct {
	Inventory *inventory.Inventory
	Fleet     Fleet
	Nodes     map[string]Node
	Poolers   map[string]Pooler
	Backends  Backends
	Incidents Incidents
	Pauses    Pauses
	Journal   Journal
	Spool     Spool
	NewID     func() string // a UUID version 7; called by several goroutines
}

// Runbook carries orders out. It may be used by several goroutines; orders that change the chain
// wait for each other.
type Runbook struct {
	Deps
	turn  chan struct{} // holds one token: whoever has it may change the chain
	acted time.Time     // when the chain was last changed from here; guarded by turn

	mu       sync.Mutex
	underway map[string]bool // ids of audit entries that are still being written
	ended    chan struct{}   // closed when the next of them has ended

	pauses memory
}

// New makes a Runbook; nothing is connected or asked yet.
func New(d Deps) *Runbook {
	r := &Runbook{Deps: d, turn: make(chan struct{}, 1), underway: map[string]bool{}, ended: make(chan struct{})}
	r.turn <- struct{}{}
	return r
}

// Outcome is how an order ended. It is what the audit says as well.
type Outcome struct {
	ID      string // of the audit entry
	Result  Result
	Reasons []string // of the pre-flight, when it was refused
	Detail  []string // host by host, what was done and undone
	Took    time.Duration
	// Expires is when a pause ends by itself; zero for other verbs.
	Expires time.Time
	// AuditPending says that PostgreSQL could not take the audit entry yet: it is kept on this
	// machine, and DeliverAudit brings it there.
	AuditPending bool
}

// Do carries an order out. The error has a fault code: Unauthenticated, Forbidden, Invalid,
// Refused by the pre-flight, Conflict, NotFound, Timeout, and Unavailable when a part of the chain
// did not obey: the Outcome then says what was undone. What has begun is finished or undone even
// when ctx ends.
func (r *Runbook) Do(ctx context.Context, actor Actor, o Order) (Outcome, error) {
	o.Reason = strings.TrimSpace(o.Reason)
	v, err := r.admit(ctx, actor, o)
	if err != nil {
		return Outcome{}, err
	}
	if err := o.checkReason(v.reason); err != nil {
		return Outcome{}, err
	}
	if v.alone {
		if err := r.take(ctx); err != nil {
			return Outcome{}, err
		}
		defer r.give()
	}
	e := r.begin(actor, o)
	defer r.end(e.ID)
	flight, err := r.preflight(ctx, v, o)
	if err != nil {
		return r.close(ctx, e, Outcome{Result: Failed, Detail: []string{word.Because(err)}}), err
	}
	if len(flight.Reasons) > 0 {
		return r.close(ctx, e, Outcome{Result: RefusedResult, Reasons: flight.Reasons}), flight.refusal(o)
	}
	return r.act(ctx, v, e, o)
}

// OrderLimit is how long an order takes at most from its first act on, with what it undoes and its audit.
const OrderLimit = actLimit + undoLimit + journalLimit

// Wait returns when no order is being carried out any more, or with ctx's error. It is for a program
// that ends: half an order would stay half done, and nobody would know.
func (r *Runbook) Wait(ctx context.Context) error {
	for {
		r.mu.Lock()
		left, ended := len(r.underway), r.ended
		r.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-ended:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// DryRun is the pre-flight alone: the reasons that would refuse the order, and what it would do. An
// order needs no reason for that. The errors are those of Do, short of Refused.
func (r *Runbook) DryRun(ctx context.Context, actor Actor, o Order) (Preflight, error) {
	v, err := r.admit(ctx, actor, o)
	if err != nil {
		return Preflight{}, err
	}
	if v.alone { // the one before may be what it has to reckon with
		if err := r.take(ctx); err != nil {
			return Preflight{}, err
		}
		defer r.give()
	}
	return r.preflight(ctx, v, o)
}

// admit authorises and validates. What is forbidden is audited too.
func (r *Runbook) admit(ctx context.Context, actor Actor, o Order) (verb, error) {
	if err := actor.check(); err != nil {
		return verb{}, err
	}
	v, known := verbs[o.Verb]
	if !known {
		return verb{}, fault.Field("verb", "There is no verb %.40q.", o.Verb)
	}
	invalid := v.check(o, r.Inventory)
	if err := actor.may(v.role); err != nil {
		if invalid != nil || o.checkReason(false) != nil {
			o = Order{Verb: o.Verb} // nobody has looked at the rest: it does not go into the audit
		}
		e := r.begin(actor, o)
		defer r.end(e.ID)
		r.close(ctx, e, Outcome{Result: RefusedResult, Reasons: []string{fault.MessageOf(err)}})
		return verb{}, err
	}
	return v, invalid
}

// preflight asks whether an order would hurt.
func (r *Runbook) preflight(ctx context.Context, v verb, o Order) (Preflight, error) {
	ctx, cancel := context.WithTimeout(ctx, actLimit)
	defer cancel()
	return v.preflight(ctx, r, o)
}

// act does it and writes it down: that it has begun, where PostgreSQL is not needed, and how it
// ended. What nobody could account for is not begun.
func (r *Runbook) act(ctx context.Context, v verb, e Entry, o Order) (Outcome, error) {
	if err := r.Spool.Save(e); err != nil {
		out := r.close(ctx, e, Outcome{Result: Failed, Detail: []string{"nothing was done: " + err.Error()}})
		return out, fault.Wrap(fault.Unavailable, err, "Nothing was done: the audit cannot be written on this machine. Is its disk full?")
	}
	acting, cancel := context.WithTimeout(context.WithoutCancel(ctx), actLimit)
	defer cancel()
	d := &deed{Order: o, actor: e.Actor, at: e.At}
	err := v.act(acting, r, d)
	if v.alone {
		r.acted = time.Now()
	}
	out := Outcome{Result: OK, Detail: d.detail, Expires: d.expires}
	if err != nil {
		out.Result = Failed
	}
	return r.close(ctx, e, out), err
}

// deed is an order while it is carried out.
type deed struct {
	Order
	actor   Actor
	at      time.Time
	detail  []string
	expires time.Time
}

func (d *deed) say(line string) { d.detail = append(d.detail, line) }

func (r *Runbook) take(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, actLimit)
	defer cancel()
	select {
	case <-r.turn:
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.Conflict, ctx.Err(), "Another order is being carried out. Try again when it has ended.")
	}
}

func (r *Runbook) give() { r.turn <- struct{}{} }

// snapshot is the first one in which every part was asked after the last change: the second of two
// drains has to see the first. When that takes longer than a reading may be old, it is the newest
// there is, and the pre-flight finds it too old to judge.
func (r *Runbook) snapshot(ctx context.Context) *fleet.Snapshot {
	ctx, cancel := context.WithTimeout(ctx, maxAge(r.Inventory))
	defer cancel()
	for {
		s, changed := r.Fleet.Now()
		if AskedSince(s, r.acted) {
			return s
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s
		}
	}
}
