package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/incident"
	"weir/ops/postgres/postgrestest"
	"weir/ops/runbook"
	"weir/ops/slack"
	"weir/queries"
	"weir/sql"
)

// ledger is a record with a journal and a database of its own.
type ledger struct {
	*record
	cut *cutter
	ctx context.Context
	log postgrestest.Log
}

func newLedger(t *testing.T) *ledger {
	t.Helper()
	h := running(t)
	l := &ledger{ctx: deadline(t)}
	var pool *pgxpool.Pool
	pool, l.cut = h.pool(t, h.dsn(t))
	l.record = newRecord(newJournal(t), pool, slog.New(slog.NewTextHandler(&l.log, nil)))
	return l
}

func (l *ledger) add(t *testing.T, changes ...incident.Transition) {
	t.Helper()
	try(t, l.journal.addTransitions(changes))
}

// incidents are all rows, with their events by number.
func (l *ledger) incidents(t *testing.T) (rows []queries.Incident, events map[string][]int64) {
	t.Helper()
	rows = must(query.IncidentPageBackward(l.ctx, l.pool, queries.IncidentPageBackwardParams{Size: 100}))(t)
	events = map[string][]int64{}
	for _, r := range rows {
		for _, e := range must(query.IncidentEventListByIncident(l.ctx, l.pool, []string{r.ID}))(t) {
			events[r.ID] = append(events[r.ID], e.Seq)
		}
	}
	return rows, events
}

func TestAnIncidentIsWrittenFromItsOpeningToItsEnd(t *testing.T) {
	l := newLedger(t)
	l.add(t, transition(1, 1, incident.Firing))
	try(t, l.write(l.ctx))
	rows, _ := l.incidents(t)
	if r := rows[0]; r.State != "firing" || r.Cause != "pooler-down/pgb2" || r.Severity != "warning" || r.Title != "title 1" || r.ResolvedAt != nil ||
		!r.OpenedAt.Equal(start) || string(r.Evidence) != `["haproxy1: DOWN"]` {
		t.Errorf("opened: %+v", r)
	}
	l.add(t, transition(1, 2, incident.Recovering), transition(1, 3, incident.OK))
	try(t, l.write(l.ctx))
	rows, events := l.incidents(t)
	if r := rows[0]; len(rows) != 1 || r.State != "ok" || r.Title != "title 3" || r.Seq != 3 || r.ResolvedAt == nil || !r.ResolvedAt.Equal(start.Add(3*time.Second)) {
		t.Errorf("resolved: %+v", rows)
	}
	if len(events[rows[0].ID]) != 3 || l.journal.rows.Load() != 0 {
		t.Errorf("events %v, %d rows left", events, l.journal.rows.Load())
	}
}

func TestRowsThatWereCommittedAndNotTakenOutChangeNothingTheSecondTime(t *testing.T) {
	l := newLedger(t)
	// Two incidents of one cause: writing the first again must not end the second.
	changes := []incident.Transition{transition(1, 1, incident.Firing), transition(1, 2, incident.OK), transition(2, 1, incident.Firing)}
	note := &queries.NotificationSaveParams{ID: "01930000-0000-7000-8000-0000000000aa", IncidentID: &changes[0].Incident.ID,
		Channel: "slack", Reason: "first", State: "sent", Attempts: 1, CreatedAt: start}
	for _, again := range [][]incident.Transition{changes, changes[:2], changes[:1]} {
		l.add(t, again...)
		try(t, l.journal.addNotification(note))
		try(t, l.write(l.ctx))
	}
	rows, events := l.incidents(t)
	if len(rows) != 2 || rows[0].ResolvedAt == nil || rows[1].ResolvedAt != nil || rows[1].State != "firing" {
		t.Errorf("rows %+v", rows)
	}
	if len(events[rows[0].ID]) != 2 || len(events[rows[1].ID]) != 1 {
		t.Errorf("events %v", events)
	}
	notes := must(query.NotificationListByIncident(l.ctx, l.pool, []string{rows[0].ID}))(t)
	if len(notes) != 1 || notes[0].State != "sent" {
		t.Errorf("notifications %+v", notes)
	}
}

