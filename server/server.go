package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/graph"
	"weir/graph/noun"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/render"
	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
	"weir/server/web"
	"weir/sql"
)

const (
	connectLimit = 3 * time.Second // of a connection to PostgreSQL
	pingLimit    = 500 * time.Millisecond
	askLimit     = 2 * time.Second // of the monitor
	sweepEvery   = 5 * time.Second
	migrateLimit = time.Minute
	retryFirst   = time.Second
	retryLast    = 15 * time.Second

	// Stopping: what is being answered or mailed gets stopLimit to its end, orders runbook.OrderLimit, and saying
	// goodbye to others closeLimit. weir-server.service and compose.yml give the process 30 s for it.
	stopLimit  = 5 * time.Second
	closeLimit = 500 * time.Millisecond
)

// server is all its parts.
type server struct {
	settings settings
	log      *slog.Logger
	dial     fleet.Dial

	hub      *fleet.Hub
	parts    *fleet.Parts
	pool     *pgxpool.Pool       // Weir's tables, through the VIP
	direct   *pgxpool.Pool       // role weir, straight to PostgreSQL: orders that must not wait behind paused pools
	look     *pgxpool.Pool       // role weir_monitor, straight to PostgreSQL
	consoles []*pgbouncer.Client // that the runbook gives orders to
	runbook  *runbook.Runbook
	sessions *session.Manager
	watch    *graph.Watch
	web      *web.Web
	http     *http.Server
	listener net.Listener

	tables   atomic.Bool // are there and up to date
	stopping atomic.Bool
}

// newServer makes the parts and opens the port. No part of the cluster is asked yet.
func newServer(s settings, env environment, log *slog.Logger) (*server, error) {
	srv := &server{settings: s, log: slog.New(web.Logger(log.Handler())), dial: env.Dial, hub: fleet.NewHub(fleet.First(s.inventory))}
	err := srv.open()
	if err == nil {
		srv.listener, err = env.Listen("tcp", s.listen)
	}
	if err != nil {
		srv.close()
		return nil, err
	}
	return srv, nil
}

func (s *server) open() (err error) {
	if err := os.MkdirAll(s.settings.state, 0o700); err != nil {
		return fmt.Errorf("make state directory: %w", err)
	}
	if err := s.openPools(); err != nil {
		return err
	}
	if s.parts, err = fleet.NewParts(s.settings.inventory, s.settings.secrets, s.processes(), s.dial); err != nil {
		return err
	}
	if s.runbook, err = s.newRunbook(); err != nil {
		return err
	}
	s.sessions, err = session.New(session.Deps{DB: s.pool, Now: time.Now, NewID: newID, Secure: s.settings.public.Scheme == "https",
		Address: clientAddress(s.settings.proxies), OnError: func(w http.ResponseWriter, r *http.Request, err error) { s.web.Answer(w, r, err) }})
	if err != nil {
		return err
	}
	s.watch = graph.NewWatch(s.pool)
	return s.openWeb()
}

// processes is how many HAProxy runs on each node.
func (s *server) processes() int { return haproxy.Instances(s.settings.inventory, s.settings.files) }

// newID makes a UUID of version 7: in the order of time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// openPools makes the three ways to PostgreSQL; none connects before it is needed.
func (s *server) openPools() (err error) {
	if s.pool, err = openPool(s.settings.database, s.dial); err != nil {
		return err
	}
	if s.direct, err = s.directPool("weir", s.settings.secrets.Console, s.settings.database.ConnConfig.Database); err != nil {
		return err
	}
	s.look, err = s.directPool("weir_monitor", s.settings.secrets.Monitor, "postgres")
	return err
}

// directPool is small: PostgreSQL keeps few connections for those that come past the poolers.
func (s *server) directPool(user, password, database string) (*pgxpool.Pool, error) {
	host, port, _ := net.SplitHostPort(s.settings.inventory.PostgresEndpoint())
	config, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%s sslmode=disable target_session_attrs=any", host, port))
	if err != nil {
		return nil, fmt.Errorf("prepare for postgres: %w", err)
	}
	c := config.ConnConfig
	c.User, c.Password, c.Database, c.ConnectTimeout = user, password, database, connectLimit
	c.RuntimeParams["application_name"] = "weir-server"
	config.MaxConns = 3
	return openPool(config, s.dial)
}

func openPool(config *pgxpool.Config, dial fleet.Dial) (*pgxpool.Pool, error) {
	config.ConnConfig.DialFunc = dialFunc(dial)
	config.PingTimeout = pingLimit // one that died with its HAProxy is found out before it is used
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("prepare for the database: %w", err)
	}
	return pool, nil
}

func dialFunc(dial fleet.Dial) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) }
}

