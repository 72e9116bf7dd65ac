package sql_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/queries"
	"weir/sql"
)

const day = 24 * time.Hour

// minutely makes one sample a minute of two poolers: value is the minute's number, and 100 more.
func minutely(since time.Time, minutes int) (batch queries.SampleAddParams) {
	for i := range minutes {
		for n, pooler := range []string{"pgb1", "pgb2"} {
			batch.Ats = append(batch.Ats, since.Add(time.Duration(i)*time.Minute))
			batch.Metrics = append(batch.Metrics, "cl_active")
			batch.Subjects = append(batch.Subjects, pooler)
			batch.Vals = append(batch.Vals, float64(i+100*n))
		}
	}
	return batch
}

func TestASampleWrittenAgainIsAReplay(t *testing.T) {
	ctx, db := migrated(t)
	batch := minutely(moment, 3)
	try(t, sql.PartitionCreate(ctx, db, moment, moment.Add(time.Hour)))
	if n := must(q.SampleAdd(ctx, db, batch))(t); n != 6 {
		t.Errorf("wrote %d, want 6", n)
	}
	if n := must(q.SampleAdd(ctx, db, minutely(moment, 4)))(t); n != 2 {
		t.Errorf("wrote %d, want the 2 that are new", n)
	}
}

func TestABatchOfUnequalListsIsRefused(t *testing.T) {
	ctx, db := migrated(t)
	try(t, sql.PartitionCreate(ctx, db, moment, moment))
	batch := minutely(moment, 3)
	batch.Vals = batch.Vals[:5]
	if _, err := q.SampleAdd(ctx, db, batch); err == nil {
		t.Error("accepted")
	}
}

func TestPartitionsAreMadeOnceAndDroppedByTheirDay(t *testing.T) {
	ctx, db := migrated(t)
	first := time.Date(2026, 2, 27, 23, 59, 0, 0, time.FixedZone("east", 3600)) // the 27th in UTC, too
	last := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for range 2 {
		try(t, sql.PartitionCreate(ctx, db, first, last))
	}
	for _, at := range []time.Time{first, last, last.Add(day - time.Microsecond)} {
		must(q.SampleAdd(ctx, db, minutely(at, 1)))(t)
	}
	for _, at := range []time.Time{first.Truncate(day).Add(-time.Microsecond), last.Add(day)} {
		if _, err := q.SampleAdd(ctx, db, minutely(at, 1)); err == nil || !strings.Contains(err.Error(), "no partition") {
			t.Errorf("a sample of %s: %v", at, err)
		}
	}
	dropped := must(sql.PartitionDrop(ctx, db, last.Add(-time.Microsecond)))(t)
	if want := []string{"sample_20260227", "sample_20260228"}; !slices.Equal(dropped, want) {
		t.Errorf("dropped %q, want %q", dropped, want)
	}
	if n := must(q.SampleAdd(ctx, db, minutely(last, 1)))(t); n != 0 {
		t.Error("a sample of a day that is kept is gone")
	}
	if dropped := must(sql.PartitionDrop(ctx, db, last))(t); !slices.Equal(dropped, []string{"sample_20260301"}) {
		t.Errorf("a day that has just ended: dropped %q", dropped)
	}
}

func TestChangingPartitionsDoesNotWaitLongBehindARead(t *testing.T) {
	ctx, db := migrated(t)
	reader := must(db.Begin(ctx))(t)
	defer reader.Rollback(ctx)
	if _, err := reader.Exec(ctx, "SELECT count(*) FROM sample"); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := sql.PartitionCreate(soon, db, moment, moment)
	if err == nil || !strings.Contains(err.Error(), "lock timeout") {
		t.Fatalf("under a read: %v", err)
	}
	try(t, reader.Rollback(ctx))
	try(t, sql.PartitionCreate(ctx, db, moment, moment))
}

// series asks for one subject, or for all with "".
func series(t *testing.T, ctx context.Context, db queries.DBTX, subject string, since, until time.Time, points int32) []queries.SampleSeriesRow {
	t.Helper()
	arg := queries.SampleSeriesParams{Metric: "cl_active", Since: since, Until: until, Points: points}
	if subject != "" {
		arg.Subject = &subject
	}
	return must(q.SampleSeries(ctx, db, arg))(t)
}

func TestASeriesOfLateIsDrawnFromTheSamples(t *testing.T) {
	ctx, db := migrated(t)
	try(t, sql.PartitionCreate(ctx, db, moment, moment.Add(time.Hour)))
	must(q.SampleAdd(ctx, db, minutely(moment, 60)))(t)

	got := series(t, ctx, db, "pgb1", moment, moment.Add(time.Hour), 6)
	if len(got) != 6 {
		t.Fatalf("%d points, want 6: %+v", len(got), got)
	}
	p := got[1]
	if !p.At.Equal(moment.Add(10*time.Minute)) || p.Min != 10 || p.Max != 19 || p.Avg != 14.5 || p.Last != 19 || p.Count != 10 {
		t.Errorf("second point %+v", p)
	}
	both := series(t, ctx, db, "", moment, moment.Add(time.Hour), 6)
	if len(both) != 12 || both[0].Subject != "pgb1" || both[6].Subject != "pgb2" || both[6].Min != 100 {
		t.Errorf("of both poolers: %+v", both)
	}
}

