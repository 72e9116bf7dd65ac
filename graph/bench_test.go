package graph_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"weir/graph"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
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

// live reads every part of the chain anew, as the polls do.
func live(s *server) {
	read := func(kind fleet.Kind, name string, value any) {
		s.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: time.Now(), Value: value})
	}
	for _, n := range s.deps.Inventory.HAProxy.Nodes {
		read(fleet.NodeStateKind, n.Name, haproxy.NodeState{Node: n.Name, VRRP: "BACKUP", Ready: true})
	}
	for _, n := range s.deps.Inventory.PgBouncer.Poolers {
		read(fleet.PoolerKind, n.Name, fleet.PoolerView{Version: "1.24.1", State: pgbouncer.State{Active: true}, Pools: []pgbouncer.Pool{
			{Database: "app", User: "app", ClActive: 40, SvActive: 9, SvIdle: 3, PoolMode: "transaction"}, {Database: "weir", User: "weir", ClActive: 4, SvIdle: 2, PoolMode: "transaction"}}})
	}
	read(fleet.DirectKind, s.deps.Inventory.Postgres.Name, postgres.Probe{Version: "17.12", MaxConnections: 300, Connections: 80})
	read(fleet.AnswerKind, "", "haproxy1")
}

// firstScreen is the chain as somebody sees it who looks.
const firstScreen = `{ version at vip { address holders } haproxies { name report { age error value { vrrp vip ready } } }
	poolers { name view { age error value { state pools { database clActive clWaiting svActive svIdle maxWait } } } } postgres { probe { age error value { version connections } } } }`

// BenchmarkFleet is the chain from memory. With -cpu 1 it says what a core can do.
func BenchmarkFleet(b *testing.B) {
	s := newServer(b, nil)
	live(s)
	measure(b, asking(b, s.Handler(), strings.Join(strings.Fields(`{ fleet `+firstScreen+` }`), " ")))
}

// BenchmarkSubscriptions is 500 followers of the fleet over a real network, each at the default pace, while
// the chain is polled: how many cores they take, those who read them included.
func BenchmarkSubscriptions(b *testing.B) {
	const followers = 500
	s := newServer(b, nil)
	live(s)
	body := must(json.Marshal(map[string]string{"query": `subscription { fleetChanged ` + firstScreen + ` }`}))(b)
	var heard atomic.Int64
	var all sync.WaitGroup
	ctx, leave := context.WithCancel(b.Context())
	defer all.Wait()
	defer leave()
	client := &http.Client{Transport: &http.Transport{}}
	for range followers {
		r := must(http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body)))(b)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "text/event-stream")
		all.Go(func() {
			resp, err := client.Do(r)
			if err != nil {
				return // the benchmark is over; that all came is seen below
			}
			defer resp.Body.Close()
			for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
				if bytes.HasPrefix(lines.Bytes(), []byte("event: next")) {
					heard.Add(1)
				}
			}
		})
	}
	for end := time.Now().Add(20 * time.Second); heard.Load() < followers; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("%d of %d follow", heard.Load(), followers)
		}
	}
	before, used, began := heard.Load(), cpu(b), time.Now()
	for b.Loop() { // an iteration is a second of the chain's life: ten polls of all parts
		for range 10 {
			live(s)
			time.Sleep(100 * time.Millisecond)
		}
	}
	life := time.Since(began).Seconds()
	b.ReportMetric(float64(cpu(b)-used)/1e9/life, "cores")
	b.ReportMetric(float64(heard.Load()-before)/life, "events/s")
}

// cpu is what this process has used so far.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
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
