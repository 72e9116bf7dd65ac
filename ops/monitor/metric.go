package main

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/pgbouncer"
)

// Metrics of HAProxy bear the names, types and labels of the exporter built into HAProxy 3.0
// (promex), and those of PgBouncer the ones of prometheus-community/pgbouncer_exporter 0.11, so that
// dashboards made for these work. One scrape holds all hosts: a label more, node or pooler, says
// which. A host that did not answer when it was last asked has no numbers: only haproxy_up or
// pgbouncer_up, which is 0.

// metric is one of them, read from a T.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(T) float64
}

func (m metric[T]) send(out chan<- prometheus.Metric, of T, labels ...string) {
	out <- constant(m.desc, m.kind, m.value(of), labels)
}

// constant is a metric of now. Who connects to a pooler names its databases and users, in any bytes, and a
// label is UTF-8 or a panic: other names are quoted, and those that look quoted, so that no two become one.
func constant(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []string) prometheus.Metric {
	labels = slices.Clone(labels)
	for i, name := range labels {
		if !utf8.ValidString(name) || strings.HasPrefix(name, `"`) {
			labels[i] = strconv.Quote(name)
		}
	}
	return prometheus.MustNewConstMetric(d, kind, value, labels...)
}

// Sections of a HAProxy configuration that have statistics; each stands at the place of its kind.
var sections = []struct {
	kind   haproxy.Kind
	name   string
	labels []string
	states []string // of the label state, in promex's order
}{
	{haproxy.Frontend, "frontend", []string{"node", "proxy"}, []string{"DOWN", "UP"}},
	{haproxy.Backend, "backend", []string{"node", "proxy"}, []string{"DOWN", "UP"}},
	{haproxy.Server, "server", []string{"node", "proxy", "server"}, []string{"DOWN", "UP", "MAINT", "DRAIN", "NOLB"}},
}

// rowMetrics are the columns that a section has metrics of; front says that frontends have it too.
var rowMetrics = []struct {
	front, back bool // which sections besides servers
	name, help  string
	kind        prometheus.ValueType
	value       func(haproxy.Row) float64
}{
	{true, true, "current_sessions", "Current sessions", gauge, func(r haproxy.Row) float64 { return float64(r.Sessions) }},
	{true, true, "max_sessions", "Most sessions at once since HAProxy started", gauge, func(r haproxy.Row) float64 { return float64(r.SessionsMax) }},
	{true, true, "limit_sessions", "maxconn, or the backend's fullconn; 0 is none", gauge, func(r haproxy.Row) float64 { return float64(r.SessionsLimit) }},
	{true, true, "sessions_total", "Sessions since HAProxy started", counter, func(r haproxy.Row) float64 { return float64(r.SessionsTotal) }},
	{true, true, "bytes_in_total", "Bytes from clients", counter, func(r haproxy.Row) float64 { return float64(r.BytesIn) }},
	{true, true, "bytes_out_total", "Bytes to clients", counter, func(r haproxy.Row) float64 { return float64(r.BytesOut) }},
	{false, true, "current_queue", "Clients in the queue", gauge, func(r haproxy.Row) float64 { return float64(r.Queue) }},
	{false, true, "max_queue", "Most clients in the queue at once", gauge, func(r haproxy.Row) float64 { return float64(r.QueueMax) }},
	{false, true, "connection_errors_total", "Connections to a server that failed", counter, func(r haproxy.Row) float64 { return float64(r.ErrConn) }},
	{false, true, "response_errors_total", "Invalid responses", counter, func(r haproxy.Row) float64 { return float64(r.ErrResp) }},
	{false, true, "retry_warnings_total", "Connections tried again", counter, func(r haproxy.Row) float64 { return float64(r.Retries) }},
	{false, true, "redispatch_warnings_total", "Connections sent to another server", counter, func(r haproxy.Row) float64 { return float64(r.Redispatches) }},
	{false, true, "check_up_down_total", "Times it went DOWN or was put into maint, which HAProxy counts as well: a fall is what check_failures_total grew with", counter, func(r haproxy.Row) float64 { return float64(r.CheckDowns) }},
	{false, true, "check_last_change_seconds", "Time since the last change of state", gauge, func(r haproxy.Row) float64 { return r.LastChange.Seconds() }},
	{false, true, "downtime_seconds_total", "Time spent DOWN", counter, func(r haproxy.Row) float64 { return r.Downtime.Seconds() }},
	{false, true, "queue_time_average_seconds", "Mean wait in the queue, last 1,024 connections", gauge, func(r haproxy.Row) float64 { return r.QueueTime.Seconds() }},
	{false, true, "connect_time_average_seconds", "Mean connect time, last 1,024 connections", gauge, func(r haproxy.Row) float64 { return r.ConnectTime.Seconds() }},
	{false, true, "total_time_average_seconds", "Mean length, last 1,024 connections", gauge, func(r haproxy.Row) float64 { return r.TotalTime.Seconds() }},
	{false, false, "check_failures_total", "Failed checks, those while it was DOWN already or in maint left out", counter, func(r haproxy.Row) float64 { return float64(r.CheckFails) }},
	{false, false, "check_duration_seconds", "Duration of the last check", gauge, func(r haproxy.Row) float64 { return r.CheckDuration.Seconds() }},
}

