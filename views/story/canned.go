package story

import (
	"math"
	"net/url"
	"strings"
	"time"

	"weir/ops/fleet"
	broke "weir/ops/incident"
	"weir/views/account"
	"weir/views/admin"
	"weir/views/chain"
	"weir/views/chain/chaintest"
	"weir/views/config"
	"weir/views/incident"
	"weir/views/layout"
	"weir/views/metric"
	"weir/views/postgres"
	"weir/views/ui"
)

const day = 24 * time.Hour

// Away is a part that PostgreSQL keeps, while it does not answer.
var Away = ui.Missing{Away: true, Since: ago(12 * time.Second)}

var unreadable = ui.Missing{Why: "read sessions of postgres: canceling statement due to statement timeout"}

// Postgres is a busy server on which some wait for others.
func Postgres() postgres.Model {
	v := chaintest.Healthy().View()
	p := &v.Snapshot.Postgres.Probe.Value
	v.Snapshot.Postgres.Rates = fleet.PostgresRates{Xacts: 1412, Over: 10 * time.Second}
	p.Blocked, p.IdleInTransaction, p.LongestIdleInXact, p.LongestXact, p.LongestXactPID = 3, 1, 140*time.Second, 422*time.Second, 4211
	return postgres.Model{View: v, Operates: true, Show: postgres.Busy,
		Trends:   postgres.Trends{Connections: wave(135, 6, 2), Xacts: wave(1400, 90, 3), LongestXact: wave(120, 90, 6), Blocked: wave(2, 1.4, 8)},
		Activity: postgres.Activity{At: ago(time.Second), Backends: backends(), Unknown: []string{"haproxy2 did not answer: the addresses of clients behind it are not known."}},
		Top:      postgres.Top{By: postgres.TotalTime, Whole: true, Queries: queries()}}
}

// PostgresQuiet is a server on which nothing runs.
func PostgresQuiet() postgres.Model {
	m := Postgres()
	m.View = chaintest.Healthy().View()
	m.Activity = postgres.Activity{At: ago(time.Second), Backends: []postgres.Backend{backends()[6]}}
	m.Top.Queries = nil
	return m
}

// PostgresViewer is a busy server, seen by somebody who may give no orders.
func PostgresViewer() postgres.Model {
	m := Postgres()
	m.Operates = false
	return m
}

func backends() []postgres.Backend {
	through := func(pooler, address, proxy, app string) *postgres.Client {
		return &postgres.Client{Pooler: pooler, User: "app", Application: app, Since: ago(time.Hour), ProxyAddress: proxy, Address: address}
	}
	return []postgres.Backend{
		{PID: 4211, Started: ago(2 * time.Hour), User: "report", Database: "app", Application: "nightly", State: postgres.IdleInXact, StateSince: ago(140 * time.Second), XactSince: ago(422 * time.Second),
			Query: "UPDATE account SET balance = balance - $1 WHERE id = $2", Address: "192.168.1.21:40022", Client: through("pgb1", "203.0.113.9:51234", "192.168.1.10:38112", "nightly report")},
		{PID: 4302, Started: ago(time.Hour), User: "app", Database: "app", State: postgres.Active, StateSince: ago(95 * time.Second), XactSince: ago(95 * time.Second), QuerySince: ago(95 * time.Second),
			Wait: "Lock: transactionid", BlockedBy: []int{4211}, Query: "UPDATE account SET balance = balance + $1 WHERE id = $2", Address: "192.168.1.22:40113", Client: through("pgb2", "203.0.113.31:40211", "192.168.1.10:38270", "shop")},
		{PID: 4310, Started: ago(time.Hour), User: "app", Database: "app", State: postgres.Active, StateSince: ago(41 * time.Second), XactSince: ago(41 * time.Second), QuerySince: ago(41 * time.Second),
			Wait: "Lock: tuple", BlockedBy: []int{4302, 4211}, Query: "UPDATE account SET balance = balance + $1 WHERE id = $2", Address: "192.168.1.23:41900", Client: through("pgb3", "203.0.113.31:40250", "192.168.1.10:38301", "shop")},
		{PID: 4377, Started: ago(20 * time.Minute), User: "app", Database: "app", State: postgres.Active, StateSince: ago(8 * time.Second), XactSince: ago(8 * time.Second), QuerySince: ago(8 * time.Second),
			Wait: "Lock: relation", BlockedBy: []int{0}, Query: "ALTER TABLE account ADD COLUMN note text", Address: "192.168.1.21:40999", Client: through("pgb1", "", "192.168.1.11:39001", "")},
		{PID: 4390, Started: ago(20 * time.Minute), User: "app", Database: "app", State: postgres.Active, StateSince: ago(1800 * time.Millisecond), XactSince: ago(1900 * time.Millisecond), QuerySince: ago(1800 * time.Millisecond), Wait: "IO: DataFileRead",
			Query: "SELECT o.id, o.placed_at, sum(l.quantity * l.price) AS total\n  FROM orders o\n  JOIN order_line l ON l.order_id = o.id\n WHERE o.customer_id = $1\n GROUP BY o.id, o.placed_at\n ORDER BY o.placed_at DESC\n LIMIT 50", Address: "192.168.1.22:40200", Client: through("pgb2", "203.0.113.31:40252", "192.168.1.10:38303", "shop")},
		{PID: 917, Started: ago(9 * day), User: "postgres", Database: "app", Application: "psql", State: postgres.Active, StateSince: ago(3 * time.Second), QuerySince: ago(3 * time.Second), XactSince: ago(3 * time.Second),
			Query: "VACUUM (VERBOSE) account", Address: "192.168.1.41:50110"},
		{PID: 4400, Started: ago(time.Hour), User: "app", Database: "app", State: postgres.Idle, StateSince: ago(400 * time.Millisecond), Wait: "Client: ClientRead", Query: "COMMIT", Address: "192.168.1.22:40201"},
	}
}

