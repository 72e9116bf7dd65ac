package session

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/runbook"
	"weir/queries"
)

// record is a session as PostgreSQL knows it, with its account.
type record struct {
	id            int64
	data          []byte
	state         state
	user          queries.User // zero until somebody is signed in
	created, seen time.Time
}

// alive holds the timeouts, in PostgreSQL's absence too.
func (r record) alive(now time.Time) bool {
	if r.state.User == 0 {
		return now.Before(r.created.Add(CodeTimeout))
	}
	return now.Before(r.expires(r.seen))
}

// expires is when it would be over were it last used then.
func (r record) expires(seen time.Time) time.Time {
	idle, absolute := seen.Add(IdleTimeout), r.created.Add(AbsoluteTimeout)
	if idle.Before(absolute) {
		return idle
	}
	return absolute
}

func (r record) viewer(from netip.Addr) *Viewer {
	return &Viewer{Actor: actor(r.user, from), Email: r.user.Email, Person: r.user.Name, Session: r.id}
}

func actor(u queries.User, from netip.Addr) runbook.Actor {
	return runbook.Actor{Kind: runbook.User, ID: u.ID, Name: u.Email, Role: runbook.Role(u.Role), Address: from}
}

// stamp changes with the password, the role and the second factor. A session carries the one of the
// account it was made for: whichever way one of them changes, and however close to a sign-in that is
// under way, all sessions from before are over.
func stamp(u queries.User) string {
	totp := ""
	if u.TOTPSecret != nil {
		totp = *u.TOTPSecret
	}
	sum := sha256.Sum256([]byte(u.PasswordHash + "\x00" + u.Role + "\x00" + totp))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// findSession is the session with this hash, from memory or from PostgreSQL.
func (m *Manager) findSession(ctx context.Context, hash string) (record, bool, error) {
	m.mu.Lock()
	_, over := m.ended[hash]
	m.mu.Unlock()
	if over {
		return record{}, false, nil
	}
	r, found, err := m.sessions.get(ctx, hash)
	return r, found, explain(err)
}

// loadSession asks PostgreSQL.
func (m *Manager) loadSession(ctx context.Context, hash string) (record, bool, error) {
	now := m.Now()
	row, err := m.q.SessionGet(ctx, m.DB, queries.SessionGetParams{TokenHash: []byte(hash), At: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, false, fmt.Errorf("read session: %w", err)
	}
	r := record{id: row.ID, data: row.Data, created: row.CreatedAt, seen: row.LastSeenAt}
	if json.Unmarshal(row.Data, &r.state) != nil {
		return record{}, false, nil // of a version that wrote it otherwise: they sign in again
	}
	if r.state.User == 0 {
		return r, true, nil
	}
	if r.user, err = m.q.UserGet(ctx, m.DB, r.state.User); err != nil {
		return record{}, false, fmt.Errorf("read account of session %d: %w", row.ID, err)
	}
	if r.user.DisabledAt != nil || r.state.Stamp != stamp(r.user) || !r.alive(now) {
		return record{}, false, nil
	}
	m.touchSession(ctx, hash, &r, now)
	return r, true, nil
}

// touchSession notes a visit. That it failed matters to nobody.
func (m *Manager) touchSession(ctx context.Context, hash string, r *record, now time.Time) {
	if visitOf(ctx) == nil || now.Sub(r.seen) < touchEvery {
		return
	}
	if m.saveSession(ctx, hash, r.data, now, r.expires(now), r.user.ID) == nil {
		r.seen = now
	}
}

func (m *Manager) saveSession(ctx context.Context, hash string, data []byte, now, expires time.Time, user int64) error {
	p := queries.SessionSaveParams{TokenHash: []byte(hash), Data: data, At: now, ExpiresAt: expires}
	if user != 0 {
		p.UserID = &user
	}
	if v := visitOf(ctx); v != nil {
		p.Address, p.UserAgent = address(v.address), v.userAgent
	}
	if err := m.q.SessionSave(ctx, m.DB, p); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}
