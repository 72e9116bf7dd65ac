package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/graph"
	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/ops/runbook"
	"weir/queries"
	"weir/sql"
)

// shared is a real PostgreSQL with Weir's tables; each test that needs rows gets a copy of its own.
var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	s, err := postgrestest.Serve(inventory.Default(), postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	_, err = sql.Migrate(context.Background(), s.Weir("weir"))
	return s, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if installed != "" {
		os.RemoveAll(installed)
	}
	os.Exit(code)
}

// counter counts statements.
type counter struct{ atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.Add(1)
	return ctx
}
func (*counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// tables is a database of the test's own with all tables and no rows.
func tables(t testing.TB) (*pgxpool.Pool, *counter) {
	t.Helper()
	s, n := shared(t), &counter{}
	config := s.Weir(s.Create(t, "weir"))
	config.Tracer = n
	return postgrestest.Pool(t, config), n
}

// noTables is a database that does not answer.
type noTables struct{ queries.DBTX }

var errAway = errors.New("dial tcp 192.168.1.100:5432: connect: connection refused (password=hunter2)")

func (noTables) Query(context.Context, string, ...any) (pgx.Rows, error) { return nil, errAway }
func (noTables) QueryRow(context.Context, string, ...any) pgx.Row        { return noRow{} }

type noRow struct{}

func (noRow) Scan(...any) error { return errAway }

// server is the API with made-up surroundings and a real runbook, over HTTP.
type server struct {
	t    testing.TB
	deps graph.Deps
	hub  *fleet.Hub
	log  *bytes.Buffer
	acts *accounts
	*graph.Graph
	*httptest.Server

	mu     sync.Mutex
	viewer *noun.Viewer
	lower  *noun.Viewer // who they turn out to be at the next check, as session.Manager has it
	over   bool         // the session that streams began with
}

var (
	looker        = noun.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "looker@example.org", Role: runbook.Viewer}, Session: 1}
	operator      = noun.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 2, Name: "operator@example.org", Role: runbook.Operator}, Session: 2}
	administrator = noun.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 3, Name: "admin@example.org", Role: runbook.Administrator}, Session: 3}
)

// newServer starts one, in front of a looker. change is for what a test has otherwise.
func newServer(t testing.TB, change func(*graph.Deps)) *server {
	t.Helper()
	inv := inventory.Default()
	s := &server{t: t, hub: fleet.NewHub(fleet.First(inv)), log: &bytes.Buffer{}, acts: &accounts{}}
	s.as(&looker)
	d := graph.Deps{Inventory: inv, Files: 20000, Fleet: s.hub, DB: noTables{}, Accounts: s.acts,
		Runbook: deafChain(inv, s.hub, s.acts),
		Viewer:  s.who, Check: s.check, Statistics: nothing{}, Incidents: graph.NewWatch(noTables{}), Now: time.Now,
		Log: slog.New(slog.NewTextHandler(s.log, nil))}
	if change != nil {
		change(&d)
	}
	s.deps, s.Graph = d, graph.New(d)
	s.Server = httptest.NewServer(s.Handler())
	t.Cleanup(s.Server.Close)
	return s
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (s *server) as(v *noun.Viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.viewer = v
}

func (s *server) who(context.Context) (noun.Viewer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.viewer == nil {
		return noun.Viewer{}, fault.Errorf(fault.Unauthenticated, "Sign in first.")
	}
	return *s.viewer, nil
}

func (s *server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
}

func (s *server) check(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return fault.Errorf(fault.Unauthenticated, "Your session is over. Sign in again.")
	}
	if s.lower != nil {
		s.viewer = s.lower
	}
	return nil
}

// demote gives who asks another role, which only a check finds out.
func (s *server) demote(to *noun.Viewer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lower = to
}

// answer is what came back.
type answer struct {
	Status int
	Type   string
	Data   map[string]any
	Errors []struct {
		Message    string
		Path       []any
		Extensions map[string]any
	}
	Extensions map[string]any
	raw        string
}

// code is that of the first error, "" without one.
func (a answer) code() string {
	if len(a.Errors) == 0 {
		return ""
	}
	return fmt.Sprint(a.Errors[0].Extensions["code"])
}

// at walks into the data.
func (a answer) at(path ...any) any {
	var v any = a.Data
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

// ask posts a document.
func (s *server) ask(query string, variables ...map[string]any) answer {
	s.t.Helper()
	body := map[string]any{"query": query}
	if len(variables) > 0 {
		body["variables"] = variables[0]
	}
	return s.post("application/json", must(json.Marshal(body))(s.t))
}

func (s *server) post(kind string, body []byte) answer {
	s.t.Helper()
	r := must(http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.URL, bytes.NewReader(body)))(s.t)
	r.Header.Set("Content-Type", kind)
	return s.do(r)
}

func (s *server) do(r *http.Request) answer {
	s.t.Helper()
	resp := must(s.Client().Do(r))(s.t)
	defer resp.Body.Close()
	raw := must(io.ReadAll(resp.Body))(s.t)
	a := answer{Status: resp.StatusCode, Type: resp.Header.Get("Content-Type"), raw: string(raw)}
	if err := json.Unmarshal(raw, &a); err != nil {
		s.t.Fatalf("%d %s: %v", a.Status, raw, err)
	}
	return a
}

