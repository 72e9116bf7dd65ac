package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

var query = queries.New()

// audit is the runbook's journal in PostgreSQL.
type audit struct{ db queries.DBTX }

// Record implements runbook.Journal.
func (a audit) Record(ctx context.Context, e runbook.Entry) error {
	detail, err := json.Marshal(append([]string{}, e.Detail...))
	if err != nil {
		return fmt.Errorf("record audit: %w", err)
	}
	return query.AuditAdd(ctx, a.db, queries.AuditAddParams{ID: e.ID, At: e.At, ActorKind: string(e.Actor.Kind), ActorName: e.Actor.Name,
		Verb: string(e.Verb), Subject: e.Subject, Reason: e.Reason, Outcome: string(e.Result), Detail: detail, TookMs: e.Took.Milliseconds(),
		ActorID: nonZero(e.Actor.ID), Address: nonZero(e.Actor.Address)})
}

func nonZero[T int64 | netip.Addr](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// pauses are where the monitor finds them. The pool goes to PostgreSQL directly: behind paused pools
// nobody could end the pause.
type pauses struct{ direct *pgxpool.Pool }

// Save implements runbook.Pauses: all of them or none.
func (p pauses) Save(ctx context.Context, list []runbook.Paused) error {
	return pgx.BeginFunc(ctx, p.direct, func(tx pgx.Tx) error {
		for _, is := range list {
			row := queries.PauseSaveParams{Pooler: is.Pooler, Database: is.Database, PausedBy: is.By, Reason: is.Reason, PausedAt: is.At, ExpiresAt: is.Expires}
			if err := query.PauseSave(ctx, tx, row); err != nil {
				return fmt.Errorf("save pause of %s: %w", is.Pooler, err)
			}
		}
		return nil
	})
}

// Forget implements runbook.Pauses.
func (p pauses) Forget(ctx context.Context, is runbook.Paused) error {
	_, err := query.PauseDelete(ctx, p.direct, queries.PauseDeleteParams{Pooler: is.Pooler, Database: is.Database, PausedAt: is.At})
	return err
}

// List implements runbook.Pauses.
func (p pauses) List(ctx context.Context) (list []runbook.Paused, err error) {
	rows, err := query.PauseList(ctx, p.direct)
	for _, r := range rows {
		list = append(list, runbook.Paused{Pooler: r.Pooler, Database: r.Database, By: r.PausedBy, Reason: r.Reason,
			At: r.PausedAt.UTC(), Expires: r.ExpiresAt.UTC()})
	}
	return list, err
}

// incidents are what people say about incidents: rows that the monitor reads before it speaks.
type incidents struct{ db queries.DBTX }

// Acknowledge implements runbook.Incidents.
func (i incidents) Acknowledge(ctx context.Context, id, by, reason string, at time.Time) error {
	_, err := query.IncidentAcknowledge(ctx, i.db, queries.IncidentAcknowledgeParams{ID: id, By: by, Reason: reason, At: at})
	if !errors.Is(err, pgx.ErrNoRows) {
		return away(err)
	}
	is, err := query.IncidentGet(ctx, i.db, id)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fault.Errorf(fault.NotFound, "There is no such incident.")
	case err != nil:
		return away(err)
	case is.AcknowledgedBy != nil:
		return fault.Errorf(fault.Conflict, "%s acknowledged it before.", *is.AcknowledgedBy)
	}
	return fault.Errorf(fault.Conflict, "The incident is over.")
}

// Silence implements runbook.Incidents.
func (i incidents) Silence(ctx context.Context, s runbook.Silenced) (int64, error) {
	row, err := query.SilenceCreate(ctx, i.db, queries.SilenceCreateParams{Cause: s.Cause, Subject: s.Subject, Reason: s.Reason, CreatedBy: s.By,
		CreatedAt: s.At, StartsAt: s.At, EndsAt: s.Until})
	return row.ID, away(err)
}

// Unsilence implements runbook.Incidents.
func (i incidents) Unsilence(ctx context.Context, id int64, by string, at time.Time) error {
	_, err := query.SilenceEnd(ctx, i.db, queries.SilenceEndParams{ID: id, By: by, At: at})
	if !errors.Is(err, pgx.ErrNoRows) {
		return away(err)
	}
	if _, err := query.SilenceGet(ctx, i.db, id); !errors.Is(err, pgx.ErrNoRows) {
		if err != nil {
			return away(err)
		}
		return fault.Errorf(fault.Conflict, "The silence is over.")
	}
	return fault.Errorf(fault.NotFound, "There is no such silence.")
}

// away says that PostgreSQL did not take it, when that is why.
func away(err error) error {
	var answer *pgconn.PgError
	if err == nil || errors.As(err, &answer) && answer.Code[:2] != "08" && answer.Code[:2] != "53" && answer.Code[:2] != "57" {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "PostgreSQL does not answer. Try again when it does.")
}

// Test implements runbook.Incidents: a row that the monitor finds.
func (i incidents) Test(ctx context.Context, channel string, at time.Time) error {
	err := query.NotificationTestAdd(ctx, i.db, queries.NotificationTestAddParams{ID: newID(), Channel: channel, CreatedAt: at})
	return away(err)
}
