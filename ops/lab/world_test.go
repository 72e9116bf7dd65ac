package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"weir/ops/bench"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/pgbouncer"
)

// world is a running lab with everything needed to look at it and act on it.
type world struct {
	t       *testing.T
	lab     *lab.Lab
	program string // the operator's command, built from this tree
	inv     *inventory.Inventory
	secrets inventory.Secrets
	dial    func(ctx context.Context, network, address string) (net.Conn, error)
	parts   *fleet.Parts
	gateway string     // the switch's own address
	slack   *fakeSlack // nil where nobody is told
	admins  map[string]*pgbouncer.Client
}

// programs builds this project's programs once, and returns their directory.
func programs(t *testing.T) string {
	t.Helper()
	dir, err := buildPrograms()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var buildPrograms = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "weir-programs-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir, "weir/ops/weir", "weir/ops/monitor", "weir/server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the programs: %w\n%s", err, out)
	}
	return dir, nil
})

// startWorld starts a lab of its own, with the root file system that all labs share, and removes
// all of it after the test.
func startWorld(t *testing.T, name string, inv *inventory.Inventory) *world {
	t.Helper()
	return startWorldWith(t, name, inv, func(string) map[string]string { return nil })
}

// startWorldWith gives the monitor settings, which may name the switch's own address.
func startWorldWith(t *testing.T, name string, inv *inventory.Inventory, settings func(gateway string) map[string]string) *world {
	t.Helper()
	if inv == nil {
		inv = inventory.Default()
	}
	gateway, err := lab.Gateway(inv)
	if err != nil {
		t.Fatal(err)
	}
	w := startWorldOf(t, name, lab.Config{Inventory: inv, Monitor: settings(gateway.String())})
	w.gateway = gateway.String()
	return w
}

