package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

// act is an account change, as the audit will have it.
type act struct {
	actor   runbook.Actor
	verb    string
	subject string
	reason  string
	detail  []string
	isolate pgx.TxIsoLevel // "" is read committed
}

// anonymous is the actor of what somebody did who has not said who they are, or has not proved it.
func anonymous(from netip.Addr) runbook.Actor {
	return runbook.Actor{Kind: runbook.System, Name: "not signed in", Address: from}
}

// change runs an account change and writes its audit entry in the same transaction: neither is there
// without the other. What was refused or failed is written down as well, but not input with mistakes.
func (m *Manager) change(ctx context.Context, a *act, do func(ctx context.Context, tx pgx.Tx) error) error {
	start := m.Now()
	ctx, cancel := context.WithTimeout(ctx, changeLimit)
	defer cancel()
	err := explain(m.transact(ctx, a, start, do))
	switch fault.CodeOf(err) {
	case "", fault.Invalid:
		return err
	case fault.Internal, fault.Unavailable, fault.Timeout:
		m.note(ctx, a.entry(m, start, runbook.Failed, fault.MessageOf(err)))
	default:
		m.note(ctx, a.entry(m, start, runbook.RefusedResult, fault.MessageOf(err)))
	}
	return err
}

func (m *Manager) transact(ctx context.Context, a *act, start time.Time, do func(ctx context.Context, tx pgx.Tx) error) error {
	tx, err := m.DB.BeginTx(ctx, pgx.TxOptions{IsoLevel: a.isolate})
	if err != nil {
		return fmt.Errorf("begin %s: %w", a.verb, err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := do(ctx, tx); err != nil {
		return err
	}
	if err := m.q.AuditAdd(ctx, tx, a.entry(m, start, runbook.OK)); err != nil {
		return fmt.Errorf("audit %s: %w", a.verb, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit %s: %w", a.verb, err)
	}
	return nil
}

// note writes an entry that belongs to no transaction. When PostgreSQL does not take it, Sweep
// brings it later; when that is not before this process ends, it is lost.
func (m *Manager) note(ctx context.Context, e queries.AuditAddParams) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askLimit)
	defer cancel()
	if m.q.AuditAdd(ctx, m.DB, e) == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.owed) < owedAtMost {
		m.owed = append(m.owed, e)
	}
}

// entry is the audit's row, in the shape that runbook's rows have too: detail is a list of lines.
func (a *act) entry(m *Manager, start time.Time, outcome runbook.Result, more ...string) queries.AuditAddParams {
	detail, _ := json.Marshal(append(append([]string{}, a.detail...), more...)) // strings always marshal
	e := queries.AuditAddParams{ID: m.NewID(), At: start.UTC().Truncate(time.Microsecond), ActorKind: string(a.actor.Kind), ActorName: a.actor.Name,
		Address: address(a.actor.Address), Verb: a.verb, Subject: a.subject, Reason: a.reason, Outcome: string(outcome),
		Detail: detail, TookMs: m.Now().Sub(start).Milliseconds()}
	if a.actor.ID != 0 {
		e.ActorID = &a.actor.ID
	}
	return e
}

// administer is change for what only administrators may.
func (m *Manager) administer(ctx context.Context, a *act, do func(ctx context.Context, tx pgx.Tx) error) error {
	if err := known(a.actor); err != nil {
		return err
	}
	if err := checkReason(&a.reason); err != nil {
		return err
	}
	return m.change(ctx, a, func(ctx context.Context, tx pgx.Tx) error {
		if !may(a.actor.Role, runbook.Administrator) {
			return fault.Errorf(fault.Forbidden, "This needs the role %s; yours is %s.", runbook.Administrator, a.actor.Role)
		}
		return do(ctx, tx)
	})
}

// known refuses an actor that nobody made sure of: the zero Actor above all.
func known(a runbook.Actor) error {
	if (a.Kind == runbook.System || (a.Kind == runbook.User || a.Kind == runbook.Token) && a.ID > 0) && may(a.Role, runbook.Viewer) {
		return nil
	}
	return fault.Errorf(fault.Unauthenticated, "Sign in first.")
}

func checkReason(reason *string) error {
	*reason = strings.TrimSpace(*reason)
	if *reason == "" {
		return nil
	}
	return checkText("reason", *reason, 500)
}

// explain gives an error of PostgreSQL its fault code.
func explain(err error) error {
	var known *fault.Error
	var pg *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return fault.Wrap(fault.NotFound, err, "There is no such thing.")
	case !errors.As(err, &pg):
		return fault.Wrap(fault.Unavailable, err, "PostgreSQL does not answer. Try again when it does.")
	case inClass(pg, "40"): // serialization failure, deadlock
		return fault.Wrap(fault.Conflict, err, "Somebody changed the same thing at the same moment. Try again.")
	case inClass(pg, "08", "53", "57"): // connection, resources, shutdown
		return fault.Wrap(fault.Unavailable, err, "PostgreSQL is not ready. Try again when it is.")
	}
	return err
}

func inClass(err *pgconn.PgError, classes ...string) bool {
	return slices.ContainsFunc(classes, func(c string) bool { return strings.HasPrefix(err.Code, c) })
}
