package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/sql"
)

// host is a sealed machine with every address of the inventory, on which PostgreSQL runs, and
// PgBouncer as pgb1. HAProxy does not: the server goes through the pooler.
type host struct {
	*postgrestest.Host
	inv     *inventory.Inventory
	secrets inventory.Secrets
	made    atomic.Int64 // databases
}

var (
	shared  = sync.OnceValues(startHost)
	started *host // by shared; TestMain ends it
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started != nil {
		started.Stop()
	}
	os.Exit(code)
}

func startHost() (*host, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	h := &host{inv: inventory.Default(), secrets: someSecrets}
	h.inv.Postgres.Settings["shared_buffers"] = "32MB"
	h.inv.Postgres.Settings["effective_cache_size"] = "64MB"
	var addresses []inventory.Addr
	for _, n := range h.inv.Hosts() {
		addresses = append(addresses, n.Address)
	}
	var err error
	if h.Host, err = postgrestest.Start(addresses...); err != nil {
		return nil, err
	}
	started = h
	database, err := postgres.Render(h.inv, h.secrets)
	if err != nil {
		return nil, err
	}
	pooler, err := pgbouncer.Render(h.inv, h.inv.PgBouncer.Poolers[0], h.secrets, 20000)
	if err != nil {
		return nil, err
	}
	if err := h.Write(append(database, pooler...)); err != nil {
		return nil, err
	}
	// The pooler's connections come from its own address, as on machines of their own.
	from := h.inv.PgBouncer.Poolers[0].Address.String()
	if _, err := h.Run("ip", "route", "replace", "local", h.inv.Postgres.Address.String(), "dev", "lo", "table", "local", "src", from); err != nil {
		return nil, err
	}
	for _, p := range append(postgres.Processes(h.inv), pgbouncer.Processes(h.inv)...) {
		if err := h.Launch(ctx, p); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// dsn is a new, empty database of role weir, by way of pgb1.
func (h *host) dsn(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("server_%d", h.made.Add(1))
	config := must(pgx.ParseConfig(fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", h.secrets.Postgres, h.inv.PostgresEndpoint())))(t)
	config.DialFunc = h.DialFrom(h.inv.Console.Address)
	conn := must(pgx.ConnectConfig(t.Context(), config))(t)
	defer conn.Close(t.Context())
	must(conn.Exec(t.Context(), "CREATE DATABASE "+name+" OWNER weir TEMPLATE template0"))(t)
	return fmt.Sprintf("postgres://weir:%s@%s:%d/%s?sslmode=disable", h.secrets.Console, h.inv.PgBouncer.Poolers[0].Address, h.inv.PgBouncer.Port, name)
}

// place is where a server is started: its settings, and a switch that takes the database away.
type place struct {
	*host
	t       *testing.T
	environ []string
	dsn     string
	mu      sync.Mutex
	away    bool
	open    map[net.Conn]bool
}

func newPlace(t *testing.T, settings ...string) *place {
	t.Helper()
	h := must(shared())(t)
	p := &place{host: h, t: t, open: map[net.Conn]bool{}, dsn: h.dsn(t)}
	p.environ = append([]string{"WEIR_SECRETS=" + secretsDir(t, h.secrets), "WEIR_STATE=" + t.TempDir(), "WEIR_MAX_FILES=20000",
		"DATABASE_URL=" + p.dsn, "PUBLIC_URL=http://weir.example.org", "CORS_ORIGIN=https://app.example.org"}, settings...)
	return p
}

var errAway = errors.New("connect: no route to host")

func (p *place) dial(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errAway}
	}
	conn, err := p.DialFrom(p.inv.Console.Address)(ctx, network, address)
	if err == nil {
		p.open[conn] = true
	}
	return conn, err
}

// lose takes everything beyond this machine away; restore brings it back.
func (p *place) lose() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = true
	for conn := range p.open {
		conn.Close()
	}
	clear(p.open)
}

func (p *place) restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}

// command runs one of the server's commands and answers what it printed.
func (p *place) command(arguments ...string) (code int, said, why string) {
	p.t.Helper()
	var out, errs bytes.Buffer
	code = run(p.t.Context(), environment{Arguments: arguments, Environ: p.environ, Stdout: &out, Stderr: &errs, Dial: p.dial})
	return code, strings.TrimSpace(out.String()), strings.TrimSpace(errs.String())
}

