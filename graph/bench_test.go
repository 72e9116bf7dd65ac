package graph_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"weir/graph"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/queries"
)

// measure sends one document again and again through the whole handler, without a network.
func measure(b *testing.B, h http.Handler, document string) {
	b.Helper()
	body := []byte(`{"query":"` + document + `"}`)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != 200 || bytes.Contains(w.Body.Bytes(), []byte(`"errors"`)) {
				b.Fatalf("%d %s", w.Code, w.Body)
			}
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
	measure(b, s.Handler(), `{ fleet { version at vip { address holders } haproxies { name report { age error value { vrrp vip ready } } } poolers { name view { age error value { state } } } postgres { probe { age error value { version connections } } } } }`)
}

// BenchmarkIncidents is a page of 50 with their events through the whole handler, beside the same SQL
// through pgx alone.
func BenchmarkIncidents(b *testing.B) {
	db, _ := tables(b)
	fill(b, db, 50)
	s := newServer(b, func(d *graph.Deps) { d.DB = db })
	b.Run("graphql", func(b *testing.B) {
		measure(b, s.Handler(), `{ incidents(first: 50) { edges { node { id cause severity state title openedAt events { seq at kind text } } } } }`)
	})
	b.Run("pgx", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				rows, err := q.IncidentPageForward(b.Context(), db, queries.IncidentPageForwardParams{Size: 51})
				if err != nil {
					b.Fatal(err)
				}
				ids := make([]string, len(rows))
				for i, row := range rows {
					ids[i] = row.ID
				}
				if _, err := q.IncidentEventListByIncident(b.Context(), db, ids); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	})
}
