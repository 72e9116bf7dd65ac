package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres/postgrestest"
	"weir/queries"
)

// fakeSlack is a webhook that remembers what it was told.
type fakeSlack struct {
	*httptest.Server
	mu    sync.Mutex
	texts []string
}

func newFakeSlack(t *testing.T) *fakeSlack {
	f := &fakeSlack{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var message struct{ Text string }
		body, _ := io.ReadAll(r.Body)
		json.Unmarshal(body, &message)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.texts = append(f.texts, message.Text)
		fmt.Fprint(w, "ok")
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *fakeSlack) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.texts)
}

// life is one run of a monitor.
type life struct {
	stop context.CancelFunc
	code chan int
	log  postgrestest.Log
}

func (h host) monitor(t *testing.T, environ ...string) *life {
	return begin(t, h.DialFrom(h.Inv.Monitor.Address), environ...)
}

func begin(t *testing.T, dial fleet.Dial, environ ...string) *life {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	l := &life{stop: stop, code: make(chan int, 1)}
	go func() {
		l.code <- run(ctx, environment{Environ: environ, Stderr: &l.log, Dial: dial})
	}()
	return l
}

// end asks it to end, as SIGTERM does, and returns how long that took.
func (l *life) end(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	l.stop()
	if code := <-l.code; code != exitOK {
		t.Errorf("exit %d:\n%s", code, &l.log)
	}
	return time.Since(began)
}

func freePort(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return l.Addr().String()
}

// TestAMonitorOfAClusterWithoutHAProxy runs the whole program, twice, with a real PostgreSQL and one
// real pooler; nothing else of the inventory is there.
func TestAMonitorOfAClusterWithoutHAProxy(t *testing.T) {
	h, slack := running(t), newFakeSlack(t)
	ctx, dsn, listen := deadline(t), h.dsn(t), freePort(t)
	pool, _ := h.pool(t, dsn)
	state := filepath.Join(t.TempDir(), "state")
	environ := []string{"WEIR_SECRETS=" + postgrestest.SecretsDir(t), "WEIR_STATE=" + state, "DATABASE_URL=" + dsn,
		"SLACK_WEBHOOK_URL=" + slack.URL + "/services/hush", "WEIR_LISTEN=" + listen}
	seed(t, state)
	before := runtime.NumGoroutine()

	first := h.monitor(t, environ...)
	var open []queries.Incident
	until(t, ctx, "the incident is told, and its row there", func() bool {
		open, _ = query.IncidentListOpen(ctx, pool)
		at := slices.IndexFunc(open, func(i queries.Incident) bool { return i.Cause == "no-haproxy" })
		if at < 0 {
			return false
		}
		notes, err := query.NotificationListByIncident(ctx, pool, []string{open[at].ID})
		return err == nil && len(notes) == 1 && notes[0].State == "sent"
	})
	if code, h := askHealth(t, listen); code != 200 || h.Status != "ok" || h.OpenIncidentCount == 0 {
		t.Errorf("HTTP %d %+v", code, h)
	}
	until(t, ctx, "all is delivered and written", func() bool {
		_, h := askHealth(t, listen)
		return h.Pending["slack"] == 0 && h.SpoolRows == 0
	})
	if took := first.end(t); took > 2*time.Second {
		t.Errorf("it took %s to end", took)
	}
	told := slack.told()
	if strings.Contains(first.log.String(), "hush") || strings.Contains(first.log.String(), postgrestest.Secrets.Console) {
		t.Errorf("a secret is in the log:\n%s", &first.log)
	}

	second := h.monitor(t, environ...)
	until(t, ctx, "it looked for a while", func() bool {
		return strings.Contains(second.log.String(), "monitor watches") && sampled(ctx, t, pool)
	})
	second.end(t)
	if again := slack.told(); !slices.Equal(again, told) {
		t.Errorf("after the restart it told\n%q, before\n%q", again[min(len(told), len(again)):], told)
	}
	if still := must(query.IncidentListOpen(ctx, pool))(t); len(still) != len(open) || still[0].ID != open[0].ID {
		t.Errorf("other incidents after the restart: %+v", still)
	}
	slack.CloseClientConnections()
	pool.Reset()
	http.DefaultClient.CloseIdleConnections()
	until(t, ctx, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	if info := must(os.Stat(state))(t); info.Mode().Perm() != 0o700 {
		t.Errorf("the state has mode %s", info.Mode())
	}
}

// seed leaves the state of a monitor that had an incident lately: the next one has no start's grace.
func seed(t *testing.T, state string) {
	t.Helper()
	try(t, os.MkdirAll(state, 0o700))
	past := incident.Entry{Incident: incident.Incident{ID: newID(), State: incident.OK, ResolvedAt: time.Now(),
		Said: incident.Said{Count: 2, State: incident.OK}}}
	try(t, save(filepath.Join(state, "book.json"), memory{Book: incident.Book{Entries: map[string]incident.Entry{"past": past}}}))
}

func askHealth(t *testing.T, listen string) (int, health) {
	t.Helper()
	resp := must(http.Get("http://" + listen + "/healthz"))(t)
	defer resp.Body.Close()
	var h health
	try(t, json.NewDecoder(resp.Body).Decode(&h))
	return resp.StatusCode, h
}

func TestAnotherMonitorWithTheSameStateOrPortDoesNotStart(t *testing.T) {
	h := running(t)
	secrets, state, listen := postgrestest.SecretsDir(t), t.TempDir(), freePort(t)
	first := h.monitor(t, "WEIR_SECRETS="+secrets, "WEIR_STATE="+state, "WEIR_LISTEN="+listen, "DATABASE_URL="+h.dsn(t))
	until(t, deadline(t), "it watches", func() bool { return strings.Contains(first.log.String(), "monitor watches") })
	defer first.end(t)
	for _, test := range []struct{ state, listen, want string }{
		{state, "127.0.0.1:0", "another monitor"},
		{t.TempDir(), listen, "address already in use"},
	} {
		var said postgrestest.Log
		code := run(t.Context(), environment{Environ: []string{"WEIR_SECRETS=" + secrets, "WEIR_STATE=" + test.state, "WEIR_LISTEN=" + test.listen},
			Stderr: &said, Dial: h.Dial})
		if code != exitFailed || !strings.Contains(said.String(), test.want) {
			t.Errorf("exit %d: %s", code, &said)
		}
	}
}

// ice lets connections open and then keeps their answers, as a frozen PostgreSQL does.
type ice struct {
	dial   fleet.Dial
	frozen atomic.Bool
}

func (i *ice) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := i.dial(ctx, network, addr)
	return icyConn{conn, i}, err
}