const gauge, counter = prometheus.GaugeValue, prometheus.CounterValue

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// haproxyMetrics and haproxyStatus are made of the tables above.
var haproxyMetrics, haproxyStatus = func() (map[haproxy.Kind][]metric[haproxy.Row], map[haproxy.Kind]*prometheus.Desc) {
	metrics, status := map[haproxy.Kind][]metric[haproxy.Row]{}, map[haproxy.Kind]*prometheus.Desc{}
	for _, s := range sections {
		for _, m := range rowMetrics {
			if s.kind == haproxy.Server || s.kind == haproxy.Frontend && m.front || s.kind == haproxy.Backend && m.back {
				metrics[s.kind] = append(metrics[s.kind], metric[haproxy.Row]{desc("haproxy_"+s.name+"_"+m.name, m.help, s.labels...), m.kind, m.value})
			}
		}
		status[s.kind] = desc("haproxy_"+s.name+"_status", "Current state, 1 for the one it is in", append(s.labels[:len(s.labels):len(s.labels)], "state")...)
	}
	return metrics, status
}()

// haproxyServerUp is of the older prometheus/haproxy_exporter, which many alerts are still made for.
var (
	haproxyServerUp = desc("haproxy_server_up", "1 while HAProxy finds the server UP, whatever an operator ordered", "node", "backend", "server")
	haproxyUp       = desc("haproxy_up", "1 when the node's statistics were read", "node")
)

var poolMetrics = func() (out []metric[pgbouncer.Pool]) {
	for _, m := range []struct {
		name, help string
		value      func(pgbouncer.Pool) float64
	}{
		{"client_active_connections", "Clients linked to a server connection, or idle", func(p pgbouncer.Pool) float64 { return float64(p.ClActive) }},
		{"client_waiting_connections", "Clients that wait for a server connection", func(p pgbouncer.Pool) float64 { return float64(p.ClWaiting) }},
		{"client_active_cancel_connections", "Clients whose cancel request is at the server", func(p pgbouncer.Pool) float64 { return float64(p.ClActiveCancelReq) }},
		{"client_waiting_cancel_connections", "Clients whose cancel request waits", func(p pgbouncer.Pool) float64 { return float64(p.ClWaitingCancelReq) }},
		{"server_active_connections", "Server connections linked to a client", func(p pgbouncer.Pool) float64 { return float64(p.SvActive) }},
		{"server_active_cancel_connections", "Server connections forwarding a cancel request", func(p pgbouncer.Pool) float64 { return float64(p.SvActiveCancel) }},
		{"server_being_canceled_connections", "Server connections waiting for cancel requests to end", func(p pgbouncer.Pool) float64 { return float64(p.SvBeingCanceled) }},
		{"server_idle_connections", "Server connections ready for use", func(p pgbouncer.Pool) float64 { return float64(p.SvIdle) }},
		{"server_used_connections", "Server connections to be checked before use", func(p pgbouncer.Pool) float64 { return float64(p.SvUsed) }},
		{"server_testing_connections", "Server connections being checked or reset", func(p pgbouncer.Pool) float64 { return float64(p.SvTested) }},
		{"server_login_connections", "Server connections logging in", func(p pgbouncer.Pool) float64 { return float64(p.SvLogin) }},
		{"client_maxwait_seconds", "How long the client that waits longest has waited", func(p pgbouncer.Pool) float64 { return p.MaxWait.Seconds() }},
	} {
		out = append(out, metric[pgbouncer.Pool]{desc("pgbouncer_pools_"+m.name, m.help, "pooler", "database", "user"), gauge, m.value})
	}
	return out
}()