// accounts is people as server/session has them, as far as this package sees: who may not is refused.
// It is the runbook's audit as well.
type accounts struct {
	mu    sync.Mutex
	calls []string
	err   error // of what is done about one's own account
}

func (a *accounts) called(what string, by runbook.Actor, needs runbook.Role) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, what)
	switch {
	case by.ID == 0 || by.Role == "":
		return fault.Errorf(fault.Unauthenticated, "Sign in first.")
	case needs == runbook.Administrator && by.Role != runbook.Administrator:
		return fault.Errorf(fault.Forbidden, "This needs the role %s; yours is %s.", needs, by.Role)
	}
	return nil
}

func (a *accounts) own() error { return a.err }

func (a *accounts) SignIn(context.Context, string, string) (bool, error)         { return false, a.own() }
func (a *accounts) SignInCode(context.Context, string) error                     { return a.own() }
func (a *accounts) SignOut(context.Context) error                                { return a.own() }
func (a *accounts) SignUp(context.Context, string, string, string, string) error { return a.own() }
func (a *accounts) ResetPassword(context.Context, string, string) (bool, error) {
	return false, a.own()
}
func (a *accounts) ChangePassword(context.Context, string, string) error { return a.own() }
func (a *accounts) SetName(context.Context, string) error                { return a.own() }
func (a *accounts) BeginTOTP(context.Context, string) (string, string, error) {
	return "s", "u", a.own()
}
func (a *accounts) ConfirmTOTP(context.Context, string) ([]string, error) {
	return []string{"c"}, a.own()
}
func (a *accounts) RemoveTOTP(context.Context, string) error { return a.own() }
func (a *accounts) NewRecoveryCodes(context.Context, string) ([]string, error) {
	return []string{"c"}, a.own()
}
func (a *accounts) Invite(_ context.Context, by runbook.Actor, _ string, _ runbook.Role) (string, time.Time, error) {
	return "token", time.Now(), a.called("Invite", by, runbook.Administrator)
}
func (a *accounts) ResetLink(_ context.Context, by runbook.Actor, _ int64, _ string) (string, time.Time, error) {
	return "token", time.Now(), a.called("ResetLink", by, runbook.Administrator)
}
func (a *accounts) WithdrawLink(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("WithdrawLink", by, runbook.Administrator)
}
func (a *accounts) SetRole(_ context.Context, by runbook.Actor, _ int64, _ runbook.Role, _ string) error {
	return a.called("SetRole", by, runbook.Administrator)
}
func (a *accounts) Disable(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("Disable", by, runbook.Administrator)
}
func (a *accounts) Enable(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("Enable", by, runbook.Administrator)
}
func (a *accounts) ClearTOTP(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("ClearTOTP", by, runbook.Administrator)
}
func (a *accounts) EndSession(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("EndSession", by, runbook.Viewer)
}
func (a *accounts) EndSessions(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("EndSessions", by, runbook.Viewer)
}
func (a *accounts) CreateToken(_ context.Context, by runbook.Actor, _ string, _ runbook.Role, _ time.Duration, _ []string) (string, queries.APIToken, error) {
	return "weir_x", queries.APIToken{ID: 1, Role: "viewer", CreatedAt: time.Now(), ExpiresAt: time.Now()}, a.called("CreateToken", by, runbook.Administrator)
}
func (a *accounts) RevokeToken(_ context.Context, by runbook.Actor, _ int64, _ string) error {
	return a.called("RevokeToken", by, runbook.Administrator)
}

// Record, Save, Remove and List are the audit of the runbook.
func (a *accounts) Record(_ context.Context, e runbook.Entry) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls = append(a.calls, string(e.Verb)+" by "+e.Actor.Name+": "+string(e.Result))
	return nil
}
func (*accounts) Save(runbook.Entry) error       { return nil }
func (*accounts) Remove(string) error            { return nil }
func (*accounts) List() ([]runbook.Entry, error) { return nil, nil }

func (a *accounts) all() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.calls, "\n")
}

// nobody is a PostgreSQL without sessions.
type nobody struct{ runbook.Backends }

func (nobody) Find(context.Context, int) (runbook.Backend, error) {
	return runbook.Backend{}, fault.Errorf(fault.NotFound, "There is no such backend any more.")
}

// nothing is a PostgreSQL that tells nothing about itself.
type nothing struct{}

func (nothing) Backends(context.Context) ([]noun.Backend, error) { return []noun.Backend{}, nil }
func (nothing) TopQueries(context.Context, string, int) ([]noun.TopQuery, error) {
	return []noun.TopQuery{}, nil
}
func (nothing) Settings(context.Context) ([]noun.Setting, error) { return []noun.Setting{}, nil }

// lists is a pooler's console.
type lists struct {
	clients, servers []pgbouncer.Socket
	config           []pgbouncer.Setting
	err              error
}

func (l lists) Clients(context.Context) ([]pgbouncer.Socket, error) { return l.clients, l.err }
func (l lists) Servers(context.Context) ([]pgbouncer.Socket, error) { return l.servers, l.err }
func (l lists) Config(context.Context) ([]pgbouncer.Setting, error) { return l.config, l.err }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
