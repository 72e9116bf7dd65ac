package sql_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/ops/postgres/postgrestest"
	"weir/sql"
)

var allMigrations = []string{"00001_incident.sql", "00002_sample.sql", "00003_account.sql", "00004_operation.sql", "00005_silence.sql", "00006_well.sql"}

func TestMigratingASecondTimeChangesNothing(t *testing.T) {
	s := shared(t)
	config := pooled(s, s.Create(t, "template0"))
	ctx := deadline(t)
	if applied := must(sql.Migrate(ctx, config))(t); !slices.Equal(applied, allMigrations) {
		t.Errorf("first: applied %q, want %q", applied, allMigrations)
	}
	if applied := must(sql.Migrate(ctx, config))(t); len(applied) != 0 {
		t.Errorf("second: applied %q, want nothing", applied)
	}
}

// The pool has two server connections. The first starter is held up in its first migration until
// all have come: were they not to take turns, two would be in it; were they to wait for their turn
// inside the database, the first would get no connection to migrate with.
func TestOfFiveStartersThroughATransactionPoolExactlyOneMigrates(t *testing.T) {
	s := shared(t)
	database := s.Create(t, "template0")
	ctx := deadline(t)
	hurdle := postgrestest.Connect(t, s.Weir(database))
	_, err := hurdle.Exec(ctx, "BEGIN; CREATE TABLE incident ()")
	try(t, err)

	config := pooled(s, database)
	dial, dialled := config.DialFunc, make(chan struct{}, 100)
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		defer func() { dialled <- struct{}{} }()
		return dial(ctx, network, addr)
	}
	applied, errs := make([][]string, 5), make([]error, 5)
	var all sync.WaitGroup
	for i := range applied {
		all.Go(func() { applied[i], errs[i] = sql.Migrate(ctx, config) })
	}
	for range len(applied) + 1 { // each asks for its turn, and one goes on to migrate
		select {
		case <-dialled:
		case <-ctx.Done():
			t.Fatal("wait for five starters:", ctx.Err())
		}
	}
	untilAnotherWaits(t, ctx, hurdle)
	_, err = hurdle.Exec(ctx, "ROLLBACK")
	try(t, err)

	all.Wait()
	try(t, errors.Join(errs...))
	migrated := 0
	for _, names := range applied {
		if len(names) > 0 {
			migrated++
		}
	}
	if names := slices.Concat(applied...); migrated != 1 || !slices.Equal(names, allMigrations) {
		t.Errorf("%d migrated: %q", migrated, applied)
	}
}

func TestAStarterWaitsForTheOneThatMigratesAndNotForADeadOne(t *testing.T) {
	s := shared(t)
	config := pooled(s, s.Create(t, "template0"))
	ctx := deadline(t)
	other := postgrestest.Connect(t, config)
	_, err := other.Exec(ctx, "BEGIN; SELECT pg_advisory_xact_lock(hashtext('weir migrate'))")
	try(t, err)

	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	_, err = sql.Migrate(short, config)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "wait for another migration") {
		t.Fatalf("while another migrates: %v", err)
	}
	try(t, other.PgConn().Conn().Close()) // as when its machine dies
	if applied := must(sql.Migrate(ctx, config))(t); !slices.Equal(applied, allMigrations) {
		t.Errorf("after it died: applied %q", applied)
	}
}

func TestADatabaseThatIsAwayIsAnErrorThatNamesIt(t *testing.T) {
	s := shared(t)
	_, err := sql.Migrate(deadline(t), s.Weir("nowhere"))
	if err == nil || !strings.HasPrefix(err.Error(), "migrate database nowhere: ") {
		t.Errorf("got %v", err)
	}
}
