package main

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/runbook"
	"weir/queries"
)

var moment = time.Date(2026, 3, 4, 5, 6, 7, 8000, time.UTC)

func TestAnIncidentIsAcknowledgedOnceWhileItLasts(t *testing.T) {
	db := newPlace(t).database()
	i, id := incidents{db}, newID()
	open := queries.IncidentOpenParams{ID: id, Cause: "pooler-down/pgb1", Subject: "pgb1", Severity: "critical", State: "firing", Title: "pgb1 is down",
		Symptoms: json.RawMessage("[]"), Evidence: json.RawMessage("[]"), Seq: 1, OpenedAt: moment}
	if err := query.IncidentOpen(t.Context(), db, open); err != nil {
		t.Fatal(err)
	}
	acknowledge := func(id string) fault.Code {
		return fault.CodeOf(i.Acknowledge(t.Context(), id, "ada", "on it", moment))
	}
	if code := acknowledge(id); code != "" {
		t.Errorf("the first: %s", code)
	}
	if code := acknowledge(id); code != fault.Conflict {
		t.Errorf("the second: %q", code)
	}
	if code := acknowledge(newID()); code != fault.NotFound {
		t.Errorf("of one that is unknown: %q", code)
	}
	open.ID, open.Cause = newID(), "pooler-down/pgb2"
	if err := query.IncidentOpen(t.Context(), db, open); err != nil {
		t.Fatal(err)
	}
	must(query.IncidentResolve(t.Context(), db, queries.IncidentResolveParams{ID: open.ID, Seq: 2, ResolvedAt: moment}))(t)
	if code := acknowledge(open.ID); code != fault.Conflict {
		t.Errorf("of one that is over: %q", code)
	}
}

func TestASilenceIsEndedOnce(t *testing.T) {
	i := incidents{newPlace(t).database()}
	id := must(i.Silence(t.Context(), runbook.Silenced{Cause: "*", Reason: "work", By: "ada", At: moment, Until: moment.Add(time.Hour)}))(t)
	for _, want := range []fault.Code{"", fault.Conflict} {
		if code := fault.CodeOf(i.Unsilence(t.Context(), id, "ada", moment.Add(time.Minute))); code != want {
			t.Errorf("code %q, want %q", code, want)
		}
	}
	if code := fault.CodeOf(i.Unsilence(t.Context(), id+1, "ada", moment)); code != fault.NotFound {
		t.Errorf("one that is unknown: %q", code)
	}
}

func TestPausesAreKeptForTheMonitorAllOrNone(t *testing.T) {
	p := pauses{newPlace(t).database()}
	one := runbook.Paused{Pooler: "pgb1", By: "ada", Reason: "restart", At: moment, Expires: moment.Add(time.Minute)}
	two := one
	two.Pooler = "pgb2"
	broken := two
	broken.By = "a\x00" // PostgreSQL keeps no NUL
	if err := p.Save(t.Context(), []runbook.Paused{one, broken}); err == nil {
		t.Error("one that cannot be kept was kept")
	}
	if list := must(p.List(t.Context()))(t); len(list) != 0 {
		t.Errorf("half of them are there: %v", list)
	}
	if err := p.Save(t.Context(), []runbook.Paused{one, two}); err != nil {
		t.Fatal(err)
	}
	if list := must(p.List(t.Context()))(t); !slices.Equal(list, []runbook.Paused{one, two}) {
		t.Errorf("have %v", list)
	}
	if err := p.Forget(t.Context(), one); err != nil {
		t.Fatal(err)
	}
	if list := must(p.List(t.Context()))(t); !slices.Equal(list, []runbook.Paused{two}) {
		t.Errorf("have %v", list)
	}
}

func TestAnAuditEntryDeliveredTwiceIsThereOnce(t *testing.T) {
	db := newPlace(t).database()
	e := runbook.Entry{ID: newID(), At: moment, Actor: runbook.Actor{Kind: runbook.System, Name: "machine"}, Verb: runbook.Drain, Subject: "pgb1",
		Reason: "work", Result: runbook.Failed, Detail: []string{"haproxy2 did not obey"}, Took: 1500 * time.Millisecond}
	for range 2 {
		if err := (audit{db}).Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	rows := must(query.AuditPageForward(t.Context(), db, queries.AuditPageForwardParams{Size: 10}))(t)
	if len(rows) != 1 || rows[0].ActorID != nil || rows[0].Address != nil || rows[0].TookMs != 1500 || string(rows[0].Detail) != `["haproxy2 did not obey"]` {
		t.Errorf("have %+v", rows)
	}
}
