package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
)

// Dial opens a connection; net.Dialer's DialContext is one. Another reaches a server in a sealed network.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Login is where to connect, and as whom.
type Login struct {
	Endpoint netip.AddrPort // the server's own, or the VIP
	User     string
	Password string
	Database string
}

// Client probes one server over one kept connection, opened when first needed and again when it
// broke. It may be used by several goroutines; probes wait for each other, as long as their
// contexts let them.
type Client struct {
	config *pgx.ConnConfig
	turn   chan struct{} // holds one token: whoever has it may use conn
	conn   *pgx.Conn
}

// New makes a client; nothing is connected yet. The role needs pg_monitor to see others' sessions,
// as weir_monitor has.
func New(login Login, dial Dial) (*Client, error) {
	config, err := configure(login, dial)
	if err != nil {
		return nil, err
	}
	c := &Client{config: config, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c, nil
}

func configure(login Login, dial Dial) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable target_session_attrs=any",
		login.Endpoint.Addr(), login.Endpoint.Port()))
	if err != nil {
		return nil, fmt.Errorf("configure the client of %s: %w", login.Endpoint, err)
	}
	config.User, config.Password, config.Database = login.User, login.Password, login.Database
	config.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) }
	config.Fallbacks = nil
	config.RuntimeParams = map[string]string{"application_name": "weir"} // not what PGOPTIONS may say
	// Nothing prepared: right behind any pooler, and after every restart.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	return config, nil
}

// Close ends the kept connection. The next probe opens another.
func (c *Client) Close(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close(ctx)
	c.conn = nil
	return err
}

// Probe is how the server is, read in one query.
type Probe struct {
	Version           string     // 17.12 (Debian 17.12-0+deb13u1)
	Address           netip.Addr // the server's own end of this connection
	Port              int
	InRecovery        bool
	StartTime         time.Time
	MaxConnections    int
	Connections       int           // of clients, this one included
	LongestXact       time.Duration // how long the oldest open transaction of a client has been open; 0 is none
	LongestXactPID    int           // 0 is none
	IdleInTransaction int           // sessions that keep a transaction open and do nothing in it
	LongestIdleInXact time.Duration // how long one of them has been doing nothing
	Blocked           int           // sessions waiting for a lock
	OldestXIDAge      int64         // transactions; at about 2 billion the server refuses to write
	OldestXIDDatabase string
	Xacts             int64 // committed and rolled back since the statistics began; each session adds its own about once a second
}

const probeSQL = `
WITH session AS MATERIALIZED (
    SELECT pid, state, wait_event_type,
           extract(epoch FROM clock_timestamp() - xact_start)::float8   AS xact_age,
           extract(epoch FROM clock_timestamp() - state_change)::float8 AS state_age
      FROM pg_stat_activity
     WHERE backend_type = 'client backend'
), other AS (
    SELECT * FROM session WHERE pid <> pg_backend_pid()
), longest AS (
    SELECT pid, xact_age FROM other WHERE xact_age IS NOT NULL ORDER BY xact_age DESC, pid LIMIT 1
), idle AS (
    SELECT count(*) AS n, coalesce(max(state_age), 0) AS longest
      FROM other WHERE state LIKE 'idle in transaction%'
), oldest AS (
    SELECT datname, age(datfrozenxid) AS age FROM pg_database ORDER BY age DESC, datname LIMIT 1
)
SELECT current_setting('server_version'), host(inet_server_addr()), inet_server_port(),
       pg_is_in_recovery(), pg_postmaster_start_time(), current_setting('max_connections')::int,
       (SELECT count(*) FROM session),
       coalesce((SELECT xact_age FROM longest), 0), coalesce((SELECT pid FROM longest), 0),
       idle.n, idle.longest,
       (SELECT count(*) FROM other WHERE wait_event_type = 'Lock'),
       oldest.age::bigint, oldest.datname::text,
       (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database)::bigint
  FROM idle, oldest`

