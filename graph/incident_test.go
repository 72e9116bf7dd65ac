package graph_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/vektah/gqlparser/v2/ast"

	"weir/graph"
	"weir/queries"
)

// everything is every field of a type, and of the types within it.
func everything(d *ast.Definition) string {
	var out []string
	for _, f := range d.Fields {
		name := f.Name
		if t := schema.Types[f.Type.Name()]; t.IsCompositeType() {
			name += " " + everything(t)
		}
		out = append(out, name)
	}
	return "{ __typename " + strings.Join(out, " ") + " }"
}

// A page writes itself; a node is written by gqlgen. Both have to be the same.
func TestAnIncidentOnAPageIsWhatItIsAsANode(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 3)
	id := newID()
	awkward := "a \"quoted\" \\ line\nand\ttabs, \u0001 and ünïcode \u2028"
	at := moment.Add(time.Hour + 123456*time.Microsecond)
	try(t, q.IncidentOpen(t.Context(), db, queries.IncidentOpenParams{ID: id, Cause: "pooler-down/pgb2", Subject: "pgb2", Severity: "warning", State: "firing", Title: awkward,
		Impact: awkward, Flaps: 7, Symptoms: []byte(`["a","b \"c\""]`), Evidence: []byte(`["x"]`), Seq: 3, OpenedAt: at}))
	for seq, to := range map[int64]string{1: "firing", 2: "", 3: "firing"} {
		try(t, q.IncidentEventAdd(t.Context(), db, queries.IncidentEventAddParams{IncidentID: id, Seq: seq, At: at, Kind: "opened", ToState: to, Text: awkward, Evidence: []byte(`["y"]`)}))
	}
	sent := at.Add(time.Second)
	try(t, q.NotificationSave(t.Context(), db, queries.NotificationSaveParams{ID: newID(), IncidentID: &id, Channel: "slack", Reason: "first", State: "sent", Attempts: 2, CreatedAt: at, SentAt: &sent, Error: awkward}))
	must(q.IncidentAcknowledge(t.Context(), db, queries.IncidentAcknowledgeParams{ID: id, At: sent, By: "ada", Reason: awkward}))(t)

	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	page := s.ask(`{ incidents(first: 10) { __typename edges { __typename cursor node ` + everything(schema.Types["Incident"]) + ` } pageInfo ` + everything(schema.Types["PageInfo"]) + ` } }`)
	rows, _ := page.at("incidents", "edges").([]any)
	if len(rows) != 4 || page.at("incidents", "__typename") != "IncidentConnection" || page.at("incidents", "edges", 0, "__typename") != "IncidentEdge" || page.at("incidents", "pageInfo", "__typename") != "PageInfo" {
		t.Fatal(page.raw)
	}
	for i := range rows {
		row := page.at("incidents", "edges", i, "node")
		node := s.ask(`query($id: ID!) { node(id: $id) { ... on Incident `+everything(schema.Types["Incident"])+` } }`, map[string]any{"id": page.at("incidents", "edges", i, "node", "id")})
		if !reflect.DeepEqual(row, node.at("node")) || row == nil {
			t.Errorf("on the page: %v\nas a node:   %v", row, node.at("node"))
		}
	}
	if page.at("incidents", "edges", 0, "node", "title") != awkward || page.at("incidents", "edges", 0, "cursor") != page.at("incidents", "pageInfo", "startCursor") {
		t.Error(page.raw)
	}
}