func queries() []postgres.Query {
	return []postgres.Query{
		{ID: "-2817265101", User: "app", Database: "app", Text: "UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2", Calls: 81_022_113, Rows: 81_022_113, Total: 31 * time.Hour, Mean: 1380 * time.Microsecond, Longest: 4200 * time.Millisecond, BlocksHit: 981_000_000, BlocksRead: 8_100_000},
		{ID: "913370001", User: "report", Database: "app", Text: "SELECT o.id, o.placed_at, sum(l.quantity * l.price) AS total FROM orders o JOIN order_line l ON l.order_id = o.id WHERE o.placed_at > now() - $1::interval GROUP BY o.id, o.placed_at", Calls: 1_204, Rows: 3_400_120, Total: 2 * time.Hour, Mean: 5900 * time.Millisecond, Longest: 31 * time.Second, BlocksHit: 4_000_000, BlocksRead: 12_000_000},
		{ID: "77", User: "weir", Database: "weir", Text: "CREATE TABLE sample (at timestamptz)", Calls: 1, Total: 284 * time.Millisecond, Mean: 284 * time.Millisecond, Longest: 284 * time.Millisecond},
		{ID: "11", User: "app", Database: "app", Text: "SELECT $1", Calls: 12, Rows: 12, Total: 900 * time.Microsecond, Mean: 75 * time.Microsecond, Longest: 120 * time.Microsecond},
	}
}

// Terminate is an order that would be done.
func Terminate() postgres.Act {
	m := Postgres()
	b := m.Activity.Backends[0]
	return postgres.Act{Verb: postgres.Terminate, Backend: b, Way: m.Way(b), Verdict: ui.Verdict{Clock: clock, Checked: ago(time.Second), Effects: []string{"Backend 4211 (user report, nightly, through pgb2) is disconnected; its transaction, open for 7 min 2 s, is rolled back.", "2 sessions that wait for its locks can go on."}}}
}

// CancelGone is an order that came too late.
func CancelGone() postgres.Act {
	return postgres.Act{Verb: postgres.Cancel, Backend: postgres.Backend{PID: 4302, Started: ago(time.Hour)}, Verdict: ui.Verdict{Text: "holds everybody up", Clock: clock, Refused: []string{"There is no such session any more."}}}
}