func TestASeriesOfAMonthIsDrawnByTheHour(t *testing.T) {
	ctx, db := migrated(t)
	try(t, sql.PartitionCreate(ctx, db, moment, moment.Add(2*time.Hour)))
	must(q.SampleAdd(ctx, db, minutely(moment, 90)))(t)
	since, until := moment.Add(-29*day), moment.Add(day)
	if got := series(t, ctx, db, "pgb1", since, until, 30); len(got) != 0 {
		t.Fatalf("before the roll-up: %+v", got)
	}
	for range 2 { // the second changes nothing
		if n := must(q.SampleHourRollUp(ctx, db, queries.SampleHourRollUpParams{Since: moment.Add(5 * time.Minute), Until: moment.Add(65 * time.Minute)}))(t); n != 4 {
			t.Fatalf("rolled %d hours up, want 4", n)
		}
	}
	got := series(t, ctx, db, "pgb1", since, until, 30)
	if len(got) != 1 {
		t.Fatalf("%d points, want 1: %+v", len(got), got)
	}
	p := got[0]
	if p.Min != 0 || p.Max != 89 || math.Abs(p.Avg-44.5) > 1e-9 || p.Last != 89 || p.Count != 90 {
		t.Errorf("point %+v", p)
	}
	if !p.At.Equal(moment) {
		t.Errorf("at %s, want %s", p.At, moment)
	}
}

func TestAnHourOutlivesItsSamples(t *testing.T) {
	ctx, db := migrated(t)
	old := moment.Add(-20 * day)
	try(t, sql.PartitionCreate(ctx, db, old, old))
	must(q.SampleAdd(ctx, db, minutely(old, 10)))(t)
	all := queries.SampleHourRollUpParams{Since: old, Until: moment}
	must(q.SampleHourRollUp(ctx, db, all))(t)
	if dropped := must(sql.PartitionDrop(ctx, db, time.Now().Add(-sql.SampleAge)))(t); len(dropped) != 1 {
		t.Fatalf("dropped %q", dropped)
	}
	must(q.SampleHourRollUp(ctx, db, all))(t)
	// Ten minutes in the middle of the hour: the hour is all that is known about them.
	since := old.Add(3 * time.Minute)
	got := series(t, ctx, db, "pgb2", since, since.Add(10*time.Minute), 100)
	if len(got) != 1 || got[0].Max != 109 || !got[0].At.Equal(since) {
		t.Errorf("got %+v", got)
	}
	if n := must(q.SampleHourDelete(ctx, db, moment.Add(-sql.SampleHourAge)))(t); n != 0 {
		t.Errorf("%d hours were deleted before their time", n)
	}
	if n := must(q.SampleHourDelete(ctx, db, old.Add(time.Second)))(t); n != 2 {
		t.Errorf("deleted %d hours, want 2", n)
	}
}

func TestSamplesThatCameLateChangeTheirHour(t *testing.T) {
	ctx, db := migrated(t)
	try(t, sql.PartitionCreate(ctx, db, moment, moment.Add(time.Hour)))
	hour := queries.SampleHourRollUpParams{Since: moment, Until: moment}
	must(q.SampleAdd(ctx, db, minutely(moment, 1)))(t)
	must(q.SampleHourRollUp(ctx, db, hour))(t)
	must(q.SampleAdd(ctx, db, minutely(moment, 30)))(t)
	must(q.SampleHourRollUp(ctx, db, hour))(t)
	if got := series(t, ctx, db, "pgb1", moment, moment.Add(day), 1); len(got) != 1 || got[0].Count != 30 || got[0].Last != 29 {
		t.Errorf("got %+v", got)
	}
}

func TestSeriesHoldToTheNumberOfPoints(t *testing.T) {
	ctx, db := migrated(t)
	try(t, sql.PartitionCreate(ctx, db, moment.Add(-2*day), moment.Add(time.Hour)))
	must(q.SampleAdd(ctx, db, minutely(moment.Add(-2*day), 2*24*60)))(t)
	must(q.SampleHourRollUp(ctx, db, queries.SampleHourRollUpParams{Since: moment.Add(-2 * day), Until: moment}))(t)
	for _, points := range []int32{0, 1, 7, 47, 48, 49, 100, 1000} {
		got := series(t, ctx, db, "pgb1", moment.Add(-2*day).Add(17*time.Second), moment, points)
		if len(got) == 0 || len(got) > max(int(points), 1) {
			t.Errorf("asked for %d points, got %d", points, len(got))
		}
	}
	if got := series(t, ctx, db, "pgb1", moment, moment.Add(-day), 10); len(got) != 0 {
		t.Errorf("times reversed: %+v", got)
	}
}
