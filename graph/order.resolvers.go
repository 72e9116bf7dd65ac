package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
)

// order gives an order, or only says what would come of it. Authorising and auditing is the runbook's.
func (g *Graph) order(ctx context.Context, o runbook.Order, dryRun bool) (*noun.OrderPayload, error) {
	v, err := g.viewer(ctx, runbook.Viewer)
	if err != nil {
		return nil, err
	}
	p := &noun.OrderPayload{}
	if dryRun {
		flight, failed := g.Runbook.DryRun(ctx, v.Actor, o)
		if failed == nil {
			p.Preflight = &noun.Preflight{Preflight: flight}
		}
		p.UserErrors, err = tell(failed)
		return orNil(p, err)
	}
	out, failed := g.Runbook.Do(ctx, v.Actor, o)
	g.activity.drop() // it may have ended a session
	if out.ID != "" {
		p.Outcome = &noun.Outcome{Outcome: out}
	}
	p.UserErrors, err = tell(failed)
	return orNil(p, err)
}

// orNil is an answer, or an error and none.
func orNil[T any](p *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return p, nil
}

// or is what is there, or the zero value: "every one" in an order.
func or[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

func (r queryResolver) Pauses(ctx context.Context) ([]runbook.Paused, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	return r.Runbook.Paused(ctx)
}

func (r mutationResolver) Drain(ctx context.Context, pooler, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Drain, Host: pooler, Reason: reason}, dryRun)
}

func (r mutationResolver) Maint(ctx context.Context, pooler, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Maint, Host: pooler, Reason: reason}, dryRun)
}

func (r mutationResolver) Ready(ctx context.Context, pooler, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Ready, Host: pooler, Reason: reason}, dryRun)
}

func (r mutationResolver) Pause(ctx context.Context, pooler, database *string, lasts time.Duration, reason string, dryRun bool) (*noun.OrderPayload, error) {
	if lasts == 0 { // to the runbook that is its default
		lasts = time.Nanosecond
	}
	return r.order(ctx, runbook.Order{Verb: runbook.Pause, Host: or(pooler), Database: or(database), For: lasts, Reason: reason}, dryRun)
}

func (r mutationResolver) Resume(ctx context.Context, pooler, database *string, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Resume, Host: or(pooler), Database: or(database), Reason: reason}, dryRun)
}

func (r mutationResolver) Reconnect(ctx context.Context, pooler, database *string, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Reconnect, Host: or(pooler), Database: or(database), Reason: reason}, dryRun)
}

func (r mutationResolver) Reload(ctx context.Context, pooler *string, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Reload, Host: or(pooler), Reason: reason}, dryRun)
}

func (r mutationResolver) Relinquish(ctx context.Context, node, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Relinquish, Host: node, Reason: reason}, dryRun)
}

func (r mutationResolver) Reclaim(ctx context.Context, node, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Reclaim, Host: node, Reason: reason}, dryRun)
}

func (r mutationResolver) CancelBackend(ctx context.Context, pid int, started *time.Time, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Cancel, PID: pid, Started: or(started), Reason: reason}, dryRun)
}

func (r mutationResolver) TerminateBackend(ctx context.Context, pid int, started *time.Time, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Terminate, PID: pid, Started: or(started), Reason: reason}, dryRun)
}

// Acknowledge and Unsilence leave an id that is none to the runbook: it audits who may not, first.
func (r mutationResolver) Acknowledge(ctx context.Context, incident, reason string, dryRun bool) (*noun.OrderPayload, error) {
	key, _ := noun.Key("incident", noun.IncidentKind, incident)
	return r.order(ctx, runbook.Order{Verb: runbook.Acknowledge, Incident: key, Reason: reason}, dryRun)
}

func (r mutationResolver) Silence(ctx context.Context, cause string, host *string, lasts time.Duration, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Silence, Cause: cause, Host: or(host), For: lasts, Reason: reason}, dryRun)
}

func (r mutationResolver) Unsilence(ctx context.Context, silence, reason string, dryRun bool) (*noun.OrderPayload, error) {
	key, _ := noun.Number("silence", noun.SilenceKind, silence)
	return r.order(ctx, runbook.Order{Verb: runbook.Unsilence, Silence: key, Reason: reason}, dryRun)
}

func (r mutationResolver) TestChannel(ctx context.Context, channel, reason string, dryRun bool) (*noun.OrderPayload, error) {
	return r.order(ctx, runbook.Order{Verb: runbook.Test, Channel: channel, Reason: reason}, dryRun)
}
