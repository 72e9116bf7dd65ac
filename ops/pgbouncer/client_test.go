package pgbouncer_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func TestTheConsoleIsReadByTheMonitor(t *testing.T) {
	c, ctx := running(t), deadline(t)
	app := c.application(t)
	var backend int64
	if _, err := app.Exec(ctx, `BEGIN`); err != nil {
		t.Fatal(err)
	}
	if err := app.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&backend); err != nil {
		t.Fatal(err)
	}
	console := c.admin(t, "weir_monitor", secrets.Monitor)

	if v, err := console.Version(ctx); err != nil || !strings.HasPrefix(v, "PgBouncer 1.") {
		t.Errorf("version: %q, %v", v, err)
	}
	if s, err := console.State(ctx); err != nil || s != (pgbouncer.State{Active: true}) {
		t.Errorf("state: %+v, %v", s, err)
	}
	pools, err := console.Pools(ctx)
	if i := slices.IndexFunc(pools, func(p pgbouncer.Pool) bool { return p.Database == "postgres" && p.User == "postgres" }); err != nil || i < 0 || pools[i].SvActive != 1 {
		t.Errorf("pools: %+v, %v", pools, err)
	}
	stats, err := console.Stats(ctx)
	if i := slices.IndexFunc(stats, func(s pgbouncer.Stat) bool { return s.Database == "postgres" }); err != nil || i < 0 || stats[i].TotalQueryCount == 0 {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	if lists, err := console.Lists(ctx); err != nil || lists["used_clients"] < 2 {
		t.Errorf("lists: %v, %v", lists, err)
	}
	databases, err := console.Databases(ctx)
	if i := slices.IndexFunc(databases, func(d pgbouncer.Database) bool { return d.Name == "postgres" }); err != nil || i < 0 || databases[i].MaxConnections != 3 {
		t.Errorf("databases: %+v, %v", databases, err)
	}
	config, err := console.Config(ctx)
	if !slices.Contains(config, pgbouncer.Setting{Key: "server_login_retry", Value: "0.1", Default: "15", Changeable: true}) {
		t.Errorf("config: %+v, %v", config, err)
	}
	if pid := backendOf(t, ctx, console, app.PgConn()); pid != backend {
		t.Errorf("the client's backend is %d, want %d", pid, backend)
	}
}

