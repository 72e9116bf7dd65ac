package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// State is SHOW STATE: exactly one is true.
type State struct{ Active, Paused, Suspended bool }

// Pool is one row of SHOW POOLS: one (user, database) pair.
type Pool struct {
	Database, User     string
	ClActive           int64 // clients linked to a server connection, or idle
	ClWaiting          int64 // clients that have sent a query and wait for a server connection
	ClActiveCancelReq  int64
	ClWaitingCancelReq int64
	SvActive           int64 // server connections linked to a client
	SvActiveCancel     int64
	SvBeingCanceled    int64
	SvIdle             int64 // ready for use
	SvUsed             int64 // idle for longer than server_check_delay: checked before use
	SvTested           int64
	SvLogin            int64
	MaxWait            time.Duration // of the client that has waited longest so far
	PoolMode           string
}

// Serves reports whether applications use the pool: it is neither the console's nor the one that looks
// passwords up.
func (p Pool) Serves() bool { return serves(p.Database) }

// What PgBouncer calls its own console, and Weir the connections that look passwords up (pgbouncer.ini).
const consoleName, lookUpsName = "pgbouncer", "weir_auth"

func serves(database string) bool { return database != consoleName && database != lookUpsName }

// Stat is one row of SHOW STATS: what has passed since the pooler started. Rates are differences of
// two readings; the console's own avg_ columns are a minute old.
type Stat struct {
	Database                   string
	TotalServerAssignmentCount int64
	TotalXactCount             int64
	TotalQueryCount            int64
	TotalReceived              int64 // bytes
	TotalSent                  int64 // bytes
	TotalXactTime              time.Duration
	TotalQueryTime             time.Duration
	TotalWaitTime              time.Duration // clients waiting for a server connection
}

// Since sums what has passed since an earlier reading, database by database. It is not so when one of them
// fell: then the pooler has started again. One that is missing has not fallen: PgBouncer forgets those that
// "*" stands for, and their totals, when nobody has used them for autodb_idle_timeout (an hour). The
// console's own is left out of the sum: the polls are its clients.
func Since(was, is []Stat) (sum Stat, ok bool) {
	before := make(map[string]Stat, len(was))
	for _, s := range was {
		before[s.Database] = s
	}
	for _, s := range is {
		b := before[s.Database]
		if s.TotalXactCount < b.TotalXactCount || s.TotalQueryCount < b.TotalQueryCount || s.TotalReceived < b.TotalReceived || s.TotalSent < b.TotalSent {
			return Stat{}, false
		}
		if s.Database == consoleName {
			continue
		}
		sum.TotalServerAssignmentCount += s.TotalServerAssignmentCount - b.TotalServerAssignmentCount
		sum.TotalXactCount += s.TotalXactCount - b.TotalXactCount
		sum.TotalQueryCount += s.TotalQueryCount - b.TotalQueryCount
		sum.TotalReceived += s.TotalReceived - b.TotalReceived
		sum.TotalSent += s.TotalSent - b.TotalSent
		sum.TotalXactTime += s.TotalXactTime - b.TotalXactTime
		sum.TotalQueryTime += s.TotalQueryTime - b.TotalQueryTime
		sum.TotalWaitTime += s.TotalWaitTime - b.TotalWaitTime
	}
	return sum, true
}

// Database is one row of SHOW DATABASES. Those that "*" stands for appear with their first client.
type Database struct {
	Name, Host               string
	Port                     int64
	Database                 string // what it is called on the server
	ForceUser                string
	PoolSize                 int64
	MinPoolSize              int64
	ReservePoolSize          int64
	PoolMode                 string // "" is the pooler's own
	MaxConnections           int64  // 0 is no limit
	CurrentConnections       int64
	MaxClientConnections     int64 // 0 is no limit
	CurrentClientConnections int64
	Paused, Disabled         bool
}

// Console reports whether it is the pooler's own console, which is no database.
func (d Database) Console() bool { return d.Name == consoleName }

// LookUps reports whether it is what passwords are looked up through: no client can connect to it.
func (d Database) LookUps() bool { return d.Name == lookUpsName }

// Socket is what SHOW CLIENTS and SHOW SERVERS have in common.
type Socket struct {
	User, Database  string
	State           string // clients: active, waiting, active_cancel_req ...; servers: active, idle, used, login ...
	Addr            string // of the other side: HAProxy's, or PostgreSQL's
	Port            int64
	LocalAddr       string
	LocalPort       int64
	ConnectTime     time.Time // zero unless the pooler runs in UTC
	RequestTime     time.Time
	Wait            time.Duration
	Ptr             string // names this connection
	Link            string // Ptr of the connection it is paired with; "" is none
	RemotePID       int64  // servers: the backend's process id
	ApplicationName string
	// Clients: the statements that it has prepared. Servers: those that stand prepared on the connection, at
	// most max_prepared_statements.
	PreparedStatements int64
}

// Serves reports whether it belongs to an application, as Pool.Serves.
func (s Socket) Serves() bool { return serves(s.Database) }

// Setting is one row of SHOW CONFIG.
type Setting struct {
	Key, Value, Default string
	Changeable          bool // by RELOAD; otherwise by a restart
}

// Version is the pooler's own, as it says it: "PgBouncer 1.24.1". The cheapest question there is.
func (c *Client) Version(ctx context.Context) (string, error) {
	versions, err := show(ctx, c, "VERSION", func(r *row) string { return r.text("version") })
	if err != nil {
		return "", err
	}
	if len(versions) != 1 {
		return "", fmt.Errorf("SHOW VERSION on %s: got %d rows instead of one", c.name, len(versions))
	}
	return versions[0], nil
}

