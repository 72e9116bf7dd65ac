package graph_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/graph"
	"weir/ops/fleet"
	"weir/queries"
)

// open posts a subscription and answers its events one by one, each as the line of its kind and that
// of its data.
func (s *server) open(document string) (next func() (string, bool), leave func()) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 15*time.Second)
	body := must(json.Marshal(map[string]any{"query": document}))(s.t)
	r := must(http.NewRequestWithContext(ctx, http.MethodPost, s.URL, strings.NewReader(string(body))))(s.t)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "text/event-stream")
	resp := must(s.Client().Do(r))(s.t)
	s.t.Cleanup(func() { cancel(); resp.Body.Close() })
	lines := bufio.NewScanner(resp.Body)
	return func() (string, bool) {
		var event []string
		for lines.Scan() {
			if line := lines.Text(); line != "" && line != ":" {
				event = append(event, line)
			} else if len(event) > 0 {
				return strings.Join(event, "\n"), true
			}
		}
		return "", false
	}, cancel
}

// events are all events of a stream that ends by itself.
func (s *server) events(document string) (all []string) {
	s.t.Helper()
	next, leave := s.open(document)
	defer leave()
	for event, ok := next(); ok; event, ok = next() {
		all = append(all, event)
	}
	if len(all) == 0 {
		s.t.Fatalf("%s: no event", document)
	}
	return all
}

func TestAStreamEndsWithTheSessionItBeganWith(t *testing.T) {
	s := newServer(t, nil)
	next, _ := s.open(`subscription { fleetChanged(every: "PT0.2S") { version } }`)
	if first, _ := next(); !strings.Contains(first, `"version":0`) {
		t.Fatalf("it began with %q", first)
	}
	s.end()
	last, _ := next()
	complete, _ := next()
	if !strings.Contains(last, "unauthenticated") || !strings.HasPrefix(complete, "event: complete") {
		t.Errorf("it ended with %q, %q", last, complete)
	}
}

func TestAStreamThatHasNothingToTellEndsWithItsSessionAsWell(t *testing.T) {
	w := graph.NewWatch(noTables{})
	s := newServer(t, func(d *graph.Deps) { d.Incidents = w })
	next, _ := s.open(`subscription { incidentChanged { incident { id } } }`)
	s.end()
	if last, _ := next(); !strings.Contains(last, "unauthenticated") {
		t.Errorf("it ended with %q", last)
	}
	readers(t, w, 0)
}

func TestAReaderWhoLeavesIsForgotten(t *testing.T) {
	w := graph.NewWatch(noTables{})
	s := newServer(t, func(d *graph.Deps) { d.Incidents = w })
	_, leave := s.open(`subscription { incidentChanged { incident { id } } }`)
	readers(t, w, 1)
	leave()
	readers(t, w, 0)
}

func TestWhenTheServerStopsStreamsSaySo(t *testing.T) {
	w := graph.NewWatch(noTables{})
	s := newServer(t, func(d *graph.Deps) { d.Incidents = w })
	next, _ := s.open(`subscription { incidentChanged { incident { id } } }`)
	readers(t, w, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w.Run(ctx)
	if last, _ := next(); !strings.Contains(last, "unavailable") {
		t.Errorf("it ended with %q", last)
	}
}

func TestASlowPaceSkipsVersionsOfTheFleet(t *testing.T) {
	s := newServer(t, nil)
	next, _ := s.open(`subscription { fleetChanged(every: "PT0.3S") { version } }`)
	next()
	for range 100 {
		s.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.AnswerKind}, At: time.Now(), Value: "haproxy1"})
	}
	if second, _ := next(); !strings.Contains(second, `"version":100`) {
		t.Errorf("after a hundred versions came %q", second)
	}
}

func TestAFollowersPaceHasLimits(t *testing.T) {
	s := newServer(t, nil)
	for _, every := range []string{"PT0.19S", "PT1M0.1S", "-PT1S"} {
		if all := s.events(`subscription { fleetChanged(every: "` + every + `") { version } }`); !strings.Contains(all[0], `"code":"invalid"`) {
			t.Errorf("every %s: %q", every, all)
		}
	}
}

func TestEveryTransitionOfAnIncidentIsToldOnceAndInOrder(t *testing.T) {
	db, _ := tables(t)
	w := graph.NewWatch(db)
	s := newServer(t, func(d *graph.Deps) { d.DB, d.Incidents = db, w })
	old := openIncident(t, db, "pooler-down/pgb1", 1)
	try(t, w.Look(t.Context()))
	next, _ := s.open(`subscription { incidentChanged { incident { cause state events { seq } } event { seq kind } } }`)
	readers(t, w, 1)

	id := openIncident(t, db, "pooler-down/pgb2", 3)
	try(t, w.Look(t.Context()))
	try(t, w.Look(t.Context())) // nothing new
	addEvent(t, db, old, 2)
	must(q.IncidentAcknowledge(t.Context(), db, queries.IncidentAcknowledgeParams{ID: id, At: moment.Add(time.Hour), By: "ada"}))(t)
	try(t, w.Look(t.Context()))

	for _, want := range []string{
		`"cause":"pooler-down/pgb2","state":"FIRING","events":[{"seq":1},{"seq":2},{"seq":3}]},"event":{"seq":1,"kind":"opened"}`,
		`"event":{"seq":2,"kind":"changed"}`, `"event":{"seq":3,"kind":"changed"}`,
		`"cause":"pooler-down/pgb1","state":"FIRING","events":[{"seq":1},{"seq":2}]},"event":{"seq":2,"kind":"changed"}`,
		`"event":null`,
	} {
		if have, _ := next(); !strings.Contains(have, want) {
			t.Errorf("got %q, want %s", have, want)
		}
	}
}

func TestAReaderThatFallsBehindIsToldSo(t *testing.T) {
	db, _ := tables(t)
	w := graph.NewWatch(db)
	try(t, w.Look(t.Context()))
	changes := must(w.Changes(t.Context()))(t)
	openIncident(t, db, "pooler-down/pgb1", 300)
	try(t, w.Look(t.Context()))
	n, lost := 0, error(nil)
	for c := range changes {
		if n++; c.Lost != nil {
			lost = c.Lost
		}
	}
	if lost == nil || n != 257 {
		t.Errorf("it was told %d changes, and at the end %v", n, lost)
	}
}

// readers waits until so many read: a stream's first bytes come before it reads.
func readers(t *testing.T, w *graph.Watch, n int) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(5 * time.Second); w.Readers() != n; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%d read instead of %d", w.Readers(), n)
		}
	}
}
