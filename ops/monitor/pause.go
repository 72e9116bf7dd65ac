package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fleet"
	"weir/ops/pgbouncer"
	"weir/ops/runbook"
	"weir/queries"
)

const (
	pauseEvery = time.Second
	auditEvery = 5 * time.Second
)

// newRunbook is as much of the runbook as ending overdue pauses takes.
func (m *monitor) newRunbook(dial fleet.Dial) (*runbook.Runbook, error) {
	s := m.settings
	poolers := map[string]runbook.Pooler{}
	for _, n := range s.inventory.PgBouncer.Poolers {
		c, err := pgbouncer.New(n, s.inventory.PgBouncer.Port, "weir_admin", s.secrets.Admin, pgbouncer.Dial(dial))
		if err != nil {
			return nil, err
		}
		m.consoles = append(m.consoles, c)
		poolers[n.Name] = c
	}
	pauses := &pauseRows{path: filepath.Join(s.state, "pauses.json"), db: m.pool, log: m.log}
	if err := load(pauses.path, &pauses.last); err != nil {
		return nil, err
	}
	spool, err := runbook.NewDirSpool(filepath.Join(s.state, "audit"))
	if err != nil {
		return nil, err
	}
	return runbook.New(runbook.Deps{Inventory: s.inventory, Fleet: m.hub, Poolers: poolers, Pauses: pauses,
		Journal: auditRows{m.pool}, Spool: spool, NewID: newID}), nil
}

// expirePauses ends every overdue pause, and brings the audit of it to PostgreSQL, until ctx ends.
func expirePauses(ctx context.Context, book *runbook.Runbook, log *slog.Logger) {
	var failing bool
	var strays []runbook.Stray
	var audited time.Time
	for again := true; again; again = pause(ctx, pauseEvery) {
		found, err := book.ExpirePauses(ctx, time.Now())
		for _, p := range found.Ended {
			log.Info("a pause ended by itself", "pause", p)
		}
		for _, s := range found.Strays {
			if !reflect.DeepEqual(strays, found.Strays) {
				log.Warn(s.String())
			}
		}
		strays = found.Strays
		if err != nil && !failing && ctx.Err() == nil {
			log.Warn("pauses are ended by the records read last", "error", err)
		}
		failing = err != nil
		if err == nil && time.Since(audited) >= auditEvery {
			audited = time.Now()
			if _, err := book.DeliverAudit(ctx); err != nil && ctx.Err() == nil {
				log.Warn("audit is not delivered", "error", err)
			}
		}
	}
}

// pauseRows are the records of pauses. After a restart without PostgreSQL they are, once, those that
// were read last.
type pauseRows struct {
	path  string
	db    queries.DBTX
	last  []runbook.Paused
	log   *slog.Logger
	asked bool // by this process

	unsaved error // why they are not on disk; nil: they are
}

// List implements runbook.Pauses. It is called by one goroutine at a time.
func (p *pauseRows) List(ctx context.Context) ([]runbook.Paused, error) {
	rows, err := query.PauseList(ctx, p.db)
	first := !p.asked
	p.asked = true
	var answer *pgconn.PgError
	switch {
	case errors.As(err, &answer) && answer.Code == "42P01": // undefined_table: nothing was ever paused
		return nil, nil
	case err != nil && first:
		return p.last, nil
	case err != nil:
		return nil, err
	}
	var list []runbook.Paused
	for _, r := range rows {
		list = append(list, runbook.Paused{Pooler: r.Pooler, Database: r.Database, By: r.PausedBy, Reason: r.Reason,
			At: r.PausedAt.UTC(), Expires: r.ExpiresAt.UTC()})
	}
	if p.unsaved != nil || !reflect.DeepEqual(list, p.last) {
		p.last = list
		if p.unsaved = save(p.path, list); p.unsaved != nil { // no reason not to end them
			p.log.Error("records of pauses are not on disk", "error", p.unsaved)
		}
	}
	return list, nil
}

// Forget implements runbook.Pauses.
func (p *pauseRows) Forget(ctx context.Context, is runbook.Paused) error {
	_, err := query.PauseDelete(ctx, p.db, queries.PauseDeleteParams{Pooler: is.Pooler, Database: is.Database, PausedAt: is.At})
	return err
}

// Save implements runbook.Pauses: the monitor ends pauses, and begins none.
func (p *pauseRows) Save(context.Context, []runbook.Paused) error {
	return errors.New("save pauses: the monitor gives no orders")
}

// auditRows is the audit in PostgreSQL.
type auditRows struct{ db queries.DBTX }

// Record implements runbook.Journal.
func (a auditRows) Record(ctx context.Context, e runbook.Entry) error {
	detail, err := json.Marshal(append([]string{}, e.Detail...))
	if err != nil {
		return fmt.Errorf("record audit: %w", err)
	}
	row := queries.AuditAddParams{ID: e.ID, At: e.At, ActorKind: string(e.Actor.Kind), ActorName: e.Actor.Name, Verb: string(e.Verb),
		Subject: e.Subject, Reason: e.Reason, Outcome: string(e.Result), Detail: detail, TookMs: e.Took.Milliseconds(),
		ActorID: nonZero(e.Actor.ID), Address: nonZero(e.Actor.Address)}
	return query.AuditAdd(ctx, a.db, row)
}

func nonZero[T int64 | netip.Addr](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