var incidents = []incident.Incident{
	{ID: "SW5jaWRlbnQ6MQ", Cause: "pooler-down/pgb2", Subject: "pgb2", Severity: broke.Warning, State: broke.Firing, Title: "pgb2 down", OpenedAt: ago(252 * time.Second), Flaps: 1},
	{ID: "SW5jaWRlbnQ6Mg", Cause: "pooler-down/pgb3", Subject: "pgb3", Severity: broke.Info, State: broke.Planned, Planned: true, Title: "pgb3 in drain", OpenedAt: ago(9 * time.Minute)},
	{ID: "SW5jaWRlbnQ6Mw", Cause: "postgres-down", Subject: "postgres", Severity: broke.Critical, State: broke.OK, Title: "PostgreSQL down", OpenedAt: ago(26 * time.Hour), ResolvedAt: ago(26*time.Hour - 185*time.Second),
		Symptoms: []string{"pooler-down/pgb1", "no-pooler"}, AcknowledgedAt: ago(26*time.Hour - time.Minute), AcknowledgedBy: "ada@example.org", AcknowledgedReason: "on it"},
	{ID: "SW5jaWRlbnQ6NA", Cause: "vip-moved", Severity: broke.Info, State: broke.OK, Title: "VIP moved from haproxy2 to haproxy1", OpenedAt: ago(50 * time.Hour), ResolvedAt: ago(50 * time.Hour)},
	{ID: "SW5jaWRlbnQ6NQ", Cause: "haproxy-unreachable/haproxy1", Subject: "haproxy1", Severity: broke.Warning, State: broke.OK, Title: "haproxy1 unreachable", OpenedAt: ago(75 * time.Hour), ResolvedAt: ago(74 * time.Hour)},
}

// Incidents are two that are open and three that are resolved.
func Incidents() incident.ListModel {
	return incident.ListModel{Clock: clock, Now: incidents[:2], History: incidents[2:], Hosts: []string{"haproxy1", "haproxy2", "pgb1", "pgb2", "pgb3", "postgres"},
		Recovery: incident.Recover(incidents), Pager: ui.Pager{Older: "/incidents?after=b", Shown: 3, Noun: "incident"}}
}

// IncidentsFiltered is a filter that none of them passes, and one of whose moments is wrong.
func IncidentsFiltered() incident.ListModel {
	return incident.ListModel{Clock: clock, Hosts: []string{"pgb1", "pgb2"}, Recovery: incident.Recover(incidents),
		Filter: incident.ParseFilter(url.Values{"kind": {"xid-age"}, "host": {"pgb1"}, "state": {"all"}, "from": {"yesterday"}, "to": {"2026-11-23T11:00"}}, clock)}
}

// Incident is one that is open.
func Incident() incident.Model {
	return incident.Model{Clock: clock, Incident: incidents[0], Operates: true,
		Impact: "2 of 3 poolers serve: 8,000 client places for 1,833 clients.", Action: "On pgb2: `systemctl status pgbouncer`.",
		Evidence: []string{"haproxy1: pgb2 DOWN for 4 min 12 s, connection refused (L4CON)", "haproxy2: pgb2 DOWN for 4 min 11 s, connection refused (L4CON)", "pgb2: connect to 192.168.1.22:6432: connection refused"},
		Events: []incident.Event{
			{At: ago(252 * time.Second), Kind: broke.Opened, From: broke.Suspect, To: broke.Firing, Text: "pgb2 down: opened. 2 of 3 poolers serving.", Evidence: []string{"haproxy1: pgb2 DOWN for under 1 s, connection refused (L4CON)", "pgb2: connection refused"}},
			{At: ago(200 * time.Second), Kind: broke.Recovers, From: broke.Firing, To: broke.Recovering, Text: "pgb2 down: recovering"},
			{At: ago(190 * time.Second), Kind: broke.Relapsed, From: broke.Recovering, To: broke.Firing, Text: "pgb2 down: relapsed. 2 of 3 poolers serving."},
		},
		Notifications: []incident.Notification{
			{Channel: "slack", Reason: "first", State: "sent", Attempts: 1, CreatedAt: ago(251 * time.Second), SentAt: ago(251*time.Second - 340*time.Millisecond)},
			{Channel: "webhook", Reason: "first", State: "pending", Attempts: 3, CreatedAt: ago(251 * time.Second), Error: "post to the webhook: 503 Service Unavailable"}},
		Range: incident.Around(incidents[0], chaintest.Noon), Series: series(incident.Around(incidents[0], chaintest.Noon))}
}

