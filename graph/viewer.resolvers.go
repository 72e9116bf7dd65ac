package graph

import (
	"context"

	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/runbook"
)

func (r queryResolver) Viewer(ctx context.Context) (*noun.Viewer, error) { return r.anybody(ctx) }

func (viewerResolver) Kind(_ context.Context, v *noun.Viewer) (string, error) {
	return string(v.Kind), nil
}

func (viewerResolver) Role(_ context.Context, v *noun.Viewer) (string, error) {
	return string(v.Role), nil
}

func (r viewerResolver) User(ctx context.Context, v *noun.Viewer) (*noun.User, error) {
	if v.Kind != runbook.User {
		return nil, nil
	}
	u, err := r.q.UserGet(ctx, r.DB, v.ID)
	return orNil(&noun.User{User: u}, database(err))
}

func (r viewerResolver) Sessions(ctx context.Context, v *noun.Viewer, first *int, after *string, last *int, before *string) (*noun.SessionConnection, error) {
	of := v.ID
	if v.Kind != runbook.User {
		of = 0 // nobody's: a token has no sessions
	}
	return r.sessionsOf(ctx, &of, noun.Window{First: first, After: after, Last: last, Before: before})
}

// own does something about the session or account of who asks, and answers who is signed in then. A
// cookie can only be set before an answer begins: not over a WebSocket, and not in a stream.
func (g *Graph) own(ctx context.Context, needs runbook.Role, do func() (codeOwed bool, err error)) (*noun.AccountPayload, error) {
	p := &noun.AccountPayload{}
	failed := g.mayChangeOwn(ctx, needs)
	if failed == nil {
		p.CodeOwed, failed = do()
	}
	var err error
	if needs == "" && fault.CodeOf(failed) == fault.Unauthenticated {
		p.UserErrors = []noun.UserError{userError(failed)} // a wrong password: they are about to sign in
	} else if p.UserErrors, err = tell(failed); err != nil {
		return nil, err
	}
	p.Viewer, err = g.anybody(ctx)
	return orNil(p, err)
}

func (g *Graph) mayChangeOwn(ctx context.Context, needs runbook.Role) error {
	if needs != "" {
		if _, err := g.viewer(ctx, needs); err != nil {
			return err
		}
	}
	if streaming(ctx) {
		return fault.Errorf(fault.Refused, "Send this as a plain POST: it sets a cookie.")
	}
	return nil
}

func (r mutationResolver) SignIn(ctx context.Context, email, password string) (*noun.AccountPayload, error) {
	return r.own(ctx, "", func() (bool, error) { return r.Accounts.SignIn(ctx, email, password) })
}

func (r mutationResolver) SignInCode(ctx context.Context, code string) (*noun.AccountPayload, error) {
	return r.own(ctx, "", func() (bool, error) { return false, r.Accounts.SignInCode(ctx, code) })
}

func (r mutationResolver) SignOut(ctx context.Context) (*noun.AccountPayload, error) {
	return r.own(ctx, "", func() (bool, error) { return false, r.Accounts.SignOut(ctx) })
}

func (r mutationResolver) SignUp(ctx context.Context, token, email, name, password string) (*noun.AccountPayload, error) {
	return r.own(ctx, "", func() (bool, error) { return false, r.Accounts.SignUp(ctx, token, email, name, password) })
}

func (r mutationResolver) ResetPassword(ctx context.Context, token, password string) (*noun.AccountPayload, error) {
	return r.own(ctx, "", func() (bool, error) { return r.Accounts.ResetPassword(ctx, token, password) })
}

func (r mutationResolver) ChangePassword(ctx context.Context, old, password string) (*noun.AccountPayload, error) {
	return r.own(ctx, runbook.Viewer, func() (bool, error) { return false, r.Accounts.ChangePassword(ctx, old, password) })
}

func (r mutationResolver) SetName(ctx context.Context, name string) (*noun.AccountPayload, error) {
	return r.own(ctx, runbook.Viewer, func() (bool, error) { return false, r.Accounts.SetName(ctx, name) })
}

func (r mutationResolver) RemoveSecondFactor(ctx context.Context, password string) (*noun.AccountPayload, error) {
	return r.own(ctx, runbook.Viewer, func() (bool, error) { return false, r.Accounts.RemoveTOTP(ctx, password) })
}

func (r mutationResolver) BeginSecondFactor(ctx context.Context, password string) (*noun.SecondFactorPayload, error) {
	p := &noun.SecondFactorPayload{}
	failed := r.mayChangeOwn(ctx, runbook.Viewer)
	if failed == nil {
		var secret, url string
		if secret, url, failed = r.Accounts.BeginTOTP(ctx, password); failed == nil {
			p.Secret, p.URL = &secret, &url
		}
	}
	var err error
	p.UserErrors, err = tell(failed)
	return orNil(p, err)
}

func (r mutationResolver) ConfirmSecondFactor(ctx context.Context, code string) (*noun.RecoveryCodesPayload, error) {
	return r.recovery(ctx, func() ([]string, error) { return r.Accounts.ConfirmTOTP(ctx, code) })
}

func (r mutationResolver) RenewRecoveryCodes(ctx context.Context, password string) (*noun.RecoveryCodesPayload, error) {
	return r.recovery(ctx, func() ([]string, error) { return r.Accounts.NewRecoveryCodes(ctx, password) })
}

func (g *Graph) recovery(ctx context.Context, do func() ([]string, error)) (*noun.RecoveryCodesPayload, error) {
	p := &noun.RecoveryCodesPayload{}
	failed := g.mayChangeOwn(ctx, runbook.Viewer)
	if failed == nil {
		p.RecoveryCodes, failed = do()
	}
	var err error
	p.UserErrors, err = tell(failed)
	return orNil(p, err)
}