func TestAnIncidentThatCameBackIsOpenAgainUntilItsNextEnd(t *testing.T) {
	l := newLedger(t)
	l.add(t, transition(1, 1, incident.Firing), transition(1, 2, incident.OK), transition(1, 3, incident.Firing))
	try(t, l.write(l.ctx))
	if rows, _ := l.incidents(t); rows[0].ResolvedAt != nil || rows[0].State != "firing" || rows[0].Seq != 3 {
		t.Errorf("back: %+v", rows[0])
	}
	over := transition(1, 4, incident.OK)
	over.Incident.Well = 1500 * time.Millisecond
	l.add(t, over)
	try(t, l.write(l.ctx))
	if rows, _ := l.incidents(t); rows[0].ResolvedAt == nil || !rows[0].ResolvedAt.Equal(start.Add(4*time.Second)) || rows[0].WellSeconds != 1.5 {
		t.Errorf("over: %+v", rows[0])
	}
}

func TestAMonitorThatLostItsStateEndsWhatItDoesNotKnow(t *testing.T) {
	l := newLedger(t)
	l.add(t, transition(1, 1, incident.Firing), transition(2, 1, incident.Firing))
	try(t, l.write(l.ctx))
	rows, _ := l.incidents(t)
	if len(rows) != 2 || rows[0].ResolvedAt == nil || rows[1].ResolvedAt != nil {
		t.Errorf("rows %+v", rows)
	}
}

func TestARowThatIsRefusedForGoodIsSetAsideAndTheRestGoesOn(t *testing.T) {
	l := newLedger(t)
	poison := transition(2, 1, incident.Firing)
	poison.Incident.Cause, poison.Incident.Severity = "other", "deafening" // no such severity
	orphan := "01930000-0000-7000-8000-0000000000ff"
	l.add(t, transition(1, 1, incident.Firing), poison, transition(1, 2, incident.OK))
	try(t, l.journal.write([]row{{}, {Notification: &queries.NotificationSaveParams{ID: orphan, IncidentID: &orphan, State: "sent", CreatedAt: start}}}))
	l.add(t, transition(3, 1, incident.Firing))
	try(t, l.write(l.ctx))
	rows, _ := l.incidents(t)
	if len(rows) != 2 || rows[0].State != "ok" || rows[1].State != "firing" {
		t.Errorf("rows %+v", rows)
	}
	if aside, left := l.journal.aside.Load(), l.journal.rows.Load(); aside != 3 || left != 0 {
		t.Errorf("%d set aside, %d left", aside, left)
	}
	if n := strings.Count(l.log.String(), "set aside"); n != 3 {
		t.Errorf("%d lines in the log:\n%s", n, &l.log)
	}
}

func TestWhatHappenedWhilePostgreSQLWasAwayIsWrittenAsSoonAsItAnswers(t *testing.T) {
	l := newLedger(t)
	l.cut.cut.Store(true)
	l.retry = time.Hour // so that only the answer wakes it
	ctx, stop := context.WithCancel(l.ctx)
	done := make(chan struct{})
	go func() { defer close(done); l.run(ctx) }()
	defer func() { stop(); <-done }()
	for n := range 3 {
		change := transition(n+1, 1, incident.Firing)
		change.Incident.Cause = change.Incident.ID
		l.add(t, change)
	}
	now := time.Now().UTC().Truncate(sampleEvery)
	try(t, l.journal.addTick(tick{At: now, Samples: []Sample{{"vip_serving", "", 1}}}))
	until(t, l.ctx, "the failure is told", func() bool { return strings.Contains(l.log.String(), "does not take the record") })
	if l.journal.rows.Load() != 3 || l.journal.samples.Load() != 1 {
		t.Fatalf("%d rows and %d samples are kept", l.journal.rows.Load(), l.journal.samples.Load())
	}
	l.cut.cut.Store(false)
	l.answer()
	began := time.Now()
	until(t, l.ctx, "the journal is empty", func() bool { return l.journal.rows.Load()+l.journal.samples.Load() == 0 })
	t.Logf("migrated and written %s after it answered", time.Since(began).Round(time.Millisecond))
	rows, _ := l.incidents(t)
	series := must(query.SampleSeries(l.ctx, l.pool, queries.SampleSeriesParams{Metric: "vip_serving", Since: now, Until: now.Add(time.Minute), Points: 1}))(t)
	if len(rows) != 3 || len(series) != 1 || series[0].Avg != 1 {
		t.Errorf("%d incidents, series %+v", len(rows), series)
	}
}

