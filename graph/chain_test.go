package graph_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/graph"
	"weir/graph/noun"
	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/ops/runbook"
	"weir/queries"
)

func TestTheFleetSaysEveryPartWithItsAgeAndItsError(t *testing.T) {
	s := newServer(t, func(d *graph.Deps) { d.Now = func() time.Time { return moment.Add(5 * time.Second) } })
	apply := func(kind fleet.Kind, name string, value any, err error) {
		s.hub.Apply(fleet.Reading{Source: fleet.Source{Kind: kind, Name: name}, At: moment, Took: 250 * time.Millisecond, Value: value, Err: err})
	}
	apply(fleet.NodeStateKind, "haproxy1", haproxy.NodeState{Node: "haproxy1", VIP: true, VRRP: "MASTER", Keepalived: true}, nil)
	apply(fleet.NodeStatsKind, "haproxy1", haproxy.Stats{Node: "haproxy1", Rows: []haproxy.Row{{Proxy: fleet.PoolerBackend, Name: "pgb1", Kind: haproxy.Server,
		State: haproxy.UpGoingDown, Admin: haproxy.Drain, Health: haproxy.Health{Passed: 1, Of: 3}, BytesIn: 1 << 40}}}, nil)
	apply(fleet.PoolerKind, "pgb1", fleet.PoolerView{Version: "PgBouncer 1.24.1", State: pgbouncer.State{Paused: true}}, nil)
	apply(fleet.DirectKind, "", postgres.Probe{Version: "17.12", Connections: 7}, nil)
	apply(fleet.DirectKind, "", nil, errors.New("connection refused"))
	apply(fleet.SizesKind, "", []postgres.Size{{Database: "app", Bytes: 1 << 33}}, nil)

	a := s.ask(`{ fleet {
		vip { holders answers { value at } }
		haproxies { name report { value { vrrp vip } age } stats { value { rows { kind state admin health { passed of } bytesIn } } } }
		poolers { name view { value { state paused version } failures } inHAProxy { node row { state } } }
		postgres { probe { value { connections } age took error failures } sizes { value { databases { database bytes } } } }
	} }`)
	want := `{"fleet":{"vip":{"holders":["haproxy1"],"answers":{"value":null,"at":null}},` +
		`"haproxies":[{"name":"haproxy1","report":{"value":{"vrrp":"MASTER","vip":true},"age":"PT5S"},"stats":{"value":{"rows":[{"kind":"SERVER","state":"UP_GOING_DOWN","admin":"DRAIN","health":{"passed":1,"of":3},"bytesIn":1099511627776}]}}},` +
		`{"name":"haproxy2","report":{"value":null,"age":null},"stats":{"value":null}}],` +
		`"poolers":[{"name":"pgb1","view":{"value":{"state":"PAUSED","paused":["*"],"version":"PgBouncer 1.24.1"},"failures":0},"inHAProxy":[{"node":"haproxy1","row":{"state":"UP_GOING_DOWN"}},{"node":"haproxy2","row":null}]},` +
		`{"name":"pgb2","view":{"value":null,"failures":0},"inHAProxy":[{"node":"haproxy1","row":null},{"node":"haproxy2","row":null}]},` +
		`{"name":"pgb3","view":{"value":null,"failures":0},"inHAProxy":[{"node":"haproxy1","row":null},{"node":"haproxy2","row":null}]}],` +
		`"postgres":{"probe":{"value":{"connections":7},"age":"PT5S","took":"PT0.25S","error":"connection refused","failures":1},"sizes":{"value":{"databases":[{"database":"app","bytes":8589934592}]}}}}}`
	if !strings.Contains(a.raw, want) {
		t.Errorf("have %s\nwant %s", a.raw, want)
	}
}

// edge is HAProxy's session table.
type edge map[string]string

func (e edge) Clients(context.Context) (map[string]string, error) { return e, nil }

func TestASessionOfPostgreSQLLeadsToTheClientBehindHAProxy(t *testing.T) {
	client := func(ptr, link string, port int64) pgbouncer.Socket {
		return pgbouncer.Socket{Ptr: ptr, Link: link, Addr: "192.168.1.10", Port: port, User: "app", Database: "shop", ApplicationName: "till"}
	}
	pgb1 := lists{
		clients: []pgbouncer.Socket{client("c1", "s1", 40001), client("c2", "", 40002), client("c3", "s9", 40003)},
		servers: []pgbouncer.Socket{{Ptr: "s1", Link: "c1", RemotePID: 101}, {Ptr: "s2", RemotePID: 102}, {Ptr: "s3", Link: "c3", RemotePID: 103}},
	}
	s := newServer(t, func(d *graph.Deps) {
		d.Statistics = sessions{101, 102, 103, 104}
		d.Pools = map[string]graph.Pools{"pgb1": pgb1, "pgb2": lists{}, "pgb3": lists{err: errDeaf}}
		d.Edge = edge{"192.168.1.10:40001": "10.0.0.7:55555"}
	})
	a := s.ask(`{ activity { unknown backends { pid client { pooler application proxyAddress address } } } }`)
	want := `{"activity":{"unknown":["pgb3 does not answer: whom its server connections work for is unknown."],"backends":[` +
		`{"pid":101,"client":{"pooler":"pgb1","application":"till","proxyAddress":"192.168.1.10:40001","address":"10.0.0.7:55555"}},` +
		`{"pid":102,"client":null},{"pid":103,"client":null},{"pid":104,"client":null}]}}` // 103: the two lists disagree
	if !strings.Contains(a.raw, want) {
		t.Errorf("have %s\nwant %s", a.raw, want)
	}
}

