package main

import (
	"bufio"
	"encoding/json"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

func newCollector(t *testing.T, hub *fleet.Hub, seen *sight) collector {
	return collector{hub: hub, seen: func() *sight { return seen }, journal: newJournal(t), pending: func() map[string]int { return map[string]int{"slack": 2} },
		dropped: func() map[string]int64 { return map[string]int64{"messages": 3} }, inventory: "sha256:00"}
}

func get(t *testing.T, c collector, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	c.handler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w.Code, w.Body.String()
}

func TestAnOrderToMaintIsNotCalledAFall(t *testing.T) {
	c := healthy(start)
	c.stats.Rows = append(c.stats.Rows, haproxy.Row{Proxy: "pgbouncer", Name: "BACKEND", Kind: haproxy.Backend, State: haproxy.Up})
	c.look()
	_, text := get(t, newCollector(t, c.hub, &sight{At: time.Now()}), "/metrics")
	for _, section := range []string{"server", "backend"} {
		if want := "# HELP haproxy_" + section + "_check_up_down_total Times it went DOWN or was put into maint"; !strings.Contains(text, want) {
			t.Errorf("no line %s", want)
		}
	}
}

func TestMetricsBearTheNamesThatTheExportersMadeUsual(t *testing.T) {
	c := healthy(start)
	c.view.Stats = []pgbouncer.Stat{{Database: "app", TotalQueryCount: 42, TotalXactTime: 1500 * time.Millisecond}}
	c.stats.Rows = append(c.stats.Rows, haproxy.Row{Proxy: "pgbouncer", Name: "BACKEND", Kind: haproxy.Backend, State: haproxy.Up})
	c.down["pgb2"] = true
	c.look()
	code, text := get(t, newCollector(t, c.hub, &sight{At: time.Now()}), "/metrics")
	if code != 200 {
		t.Fatalf("HTTP %d: %s", code, text)
	}
	for _, want := range []string{
		`haproxy_frontend_current_sessions{node="haproxy1",proxy="postgres"} 300`,
		`haproxy_frontend_status{node="haproxy1",proxy="postgres",state="UP"} 1`,
		`haproxy_backend_status{node="haproxy2",proxy="pgbouncer",state="DOWN"} 0`,
		`haproxy_server_status{node="haproxy1",proxy="pgbouncer",server="pgb2",state="DOWN"} 1`,
		`haproxy_server_status{node="haproxy1",proxy="pgbouncer",server="pgb2",state="UP"} 0`,
		`haproxy_server_up{backend="pgbouncer",node="haproxy2",server="pgb1"} 1`,
		`pgbouncer_up{pooler="pgb1"} 1`, `pgbouncer_up{pooler="pgb2"} 0`,
		`pgbouncer_pools_client_active_connections{database="app",pooler="pgb1",user="app"} 100`,
		`pgbouncer_pools_client_maxwait_seconds{database="app",pooler="pgb1",user="app"} 0.3`,
		`pgbouncer_stats_totals_queries_pooled_total{database="app",pooler="pgb3"} 42`,
		`pgbouncer_stats_totals_server_in_transaction_seconds_total{database="app",pooler="pgb3"} 1.5`,
		`pgbouncer_used_clients{pooler="pgb1"} 102`,
		`weir_vip_holder{node="haproxy1"} 1`, `weir_vip_holder{node="haproxy2"} 0`,
		`weir_incidents{severity="critical"} 0`, `weir_notifications_pending{channel="slack"} 2`, `weir_dropped_total{kind="messages"} 3`, `weir_postgres_up 1`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	if strings.Contains(text, `pgbouncer_pools_client_active_connections{database="app",pooler="pgb2"`) {
		t.Error("a pooler that does not answer has numbers")
	}
}

func TestANameInAnyBytesTakesNoOtherMetricAway(t *testing.T) {
	c := healthy(start)
	for _, name := range []string{"app", "caf\xe9", "caf\xe8", "café", `"caf\xe8"`} {
		c.view.Stats = append(c.view.Stats, pgbouncer.Stat{Database: name, TotalQueryCount: 42})
		c.view.Pools = append(c.view.Pools, pgbouncer.Pool{Database: name, User: name, ClActive: 1})
		c.view.Databases = append(c.view.Databases, pgbouncer.Database{Name: name, PoolSize: 70})
	}
	c.view.Databases, c.view.Pools = c.view.Databases[1:], c.view.Pools[1:]
	c.look()
	code, text := get(t, newCollector(t, c.hub, &sight{At: time.Now()}), "/metrics")
	for _, want := range []string{
		`pgbouncer_stats_totals_queries_pooled_total{database="app",pooler="pgb3"} 42`,
		`pgbouncer_stats_totals_queries_pooled_total{database="café",pooler="pgb3"} 42`,
		`pgbouncer_stats_totals_queries_pooled_total{database="\"caf\\xe9\"",pooler="pgb3"} 42`,
		`pgbouncer_pools_client_active_connections{database="\"caf\\xe8\"",pooler="pgb1",user="\"caf\\xe8\""} 1`,
		`pgbouncer_databases_pool_size{name="\"caf\\xe8\"",pooler="pgb2"} 70`,
		`pgbouncer_databases_pool_size{name="\"\\\"caf\\\\xe8\\\"\"",pooler="pgb2"} 70`,
		`weir_postgres_up 1`,
	} {
		if code != 200 || !strings.Contains(text, want+"\n") {
			t.Errorf("HTTP %d, no line %s", code, want)
		}
	}
}

// TestHAProxyMetricsAreThoseOfItsOwnExporter compares names and types with what the exporter of a
// real HAProxy 3.0.11 answered.
func TestHAProxyMetricsAreThoseOfItsOwnExporter(t *testing.T) {
	f, err := os.Open("testdata/promex-3.0.11.txt")
	try(t, err)
	defer f.Close()
	real := map[string]bool{}
	for s := bufio.NewScanner(f); s.Scan(); {
		real[s.Text()] = true
	}
	c := healthy(start)
	c.stats.Rows = append(c.stats.Rows, haproxy.Row{Proxy: "pgbouncer", Name: "BACKEND", Kind: haproxy.Backend, State: haproxy.Up})
	c.look()
	_, text := get(t, newCollector(t, c.hub, &sight{}), "/metrics")
	found := regexp.MustCompile(`(?m)^# TYPE (haproxy_\S+_\S+ \S+)$`).FindAllStringSubmatch(text, -1)
	for _, m := range found {
		if name, _, _ := strings.Cut(m[1], " "); name != "haproxy_server_up" && !real[m[1]] {
			t.Errorf("HAProxy's own exporter has no %s", m[1])
		}
	}
	if len(found) < 45 || len(real) < 100 {
		t.Errorf("compared %d with %d: too few to mean anything", len(found), len(real))
	}
}

func TestOneWordForTheTwoStatesOfAServer(t *testing.T) {
	for _, test := range []struct {
		sentence string
		state    haproxy.State
		admin    haproxy.Admin
		want     string
	}{
		{"up", haproxy.Up, haproxy.Ready, "UP"},
		{"up, with failing checks", haproxy.UpGoingDown, haproxy.Ready, "UP"},
		{"down", haproxy.Down, haproxy.Ready, "DOWN"},
		{"down, with passing checks", haproxy.DownGoingUp, haproxy.Ready, "DOWN"},
		{"drained", haproxy.Up, haproxy.Drain, "DRAIN"},
		{"in maint it is not checked", haproxy.NotChecked, haproxy.Maint, "MAINT"},
	} {
		if got := status(haproxy.Row{Kind: haproxy.Server, State: test.state, Admin: test.admin}); got != test.want {
			t.Errorf("%s: %s, want %s", test.sentence, got, test.want)
		}
	}
}

func TestHealthIsHowOldTheLastLookIs(t *testing.T) {
	for _, test := range []struct {
		sentence string
		age      time.Duration
		code     int
	}{
		{"a look just now is healthy", 0, 200},
		{"so is one of a few seconds", 4 * time.Second, 200},
		{"an older one is not, whatever else runs", 6 * time.Second, 503},
	} {
		c := newCollector(t, healthy(start).hub, &sight{At: time.Now().Add(-test.age)})
		code, body := get(t, c, "/healthz")
		var h health
		try(t, json.Unmarshal([]byte(body), &h))
		if code != test.code || h.EvaluationAge < test.age.Seconds() || h.Pending["slack"] != 2 || h.Inventory != "sha256:00" {
			t.Errorf("%s: HTTP %d %+v", test.sentence, code, h)
		}
	}
	if code, _ := get(t, newCollector(t, healthy(start).hub, &sight{}), "/healthz"); code != 503 {
		t.Errorf("before the first look: HTTP %d", code)
	}
}