var statMetrics = func() (out []metric[pgbouncer.Stat]) {
	for _, m := range []struct {
		name, help string
		value      func(pgbouncer.Stat) float64
	}{
		{"queries_pooled_total", "Queries", func(s pgbouncer.Stat) float64 { return float64(s.TotalQueryCount) }},
		{"queries_duration_seconds_total", "Time spent in queries", func(s pgbouncer.Stat) float64 { return s.TotalQueryTime.Seconds() }},
		{"sql_transactions_pooled_total", "Transactions", func(s pgbouncer.Stat) float64 { return float64(s.TotalXactCount) }},
		{"server_in_transaction_seconds_total", "Time spent in transactions", func(s pgbouncer.Stat) float64 { return s.TotalXactTime.Seconds() }},
		{"client_wait_seconds_total", "Time clients waited for a server connection", func(s pgbouncer.Stat) float64 { return s.TotalWaitTime.Seconds() }},
		{"received_bytes_total", "Bytes received", func(s pgbouncer.Stat) float64 { return float64(s.TotalReceived) }},
		{"sent_bytes_total", "Bytes sent", func(s pgbouncer.Stat) float64 { return float64(s.TotalSent) }},
	} {
		out = append(out, metric[pgbouncer.Stat]{desc("pgbouncer_stats_totals_"+m.name, m.help, "pooler", "database"), counter, m.value})
	}
	return out
}()

var databaseMetrics = func() (out []metric[pgbouncer.Database]) {
	for _, m := range []struct {
		name, help string
		value      func(pgbouncer.Database) float64
	}{
		{"pool_size", "Most server connections of a pool", func(d pgbouncer.Database) float64 { return float64(d.PoolSize) }},
		{"reserve_pool", "More of them after a wait", func(d pgbouncer.Database) float64 { return float64(d.ReservePoolSize) }},
		{"max_connections", "Most server connections; 0 is no limit", func(d pgbouncer.Database) float64 { return float64(d.MaxConnections) }},
		{"current_connections", "Server connections", func(d pgbouncer.Database) float64 { return float64(d.CurrentConnections) }},
		{"paused", "1 while it is paused", func(d pgbouncer.Database) float64 { return bit(d.Paused) }},
		{"disabled", "1 while it is disabled", func(d pgbouncer.Database) float64 { return bit(d.Disabled) }},
	} {
		out = append(out, metric[pgbouncer.Database]{desc("pgbouncer_databases_"+m.name, m.help, "pooler", "name"), gauge, m.value})
	}
	return out
}()

var (
	pgbouncerUp      = desc("pgbouncer_up", "1 when the pooler's console answered", "pooler")
	pgbouncerVersion = desc("pgbouncer_version_info", "Version, always 1", "pooler", "version")
	pgbouncerLists   = map[string]*prometheus.Desc{
		"used_clients":  desc("pgbouncer_used_clients", "Clients, those logging in left out", "pooler"),
		"login_clients": desc("pgbouncer_login_clients", "Clients logging in", "pooler"),
		"used_servers":  desc("pgbouncer_used_servers", "Server connections", "pooler"),
		"pools":         desc("pgbouncer_pools", "Pools", "pooler"),
	}
)

// Weir's own.
var (
	weirInfo          = desc("weir_monitor_info", "Version of the monitor, always 1", "version")
	weirIncidents     = desc("weir_incidents", "Incidents that are open, planned work left out", "severity")
	weirPlanned       = desc("weir_planned", "Planned work going on")
	weirHolder        = desc("weir_vip_holder", "1 for the node that holds the VIP by its own check; a node that is not heard has none", "node")
	weirServing       = desc("weir_vip_serving", "1 when a new connection and a query went through the VIP")
	weirPassage       = desc("weir_vip_passage_seconds", "How long that took")
	weirPostgresUp    = desc("weir_postgres_up", "1 when PostgreSQL answered directly")
	weirConnections   = desc("weir_postgres_connections", "Client connections of PostgreSQL")
	weirMaxConn       = desc("weir_postgres_max_connections", "max_connections of PostgreSQL")
	weirEvaluationAge = desc("weir_evaluation_age_seconds", "Time since the chain was last judged")
	weirPending       = desc("weir_notifications_pending", "Messages that the other side has not accepted yet", "channel")
	weirDropped       = desc("weir_dropped_total", "What was given up since the start: messages that the other side refused, samples (times of 10 s) beyond what is kept", "kind")
	weirSpool         = desc("weir_spool", "What waits to be written to PostgreSQL, or never will be (aside)", "kind")
)

// collector makes metrics of what the monitor knows at the time of a scrape.
type collector struct {
	hub     *fleet.Hub
	seen    func() *sight
	journal *journal
	pending func() map[string]int
	dropped func() map[string]int64

	inventory string // its checksum
}

// Describe is empty: what there is depends on who answers. prometheus.Collector calls that unchecked.
func (c collector) Describe(chan<- *prometheus.Desc) {}

