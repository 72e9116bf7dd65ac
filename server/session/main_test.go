package session

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/fault"
	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/ops/runbook"
	"weir/queries"
	"weir/sql"
)

// shared is a real PostgreSQL with Weir's tables; each test gets a copy of its own.
var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	s, err := postgrestest.Serve(inventory.Default(), postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	_, err = sql.Migrate(context.Background(), s.Weir("weir"))
	return s, err
})

// world is one test's database, the way there, and a clock.
type world struct {
	*pgxpool.Pool
	t          *testing.T
	away       atomic.Bool
	statements atomic.Int64
	mu         sync.Mutex
	open       map[net.Conn]bool
	begun      time.Time
	clock      atomic.Int64
}

var errAway = errors.New("connect: no route to host")

func newWorld(t *testing.T) *world {
	t.Helper()
	s := shared(t)
	w := &world{t: t, open: map[net.Conn]bool{}, begun: time.Now().UTC().Truncate(time.Hour)}
	w.clock.Store(w.begun.UnixNano())
	config := s.Weir(s.Create(t, "weir"))
	config.Tracer = w
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if w.away.Load() {
			return nil, errAway
		}
		conn, err := dial(ctx, network, addr)
		if err == nil {
			w.mu.Lock()
			w.open[conn] = true
			w.mu.Unlock()
		}
		return conn, err
	}
	w.Pool = postgrestest.Pool(t, config)
	return w
}

// TraceQueryStart counts statements.
func (w *world) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	w.statements.Add(1)
	return ctx
}

func (w *world) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// lose takes PostgreSQL away: connections break, and new ones find nobody.
func (w *world) lose() {
	w.away.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	for conn := range w.open {
		conn.Close()
	}
	clear(w.open)
}

func (w *world) restore() {
	w.away.Store(false)
	w.Reset()
}

func (w *world) now() time.Time          { return time.Unix(0, w.clock.Load()).UTC() }
func (w *world) pass(time time.Duration) { w.clock.Add(int64(time)) }

// bounded is the world as a Manager gets it. Whatever it asks has a deadline, or a PostgreSQL that
// hangs would keep somebody waiting for ever.
type bounded struct{ w *world }

func (b bounded) check(ctx context.Context, what string) {
	if _, ok := ctx.Deadline(); !ok {
		b.w.t.Errorf("asked without a deadline: %s", what)
	}
}

func (b bounded) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	b.check(ctx, sql)
	return b.w.Exec(ctx, sql, args...)
}

func (b bounded) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	b.check(ctx, sql)
	return b.w.Query(ctx, sql, args...)
}

func (b bounded) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	b.check(ctx, sql)
	return b.w.QueryRow(ctx, sql, args...)
}

func (b bounded) BeginTx(ctx context.Context, options pgx.TxOptions) (pgx.Tx, error) {
	b.check(ctx, "begin")
	return b.w.BeginTx(ctx, options)
}

type seenError struct{}

// server is a Manager as one server has it; several may share a world.
func (w *world) server() *Manager {
	w.t.Helper()
	return must(New(Deps{DB: bounded{w}, Now: w.now, NewID: func() string { return uuid.Must(uuid.NewV7()).String() },
		OnError: func(_ http.ResponseWriter, r *http.Request, err error) {
			*r.Context().Value(seenError{}).(*error) = err
		}}))(w.t)
}

// guest is a browser, or with a token a program.
type guest struct {
	m       *Manager
	from    string
	token   string
	cookies map[string]*http.Cookie
}

func newGuest(m *Manager) *guest {
	return &guest{m: m, from: "192.0.2.7", cookies: map[string]*http.Cookie{}}
}

// visit makes one request, in which the handler does this.
func (g *guest) visit(do func(ctx context.Context) error) (err error) {
	r := httptest.NewRequest("POST", "/", nil)
	r.RemoteAddr = net.JoinHostPort(g.from, "40000")
	r.Header.Set("User-Agent", "Firefox")
	if g.token != "" {
		r.Header.Set("Authorization", "Bearer "+g.token)
	}
	for _, c := range g.cookies {
		r.AddCookie(c)
	}
	out := httptest.NewRecorder()
	next := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err = do(r.Context())
		w.WriteHeader(http.StatusNoContent)
	})
	g.m.Handler(next).ServeHTTP(out, r.WithContext(context.WithValue(r.Context(), seenError{}, &err)))
	for _, c := range out.Result().Cookies() {
		if g.cookies[c.Name] = c; c.MaxAge < 0 {
			delete(g.cookies, c.Name)
		}
	}
	return err
}

// viewer is who the server takes the guest for.
func (g *guest) viewer() (v Viewer, err error) {
	err = g.visit(func(ctx context.Context) (err error) {
		v, err = ViewerOf(ctx)
		return err
	})
	return v, err
}

func (g *guest) signIn(email, password string) (codeOwed bool, err error) {
	err = g.visit(func(ctx context.Context) (err error) {
		codeOwed, err = g.m.SignIn(ctx, email, password)
		return err
	})
	return codeOwed, err
}

func (g *guest) enterCode(code string) error {
	return g.visit(func(ctx context.Context) error { return g.m.SignInCode(ctx, code) })
}

func (g *guest) cookie() string {
	if c := g.cookies["weir"]; c != nil {
		return c.Value
	}
	return ""
}

// at is the same browser, its cookies included, at another server.
func (g *guest) at(m *Manager) *guest {
	other := newGuest(m)
	for name, c := range g.cookies {
		other.cookies[name] = c
	}
	return other
}

const password = "plum tractor weighs a lot"

// member is a person with an account, signed in.
func member(t *testing.T, m *Manager, email string, role runbook.Role) (*guest, runbook.Actor) {
	t.Helper()
	token, _, err := m.Invite(t.Context(), Machine(), email, role)
	try(t, err)
	g := newGuest(m)
	try(t, g.visit(func(ctx context.Context) error { return m.SignUp(ctx, token, "", "Somebody", password) }))
	return g, must(g.viewer())(t).Actor
}

func (w *world) audit() (out []queries.Audit) {
	w.t.Helper()
	return must(queries.New().AuditPageBackward(w.t.Context(), w.Pool, queries.AuditPageBackwardParams{Size: 1000}))(w.t)
}

// wants says that an error is of a code, "" for none.
func wants(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if got := fault.CodeOf(err); got != code {
		t.Errorf("got code %q (%v), want %q", got, err, code)
	}
}

func try(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is for a call that answers: must(call(...))(t).
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
