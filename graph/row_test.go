package graph_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/queries"
)

var q = queries.New()

// moment is when the tests happen: a whole hour, lately.
var moment = time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)

func try(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openIncident makes one with so many events.
func openIncident(t *testing.T, db *pgxpool.Pool, cause string, events int) (id string) {
	t.Helper()
	id = newID()
	try(t, q.IncidentOpen(t.Context(), db, queries.IncidentOpenParams{ID: id, Cause: cause, Subject: "pgb2", Severity: "critical", State: "firing",
		Title: cause, Symptoms: json.RawMessage(`["a", "b"]`), Evidence: json.RawMessage(`["haproxy1: DOWN"]`), Seq: 0, OpenedAt: moment}))
	for seq := range events {
		addEvent(t, db, id, seq+1)
	}
	return id
}

func addEvent(t *testing.T, db *pgxpool.Pool, id string, seq int) {
	t.Helper()
	e := queries.IncidentEventAddParams{IncidentID: id, Seq: int64(seq), At: moment.Add(time.Duration(seq) * time.Second), Kind: "changed", FromState: "firing", ToState: "firing", Text: fmt.Sprint(seq)}
	if seq == 1 {
		e.Kind, e.FromState = "opened", ""
	}
	try(t, q.IncidentEventAdd(t.Context(), db, e))
	must(db.Exec(t.Context(), "UPDATE incident SET seq = $2 WHERE id = $1", id, seq))(t)
}
