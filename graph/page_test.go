package graph_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"weir/graph"
	"weir/graph/noun"
	"weir/queries"
)

// fill makes so many rows of every kind that has pages; some share their moment.
func fill(t testing.TB, db *pgxpool.Pool, rows int) {
	t.Helper()
	ctx := t.Context()
	u := must(q.UserCreate(ctx, db, queries.UserCreateParams{Email: "u@example.org", Name: "U", Role: "viewer", At: moment}))(t)
	for i := range rows {
		at, id := moment.Add(time.Duration(i/3)*time.Second), newID()
		try(t, q.IncidentOpen(ctx, db, queries.IncidentOpenParams{ID: id, Cause: fmt.Sprint("c", i), Severity: "info", State: "firing", Title: "t", Seq: 1, OpenedAt: at}))
		try(t, q.IncidentEventAdd(ctx, db, queries.IncidentEventAddParams{IncidentID: id, Seq: 1, At: at, Kind: "opened", ToState: "firing", Text: fmt.Sprint("c", i)}))
		try(t, q.NotificationSave(ctx, db, queries.NotificationSaveParams{ID: newID(), IncidentID: &id, Channel: "slack", Reason: "first", State: "pending", CreatedAt: at}))
		try(t, q.AuditAdd(ctx, db, queries.AuditAddParams{ID: newID(), At: at, ActorKind: "system", ActorName: "monitor", Verb: "resume", Outcome: "ok"}))
		must(q.SilenceCreate(ctx, db, queries.SilenceCreateParams{Cause: "*", Reason: "r", CreatedBy: "u", CreatedAt: at, StartsAt: at, EndsAt: at.Add(time.Hour)}))(t)
		must(q.UserCreate(ctx, db, queries.UserCreateParams{Email: fmt.Sprint(i, "@example.org"), Name: "n", Role: "viewer", At: at.Add(time.Second)}))(t)
		try(t, q.SessionSave(ctx, db, queries.SessionSaveParams{TokenHash: []byte(fmt.Sprint(i)), UserID: &u.ID, Data: []byte("{}"), At: at, ExpiresAt: time.Now().Add(time.Hour)}))
		must(q.APITokenCreate(ctx, db, queries.APITokenCreateParams{UserID: &u.ID, Name: "n", Prefix: "weir_a", TokenHash: []byte(fmt.Sprint(i)), Role: "viewer", CreatedBy: "u", CreatedAt: at, ExpiresAt: at.Add(time.Hour)}))(t)
	}
}

var connections = []string{"incidents", "notifications", "audit", "silences", "users", "sessions", "tokens"}

func walk(t *testing.T, s *server, field, size, turn, end string) (ids []string) {
	t.Helper()
	more, from := map[string]string{"first": "hasNextPage", "last": "hasPreviousPage"}[size], ""
	for range 20 {
		a := s.ask(fmt.Sprintf(`{ %s(%s: 4%s) { edges { cursor node { id } } pageInfo { %s %s } } }`, field, size, from, more, end))
		if len(a.Errors) > 0 {
			t.Fatal(a.raw)
		}
		edges := a.at(field, "edges").([]any)
		page := make([]string, len(edges))
		for i := range edges {
			page[i] = a.at(field, "edges", i, "node", "id").(string)
		}
		if size == "last" {
			ids = append(page, ids...)
		} else {
			ids = append(ids, page...)
		}
		if a.at(field, "pageInfo", more) == false {
			return ids
		}
		from = fmt.Sprintf(`, %s: %q`, turn, a.at(field, "pageInfo", end))
	}
	t.Fatalf("%s never ends", field)
	return nil
}

func TestPagesFromEitherEndShowEveryRowOnceInTheSameOrder(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 10)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	for _, field := range connections {
		forward := walk(t, s, field, "first", "after", "endCursor")
		backward := walk(t, s, field, "last", "before", "startCursor")
		if len(forward) < 10 || !slices.Equal(forward, backward) {
			t.Errorf("%s: forward %d rows %v\nbackward %d rows %v", field, len(forward), forward, len(backward), backward)
		}
		if distinct := slices.Compact(slices.Sorted(slices.Values(forward))); len(distinct) != len(forward) {
			t.Errorf("%s shows %d of %d rows twice", field, len(forward)-len(distinct), len(forward))
		}
	}
}

func TestAPageOfFiftyIncidentsWithAllThatBelongsToThemIsThreeQueries(t *testing.T) {
	db, statements := tables(t)
	fill(t, db, 60)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	before := statements.Load()
	a := s.ask(`{ incidents(first: 50) { edges { node { cause events { text } notifications { channel } } } } }`)
	if n := statements.Load() - before; n != 3 {
		t.Errorf("%d statements", n)
	}
	for i := range 50 {
		node := []any{"incidents", "edges", i, "node"}
		if cause, text := a.at(append(node, "cause")...), a.at(append(node, "events", 0, "text")...); cause != text || cause == nil {
			t.Fatalf("row %d: incident %v has the events of %v", i, cause, text)
		}
		if a.at(append(node, "notifications", 0, "channel")...) != "slack" {
			t.Fatalf("row %d has no notification: %s", i, a.raw)
		}
	}
}

