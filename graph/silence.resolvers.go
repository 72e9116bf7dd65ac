package graph

import (
	"context"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Silences(ctx context.Context, first *int, after *string, last *int, before *string) (*noun.SilenceConnection, error) {
	if _, err := r.viewer(ctx, runbook.Viewer); err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[int64]) ([]queries.Silence, error) {
		p := queries.SilencePageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.SilencePageForward, r.q.SilencePageBackward, p, queries.SilencePageBackwardParams(p))
	}
	return noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.SilenceKind, list,
		func(s queries.Silence) noun.Place[int64] { return noun.Place[int64]{At: s.CreatedAt, Key: s.ID} },
		each(func(s queries.Silence) noun.Silence { return noun.Silence{Silence: s} }))
}