// State says whether the pooler serves.
func (c *Client) State(ctx context.Context) (State, error) {
	result, err := c.ask(ctx, "STATE")
	if err != nil {
		return State{}, err
	}
	state, err := decodeState(result)
	if err != nil {
		return State{}, c.failed("SHOW STATE", err)
	}
	return state, nil
}

func decodeState(result *pgconn.Result) (State, error) {
	var s State
	places := map[string]*bool{"active": &s.Active, "paused": &s.Paused, "suspended": &s.Suspended}
	_, err := decode(result, func(r *row) bool {
		place, known := places[r.text("key")]
		if known {
			*place = r.yes("value")
		}
		return known
	})
	if err == nil && !s.Active && !s.Paused && !s.Suspended {
		err = errors.New("neither active, paused nor suspended")
	}
	return s, err
}

// Pools lists the pools that have had a client; the console's own is among them.
func (c *Client) Pools(ctx context.Context) ([]Pool, error) { return show(ctx, c, "POOLS", readPool) }

func readPool(r *row) Pool {
	return Pool{
		Database: r.text("database"), User: r.text("user"),
		ClActive: r.count("cl_active"), ClWaiting: r.count("cl_waiting"),
		ClActiveCancelReq: r.count("cl_active_cancel_req"), ClWaitingCancelReq: r.count("cl_waiting_cancel_req"),
		SvActive: r.count("sv_active"), SvActiveCancel: r.count("sv_active_cancel"),
		SvBeingCanceled: r.count("sv_being_canceled"),
		SvIdle:          r.count("sv_idle"), SvUsed: r.count("sv_used"), SvTested: r.count("sv_tested"), SvLogin: r.count("sv_login"),
		MaxWait:  r.wait("maxwait", "maxwait_us"),
		PoolMode: r.text("pool_mode"),
	}
}

// Stats lists the totals of every database.
func (c *Client) Stats(ctx context.Context) ([]Stat, error) { return show(ctx, c, "STATS", readStat) }

func readStat(r *row) Stat {
	return Stat{
		Database:                   r.text("database"),
		TotalServerAssignmentCount: r.count("total_server_assignment_count"),
		TotalXactCount:             r.count("total_xact_count"),
		TotalQueryCount:            r.count("total_query_count"),
		TotalReceived:              r.count("total_received"),
		TotalSent:                  r.count("total_sent"),
		TotalXactTime:              r.micros("total_xact_time"),
		TotalQueryTime:             r.micros("total_query_time"),
		TotalWaitTime:              r.micros("total_wait_time"),
	}
}

// Lists counts what the pooler holds: databases, users, pools, used_clients, login_clients,
// used_servers and the like, by the console's names.
func (c *Client) Lists(ctx context.Context) (map[string]int64, error) {
	lists := map[string]int64{}
	_, err := show(ctx, c, "LISTS", func(r *row) string {
		name := r.text("list")
		lists[name] = r.count("items")
		return name
	})
	if err != nil {
		return nil, err
	}
	return lists, nil
}

// Databases lists what clients can connect to, the console itself included.
func (c *Client) Databases(ctx context.Context) ([]Database, error) {
	return show(ctx, c, "DATABASES", readDatabase)
}

func readDatabase(r *row) Database {
	return Database{
		Name: r.text("name"), Host: r.text("host"), Port: r.count("port"),
		Database: r.text("database"), ForceUser: r.text("force_user"),
		PoolSize: r.limit("pool_size"), MinPoolSize: r.limit("min_pool_size"), ReservePoolSize: r.limit("reserve_pool_size"),
		PoolMode:       r.text("pool_mode"),
		MaxConnections: r.limit("max_connections"), CurrentConnections: r.count("current_connections"),
		MaxClientConnections: r.limit("max_client_connections"), CurrentClientConnections: r.count("current_client_connections"),
		Paused: r.yes("paused"), Disabled: r.yes("disabled"),
	}
}

// Clients lists every client connection. Thousands of rows, written by the pooler's only thread:
// on demand, not in a poll.
func (c *Client) Clients(ctx context.Context) ([]Socket, error) {
	return show(ctx, c, "CLIENTS", readSocket)
}

// Servers lists every server connection.
func (c *Client) Servers(ctx context.Context) ([]Socket, error) {
	return show(ctx, c, "SERVERS", readSocket)
}

func readSocket(r *row) Socket {
	return Socket{
		User: r.text("user"), Database: r.text("database"), State: r.text("state"),
		Addr: r.text("addr"), Port: r.count("port"), LocalAddr: r.text("local_addr"), LocalPort: r.count("local_port"),
		ConnectTime: r.moment("connect_time"), RequestTime: r.moment("request_time"),
		Wait: r.wait("wait", "wait_us"),
		Ptr:  r.text("ptr"), Link: r.text("link"), RemotePID: r.count("remote_pid"),
		ApplicationName: r.text("application_name"), PreparedStatements: r.count("prepared_statements"),
	}
}

// Config lists the settings the pooler runs with.
func (c *Client) Config(ctx context.Context) ([]Setting, error) {
	return show(ctx, c, "CONFIG", readSetting)
}

func readSetting(r *row) Setting {
	return Setting{Key: r.text("key"), Value: r.text("value"), Default: r.text("default"), Changeable: r.yes("changeable")}
}

func show[T any](ctx context.Context, c *Client, what string, read func(*row) T) ([]T, error) {
	result, err := c.ask(ctx, what)
	if err != nil {
		return nil, err
	}
	rows, err := decode(result, read)
	if err != nil {
		return nil, c.failed("SHOW "+what, err)
	}
	return rows, nil
}