func TestAPageOfIncidentsHasWhatIsAskedForAndNothingElse(t *testing.T) {
	db, statements := tables(t)
	fill(t, db, 2)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	for _, row := range []struct {
		document, want string
		statements     int64
	}{
		{`{ incidents(first: 1) { edges { node { c: cause cause s: severity } } } }`, `{"incidents":{"edges":[{"node":{"c":"c1","cause":"c1","s":"INFO"}}]}}`, 1},
		{`{ incidents(first: 1) { edges { ...e } } } fragment e on IncidentEdge { node { ... on Node { __typename } ... on Incident { cause events { kind } } ... { events { seq } } } }`,
			`{"incidents":{"edges":[{"node":{"__typename":"Incident","cause":"c1","events":[{"kind":"opened","seq":1}]}}]}}`, 2},
		{`query($no: Boolean = false) { incidents(first: 1) { edges { node { cause events @include(if: $no) { seq } } } } }`, `{"incidents":{"edges":[{"node":{"cause":"c1"}}]}}`, 1},
		{`{ incidents(first: 1, kind: "nothing") { edges { node { events { seq } } } pageInfo { startCursor hasNextPage } } }`, `{"incidents":{"edges":[],"pageInfo":{"startCursor":null,"hasNextPage":false}}}`, 1},
	} {
		before := statements.Load()
		a := s.ask(row.document)
		if !strings.HasPrefix(a.raw, `{"data":`+row.want+`,"extensions":`) || statements.Load()-before != row.statements {
			t.Errorf("%s: %d statements, %s", row.document, statements.Load()-before, a.raw)
		}
	}
}

// noEvents is a PostgreSQL that goes away after the page, before its events.
type noEvents struct{ *pgxpool.Pool }

func (n noEvents) Query(ctx context.Context, statement string, args ...any) (pgx.Rows, error) {
	if strings.Contains(statement, "incident_event") {
		return nil, errors.New("the connection is gone")
	}
	return n.Pool.Query(ctx, statement, args...)
}

func TestAPageWhoseEventsCannotBeReadIsAnErrorAndNoHalfPage(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 2)
	s := newServer(t, func(d *graph.Deps) { d.DB = noEvents{db} })
	a := s.ask(`{ fleet { version } incidents(first: 2) { edges { node { cause events { seq } } } } }`)
	if a.code() != "unavailable" || a.Data != nil || !strings.Contains(a.raw, `"data":null`) {
		t.Error(a.raw)
	}
	if a = s.ask(`{ incidents(first: 2) { edges { node { cause } } } }`); a.code() != "" {
		t.Errorf("without events: %s", a.raw)
	}
}

// outages are six incidents, an hour apart; the odd ones took 10 minutes times their number, one of them with an
// hour in between when it was over, the last is planned.
func outages(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	for i, o := range []struct{ cause, subject, severity string }{
		{"pooler-down/pgb1", "pgb1", "warning"}, {"pooler-down/pgb2", "pgb2", "warning"}, {"pooler-downcast/pgb2", "pgb2", "info"},
		{"postgres-down", "", "critical"}, {"vip-none", "", "critical"}, {"pooler-out/pgb2", "pgb2", "info"}} {
		id, at := newID(), moment.Add(time.Duration(i)*time.Hour)
		try(t, q.IncidentOpen(t.Context(), db, queries.IncidentOpenParams{ID: id, Cause: o.cause, Subject: o.subject, Severity: o.severity, State: "firing", Planned: i == 5, Title: fmt.Sprint(i), Seq: 1, OpenedAt: at}))
		if i%2 == 1 {
			took := time.Duration(i) * 10 * time.Minute
			if i == 3 {
				must(q.IncidentUpdate(t.Context(), db, queries.IncidentUpdateParams{ID: id, Severity: o.severity, State: "firing", Title: fmt.Sprint(i), WellSeconds: 3600, Seq: 1, UpdatedAt: at}))(t)
				took += time.Hour
			}
			must(q.IncidentResolve(t.Context(), db, queries.IncidentResolveParams{ID: id, Seq: 2, ResolvedAt: at.Add(took)}))(t)
		}
	}
}

