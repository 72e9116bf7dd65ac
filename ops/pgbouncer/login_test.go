package pgbouncer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWhoMayLogInThroughThePooler(t *testing.T) {
	c := running(t)
	c.sql(t,
		`CREATE ROLE app LOGIN PASSWORD 'app-password-123456'`,
		`CREATE ROLE expired LOGIN PASSWORD 'app-password-123456' VALID UNTIL '2001-01-01'`,
		`CREATE ROLE expires_later LOGIN PASSWORD 'app-password-123456' VALID UNTIL '2101-01-01'`,
		`CREATE ROLE no_login NOLOGIN PASSWORD 'app-password-123456'`,
		`CREATE ROLE no_password LOGIN`)
	t.Cleanup(func() { c.sql(t, `DROP ROLE app, expired, expires_later, no_login, no_password`) })
	const password = "app-password-123456"
	for _, row := range []struct {
		sentence, user, password, database string
		allowed                            bool
	}{
		{"an application's role", "app", password, "postgres", true},
		{"with a wrong password", "app", "wrong-password-1234", "postgres", false},
		{"without a password", "app", "", "postgres", false},
		{"a role that expires in the next century", "expires_later", password, "postgres", true},
		{"an expired role", "expired", password, "postgres", false},
		{"a role that may not log in", "no_login", password, "postgres", false},
		{"a role without a password", "no_password", "", "postgres", false},
		{"a role that does not exist", "nobody_of_that_name", password, "postgres", false},
		{"an application's role in Weir's own database", "app", password, "weir", false},
		{"the console's role in its database", "weir", secrets.Console, "weir", true},
		{"the superuser, as this inventory says", "postgres", secrets.Postgres, "postgres", true},
		{"the poolers' own role", "weir_auth", secrets.Auth, "postgres", false},
		{"the monitor's role", "weir_monitor", secrets.Monitor, "postgres", false},
		{"the console's administrator", "weir_admin", secrets.Admin, "postgres", false},
		{"anybody in the pool of password look-ups", "app", password, "weir_auth", false},
		{"the health check's user in a database", "hc", secrets.Check, "postgres", false},
		{"the health check's user from behind HAProxy", "hc", secrets.Check, "pgbouncer", true},
		{"the health check's user from behind HAProxy, without its password", "hc", "", "pgbouncer", false},
		{"the health check's user from behind HAProxy, with another password", "hc", secrets.Monitor, "pgbouncer", false},
		{"the administrator from behind HAProxy", "weir_admin", secrets.Admin, "pgbouncer", false},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			ctx := deadline(t)
			conn, err := pgx.ConnectConfig(ctx, c.pooled(row.user, row.password, row.database))
			if err == nil {
				defer conn.Close(ctx)
				question := `SELECT 1`
				if row.database == "pgbouncer" {
					question = `SHOW VERSION` // the console knows no other queries
				}
				_, err = conn.Exec(ctx, question, pgx.QueryExecModeSimpleProtocol)
			}
			if (err == nil) != row.allowed {
				t.Errorf("error: %v; allowed: %v", err, row.allowed)
			}
		})
	}
}

func TestASuperuserIsRefusedWhereTheInventorySaysSo(t *testing.T) {
	c := running(t)
	const password = "root-password-12345"
	c.sql(t, `CREATE ROLE other_root SUPERUSER LOGIN PASSWORD '`+password+`'`)
	t.Cleanup(func() { c.sql(t, `DROP ROLE other_root`) })
	enter := func(user, password string) error {
		ctx := deadline(t)
		conn, err := pgx.ConnectConfig(ctx, c.pooled(user, password, "postgres"))
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, `SELECT 1`)
		return err
	}
	if err := enter("other_root", password); err != nil {
		t.Errorf("with superusers_through_vip: %v", err)
	}

	strict := *c.Inv
	strict.Postgres.SuperusersThroughVIP = false
	c.apply(t, &strict)
	t.Cleanup(func() { c.apply(t, c.Inv) })
	for user, password := range map[string]string{"other_root": password, "postgres": secrets.Postgres} {
		if err := enter(user, password); err == nil {
			t.Errorf("%s got in through the pooler", user)
		}
	}
	c.Superuser(t) // directly
}