func TestOfAPoolersConnectionsThoseThatWaitComeFirst(t *testing.T) {
	at := func(seconds int) time.Time { return moment.Add(time.Duration(seconds) * time.Second) }
	client := func(ptr, state string, connected int, wait time.Duration) pgbouncer.Socket {
		return pgbouncer.Socket{Ptr: ptr, State: state, Addr: "192.168.1.10", Port: 40000 + int64(connected), User: ptr, Database: "shop", ConnectTime: at(connected), Wait: wait, PreparedStatements: 2}
	}
	busy := client("busy", "active", 3, 5*time.Second) // it has its connection: how long it waited is past
	busy.Link = "s1"
	poller := client("poller", "active", 0, 0)
	poller.Database = "pgbouncer"
	s := newServer(t, func(d *graph.Deps) {
		d.Pools = map[string]graph.Pools{"pgb1": lists{
			clients: []pgbouncer.Socket{busy, client("old", "active", 1, 0), poller, client("short", "waiting", 4, time.Second), client("long", "waiting", 5, 2*time.Second)},
			servers: []pgbouncer.Socket{{Ptr: "s2", State: "idle", Database: "shop", RemotePID: 102}, {Ptr: "s1", Link: "busy", State: "active", Database: "shop", RemotePID: 101, PreparedStatements: 7},
				{Ptr: "s3", State: "idle", Database: "weir_auth", RemotePID: 103}},
			config: []pgbouncer.Setting{{Key: "max_prepared_statements", Value: "200"}},
		}, "pgb3": lists{err: errDeaf}}
		d.Edge = edge{"192.168.1.10:40003": "10.0.0.7:55555"}
	})
	a := s.ask(`{ poolerConnections(pooler: "pgb1", first: 4) { clientsTotal clients { user wait pid address preparedStatements } serversTotal servers { pid preparedStatements client { user address } } maxPreparedStatements unknown } }`)
	want := `{"poolerConnections":{"clientsTotal":4,"clients":[{"user":"long","wait":"PT2S","pid":null,"address":null,"preparedStatements":2},` +
		`{"user":"short","wait":"PT1S","pid":null,"address":null,"preparedStatements":2},{"user":"old","wait":"PT0S","pid":null,"address":null,"preparedStatements":2},` +
		`{"user":"busy","wait":"PT0S","pid":101,"address":"10.0.0.7:55555","preparedStatements":2}],"serversTotal":2,"servers":[` +
		`{"pid":101,"preparedStatements":7,"client":{"user":"busy","address":"10.0.0.7:55555"}},{"pid":102,"preparedStatements":0,"client":null}],"maxPreparedStatements":200,"unknown":[]}}`
	if !strings.Contains(a.raw, want) {
		t.Errorf("have %s\nwant %s", a.raw, want)
	}
	if a := s.ask(`{ poolerConnections(pooler: "pgb1", first: 1) { clientsTotal clients { user } } }`); !strings.Contains(a.raw, `{"clientsTotal":4,"clients":[{"user":"long"}]}`) {
		t.Errorf("one of four: %s", a.raw)
	}
	if a := s.ask(`{ poolerConnections(pooler: "pgb3") { at } }`); a.code() != string(fault.Unavailable) {
		t.Errorf("a pooler that does not answer: %s", a.raw)
	}
	if a := s.ask(`{ poolerConnections(pooler: "nobody") { at } }`); a.code() != "" || a.at("poolerConnections") != nil {
		t.Errorf("a pooler that is not there: %s", a.raw)
	}
}

func TestWithoutHAProxysSessionsTheRealAddressIsSaidToBeUnknown(t *testing.T) {
	s := newServer(t, nil)
	if a := s.ask(`{ activity { unknown } }`); !strings.Contains(a.raw, "HAProxy's session tables cannot be read") {
		t.Error(a.raw)
	}
}

// sessions are backends by their process ids.
type sessions []int

