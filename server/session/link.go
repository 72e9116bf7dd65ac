package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

// Kinds of one-time links.
const (
	kindInvite = "invite"
	kindFirst  = "first-admin"
	kindReset  = "password-reset"
)

// How long links are good. An invitation waits for somebody to read mail; a reset does not.
const (
	inviteFor = 7 * 24 * time.Hour
	firstFor  = 24 * time.Hour
	resetFor  = time.Hour
)

// newToken is 256 random bits, and their hash as it is stored. Nobody guesses them, so the hash need
// not be slow.
func newToken() (token string, hash []byte) {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	token = strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
	return token, hashToken(token)
}

func hashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// FirstAdministrator makes the link for the first administrator, and ends those made before. It is
// Conflict once there is one who can sign in: Invite is next.
func (m *Manager) FirstAdministrator(ctx context.Context) (token string, expires time.Time, err error) {
	a := act{actor: Machine(), verb: "first-administrator-link"}
	err = m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		if err := m.noAdministrator(ctx, tx); err != nil {
			return err
		}
		if err := m.withdraw(ctx, tx, func(l queries.OneTimeLink) bool { return l.Kind == kindFirst }); err != nil {
			return err
		}
		role := string(runbook.Administrator)
		token, expires, err = m.link(ctx, tx, firstFor, queries.OneTimeLinkCreateParams{Kind: kindFirst, Role: &role, CreatedBy: a.actor.Name})
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expires, nil
}

func (m *Manager) noAdministrator(ctx context.Context, tx pgx.Tx) error {
	admins, err := m.q.UserLockAdministrators(ctx, tx)
	if err == nil && len(admins) > 0 {
		return fault.Errorf(fault.Conflict, "There is an administrator already: ask for an invitation, or run weir invite on the machine.")
	}
	return err
}

// Invite makes a link with which somebody makes an account of this role and address.
func (m *Manager) Invite(ctx context.Context, by runbook.Actor, email string, role runbook.Role) (token string, expires time.Time, err error) {
	email, err = checkEmail(email)
	if err != nil {
		return "", time.Time{}, err
	}
	if err := checkRole(role); err != nil {
		return "", time.Time{}, err
	}
	a := act{actor: by, verb: "invite", subject: email, detail: []string{"role " + string(role)}}
	err = m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		switch _, err := m.q.UserGetByEmail(ctx, tx, email); {
		case err == nil:
			return fault.Field("email", "%s has an account already.", email)
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		token, expires, err = m.link(ctx, tx, inviteFor, queries.OneTimeLinkCreateParams{Kind: kindInvite, Email: &email, Role: (*string)(&role), CreatedBy: by.Name})
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expires, nil
}

// ResetLink makes a link with which a person sets a new password. Those made before are over.
func (m *Manager) ResetLink(ctx context.Context, by runbook.Actor, user int64, reason string) (token string, expires time.Time, err error) {
	a := act{actor: by, verb: "password-reset-link", reason: reason}
	err = m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		u, err := m.q.UserGet(ctx, tx, user)
		if err != nil {
			return err
		}
		a.subject = u.Email
		if u.DisabledAt != nil {
			return fault.Errorf(fault.Refused, "%s is disabled: enable the account first.", u.Email)
		}
		if err := m.withdrawResets(ctx, tx, user); err != nil {
			return err
		}
		token, expires, err = m.link(ctx, tx, resetFor, queries.OneTimeLinkCreateParams{Kind: kindReset, Email: &u.Email, UserID: &u.ID, CreatedBy: by.Name})
		return err
	})
	if err != nil {
		return "", time.Time{}, err
	}
	return token, expires, nil
}

func (m *Manager) link(ctx context.Context, tx pgx.Tx, good time.Duration, p queries.OneTimeLinkCreateParams) (token string, expires time.Time, err error) {
	token, p.TokenHash = newToken()
	p.CreatedAt = m.Now()
	p.ExpiresAt = p.CreatedAt.Add(good)
	if _, err := m.q.OneTimeLinkCreate(ctx, tx, p); err != nil {
		return "", time.Time{}, fmt.Errorf("make link: %w", err)
	}
	return token, p.ExpiresAt, nil
}

// WithdrawLink makes a link good for nothing.
func (m *Manager) WithdrawLink(ctx context.Context, by runbook.Actor, id int64, reason string) error {
	a := act{actor: by, verb: "link-withdraw", subject: fmt.Sprintf("link %d", id), reason: reason}
	return m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		n, err := m.q.OneTimeLinkWithdraw(ctx, tx, queries.OneTimeLinkWithdrawParams{ID: id, At: m.Now()})
		if err == nil && n == 0 {
			return fault.Errorf(fault.NotFound, "This link was used or withdrawn already.")
		}
		return err
	})
}

func (m *Manager) withdrawResets(ctx context.Context, tx pgx.Tx, user int64) error {
	return m.withdraw(ctx, tx, func(l queries.OneTimeLink) bool { return l.UserID != nil && *l.UserID == user })
}

func (m *Manager) withdraw(ctx context.Context, tx pgx.Tx, which func(queries.OneTimeLink) bool) error {
	links, err := m.q.OneTimeLinkListOpen(ctx, tx, m.Now())
	if err != nil {
		return fmt.Errorf("list open links: %w", err)
	}
	for _, l := range links {
		if !which(l) {
			continue
		}
		if _, err := m.q.OneTimeLinkWithdraw(ctx, tx, queries.OneTimeLinkWithdrawParams{ID: l.ID, At: m.Now()}); err != nil {
			return fmt.Errorf("withdraw link %d: %w", l.ID, err)
		}
	}
	return nil
}

