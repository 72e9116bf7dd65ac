package graph

import (
	"context"
	"time"

	"weir/graph/noun"
	"weir/ops/runbook"
	"weir/queries"
)

func (r queryResolver) Users(ctx context.Context, first *int, after *string, last *int, before *string) (*noun.UserConnection, error) {
	if _, err := r.viewer(ctx, runbook.Administrator); err != nil {
		return nil, err
	}
	list := func(b noun.Bounds[int64]) ([]queries.User, error) {
		p := queries.UserPageForwardParams{AfterAt: b.AfterAt, AfterID: b.AfterKey, BeforeAt: b.BeforeAt, BeforeID: b.BeforeKey, Size: b.Size}
		return either(ctx, r.DB, b.Backward, r.q.UserPageForward, r.q.UserPageBackward, p, queries.UserPageBackwardParams(p))
	}
	return noun.Page(noun.Window{First: first, After: after, Last: last, Before: before}, noun.UserKind, list,
		func(u queries.User) noun.Place[int64] { return noun.Place[int64]{At: u.CreatedAt, Key: u.ID} },
		each(func(u queries.User) noun.User { return noun.User{User: u} }))
}

func (r queryResolver) Links(ctx context.Context) ([]noun.Link, error) {
	if _, err := r.viewer(ctx, runbook.Administrator); err != nil {
		return nil, err
	}
	rows, err := r.q.OneTimeLinkListOpen(ctx, r.DB, r.Now())
	return each(func(l queries.OneTimeLink) noun.Link { return noun.Link{OneTimeLink: l} })(rows), database(err)
}

// owners loads the people that some rows belong to.
func (g *Graph) owners(ids []int64) *noun.Batch[int64, queries.User] {
	return noun.NewBatch(ids, func(ctx context.Context, ids []int64) ([]queries.User, error) {
		rows, err := g.q.UserListByID(ctx, g.DB, ids)
		return rows, database(err)
	}, func(u queries.User) int64 { return u.ID })
}

// administer does something about one thing that is numbered. Who may is Accounts' to say, and its
// audit's to keep: an id that is none goes there as 0.
func (g *Graph) administer(ctx context.Context, kind noun.Kind, id string, do func(by runbook.Actor, id int64) error) ([]noun.UserError, error) {
	v, err := g.viewer(ctx, runbook.Viewer)
	if err != nil {
		return nil, err
	}
	n, wrong := noun.Number(fieldOf[kind], kind, id)
	err = do(v.Actor, n)
	if wrong != nil && only(err) == nil {
		err = wrong
	}
	return tell(err)
}

// fieldOf is the argument that has the id.
var fieldOf = map[noun.Kind]string{noun.UserKind: "user", noun.LinkKind: "link", noun.SessionKind: "session", noun.TokenKind: "token"}

// changeUser does something about a person, and answers them as they are then.
func (g *Graph) changeUser(ctx context.Context, id string, do func(by runbook.Actor, user int64) error) (*noun.UserPayload, error) {
	wrong, err := g.administer(ctx, noun.UserKind, id, do)
	if err != nil || len(wrong) > 0 {
		return orNil(&noun.UserPayload{UserErrors: wrong}, err)
	}
	n, err := noun.Number("user", noun.UserKind, id)
	if err != nil {
		return nil, err
	}
	u, err := g.q.UserGet(ctx, g.DB, n)
	return orNil(&noun.UserPayload{User: &noun.User{User: u}, UserErrors: wrong}, database(err))
}

func (r mutationResolver) SetUserRole(ctx context.Context, user, role, reason string) (*noun.UserPayload, error) {
	return r.changeUser(ctx, user, func(by runbook.Actor, id int64) error {
		return r.Accounts.SetRole(ctx, by, id, runbook.Role(role), reason)
	})
}

func (r mutationResolver) DisableUser(ctx context.Context, user, reason string) (*noun.UserPayload, error) {
	return r.changeUser(ctx, user, func(by runbook.Actor, id int64) error { return r.Accounts.Disable(ctx, by, id, reason) })
}

func (r mutationResolver) EnableUser(ctx context.Context, user, reason string) (*noun.UserPayload, error) {
	return r.changeUser(ctx, user, func(by runbook.Actor, id int64) error { return r.Accounts.Enable(ctx, by, id, reason) })
}

func (r mutationResolver) ClearSecondFactor(ctx context.Context, user, reason string) (*noun.UserPayload, error) {
	return r.changeUser(ctx, user, func(by runbook.Actor, id int64) error { return r.Accounts.ClearTOTP(ctx, by, id, reason) })
}

func (r mutationResolver) Invite(ctx context.Context, email, role string) (*noun.LinkPayload, error) {
	v, err := r.viewer(ctx, runbook.Viewer)
	if err != nil {
		return nil, err
	}
	token, expires, failed := r.Accounts.Invite(ctx, v.Actor, email, runbook.Role(role))
	return linkMade(token, expires, failed)
}

func (r mutationResolver) MakeResetLink(ctx context.Context, user, reason string) (*noun.LinkPayload, error) {
	var token string
	var expires time.Time
	wrong, err := r.administer(ctx, noun.UserKind, user, func(by runbook.Actor, id int64) (err error) {
		token, expires, err = r.Accounts.ResetLink(ctx, by, id, reason)
		return err
	})
	if err != nil || len(wrong) > 0 {
		return orNil(&noun.LinkPayload{UserErrors: wrong}, err)
	}
	return linkMade(token, expires, nil)
}

func linkMade(token string, expires time.Time, failed error) (*noun.LinkPayload, error) {
	wrong, err := tell(failed)
	p := &noun.LinkPayload{UserErrors: wrong}
	if failed == nil {
		p.Token, p.Expires = &token, &expires
	}
	return orNil(p, err)
}

func (r mutationResolver) WithdrawLink(ctx context.Context, link, reason string) (*noun.DonePayload, error) {
	return r.done(ctx, noun.LinkKind, link, func(by runbook.Actor, id int64) error { return r.Accounts.WithdrawLink(ctx, by, id, reason) })
}

func (g *Graph) done(ctx context.Context, kind noun.Kind, id string, do func(by runbook.Actor, id int64) error) (*noun.DonePayload, error) {
	wrong, err := g.administer(ctx, kind, id, do)
	return orNil(&noun.DonePayload{Done: len(wrong) == 0, UserErrors: wrong}, err)
}