// IncidentFlapping is one that is up at the moment. Nobody was told, as there is no channel.
func IncidentFlapping() incident.Model {
	m := Incident()
	m.Incident.State, m.Incident.Flaps = broke.Flapping, 5
	m.Incident.Since, m.Incident.Gone = ago(40*time.Second), ago(24*time.Second)
	m.Action, m.EvidenceAt = "Find out why it goes down again and again. On pgb2: `journalctl -u pgbouncer -n 50`.", m.Incident.Gone
	m.Fell = []time.Time{ago(80 * time.Second), ago(61 * time.Second), ago(40 * time.Second)}
	m.Events = []incident.Event{
		{At: ago(252 * time.Second), Kind: broke.Opened, From: broke.OK, To: broke.Firing, Text: "pgb2 down: opened. 2 of 3 poolers serving."},
		{At: ago(200 * time.Second), Kind: broke.Recovers, From: broke.Firing, To: broke.Recovering, Text: "pgb2 down: recovering"},
		{At: ago(190 * time.Second), Kind: broke.Flaps, From: broke.Recovering, To: broke.Flapping, Text: "pgb2 down: flapping"}}
	m.Notifications, m.Untold = nil, incident.Untold{Channels: incident.NoChannel}
	return m
}

// IncidentSilenced is one that somebody took, and silenced.
func IncidentSilenced() incident.Model {
	m := Incident()
	m.Incident.AcknowledgedAt, m.Incident.AcknowledgedBy, m.Incident.AcknowledgedReason = ago(2*time.Minute), "ada@example.org", "on it"
	m.Notifications, m.Untold.Silence = nil, &incident.Silence{By: "ada@example.org", Reason: "disk is being replaced", Until: chaintest.Noon.Add(time.Hour)}
	return m
}

// IncidentOver is one that somebody took care of.
func IncidentOver() incident.Model {
	i := incidents[2]
	return incident.Model{Clock: clock, Incident: i, Operates: true, Impact: "Nobody was served: 1,833 clients waited.", Evidence: []string{"postgres: connection refused"},
		Events: []incident.Event{
			{At: i.OpenedAt, Kind: broke.Opened, From: broke.OK, To: broke.Firing, Text: "PostgreSQL down: opened. No query is answered."},
			{At: i.ResolvedAt, Kind: broke.Resolved, From: broke.Recovering, To: broke.OK, Text: "PostgreSQL down: resolved after 3 min 5 s"}},
		Notifications: []incident.Notification{{Channel: "slack", Reason: "first", State: "sent", Attempts: 1, CreatedAt: i.OpenedAt, SentAt: i.OpenedAt.Add(410 * time.Millisecond)}},
		Range:         incident.Around(i, chaintest.Noon),
		Series:        series(incident.Around(i, chaintest.Noon))}
}

// Acknowledge is an acknowledgement without a reason.
func Acknowledge() incident.Order {
	return incident.Order{Incident: incidents[0], Verdict: ui.Verdict{Clock: clock, Text: "on", Faults: ui.Faults{{Field: "reason", Message: "Say why in at least 3 characters."}}}}
}

func hour() metric.Range { return metric.Range{Name: "1h", From: ago(time.Hour), To: chaintest.Noon} }

// Metrics is the last hour, with a pooler that was away for a while.
func Metrics() metric.Model {
	return metric.Model{Clock: clock, Range: hour(), Series: series(hour()), Marks: marks()}
}

// MetricsWrong is a range that somebody mistyped.
func MetricsWrong() metric.Model {
	q := url.Values{"from": {"2026-11-23T12:00"}, "to": {"2026-11-23T11:00"}}
	r, faults := metric.ParseRange(q, clock)
	return metric.Model{Clock: clock, Range: r, Faults: faults, From: q.Get("from"), To: q.Get("to")}
}

