package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

const (
	tokenPrefix = "weir_" // so that scanners for leaked secrets know it
	tokenRunes  = 52      // after it
	tokenShown  = 6       // of those, kept for people to tell it by
	tokenMin    = time.Minute
	tokenMax    = 366 * 24 * time.Hour
)

// grant is a token as PostgreSQL knows it.
type grant struct {
	queries.APIToken
	role runbook.Role // what the token and its owner both may
}

func (g grant) alive(now time.Time) bool { return now.Before(g.ExpiresAt) }

// bearer makes the token's bearer the viewer.
func (m *Manager) bearer(ctx context.Context, v *visit, header string) error {
	over := fault.Errorf(fault.Unauthenticated, "This token is unknown, revoked or too old.")
	scheme, token, _ := strings.Cut(header, " ")
	random, ours := strings.CutPrefix(strings.TrimSpace(token), tokenPrefix)
	if !strings.EqualFold(scheme, "Bearer") || !ours || len(random) != tokenRunes {
		return over
	}
	hash := string(hashToken(random))
	g, found, err := m.tokens.get(ctx, hash)
	if err != nil {
		return explain(err)
	}
	if !found {
		return over
	}
	v.token = hash
	v.viewer.Store(g.viewer(v.address))
	return nil
}

func (g grant) viewer(from netip.Addr) *Viewer {
	return &Viewer{Operations: g.Operations, Actor: runbook.Actor{Kind: runbook.Token, ID: g.ID, Name: g.Name, Role: g.role, Address: from}}
}

// loadGrant asks PostgreSQL.
func (m *Manager) loadGrant(ctx context.Context, hash string) (grant, bool, error) {
	now := m.Now()
	row, err := m.q.APITokenGetByHash(ctx, m.DB, queries.APITokenGetByHashParams{TokenHash: []byte(hash), At: now})
	if errors.Is(err, pgx.ErrNoRows) {
		return grant{}, false, nil
	}
	if err != nil {
		return grant{}, false, fmt.Errorf("read token: %w", err)
	}
	g := grant{row.APIToken, runbook.Role(row.APIToken.Role)}
	if row.UserRole != nil {
		g.role = lesser(g.role, runbook.Role(*row.UserRole))
	}
	if visitOf(ctx) != nil && (g.LastUsedAt == nil || now.Sub(*g.LastUsedAt) >= touchEvery) {
		// That it failed matters to nobody.
		_ = m.q.APITokenTouch(ctx, m.DB, queries.APITokenTouchParams{ID: g.ID, At: now, NotSince: now.Add(-touchEvery)})
	}
	return g, true, nil
}

// CreateToken makes an API token. The secret is in this answer and nowhere else. Operations pins it
// to named ones, nil does not. It belongs to the person who made it, or whose token did, and may
// never do more than they; one made by the machine belongs to nobody.
func (m *Manager) CreateToken(ctx context.Context, by runbook.Actor, name string, role runbook.Role, good time.Duration, operations []string) (secret string, row queries.APIToken, err error) {
	if err := checkText("name", name, 100); err != nil {
		return "", row, err
	}
	if err := checkRole(role); err != nil {
		return "", row, err
	}
	if good < tokenMin || good > tokenMax {
		return "", row, fault.Field("expires", "A token is good for a minute at least and 366 days at most.")
	}
	if err := checkOperations(operations); err != nil {
		return "", row, err
	}
	random, hash := newToken()
	p := queries.APITokenCreateParams{Name: name, Prefix: tokenPrefix + random[:tokenShown], TokenHash: hash, Role: string(role),
		Operations: operations, CreatedBy: by.Name, CreatedAt: m.Now(), ExpiresAt: m.Now().Add(good)}
	a := act{actor: by, verb: "token-create", subject: name, detail: []string{"role " + string(role), "expires " + p.ExpiresAt.UTC().Format(time.RFC3339)}}
	err = m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) error {
		if p.UserID, err = m.ownerOf(ctx, tx, by); err != nil {
			return err
		}
		row, err = m.q.APITokenCreate(ctx, tx, p)
		return err
	})
	if err != nil {
		return "", queries.APIToken{}, err
	}
	return tokenPrefix + random, row, nil
}

func (m *Manager) ownerOf(ctx context.Context, tx pgx.Tx, by runbook.Actor) (*int64, error) {
	switch by.Kind {
	case runbook.User:
		return &by.ID, nil
	case runbook.Token:
		made, err := m.q.APITokenGet(ctx, tx, by.ID)
		return made.UserID, err
	}
	return nil, nil
}

// RevokeToken ends a token: here at once, on other servers within Fresh.
func (m *Manager) RevokeToken(ctx context.Context, by runbook.Actor, id int64, reason string) error {
	a := act{actor: by, verb: "token-revoke", subject: fmt.Sprintf("token %d", id), reason: reason}
	var row queries.APIToken
	err := m.administer(ctx, &a, func(ctx context.Context, tx pgx.Tx) (err error) {
		row, err = m.q.APITokenRevoke(ctx, tx, queries.APITokenRevokeParams{ID: id, At: m.Now()})
		if errors.Is(err, pgx.ErrNoRows) {
			return fault.Errorf(fault.NotFound, "This token is unknown or was revoked before.")
		}
		a.subject = row.Name
		return err
	})
	if err == nil {
		m.tokens.drop(string(row.TokenHash))
	}
	return err
}