// backendOf goes from a client's address to its server connection, as an operator does.
func backendOf(t *testing.T, ctx context.Context, console *pgbouncer.Client, conn *pgconn.PgConn) int64 {
	t.Helper()
	clients, err := console.Clients(ctx)
	if err != nil {
		t.Fatal(err)
	}
	servers, err := console.Servers(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, cl := range clients {
		for _, sv := range servers {
			if strings.HasSuffix(conn.Conn().LocalAddr().String(), cl.Addr+":"+strconv.FormatInt(cl.Port, 10)) && cl.Link == sv.Ptr {
				return sv.RemotePID
			}
		}
	}
	t.Fatalf("no server connection of %s in %+v and %+v", conn.Conn().LocalAddr(), clients, servers)
	return 0
}

func TestTheMonitorMayNotGiveOrders(t *testing.T) {
	c, ctx := running(t), deadline(t)
	if err := c.admin(t, "weir_monitor", secrets.Monitor).Pause(ctx, ""); err == nil {
		t.Error("it paused the pooler")
	}
	if _, err := c.admin(t, "weir_monitor", "wrong-password-1234").Version(ctx); err == nil {
		t.Error("it read the version with a wrong password")
	}
}

func TestClientsWaitThroughAPause(t *testing.T) {
	c, ctx := running(t), deadline(t)
	console := c.admin(t, "weir_admin", secrets.Admin)
	app := c.application(t)
	if err := console.Pause(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if s, err := console.State(ctx); err != nil || s != (pgbouncer.State{Paused: true}) {
		t.Errorf("state: %+v, %v", s, err)
	}
	// What keeps the pools from growing into a pause is gone with it.
	config, err := console.Config(ctx)
	if err != nil || !slices.ContainsFunc(config, func(s pgbouncer.Setting) bool { return s.Key == "default_pool_size" && s.Value == "3" }) {
		t.Errorf("the pool size is not the file's: %v", err)
	}
	answered := make(chan error, 1)
	go func() {
		_, err := app.Exec(ctx, `SELECT 1`)
		answered <- err
	}()
	waitFor(t, ctx, "a client that waits", func() bool {
		pools, err := console.Pools(ctx)
		return err == nil && slices.ContainsFunc(pools, func(p pgbouncer.Pool) bool { return p.ClWaiting == 1 })
	})
	select {
	case err := <-answered:
		t.Errorf("the query was answered during the pause: %v", err)
	default:
	}
	if err := console.Resume(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Errorf("after the pause: %v", err)
	}
	if err := console.Resume(ctx, ""); err == nil {
		t.Error("a pooler that is not paused was resumed")
	}
}

func TestAPauseThatIsGivenUpLeavesNothingPaused(t *testing.T) {
	c, ctx := running(t), deadline(t)
	console := c.admin(t, "weir_admin", secrets.Admin)
	app := c.application(t)
	if _, err := app.Exec(ctx, `BEGIN`); err != nil {
		t.Fatal(err)
	}
	for _, database := range []string{"", "postgres"} {
		short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		defer cancel()
		if err := console.Pause(short, database); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("pause %q with an open transaction: %v", database, err)
		}
		waitFor(t, ctx, "a pooler that serves", func() bool {
			s, err := console.State(ctx)
			databases, err2 := console.Databases(ctx)
			return err == nil && err2 == nil && s.Active &&
				!slices.ContainsFunc(databases, func(d pgbouncer.Database) bool { return d.Paused })
		})
	}
}

func TestOrdersReachOneDatabase(t *testing.T) {
	c, ctx := running(t), deadline(t)
	console := c.admin(t, "weir_admin", secrets.Admin)
	c.application(t) // somebody is connected
	for _, order := range []struct {
		name string
		give func(context.Context, string) error
	}{{"reconnect", console.Reconnect}, {"pause", console.Pause}, {"resume", console.Resume}} {
		if err := order.give(ctx, "postgres"); err != nil {
			t.Errorf("%s: %v", order.name, err)
		}
	}
	if err := console.Reload(ctx); err != nil {
		t.Errorf("reload: %v", err)
	}
}

func TestTheClientFindsAPoolerThatWasRestarted(t *testing.T) {
	c, ctx := running(t), deadline(t)
	console := c.admin(t, "weir_admin", secrets.Admin)
	if _, err := console.Version(ctx); err != nil {
		t.Fatal(err)
	}
	stop := postgrestest.Connect(t, c.Pooled(c.Inv.Monitor.Address, "weir_admin", secrets.Admin, "pgbouncer"))
	stop.PgConn().Exec(ctx, "SHUTDOWN").ReadAll() // answered by the end of the connection
	stop.Close(ctx)
	// Not by a question: the kept connection shall be found dead only afterwards.
	waitFor(t, ctx, "the end of the pooler", func() bool {
		conn, err := c.Dial(ctx, "tcp", c.endpoint(c.Pooler.Address, c.Inv.PgBouncer.Port).String())
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
	if err := c.Launch(ctx, pgbouncer.Processes(c.Inv)[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := console.Version(ctx); err != nil {
		t.Errorf("the first question after the restart: %v", err)
	}
	if console.Ended() != 1 {
		t.Errorf("it counts %d ends of the pooler", console.Ended())
	}
}

func TestAQuestionEndsWithItsContext(t *testing.T) {
	c, ctx := running(t), deadline(t)
	console := c.admin(t, "weir_admin", secrets.Admin)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := console.Version(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("error: %v", err)
	}
	if _, err := console.Version(ctx); err != nil {
		t.Errorf("the next question: %v", err)
	}
}

func TestAQueryGoesThroughAsAnApplicationsDoes(t *testing.T) {
	c, ctx := running(t), deadline(t)
	login := postgres.Login{Endpoint: c.endpoint(c.Pooler.Address, c.Inv.PgBouncer.Port), User: "weir", Password: secrets.Console, Database: "weir"}
	p, err := postgres.Through(ctx, login, c.DialFrom(c.Inv.HAProxy.Nodes[0].Address))
	if err != nil {
		t.Fatal(err)
	}
	if p.Database != "weir" || p.User != "weir" || p.Server != c.endpoint(c.Inv.Postgres.Address, c.Inv.Postgres.Port) ||
		!strings.HasPrefix(p.Version, "17.") || p.Connected <= 0 || p.Elapsed <= p.Connected {
		t.Errorf("%+v", p)
	}
	login.Password = "wrong-password-1234"
	if _, err := postgres.Through(ctx, login, c.DialFrom(c.Inv.HAProxy.Nodes[0].Address)); err == nil {
		t.Error("a wrong password got through")
	}
}

// waitFor asks again until it is so; the pooler announces none of this.
func waitFor(t *testing.T, ctx context.Context, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("wait for %s: %v", what, ctx.Err())
		}
	}
}

// Because of this the monitor sends no query to wait in paused pools (ops/fleet, through).
func TestAClientThatGivesUpInAPauseKeepsItsPlaceUntilThePauseEnds(t *testing.T) {
	c := running(t)
	admin, ctx := c.admin(t, "weir_admin", secrets.Admin), deadline(t)
	clients := func() (n int) {
		t.Helper()
		list, err := admin.Clients(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Database != "pgbouncer" {
				n++
			}
		}
		return n
	}
	before := clients()
	if err := admin.Pause(ctx, ""); err != nil {
		t.Fatal(err)
	}
	defer admin.Resume(context.Background(), "")
	const tries = 3
	for range tries {
		limited, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
		if conn, err := pgx.ConnectConfig(limited, c.pooled("weir", secrets.Console, "weir")); err == nil {
			t.Error("a client logged in while everything is paused")
			conn.Close(ctx)
		}
		cancel()
	}
	if n := clients(); n != before+tries {
		t.Errorf("%d clients gave up, and the pooler has %d: had it none, they need not be spared", tries, n-before)
	}
	if err := admin.Resume(ctx, ""); err != nil {
		t.Fatal(err)
	}
	for clients() != before { // until the deadline
	}
}