func marks() []metric.Mark {
	return []metric.Mark{
		{Kind: metric.Incident, At: ago(252 * time.Second), Open: true, State: ui.Warning, Text: "pgb2 down", Href: "/incidents/SW5jaWRlbnQ6MQ"},
		{Kind: metric.Incident, At: ago(40 * time.Minute), Until: ago(32 * time.Minute), State: ui.Critical, Text: "PostgreSQL down", Href: "/incidents/SW5jaWRlbnQ6Mw"},
		{Kind: metric.Act, At: ago(20 * time.Minute), State: ui.Planned, Text: "drain pgb3: kernel update", Who: "ada@example.org", Href: "/admin/audit"},
		{Kind: metric.Move, At: ago(15 * time.Minute), State: ui.Warning, Text: "The VIP moved from haproxy2 to haproxy1"},
	}
}

// subjects are what each metric is sampled of.
var subjects = map[metric.Metric][]string{metric.Sessions: {"haproxy1", "haproxy2"}, metric.SessionRate: {"haproxy1", "haproxy2"}, metric.BytesIn: {"haproxy1", "haproxy2"},
	metric.BytesOut: {"haproxy1", "haproxy2"}, metric.PoolerUp: {"haproxy1/pgb1", "haproxy1/pgb2", "haproxy1/pgb3", "haproxy2/pgb1", "haproxy2/pgb2", "haproxy2/pgb3"},
	metric.Holder: {""}, metric.Serving: {""}, metric.Passage: {""}}

var usually = map[metric.Metric]float64{metric.Sessions: 1800, metric.SessionRate: 40, metric.BytesIn: 8e5, metric.BytesOut: 5e6, metric.Clients: 600, metric.Waiting: 3, metric.MaxWait: 0.4,
	metric.Servers: 60, metric.ServersActive: 40, metric.XactRate: 480, metric.QueryRate: 2400, metric.XactSeconds: 0.005, metric.QuerySeconds: 0.0008, metric.WaitSeconds: 0.00003, metric.Connections: 140,
	metric.LongestXact: 20, metric.IdleInXact: 2, metric.Blocked: 1, metric.XIDAge: 6e7, metric.SizeBytes: 5e10, metric.Passage: 0.0034, metric.Holder: 1, metric.Serving: 1, metric.PoolerUp: 1}

// series are canned samples of every metric, with two minutes without any.
func series(r metric.Range) map[metric.Metric][]metric.Series {
	out := map[metric.Metric][]metric.Series{}
	for n, m := range metric.Metrics() {
		of := subjects[m]
		switch {
		case of != nil:
		case len(m) > 6 && m[:6] == "pooler":
			of = []string{"pgb1", "pgb2", "pgb3"}
		default:
			of = []string{"postgres"}
		}
		for i, subject := range of {
			out[m] = append(out[m], metric.Series{Subject: subject, Points: points(r, usually[m], n+7*i, m == metric.Holder || m == metric.Serving || m == metric.PoolerUp)})
		}
		out[m] = metric.Dressed(m, out[m], chaintest.Healthy().View().Inventory)
	}
	during(out[metric.Holder][0].Points, r.From, ago(15*time.Minute), 2)
	during(out[metric.Serving][0].Points, ago(40*time.Minute), ago(32*time.Minute), 0)
	for _, s := range out[metric.PoolerUp] {
		if strings.HasSuffix(s.Subject, "/pgb2") {
			during(s.Points, ago(252*time.Second), chaintest.Noon, 0)
		}
	}
	return out
}

// during makes the points of a time all the same.
func during(list []metric.Point, from, to time.Time, v float64) {
	for i, p := range list {
		if !p.At.Before(from) && p.At.Before(to) {
			list[i].Min, list[i].Mean, list[i].Most = v, v, v
		}
	}
}

func points(r metric.Range, mean float64, phase int, flat bool) (out []metric.Point) {
	step := max(r.Length()/120, 10*time.Second)
	for at, i := r.From, 0; at.Before(r.To); at, i = at.Add(step), i+1 {
		if gone := r.To.Sub(at); gone > r.Length()/2 && gone < r.Length()*11/20 {
			continue
		}
		v := mean
		if !flat {
			x := float64(i + 31*phase)
			v = mean * (1 + 0.12*math.Sin(x/11) + 0.06*math.Sin(x/2.7) + 0.04*math.Sin(x*1.9))
		}
		out = append(out, metric.Point{At: at, Min: v * 0.9, Mean: v, Most: v * 1.1})
		if flat {
			out[len(out)-1] = metric.Point{At: at, Min: v, Mean: v, Most: v}
		}
	}
	return out
}

