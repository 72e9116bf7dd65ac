package runbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
)

// Backend is one session of PostgreSQL.
type Backend struct {
	PID         int
	Started     time.Time
	Type        string // "client backend", or one of PostgreSQL's own
	User        string
	Superuser   bool
	Application string
	State       string // active, idle, idle in transaction, ...
}

// Backends are the sessions of PostgreSQL; Sessions is one implementation.
type Backends interface {
	// Find is one backend; NotFound when there is none.
	Find(ctx context.Context, pid int) (Backend, error)
	// Cancel has it give up its query.
	Cancel(ctx context.Context, pid int) error
	// Terminate ends it and waits until it is gone.
	Terminate(ctx context.Context, pid int) error
}

// DB runs one query; *pgx.Conn and *pgxpool.Pool are one.
type DB interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Sessions operates backends by SQL. Both connections go to PostgreSQL directly: a session that
// blocks the pools is to be ended just when nothing gets through them.
type Sessions struct {
	Look   DB // role weir_monitor: pg_monitor sees others' sessions
	Signal DB // role weir: pg_signal_backend (bootstrap.sql)
}

// Find implements Backends.
func (s Sessions) Find(ctx context.Context, pid int) (Backend, error) {
	b := Backend{PID: pid}
	err := s.Look.QueryRow(ctx, `
		SELECT coalesce(a.backend_type, ''), a.backend_start, coalesce(a.usename::text, ''), coalesce(r.rolsuper, false),
		       coalesce(a.application_name, ''), coalesce(a.state, '')
		  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
		 WHERE a.pid = $1`, pid).Scan(&b.Type, &b.Started, &b.User, &b.Superuser, &b.Application, &b.State)
	if errors.Is(err, pgx.ErrNoRows) {
		return Backend{}, fault.Errorf(fault.NotFound, "There is no backend %d any more.", pid)
	}
	if err != nil {
		return Backend{}, fault.Wrap(fault.Unavailable, err, "PostgreSQL does not say what backend %d is.", pid)
	}
	return b, nil
}

// Cancel implements Backends.
func (s Sessions) Cancel(ctx context.Context, pid int) error {
	return s.signal(ctx, `SELECT pg_cancel_backend($1)`, pid)
}

// terminateWait is how long a backend may take to end: it notices between two steps of its work.
const terminateWait = 5 * time.Second

// Terminate implements Backends.
func (s Sessions) Terminate(ctx context.Context, pid int) error {
	return s.signal(ctx, `SELECT pg_terminate_backend($1, $2)`, pid, terminateWait.Milliseconds())
}

func (s Sessions) signal(ctx context.Context, sql string, args ...any) error {
	var done bool
	err := s.Signal.QueryRow(ctx, sql, args...).Scan(&done)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "42501": // insufficient_privilege
		return fault.Wrap(fault.Forbidden, err, "PostgreSQL does not let Weir touch backend %v: %s.", args[0], refused.Message)
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "Whether backend %v was reached is unknown.", args[0])
	case !done:
		return fault.Errorf(fault.Timeout, "Backend %v did not go, or was gone already: look again.", args[0])
	}
	return nil
}

// maySignal is the pre-flight of terminate: it is a client's, the one that was meant, and one that
// Weir may touch.
func maySignal(ctx context.Context, r *Runbook, o Order) (Preflight, error) {
	_, p, err := r.target(ctx, o)
	return p, err
}

// mayCancel is that of cancel, which reaches a query that runs and nothing else.
func mayCancel(ctx context.Context, r *Runbook, o Order) (Preflight, error) {
	b, p, err := r.target(ctx, o)
	if err == nil && b.State != "active" {
		p.Reasons = append(p.Reasons, fmt.Sprintf("Backend %d runs no query: it is %s. To end its session, terminate it.", o.PID, orAll(b.State, "in no known state")))
	}
	return p, err
}

func (r *Runbook) target(ctx context.Context, o Order) (Backend, Preflight, error) {
	var p Preflight
	b, err := r.Backends.Find(ctx, o.PID)
	if err != nil {
		return b, p, err
	}
	if !o.Started.IsZero() && !b.Started.Equal(o.Started) {
		return b, p, fault.Errorf(fault.NotFound, "The backend that was meant has ended; %d is another one now.", o.PID)
	}
	switch {
	case b.Type != "client backend":
		p.Reasons = append(p.Reasons, fmt.Sprintf("Backend %d is PostgreSQL's own (%s).", o.PID, orAll(b.Type, "of no known type")))
	case b.Superuser:
		p.Reasons = append(p.Reasons, fmt.Sprintf("Backend %d is of the superuser %s, whom only a superuser may touch: do it with psql.", o.PID, b.User))
	case b.User == "weir" || b.User == "weir_monitor" || b.User == "weir_auth":
		p.Reasons = append(p.Reasons, fmt.Sprintf("Backend %d is Weir's own (%s).", o.PID, b.User))
	}
	p.Effects = append(p.Effects, fmt.Sprintf("Backend %d: user %s, application %s, %s.", o.PID, b.User, orAll(b.Application, "without a name"), b.State))
	return b, p, nil
}

func cancel(ctx context.Context, r *Runbook, d *deed) error { return r.Backends.Cancel(ctx, d.PID) }

func terminate(ctx context.Context, r *Runbook, d *deed) error {
	return r.Backends.Terminate(ctx, d.PID)
}