func (s *server) newRunbook() (*runbook.Runbook, error) {
	inv := s.settings.inventory
	poolers, nodes := map[string]runbook.Pooler{}, map[string]runbook.Node{}
	for _, n := range inv.PgBouncer.Poolers {
		c, err := pgbouncer.New(n, inv.PgBouncer.Port, "weir_admin", s.settings.secrets.Admin, pgbouncer.Dial(s.dial))
		if err != nil {
			return nil, err
		}
		s.consoles = append(s.consoles, c)
		poolers[n.Name] = c
	}
	for name, c := range s.parts.Nodes {
		nodes[name] = c
	}
	spool, err := runbook.NewDirSpool(filepath.Join(s.settings.state, "audit"))
	if err != nil {
		return nil, err
	}
	return runbook.New(runbook.Deps{Inventory: inv, Fleet: s.hub, Nodes: nodes, Poolers: poolers,
		Backends: runbook.Sessions{Look: s.look, Signal: s.direct}, Incidents: incidents{s.pool}, Pauses: pauses{s.direct},
		Journal: audit{s.pool}, Spool: spool, NewID: newID}), nil
}

// reports ask the programs that have no list of settings which files they run with.
func (s *server) reports() map[string]func(context.Context) ([]noun.Setting, error) {
	inv := s.settings.inventory
	of := func(path, sum string) noun.Setting { return noun.Setting{Key: "checksum of " + path, Value: sum} }
	out := map[string]func(context.Context) ([]noun.Setting, error){}
	for name, c := range s.parts.Nodes {
		out[name] = func(ctx context.Context) (list []noun.Setting, err error) {
			running, err := c.Configuration(ctx)
			for _, r := range running {
				list = append(list, of(r.Path, r.Checksum))
			}
			return list, err
		}
	}
	out[inv.Monitor.Name] = func(ctx context.Context) ([]noun.Setting, error) {
		sum, err := s.monitorsInventory(ctx)
		if err != nil || sum == "" { // one of before it said so
			return nil, err
		}
		return []noun.Setting{of(render.InventoryFile, sum)}, nil
	}
	out[inv.Console.Name] = func(context.Context) ([]noun.Setting, error) {
		return []noun.Setting{of(render.InventoryFile, inventory.Checksum(inv.YAML()))}, nil
	}
	return out
}

// monitorsInventory is the checksum of the inventory that the monitor runs with.
func (s *server) monitorsInventory(ctx context.Context) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.monitorURL()+"/healthz", nil)
	if err != nil {
		return "", err
	}
	resp, err := s.client().Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	var h struct{ Inventory string }
	return h.Inventory, json.NewDecoder(io.LimitReader(resp.Body, 1<<16)).Decode(&h)
}

func (s *server) openWeb() (err error) {
	pools := map[string]graph.Pools{}
	for name, c := range s.parts.Poolers {
		pools[name] = c
	}
	api := graph.New(graph.Deps{Reports: s.reports(), Inventory: s.settings.inventory, Files: s.settings.files, Fleet: s.hub, DB: s.pool, Runbook: s.runbook,
		Accounts: s.accounts(), Viewer: viewer, Check: s.sessions.Check, Statistics: graph.Monitor{DB: s.look}, Pools: pools,
		Edge: haproxy.NewEdge(s.settings.inventory, s.processes(), s.dial), Incidents: s.watch, Origins: hosts(s.settings), Now: time.Now, Log: s.log})
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	config := s.settings.database.ConnConfig
	s.web, err = web.New(web.Deps{API: api.Handler(), Query: api.Query(), Mutation: api.Mutation(), Who: api.Viewer(), Fleet: s.hub, Inventory: s.settings.inventory, Monitor: s.monitorURL(), Client: s.client(), Sessions: s.sessions, Ready: s.ready, Public: s.settings.public,
		Health:  &web.Health{Config: config, Inventory: s.settings.inventory, Dial: s.dial, Log: s.log},
		Origins: s.settings.origins, Stats: s.settings.stats, Version: version, Metrics: registry, Log: s.log})
	if err != nil {
		return err
	}
	s.http = &http.Server{Handler: s.web.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		// An order may take a minute (graph's mutationLimit).
		WriteTimeout: 75 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: graph.MaxBody + 64<<10,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)}
	return nil
}

// accounts are those of the API, which also mails one-time links where it can.
func (s *server) accounts() graph.Accounts {
	return mailing{Manager: s.sessions, mail: s.settings.mail, public: s.settings.public, log: s.log,
		user: func(ctx context.Context, id int64) (queries.User, error) { return query.UserGet(ctx, s.pool, id) }}
}

func (s *server) monitorURL() string {
	at := s.settings.inventory.Monitor
	return "http://" + net.JoinHostPort(at.Address.String(), strconv.Itoa(at.Port))
}

// client asks the monitor, on the page of channels.
func (s *server) client() *http.Client {
	return &http.Client{Timeout: askLimit, Transport: &http.Transport{DialContext: s.dial}}
}

// viewer is who asks, as the API has them.
func viewer(ctx context.Context) (noun.Viewer, error) {
	v, err := session.ViewerOf(ctx)
	return noun.Viewer(v), err
}

// hosts are those whose pages may open a WebSocket.
func hosts(s settings) []string {
	out := []string{s.public.Host}
	for _, origin := range s.origins {
		_, host, _ := strings.Cut(origin, "://")
		out = append(out, host)
	}
	return out
}

