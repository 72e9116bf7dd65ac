package graph_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"weir/graph"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/queries"
)

// asking makes one request through the whole handler, without a network.
func asking(b *testing.B, h http.Handler, document string) func() {
	body := []byte(`{"query":"` + document + `"}`)
	return func() {
		r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 200 || bytes.Contains(w.Body.Bytes(), []byte(`"errors"`)) {
			b.Errorf("%d %s", w.Code, w.Body)
		}
	}
}

// measure does something again and again on all cores.
func measure(b *testing.B, do func()) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			do()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// BenchmarkFleet is the chain as the first screen shows it, from memory.
func BenchmarkFleet(b *testing.B) {
	s := newServer(b, nil)
	for _, node := range []string{"haproxy1", "haproxy2"} {
		s.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: fleet.NodeStateKind, Name: node}, At: time.Now(), Value: haproxy.NodeState{Node: node, VRRP: "BACKUP"}})
	}
	measure(b, asking(b, s.Handler(), `{ fleet { version at vip { address holders } haproxies { name report { age error value { vrrp vip ready } } } poolers { name view { age error value { state } } } postgres { probe { age error value { version connections } } } } }`))
}

// BenchmarkIncidents is a page of 50 with their events through the whole handler, and the same SQL through
// pgx alone: in turns, as the machine is not the same from one second to the next. What counts is the ratio.
func BenchmarkIncidents(b *testing.B) {
	const turn = 20
	db, _ := tables(b)
	fill(b, db, 50)
	must(db.Exec(b.Context(), `INSERT INTO incident_event (incident_id, seq, at, kind, from_state, to_state, text, evidence)
		SELECT id, n, opened_at + n * interval '1 second', 'recovering', 'firing', 'recovering', 'pgb2 answers again', '["haproxy1: UP", "haproxy2: UP"]'
		  FROM incident, generate_series(2, 4) n`))(b)
	s := newServer(b, func(d *graph.Deps) { d.DB = db })
	whole := asking(b, s.Handler(), `{ incidents(first: 50) { edges { node { id cause severity state title openedAt events { seq at kind text } } } } }`)
	alone := func() {
		rows, err := q.IncidentPageForward(b.Context(), db, queries.IncidentPageForwardParams{Size: 51})
		if err != nil {
			b.Error(err)
		}
		ids := make([]string, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		if _, err := q.IncidentEventListByIncident(b.Context(), db, ids); err != nil {
			b.Error(err)
		}
	}
	took := func(do func()) time.Duration {
		began := time.Now()
		var clients sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			clients.Go(func() {
				for range turn {
					do()
				}
			})
		}
		clients.Wait()
		return time.Since(began)
	}
	var graphql, pgx time.Duration
	n := 0
	for b.Loop() {
		graphql += took(whole)
		pgx += took(alone)
		n += turn * runtime.GOMAXPROCS(0)
	}
	b.ReportMetric(float64(n)/graphql.Seconds(), "graphql/s")
	b.ReportMetric(float64(n)/pgx.Seconds(), "pgx/s")
	b.ReportMetric(pgx.Seconds()/graphql.Seconds(), "graphql/pgx")
}
