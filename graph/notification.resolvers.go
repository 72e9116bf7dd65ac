package graph

import (
	"context"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Notifications(ctx context.Context, state *string, first *int, after *string, last *int, before *string) (*noun.NotificationConnection, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[string]) ([]queries.Notification, error) {
		p := queries.NotificationPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey, State: state, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.NotificationPageForward, r.q.NotificationPageBackward, p, queries.NotificationPageBackwardParams(p))
	}
	return noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.NotificationKind, list,
		func(n queries.Notification) noun.Place[string] { return noun.Place[string]{At: n.CreatedAt, Key: n.ID} },
		each(func(n queries.Notification) noun.Notification { return noun.Notification{Notification: n} }))
}