func TestTheOwnersOfAPageAreOneQuery(t *testing.T) {
	db, statements := tables(t)
	fill(t, db, 10)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	for _, field := range []string{"sessions", "tokens"} {
		before := statements.Load()
		a := s.ask(fmt.Sprintf(`{ %s(first: 10) { edges { node { user { email } } } } }`, field))
		if n := statements.Load() - before; n != 2 || a.at(field, "edges", 9, "node", "user", "email") != "u@example.org" {
			t.Errorf("%s: %d statements: %s", field, n, a.raw)
		}
	}
}

func TestAPageIsAskedForProperly(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 1)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	cursor := s.ask(`{ users(first: 1) { pageInfo { endCursor } } }`).at("users", "pageInfo", "endCursor").(string)
	encode := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	for _, row := range []struct{ args, want, field string }{
		{``, "invalid", "first"},
		{`(first: 1, last: 1)`, "invalid", "first"},
		{`(first: 0)`, "invalid", "first"},
		{`(first: -1)`, "invalid", "first"},
		{`(first: 1)`, "", ""},
		{`(last: 100)`, "", ""},
		{`(first: 101)`, "invalid", "first"},
		{`(last: 101)`, "invalid", "last"},
		{`(first: 1, after: "")`, "invalid", "after"},
		{`(first: 1, after: "nonsense")`, "invalid", "after"},
		{`(first: 1, after: "` + cursor + `")`, "invalid", "after"}, // of users
		{`(last: 1, before: "` + encode("Incident@1:x") + `")`, "invalid", "before"},
		{`(first: 1, after: "` + encode("Incident@99999999999999999999:"+newID()) + `")`, "invalid", "after"},
		{`(first: 1, after: "` + encode("Incident@-1:"+newID()) + `")`, "invalid", "after"},
		{`(first: 1, after: "` + encode("Incident@1:"+newID()) + `")`, "", ""},
		{`(first: 2147483648)`, "invalid", "first"},
	} {
		a := s.ask(`{ incidents` + row.args + ` { edges { cursor } } }`)
		if a.code() != row.want || row.field != "" && a.Errors[0].Extensions["field"] != row.field {
			t.Errorf("incidents%s: %s", row.args, a.raw)
		}
	}
}

func TestEveryNodeIsFoundByTheIDItWasGiven(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 1)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	var ids []string
	for _, field := range connections {
		if field != "sessions" { // are no nodes: nothing finds one by its number
			ids = append(ids, s.ask(`{ `+field+`(first: 1) { edges { node { id } } } }`).at(field, "edges", 0, "node", "id").(string))
		}
	}
	live := s.ask(`{ fleet { haproxies { id } poolers { id } postgres { id } } }`)
	ids = append(ids, live.at("fleet", "haproxies", 1, "id").(string), live.at("fleet", "poolers", 2, "id").(string), live.at("fleet", "postgres", "id").(string))
	for _, id := range ids {
		kind, _, err := noun.ParseID(id)
		a := s.ask(`query($id: ID!) { node(id: $id) { __typename id } }`, map[string]any{"id": id})
		if err != nil || a.at("node", "id") != id || a.at("node", "__typename") != string(kind) {
			t.Errorf("%s: %s", kind, a.raw)
		}
	}
	for _, id := range []string{noun.ID(noun.IncidentKind, newID()), noun.ID(noun.UserKind, "999999"), noun.ID(noun.PoolerKind, "pgb9")} {
		if a := s.ask(`query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": id}); a.code() != "" || a.at("node") != nil {
			t.Errorf("what is not there: %s", a.raw)
		}
	}
	for _, id := range []string{"", "x", strings.Repeat("QQ", 300), noun.ID("Nothing", "1"), noun.ID(noun.UserKind, "-1"), noun.ID(noun.UserKind, "9999999999999999999999"), noun.ID(noun.IncidentKind, "'; DROP TABLE incident")} {
		if a := s.ask(`query($id: ID!) { node(id: $id) { id } }`, map[string]any{"id": id}); a.code() != "invalid" {
			t.Errorf("%q: %s", id, a.raw)
		}
	}
}

func TestAnIDOfAnotherKindIsTheUsersError(t *testing.T) {
	s := newServer(t, nil)
	s.as(&administrator)
	for document, field := range map[string]string{
		`mutation($id: ID!) { acknowledge(incident: $id) { userErrors { field code } } }`:           "incident",
		`mutation($id: ID!) { unsilence(silence: $id) { userErrors { field code } } }`:              "silence",
		`mutation($id: ID!) { revokeToken(token: $id) { userErrors { field code } } }`:              "token",
		`mutation($id: ID!) { setUserRole(user: $id, role: VIEWER) { userErrors { field code } } }`: "user",
		`mutation($id: ID!) { endSession(session: $id) { userErrors { field code } } }`:             "session",
		`mutation($id: ID!) { withdrawLink(link: $id) { userErrors { field code } } }`:              "link",
		`mutation($id: ID!) { makeResetLink(user: $id) { token userErrors { field code } } }`:       "user",
	} {
		a := s.ask(document, map[string]any{"id": noun.ID(noun.PoolerKind, "pgb1")})
		wrong := a.raw
		if a.code() != "" || !strings.Contains(wrong, `"field":"`+field+`","code":"INVALID"`) {
			t.Errorf("%s: %s", document, a.raw)
		}
	}
}
