package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func TestWhoMayConnectDirectly(t *testing.T) {
	h := running(t)
	pooler, elsewhere := inv.PgBouncer.Poolers[2].Address, inv.HAProxy.Nodes[0].Address
	for _, row := range []struct {
		sentence                 string
		from                     inventory.Addr
		user, password, database string
		allowed                  bool
	}{
		{"the monitor probes", inv.Monitor.Address, "weir_monitor", secrets.Monitor, "postgres", true},
		{"the console keeps its records", inv.Console.Address, "weir", secrets.Console, "weir", true},
		{"the superuser administers from the network", elsewhere, "postgres", secrets.Postgres, "postgres", true},
		{"the superuser with a wrong password", elsewhere, "postgres", "wrong-password-1234", "postgres", false},
		{"the console's role from another machine", elsewhere, "weir", secrets.Console, "weir", false},
		{"the monitor's role from another machine", elsewhere, "weir_monitor", secrets.Monitor, "postgres", false},
		{"the monitor's role from a pooler", pooler, "weir_monitor", secrets.Monitor, "postgres", false},
		{"the monitor's role in Weir's database", inv.Monitor.Address, "weir_monitor", secrets.Monitor, "weir", false},
		{"the poolers' role from a pooler", pooler, "weir_auth", secrets.Auth, "postgres", true},
		{"the poolers' role from the monitor", inv.Monitor.Address, "weir_auth", secrets.Auth, "postgres", false},
		{"an application's role from a pooler", pooler, "weir", secrets.Console, "weir", true},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			ctx := deadline(t)
			conn, err := pgx.ConnectConfig(ctx, h.Direct(row.from, row.user, row.password, row.database))
			if err == nil {
				conn.Close(ctx)
			}
			if (err == nil) != row.allowed {
				t.Errorf("error: %v; allowed: %v", err, row.allowed)
			}
		})
	}
}

func TestTheServerRunsWithWhatWasRendered(t *testing.T) {
	h, ctx := running(t), deadline(t)
	conn := h.Superuser(t)
	for setting, want := range map[string]string{
		"max_connections": "250", "reserved_connections": "20", "superuser_reserved_connections": "5",
		"shared_buffers": "1GB", "password_encryption": "scram-sha-256", "data_checksums": "on",
		"shared_preload_libraries": "pg_stat_statements", "tcp_keepalives_idle": "30", "jit": "off",
		"lc_collate": "C.UTF-8", "server_encoding": "UTF8", "TimeZone": "UTC",
	} {
		query := `SELECT current_setting($1)`
		if setting == "lc_collate" { // of the database, not a setting since version 16
			query = `SELECT datcollate FROM pg_database WHERE datname = current_database() AND $1 <> ''`
		}
		var got string
		if err := conn.QueryRow(ctx, query, setting).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", setting, got, err, want)
		}
	}
	var mistakes, statements int
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL`).Scan(&mistakes); err != nil || mistakes > 0 {
		t.Errorf("%d mistakes in postgresql.conf, %v", mistakes, err)
	}
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL`).Scan(&mistakes); err != nil || mistakes > 0 {
		t.Errorf("%d mistakes in pg_hba.conf, %v", mistakes, err)
	}
	if err := conn.QueryRow(ctx, `SELECT count(*) FROM pg_stat_statements`).Scan(&statements); err != nil || statements == 0 {
		t.Errorf("%d statements counted, %v", statements, err)
	}
}

func TestAnotherStartLeavesTheDatabaseAlone(t *testing.T) {
	h := running(t)
	before, err := h.Run("stat", "--format=%i %Y", postgres.DataDirectory+"/PG_VERSION")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Run("/etc/weir/postgres-prepare.sh"); err != nil {
		t.Fatal(err)
	}
	if after, err := h.Run("stat", "--format=%i %Y", postgres.DataDirectory+"/PG_VERSION"); err != nil || after != before {
		t.Errorf("before %s, after %s, %v", before, after, err)
	}
}

func TestADatabaseLeftHalfMadeIsMadeAnew(t *testing.T) {
	h := emptyHost(t)
	half := postgres.DataDirectory + ".new"
	if _, err := h.Run("sh", "-c", "mkdir -p "+half+"/base && echo 17 >"+half+"/PG_VERSION"); err != nil {
		t.Fatal(err)
	}
	if err := h.Launch(deadline(t), postgres.Processes(inv)[0]); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run("ls", "-A", "/var/lib/postgresql/17"); err != nil || strings.Contains(out, "weir.new") {
		t.Errorf("left over: %s, %v", out, err)
	}
}

