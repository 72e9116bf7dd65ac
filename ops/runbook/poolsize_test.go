package runbook

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
)

func TestAPauseThatNeverBeganLeavesNoPoolAtOneConnection(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := postgrestest.Serve(inv, postgres.Render, postgres.Processes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	if err := s.ServePooler(pgbouncer.Render, pgbouncer.Processes); err != nil {
		t.Fatal(err)
	}
	console, err := pgbouncer.New(s.Pooler, inv.PgBouncer.Port, "weir_admin", postgrestest.Secrets.Admin, s.DialFrom(inv.Console.Address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { console.Close(context.Background()) })
	size := func() string {
		t.Helper()
		config, err := console.Config(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return config[slices.IndexFunc(config, func(s pgbouncer.Setting) bool { return s.Key == "default_pool_size" })].Value
	}
	files, dead := strconv.Itoa(inv.PgBouncer.PoolSize), postgrestest.Connect(t, s.Pooled(inv.Console.Address, "weir_admin", postgrestest.Secrets.Admin, "pgbouncer"))
	world := newChain()
	r := world.runbook()
	r.Poolers[s.Pooler.Name] = console
	for _, c := range []struct {
		sentence string
		end      func() error
	}{
		{"the expiry takes the size back", func() error {
			world.pauses.list = []Paused{{Pooler: s.Pooler.Name, Expires: time.Now()}}
			_, err := r.ExpirePauses(ctx, time.Now())
			return err
		}},
		{"so does that of one database", func() error {
			world.pauses.list = []Paused{{Pooler: s.Pooler.Name, Database: "postgres", Expires: time.Now()}}
			_, err := r.ExpirePauses(ctx, time.Now())
			return err
		}},
		{"a resume does", func() error {
			_, err := r.Do(ctx, operator, Order{Verb: Resume, Host: s.Pooler.Name})
			return err
		}},
		{"so does that of one database", func() error {
			_, err := r.Do(ctx, operator, Order{Verb: Resume, Host: s.Pooler.Name, Database: "postgres"})
			return err
		}},
	} {
		// What a server leaves that dies between the two orders of which Client.Pause consists.
		if _, err := dead.PgConn().Exec(ctx, "SET default_pool_size = 1").ReadAll(); err != nil || size() != "1" {
			t.Fatalf("%s: the pools have %s: %v", c.sentence, size(), err)
		}
		if err := c.end(); err != nil || size() != files {
			t.Errorf("%s: the pools have %s, and the file says %s: %v", c.sentence, size(), files, err)
		}
		if len(world.pauses.list) > 0 {
			t.Errorf("%s: the record stays", c.sentence)
		}
	}
}
