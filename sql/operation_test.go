package sql_test

import (
	"strings"
	"testing"
	"time"

	"weir/queries"
)

func act(n int) queries.AuditAddParams {
	return queries.AuditAddParams{ID: uuid(n), At: moment.Add(time.Duration(n/2) * time.Second), ActorKind: "user", ActorID: ref(int64(1)), ActorName: "ada",
		Verb: "drain", Subject: "pgb2", Reason: "new kernel", Outcome: "ok", TookMs: 12}
}

func TestTheAuditIsAddedToAndNothingElse(t *testing.T) {
	ctx, db := migrated(t)
	for range 2 {
		try(t, q.AuditAdd(ctx, db, act(1)))
	}
	for _, statement := range []string{"UPDATE audit SET outcome = 'refused'", "DELETE FROM audit", "TRUNCATE audit"} {
		if _, err := db.Exec(ctx, statement); err == nil || !strings.Contains(err.Error(), "rows are added, nothing else") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if got := must(q.AuditGet(ctx, db, uuid(1)))(t); got.Outcome != "ok" || string(got.Detail) != "{}" || got.Address != nil {
		t.Errorf("got %+v", got)
	}
}

func TestAPauseGivenAnewIsNotEndedWithTheOldOne(t *testing.T) {
	ctx, db := migrated(t)
	first := queries.PauseSaveParams{Pooler: "pgb1", Database: "", PausedBy: "ada", Reason: "restart", PausedAt: moment, ExpiresAt: moment.Add(time.Minute)}
	second := first
	second.PausedBy, second.PausedAt, second.ExpiresAt = "grace", moment.Add(30*time.Second), moment.Add(2*time.Minute)
	for _, p := range []queries.PauseSaveParams{first, second} {
		try(t, q.PauseSave(ctx, db, p))
	}
	if n := must(q.PauseDelete(ctx, db, queries.PauseDeleteParams{Pooler: "pgb1", PausedAt: first.PausedAt}))(t); n != 0 {
		t.Error("the new one was ended")
	}
	if list := must(q.PauseList(ctx, db))(t); len(list) != 1 || list[0].PausedBy != "grace" {
		t.Errorf("got %+v", list)
	}
	if n := must(q.PauseDelete(ctx, db, queries.PauseDeleteParams{Pooler: "pgb1", PausedAt: second.PausedAt}))(t); n != 1 {
		t.Error("it cannot be ended")
	}
}
