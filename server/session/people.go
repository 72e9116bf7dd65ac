package session

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

// What administrators do with other people's accounts.

// SetRole gives a person another role. Their sessions end, and their tokens may do no more than the
// new role. The last administrator keeps the role.
func (m *Manager) SetRole(ctx context.Context, by runbook.Actor, user int64, role runbook.Role, reason string) error {
	if err := checkRole(role); err != nil {
		return err
	}
	a := act{actor: by, verb: "role", reason: reason}
	return m.aboutUser(ctx, &a, user, func(ctx context.Context, tx pgx.Tx, u queries.User) error {
		a.detail = []string{u.Role + " -> " + string(role)}
		if u.Role == string(role) {
			return fault.Errorf(fault.Conflict, "%s has this role already.", u.Email)
		}
		if err := m.notLast(ctx, tx, user); err != nil {
			return err
		}
		if _, err := m.q.UserSetRole(ctx, tx, queries.UserSetRoleParams{ID: user, Role: string(role), At: m.Now()}); err != nil {
			return err
		}
		return m.endSessions(ctx, tx, user, nil)
	})
}

// Disable ends a person's sessions, tokens and reset links until Enable; the past keeps their name.
// The last administrator stays.
func (m *Manager) Disable(ctx context.Context, by runbook.Actor, user int64, reason string) error {
	a := act{actor: by, verb: "disable", reason: reason}
	return m.aboutUser(ctx, &a, user, func(ctx context.Context, tx pgx.Tx, u queries.User) error {
		if err := m.notLast(ctx, tx, user); err != nil {
			return err
		}
		n, err := m.q.UserDisable(ctx, tx, queries.UserDisableParams{ID: user, At: m.Now()})
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.Errorf(fault.Conflict, "%s is disabled already.", u.Email)
		}
		if err := m.withdrawResets(ctx, tx, user); err != nil {
			return err
		}
		return m.endSessions(ctx, tx, user, nil)
	})
}

// Enable lets a person sign in again. Tokens that were not revoked work again too.
func (m *Manager) Enable(ctx context.Context, by runbook.Actor, user int64, reason string) error {
	a := act{actor: by, verb: "enable", reason: reason}
	return m.aboutUser(ctx, &a, user, func(ctx context.Context, tx pgx.Tx, u queries.User) error {
		n, err := m.q.UserEnable(ctx, tx, queries.UserEnableParams{ID: user, At: m.Now()})
		if err == nil && n == 0 {
			return fault.Errorf(fault.Conflict, "%s is not disabled.", u.Email)
		}
		return err
	})
}

// ClearTOTP takes a second factor away from somebody who lost it and the recovery codes. Make sure
// of who asks.
func (m *Manager) ClearTOTP(ctx context.Context, by runbook.Actor, user int64, reason string) error {
	a := act{actor: by, verb: "second-factor-off", reason: reason}
	return m.aboutUser(ctx, &a, user, func(ctx context.Context, tx pgx.Tx, u queries.User) error {
		if u.TOTPSecret == nil {
			return fault.Errorf(fault.Conflict, "%s has no second factor.", u.Email)
		}
		if err := m.clearTOTP(ctx, tx, user); err != nil {
			return err
		}
		return m.endSessions(ctx, tx, user, nil)
	})
}

func (m *Manager) aboutUser(ctx context.Context, a *act, user int64, do func(ctx context.Context, tx pgx.Tx, u queries.User) error) error {
	return m.administer(ctx, a, func(ctx context.Context, tx pgx.Tx) error {
		u, err := m.q.UserGet(ctx, tx, user)
		if err != nil {
			return err
		}
		a.subject = u.Email
		return do(ctx, tx, u)
	})
}

// notLast refuses to take the last administrator who can sign in.
func (m *Manager) notLast(ctx context.Context, tx pgx.Tx, user int64) error {
	admins, err := m.q.UserLockAdministrators(ctx, tx)
	if err == nil && len(admins) == 1 && slices.Contains(admins, user) {
		return fault.Errorf(fault.Refused, "This is the last administrator. Make another one first.")
	}
	return err
}
