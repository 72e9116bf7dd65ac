package runbook

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
	"weir/ops/word"
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
	Address     string // of the client: a pooler's for those that come through the VIP; "" is a Unix socket
	// Xact is for how long its transaction has been open; 0 is none.
	Xact    time.Duration
	Waiting int64 // sessions that wait for a lock it holds
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
	var xact float64 // s
	err := s.Look.QueryRow(ctx, `
		SELECT coalesce(a.backend_type, ''), a.backend_start, coalesce(a.usename::text, ''), coalesce(r.rolsuper, false),
		       coalesce(a.application_name, ''), coalesce(a.state, ''), coalesce(host(a.client_addr), ''),
		       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8,
		       (SELECT count(*) FROM pg_stat_activity w WHERE w.wait_event_type = 'Lock' AND a.pid = ANY (pg_blocking_pids(w.pid)))
		  FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
		 WHERE a.pid = $1`, pid).Scan(&b.Type, &b.Started, &b.User, &b.Superuser, &b.Application, &b.State,
		&b.Address, &xact, &b.Waiting)
	if errors.Is(err, pgx.ErrNoRows) {
		return Backend{}, fault.Errorf(fault.NotFound, "There is no backend %d any more.", pid)
	}
	if err != nil {
		return Backend{}, fault.Wrap(fault.Unavailable, err, "PostgreSQL does not say what backend %d is.", pid)
	}
	b.Xact = time.Duration(xact * float64(time.Second))
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

// mayTerminate is the pre-flight of terminate: it is a client's, the one that was meant, and one that
// Weir may touch.
func mayTerminate(ctx context.Context, r *Runbook, o Order) (Preflight, error) {
	b, p, err := r.target(ctx, o)
	if err != nil {
		return p, err
	}
	p.Effects = append(p.Effects, r.who(b)+" is disconnected"+rolledBack(b)+".")
	p.Effects = append(p.Effects, goesOn(b)...)
	return p, nil
}

// mayCancel is that of cancel, which reaches a query that runs and nothing else.
func mayCancel(ctx context.Context, r *Runbook, o Order) (Preflight, error) {
	b, p, err := r.target(ctx, o)
	switch {
	case err != nil:
	case b.State != "active":
		p.Reasons = append(p.Reasons, fmt.Sprintf("Backend %d runs no query: it is %s. To end its session, terminate it.", o.PID, orAll(b.State, "in no known state")))
	default:
		p.Effects = append(p.Effects, r.who(b)+" stays connected. The query that runs ends with an error"+rolledBack(b)+".")
		p.Effects = append(p.Effects, goesOn(b)...)
	}
	return p, err
}

// who names a backend: PID 4242 (user app, application report, through pgb1).
func (r *Runbook) who(b Backend) string {
	from := ", from " + b.Address
	if b.Address == "" {
		from = ", on PostgreSQL's own machine"
	}
	for _, p := range r.Inventory.PgBouncer.Poolers {
		if p.Address.String() == b.Address {
			from = ", through " + p.Name
		}
	}
	return fmt.Sprintf("Backend %d (user %s, %s%s)", b.PID, b.User, orAll(b.Application, "no application name"), from)
}

func rolledBack(b Backend) string {
	switch {
	case b.Xact == 0:
		return ""
	case b.Xact < time.Second:
		return "; its transaction is rolled back"
	}
	return fmt.Sprintf("; its transaction, open for %s, is rolled back", span(b.Xact))
}

func goesOn(b Backend) []string {
	if b.Waiting == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s that wait%s for its locks can go on.", word.Counted(b.Waiting, "session"), ending(b.Waiting))}
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
	return b, p, nil
}

func cancel(ctx context.Context, r *Runbook, d *deed) error { return r.Backends.Cancel(ctx, d.PID) }

func terminate(ctx context.Context, r *Runbook, d *deed) error {
	return r.Backends.Terminate(ctx, d.PID)
}