func TestTidyingMakesHoursOfLateSamplesAndDropsOnlyWhatIsOld(t *testing.T) {
	l := newLedger(t)
	try(t, l.migrate(l.ctx))
	now := time.Now().UTC()
	old, late := now.Add(-sql.SampleAge-30*time.Hour), now.Add(-50*time.Hour).Truncate(time.Hour)
	try(t, sql.PartitionCreate(l.ctx, l.pool, old, old))
	for i := range 3 {
		try(t, l.journal.addTick(tick{At: late.Add(time.Duration(i) * sampleEvery), Samples: []Sample{{"pooler_clients", "pgb1", float64(i)}}}))
	}
	try(t, l.write(l.ctx))
	for range 2 { // the second finds nothing to do
		try(t, l.tidy(l.ctx, now))
	}
	var hours, count int64
	var parts string
	try(t, l.pool.QueryRow(l.ctx, "SELECT count(*), sum(count) FROM sample_hour WHERE hour = $1 AND max = 2 AND last = 2", late).Scan(&hours, &count))
	try(t, l.pool.QueryRow(l.ctx, "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'sample'::regclass").Scan(&parts))
	if hours != 1 || count != 3 {
		t.Errorf("%d hours of %d samples", hours, count)
	}
	for at, want := range map[time.Time]bool{old: false, late: true, now: true, now.Add(48 * time.Hour): true} {
		if name := at.Format("sample_20060102"); strings.Contains(parts, name) != want {
			t.Errorf("partition %s: want %v in %s", name, want, parts)
		}
	}
	if since := must(l.journal.rollBegin())(t); !since.IsZero() {
		t.Errorf("still to be rolled up since %s", since)
	}
}

func TestSilencesAndAcknowledgementsAreReadAndOutliveARestartWithoutPostgreSQL(t *testing.T) {
	l := newLedger(t)
	l.add(t, transition(1, 1, incident.Firing))
	try(t, l.write(l.ctx))
	at := time.Now().UTC().Truncate(time.Second)
	must(query.SilenceCreate(l.ctx, l.pool, queries.SilenceCreateParams{Cause: "pooler-down/*", Subject: "pgb1", Reason: "moving it", CreatedBy: "ada",
		CreatedAt: at, StartsAt: at, EndsAt: at.Add(time.Hour)}))(t)
	id := transition(1, 1, incident.Firing).Incident.ID
	must(query.IncidentAcknowledge(l.ctx, l.pool, queries.IncidentAcknowledgeParams{ID: id, At: at, By: "ada", Reason: "on it"}))(t)

	path := filepath.Join(t.TempDir(), "wishes.json")
	w := &wishes{path: path, db: l.pool, log: quiet()}
	try(t, w.open())
	try(t, w.read(l.ctx))
	next := &wishes{path: path, db: l.pool, log: quiet()}
	try(t, next.open())
	l.cut.cut.Store(true)
	l.pool.Reset()
	if err := next.read(l.ctx); err == nil {
		t.Error("PostgreSQL answered")
	}
	got := next.now()
	if want := (incident.Silence{Cause: "pooler-down/*", Subject: "pgb1", From: at, Until: at.Add(time.Hour)}); len(got.Silences) != 1 || got.Silences[0] != want {
		t.Errorf("silences %+v, want %+v", got.Silences, want)
	}
	if !got.Acknowledged[id] {
		t.Errorf("acknowledged %v", got.Acknowledged)
	}
}

func TestWishesAndPausesThatTheDiskDidNotTakeAreWrittenWhenItDoes(t *testing.T) {
	l := newLedger(t)
	try(t, l.write(l.ctx))
	at := time.Now().UTC().Truncate(time.Second)
	must(query.SilenceCreate(l.ctx, l.pool, queries.SilenceCreateParams{Cause: "*", Reason: "a test", CreatedBy: "ada", CreatedAt: at, StartsAt: at, EndsAt: at.Add(time.Hour)}))(t)
	try(t, query.PauseSave(l.ctx, l.pool, queries.PauseSaveParams{Pooler: "pgb1", PausedBy: "ada", Reason: "a test", PausedAt: at, ExpiresAt: at.Add(time.Minute)}))
	state := filepath.Join(t.TempDir(), "state")
	w := &wishes{path: filepath.Join(state, "wishes.json"), db: l.pool, log: quiet()}
	try(t, w.open())
	p := &pauseRows{path: filepath.Join(state, "pauses.json"), db: l.pool, log: quiet()}
	for range 2 {
		if err := w.read(l.ctx); err == nil || len(w.now().Silences) != 1 {
			t.Errorf("without a disk: error %v, %+v", err, w.now())
		}
		if list := must(p.List(l.ctx))(t); len(list) != 1 {
			t.Errorf("without a disk: pauses %+v", list)
		}
	}
	try(t, os.Mkdir(state, 0o700))
	try(t, w.read(l.ctx))
	must(p.List(l.ctx))(t)
	var silences incident.Wishes
	var pauses []runbook.Paused
	if try(t, errors.Join(load(w.path, &silences), load(p.path, &pauses))); len(silences.Silences) != 1 || len(pauses) != 1 {
		t.Errorf("on disk: %+v, %+v", silences, pauses)
	}
}