// Probe asks how the server is. Cheap enough for every second.
func (c *Client) Probe(ctx context.Context) (Probe, error) {
	var p Probe
	err := c.ask(ctx, func(conn *pgx.Conn) error {
		var address string
		var xact, idle float64
		err := conn.QueryRow(ctx, probeSQL).Scan(&p.Version, &address, &p.Port, &p.InRecovery, &p.StartTime, &p.MaxConnections,
			&p.Connections, &xact, &p.LongestXactPID, &p.IdleInTransaction, &idle, &p.Blocked, &p.OldestXIDAge, &p.OldestXIDDatabase, &p.Xacts)
		if err != nil {
			return err
		}
		p.LongestXact, p.LongestIdleInXact = seconds(xact), seconds(idle)
		p.Address, err = netip.ParseAddr(address)
		return err
	})
	if err != nil {
		return Probe{}, fmt.Errorf("probe postgres %s:%d: %w", c.config.Host, c.config.Port, err)
	}
	return p, nil
}

// Size is how much disk one database takes.
type Size struct {
	Database string
	Bytes    int64
}

// Sizes measures every database, the largest first. It looks at every file of each: once a minute,
// not once a second.
func (c *Client) Sizes(ctx context.Context) ([]Size, error) {
	var sizes []Size
	err := c.ask(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT datname::text, pg_database_size(oid) AS bytes
			FROM pg_database WHERE datallowconn ORDER BY bytes DESC, datname`)
		if err != nil {
			return err
		}
		sizes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Size])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("measure databases of postgres %s:%d: %w", c.config.Host, c.config.Port, err)
	}
	return sizes, nil
}

// Passage is what a new client of the VIP met.
type Passage struct {
	Database  string
	User      string
	Server    netip.AddrPort // the server that answered in the end
	Version   string
	Connected time.Duration // until logged in
	Elapsed   time.Duration // until the query was answered as well
}

// Through goes the whole way as an application does: a new connection to login.Endpoint, usually
// the VIP, a login and one query. Any error on the way is the answer.
func Through(ctx context.Context, login Login, dial Dial) (Passage, error) {
	config, err := configure(login, dial)
	if err != nil {
		return Passage{}, err
	}
	p, err := pass(ctx, config)
	if err != nil {
		return Passage{}, fmt.Errorf("query through %s: %w", login.Endpoint, err)
	}
	return p, nil
}

func pass(ctx context.Context, config *pgx.ConnConfig) (Passage, error) {
	start := time.Now()
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return Passage{}, err
	}
	defer conn.Close(ctx)
	p := Passage{Connected: time.Since(start)}
	var address string
	var port uint16
	err = conn.QueryRow(ctx, `SELECT current_database()::text, current_user::text, host(inet_server_addr()), inet_server_port(),
		current_setting('server_version')`).Scan(&p.Database, &p.User, &address, &port, &p.Version)
	if err != nil {
		return Passage{}, err
	}
	p.Elapsed = time.Since(start)
	addr, err := netip.ParseAddr(address)
	p.Server = netip.AddrPortFrom(addr, port)
	return p, err
}

// ask has do use the kept connection. When that turns out to be dead, because the server was
// restarted since, do is called once more with a new one.
func (c *Client) ask(ctx context.Context, do func(*pgx.Conn) error) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer c.give()
	kept := c.conn != nil
	err := c.exchange(ctx, do)
	if err != nil && kept && c.conn == nil && ctx.Err() == nil {
		err = c.exchange(ctx, do)
	}
	return err
}

// exchange leaves conn nil when the connection is of no more use.
func (c *Client) exchange(ctx context.Context, do func(*pgx.Conn) error) error {
	if c.conn == nil {
		conn, err := pgx.ConnectConfig(ctx, c.config)
		if err != nil {
			return err
		}
		c.conn = conn
	}
	err := do(c.conn)
	if c.conn.IsClosed() {
		c.conn = nil
	}
	return err
}

func (c *Client) take(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("wait for the kept connection"), ctx.Err())
	}
}

func (c *Client) give() { c.turn <- struct{}{} }

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
