package graph

import (
	"context"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Sessions(ctx context.Context, user *string, first *int, after *string, last *int, before *string) (*noun.SessionConnection, error) {
	if _, err := r.viewer(ctx, runbook.Administrator); err != nil {
		return nil, err
	}
	of, err := number("user", noun.UserKind, user)
	if err != nil {
		return nil, err
	}
	return r.sessionsOf(ctx, of, noun.Window{First: first, After: after, Last: last, Before: before})
}

// number is the number in an id that may be left out.
func number(field string, kind noun.Kind, id *string) (*int64, error) {
	if id == nil {
		return nil, nil
	}
	n, err := noun.Number(field, kind, *id)
	return orNil(&n, err)
}

// sessionsOf are those of one person, or with nil of all.
func (g *Graph) sessionsOf(ctx context.Context, user *int64, w noun.Window) (*noun.SessionConnection, error) {
	list := func(b noun.Bounds[int64]) ([]queries.Session, error) {
		p := queries.SessionPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey,
			At: g.Now(), UserID: user, Size: b.Size}
		return either(ctx, g.DB, b.Backward, g.q.SessionPageForward, g.q.SessionPageBackward, p, queries.SessionPageBackwardParams(p))
	}
	return noun.Page(w, noun.SessionKind, list,
		func(s queries.Session) noun.Place[int64] { return noun.Place[int64]{At: s.CreatedAt, Key: s.ID} },
		func(rows []queries.Session) []noun.Session {
			users := g.owners(userIDs(rows, func(s queries.Session) *int64 { return s.UserID }))
			return each(func(s queries.Session) noun.Session { return noun.Session{Session: s, Users: users} })(rows)
		})
}

func userIDs[R any](rows []R, of func(R) *int64) (ids []int64) {
	for _, row := range rows {
		if id := of(row); id != nil {
			ids = append(ids, *id)
		}
	}
	return ids
}

func (r mutationResolver) EndSession(ctx context.Context, session, reason string) (*noun.DonePayload, error) {
	return r.done(ctx, noun.SessionKind, session, func(by runbook.Actor, id int64) error { return r.Accounts.EndSession(ctx, by, id, reason) })
}

func (r mutationResolver) EndSessions(ctx context.Context, user, reason string) (*noun.DonePayload, error) {
	return r.done(ctx, noun.UserKind, user, func(by runbook.Actor, id int64) error { return r.Accounts.EndSessions(ctx, by, id, reason) })
}