func (s sessions) Backends(context.Context) (out []noun.Backend, err error) {
	for _, pid := range s {
		out = append(out, noun.Backend{PID: pid, Started: moment, State: "idle", BlockedBy: []int{}})
	}
	return out, nil
}
func (sessions) TopQueries(context.Context, string, int) ([]noun.TopQuery, error) { return nil, nil }
func (sessions) Settings(context.Context) ([]noun.Setting, error)                 { return nil, nil }

// statistics are read from the real PostgreSQL.
func statistics(t *testing.T, s *postgrestest.Server) graph.Monitor {
	return graph.Monitor{DB: postgrestest.Pool(t, s.Direct(s.Inv.Monitor.Address, "weir_monitor", postgrestest.Secrets.Monitor, "postgres"))}
}

// monitored is the API over those statistics.
func monitored(t *testing.T) (*server, *postgrestest.Server) {
	t.Helper()
	db := shared(t)
	return newServer(t, func(d *graph.Deps) { d.Statistics = statistics(t, db) }), db
}

func TestWhoWaitsForALockAndWhoBlocksIt(t *testing.T) {
	s, db := monitored(t)
	ctx := t.Context()
	holder, waiter := db.Superuser(t), db.Superuser(t)
	must(holder.Exec(ctx, "BEGIN; SELECT pg_advisory_xact_lock(77)"))(t)
	done := make(chan error, 1)
	go func() {
		_, err := waiter.Exec(ctx, "SELECT pg_advisory_xact_lock(77) /* password */")
		done <- err
	}()
	pid := func(conn *pgx.Conn) float64 { return float64(conn.PgConn().PID()) }
	var seen string
	for end := time.Now().Add(10 * time.Second); ; {
		a := s.ask(`{ activity { backends { pid state waitType blockedBy query user } } }`)
		seen = a.raw
		want := fmt.Sprintf(`{"pid":%.0f,"state":"ACTIVE","waitType":"Lock","blockedBy":[%.0f],"query":"(withheld: it may hold a password)","user":"postgres"}`, pid(waiter), pid(holder))
		if strings.Contains(seen, want) && strings.Contains(seen, `"state":"IDLE_IN_TRANSACTION"`) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("want %s\nhave %s", want, seen)
		}
	}
	must(holder.Exec(ctx, "COMMIT"))(t)
	try(t, <-done)
}

func TestTheDearestQueriesComeFirstAndTheirPasswordsAreWithheld(t *testing.T) {
	s, db := monitored(t)
	conn := db.Superuser(t)
	must(conn.Exec(t.Context(), "CREATE ROLE somebody PASSWORD 'hunter2'"))(t)
	must(conn.Exec(t.Context(), "SELECT pg_sleep(0.2)"))(t)
	for _, by := range []string{"TOTAL_TIME", "MEAN_TIME", "CALLS", "ROWS"} {
		a := s.ask(`{ topQueries(by: ` + by + `, first: 100) { queryId user database query calls rows totalTime meanTime maxTime blocksHit } }`)
		if a.code() != "" || strings.Contains(a.raw, "hunter2") || !strings.Contains(a.raw, "SELECT pg_sleep($1)") || !strings.Contains(a.raw, "(withheld") {
			t.Errorf("%s: %.1000s", by, a.raw)
		}
	}
	if a := s.ask(`{ topQueries(by: MEAN_TIME, first: 1) { query } }`); len(a.at("topQueries").([]any)) != 1 {
		t.Error(a.raw)
	}
}

func TestAHostsConfigurationIsShownWithoutItsSecrets(t *testing.T) {
	db := shared(t)
	s := newServer(t, func(d *graph.Deps) {
		d.Statistics = statistics(t, db)
		d.Pools = map[string]graph.Pools{"pgb1": lists{config: []pgbouncer.Setting{{Key: "pool_mode", Value: "session", Default: "session"}}}}
		d.Reports = map[string]func(context.Context) ([]noun.Setting, error){
			"haproxy1": func(context.Context) ([]noun.Setting, error) {
				return []noun.Setting{{Key: "checksum of haproxy.cfg", Value: "sha256:00"}}, nil
			},
			"haproxy2": func(context.Context) ([]noun.Setting, error) { return nil, errors.New("dial tcp 192.168.1.12:8404") },
		}
	})
	s.as(&operator)
	for _, host := range db.Inv.Hosts() {
		a := s.ask(`query($h: String!) { config(host: $h) { host files { path mode body } running { key value default } runningUnknown } }`, map[string]any{"h": host.Name})
		if a.code() != "" || a.at("config", "host") != host.Name || (a.at("config", "running") == nil) == (a.at("config", "runningUnknown") == nil) {
			t.Errorf("%s: %.600s", host.Name, a.raw)
		}
		if files := a.at("config", "files").([]any); len(files) == 0 && host.Name != db.Inv.Console.Name {
			t.Errorf("%s has no files", host.Name)
		}
	}
	for host, want := range map[string]string{"haproxy1": `{"key":"checksum of haproxy.cfg","value":"sha256:00"`, "haproxy2": "server pgb1", "pgb1": `{"key":"pool_mode","value":"session"`, db.Inv.Postgres.Name: `{"key":"max_connections","value":"`} {
		if a := s.ask(`query($h: String!) { config(host: $h) { files { body } running { key value } } }`, map[string]any{"h": host}); !strings.Contains(a.raw, want) {
			t.Errorf("%s says nothing of %s", host, want)
		}
	}
	if a := s.ask(`{ config(host: "haproxy2") { runningUnknown } }`); a.at("config", "runningUnknown") != "haproxy2 does not answer." {
		t.Error(a.raw)
	}
	if a := s.ask(`{ config(host: "nobody") { host } }`); a.code() != "" || a.at("config") != nil {
		t.Error(a.raw)
	}
}

