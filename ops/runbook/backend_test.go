package runbook

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

var secrets = inventory.Secrets{Postgres: "postgres-password-1", Auth: "auth-password-12345", Admin: "admin-password-1234",
	Monitor: "monitor-password-12", Console: "console-password-12", HAProxyStats: "statistics-password"}

// server is a real PostgreSQL with the default inventory's files, and the roles of bootstrap.sql.
func server(t *testing.T, ctx context.Context) *postgrestest.Host {
	t.Helper()
	h, err := postgrestest.Start(inv.Postgres.Address, inv.Console.Address, inv.PgBouncer.Poolers[0].Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Stop)
	files, err := postgres.Render(inv, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Write(files); err != nil {
		t.Fatal(err)
	}
	if err := h.Launch(ctx, postgres.Processes(inv)[0]); err != nil {
		t.Fatal(err)
	}
	return h
}

func session(t *testing.T, ctx context.Context, h *postgrestest.Host, from inventory.Addr, user, password, database string) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig("host=" + inv.Postgres.Address.String() + " sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.User, config.Password, config.Database = user, password, database
	config.DialFunc = h.DialFrom(from)
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestWeirsOwnRolesFindCancelAndEndAClientsBackend(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	h := server(t, ctx)
	root := session(t, ctx, h, inv.Console.Address, "postgres", secrets.Postgres, "postgres")
	if _, err := root.Exec(ctx, `CREATE ROLE app LOGIN PASSWORD 'app-password-123456'`); err != nil {
		t.Fatal(err)
	}
	client := session(t, ctx, h, inv.PgBouncer.Poolers[0].Address, "app", "app-password-123456", "postgres")
	sessions := Sessions{
		Look:   session(t, ctx, h, inv.Console.Address, "weir_monitor", secrets.Monitor, "postgres"),
		Signal: session(t, ctx, h, inv.Console.Address, "weir", secrets.Console, "weir"),
	}
	pid := int(client.PgConn().PID())

	query := make(chan error, 1)
	go func() {
		_, err := client.Exec(ctx, `SELECT pg_sleep(60)`)
		query <- err
	}()
	var found Backend
	for found.State != "active" { // until the query runs, or ctx ends
		var err error
		if found, err = sessions.Find(ctx, pid); err != nil {
			t.Fatal(err)
		}
	}
	if found.PID != pid || found.Type != "client backend" || found.User != "app" || found.Superuser || found.Started.IsZero() {
		t.Errorf("%+v", found)
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