type icyConn struct {
	net.Conn
	*ice
}

func (c icyConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.frozen.Load() {
			return n, err
		}
	}
}

func TestItEndsInTimeWhileNothingAnswers(t *testing.T) {
	h := running(t)
	ctx, dsn := deadline(t), h.dsn(t)
	pool, _ := h.pool(t, dsn)
	around := &ice{dial: h.DialFrom(h.Inv.Monitor.Address)}
	l := begin(t, around.Dial, "WEIR_SECRETS="+postgrestest.SecretsDir(t), "WEIR_STATE="+t.TempDir(), "WEIR_LISTEN=127.0.0.1:0", "DATABASE_URL="+dsn)
	until(t, ctx, "the tables are there", func() bool { _, err := query.PauseList(ctx, pool); return err == nil })
	around.frozen.Store(true)
	until(t, ctx, "a question has no answer", func() bool { return strings.Contains(l.log.String(), "pauses are ended by the records read last") })
	if took := l.end(t); took > 2*time.Second {
		t.Errorf("it took %s to end", took)
	}
}

func TestAnOverduePauseIsEnded(t *testing.T) {
	h := running(t)
	ctx, dsn := deadline(t), h.dsn(t)
	pool, _ := h.pool(t, dsn)
	l := h.monitor(t, "WEIR_SECRETS="+postgrestest.SecretsDir(t), "WEIR_STATE="+t.TempDir(), "WEIR_LISTEN=127.0.0.1:0", "DATABASE_URL="+dsn)
	defer l.end(t)
	until(t, ctx, "the tables are there", func() bool { _, err := query.PauseList(ctx, pool); return err == nil })

	pgb1 := h.Inv.PgBouncer.Poolers[0]
	admin := console(t, h, pgb1)
	try(t, admin.Pause(ctx, ""))
	at := time.Now().UTC().Truncate(time.Microsecond)
	try(t, query.PauseSave(ctx, pool, queries.PauseSaveParams{Pooler: pgb1.Name, PausedBy: "ada", Reason: "restart", PausedAt: at, ExpiresAt: at.Add(time.Millisecond)}))
	until(t, ctx, "it is resumed", func() bool { s, err := admin.State(ctx); return err == nil && s.Active })
	until(t, ctx, "the record is gone, and the audit there", func() bool {
		list, err := query.PauseList(ctx, pool)
		audit, _ := query.AuditPageForward(ctx, pool, queries.AuditPageForwardParams{Size: 10})
		return err == nil && len(list) == 0 && len(audit) == 1 && audit[0].Verb == "resume" && audit[0].ActorName == "monitor"
	})
}

// console is a pooler's, as an operator's.
func console(t *testing.T, h host, pooler inventory.Node) *pgbouncer.Client {
	t.Helper()
	c := must(pgbouncer.New(pooler, h.Inv.PgBouncer.Port, "weir_admin", postgrestest.Secrets.Admin, h.DialFrom(h.Inv.Monitor.Address)))(t)
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// sampled reports whether samples are there.
func sampled(ctx context.Context, t *testing.T, db queries.DBTX) (is bool) {
	t.Helper()
	try(t, db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM sample)").Scan(&is))
	return is
}