// apply renders PostgreSQL's files anew and has them take effect.
func (c cluster) apply(t *testing.T, inv *inventory.Inventory) {
	t.Helper()
	files, err := postgres.Render(inv, secrets)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Write(files); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(postgres.Processes(inv)[0].After...); err != nil {
		t.Fatal(err)
	}
	c.sql(t, `SELECT pg_reload_conf()`)
	c.reloaded(t, inv.Postgres.SuperusersThroughVIP)
}

// reloaded waits until the pooler's address is judged by the new rules.
func (c cluster) reloaded(t *testing.T, superusers bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		conn, err := pgx.ConnectConfig(ctx, c.Direct(c.Pooler.Address, "postgres", secrets.Postgres, "postgres"))
		if err == nil {
			conn.Close(ctx)
		}
		if (err == nil) == superusers {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the new pg_hba.conf does not take effect: %v", err)
		}
	}
}

func TestTheHealthCheckReadsTheVersionFromHAProxyOnly(t *testing.T) {
	c, ctx := running(t), deadline(t)
	check := func(from inventory.Addr) (*pgconn.PgConn, error) {
		conn, err := pgx.ConnectConfig(ctx, c.Pooled(from, "hc", secrets.Check, "pgbouncer"))
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn.PgConn(), nil
	}
	for _, n := range c.Inv.HAProxy.Nodes {
		conn, err := check(n.Address)
		if err != nil {
			t.Errorf("from %s: %v", n.Name, err)
			continue
		}
		results, err := conn.Exec(ctx, "SHOW VERSION").ReadAll()
		if err != nil || len(results) != 1 || !strings.HasPrefix(string(results[0].Rows[0][0]), "PgBouncer") {
			t.Errorf("from %s: SHOW VERSION: %v, %v", n.Name, results, err)
		}
		for _, order := range []string{"PAUSE", "SHUTDOWN", "RELOAD", "KILL postgres", "SET max_client_conn=1"} {
			if _, err := conn.Exec(ctx, order).ReadAll(); err == nil {
				t.Errorf("from %s: it may %s", n.Name, order)
			}
		}
	}
	for _, from := range []inventory.Addr{c.Inv.Monitor.Address, c.Inv.Console.Address, c.Inv.Postgres.Address, c.Pooler.Address} {
		if _, err := check(from); err == nil {
			t.Errorf("from %s it got in", from)
		}
	}
}

func TestThePoolersRoleMayOnlyLookPasswordsUp(t *testing.T) {
	c, ctx := running(t), deadline(t)
	as := func(from inventory.Addr, database string) error {
		conn, err := pgx.ConnectConfig(ctx, c.Direct(from, "weir_auth", secrets.Auth, database))
		if err == nil {
			conn.Close(ctx)
		}
		return err
	}
	if as(c.Pooler.Address, "weir") == nil || as(c.Pooler.Address, "template1") == nil {
		t.Error("it got into a database other than postgres")
	}
	if as(c.Inv.Monitor.Address, "postgres") == nil {
		t.Error("it got in from a machine that is no pooler")
	}
	conn := postgrestest.Connect(t, c.Direct(c.Pooler.Address, "weir_auth", secrets.Auth, "postgres"))
	var verifier string
	if err := conn.QueryRow(ctx, `SELECT password FROM weir.pooler_lookup('weir')`).Scan(&verifier); err != nil ||
		!strings.HasPrefix(verifier, "SCRAM-SHA-256$") {
		t.Errorf("look up weir: %q, %v", verifier, err)
	}
	for _, forbidden := range []string{
		`SELECT rolpassword FROM pg_authid`,
		`SELECT passwd FROM pg_shadow`,
		`CREATE TABLE public.t (n int)`,
		`CREATE TABLE weir.t (n int)`,
		`CREATE OR REPLACE FUNCTION weir.pooler_lookup(rolename text) RETURNS TABLE (username text, password text) LANGUAGE sql AS 'SELECT 1, 2'`,
		`SET ROLE weir_lookup`,
		`SET ROLE weir`,
		`SELECT pg_read_file('/etc/passwd')`,
		`SELECT pg_reload_conf()`,
	} {
		_, err := conn.Exec(ctx, forbidden)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.Code != "42501" {
			t.Errorf("%s: %v, want insufficient privilege", forbidden, err)
		}
	}
}