// Config is a pooler that runs with another pool size than its file has.
func Config() config.Model {
	return config.Model{Clock: clock, Host: config.Host{Name: "pgb2", What: "PgBouncer", Address: "192.168.1.22"},
		Files: []config.File{{Path: "/etc/pgbouncer/pgbouncer.ini", Mode: "0640", Body: "; pgb2: rendered by Weir\n\n[databases]\n* = host=192.168.1.30 port=5432\n\n[pgbouncer]\nlisten_port               = 6432\npool_mode                 = transaction\n; Per (user, database) pair.\ndefault_pool_size         = 70\nserver_login_retry        = 0.1\nlog_connections           = 0\nsyslog                    = 1\n"},
			{Path: "/etc/pgbouncer/userlist.txt", Mode: "0640", Body: "\"hc\" \"\"\n"}},
		Running: []config.Setting{{Key: "listen_port", Value: "6432", Default: "6432"}, {Key: "pool_mode", Value: "transaction", Default: "session"}, {Key: "default_pool_size", Value: "20", Default: "20"},
			{Key: "server_login_retry", Value: "0.1", Default: "15"}, {Key: "log_connections", Value: "0", Default: "1"}, {Key: "conffile", Value: "/etc/pgbouncer/pgbouncer.ini", Default: ""}}}
}

// ConfigHosts is the list of hosts, one of which runs otherwise and one of which does not answer.
func ConfigHosts(v chain.View) config.ListModel {
	return config.ListModel{View: v, Hosts: config.Hosts(v.Inventory), Checks: map[string]config.Check{"pgb1": {}, "pgb2": Config().Compared(), "pgb3": {Why: "pgb3 does not answer."}, "postgres": {Untold: 2},
		"haproxy1": ConfigNode().Compared(), "haproxy2": {}, "monitor": {}}}
}

// ConfigNode is a node whose keepalived has not loaded the file that is rendered.
func ConfigNode() config.Model {
	return config.Model{Clock: clock, Host: config.Host{Name: "haproxy1", What: "HAProxy and keepalived", Address: "192.168.1.10"},
		Files: []config.File{{Path: "/etc/haproxy/haproxy.cfg", Mode: "0644", Body: "frontend postgres\n    bind :5432\n# sha256:9d0f6c1b8a7e2f35\n"},
			{Path: "/etc/keepalived/keepalived.conf", Mode: "0644", Body: "vrrp_script ready {\n    script \"/etc/keepalived/weir-check ready sha256:17da2253b5a6d43c\"\n}\n"}},
		Running: []config.Setting{{Key: "checksum of /etc/haproxy/haproxy.cfg", Value: "sha256:9d0f6c1b8a7e2f35"}, {Key: "checksum of /etc/keepalived/keepalived.conf", Value: "sha256:5a42e58363bce4cf"}}}
}

const firefox, phone = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/19.0 Mobile/15E148 Safari/604.1"

// Sessions are three, the first of which asks.
func Sessions() []account.Session {
	return []account.Session{
		{ID: "1", Here: true, Who: "ada@example.org", Address: "203.0.113.77", UserAgent: firefox, CreatedAt: ago(3 * time.Hour), LastSeen: ago(time.Minute), ExpiresAt: chaintest.Noon.Add(9 * time.Hour)},
		{ID: "2", Who: "ada@example.org", Address: "198.51.100.4", UserAgent: phone, CreatedAt: ago(2 * day), LastSeen: ago(50 * time.Minute), ExpiresAt: chaintest.Noon.Add(5 * day)},
		{ID: "3", Who: "grace@example.org", Address: "2001:db8::7f3a:1", UserAgent: "", CreatedAt: ago(2 * day), LastSeen: ago(20 * time.Hour), ExpiresAt: chaintest.Noon.Add(5 * day)},
	}
}

// own are the first two, on a person's own page.
func own() []account.Session {
	list := Sessions()[:2]
	for i := range list {
		list[i].Who = ""
	}
	return list
}