func (c collector) Collect(out chan<- prometheus.Metric) {
	s, _ := c.hub.Now()
	for i := range s.Nodes {
		collectNode(out, &s.Nodes[i])
	}
	for i := range s.Poolers {
		collectPooler(out, &s.Poolers[i])
	}
	collectChain(out, s)
	c.collectMonitor(out, time.Now())
}

func send(out chan<- prometheus.Metric, d *prometheus.Desc, value float64, labels ...string) {
	out <- constant(d, gauge, value, labels)
}

func bit(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

func collectNode(out chan<- prometheus.Metric, n *fleet.Node) {
	send(out, haproxyUp, bit(n.Stats.OK()), n.Name)
	if n.State.OK() {
		send(out, weirHolder, bit(n.State.Value.VIP), n.Name)
	}
	if !n.Stats.OK() {
		return
	}
	for _, row := range n.Stats.Value.Rows {
		labels := []string{n.Name, row.Proxy}
		if row.Kind == haproxy.Server {
			labels = append(labels, row.Name)
			send(out, haproxyServerUp, bit(row.State.Serving()), labels...)
		}
		for _, m := range haproxyMetrics[row.Kind] {
			m.send(out, row, labels...)
		}
		for _, state := range sections[row.Kind].states {
			send(out, haproxyStatus[row.Kind], bit(state == status(row)), append(labels, state)...)
		}
	}
}

// status is the one word that promex has for the two states of a row.
func status(r haproxy.Row) string {
	switch {
	case r.Admin == haproxy.Maint:
		return "MAINT"
	case r.Admin == haproxy.Drain && r.State != haproxy.Down:
		return "DRAIN"
	case r.State.Serving(), r.State == haproxy.Open, r.State == haproxy.Full:
		return "UP"
	}
	return "DOWN"
}

func collectPooler(out chan<- prometheus.Metric, p *fleet.Pooler) {
	send(out, pgbouncerUp, bit(p.View.OK()), p.Name)
	if !p.View.OK() {
		return
	}
	v := p.View.Value
	send(out, pgbouncerVersion, 1, p.Name, v.Version)
	for _, pool := range v.Pools {
		for _, m := range poolMetrics {
			m.send(out, pool, p.Name, pool.Database, pool.User)
		}
	}
	for _, stat := range v.Stats {
		for _, m := range statMetrics {
			m.send(out, stat, p.Name, stat.Database)
		}
	}
	for _, database := range v.Databases {
		for _, m := range databaseMetrics {
			m.send(out, database, p.Name, database.Name)
		}
	}
	for list, d := range pgbouncerLists {
		if n, ok := v.Lists[list]; ok {
			send(out, d, float64(n), p.Name)
		}
	}
}

func collectChain(out chan<- prometheus.Metric, s *fleet.Snapshot) {
	if s.VIP.Through.Asked() {
		send(out, weirServing, bit(s.VIP.Through.OK()))
	}
	if s.VIP.Through.OK() {
		send(out, weirPassage, s.VIP.Through.Value.Elapsed.Seconds())
	}
	send(out, weirPostgresUp, bit(s.Postgres.Probe.OK()))
	if s.Postgres.Probe.OK() {
		send(out, weirConnections, float64(s.Postgres.Probe.Value.Connections))
		send(out, weirMaxConn, float64(s.Postgres.Probe.Value.MaxConnections))
	}
}

func (c collector) collectMonitor(out chan<- prometheus.Metric, now time.Time) {
	send(out, weirInfo, 1, version)
	seen := c.seen()
	open, planned := map[incident.Severity]int{}, 0
	for _, i := range seen.Book.Incidents() {
		switch {
		case !i.Open():
		case i.Planned:
			planned++
		default:
			open[i.Severity]++
		}
	}
	for _, severity := range []incident.Severity{incident.Info, incident.Warning, incident.Critical} {
		send(out, weirIncidents, float64(open[severity]), string(severity))
	}
	send(out, weirPlanned, float64(planned))
	if !seen.At.IsZero() {
		send(out, weirEvaluationAge, now.Sub(seen.At).Seconds())
	}
	for channel, n := range c.pending() {
		send(out, weirPending, float64(n), channel)
	}
	for kind, n := range c.dropped() {
		out <- constant(weirDropped, prometheus.CounterValue, float64(n), []string{kind})
	}
	send(out, weirSpool, float64(c.journal.rows.Load()), "rows")
	send(out, weirSpool, float64(c.journal.samples.Load()), "samples")
	send(out, weirSpool, float64(c.journal.aside.Load()), "aside")
}
