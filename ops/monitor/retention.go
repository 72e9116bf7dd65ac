package main

import (
	"context"
	"errors"
	"time"

	"weir/queries"
	"weir/sql"
)

const (
	tidyEvery  = 5 * time.Minute
	tidyAgain  = time.Minute // after a failure
	tidyLimit  = 30 * time.Second
	aheadBy    = 48 * time.Hour
	rollAtOnce = 6 * time.Hour // a roll-up of days is made in parts
)

// retain keeps the tables of samples in shape until ctx ends: partitions ahead, hours rolled up,
// what is too old gone.
func (r *record) retain(ctx context.Context) {
	select {
	case <-r.ready:
	case <-ctx.Done():
		return
	}
	for wait, failing := time.Duration(0), false; pause(ctx, wait); {
		err := r.tidy(ctx, time.Now())
		wait = tidyEvery
		if err != nil {
			wait = tidyAgain
		}
		if err != nil && ctx.Err() == nil && !failing {
			r.log.Warn("samples could not be rolled up or dropped: it is tried again every minute", "error", err)
		}
		failing = err != nil
	}
}

func (r *record) tidy(ctx context.Context, now time.Time) error {
	limited := func(do func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, tidyLimit)
		defer cancel()
		return do(ctx)
	}
	// Samples are dropped after the hours were made of them, and only then.
	rolled := r.rollUp(ctx, now, limited)
	var dropped error
	if rolled == nil {
		dropped = limited(func(ctx context.Context) error {
			_, err := sql.PartitionDrop(ctx, r.pool, now.Add(-sql.SampleAge))
			return err
		})
	}
	return errors.Join(rolled, dropped,
		limited(func(ctx context.Context) error { return sql.PartitionCreate(ctx, r.pool, now, now.Add(aheadBy)) }),
		limited(func(ctx context.Context) error {
			_, err := query.SampleHourDelete(ctx, r.pool, now.Add(-sql.SampleHourAge))
			return err
		}))
}

// rollUp makes the hours of all samples that were written since the last time.
func (r *record) rollUp(ctx context.Context, now time.Time, limited func(func(context.Context) error) error) error {
	since, err := r.journal.rollBegin()
	if err != nil || since.IsZero() {
		return err
	}
	if oldest := now.Add(-sql.SampleAge); since.Before(oldest) { // what is older is gone, or a clock was wrong
		since = oldest
	}
	for ; !since.After(now); since = since.Add(rollAtOnce) {
		err := limited(func(ctx context.Context) error {
			_, err := query.SampleHourRollUp(ctx, r.pool, queries.SampleHourRollUpParams{Since: since, Until: since.Add(rollAtOnce)})
			return err
		})
		if err != nil {
			return err
		}
	}
	return r.journal.rollDone()
}
