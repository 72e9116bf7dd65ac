package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"weir/graph"
	"weir/graph/noun"
	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/postgres"
	"weir/ops/postgres/postgrestest"
	"weir/ops/runbook"
	"weir/queries"
	"weir/server/session"
	"weir/sql"
	"weir/views/chain/chaintest"
)

// What the console costs: the whole handler over loopback, with real PostgreSQL for sessions and history,
// in front of a chain whose numbers change as those of a busy one do. What the polls cost is not in it, nor
// PostgreSQL, nor those who read: they are processes of their own.

// readersEnv is set where this program is not the tests, but those who read streams.
const readersEnv = "WEIR_BENCH_READERS"

func TestMain(m *testing.M) {
	if os.Getenv(readersEnv) != "" {
		if err := readStreams(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkOverview is an administrator's first page, one request after the other. Two things can be true
// of a request: it is the first of its frame, and asks PostgreSQL for the last changes; or another was.
func BenchmarkOverview(b *testing.B) {
	for _, anew := range []bool{true, false} {
		b.Run(map[bool]string{true: "first of its frame", false: "of a frame seen before"}[anew], func(b *testing.B) {
			c := newConsole(b)
			var took []time.Duration
			var used time.Duration
			size := 0
			for b.Loop() {
				if anew {
					c.second()
					c.frame()
				}
				before, began := cpu(b), time.Now()
				page := c.get(b, "/")
				took, size = append(took, time.Since(began)), max(size, len(page))
				used += cpu(b) - before
				if len(took) == 1 && (!bytes.Contains(page, []byte("Everything serves")) || bytes.Count(page, []byte("pgb2 answers again")) != changesShown) {
					b.Fatalf("it is not the page of a chain that serves, with its last changes:\n%s", page)
				}
			}
			slices.Sort(took)
			ms := func(share float64) float64 {
				return float64(took[int(share*float64(len(took)-1))]) / float64(time.Millisecond)
			}
			conditions(b)
			b.ReportMetric(ms(0.5), "p50-ms")
			b.ReportMetric(ms(0.99), "p99-ms")
			b.ReportMetric(float64(used)/float64(len(took))/1e6, "cpu-ms") // whoever asked included; what else runs matters less to it than to the others
			b.ReportMetric(float64(size), "bytes")
			b.ReportMetric(0, "ns/op") // the chain's life between two requests is in it
		})
	}
}

const (
	streamsOpen = 500
	lifeOf      = 10 * time.Second // of the chain, in one iteration: two beats and five looks at each session
)

// BenchmarkStreams is 500 open overviews. Of one person, what is known of the session is shared by all
// streams; of 500, each is looked up by itself.
func BenchmarkStreams(b *testing.B) {
	for _, people := range []int{1, streamsOpen} {
		b.Run(fmt.Sprintf("people=%d", people), func(b *testing.B) {
			c := newConsole(b)
			debug.FreeOSMemory() // what passwords and benchmarks before took
			c.live(b)
			cookies := make([]string, streamsOpen)
			for i := range cookies {
				cookies[i] = cookie(i % people)
			}
			r := startReaders(b, c.server.Listener.Addr().String(), cookies)
			before, used, asked, began := r.look(b), cpu(b), statements.Load(), time.Now()
			for b.Loop() {
				<-time.After(lifeOf)
			}
			life, after := time.Since(began).Seconds(), r.look(b)
			for i := range after.Bytes {
				if after.Bytes[i] == before.Bytes[i] {
					b.Fatalf("stream %d stood still", i)
				}
			}
			conditions(b)
			b.ReportMetric(float64(cpu(b)-used)/1e9/life, "cores")
			b.ReportMetric(float64(after.CPU-before.CPU)/1e9/life, "reader-cores")
			b.ReportMetric(float64(after.total()-before.total())/life/streamsOpen, "B/s/stream")
			b.ReportMetric(float64(statements.Load()-asked)/life, "statements/s")
			b.ReportMetric(resident(b), "RSS-MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// conditions are what the numbers depend on besides the program.
func conditions(b *testing.B) {
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	load, _ := os.ReadFile("/proc/loadavg")
	b.Logf("%s, Linux %s, %d cores, load %s", runtime.Version(), bytes.TrimSpace(kernel), runtime.GOMAXPROCS(0), bytes.Join(bytes.Fields(load)[:3], []byte(" ")))
}

// cpu is what this process has used so far.
func cpu(b testing.TB) time.Duration {
	used, err := processorTime()
	if err != nil {
		b.Fatal(err)
	}
	return used
}

func processorTime() (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// resident is this process's memory, in MiB.
func resident(b testing.TB) float64 {
	text, err := os.ReadFile("/proc/self/statm")
	var size, pages int
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &pages)
	}
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / (1 << 20)
}

// ── The console ──

// console is the server but for its polls.
type console struct {
	*Web
	*busy
	server *httptest.Server
}

func newConsole(b *testing.B) *console {
	b.Helper()
	db, err := database()
	if err != nil {
		b.Fatal(err)
	}
	m, err := newSessions(db)
	if err != nil {
		b.Fatal(err)
	}
	c := &console{busy: newBusy()}
	log := slog.New(Logger(slog.NewJSONHandler(io.Discard, nil)))
	api := graph.New(graph.Deps{Inventory: c.inv, Files: 20000, Fleet: c.hub, DB: db, Accounts: m, Check: m.Check, Now: time.Now, Log: log,
		Incidents: graph.NewWatch(db), Viewer: func(ctx context.Context) (noun.Viewer, error) {
			v, err := session.ViewerOf(ctx)
			return noun.Viewer(v), err
		}})
	c.Web, err = New(Deps{API: api.Handler(), Query: api.Query(), Mutation: api.Mutation(), Who: api.Viewer(), Fleet: c.hub, Inventory: c.inv, Sessions: m,
		Public: &url.URL{Scheme: "http", Host: "weir.example.org"}, Version: "test", Metrics: prometheus.NewRegistry(), Log: log})
	if err != nil {
		b.Fatal(err)
	}
	c.remember()
	c.frame()
	c.server = httptest.NewServer(c.Handler())
	b.Cleanup(c.server.Close)
	return c
}

// remember fills the sparklines: the last 15 minutes, read as fast as can be.
func (c *console) remember() {
	for now := time.Now().Add(-trendSpan); now.Before(time.Now()); now = now.Add(trendEvery) {
		c.second()
		s, _ := c.hub.Now()
		c.Web.live.trends.keep(s, now)
	}
}

// frame draws the next one, while nobody else does.
func (c *console) frame() {
	s, _ := c.hub.Now()
	now := time.Now()
	found, said := c.Web.live.judge(s, now)
	c.Web.live.draw(s, now, found, said)
}

// live draws frames, of a chain whose parts are read in turn, until the benchmark ends.
func (c *console) live(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	var all sync.WaitGroup
	all.Go(func() { c.Run(ctx) })
	all.Go(func() {
		turn := time.NewTicker(time.Second / time.Duration(len(c.parts)))
		defer turn.Stop()
		for i := 0; ctx.Err() == nil; i++ {
			<-turn.C
			c.hub.Apply(c.read(c.parts[i%len(c.parts)]))
		}
	})
	b.Cleanup(func() { cancel(); c.EndStreams(); all.Wait() })
}

func (c *console) get(b *testing.B, path string) []byte {
	r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, c.server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	r.AddCookie(&http.Cookie{Name: "weir", Value: cookie(0)})
	resp, err := c.server.Client().Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%d %v", resp.StatusCode, err)
	}
	return page
}

// ── The chain ──

// busy is a healthy chain under load. No two readings of a part have the same numbers.
type busy struct {
	hub   *fleet.Hub
	inv   *inventory.Inventory
	says  *fleet.Snapshot // what the parts said last; the hub has copies
	parts []fleet.Source
	dice  *rand.Rand
}

func newBusy() *busy {
	healthy := chaintest.Healthy()
	c := &busy{hub: fleet.NewHub(fleet.First(healthy.Inventory)), inv: healthy.Inventory, says: healthy.Snapshot, dice: rand.New(rand.NewPCG(1, 2))}
	add := func(kind fleet.Kind, name string) { c.parts = append(c.parts, fleet.Source{Kind: kind, Name: name}) }
	for _, n := range c.says.Nodes {
		add(fleet.NodeStatsKind, n.Name)
		add(fleet.NodeStateKind, n.Name)
	}
	for _, p := range c.says.Poolers {
		add(fleet.PoolerKind, p.Name)
	}
	add(fleet.AnswerKind, "")
	add(fleet.ThroughKind, "")
	add(fleet.DirectKind, "")
	add(fleet.SizesKind, "")
	return c
}

// second reads every part once.
func (c *busy) second() {
	for _, part := range c.parts {
		c.hub.Apply(c.read(part))
	}
}

// about is n, give or take a tenth.
func (c *busy) about(n int64) int64 { return n - n/10 + c.dice.Int64N(n/5+1) }

func (c *busy) read(from fleet.Source) fleet.Reading {
	r := fleet.Reading{Source: from, At: time.Now(), Took: time.Duration(c.about(int64(2 * time.Millisecond)))}
	node := slices.IndexFunc(c.says.Nodes, func(n fleet.Node) bool { return n.Name == from.Name })
	switch from.Kind {
	case fleet.NodeStateKind:
		r.Value = c.says.Nodes[node].State.Value
	case fleet.NodeStatsKind:
		r.Value = c.statistics(&c.says.Nodes[node])
	case fleet.PoolerKind:
		r.Value = c.pooler(from.Name)
	case fleet.AnswerKind:
		r.Value = c.says.VIP.Answers.Value
	case fleet.ThroughKind:
		p := c.says.VIP.Through.Value
		p.Elapsed = time.Duration(c.about(int64(p.Elapsed)))
		r.Value = p
	case fleet.DirectKind:
		p := c.says.Postgres.Probe.Value
		p.Connections, p.LongestXact = int(c.about(int64(p.Connections))), time.Duration(c.about(int64(p.LongestXact)))
		r.Value = p
	case fleet.SizesKind:
		r.Value = c.says.Postgres.Sizes.Value
	}
	return r
}

func (c *busy) statistics(n *fleet.Node) any {
	stats := n.Stats.Value
	front := &stats.Rows[0]
	front.SessionsTotal += c.about(40)
	front.BytesIn += c.about(800_000)
	front.BytesOut += c.about(5_300_000)
	stats.Rows = slices.Clone(stats.Rows)
	for i := range stats.Rows {
		stats.Rows[i].Sessions = c.about(stats.Rows[i].Sessions)
	}
	return stats
}

func (c *busy) pooler(name string) any {
	p := &c.says.Poolers[slices.IndexFunc(c.says.Poolers, func(p fleet.Pooler) bool { return p.Name == name })]
	view, total := p.View.Value, &p.View.Value.Stats[0]
	xacts := c.about(490)
	total.TotalXactCount += xacts
	total.TotalQueryCount += 5 * xacts
	total.TotalReceived += c.about(280_000)
	total.TotalSent += c.about(1_760_000)
	total.TotalXactTime += time.Duration(xacts * c.about(int64(5*time.Millisecond)))
	total.TotalQueryTime += time.Duration(xacts * c.about(int64(4*time.Millisecond)))
	view.Stats, view.Pools = slices.Clone(view.Stats), slices.Clone(view.Pools)
	for i := range view.Pools {
		pool := &view.Pools[i]
		pool.ClActive, pool.SvActive, pool.SvIdle = c.about(pool.ClActive), c.about(pool.SvActive), c.about(pool.SvIdle)
	}
	return view
}

// ── PostgreSQL ──

var (
	database   = sync.OnceValues(startDatabase)
	statements atomic.Int64
)

// counting counts statements.
type counting struct{}

func (counting) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	statements.Add(1)
	return ctx
}
func (counting) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// startDatabase is Weir's tables with 500 people's sessions, and something to tell.
func startDatabase() (*pgxpool.Pool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server, err := postgrestest.Serve(inventory.Default(), postgres.Render, postgres.Processes)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig("") // as many connections as the server's own pool has
	if err != nil {
		return nil, err
	}
	config.ConnConfig = server.Weir("weir")
	if _, err := sql.Migrate(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	config.ConnConfig.Tracer = counting{}
	db, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, err
	}
	return db, errors.Join(signPeopleIn(ctx, db), tell(ctx, db))
}

func newSessions(db *pgxpool.Pool) (*session.Manager, error) {
	return session.New(session.Deps{DB: db, Now: time.Now, NewID: newID, OnError: Errors{Log: slog.New(slog.DiscardHandler)}.Answer})
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// cookie is that of one of the 500.
func cookie(person int) string { return fmt.Sprintf("person-%d", person) }

// signPeopleIn signs one in, and copies the session: a password each would take minutes.
func signPeopleIn(ctx context.Context, db *pgxpool.Pool) error {
	m, err := newSessions(db)
	if err != nil {
		return err
	}
	token, _, err := m.FirstAdministrator(ctx)
	if err != nil {
		return err
	}
	m.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		err = m.SignUp(r.Context(), token, "ada@example.org", "Ada", "plum tractor weighs a lot")
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, `INSERT INTO session (token_hash, user_id, data, created_at, last_seen_at, expires_at)
		SELECT sha256(convert_to('person-' || n, 'UTF8')), user_id, data, created_at, last_seen_at, expires_at
		  FROM session, generate_series(0, $1 - 1) AS n WHERE user_id IS NOT NULL`, streamsOpen)
	return err
}

// tell writes down more than the first page shows: incidents that are over, and then orders.
func tell(ctx context.Context, db *pgxpool.Pool) error {
	q := queries.New()
	for i := range 30 {
		id, at := newID(), time.Now().Add(-time.Duration(i+1)*time.Hour)
		err := q.IncidentOpen(ctx, db, queries.IncidentOpenParams{ID: id, Cause: fmt.Sprint("pooler-down/pgb", i), Subject: "pgb2", Severity: "warning", State: "firing",
			Title: "pgb2 down", Seq: 1, OpenedAt: at})
		if err != nil {
			return err
		}
		err = q.IncidentEventAdd(ctx, db, queries.IncidentEventAddParams{IncidentID: id, Seq: 1, At: at, Kind: "opened", ToState: "firing", Text: "pgb2 answers again"})
		if err != nil {
			return err
		}
		err = q.AuditAdd(ctx, db, queries.AuditAddParams{ID: newID(), At: at.AddDate(0, 0, -3), ActorKind: "user", ActorName: "ada@example.org", Verb: "drain",
			Subject: "pgb3", Reason: "kernel update", Outcome: "ok", Detail: []byte("[]")})
		if err != nil {
			return err
		}
	}
	return nil
}

// ── Those who read ──

// readers are another process.
type readers struct {
	asks    *json.Encoder
	answers *json.Decoder
}

// heard is what came to each of them so far, on the wire, and what it cost them.
type heard struct {
	Bytes []int64
	CPU   time.Duration
}

func (h heard) total() (sum int64) {
	for _, n := range h.Bytes {
		sum += n
	}
	return sum
}

// startReaders opens a stream for each cookie. When it returns all have their page's fragments.
func startReaders(b *testing.B, address string, cookies []string) *readers {
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	c := exec.CommandContext(b.Context(), program)
	c.Env, c.Stderr = append(os.Environ(), readersEnv+"=yes"), os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); c.Wait() })
	r := &readers{json.NewEncoder(in), json.NewDecoder(out)}
	if err := r.asks.Encode(toRead{address, cookies}); err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *readers) look(b *testing.B) (h heard) {
	b.Helper()
	if err := errors.Join(r.asks.Encode("how much?"), r.answers.Decode(&h)); err != nil {
		b.Fatal(err)
	}
	return h
}

// toRead is what the other process is told first.
type toRead struct {
	Address string
	Cookies []string
}

// readStreams reads, and does nothing with it. When all streams have begun it answers every question.
func readStreams(in io.Reader, out io.Writer) error {
	asks, answers := json.NewDecoder(in), json.NewEncoder(out)
	var to toRead
	if err := asks.Decode(&to); err != nil {
		return err
	}
	counts, begun := make([]atomic.Int64, len(to.Cookies)), make(chan error, len(to.Cookies))
	for i, cookie := range to.Cookies {
		go func() { begun <- readStream(to.Address, cookie, &counts[i], begun) }()
	}
	for range to.Cookies {
		if err := <-begun; err != nil {
			return err
		}
	}
	for question := ""; asks.Decode(&question) == nil; {
		var h heard
		for i := range counts {
			h.Bytes = append(h.Bytes, counts[i].Load())
		}
		h.CPU, _ = processorTime()
		if err := answers.Encode(h); err != nil {
			return err
		}
	}
	return nil
}

// readStream counts what comes, for as long as it does. The first page is more than 5,000 bytes.
func readStream(address, cookie string, count *atomic.Int64, begun chan<- error) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /events?page=%%2F HTTP/1.1\r\nHost: %s\r\nAccept: text/event-stream\r\nCookie: weir=%s\r\n\r\n", address, cookie)
	buffer := make([]byte, 16<<10)
	for told := false; ; {
		n, err := conn.Read(buffer)
		if err != nil {
			return fmt.Errorf("a stream ended: %w", err)
		}
		if count.Load() == 0 && !strings.HasPrefix(string(buffer[:n]), "HTTP/1.1 200") {
			return fmt.Errorf("a stream began with %q", buffer[:n])
		}
		if count.Add(int64(n)) > 5000 && !told {
			told = true
			begun <- nil
		}
	}
}

// ── Sizes ──

// full is an API with more to tell than fits the first page.
type full struct{ Query }

func (full) Incidents(_ context.Context, _ *bool, _, _, _ *string, _, _ *time.Time, first *int, _ *string, _ *int, _ *string) (*noun.IncidentConnection, error) {
	var list noun.IncidentConnection
	for range *first {
		id := newID()
		page := &noun.IncidentPage{Events: noun.NewBatch([]string{id}, func(context.Context, []string) (events []queries.IncidentEvent, _ error) {
			for range 4 {
				events = append(events, queries.IncidentEvent{IncidentID: id, At: chaintest.Noon, ToState: "firing", Text: "haproxy1 and haproxy2 disagree about whether pgb2 is UP"})
			}
			return events, nil
		}, func(e queries.IncidentEvent) string { return e.IncidentID })}
		list.Edges = append(list.Edges, noun.IncidentEdge{Node: noun.Incident{Incident: queries.Incident{ID: id, Severity: "critical"}, Page: page}})
	}
	return &list, nil
}

func (full) Audit(_ context.Context, _, _, _ *string, _, _ *time.Time, first *int, _ *string, _ *int, _ *string) (*noun.AuditConnection, error) {
	var list noun.AuditConnection
	for range *first {
		list.Edges = append(list.Edges, noun.AuditEdge{Node: noun.AuditEntry{Audit: queries.Audit{ID: newID(), At: chaintest.Noon, ActorName: "ada@example.org", Verb: "reconnect",
			Subject: "every pooler database app", Outcome: "ok"}}})
	}
	return &list, nil
}

func (full) Samples(context.Context, string, *string, time.Time, time.Time, int) ([]noun.Series, error) {
	return nil, errAway
}

func TestTheOverviewStaysBelow60KBHoweverTheChainIs(t *testing.T) {
	for name, c := range map[string]*chaintest.Chain{"it serves": chaintest.Healthy(), "a pooler is down": chaintest.Healthy().Down("pgb2"), "PostgreSQL is down": chaintest.Healthy().NoPostgres(),
		"all at once": chaintest.Healthy().Down("pgb1").Dispute("pgb2").Drain("pgb3").NodeGone().TwoHolders().Deaf()} {
		d := newSite(t, nil).Web.Deps
		d.Fleet, d.Inventory, d.Query, d.Metrics = fleet.NewHub(c.Snapshot), c.Inventory, full{}, prometheus.NewRegistry()
		w, err := New(d)
		if err != nil {
			t.Fatal(err)
		}
		for at := -trendSpan; at < 0; at += trendEvery {
			w.live.trends.keep(c.Snapshot, chaintest.Noon.Add(at))
		}
		w.live.draw(c.Snapshot, chaintest.Noon, incident.Findings(c.Snapshot, c.Inventory, chaintest.Noon), nil)
		w.live.now.Load().open = c.Open
		a := w.ask(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		a.viewer, a.clock.Now = &session.Viewer{Actor: runbook.Actor{Kind: runbook.User, ID: 1, Name: "ada@example.org", Role: runbook.Administrator}}, chaintest.Noon
		m, err := w.overview(a)
		if err != nil {
			t.Fatal(err)
		}
		page := httptest.NewRecorder()
		w.show(page, a, m)
		if n := page.Body.Len(); n > 60_000 || n < 15_000 {
			t.Errorf("%s: %d bytes", name, n)
		} else {
			t.Logf("%s: %d bytes", name, n)
		}
	}
}
