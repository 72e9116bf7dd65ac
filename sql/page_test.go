package sql_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/queries"
)

// cursor is where a page ends; nil pointers are the list's own ends.
type cursor[ID any] struct {
	at *time.Time
	id *ID
}

type page[Row, ID any] func(after, before cursor[ID], size int32) ([]Row, error)

// walk reads a list of n rows page by page in both directions, and between two cursors.
func walk[Row, ID any](t *testing.T, n int, forward, backward page[Row, ID], key func(Row) (time.Time, ID)) {
	t.Helper()
	at := func(r Row) cursor[ID] { when, id := key(r); return cursor[ID]{&when, &id} }
	names := func(rows []Row) (out []string) {
		for _, r := range rows {
			when, id := key(r)
			out = append(out, fmt.Sprint(when.UTC(), id))
		}
		return out
	}
	var end cursor[ID]
	all := must(forward(end, end, 100))(t)
	if len(all) != n {
		t.Fatalf("%d rows, want %d", len(all), n)
	}
	if !slices.IsSortedFunc(all, func(a, b Row) int { x, _ := key(a); y, _ := key(b); return y.Compare(x) }) {
		t.Errorf("not newest first: %q", names(all))
	}
	var down, up []Row
	for from := end; len(down) < n; from = at(down[len(down)-1]) {
		rows := must(forward(from, end, 2))(t)
		if len(rows) == 0 {
			break
		}
		down = append(down, rows...)
	}
	for from := end; len(up) < n; from = at(up[len(up)-1]) {
		rows := must(backward(end, from, 2))(t)
		if len(rows) == 0 {
			break
		}
		up = append(up, rows...)
	}
	slices.Reverse(up)
	if !slices.Equal(names(down), names(all)) || !slices.Equal(names(up), names(all)) {
		t.Errorf("forward %q\nbackward %q\nwant %q", names(down), names(up), names(all))
	}
	between := must(forward(at(all[0]), at(all[n-1]), 100))(t)
	if !slices.Equal(names(between), names(all[1:n-1])) {
		t.Errorf("between the first and the last: %q", names(between))
	}
}

// Two rows of each list share their time, so that the id decides.
func TestEveryListIsPagedInBothDirectionsWithoutGapsOrRepeats(t *testing.T) {
	ctx, db := migrated(t)
	const n = 5
	for i := range n {
		fill(t, ctx, db, i)
	}
	t.Run("incident", func(t *testing.T) {
		walk(t, n, func(a, b cursor[string], size int32) ([]queries.Incident, error) {
			return q.IncidentPageForward(ctx, db, queries.IncidentPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Open: ref(true), Size: size})
		}, func(a, b cursor[string], size int32) ([]queries.Incident, error) {
			return q.IncidentPageBackward(ctx, db, queries.IncidentPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Open: ref(true), Size: size})
		}, func(r queries.Incident) (time.Time, string) { return r.OpenedAt, r.ID })
	})
	t.Run("notification", func(t *testing.T) {
		walk(t, n, func(a, b cursor[string], size int32) ([]queries.Notification, error) {
			return q.NotificationPageForward(ctx, db, queries.NotificationPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, State: ref("sent"), Size: size})
		}, func(a, b cursor[string], size int32) ([]queries.Notification, error) {
			return q.NotificationPageBackward(ctx, db, queries.NotificationPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, State: ref("sent"), Size: size})
		}, func(r queries.Notification) (time.Time, string) { return r.CreatedAt, r.ID })
	})
	t.Run("audit", func(t *testing.T) {
		walk(t, n, func(a, b cursor[string], size int32) ([]queries.Audit, error) {
			return q.AuditPageForward(ctx, db, queries.AuditPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Verb: ref("drain"), Size: size})
		}, func(a, b cursor[string], size int32) ([]queries.Audit, error) {
			return q.AuditPageBackward(ctx, db, queries.AuditPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Subject: ref("pgb2"), ActorName: ref("ada"), Size: size})
		}, func(r queries.Audit) (time.Time, string) { return r.At, r.ID })
	})
	t.Run("silence", func(t *testing.T) {
		walk(t, n, func(a, b cursor[int64], size int32) ([]queries.Silence, error) {
			return q.SilencePageForward(ctx, db, queries.SilencePageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Size: size})
		}, func(a, b cursor[int64], size int32) ([]queries.Silence, error) {
			return q.SilencePageBackward(ctx, db, queries.SilencePageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Size: size})
		}, func(r queries.Silence) (time.Time, int64) { return r.CreatedAt, r.ID })
	})
	t.Run("user", func(t *testing.T) {
		walk(t, n, func(a, b cursor[int64], size int32) ([]queries.User, error) {
			return q.UserPageForward(ctx, db, queries.UserPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Size: size})
		}, func(a, b cursor[int64], size int32) ([]queries.User, error) {
			return q.UserPageBackward(ctx, db, queries.UserPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Size: size})
		}, func(r queries.User) (time.Time, int64) { return r.CreatedAt, r.ID })
	})
	t.Run("session", func(t *testing.T) {
		walk(t, n, func(a, b cursor[int64], size int32) ([]queries.Session, error) {
			return q.SessionPageForward(ctx, db, queries.SessionPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, At: moment, UserID: ref(int64(1)), Size: size})
		}, func(a, b cursor[int64], size int32) ([]queries.Session, error) {
			return q.SessionPageBackward(ctx, db, queries.SessionPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, At: moment, Size: size})
		}, func(r queries.Session) (time.Time, int64) { return r.CreatedAt, r.ID })
	})
	t.Run("token", func(t *testing.T) {
		walk(t, n, func(a, b cursor[int64], size int32) ([]queries.APIToken, error) {
			return q.APITokenPageForward(ctx, db, queries.APITokenPageForwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, UserID: ref(int64(1)), Size: size})
		}, func(a, b cursor[int64], size int32) ([]queries.APIToken, error) {
			return q.APITokenPageBackward(ctx, db, queries.APITokenPageBackwardParams{AfterAt: a.at, AfterID: a.id, BeforeAt: b.at, BeforeID: b.id, Size: size})
		}, func(r queries.APIToken) (time.Time, int64) { return r.CreatedAt, r.ID })
	})
}

