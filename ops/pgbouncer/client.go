package pgbouncer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"weir/ops/inventory"
)

// Dial opens a connection; net.Dialer's DialContext is one. Another reaches a pooler in a sealed network.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Client asks one pooler's admin console and gives it orders. It keeps one connection for
// questions, opened when first needed and again when it broke. It may be used by several
// goroutines; questions wait for each other, as long as their contexts let them.
type Client struct {
	name   string
	config *pgconn.Config
	turn   chan struct{} // holds one token: whoever has it may use conn
	conn   *pgconn.PgConn
	ended  atomic.Int64
}

// New makes the client of one pooler; nothing is connected yet. user is weir_monitor to ask, or
// weir_admin to give orders as well.
func New(pooler inventory.Node, port int, user, password string, dial Dial) (*Client, error) {
	config, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d sslmode=disable target_session_attrs=any",
		pooler.Address, port))
	if err != nil {
		return nil, fmt.Errorf("configure the admin client of %s: %w", pooler.Name, err)
	}
	config.User, config.Password, config.Database = user, password, "pgbouncer"
	config.DialFunc = pgconn.DialFunc(dial)
	config.Fallbacks = nil
	config.RuntimeParams = map[string]string{"application_name": "weir"} // not what PGOPTIONS may say
	c := &Client{name: pooler.Name, config: config, turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c, nil
}

// Ended is how often the pooler has closed the kept connection, which it does only when it ends. A
// connection that this side gave up, because no answer came, does not count.
func (c *Client) Ended() int64 { return c.ended.Load() }

// Close ends the kept connection. The next question opens another.
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

// Pause has the pooler finish what runs and start nothing: clients wait, none is disconnected. It
// returns once no server connection is in use, so a client idle in a transaction holds it up. When
// ctx ends first, nothing is paused. Once it has returned, the pause lasts until Resume. database ""
// is all of them; a name no client has used yet is made and paused. Needs weir_admin.
//
// A server connection that is logging in when PAUSE comes is cut off, which PgBouncer 1.24 takes for
// a failed login: after Resume it would refuse clients ("cached error: pause mode") until the next
// one succeeded. So Pause first has the pools grow no more, and waits until nothing logs in.
func (c *Client) Pause(ctx context.Context, database string) error {
	err := c.order(ctx, "SET default_pool_size = 1", "")
	if err == nil {
		err = errors.Join(c.waitNoLogin(ctx), c.pause(ctx, database))
	}
	// The size comes back from the file; also when the caller has left meanwhile.
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return errors.Join(err, c.Reload(undo))
}

func (c *Client) pause(ctx context.Context, database string) error {
	err := c.order(ctx, "PAUSE", database)
	if err == nil || ctx.Err() == nil || database == "" {
		return err
	}
	// Who leaves while PAUSE waits takes the order back, but not that of a single database (1.24).
	undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	return errors.Join(err, c.Resume(undo, database))
}

// waitNoLogin returns when no server connection logs in. It gives up waiting after loginTimeout, as
// where PostgreSQL does not answer: there a pause is wanted all the more.
func (c *Client) waitNoLogin(ctx context.Context) error {
	limit := time.Now().Add(loginTimeout)
	for {
		pools, err := c.Pools(ctx)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(pools, func(p Pool) bool { return p.SvLogin > 0 }) || time.Now().After(limit) {
			return nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return c.failed("PAUSE", ctx.Err())
		}
	}
}

const loginTimeout = time.Second

// undoTimeout is how long taking a given-up PAUSE back may take.
const undoTimeout = 2 * time.Second

// Resume ends Pause. It is an error when the pooler is not paused. What somebody who died in the
// middle of a Pause left set goes back to what the file says.
func (c *Client) Resume(ctx context.Context, database string) error {
	if err := c.Reload(ctx); err != nil {
		return err
	}
	return c.order(ctx, "RESUME", database)
}

// Reconnect replaces every server connection as soon as its transaction ends.
func (c *Client) Reconnect(ctx context.Context, database string) error {
	return c.order(ctx, "RECONNECT", database)
}

// Reload has the pooler read its files again. Mistakes in them go to its log, not to the caller.
func (c *Client) Reload(ctx context.Context) error { return c.order(ctx, "RELOAD", "") }

// order has a connection of its own: questions go on while PAUSE waits, and an order is never sent
// twice because the kept connection turned out to be dead.
func (c *Client) order(ctx context.Context, verb, database string) error {
	if database != "" {
		verb += ` "` + strings.ReplaceAll(database, `"`, `""`) + `"`
	}
	conn, err := pgconn.ConnectConfig(ctx, c.config)
	if err != nil {
		return c.failed(verb, err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, verb).ReadAll(); err != nil {
		return c.failed(verb, err)
	}
	return nil
}

// ask sends one SHOW. What the kept connection cannot say, because the pooler was restarted since,
// is asked once more on a new one.
func (c *Client) ask(ctx context.Context, what string) (*pgconn.Result, error) {
	question := "SHOW " + what
	if err := c.take(ctx); err != nil {
		return nil, c.failed(question, err)
	}
	defer c.give()
	kept := c.conn != nil
	result, err := c.exchange(ctx, question)
	if err != nil && kept && c.conn == nil && ctx.Err() == nil {
		c.ended.Add(1)
		result, err = c.exchange(ctx, question)
	}
	if err != nil {
		return nil, c.failed(question, err)
	}
	return result, nil
}

// exchange leaves conn nil when the connection is of no more use.
func (c *Client) exchange(ctx context.Context, question string) (*pgconn.Result, error) {
	if c.conn == nil {
		conn, err := pgconn.ConnectConfig(ctx, c.config)
		if err != nil {
			return nil, err
		}
		c.conn = conn
	}
	// The console speaks the simple query protocol only.
	results, err := c.conn.Exec(ctx, question).ReadAll()
	if c.conn.IsClosed() {
		c.conn = nil
	}
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("got %d results instead of one", len(results))
	}
	return results[0], nil
}

func (c *Client) take(ctx context.Context) error {
	select {
	case <-c.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Client) give() { c.turn <- struct{}{} }

func (c *Client) failed(what string, err error) error {
	return fmt.Errorf("%s on %s: %w", what, c.name, err)
}