func TestIncidentsAreFilteredByEachAndByAllOfTheirArguments(t *testing.T) {
	db, _ := tables(t)
	outages(t, db)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	hour := func(n int) string { return moment.Add(time.Duration(n) * time.Hour).Format(time.RFC3339) }
	for args, want := range map[string]string{
		``: "543210", `open: true`: "420", `open: false`: "531",
		`severity: WARNING`: "10", `severity: CRITICAL`: "43",
		`kind: "pooler-down"`: "10", `kind: "postgres-down"`: "3", `kind: "pooler"`: "", `kind: "pooler-down/pgb1"`: "", `kind: "%"`: "", `kind: ""`: "",
		`subject: "pgb2"`: "521", `subject: ""`: "43", `subject: "pgb9"`: "",
		`since: "` + hour(4) + `"`: "54", `until: "` + hour(1) + `"`: "0", `since: "` + hour(1) + `", until: "` + hour(3) + `"`: "21",
		`since: "0001-01-01T00:00:00Z", until: "9999-12-31T23:59:59Z"`:                                   "543210",
		`subject: "pgb2", severity: INFO, open: true, kind: "pooler-downcast", since: "` + hour(0) + `"`: "2",
		`subject: null, severity: null, kind: null, since: null, until: null, open: null`:                "543210",
	} {
		for _, end := range []string{"first: 6", "last: 6", "first: 2"} {
			a := s.ask(`{ incidents(` + end + ` ` + args + `) { edges { node { title } } } }`)
			titles := ""
			rows, _ := a.at("incidents", "edges").([]any)
			for i := range rows {
				titles += fmt.Sprint(a.at("incidents", "edges", i, "node", "title"))
			}
			have := want
			if end == "first: 2" {
				have = want[:min(2, len(want))]
			}
			if titles != have || a.code() != "" {
				t.Errorf("%s %s: %q, want %q: %.300s", end, args, titles, have, a.raw)
			}
		}
	}
}

func TestASummaryOfIncidentsCountsThemAndTellsHowLongTheyTook(t *testing.T) {
	db, _ := tables(t)
	outages(t, db)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	for args, want := range map[string]string{
		``: `{"count":6,"open":3,"meanTimeToRecover":"PT20M"}`, // 10 and 30 minutes; the one of 50 was planned
		`(until: "` + moment.Add(3*time.Hour).Format(time.RFC3339) + `")`: `{"count":3,"open":2,"meanTimeToRecover":"PT10M"}`,
		`(since: "` + moment.Add(4*time.Hour).Format(time.RFC3339) + `")`: `{"count":2,"open":1,"meanTimeToRecover":null}`,
		`(since: "2100-01-01T00:00:00Z")`:                                 `{"count":0,"open":0,"meanTimeToRecover":null}`,
	} {
		if a := s.ask(`{ incidentSummary` + args + ` { count open meanTimeToRecover } }`); !strings.Contains(a.raw, `{"data":{"incidentSummary":`+want) {
			t.Errorf("%s: %s", args, a.raw)
		}
	}
}

func TestTheAuditIsFilteredByItsTime(t *testing.T) {
	db, _ := tables(t)
	fill(t, db, 9) // three a second
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&operator)
	for args, want := range map[string]int{
		`since: "` + moment.Add(time.Second).Format(time.RFC3339) + `"`: 6, `until: "` + moment.Add(time.Second).Format(time.RFC3339) + `"`: 3,
		`since: "` + moment.Add(time.Second).Format(time.RFC3339) + `", until: "` + moment.Add(2*time.Second).Format(time.RFC3339) + `", verb: "resume"`: 3,
	} {
		for _, end := range []string{"first", "last"} {
			a := s.ask(`{ audit(` + end + `: 20, ` + args + `) { edges { cursor } } }`)
			if rows, _ := a.at("audit", "edges").([]any); len(rows) != want {
				t.Errorf("%s %s: %d rows, want %d: %s", end, args, len(rows), want, a.raw)
			}
		}
	}
}

func TestATimeThatEndsBeforeItBeginsIsRefused(t *testing.T) {
	db, _ := tables(t)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&operator)
	for _, field := range []string{"incidents(first: 1, %s) { edges { cursor } }", "audit(first: 1, %s) { edges { cursor } }", "incidentSummary(%s) { count }"} {
		for _, row := range []struct{ until, want string }{{"2026-01-01T00:00:01Z", ""}, {"2026-01-01T00:00:00Z", "until"}, {"2025-12-31T23:59:59Z", "until"}} {
			a := s.ask("{ " + fmt.Sprintf(field, `since: "2026-01-01T00:00:00Z", until: "`+row.until+`"`) + " }")
			if row.want == "" && a.code() != "" || row.want != "" && (a.code() != "invalid" || a.Errors[0].Extensions["field"] != row.want) {
				t.Errorf("%s until %s: %s", field, row.until, a.raw)
			}
		}
	}
}