// startWorldOf starts a lab of a configuration; the programs in it are built from this tree.
func startWorldOf(t *testing.T, name string, cfg lab.Config) *world {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab needs root: make test runs everything through sudo")
	}
	l, err := lab.Open(filepath.Join("..", "..", ".lab"), fmt.Sprintf("test-%s-%d", name, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	clearLeftovers(t, filepath.Dir(l.Dir))
	cfg.Bin, cfg.Say = programs(t), func(format string, args ...any) { t.Logf(format, args...) }
	t.Cleanup(func() {
		if err := l.Down(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("kept for a look: %s", l.Dir)
			return
		}
		if err := l.Purge(); err != nil {
			t.Error(err)
		}
	})
	if _, err := l.Up(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	return connectWorld(t, l, cfg.Inventory)
}

// clearLeftovers removes the labs of test programs that were killed before they could.
func clearLeftovers(t *testing.T, labs string) {
	dirs, _ := filepath.Glob(filepath.Join(labs, "test-*"))
	for _, dir := range dirs {
		name := filepath.Base(dir)
		pid, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
		if err != nil || syscall.Kill(pid, 0) == nil {
			continue
		}
		l, err := lab.Open(filepath.Dir(labs), name)
		if err == nil {
			err = errors.Join(l.Down(t.Context()), l.Purge())
		}
		t.Logf("cleared %s, left by an earlier run: %v", name, err)
	}
}

func connectWorld(t *testing.T, l *lab.Lab, inv *inventory.Inventory) *world {
	w := &world{t: t, lab: l, inv: inv, admins: map[string]*pgbouncer.Client{}, program: filepath.Join(programs(t), "weir")}
	var err error
	if w.secrets, err = l.Secrets(); err != nil {
		t.Fatal(err)
	}
	if w.dial, err = l.Dialer(""); err != nil {
		t.Fatal(err)
	}
	files, err := lab.FileLimit()
	if err != nil {
		t.Fatal(err)
	}
	fromMonitor, err := l.Dialer(inv.Monitor.Name) // PostgreSQL lets nobody else look
	if err != nil {
		t.Fatal(err)
	}
	w.parts, err = fleet.NewParts(inv, w.secrets, haproxy.Instances(inv, files), fromMonitor)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.parts.Close(context.Background()) })
	for _, n := range inv.PgBouncer.Poolers {
		w.admins[n.Name], err = pgbouncer.New(n, inv.PgBouncer.Port, "weir_admin", w.secrets.Admin, w.dial)
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.settle(ctx); err != nil {
		t.Fatalf("the lab does not become whole: %v\n%s", err, w.describe(ctx))
	}
	return w
}

func (w *world) logf(format string, args ...any) {
	w.t.Logf(time.Now().Format("15:04:05.000 ")+format, args...)
}

// settle waits until the whole chain serves with all its redundancy.
func (w *world) settle(ctx context.Context) error {
	for {
		err := w.whole(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(look):
		}
	}
}

func (w *world) whole(ctx context.Context) error {
	processes, err := w.lab.Processes(ctx)
	if err != nil {
		return err
	}
	for _, p := range processes {
		if p.State != lab.Running {
			return fmt.Errorf("%s on %s is %s", p.Name, p.Host, p.State)
		}
	}
	hosts, err := w.lab.Hosts(ctx)
	if err != nil {
		return err
	}
	for _, h := range hosts {
		if h.Cut || len(h.CutFrom) > 0 || h.Slow != "" {
			return fmt.Errorf("the network of %s is not healed", h.Name)
		}
	}
	if _, _, err := w.holderAndStandby(ctx); err != nil {
		return err
	}
	for _, p := range w.inv.PgBouncer.Poolers {
		if err := w.poolerIs(ctx, p.Name, "up", ""); err != nil {
			return err
		}
		// Each by itself: a pooler refuses for a second after its last failed login to PostgreSQL.
		if err := w.answersAt(ctx, net.JoinHostPort(p.Address.String(), strconv.Itoa(w.inv.PgBouncer.Port))); err != nil {
			return err
		}
	}
	return w.answers(ctx)
}

// state asks one node about itself.
func (w *world) state(ctx context.Context, node string) (haproxy.NodeState, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return w.parts.Nodes[node].Node(ctx)
}

// holders lists the nodes whose own check finds the VIP at home.
func (w *world) holders(ctx context.Context) []string {
	var out []string
	for _, n := range w.inv.HAProxy.Nodes {
		if st, err := w.state(ctx, n.Name); err == nil && st.VIP {
			out = append(out, n.Name)
		}
	}
	return out
}

// holderAndStandby names both nodes when one holds the VIP and the other could take it.
func (w *world) holderAndStandby(ctx context.Context) (holder, standby string, err error) {
	holders := w.holders(ctx)
	if len(holders) != 1 {
		return "", "", fmt.Errorf("the VIP is held by %v", holders)
	}
	other := w.inv.HAProxy.Peer(holders[0]).Name
	return holders[0], other, w.canTakeOver(ctx, other)
}

func (w *world) canTakeOver(ctx context.Context, node string) error {
	st, err := w.state(ctx, node)
	if err != nil {
		return err
	}
	if !st.Keepalived || st.VRRP != "BACKUP" || !st.Ready || st.Hold {
		return fmt.Errorf("%s could not take over: %+v", node, st)
	}
	return nil
}

func (w *world) setRoles(ctx context.Context, set func(key, value string)) {
	if holder, standby, err := w.holderAndStandby(ctx); err == nil {
		set("HOLDER", holder)
		set("STANDBY", standby)
	}
}

// condition is what until and stays wait for.
//
//	holder is NODE|nobody    one holder|two holders
//	POOLER is up|down [on NODE]    sql answers    HOST PROCESS runs
func (w *world) condition(ctx context.Context, c []string) error {
	text := strings.Join(c, " ")
	switch {
	case text == "sql answers":
		return w.answers(ctx)
	case text == "one holder" || text == "two holders" || text == "at most two holders":
		want := map[string]int{"one": 1, "two": 2}[c[0]]
		if have := w.holders(ctx); len(have) != want {
			return fmt.Errorf("the VIP is held by %v", have)
		}
		return nil
	case len(c) == 3 && c[0] == "holder" && c[1] == "is":
		have := strings.Join(w.holders(ctx), "+")
		if c[2] == "nobody" && have == "" || have == c[2] {
			return nil
		}
		return fmt.Errorf("the VIP is held by %q", have)
	case len(c) >= 3 && c[1] == "is":
		on := ""
		if len(c) == 5 && c[3] == "on" {
			on = c[4]
		}
		return w.poolerIs(ctx, c[0], c[2], on)
	case len(c) == 3 && c[2] == "runs":
		return w.runs(ctx, c[0], c[1])
	case len(c) == 4 && strings.Join(c[1:], " ") == "can take over":
		return w.canTakeOver(ctx, c[0])
	}
	return fmt.Errorf("no condition %q", text)
}

func (w *world) runs(ctx context.Context, host, process string) error {
	all, err := w.lab.Processes(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Host == host && p.Name == process {
			if p.State == lab.Running {
				return nil
			}
			return fmt.Errorf("%s on %s is %s", process, host, p.State)
		}
	}
	return fmt.Errorf("no process %s on %s", process, host)
}

// poolerIs looks at one pooler as both HAProxies see it, or one of them.
func (w *world) poolerIs(ctx context.Context, pooler, want, on string) error {
	for _, n := range w.inv.HAProxy.Nodes {
		if on != "" && on != n.Name {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		stats, err := w.parts.Nodes[n.Name].Stats(ctx)
		cancel()
		if err != nil {
			return err
		}
		s, ok := stats.Find("pgbouncer", pooler)
		if !ok {
			return fmt.Errorf("%s knows no pooler %s", n.Name, pooler)
		}
		if is := map[bool]string{true: "up", false: "down"}[s.State.Serving()]; is != want {
			return fmt.Errorf("%s sees %s %s", n.Name, pooler, s.State)
		}
	}
	return nil
}

// answers makes a new connection through the VIP and queries.
func (w *world) answers(ctx context.Context) error { return w.answersAt(ctx, w.inv.VIPEndpoint()) }

func (w *world) answersAt(ctx context.Context, endpoint string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	cfg, err := w.configAt(endpoint, "weir", w.secrets.Console)
	if err != nil {
		return err
	}
	cfg.Database = "weir"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

func (w *world) config(role, password string) (*pgx.ConnConfig, error) {
	return w.configAt(w.inv.VIPEndpoint(), role, password)
}

func (w *world) configAt(endpoint, role, password string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(fmt.Sprintf("postgres://%s:%s@%s/postgres?sslmode=disable", role, password, endpoint))
	if err != nil {
		return nil, err
	}
	cfg.DialFunc = w.dial
	return cfg, nil
}

func (w *world) connect(ctx context.Context, role, password string) (*pgx.Conn, error) {
	cfg, err := w.config(role, password)
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, cfg)
}

func (w *world) gapConfig() bench.GapConfig {
	return bench.GapConfig{Dial: w.dial, Target: w.inv.VIPEndpoint(), User: "postgres", Password: w.secrets.Postgres, Database: "postgres"}
}

// describe is what somebody wants to know when a script fails.
func (w *world) describe(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	var b strings.Builder
	for _, n := range w.inv.HAProxy.Nodes {
		st, err := w.state(ctx, n.Name)
		fmt.Fprintf(&b, "%s: %+v %v\n", n.Name, st, err)
	}
	processes, err := w.lab.Processes(ctx)
	fmt.Fprintf(&b, "processes: %v\n", err)
	for _, p := range processes {
		fmt.Fprintf(&b, "  %s %s %s since %s, %d restarts, last %q\n", p.Host, p.Name, p.State, p.Since.Format("15:04:05.000"), p.Restarts, p.Last)
	}
	return b.String()
}

// pause stops every pooler from starting transactions, all or none.
func (s *script) pause(ctx context.Context, _ []string) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, c := range s.admins {
		g.Go(func() error { return c.Pause(ctx, "") })
	}
	return g.Wait()
}

func (s *script) resume(ctx context.Context, _ []string) error {
	var g errgroup.Group
	for _, c := range s.admins {
		g.Go(func() error { return c.Resume(ctx, "") })
	}
	return g.Wait()
}

// hold NODE on|off tells a node that it may not hold the VIP: the planned move.
func (s *script) hold(ctx context.Context, args []string) error {
	return s.parts.Nodes[args[1]].SetHold(ctx, args[2] == "on")
}

// sql runs a query through the VIP by the simple protocol, as psql does.
func (s *script) sql(ctx context.Context, args []string) error {
	conn, err := s.connect(ctx, "postgres", s.secrets.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, strings.Join(args[1:], " "), pgx.QueryExecModeSimpleProtocol)
	return err
}

// prepared runs n queries over connections that cache prepared statements, pgx's default: each
// client's statement has to be there on whatever server connection its transaction gets.
func (s *script) prepared(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	var g errgroup.Group
	for worker := range 10 {
		g.Go(func() error {
			conn, err := s.connect(ctx, "postgres", s.secrets.Postgres)
			if err != nil {
				return err
			}
			defer conn.Close(ctx)
			for i := range n {
				var got int
				if err := conn.QueryRow(ctx, "select $1::int + $2::int", worker, i).Scan(&got); err != nil {
					return err
				}
				if got != worker+i {
					return fmt.Errorf("asked for %d + %d, got %d", worker, i, got)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// cancel N sends N query cancels through the VIP; every one must reach its query.
func (s *script) cancel(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	reached := 0
	for range n {
		ok, err := s.cancelOne(ctx)
		if err != nil {
			return err
		}
		if ok {
			reached++
		}
	}
	if reached != n {
		return fmt.Errorf("%d of %d cancels reached their query", reached, n)
	}
	return nil
}

// cancelOne starts a query of 5 s, sees it run, and cancels it.
func (s *script) cancelOne(ctx context.Context) (reached bool, err error) {
	conn, err := s.connect(ctx, "postgres", s.secrets.Postgres)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	mark := fmt.Sprintf("cancel-%d", cancelCount.Add(1))
	ended := make(chan error, 1)
	go func() {
		_, err := conn.Exec(ctx, "select pg_sleep(5) /* "+mark+" */", pgx.QueryExecModeSimpleProtocol)
		ended <- err
	}()
	if err := s.seeQuery(ctx, mark); err != nil {
		return false, err
	}
	if err := conn.PgConn().CancelRequest(ctx); err != nil {
		return false, err
	}
	err = <-ended
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "57014" {
		return true, nil
	}
	return false, err
}

var cancelCount atomic.Int64

func (s *script) seeQuery(ctx context.Context, mark string) error {
	conn, err := s.connect(ctx, "postgres", s.secrets.Postgres)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for {
		var n int
		err := conn.QueryRow(ctx, `select count(*) from pg_stat_activity
			where state = 'active' and query like '%/* '||$1||' */%' and pid <> pg_backend_pid()`,
			pgx.QueryExecModeSimpleProtocol, mark).Scan(&n)
		if err != nil || n > 0 {
			return err
		}
	}
}

// login ROLE makes a connection with the role's own password, which is its name with "-password".
func (s *script) login(ctx context.Context, args []string) error {
	conn, err := s.connect(ctx, args[1], args[1]+"-password")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	return conn.Ping(ctx)
}

// stats with|without CODE asks both nodes' statistics pages, with the password or none.
func (s *script) stats(ctx context.Context, args []string) error {
	client := http.Client{Transport: &http.Transport{DialContext: s.dial, DisableKeepAlives: true}}
	for _, n := range s.inv.HAProxy.Nodes {
		at := netip.AddrPortFrom(n.Address.Addr, uint16(s.inv.HAProxy.StatsPort))
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+at.String()+"/stats", nil)
		if err != nil {
			return err
		}
		if args[1] == "with" {
			req.SetBasicAuth("weir", s.secrets.HAProxyStats)
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if have := strconv.Itoa(resp.StatusCode); have != args[2] {
			return fmt.Errorf("%s answers %s", n.Name, have)
		}
	}
	return nil
}

// crowd is many connected clients, each querying now and then.
type crowd struct {
	conns   []*pgx.Conn
	stop    chan struct{}
	work    sync.WaitGroup
	mu      sync.Mutex
	errs    []error
	slowest time.Duration
	queries int
}

// doCrowd N connects N clients; "crowd whole STALL" ends them and fails when one saw an error or
// waited longer than STALL.
func (s *script) doCrowd(ctx context.Context, args []string) error {
	if args[1] == "whole" {
		return s.crowdWhole(ctx, args[2])
	}
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c := &crowd{stop: make(chan struct{}), conns: make([]*pgx.Conn, n)}
	g, connectCtx := errgroup.WithContext(ctx)
	g.SetLimit(20)
	for i := range n {
		g.Go(func() (err error) {
			c.conns[i], err = s.connect(connectCtx, "postgres", s.secrets.Postgres)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, conn := range c.conns {
		c.work.Go(func() { c.client(conn, time.Duration(i)*time.Millisecond) })
	}
	s.crowd = c
	return c.waitQueries(ctx, n) // everybody's first, before anything happens to them
}

// waitQueries waits until n more queries have ended.
func (c *crowd) waitQueries(ctx context.Context, n int) error {
	ended := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.queries
	}
	for want := ended() + n; ended() < want; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d queries of the crowd to go: %w", want-ended(), ctx.Err())
		case <-time.After(look):
		}
	}
	return nil
}

// client queries about four times a second until the crowd ends.
func (c *crowd) client(conn *pgx.Conn, offset time.Duration) {
	defer conn.Close(context.Background())
	timer := time.NewTimer(offset)
	defer timer.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-timer.C:
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		_, err := conn.Exec(ctx, "select 1")
		cancel()
		c.mu.Lock()
		c.queries++
		c.slowest = max(c.slowest, time.Since(began))
		if err != nil {
			c.errs = append(c.errs, err)
		}
		c.mu.Unlock()
		if err != nil {
			return
		}
		timer.Reset(250 * time.Millisecond)
	}
}

func (c *crowd) close() {
	close(c.stop)
	c.work.Wait()
}

func (s *script) crowdWhole(ctx context.Context, limit string) error {
	stall, err := time.ParseDuration(limit)
	if err != nil {
		return err
	}
	c := s.crowd
	s.crowd = nil
	// What happened to them shows in what they do next.
	waitErr := c.waitQueries(ctx, 2*len(c.conns))
	c.close()
	s.logf("%d clients, %d queries, %d errors, longest wait %s", len(c.conns), c.queries, len(c.errs), c.slowest.Round(time.Millisecond))
	if len(c.errs) > 0 {
		return fmt.Errorf("%d of %d clients saw an error, the first: %w", len(c.errs), len(c.conns), c.errs[0])
	}
	if waitErr != nil {
		return waitErr
	}
	if c.slowest > stall {
		return fmt.Errorf("the longest wait was %s", c.slowest)
	}
	return nil
}

// holderWatch samples who has the VIP's address, in the kernel and not by anybody's word.
type holderWatch struct {
	quit      chan struct{}
	done      chan struct{}
	two, none time.Duration // the longest without a break
}

func startHolderWatch(w *world) *holderWatch {
	h := &holderWatch{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		var twoSince, noneSince time.Time
		for {
			have := 0
			for _, n := range w.inv.HAProxy.Nodes {
				if addrs, err := w.lab.Addresses(n.Name); err == nil && slices.Contains(addrs, w.inv.VIP.Address.Addr) {
					have++
				}
			}
			longest(&h.two, &twoSince, have == 2)
			longest(&h.none, &noneSince, have == 0)
			select {
			case <-h.quit:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return h
}

// longest keeps the longest time that is was true without a break.
func longest(most *time.Duration, since *time.Time, is bool) {
	switch {
	case !is:
		*since = time.Time{}
	case since.IsZero():
		*since = time.Now()
	default:
		*most = max(*most, time.Since(*since))
	}
}

func (h *holderWatch) stop() (two, none time.Duration) {
	close(h.quit)
	<-h.done
	return h.two, h.none
}
