package session

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

// What people do with their own accounts, from a browser that is signed in.

// ChangePassword ends all other sessions and open reset links of the person; API tokens stay.
func (m *Manager) ChangePassword(ctx context.Context, old, password string) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.person(ctx)
	if err != nil {
		return err
	}
	if err := checkPassword(password, about(u.Email, u.Name)...); err != nil {
		return err
	}
	if err := m.confirm(ctx, u, "old", old); err != nil {
		return err
	}
	hash, err := m.hasher.create(ctx, password)
	if err != nil {
		return err
	}
	return m.changeOwn(ctx, u, "password-change", func(ctx context.Context, tx pgx.Tx) error {
		return m.setPassword(ctx, tx, u.ID, hash)
	})
}

func (m *Manager) setPassword(ctx context.Context, tx pgx.Tx, user int64, hash string) error {
	if _, err := m.q.UserSetPassword(ctx, tx, queries.UserSetPasswordParams{ID: user, PasswordHash: hash, At: m.Now()}); err != nil {
		return err
	}
	return m.withdrawResets(ctx, tx, user)
}

// SetName changes how the person is called.
func (m *Manager) SetName(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	u, err := m.person(ctx)
	if err != nil {
		return err
	}
	if err := checkText("name", name, 100); err != nil {
		return err
	}
	a := act{actor: actor(u, visitOf(ctx).address), verb: "name", subject: u.Email}
	return m.change(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		_, err := m.q.UserSetName(ctx, tx, queries.UserSetNameParams{ID: u.ID, Name: name, At: m.Now()})
		return err
	})
}

// EndSession ends one of the actor's own sessions; administrators may end anybody's.
func (m *Manager) EndSession(ctx context.Context, by runbook.Actor, id int64, reason string) error {
	if err := known(by); err != nil {
		return err
	}
	if err := checkReason(&reason); err != nil {
		return err
	}
	a := act{actor: by, verb: "session-end", reason: reason}
	var hash []byte
	err := m.change(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		owner, err := m.q.SessionOwner(ctx, tx, id)
		own := by.Kind == runbook.User && by.ID == owner.ID
		switch {
		case errors.Is(err, pgx.ErrNoRows), err == nil && !own && !may(by.Role, runbook.Administrator):
			return fault.Errorf(fault.NotFound, "You have no such session.")
		case err != nil:
			return err
		}
		a.subject = owner.Email
		hash, err = m.q.SessionEnd(ctx, tx, queries.SessionEndParams{ID: id, At: m.Now()})
		return err
	})
	if err == nil {
		m.sessions.drop(string(hash))
	}
	return err
}

// EndSessions ends all sessions of a user, one's own or, for administrators, anybody's. The one that
// asks, if it is among them, stays.
func (m *Manager) EndSessions(ctx context.Context, by runbook.Actor, user int64, reason string) error {
	if err := known(by); err != nil {
		return err
	}
	if err := checkReason(&reason); err != nil {
		return err
	}
	var except []byte
	if v := visitOf(ctx); v != nil && v.session != "" {
		except = []byte(v.session)
	}
	a := act{actor: by, verb: "sessions-end", reason: reason}
	return m.change(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		if own := by.Kind == runbook.User && by.ID == user; !own && !may(by.Role, runbook.Administrator) {
			return fault.Errorf(fault.Forbidden, "Only administrators end other people's sessions.")
		}
		u, err := m.q.UserGet(ctx, tx, user)
		if err != nil {
			return err
		}
		a.subject = u.Email
		return m.endSessions(ctx, tx, user, except)
	})
}

// endSessions ends them in the transaction. What another request reads of them before it commits is
// believed for Fresh at most.
func (m *Manager) endSessions(ctx context.Context, tx pgx.Tx, user int64, except []byte) error {
	hashes, err := m.q.SessionEndByUser(ctx, tx, queries.SessionEndByUserParams{UserID: user, At: m.Now(), ExceptTokenHash: except})
	for _, hash := range hashes {
		m.sessions.drop(string(hash))
	}
	return err
}

// person is the account of who is signed in, as it is now.
func (m *Manager) person(ctx context.Context) (queries.User, error) {
	if _, err := browser(ctx); err != nil {
		return queries.User{}, err
	}
	who, err := ViewerOf(ctx)
	if err != nil {
		return queries.User{}, err
	}
	u, err := m.q.UserGet(ctx, m.DB, who.ID)
	if err != nil {
		return queries.User{}, explain(err)
	}
	st, _ := m.scs.Get(ctx, stateKey).(state)
	if u.DisabledAt != nil || stamp(u) != st.Stamp {
		return queries.User{}, fault.Errorf(fault.Unauthenticated, "Your account has changed. Sign in again.")
	}
	return u, nil
}

// confirmed is person, with the password given once more.
func (m *Manager) confirmed(ctx context.Context, password string) (queries.User, error) {
	u, err := m.person(ctx)
	if err != nil {
		return queries.User{}, err
	}
	return u, m.confirm(ctx, u, "password", password)
}

// changeOwn is for what gives an account a new stamp: all its sessions end, and the one that asks
// goes on under a new token.
func (m *Manager) changeOwn(ctx context.Context, u queries.User, verb string, do func(ctx context.Context, tx pgx.Tx) error) error {
	v := visitOf(ctx)
	err := m.change(ctx, &act{actor: actor(u, v.address), verb: verb, subject: u.Email}, func(ctx context.Context, tx pgx.Tx) error {
		if err := do(ctx, tx); err != nil {
			return err
		}
		return m.endSessions(ctx, tx, u.ID, nil)
	})
	if err != nil {
		return err
	}
	if u, err = m.q.UserGet(ctx, m.DB, u.ID); err != nil {
		return explain(err)
	}
	if err := m.renew(ctx, state{User: u.ID, Stamp: stamp(u)}); err != nil {
		return err
	}
	m.giveDevice(v, u, "")
	return nil
}