func TestTheLookUpTellsOfNobodyWhoMayNotEnter(t *testing.T) {
	c, ctx := running(t), deadline(t)
	// Without the look-up's own judgement PostgreSQL would still refuse most of them, but not on
	// server connections that are open already.
	const password = ` LOGIN PASSWORD 'app-password-123456'`
	c.sql(t, `CREATE ROLE valid`+password, `CREATE ROLE expired VALID UNTIL '2001-01-01'`+password,
		`CREATE ROLE forever VALID UNTIL 'infinity'`+password, `CREATE ROLE no_login NOLOGIN PASSWORD 'app-password-123456'`)
	t.Cleanup(func() { c.sql(t, `DROP ROLE valid, expired, forever, no_login`) })
	conn := postgrestest.Connect(t, c.Direct(c.Pooler.Address, "weir_auth", secrets.Auth, "postgres"))
	for role, want := range map[string]int{"valid": 1, "forever": 1, "weir": 1, "postgres": 1,
		"expired": 0, "no_login": 0, "weir_auth": 0, "weir_monitor": 0, "weir_lookup": 0, "nobody": 0} {
		var rows int
		if err := conn.QueryRow(ctx, `SELECT count(*) FROM weir.pooler_lookup($1)`, role).Scan(&rows); err != nil || rows != want {
			t.Errorf("%s: %d rows, %v; want %d", role, rows, err, want)
		}
	}
}

func TestNobodyElseMayLookPasswordsUp(t *testing.T) {
	c, ctx := running(t), deadline(t)
	for user, password := range map[string]string{"weir": secrets.Console, "weir_monitor": secrets.Monitor} {
		conn := postgrestest.Connect(t, c.Direct(c.Inv.Monitor.Address, user, password, "postgres"))
		if _, err := conn.Exec(ctx, `SELECT * FROM weir.pooler_lookup('postgres')`); err == nil {
			t.Errorf("%s may", user)
		}
		// Not only because the schema is closed to it.
		var may bool
		if err := conn.QueryRow(ctx, `SELECT has_function_privilege(p.oid, 'EXECUTE') FROM pg_proc p WHERE proname = 'pooler_lookup'`).Scan(&may); err != nil || may {
			t.Errorf("%s has the privilege: %v, %v", user, may, err)
		}
	}
}

func TestPasswordsAreLookedUpWhileThePoolIsFull(t *testing.T) {
	c, ctx := running(t), deadline(t)
	for range c.Inv.PgBouncer.PoolSize {
		conn := c.application(t)
		if _, err := conn.Exec(ctx, `BEGIN`); err != nil {
			t.Fatal(err)
		}
	}
	late, err := pgx.ConnectConfig(ctx, c.pooled("postgres", secrets.Postgres, "postgres"))
	if err != nil {
		t.Fatalf("log in while the pool is full: %v", err)
	}
	defer late.Close(ctx)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := late.Exec(short, `SELECT 1`); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a query got past max_db_connections: %v", err)
	}
}

func TestPreparedStatementsWorkInTransactionMode(t *testing.T) {
	c, ctx := running(t), deadline(t)
	// Two clients take turns, so that a statement meets server connections that have not seen it.
	for range 2 {
		conn := c.application(t)
		for i := range 20 {
			var n int
			if err := conn.QueryRow(ctx, `SELECT $1::int + 1`, i).Scan(&n); err != nil || n != i+1 {
				t.Fatalf("query %d: %d, %v", i, n, err)
			}
		}
	}
	console := c.admin(t, "weir_monitor", secrets.Monitor)
	prepared := func(s pgbouncer.Socket) bool { return s.Serves() && s.PreparedStatements > 0 }
	for what, list := range map[string]func(context.Context) ([]pgbouncer.Socket, error){"clients": console.Clients, "servers": console.Servers} {
		if all, err := list(ctx); err != nil || !slices.ContainsFunc(all, prepared) {
			t.Errorf("none of the %s has a prepared statement: %+v, %v", what, all, err)
		}
	}
}

func TestBootstrappingAgainLeavesEveryPasswordAsItWas(t *testing.T) {
	c, ctx := running(t), deadline(t)
	conn := c.Superuser(t)
	verifiers := func() (all string) {
		err := conn.QueryRow(ctx, `SELECT string_agg(rolname || '=' || rolpassword, ' ' ORDER BY rolname) FROM pg_authid
			WHERE rolname IN ('postgres', 'weir', 'weir_auth', 'weir_monitor')`).Scan(&all)
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := verifiers()
	if _, err := c.Run(postgres.Processes(c.Inv)[0].After...); err != nil {
		t.Fatal(err)
	}
	if after := verifiers(); after != before || strings.Count(after, "SCRAM-SHA-256$4096:") != 4 {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}