func TestWhatWasOverDuringASilenceIsNotToldAfterIt(t *testing.T) {
	l := newLedger(t)
	try(t, l.write(l.ctx))
	now, policy := time.Now().UTC(), incident.DefaultPolicy()
	silence := func(cause string, from, until, ended time.Duration) {
		row := must(query.SilenceCreate(l.ctx, l.pool, queries.SilenceCreateParams{Cause: cause, Reason: "a test", CreatedBy: "ada",
			CreatedAt: now.Add(from), StartsAt: now.Add(from), EndsAt: now.Add(until)}))(t)
		if ended < until {
			must(query.SilenceEnd(l.ctx, l.pool, queries.SilenceEndParams{ID: row.ID, At: now.Add(ended), By: "ada"}))(t)
		}
	}
	silence("pooler-down/pgb1", -time.Hour, -time.Second, -time.Second)
	silence("pooler-down/pgb2", -time.Hour, time.Hour, -time.Second)
	silence("pooler-down/pgb3", -time.Hour, time.Hour, -time.Minute)
	silence("postgres-down", -time.Hour, -policy.Late, -policy.Late)
	w := &wishes{path: filepath.Join(t.TempDir(), "wishes.json"), db: l.pool, log: quiet()}
	try(t, w.open())
	try(t, w.read(l.ctx))
	for _, c := range []struct {
		sentence, cause string
		want            incident.Reason
	}{
		{"a silence that is over covers what was over before its end", "pooler-down/pgb1", incident.None},
		{"so does one that somebody ended", "pooler-down/pgb2", incident.None},
		{"but not what was over after somebody had ended it", "pooler-down/pgb3", incident.First},
		{"another cause is told", "vip-nobody", incident.First},
	} {
		i := incident.Incident{ID: "id-1", State: incident.OK, ResolvedAt: now.Add(-30 * time.Second),
			Finding: incident.Finding{Cause: c.cause, Severity: incident.Warning, Title: "it"}}
		if got := policy.Speak(i, w.now(), now); got.Reason != c.want {
			t.Errorf("%s: %s, want %s", c.sentence, got.Reason, c.want)
		}
	}
	if got := w.now().Silences; len(got) != 3 {
		t.Errorf("one that nothing can matter to any more is kept: %+v", got)
	}
}

func TestATestMessageThatSomebodyAskedForIsSentOnceAndItsRowSaysWhatBecameOfIt(t *testing.T) {
	l := newLedger(t)
	try(t, l.write(l.ctx))
	at := time.Now().UTC().Truncate(time.Millisecond)
	try(t, query.NotificationTestAdd(l.ctx, l.pool, queries.NotificationTestAddParams{ID: newID(), Channel: "slack", CreatedAt: at.Add(-2 * testWait)}))
	id := newID()
	try(t, query.NotificationTestAdd(l.ctx, l.pool, queries.NotificationTestAddParams{ID: id, Channel: "slack", CreatedAt: at}))
	var sent []string
	w := &wishes{path: filepath.Join(t.TempDir(), "wishes.json"), db: l.pool, log: quiet(), test: func(id, channel string, _ time.Time) {
		sent = append(sent, channel+" "+id)
	}}
	try(t, w.open())
	for range 2 {
		try(t, w.read(l.ctx))
	}
	if want := []string{"slack " + id}; !slices.Equal(sent, want) {
		t.Errorf("sent %v, want %v: the old one is waited for by nobody", sent, want)
	}
	d := slack.Delivery{Entry: slack.Entry{ID: id, Reason: slack.Test, At: at, Attempts: 1}, Channel: "slack", State: "sent", SentAt: at.Add(time.Second)}
	d.Incident.ID = id
	try(t, query.NotificationSave(l.ctx, l.pool, *notification(d)))
	row, err := query.NotificationGet(l.ctx, l.pool, id)
	if try(t, err); row.State != "sent" || row.IncidentID != nil {
		t.Errorf("%+v", row)
	}
}
