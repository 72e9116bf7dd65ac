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
	"strings"
	"sync"
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

// shared is a machine on which PostgreSQL runs, and PgBouncer as pgb1. HAProxy does not: the server
// goes through the pooler.
var shared = postgrestest.Shared(func() (*postgrestest.Server, error) {
	inv := inventory.Default()
	inv.Postgres.Settings["shared_buffers"] = "32MB"
	inv.Postgres.Settings["effective_cache_size"] = "64MB"
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	return s, s.ServePooler(pgbouncer.Render, pgbouncer.Processes)
})

// newDSN is a new, empty database of role weir, by way of pgb1.
func newDSN(t *testing.T, s *postgrestest.Server) string {
	t.Helper()
	return fmt.Sprintf("postgres://weir:%s@%s:%d/%s?sslmode=disable", postgrestest.Secrets.Console, s.Pooler.Address, s.Inv.PgBouncer.Port, s.Create(t, "template0"))
}

// place is where a server is started: its settings, and a switch that takes the database away.
type place struct {
	*postgrestest.Server
	t       *testing.T
	environ []string
	dsn     string
	mu      sync.Mutex
	away    bool
	open    map[net.Conn]bool
}

func newPlace(t *testing.T, settings ...string) *place {
	t.Helper()
	s := shared(t)
	p := &place{Server: s, t: t, open: map[net.Conn]bool{}, dsn: newDSN(t, s)}
	p.environ = append([]string{"WEIR_SECRETS=" + postgrestest.SecretsDir(t), "WEIR_STATE=" + t.TempDir(), "WEIR_MAX_FILES=20000",
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
	conn, err := p.DialFrom(p.Inv.Console.Address)(ctx, network, address)
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
	log  *postgrestest.Log
	stop func() int // ends it and answers its exit code
}

func (p *place) start() *running {
	p.t.Helper()
	s := &running{place: p, log: &postgrestest.Log{}, http: &http.Client{Jar: must(cookiejar.New(nil))(p.t), Transport: &http.Transport{}}}
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
	config := must(pgx.ParseConfig(p.dsn))(p.t)
	config.DialFunc = p.DialFrom(p.Inv.Console.Address)
	must(sql.Migrate(p.t.Context(), config))(p.t)
	return postgrestest.Pool(p.t, config)
}

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
