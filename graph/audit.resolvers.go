package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Audit(ctx context.Context, actor, verb, subject *string, since, until *time.Time, first *int, after *string, last *int, before *string) (*noun.AuditConnection, error) {
	if _, err := r.viewer(ctx, runbook.Operator); err != nil {
		return nil, err
	}
	if err := checkOrder(since, until); err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[string]) ([]queries.Audit, error) {
		p := queries.AuditPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey,
			ActorName: actor, Verb: verb, Subject: subject, Since: since, Until: until, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.AuditPageForward, r.q.AuditPageBackward, p, queries.AuditPageBackwardParams(p))
	}
	return noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.AuditKind, list,
		func(a queries.Audit) noun.Place[string] { return noun.Place[string]{At: a.At, Key: a.ID} },
		each(func(a queries.Audit) noun.AuditEntry { return noun.AuditEntry{Audit: a} }))
}