// running is a server that runs.
type running struct {
	*place
	url  string
	http *http.Client // somebody's browser
	log  *logs
	stop func() int // ends it and answers its exit code
}

// logs is read while it is written.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (p *place) start() *running {
	p.t.Helper()
	s := &running{place: p, log: &logs{}, http: &http.Client{Jar: must(cookiejar.New(nil))(p.t), Transport: &http.Transport{}}}
	listening := make(chan string, 1)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, environment{Environ: p.environ, Stderr: s.log, Dial: p.dial, Listen: func(string, string) (net.Listener, error) {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err == nil {
				listening <- "http://" + ln.Addr().String()
			}
			return ln, err
		}})
	}()
	s.stop = sync.OnceValue(func() int {
		cancel()
		select {
		case code := <-ended:
			return code
		case <-time.After(15 * time.Second):
			p.t.Error("the server does not end")
			return -1
		}
	})
	p.t.Cleanup(func() { s.stop(); s.http.CloseIdleConnections() })
	select {
	case s.url = <-listening:
	case code := <-ended:
		p.t.Fatalf("the server ended with %d: %s", code, s.log)
	}
	return s
}

// get asks for a JSON answer.
func (s *running) get(path string) (status int, body map[string]any) {
	s.t.Helper()
	resp := must(s.http.Get(s.url + path))(s.t)
	defer resp.Body.Close()
	said := must(io.ReadAll(resp.Body))(s.t)
	if err := json.Unmarshal(said, &body); err != nil {
		s.t.Fatalf("%s: %d %q", path, resp.StatusCode, said)
	}
	return resp.StatusCode, body
}

// ask sends a document to the API and answers what came back as it stands.
func (s *running) ask(query string, variables map[string]any, headers ...string) string {
	s.t.Helper()
	_, said := s.post(must(json.Marshal(map[string]any{"query": query, "variables": variables}))(s.t), headers...)
	return said
}

func (s *running) post(body []byte, headers ...string) (int, string) {
	s.t.Helper()
	r := must(http.NewRequestWithContext(s.t.Context(), "POST", s.url+"/graphql", bytes.NewReader(body)))(s.t)
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp := must(s.http.Do(r))(s.t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(s.t))
}

// until polls until something holds.
func (s *running) until(what string, holds func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s: not within 20 s\n%s", what, s.log)
		}
		<-tick.C
	}
}

func (s *running) ready() {
	s.t.Helper()
	s.until("the server is ready", func() bool {
		status, body := s.get("/readyz")
		return status == http.StatusOK && body["tables"] == true
	})
}

// signUp makes the first administrator, and leaves the browser signed in.
func (s *running) signUp() {
	s.t.Helper()
	code, link, why := s.command("invite")
	if code != exitOK {
		s.t.Fatal(why)
	}
	token, ok := strings.CutPrefix(link, "http://weir.example.org/invitation/")
	if !ok {
		s.t.Fatalf("the link is %q", link)
	}
	said := s.ask(`mutation($token: String!) { signUp(token: $token, email: "ada@example.org", name: "Ada", password: "plum tractor weighs a lot") { viewer { role } userErrors { message } } }`,
		map[string]any{"token": token})
	if !strings.Contains(said, `"role":"ADMINISTRATOR"`) {
		s.t.Fatal(said)
	}
}

// database is the server's own, for a look.
func (p *place) database() *pgxpool.Pool {
	p.t.Helper()
	config := must(pgxpool.ParseConfig(p.dsn))(p.t)
	config.ConnConfig.DialFunc = p.DialFrom(p.inv.Console.Address)
	pool := must(pgxpool.NewWithConfig(p.t.Context(), config))(p.t)
	p.t.Cleanup(pool.Close)
	must(sql.Migrate(p.t.Context(), config.ConnConfig))(p.t)
	return pool
}

// secretsDir holds the four secrets of a server.
func secretsDir(t *testing.T, s inventory.Secrets) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{"monitor": s.Monitor, "admin": s.Admin, "console": s.Console, "haproxy-stats": s.HAProxyStats} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var someSecrets = inventory.Secrets{Postgres: "postgres-password-1", Auth: "auth-password-12345", Admin: "admin-password-1234",
	Monitor: "monitor-password-12", Console: "console-password-12", HAProxyStats: "statistics-password"}

// must is for a call that answers: must(call(...))(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