func TestFilesThatAreNoDatabaseAreNotOverwritten(t *testing.T) {
	h := emptyHost(t)
	if _, err := h.Run("sh", "-c", "mkdir -p "+postgres.DataDirectory+" && echo precious >"+postgres.DataDirectory+"/notes"); err != nil {
		t.Fatal(err)
	}
	if out, err := h.Run("/etc/weir/postgres-prepare.sh"); err == nil || !strings.Contains(out, "move them away") {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := h.Run("cat", postgres.DataDirectory+"/notes"); err != nil || out != "precious\n" {
		t.Errorf("notes: %q, %v", out, err)
	}
}

// emptyHost has the files and has never started.
func emptyHost(t *testing.T) *postgrestest.Host {
	t.Helper()
	files, err := postgres.Render(inv, secrets)
	if err != nil {
		t.Fatal(err)
	}
	return postgrestest.Own(t, inv.Postgres.Address, files)
}

func TestAProbeTellsHowTheServerIs(t *testing.T) {
	h, ctx := running(t), deadline(t)
	client, err := postgres.New(login("weir_monitor", secrets.Monitor, "postgres"), h.DialFrom(inv.Monitor.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(context.Background())
	calm, err := client.Probe(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(calm.Version, "17.") || calm.Address != inv.Postgres.Address.Addr || calm.Port != inv.Postgres.Port || calm.InRecovery ||
		calm.MaxConnections != 250 || calm.Connections < 1 || calm.LongestXactPID != 0 || calm.LongestXact != 0 ||
		calm.IdleInTransaction != 0 || calm.Blocked != 0 || calm.OldestXIDAge <= 0 || calm.OldestXIDDatabase == "" || time.Since(calm.StartTime) > time.Hour {
		t.Errorf("calm: %+v", calm)
	}

	holder := begin(t, ctx, h, `LOCK TABLE pg_description`)
	waiter := begin(t, ctx, h, `SELECT 1`)
	blocked := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(ctx, `LOCK TABLE pg_description`)
		blocked <- err
	}()
	busy := calm
	for busy.Blocked == 0 { // until the lock is waited for, or ctx ends
		if busy, err = client.Probe(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if busy.Connections != calm.Connections+2 || busy.IdleInTransaction != 1 || busy.LongestIdleInXact <= 0 || busy.Blocked != 1 ||
		busy.LongestXactPID != int(holder.PgConn().PID()) || busy.LongestXact < busy.LongestIdleInXact {
		t.Errorf("busy: %+v, holder %d", busy, holder.PgConn().PID())
	}
	if _, err := holder.Exec(ctx, `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	if err := <-blocked; err != nil {
		t.Error(err)
	}
}

// begin is a session of postgres in a transaction.
func begin(t *testing.T, ctx context.Context, h *postgrestest.Server, statement string) *pgx.Conn {
	t.Helper()
	conn := h.Superuser(t)
	for _, s := range []string{`BEGIN`, statement} {
		if _, err := conn.Exec(ctx, s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return conn
}

func TestDatabasesAreMeasuredTheLargestFirst(t *testing.T) {
	h, ctx := running(t), deadline(t)
	client, err := postgres.New(login("weir_monitor", secrets.Monitor, "postgres"), h.DialFrom(inv.Monitor.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(context.Background())
	sizes, err := client.Sizes(ctx)
	if err != nil || len(sizes) != 3 { // postgres, template1, weir
		t.Fatalf("%+v, %v", sizes, err)
	}
	for i, s := range sizes {
		if s.Bytes < 1<<20 || i > 0 && s.Bytes > sizes[i-1].Bytes {
			t.Errorf("%+v", sizes)
		}
	}
}

func TestAProbeSurvivesItsConnection(t *testing.T) {
	h, ctx := running(t), deadline(t)
	client, err := postgres.New(login("weir_monitor", secrets.Monitor, "postgres"), h.DialFrom(inv.Monitor.Address))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close(context.Background())
	if _, err := client.Probe(ctx); err != nil {
		t.Fatal(err)
	}
	root := h.Superuser(t)
	var ended int
	if err := root.QueryRow(ctx, `SELECT count(*) FROM (SELECT pg_terminate_backend(pid, 5000) AS gone FROM pg_stat_activity
		WHERE usename = 'weir_monitor') s WHERE gone`).Scan(&ended); err != nil || ended == 0 {
		t.Fatalf("ended %d sessions, %v", ended, err)
	}
	if _, err := client.Probe(ctx); err != nil {
		t.Errorf("the next probe: %v", err)
	}
	late, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := client.Probe(late); err == nil {
		t.Error("a probe outlived its context")
	}
	if _, err := client.Probe(ctx); err != nil {
		t.Errorf("after a probe that was given up: %v", err)
	}
}
