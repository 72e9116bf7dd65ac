package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Tokens(ctx context.Context, user *string, first *int, after *string, last *int, before *string) (*noun.TokenConnection, error) {
	if _, err := r.viewer(ctx, runbook.Administrator); err != nil {
		return nil, err
	}
	of, err := number("user", noun.UserKind, user)
	if err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[int64]) ([]queries.APIToken, error) {
		p := queries.APITokenPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey, UserID: of, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.APITokenPageForward, r.q.APITokenPageBackward, p, queries.APITokenPageBackwardParams(p))
	}
	return noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.TokenKind, list,
		func(t queries.APIToken) noun.Place[int64] { return noun.Place[int64]{At: t.CreatedAt, Key: t.ID} }, r.tokens)
}

func (g *Graph) tokens(rows []queries.APIToken) []noun.Token {
	users := g.owners(userIDs(rows, func(t queries.APIToken) *int64 { return t.UserID }))
	return each(func(t queries.APIToken) noun.Token { return noun.Token{APIToken: t, Users: users} })(rows)
}

func (r mutationResolver) CreateToken(ctx context.Context, name, role string, good time.Duration, operations []string) (*noun.TokenPayload, error) {
	v, err := r.viewer(ctx, runbook.Viewer)
	if err != nil {
		return nil, err
	}
	secret, row, failed := r.Accounts.CreateToken(ctx, v.Actor, name, runbook.Role(role), good, operations)
	p := &noun.TokenPayload{}
	if failed == nil {
		p.Secret, p.Token = &secret, &r.tokens([]queries.APIToken{row})[0]
	}
	p.UserErrors, err = tell(failed)
	return orNil(p, err)
}

func (r mutationResolver) RevokeToken(ctx context.Context, token, reason string) (*noun.DonePayload, error) {
	return r.done(ctx, noun.TokenKind, token, func(by runbook.Actor, id int64) error { return r.Accounts.RevokeToken(ctx, by, id, reason) })
}
