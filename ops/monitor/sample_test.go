package main

import (
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

// byName puts samples by "metric subject", and insists that each is there once.
func byName(t *testing.T, samples []Sample) map[string]float64 {
	t.Helper()
	out := map[string]float64{}
	for _, s := range samples {
		name := s.Metric + " " + s.Subject
		if _, twice := out[name]; twice {
			t.Errorf("%s twice", name)
		}
		out[name] = s.Value
	}
	return out
}

func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if is, ok := got[name]; !ok || is < value-1e-9 || is > value+1e-9 {
			t.Errorf("%s is %v (there: %v), want %v", name, is, ok, value)
		}
	}
}

func absent(t *testing.T, got map[string]float64, names ...string) {
	t.Helper()
	for _, name := range names {
		if v, ok := got[name]; ok {
			t.Errorf("%s is %v, want no sample", name, v)
		}
	}
}

func TestAHealthyChainInNumbers(t *testing.T) {
	c := healthy(start)
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: 100, TotalQueryCount: 200}, {Database: "pgbouncer", TotalQueryCount: 7}}
	before := c.look()
	c.now = c.now.Add(9 * time.Second)
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: 1100, TotalQueryCount: 4200, TotalXactTime: 2 * time.Second,
		TotalQueryTime: time.Second, TotalWaitTime: 500 * time.Millisecond}, {Database: "pgbouncer", TotalQueryCount: 700}}
	c.stats.Rows = []haproxy.Row{{Proxy: "postgres", Name: "FRONTEND", Kind: haproxy.Frontend, State: haproxy.Open, Sessions: 300,
		SessionsTotal: 50, BytesIn: 1000, BytesOut: 2000}}
	c.down["pgb3"] = true
	got := byName(t, Samples(before, c.look()))
	expect(t, got, map[string]float64{
		"haproxy_sessions haproxy1": 300, "haproxy_session_rate haproxy1": 5, "haproxy_bytes_in_rate haproxy2": 100, "haproxy_bytes_out_rate haproxy2": 200,
		"pooler_up haproxy1/pgb1": 1, "pooler_up haproxy2/pgb3": 0,
		"pooler_clients pgb1": 102, "pooler_clients_waiting pgb1": 2, "pooler_max_wait_seconds pgb1": 0.3, "pooler_servers pgb1": 15, "pooler_servers_active pgb1": 10,
		"pooler_xact_rate pgb1": 100, "pooler_query_rate pgb1": 400, "pooler_xact_seconds pgb1": 0.002, "pooler_query_seconds pgb1": 0.00025, "pooler_wait_seconds pgb1": 0.0005,
		"postgres_connections postgres": 60, "postgres_xid_age postgres": 1000, "postgres_size_bytes postgres": 100, "postgres_blocked postgres": 0,
		"vip_holder ": 1, "vip_serving ": 1, "vip_passage_seconds ": 0.003,
	})
	absent(t, got, "pooler_clients pgb3", "pooler_xact_rate pgb3")
}

func TestWhatIsNotKnownHasNoSample(t *testing.T) {
	c := healthy(start)
	if got := Samples(nil, fleet.First(c.inv)); len(got) != 0 {
		t.Errorf("of nothing: %v", got)
	}
	before := c.look()
	c.probe, c.through = errRefused, errRefused
	got := byName(t, Samples(before, c.look()))
	absent(t, got, "postgres_connections postgres", "vip_passage_seconds ", "pooler_xact_seconds pgb1", "pooler_query_seconds pgb1")
	expect(t, got, map[string]float64{"vip_serving ": 0, "pooler_xact_rate pgb1": 0, "postgres_size_bytes postgres": 100})
	first := byName(t, Samples(nil, c.look()))
	absent(t, first, "haproxy_session_rate haproxy1", "pooler_xact_rate pgb1")
}

func TestACounterThatBeganAgainMakesNoRate(t *testing.T) {
	c := healthy(start)
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: 1000, TotalQueryCount: 1000}}
	c.stats.Rows[0].SessionsTotal = 1000
	before := c.look()
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: 10, TotalQueryCount: 10}}
	c.look()
	// It passes the old value before the next sample: the restart was seen nevertheless.
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalXactCount: 2000, TotalQueryCount: 2000}}
	c.stats.Rows = []haproxy.Row{{Proxy: "postgres", Name: "FRONTEND", Kind: haproxy.Frontend, State: haproxy.Open, SessionsTotal: 3}}
	got := byName(t, Samples(before, c.look()))
	absent(t, got, "pooler_xact_rate pgb1", "pooler_query_rate pgb1", "haproxy_session_rate haproxy1")
}

func TestADatabaseThatThePoolerForgotTakesNothingFromTheRates(t *testing.T) {
	app := func(n int64) pgbouncer.Stat {
		return pgbouncer.Stat{Database: "app", TotalXactCount: n, TotalQueryCount: n, TotalXactTime: time.Duration(n) * time.Millisecond}
	}
	for _, test := range []struct {
		sentence string
		xacts    int64 // of the database that is forgotten
	}{
		{"fewer transactions than the others had since", 40},
		{"more of them", 5000},
	} {
		c := healthy(start)
		c.view.Stats = []pgbouncer.Stat{app(1000), {Database: "reports", TotalXactCount: test.xacts, TotalQueryCount: test.xacts, TotalXactTime: 10 * time.Minute}}
		before := c.look()
		c.view.Stats = []pgbouncer.Stat{app(1500)}
		t.Run(test.sentence, func(t *testing.T) {
			got := byName(t, Samples(before, c.look()))
			expect(t, got, map[string]float64{"pooler_xact_rate pgb1": 500, "pooler_query_rate pgb1": 500, "pooler_xact_seconds pgb1": 0.001})
		})
	}
}

func TestNobodyHoldingTheVIPIsNoHolder(t *testing.T) {
	s := *healthy(start).look()
	s.Nodes = append([]fleet.Node{}, s.Nodes...)
	s.Nodes[0].State.Value.VIP = false
	absent(t, byName(t, Samples(nil, &s)), "vip_holder ")
	s.Nodes[0].State.Value.VIP, s.Nodes[1].State.Value.VIP = true, true
	absent(t, byName(t, Samples(nil, &s)), "vip_holder ")
}