// Tokens are one in every state.
func Tokens() []account.Token {
	return []account.Token{
		{ID: "1", Name: "nightly report", Prefix: "weir_4f9d", Role: layout.SeesOnly, Operations: []string{"fleet", "incidents"}, CreatedBy: "ada@example.org", CreatedAt: ago(day), ExpiresAt: chaintest.Noon.Add(60 * day), LastUsed: ago(9 * time.Hour)},
		{ID: "2", Name: "deploy", Prefix: "weir_a01b", Role: layout.Operator, CreatedBy: "ada@example.org", CreatedAt: ago(28 * day), ExpiresAt: chaintest.Noon.Add(2 * day)},
		{ID: "3", Name: "old script", Prefix: "weir_77c2", Role: layout.Operator, CreatedBy: "root", CreatedAt: ago(80 * day), ExpiresAt: chaintest.Noon.Add(2 * day), RevokedAt: ago(3 * day)},
	}
}

// Profile is an administrator without a second factor.
func Profile() account.Profile {
	return account.Profile{Clock: clock, Name: "Ada Lovelace", Email: "ada@example.org", Role: layout.Administrator,
		Sessions: account.Sessions{List: own()}, Tokens: account.Tokens{List: Tokens()}}
}

// ProfileAway is a viewer while PostgreSQL is away.
func ProfileAway() account.Profile {
	return account.Profile{Clock: clock, Name: "Grace Hopper", Email: "grace@example.org", Role: layout.SeesOnly, SecondFactor: true,
		Sessions: account.Sessions{Missing: Away}, Tokens: account.Tokens{Missing: ui.Missing{Role: "administrator"}}}
}

