// Package session knows who is asking: people signed in with a browser, API tokens, and the machine
// itself. It holds their accounts: invitations, passwords, second factors, sessions and tokens. It
// draws no page and knows no route; Manager is its front door.
//
// Methods that concern the asker's own session take it from the context that Manager.Handler made;
// those that administer others take the actor. Arguments and answers are plain values, rows of
// queries and actors of runbook, so that callers which must not import this package can name the
// methods they need in an interface of their own. Every error has a code of ops/fault.
//
// While PostgreSQL does not answer: who was seen signed in stays so, from memory, until the idle or
// absolute timeout. A session or token revoked elsewhere meanwhile works here until PostgreSQL
// answers again; one signed out here is over at once. After a restart of this process nobody is
// remembered, and nobody can sign in. A person active through an outage longer than IdleTimeout
// signs in again after it, for the last use that PostgreSQL knows is too old.
package session

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/jackc/pgx/v5"

	"weir/ops/runbook"
	"weir/queries"
)

const (
	IdleTimeout     = 12 * time.Hour     // without a request
	AbsoluteTimeout = 7 * 24 * time.Hour // since the password was last given
	CodeTimeout     = 10 * time.Minute   // between the password and the second factor

	Fresh = time.Second // how long a session or token is believed without asking PostgreSQL

	// askLimit is how long a request waits to learn who is asking, changeLimit how long an account
	// change may take, and formLimit everything that one form does, the wait for a password's turn
	// included: behind paused pools all of them would wait for the end of the pause.
	askLimit    = time.Second
	changeLimit = 5 * time.Second
	formLimit   = 10 * time.Second
	sweepLimit  = 30 * time.Second

	touchEvery   = time.Minute // how exact "last used" is
	remembered   = 4096        // sessions, and as many tokens, kept in memory
	owedAtMost   = 1024        // audit entries kept until PostgreSQL takes them
	stateKey     = "state"
	deviceMaxAge = 180 * 24 * time.Hour
)

// DB is a pgxpool.Pool.
type DB interface {
	queries.DBTX
	BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error)
}

// Deps is what a Manager works with.
type Deps struct {
	DB     DB
	Now    func() time.Time
	NewID  func() string // a UUID version 7, for the audit
	Secure bool          // people come by HTTPS: cookies are sent over nothing else
	// Address is the client's; nil: the one that connected. Behind a reverse proxy that would be the
	// proxy's, and one attacker would slow everybody's sign-in down.
	Address func(*http.Request) netip.Addr
	// OnError answers a request that cannot go on because who asks is unknown or refused.
	OnError func(w http.ResponseWriter, r *http.Request, err error)
}

// Manager is the accounts and who is signed in. It may be used by several goroutines.
type Manager struct {
	Deps
	q        *queries.Queries
	scs      *scs.SessionManager
	sessions *memory[record]
	tokens   *memory[grant]
	hasher   *hasher

	sweeping sync.Mutex
	mu       sync.Mutex
	ended    map[string]bool          // hashes of sessions ended here that PostgreSQL does not know of yet
	owed     []queries.AuditAddParams // audit entries that it does not have yet
}

// New makes a Manager; PostgreSQL is not asked yet. It takes the time of one password hash.
func New(d Deps) (*Manager, error) {
	if d.Address == nil {
		d.Address = remoteAddress
	}
	h, err := newHasher()
	if err != nil {
		return nil, err
	}
	m := &Manager{Deps: d, q: queries.New(), hasher: h, ended: map[string]bool{}}
	m.sessions = newMemory(d.Now, m.loadSession, record.alive)
	m.tokens = newMemory(d.Now, m.loadGrant, grant.alive)
	// Not scs.New, which starts a store in memory with a goroutine that never ends. Timeouts are the store's,
	// with the injected clock: were scs to keep the idle one, it would write every request's session.
	m.scs = &scs.SessionManager{Store: store{m}, Codec: codec{}, HashTokenInStore: true, Lifetime: AbsoluteTimeout, ErrorFunc: d.OnError,
		Cookie: scs.SessionCookie{Name: m.cookieName("weir"), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: d.Secure, Persist: true}}
	return m, nil
}

// cookieName has the prefix by which browsers refuse a cookie that another host or plain HTTP set.
func (m *Manager) cookieName(name string) string {
	if m.Secure {
		return "__Host-" + name
	}
	return name
}

// Machine is root on this machine: `weir invite`, `weir token create`, and the server at its start.
func Machine() runbook.Actor {
	return runbook.Actor{Kind: runbook.System, Name: "machine", Role: runbook.Administrator}
}

// state is what a session holds. It never changes under one token: every change takes a new one.
// So saving a session again with what was read of it overwrites nothing.
type state struct {
	User    int64  `json:"user,omitempty"`     // who is signed in
	Pending int64  `json:"pending,omitempty"`  // whose password was right, and whose second factor is owed
	Stamp   string `json:"stamp,omitempty"`    // of the account when they signed in; see stamp
	NewTOTP string `json:"new_totp,omitempty"` // the second factor that is being set up
}

