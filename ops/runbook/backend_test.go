package runbook

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func TestWeirsOwnRolesFindCancelAndEndAClientsBackend(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	root := s.Superuser(t)
	if _, err := root.Exec(ctx, `CREATE ROLE app LOGIN PASSWORD 'app-password-123456'`); err != nil {
		t.Fatal(err)
	}
	client := postgrestest.Connect(t, s.Direct(s.Pooler.Address, "app", "app-password-123456", "postgres"))
	sessions := Sessions{
		Look:   postgrestest.Connect(t, s.Direct(inv.Console.Address, "weir_monitor", postgrestest.Secrets.Monitor, "postgres")),
		Signal: postgrestest.Connect(t, s.Direct(inv.Console.Address, "weir", postgrestest.Secrets.Console, "weir")),
	}
	pid := int(client.PgConn().PID())

	if _, err := client.Exec(ctx, `SELECT pg_advisory_lock(1)`); err != nil {
		t.Fatal(err)
	}
	query := make(chan error, 1)
	go func() {
		_, err := client.Exec(ctx, `SELECT pg_sleep(60)`)
		query <- err
	}()
	second := postgrestest.Connect(t, s.Direct(s.Pooler.Address, "app", "app-password-123456", "postgres"))
	waited := make(chan error, 1)
	go func() {
		_, err := second.Exec(ctx, `SELECT pg_advisory_lock(1)`)
		waited <- err
	}()
	var found Backend
	for found.State != "active" || found.Waiting == 0 { // until the query runs and the other waits, or ctx ends
		var err error
		if found, err = sessions.Find(ctx, pid); err != nil {
			t.Fatal(err)
		}
	}
	if found.PID != pid || found.Type != "client backend" || found.User != "app" || found.Superuser || found.Started.IsZero() ||
		found.Waiting != 1 || found.Xact <= 0 || found.Xact > time.Minute || found.Address != s.Pooler.Address.String() {
		t.Errorf("%+v", found)
	}
	if waits, err := sessions.Find(ctx, int(second.PgConn().PID())); err != nil || waits.Waiting != 0 {
		t.Errorf("nobody waits for %+v: %v", waits, err)
	}
	if err := sessions.Cancel(ctx, pid); err != nil {
		t.Fatal(err)
	}
	var refused *pgconn.PgError
	if err := <-query; !errors.As(err, &refused) || refused.Code != "57014" { // query_canceled
		t.Errorf("the query ended with %v", err)
	}

	if err := sessions.Terminate(ctx, pid); err != nil {
		t.Fatal(err)
	}
	if err := <-waited; err != nil {
		t.Errorf("whom it blocked: %v", err)
	}
	if _, err := sessions.Find(ctx, pid); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("it is still there: %v", err)
	}
	if err := sessions.Terminate(ctx, pid); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("what is gone was ended: %v", err)
	}

	own := int(root.PgConn().PID())
	if found, err := sessions.Find(ctx, own); err != nil || !found.Superuser {
		t.Errorf("%+v %v", found, err)
	}
	if err := sessions.Terminate(ctx, own); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("a superuser's session: %v", err)
	}
	if err := root.Ping(ctx); err != nil {
		t.Errorf("a superuser's session was ended: %v", err)
	}
}