// Enrolment is a secret that is nobody's.
func Enrolment() account.Enrolment {
	return account.Enrolment{Secret: "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", URL: "otpauth://totp/Weir:ada@example.org?algorithm=SHA1&digits=6&issuer=Weir&period=30&secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
}

// People are three with an account, and two that are invited.
func People() admin.People {
	return admin.People{Clock: clock, Role: layout.Administrator,
		People: []admin.Person{
			{ID: "1", Email: "ada@example.org", Name: "Ada Lovelace", Role: layout.Administrator, SecondFactor: true, CreatedAt: ago(90 * day), You: true},
			{ID: "2", Email: "grace@example.org", Name: "Grace Hopper", Role: layout.Operator, CreatedAt: ago(30 * day)},
			{ID: "3", Email: "kurt@example.org", Name: "Kurt", Role: layout.SeesOnly, CreatedAt: ago(80 * day), DisabledAt: ago(3 * day)}},
		Links: []admin.Link{
			{ID: "7", Kind: admin.Invite, Email: "edith@example.org", Role: layout.Operator, CreatedBy: "ada@example.org", CreatedAt: ago(time.Hour), ExpiresAt: chaintest.Noon.Add(47 * time.Hour)},
			{ID: "8", Kind: admin.PasswordReset, Email: "grace@example.org", CreatedBy: "ada@example.org", CreatedAt: ago(time.Minute), ExpiresAt: chaintest.Noon.Add(time.Hour)}}}
}

// Person is somebody else.
func Person() admin.PersonModel {
	return admin.PersonModel{Clock: clock, Role: layout.Administrator, Person: People().People[1], Sessions: account.Sessions{List: Sessions()[2:]}}
}

// Silences are one in every state.
func Silences() admin.Silences {
	return admin.Silences{Clock: clock, Role: layout.Operator, Channels: Notifications().Channels, List: []admin.Silence{
		{ID: "1", Cause: "pooler-down/*", Host: "pgb3", Reason: "kernel update", CreatedBy: "ada@example.org", CreatedAt: ago(10 * time.Minute), StartsAt: ago(10 * time.Minute), EndsAt: chaintest.Noon.Add(50 * time.Minute)},
		{ID: "2", Cause: "*", Reason: "rehearsal of a failover", CreatedBy: "grace@example.org", CreatedAt: ago(3 * day), StartsAt: ago(3 * day), EndsAt: ago(2 * day), EndedAt: ago(3*day - time.Hour), EndedBy: "ada@example.org"},
		{ID: "3", Cause: "places-used", Reason: "load test", CreatedBy: "ada@example.org", CreatedAt: ago(9 * day), StartsAt: ago(9 * day), EndsAt: ago(9*day - time.Hour)}}}
}

// Notifications are messages in every state, to a channel that delivers and to one that does not.
func Notifications() admin.Notifications {
	return admin.Notifications{Clock: clock, Role: layout.Administrator,
		Channels: admin.Channels{List: []admin.Channel{{Name: "slack", LastSent: ago(250 * time.Second)},
			{Name: "webhook", LastSent: ago(3 * day), Owed: 2, Error: "post to the webhook: 503 Service Unavailable"},
			{Name: "mail", Unset: "Set `WEIR_MAIL` to have it."}}},
		List: []admin.Notification{
			{ID: "1", Incident: "SW5jaWRlbnQ6MQ", Title: "pgb2 down", Channel: "slack", Reason: "first", State: "sent", Attempts: 1, CreatedAt: ago(251 * time.Second), SentAt: ago(251*time.Second - 340*time.Millisecond)},
			{ID: "2", Incident: "SW5jaWRlbnQ6MQ", Title: "pgb2 down", Channel: "webhook", Reason: "first", State: "pending", Attempts: 3, CreatedAt: ago(251 * time.Second), Error: "post to the webhook: 503 Service Unavailable"},
			{ID: "3", Channel: "slack", Reason: "test", State: "failed", Attempts: 1, CreatedAt: ago(day), Error: "channel_not_found"},
			{ID: "4", Incident: "SW5jaWRlbnQ6Mw", Title: "PostgreSQL down", Channel: "webhook", Reason: "reminder", State: "collapsed", CreatedAt: ago(26 * time.Hour)}},
		Pager: ui.Pager{Older: "/admin/notifications?after=b", Shown: 4, Noun: "message"}}
}

// NoChannels are those of a monitor that nobody has given one.
func NoChannels() admin.Channels {
	return admin.Channels{List: []admin.Channel{{Name: "slack", Unset: "To have it, give the monitor `SLACK_BOT_TOKEN` and `SLACK_CHANNEL`."}, {Name: "webhook", Unset: "To have it, give the monitor `ALERT_WEBHOOK_URL`."}}}
}

// SilenceForm is a silence of what is open, or of everything.
func SilenceForm(cause string) admin.SilenceForm {
	return admin.SilenceForm{Cause: cause, Hosts: []string{"haproxy1", "haproxy2", "pgb1", "pgb2", "pgb3", "postgres"}, Clock: clock,
		Open: []admin.Open{{Cause: "pooler-down/pgb2", Host: "pgb2", Title: "pgb2 down"}}}
}

// AuditWrong is a moment that somebody mistyped.
func AuditWrong() admin.Audit {
	return admin.Audit{Clock: clock, Role: layout.Operator, Filter: admin.ParseFilter(url.Values{"since": {"last night"}}, clock)}
}

// Audit is an entry of every outcome.
func Audit() admin.Audit {
	return admin.Audit{Clock: clock, Role: layout.Administrator, Filter: admin.Filter{Actor: "ada@example.org", Since: ago(2 * day)},
		Entries: []admin.Entry{
			{ID: "1", At: ago(4 * time.Minute), Kind: "user", Actor: "ada@example.org", Address: "203.0.113.77", Verb: "drain", Subject: "pgb3", Reason: "kernel update", Outcome: "ok", Detail: []string{"haproxy1: drain done", "haproxy2: drain done"}, Took: 41 * time.Millisecond},
			{ID: "2", At: ago(9 * time.Minute), Kind: "token", Actor: "deploy", Address: "192.168.1.41", Verb: "maint", Subject: "pgb3", Reason: "deploy 1.42", Outcome: "refused", Detail: []string{"1,833 clients are connected, and the poolers that remain have 1,200 places."}, Took: 2 * time.Millisecond},
			{ID: "3", At: ago(30 * time.Hour), Kind: "system", Actor: "weir", Verb: "resume", Subject: "every pooler", Reason: "the pause was over", Outcome: "failed", Detail: []string{"pgb1: resume done", "pgb2: resume failed: no answer within 2s"}, Took: 2100 * time.Millisecond}},
		Pager: ui.Pager{Newer: "/admin/audit?before=a", Older: "/admin/audit?after=b", Shown: 3, Noun: "act"}}
}
