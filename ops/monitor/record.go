package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/incident"
	"weir/queries"
	"weir/sql"
)

const (
	rowsAtOnce  = 200 // of one transaction
	ticksAtOnce = 60
	writeLimit  = 10 * time.Second // of one transaction
	retryFirst  = time.Second
	retryLast   = 30 * time.Second
)

var query = queries.New()

// record writes what is in the journal to PostgreSQL, when it answers.
type record struct {
	journal *journal
	pool    *pgxpool.Pool
	answers chan struct{} // PostgreSQL answers again: try at once
	ready   chan struct{} // closed when the tables are there
	log     *slog.Logger
	retry   time.Duration // the first wait after a failure; each is twice as long as the one before
	away    time.Time     // since when it does not work; zero while it does
}

func newRecord(j *journal, pool *pgxpool.Pool, log *slog.Logger) *record {
	return &record{journal: j, pool: pool, answers: make(chan struct{}, 1), ready: make(chan struct{}), log: log, retry: retryFirst}
}

// answer says that PostgreSQL answers again. It never blocks.
func (r *record) answer() {
	select {
	case r.answers <- struct{}{}:
	default:
	}
}

// run writes until ctx ends. After a failure it waits, longer each time, or until answer is called.
func (r *record) run(ctx context.Context) {
	wait := r.retry
	for ctx.Err() == nil {
		err := r.write(ctx)
		if ctx.Err() != nil {
			return
		}
		r.tell(err)
		if err == nil {
			wait = r.retry
			select {
			case <-r.journal.added:
			case <-ctx.Done():
			}
			continue
		}
		again := time.NewTimer(wait)
		wait = min(2*wait, retryLast)
		select {
		case <-again.C:
		case <-r.answers:
			wait = r.retry
		case <-ctx.Done():
		}
		again.Stop()
	}
}

// tell logs when it begins to fail, and when that is over.
func (r *record) tell(err error) {
	switch {
	case err != nil && r.away.IsZero():
		r.away = time.Now()
		r.log.Warn("database does not take the record: it is kept here until then", "error", err)
	case err == nil && !r.away.IsZero():
		r.log.Info("database has the whole record again", "after", time.Since(r.away).Round(time.Millisecond))
		r.away = time.Time{}
	}
}