// fill adds the i-th row to every list, and some that the filters leave out.
func fill(t *testing.T, ctx context.Context, db *pgxpool.Pool, i int) {
	t.Helper()
	at, later := moment.Add(time.Duration(i/2)*time.Second), moment.Add(time.Hour)
	incident, other := opening(i, fmt.Sprint("cause/", i)), opening(100+i, fmt.Sprint("past/", i))
	incident.OpenedAt, other.OpenedAt = at, at
	try(t, q.IncidentOpen(ctx, db, incident))
	try(t, q.IncidentOpen(ctx, db, other))
	must(q.IncidentResolve(ctx, db, queries.IncidentResolveParams{ID: other.ID, Seq: 2, ResolvedAt: later}))(t)
	for id, state := range map[int]string{i: "sent", 100 + i: "collapsed"} {
		try(t, q.NotificationSave(ctx, db, queries.NotificationSaveParams{ID: uuid(id), IncidentID: &incident.ID, Channel: "slack", Reason: "first", State: state, CreatedAt: at}))
	}
	try(t, q.AuditAdd(ctx, db, act(i)))
	elsewhere := act(100 + i)
	elsewhere.Verb, elsewhere.Subject = "pause", "pgb1"
	try(t, q.AuditAdd(ctx, db, elsewhere))
	must(q.SilenceCreate(ctx, db, queries.SilenceCreateParams{Cause: "*", Reason: "test", CreatedBy: "ada", CreatedAt: at, StartsAt: at, EndsAt: later}))(t)
	user := person(fmt.Sprintf("user%d@example.org", i), "viewer")
	user.At = at
	must(q.UserCreate(ctx, db, user))(t)
	for hash, expires := range map[string]time.Time{"alive": later, "expired": moment} {
		try(t, q.SessionSave(ctx, db, queries.SessionSaveParams{TokenHash: fmt.Append(nil, hash, i), UserID: ref(int64(1)), Data: []byte{}, At: at, ExpiresAt: expires}))
	}
	must(q.APITokenCreate(ctx, db, queries.APITokenCreateParams{UserID: ref(int64(1)), Name: "t", Prefix: "weir_", TokenHash: fmt.Append(nil, i), Role: "viewer", CreatedBy: "ada", CreatedAt: at, ExpiresAt: later}))(t)
}
