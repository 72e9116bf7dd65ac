package sql_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"weir/queries"
)

func opening(n int, cause string) queries.IncidentOpenParams {
	return queries.IncidentOpenParams{ID: uuid(n), Cause: cause, Subject: "pgb2", Severity: "critical", State: "firing",
		Title: "pgb2 is down", Seq: 1, OpenedAt: moment.Add(time.Duration(n) * time.Second)}
}

func TestOpeningAnIncidentAgainIsAReplay(t *testing.T) {
	ctx, db := migrated(t)
	first := opening(1, "pooler-down/pgb2")
	first.Symptoms, first.Evidence = json.RawMessage(`["pool-full/pgb1"]`), json.RawMessage(`["haproxy1: DOWN"]`)
	try(t, q.IncidentOpen(ctx, db, first))
	again := first
	again.Title = "another title"
	try(t, q.IncidentOpen(ctx, db, again))
	got := must(q.IncidentGet(ctx, db, first.ID))(t)
	if got.Title != first.Title || string(got.Symptoms) != `["pool-full/pgb1"]` || string(got.Evidence) != `["haproxy1: DOWN"]` || !got.OpenedAt.Equal(first.OpenedAt) {
		t.Errorf("got %+v", got)
	}
}

func TestACauseHasOneOpenIncident(t *testing.T) {
	ctx, db := migrated(t)
	try(t, q.IncidentOpen(ctx, db, opening(1, "vip-missing")))
	try(t, q.IncidentOpen(ctx, db, opening(2, "postgres-down")))
	err := q.IncidentOpen(ctx, db, opening(3, "vip-missing"))
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.ConstraintName != "incident_open_cause" {
		t.Fatalf("a second one: %v", err)
	}
	if n := must(q.IncidentSupersede(ctx, db, queries.IncidentSupersedeParams{ID: uuid(3), Cause: "vip-missing", ResolvedAt: moment}))(t); n != 1 {
		t.Fatalf("superseded %d, want 1", n)
	}
	try(t, q.IncidentOpen(ctx, db, opening(3, "vip-missing")))
	open := must(q.IncidentListOpen(ctx, db))(t)
	if len(open) != 2 || open[0].ID != uuid(2) || open[1].ID != uuid(3) {
		t.Errorf("open: %+v", open)
	}
}

// The monitor's spool is written again from its beginning after a failure half-way.
func TestReplayingTheSpoolLosesNothingAndDoublesNothing(t *testing.T) {
	ctx, db := migrated(t)
	update := func(seq int64, state string) queries.IncidentUpdateParams {
		return queries.IncidentUpdateParams{ID: uuid(1), Severity: "critical", State: state, Title: "pgb2 is down", Seq: seq, UpdatedAt: moment.Add(time.Duration(seq) * time.Second)}
	}
	resolve := queries.IncidentResolveParams{ID: uuid(1), Seq: 4, ResolvedAt: moment.Add(time.Minute)}
	event := func(seq int64, from, to string) {
		t.Helper()
		try(t, q.IncidentEventAdd(ctx, db, queries.IncidentEventAddParams{IncidentID: uuid(1), Seq: seq, At: moment, Kind: "transition", FromState: from, ToState: to}))
	}
	changed := func(n int64, err error) int64 {
		t.Helper()
		try(t, err)
		return n
	}
	spool := func() (n int64) {
		try(t, q.IncidentOpen(ctx, db, opening(1, "pooler-down/pgb2")))
		event(1, "suspect", "firing")
		n += changed(q.IncidentUpdate(ctx, db, update(2, "recovering")))
		event(2, "firing", "recovering")
		n += changed(q.IncidentUpdate(ctx, db, update(3, "flapping")))
		event(3, "recovering", "flapping")
		n += changed(q.IncidentResolve(ctx, db, resolve))
		event(4, "flapping", "ok")
		return n
	}
	if n := spool(); n != 3 {
		t.Fatalf("%d changes, want 3", n)
	}
	before := must(q.IncidentGet(ctx, db, uuid(1)))(t)
	resolve.ResolvedAt = resolve.ResolvedAt.Add(time.Hour)
	if n := spool(); n != 0 {
		t.Errorf("%d changes by the replay", n)
	}
	after := must(q.IncidentGet(ctx, db, uuid(1)))(t)
	if before.State != "ok" || before.Seq != 4 || !after.ResolvedAt.Equal(*before.ResolvedAt) || after.State != before.State {
		t.Errorf("before %+v, after %+v", before, after)
	}
	events := must(q.IncidentEventListByIncident(ctx, db, []string{uuid(9), uuid(1)}))(t)
	if len(events) != 4 || events[0].Seq != 1 || events[3].ToState != "ok" || string(events[0].Evidence) != "[]" {
		t.Errorf("events %+v", events)
	}
}