// Link is what a link is for, before it is used: the page it leads to. NotFound when it was used or
// is too old.
func (m *Manager) Link(ctx context.Context, token string) (queries.OneTimeLink, error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	l, err := m.q.OneTimeLinkGet(ctx, m.DB, queries.OneTimeLinkGetParams{TokenHash: hashToken(token), At: m.Now()})
	return l, overOr(err)
}

func overOr(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return fault.Errorf(fault.NotFound, "This link was used already or is too old. Ask for another.")
	}
	return explain(err)
}

// SignUp makes the account a link invites to, and signs in to it. The address is the invitation's;
// only the first administrator chooses one.
func (m *Manager) SignUp(ctx context.Context, token, email, name, password string) error {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	v, err := browser(ctx)
	if err != nil {
		return err
	}
	l, err := m.Link(ctx, token)
	if err != nil {
		return err
	}
	if l.Role == nil {
		return fault.Errorf(fault.NotFound, "This link sets a new password; it makes no account.")
	}
	if l.Email != nil {
		email = *l.Email
	}
	if email, err = checkEmail(email); err != nil {
		return err
	}
	if err := checkText("name", name, 100); err != nil {
		return err
	}
	if err := checkPassword(password, about(email, name)...); err != nil {
		return err
	}
	hash, err := m.hasher.create(ctx, password)
	if err != nil {
		return err
	}
	u, err := m.signUp(ctx, v, l, queries.UserCreateParams{Email: email, Name: name, Role: *l.Role, PasswordHash: hash, At: m.Now()})
	if err != nil {
		return err
	}
	return m.welcome(ctx, v, u, "sign-in", "with a new account")
}

// signUp is serializable: of two links for the first administrator used at once, one is refused.
func (m *Manager) signUp(ctx context.Context, v *visit, l queries.OneTimeLink, p queries.UserCreateParams) (u queries.User, err error) {
	a := act{actor: anonymous(v.address), verb: "sign-up", subject: p.Email, isolate: pgx.Serializable,
		detail: []string{"role " + p.Role, l.Kind + " link of " + l.CreatedBy}}
	err = m.change(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := m.q.OneTimeLinkUse(ctx, tx, queries.OneTimeLinkUseParams{TokenHash: l.TokenHash, At: m.Now()}); err != nil {
			return overOr(err)
		}
		if l.Kind == kindFirst {
			if err := m.noAdministrator(ctx, tx); err != nil {
				return err
			}
		}
		u, err = m.q.UserCreate(ctx, tx, p)
		if taken(err) {
			return fault.Field("email", "%s has an account already. Sign in, or ask for a reset link.", p.Email)
		}
		a.actor = actor(u, v.address)
		return err
	})
	return u, err
}

func taken(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23505" // unique violation
}

// ResetPassword sets a new password by link, ends all sessions and what throttles the account, and
// goes on as a sign-in with that password does: a second factor is still owed.
func (m *Manager) ResetPassword(ctx context.Context, token, password string) (codeOwed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, formLimit)
	defer cancel()
	v, err := browser(ctx)
	if err != nil {
		return false, err
	}
	l, err := m.Link(ctx, token)
	if err != nil {
		return false, err
	}
	if l.UserID == nil {
		return false, fault.Errorf(fault.NotFound, "This link makes an account; it sets no password.")
	}
	u, err := m.q.UserGet(ctx, m.DB, *l.UserID)
	if err != nil {
		return false, explain(err)
	}
	if err := checkPassword(password, about(u.Email, u.Name)...); err != nil {
		return false, err
	}
	hash, err := m.hasher.create(ctx, password)
	if err != nil {
		return false, err
	}
	if u, err = m.reset(ctx, v, l, u, hash); err != nil {
		return false, err
	}
	return m.enter(ctx, v, u, "sign-in")
}

func (m *Manager) reset(ctx context.Context, v *visit, l queries.OneTimeLink, u queries.User, hash string) (queries.User, error) {
	a := act{actor: actor(u, v.address), verb: "password-reset", subject: u.Email, detail: []string{"link of " + l.CreatedBy}}
	err := m.change(ctx, &a, func(ctx context.Context, tx pgx.Tx) (err error) {
		if _, err := m.q.OneTimeLinkUse(ctx, tx, queries.OneTimeLinkUseParams{TokenHash: l.TokenHash, At: m.Now()}); err != nil {
			return overOr(err)
		}
		if err := m.setPassword(ctx, tx, u.ID, hash); err != nil {
			return err
		}
		if err := m.endSessions(ctx, tx, u.ID, nil); err != nil {
			return err
		}
		if err := m.forgive(ctx, tx, accountKey(u.Email)); err != nil {
			return err
		}
		u, err = m.q.UserGet(ctx, tx, u.ID)
		if err == nil && u.DisabledAt != nil {
			return fault.Errorf(fault.Refused, "Your account is disabled. Ask an administrator.")
		}
		return err
	})
	return u, err
}

// about is what an attacker knows of somebody.
func about(email, name string) []string {
	local, domain, _ := strings.Cut(email, "@")
	return append(strings.Fields(name), email, local, domain)
}