// ready: every part of the chain was asked once, so that there is something to show.
func (s *server) ready() web.Readiness {
	is := web.Readiness{Status: "ready", Tables: s.tables.Load()}
	now, _ := s.hub.Now()
	asked := now.VIP.Answers.Asked() && now.VIP.Through.Asked() && now.Postgres.Probe.Asked() &&
		!slices.ContainsFunc(now.Nodes, func(n fleet.Node) bool { return !n.State.Asked() || !n.Stats.Asked() }) &&
		!slices.ContainsFunc(now.Poolers, func(p fleet.Pooler) bool { return !p.View.Asked() })
	switch {
	case s.stopping.Load():
		is.Status = "stopping"
	case !asked:
		is.Status = "starting"
	}
	return is
}

// run works until ctx ends.
func (s *server) run(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	loops, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
			fail(fmt.Errorf("serve: %w", err))
		}
	})
	wg.Go(func() { s.parts.Poll(loops, func(r fleet.Reading) { s.hub.Apply(r) }) })
	wg.Go(func() { s.migrate(loops) })
	wg.Go(func() { s.sweep(loops) })
	wg.Go(func() { s.followVIP(loops) })
	wg.Go(func() { s.web.Run(loops) })
	wg.Go(func() { s.watch.Run(ctx) }) // ends with the serving: it tells its readers
	s.log.Info("server serves", "version", version, "cluster", s.settings.inventory.Cluster, "listen", s.listener.Addr().String(), "public", s.settings.public.String())

	<-ctx.Done()
	s.stop()
	end()
	wg.Wait()
	s.close()
	s.log.Info("server ended")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// stop takes no more requests, ends streams, and lets everything else come to its end. What takes
// longer is cut off, but for orders: one that has begun is carried out or undone before the process ends.
func (s *server) stop() {
	s.stopping.Store(true)
	s.log.Info("server stops")
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	s.web.EndStreams()
	if err := errors.Join(s.http.Shutdown(ctx), s.web.Wait(ctx)); err != nil {
		s.log.Warn("requests were cut off", "error", err)
		s.http.Close()
	}
	for _, to := range s.settings.mail.wait(ctx) {
		s.log.Warn("link is perhaps not mailed: the mail server has not taken it yet", "to", to)
	}
	ctx, cancel = context.WithTimeout(context.Background(), runbook.OrderLimit)
	defer cancel()
	if err := s.runbook.Wait(ctx); err != nil {
		s.log.Error("an order was cut off", "error", err)
	}
}

// close lets go of everything. Whoever does not let go in turn is not waited for: the process ends.
func (s *server) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	var wg sync.WaitGroup
	if s.parts != nil {
		wg.Go(func() { s.parts.Close(ctx) })
	}
	for _, c := range s.consoles {
		wg.Go(func() { c.Close(ctx) })
	}
	for _, p := range []*pgxpool.Pool{s.pool, s.direct, s.look} {
		if p != nil {
			wg.Go(p.Close)
		}
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
	}
}

// migrate brings the tables up to date, as soon as PostgreSQL answers. Of several servers, and the
// monitor, one does it and the others wait (sql.Migrate).
func (s *server) migrate(ctx context.Context) {
	failing := false
	for wait := retryFirst; ; wait = min(2*wait, retryLast) {
		limited, cancel := context.WithTimeout(ctx, migrateLimit)
		applied, err := sql.Migrate(limited, s.pool.Config().ConnConfig)
		cancel()
		if len(applied) > 0 {
			s.log.Info("database migrated", "applied", strings.Join(applied, " "))
		}
		if err == nil {
			s.tables.Store(true)
			return
		}
		if !failing && ctx.Err() == nil {
			s.log.Warn("database cannot be migrated yet: accounts and history are out of reach", "error", err)
		}
		failing = true
		if !pause(ctx, wait) {
			return
		}
	}
}

// sweep clears what is over, and brings PostgreSQL what happened while it was away.
func (s *server) sweep(ctx context.Context) {
	failing := false
	for pause(ctx, sweepEvery) {
		if !s.tables.Load() {
			continue
		}
		_, late := s.runbook.DeliverAudit(ctx)
		err := errors.Join(s.sessions.Sweep(ctx), late)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.Warn("database does not take what is owed to it: it is kept until then", "error", err)
		}
		failing = err != nil
	}
}

// followVIP gives up kept connections when the VIP has moved: they lead to the node that lost it.
func (s *server) followVIP(ctx context.Context) {
	var before string
	now, _ := s.hub.Now()
	for {
		if is := now.VIP.Answers; is.OK() && is.Value != before {
			if before != "" {
				s.log.Info("the VIP has moved: kept connections are given up", "from", before, "to", is.Value)
				s.pool.Reset()
			}
			before = is.Value
		}
		var err error
		if now, err = s.hub.Next(ctx, now.Version); err != nil {
			return
		}
	}
}

// pause waits, and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