func TestSamplesComeAsOneSeriesForEachSubject(t *testing.T) {
	db, _ := tables(t)
	at := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	var add queries.SampleAddParams
	for i := range 12 {
		for _, pooler := range []string{"pgb1", "pgb2"} {
			add.Ats, add.Metrics = append(add.Ats, at.Add(time.Duration(i)*10*time.Second)), append(add.Metrics, "pooler_clients")
			add.Subjects, add.Vals = append(add.Subjects, pooler), append(add.Vals, float64(i))
		}
	}
	must(db.Exec(t.Context(), fmt.Sprintf("CREATE TABLE sample_test PARTITION OF sample FOR VALUES FROM ('%s') TO ('%s')", at.AddDate(0, 0, -1).Format(time.RFC3339), at.AddDate(0, 0, 1).Format(time.RFC3339))))(t)
	must(q.SampleAdd(t.Context(), db, add))(t)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	vars := map[string]any{"from": at.Format(time.RFC3339), "to": at.Add(2 * time.Minute).Format(time.RFC3339)}
	a := s.ask(`query($from: DateTime!, $to: DateTime!) { samples(metric: POOLER_CLIENTS, from: $from, to: $to, points: 2) { subject points { at min max last count } } }`, vars)
	point := func(minute int, min, max float64) map[string]any {
		return map[string]any{"at": at.Add(time.Duration(minute) * time.Minute).Format(time.RFC3339), "min": min, "max": max, "last": max, "count": 6.0}
	}
	series := func(subject string) map[string]any {
		return map[string]any{"subject": subject, "points": []any{point(0, 0, 5), point(1, 6, 11)}}
	}
	want := string(must(json.Marshal([]any{series("pgb1"), series("pgb2")}))(t))
	if have := string(must(json.Marshal(a.at("samples")))(t)); have != want {
		t.Errorf("have %s\nwant %s", have, want)
	}
}

// pausing is a runbook by which somebody has paused something.
type pausing struct{ graph.Runbook }

func (pausing) Paused(context.Context) ([]runbook.Paused, error) {
	return []runbook.Paused{{Pooler: "pgb1", By: "ada@example.org", Reason: "restart", At: moment, Expires: moment.Add(30 * time.Second)}}, nil
}

func TestPausesTellWhoWhyAndUntilWhen(t *testing.T) {
	s := newServer(t, func(d *graph.Deps) { d.Runbook = pausing{d.Runbook} })
	a := s.ask(`{ pauses { pooler database by reason at expires } }`)
	if a.at("pauses", 0, "by") != "ada@example.org" || a.at("pauses", 0, "database") != "" || a.at("pauses", 0, "reason") != "restart" || a.at("pauses", 0, "expires") != moment.Add(30*time.Second).Format(time.RFC3339Nano) {
		t.Errorf("%s", a.raw)
	}
	if a := newServer(t, nil).ask(`{ pauses { by } }`); a.code() != "unavailable" {
		t.Errorf("while nothing can be read: %s", a.raw)
	}
}

// looked counts how often the sessions are listed.
type looked struct {
	nothing
	times *int
}

func (l looked) Backends(context.Context) ([]noun.Backend, error) {
	*l.times++
	return nil, nil
}

func TestASessionThatWasEndedIsNotListedFromMemory(t *testing.T) {
	times := 0
	s := newServer(t, func(d *graph.Deps) {
		d.Statistics, d.Now = looked{times: &times}, func() time.Time { return moment }
	})
	s.ask(`{ activity { unknown } }`)
	s.ask(`{ activity { unknown } }`)
	if times != 1 {
		t.Errorf("two who look at one moment: it is listed %d times", times)
	}
	s.as(&operator)
	s.ask(`mutation { reload(reason: "a test") { userErrors { code } } }`)
	s.ask(`{ activity { unknown } }`)
	if times != 2 {
		t.Errorf("after an order it is listed %d times", times)
	}
}
