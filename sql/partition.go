package sql

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// How long samples are kept: every one, and by the hour. SampleSeries reads accordingly.
const (
	SampleAge     = 14 * 24 * time.Hour
	SampleHourAge = 35 * 24 * time.Hour
)

const day = 24 * time.Hour

// Beginner is a pool or a connection.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// PartitionCreate makes the partitions of table sample for every UTC day from the one of since to
// the one of until. Those that are there cost one look; for a new one the table is locked for an
// instant, and when it cannot be had within a second the call fails and may be repeated.
func PartitionCreate(ctx context.Context, db Beginner, since, until time.Time) error {
	err := inTurn(ctx, db, func(tx pgx.Tx, there map[time.Time]string) error {
		for d := since.UTC().Truncate(day); !d.After(until); d = d.Add(day) {
			if _, ok := there[d]; ok {
				continue
			}
			_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TABLE %s PARTITION OF sample FOR VALUES FROM ('%s') TO ('%s')",
				partition(d), d.Format(time.RFC3339), d.Add(day).Format(time.RFC3339)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("create partitions of sample: %w", err)
	}
	return nil
}

// PartitionDrop drops the partitions of table sample whose day had ended by before, and names
// them. It locks as PartitionCreate does.
func PartitionDrop(ctx context.Context, db Beginner, before time.Time) (dropped []string, err error) {
	err = inTurn(ctx, db, func(tx pgx.Tx, there map[time.Time]string) error {
		for _, d := range slices.SortedFunc(maps.Keys(there), time.Time.Compare) {
			if d.Add(day).After(before) {
				break
			}
			if _, err := tx.Exec(ctx, "DROP TABLE "+there[d]); err != nil {
				return err
			}
			dropped = append(dropped, there[d])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("drop partitions of sample: %w", err)
	}
	return dropped, nil
}

// partition names the one of a day.
func partition(d time.Time) string { return d.Format("sample_20060102") }

// inTurn has do change the partitions in a transaction, one caller after the other.
func inTurn(ctx context.Context, db Beginner, do func(pgx.Tx, map[time.Time]string) error) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	// Waiting longer would make every reader and the monitor's inserts queue up behind.
	if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '1s'"); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtext('weir partition'))"); err != nil {
		return err
	}
	there, err := partitions(ctx, tx)
	if err != nil {
		return err
	}
	if err := do(tx, there); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// partitions of table sample by their day, 00:00 UTC.
func partitions(ctx context.Context, tx pgx.Tx) (map[time.Time]string, error) {
	rows, err := tx.Query(ctx, `SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'sample'::regclass ORDER BY c.relname`)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	there := make(map[time.Time]string, len(names))
	for _, name := range names {
		d, err := time.Parse("sample_20060102", name)
		if err != nil {
			return nil, fmt.Errorf("%s is not a partition of ours: %w", name, err)
		}
		there[d] = name
	}
	return there, nil
}