// write empties the journal, incidents first. nil means it was empty.
func (r *record) write(ctx context.Context) error {
	if err := r.migrate(ctx); err != nil {
		return err
	}
	for _, next := range []func(context.Context) (bool, error){r.writeRows, r.writeTicks} {
		for more := true; more; {
			var err error
			if more, err = next(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// migrate makes the tables, once.
func (r *record) migrate(ctx context.Context) error {
	select {
	case <-r.ready:
		return nil
	default:
	}
	limited, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	applied, err := sql.Migrate(limited, r.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	if len(applied) > 0 {
		r.log.Info("database migrated", "applied", strings.Join(applied, " "))
	}
	close(r.ready)
	return nil
}

// writeRows writes the oldest rows in one transaction, and takes them out of the journal.
func (r *record) writeRows(ctx context.Context) (more bool, err error) {
	rows, err := oldest[row](r.journal, rowBucket, rowsAtOnce)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	err = r.commit(ctx, rows)
	if err != nil && refused(err) && len(rows) > 1 {
		return true, r.oneByOne(ctx, rows)
	}
	if err != nil && refused(err) {
		return true, r.setAside(rowBucket, rows[0].key, err)
	}
	if err != nil {
		return false, err
	}
	return true, r.journal.done(rows)
}

// oneByOne finds the row among many that PostgreSQL refuses.
func (r *record) oneByOne(ctx context.Context, rows []kept[row]) error {
	for _, one := range rows {
		err := r.commit(ctx, []kept[row]{one})
		switch {
		case err == nil:
			err = r.journal.done([]kept[row]{one})
		case refused(err):
			err = r.setAside(rowBucket, one.key, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *record) setAside(bucket, key []byte, why error) error {
	r.log.Error("database will never take this: set aside in the journal", "bucket", string(bucket), "key", fmt.Sprintf("%x", key), "error", why)
	return r.journal.setAside(bucket, key)
}

func (r *record) commit(ctx context.Context, rows []kept[row]) error {
	return r.within(ctx, func(ctx context.Context, tx pgx.Tx) error {
		for _, k := range rows {
			if err := writeRow(ctx, tx, k); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *record) within(ctx context.Context, do func(context.Context, pgx.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	return pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error { return do(ctx, tx) })
}

// errUnreadable is a row that this version cannot read.
var errUnreadable = errors.New("unreadable")

func writeRow(ctx context.Context, tx pgx.Tx, k kept[row]) error {
	switch {
	case k.bad != nil:
		return fmt.Errorf("%w: %w", errUnreadable, k.bad)
	case k.value.Transition != nil:
		return writeTransition(ctx, tx, *k.value.Transition)
	case k.value.Notification != nil:
		return query.NotificationSave(ctx, tx, *k.value.Notification)
	}
	return fmt.Errorf("%w: neither a transition nor a notification", errUnreadable)
}

// refused says that a row will not be taken however often it is tried: SQLSTATE class 22 is data
// that cannot be, 23 a constraint.
func refused(err error) bool {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		class := answer.Code[:min(2, len(answer.Code))]
		return class == "22" || class == "23"
	}
	return errors.Is(err, errUnreadable)
}

// writeTransition brings the incident to where the transition left it. One that the row knows of,
// or is past, changes nothing: above all it does not end a later incident of the same cause.
func writeTransition(ctx context.Context, tx pgx.Tx, t incident.Transition) error {
	i := t.Incident
	is, err := query.IncidentGet(ctx, tx, i.ID)
	unknown := errors.Is(err, pgx.ErrNoRows)
	if err != nil && !unknown {
		return err
	}
	if unknown || is.Seq < i.Seq {
		if err := writeIncident(ctx, tx, t, unknown, is.ResolvedAt != nil); err != nil {
			return fmt.Errorf("write incident %s: %w", i.ID, err)
		}
	}
	return query.IncidentEventAdd(ctx, tx, queries.IncidentEventAddParams{
		IncidentID: i.ID, Seq: i.Seq, At: t.At, Kind: string(t.Kind), FromState: string(t.From), ToState: string(t.To),
		Text: t.Text, Evidence: list(i.Evidence),
	})
}

func writeIncident(ctx context.Context, tx pgx.Tx, t incident.Transition, unknown, over bool) error {
	i := t.Incident
	if unknown || over { // of one cause one may be open
		_, err := query.IncidentSupersede(ctx, tx, queries.IncidentSupersedeParams{ID: i.ID, Cause: i.Cause, ResolvedAt: t.At})
		if err != nil {
			return err
		}
	}
	if unknown {
		err := query.IncidentOpen(ctx, tx, queries.IncidentOpenParams{
			ID: i.ID, Cause: i.Cause, Subject: i.Subject, Severity: string(i.Severity), State: string(i.State), Planned: i.Planned,
			Title: i.Title, Impact: i.Impact, Action: i.Action, Flaps: int32(i.Flaps), Symptoms: list(i.Symptoms),
			Evidence: list(i.Evidence), Seq: i.Seq, OpenedAt: i.OpenedAt,
		})
		if err != nil {
			return err
		}
	}
	if over {
		if _, err := query.IncidentReopen(ctx, tx, i.ID); err != nil {
			return err
		}
	}
	_, err := query.IncidentUpdate(ctx, tx, queries.IncidentUpdateParams{
		ID: i.ID, Severity: string(i.Severity), State: string(i.State), Planned: i.Planned, Title: i.Title, Impact: i.Impact,
		Action: i.Action, Flaps: int32(i.Flaps), Symptoms: list(i.Symptoms), Evidence: list(i.Evidence), WellSeconds: i.Well.Seconds(),
		Seq: i.Seq, UpdatedAt: t.At,
	})
	if err != nil || i.ResolvedAt.IsZero() {
		return err
	}
	_, err = query.IncidentResolve(ctx, tx, queries.IncidentResolveParams{ID: i.ID, Seq: i.Seq, ResolvedAt: i.ResolvedAt})
	return err
}

// list is a JSON list, also of nothing.
func list(lines []string) json.RawMessage {
	body, err := json.Marshal(append([]string{}, lines...))
	if err != nil {
		panic(err) // strings
	}
	return body
}

// writeTicks writes the oldest samples, and takes them out of the journal.
func (r *record) writeTicks(ctx context.Context) (more bool, err error) {
	ticks, err := oldest[tick](r.journal, sampleBucket, ticksAtOnce)
	if err != nil || len(ticks) == 0 {
		return false, err
	}
	err = r.commitTicks(ctx, ticks)
	if err != nil && refused(err) {
		for _, one := range ticks {
			err := r.commitTicks(ctx, []kept[tick]{one})
			switch {
			case err == nil:
				err = r.journal.doneTicks([]kept[tick]{one})
			case refused(err):
				err = r.setAside(sampleBucket, one.key, err)
			}
			if err != nil {
				return false, err
			}
		}
		return true, nil
	}
	if err != nil {
		return false, err
	}
	return true, r.journal.doneTicks(ticks)
}

func (r *record) commitTicks(ctx context.Context, ticks []kept[tick]) error {
	var all queries.SampleAddParams
	for _, k := range ticks {
		if k.bad != nil {
			return fmt.Errorf("%w: %w", errUnreadable, k.bad)
		}
		for _, s := range k.value.Samples {
			all.Ats = append(all.Ats, k.value.At)
			all.Metrics, all.Subjects, all.Vals = append(all.Metrics, s.Metric), append(all.Subjects, s.Subject), append(all.Vals, s.Value)
		}
	}
	if len(all.Ats) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	for _, k := range ticks { // day by day: a clock that was set years on left no samples in between
		if err := sql.PartitionCreate(limited, r.pool, k.value.At, k.value.At); err != nil {
			return err
		}
	}
	_, err := query.SampleAdd(limited, r.pool, all)
	return err
}