// codec writes a session's state as JSON. Deadlines are the store's.
type codec struct{}

func (codec) Encode(_ time.Time, values map[string]any) ([]byte, error) {
	return json.Marshal(values[stateKey])
}

func (codec) Decode(b []byte) (time.Time, map[string]any, error) {
	var s state
	err := json.Unmarshal(b, &s)
	return time.Now().Add(AbsoluteTimeout), map[string]any{stateKey: s}, err
}

// store is scs's view of the table of sessions. A token here is the hash of the one in the cookie.
type store struct{ m *Manager }

var _ scs.CtxStore = store{}

func key(token string) (string, error) {
	hash, err := base64.RawURLEncoding.DecodeString(token)
	return string(hash), err
}

// FindCtx leaves in the visit who is signed in.
func (s store) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	hash, err := key(token)
	if err != nil {
		return nil, false, err
	}
	r, found, err := s.m.findSession(ctx, hash)
	if err != nil || !found {
		return nil, false, err
	}
	if r.state.User != 0 {
		v := visitOf(ctx)
		s.m.sessions.update(hash, func(r record) record { r.seen = s.m.Now(); return r })
		v.session = hash
		v.viewer.Store(r.viewer(v.address))
	}
	return r.data, true, nil
}

// CommitCtx saves a session whose state changed. The expiry is ours, by the injected clock.
func (s store) CommitCtx(ctx context.Context, token string, data []byte, _ time.Time) error {
	hash, err := key(token)
	if err != nil {
		return err
	}
	var st state
	if err := json.Unmarshal(data, &st); err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	now := s.m.Now()
	lifetime := IdleTimeout
	if st.User == 0 {
		lifetime = CodeTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	defer s.m.sessions.drop(hash)
	return explain(s.m.saveSession(ctx, hash, data, now, now.Add(lifetime), st.User))
}

// DeleteCtx ends a session also when PostgreSQL does not answer: here at once, there by Sweep. Were
// this process to end before that, it would live there until its timeout; the browser's cookie is gone.
func (s store) DeleteCtx(ctx context.Context, token string) error {
	hash, err := key(token)
	if err != nil {
		return err
	}
	s.m.sessions.drop(hash)
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if _, err := s.m.q.SessionEndByToken(ctx, s.m.DB, queries.SessionEndByTokenParams{At: s.m.Now(), TokenHash: []byte(hash)}); err != nil {
		s.m.mu.Lock()
		defer s.m.mu.Unlock()
		s.m.ended[hash] = true
	}
	return nil
}

// The same without a context, which scs does not call.

func (s store) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}
func (s store) Commit(token string, b []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, b, expiry)
}
func (s store) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// Sweep deletes what is over, and brings PostgreSQL what happened while it was away. Call it every
// few seconds; several servers may.
func (m *Manager) Sweep(ctx context.Context) error {
	m.sweeping.Lock()
	defer m.sweeping.Unlock()
	ctx, cancel := context.WithTimeout(ctx, sweepLimit)
	defer cancel()
	now := m.Now()
	if err := m.deliver(ctx, now); err != nil {
		return err
	}
	if _, err := m.q.SessionDeleteExpired(ctx, m.DB, now); err != nil {
		return fmt.Errorf("delete expired sessions: %w", err)
	}
	if _, err := m.q.OneTimeLinkDeleteExpired(ctx, m.DB, now); err != nil {
		return fmt.Errorf("delete expired links: %w", err)
	}
	if _, err := m.q.LoginThrottleDeleteStale(ctx, m.DB, now.Add(-byCode.window)); err != nil {
		return fmt.Errorf("delete stale throttles: %w", err)
	}
	return nil
}

// deliver ends sessions and writes audit entries that PostgreSQL could not take when they happened.
func (m *Manager) deliver(ctx context.Context, now time.Time) error {
	m.mu.Lock()
	ended, owed := make([]string, 0, len(m.ended)), m.owed
	for hash := range m.ended {
		ended = append(ended, hash)
	}
	m.mu.Unlock()
	for _, hash := range ended {
		if _, err := m.q.SessionEndByToken(ctx, m.DB, queries.SessionEndByTokenParams{At: now, TokenHash: []byte(hash)}); err != nil {
			return fmt.Errorf("end a session that was signed out: %w", err)
		}
		m.mu.Lock()
		delete(m.ended, hash)
		m.mu.Unlock()
	}
	for _, e := range owed {
		if err := m.q.AuditAdd(ctx, m.DB, e); err != nil {
			return fmt.Errorf("write audit entry %s: %w", e.ID, err)
		}
		m.mu.Lock()
		m.owed = m.owed[1:]
		m.mu.Unlock()
	}
	return nil
}