func TestAnOlderUpdateDoesNotOverwriteALaterOne(t *testing.T) {
	ctx, db := migrated(t)
	try(t, q.IncidentOpen(ctx, db, opening(1, "pooler-down/pgb2")))
	must(q.IncidentUpdate(ctx, db, queries.IncidentUpdateParams{ID: uuid(1), Severity: "critical", State: "flapping", Title: "later", Seq: 5, UpdatedAt: moment}))(t)
	if n := must(q.IncidentUpdate(ctx, db, queries.IncidentUpdateParams{ID: uuid(1), Severity: "warning", State: "firing", Title: "earlier", Seq: 4, UpdatedAt: moment}))(t); n != 0 {
		t.Error("the earlier one was written")
	}
	if got := must(q.IncidentGet(ctx, db, uuid(1)))(t); got.Title != "later" {
		t.Errorf("got %q", got.Title)
	}
}

func TestAnAcknowledgementSurvivesWhatTheMonitorWrites(t *testing.T) {
	ctx, db := migrated(t)
	try(t, q.IncidentOpen(ctx, db, opening(1, "pooler-down/pgb2")))
	ack := queries.IncidentAcknowledgeParams{ID: uuid(1), At: moment, By: "ada", Reason: "on it"}
	must(q.IncidentAcknowledge(ctx, db, ack))(t)
	must(q.IncidentUpdate(ctx, db, queries.IncidentUpdateParams{ID: uuid(1), Severity: "critical", State: "recovering", Title: "t", Seq: 2, UpdatedAt: moment}))(t)
	try(t, q.IncidentOpen(ctx, db, opening(1, "pooler-down/pgb2")))
	must(q.IncidentResolve(ctx, db, queries.IncidentResolveParams{ID: uuid(1), Seq: 3, ResolvedAt: moment}))(t)
	if got := must(q.IncidentGet(ctx, db, uuid(1)))(t); got.AcknowledgedBy == nil || *got.AcknowledgedBy != "ada" || *got.AcknowledgedReason != "on it" {
		t.Errorf("got %+v", got)
	}
	if _, err := q.IncidentAcknowledge(ctx, db, ack); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("acknowledging what is over: %v", err)
	}
}

func TestASettledNotificationStaysSettled(t *testing.T) {
	ctx, db := migrated(t)
	try(t, q.IncidentOpen(ctx, db, opening(1, "pooler-down/pgb2")))
	pending := queries.NotificationSaveParams{ID: uuid(7), IncidentID: ref(uuid(1)), Channel: "slack", Reason: "first", State: "pending", CreatedAt: moment}
	retried := pending
	retried.Attempts, retried.Error = 2, "429"
	sent := pending
	sent.State, sent.Attempts, sent.SentAt, sent.ExternalRef = "sent", 3, ref(moment), "1732.1"
	collapsed := pending
	collapsed.State, collapsed.Attempts = "collapsed", 3
	for _, n := range []queries.NotificationSaveParams{pending, retried, pending, sent, pending, retried, collapsed} {
		try(t, q.NotificationSave(ctx, db, n))
	}
	try(t, q.NotificationSave(ctx, db, queries.NotificationSaveParams{ID: uuid(8), Channel: "webhook", Reason: "test", State: "failed", CreatedAt: moment}))
	got := must(q.NotificationListByIncident(ctx, db, []string{uuid(1)}))(t)
	if len(got) != 1 || got[0].State != "sent" || got[0].Attempts != 3 || got[0].ExternalRef != "1732.1" || got[0].Error != "" {
		t.Errorf("got %+v", got)
	}
}

func TestASilenceHasAnEndAndAReason(t *testing.T) {
	ctx, db := migrated(t)
	good := queries.SilenceCreateParams{Cause: "pooler-*", Reason: "new disks", CreatedBy: "ada", CreatedAt: moment, StartsAt: moment, EndsAt: moment.Add(time.Hour)}
	silence := must(q.SilenceCreate(ctx, db, good))(t)
	endless, groundless := good, good
	endless.EndsAt, groundless.Reason = endless.StartsAt, ""
	for _, bad := range []queries.SilenceCreateParams{endless, groundless} {
		if _, err := q.SilenceCreate(ctx, db, bad); err == nil {
			t.Errorf("accepted %+v", bad)
		}
	}
	listed := func(since time.Duration) int { return len(must(q.SilenceListSince(ctx, db, moment.Add(since)))(t)) }
	if listed(time.Hour) != 0 || listed(time.Hour-time.Microsecond) != 1 {
		t.Errorf("%d are listed since its end, %d since just before", listed(time.Hour), listed(time.Hour-time.Microsecond))
	}
	end := queries.SilenceEndParams{ID: silence.ID, At: moment.Add(time.Minute), By: "grace"}
	must(q.SilenceEnd(ctx, db, end))(t)
	if _, err := q.SilenceEnd(ctx, db, end); !errors.Is(err, pgx.ErrNoRows) {
		t.Errorf("ending it again: %v", err)
	}
	if listed(time.Minute) != 0 || listed(0) != 1 {
		t.Errorf("%d are listed since somebody ended it, %d since before", listed(time.Minute), listed(0))
	}
}
