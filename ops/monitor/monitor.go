package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/pgbouncer"
	"weir/ops/runbook"
	"weir/ops/slack"
	"weir/queries"
)

// stopLimit is what saying goodbye to others may take when the monitor ends.
const stopLimit = 500 * time.Millisecond

// monitor is all its parts. Each runs in a loop of its own, and none waits for another.
type monitor struct {
	settings settings
	log      *slog.Logger
	parts    *fleet.Parts
	hub      *fleet.Hub
	watch    *watch
	journal  *journal
	pool     *pgxpool.Pool
	record   *record
	wishes   *wishes
	poster   *slack.Poster
	runbook  *runbook.Runbook
	consoles []*pgbouncer.Client // that the runbook gives orders to
	client   *http.Client        // for Slack and the heartbeat
	listener net.Listener
	refused  atomic.Int64 // messages that were given up
}

// newMonitor opens what the monitor needs: its state, its port. Nothing is asked or sent yet.
func newMonitor(s settings, dial fleet.Dial, log *slog.Logger) (*monitor, error) {
	m := &monitor{settings: s, log: log, hub: fleet.NewHub(fleet.First(s.inventory)), client: slack.NewClient()}
	if err := m.open(dial); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *monitor) open(dial fleet.Dial) (err error) {
	s := m.settings
	if err := makeState(s.state); err != nil {
		return err
	}
	// The journal's lock keeps a second monitor from the same state: so it is opened first.
	if m.journal, err = openJournal(filepath.Join(s.state, "journal.db")); err != nil {
		return err
	}
	if err := m.openPoster(); err != nil {
		return err
	}
	s.database.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) { return dial(ctx, network, addr) }
	if m.pool, err = pgxpool.NewWithConfig(context.Background(), s.database); err != nil {
		return fmt.Errorf("prepare for the database: %w", err)
	}
	m.record = newRecord(m.journal, m.pool, m.log)
	m.wishes = &wishes{path: filepath.Join(s.state, "wishes.json"), db: m.pool, log: m.log, test: m.poster.Test}
	if err := m.wishes.open(); err != nil {
		return err
	}
	m.watch = m.newWatch()
	if err := m.watch.open(); err != nil {
		return err
	}
	if m.parts, err = fleet.NewParts(s.inventory, s.secrets, s.processes, dial); err != nil {
		return err
	}
	if m.runbook, err = m.newRunbook(dial); err != nil {
		return err
	}
	if m.listener, err = net.Listen("tcp", s.listen); err != nil {
		return fmt.Errorf("listen for /healthz and /metrics: %w", err)
	}
	return nil
}

// newID makes a UUID of version 7: in the order of time.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (m *monitor) openPoster() error {
	box, err := slack.OpenOutbox(filepath.Join(m.settings.state, "outbox.json"))
	if err != nil {
		return err
	}
	if m.poster, err = slack.NewPoster(box, m.settings.slack, m.client, newID, m.log); err != nil {
		return err
	}
	m.poster.OnDelivery = func(d slack.Delivery) {
		if d.State == "failed" && d.Reason != slack.Test {
			m.refused.Add(1)
		}
		if err := m.journal.addNotification(notification(d)); err != nil {
			m.log.Error("delivery is not on disk yet", "key", d.Key, "channel", d.Channel, "state", d.State, "error", err)
		}
	}
	return nil
}

// notification is a delivery as table notification keeps it.
func notification(d slack.Delivery) *queries.NotificationSaveParams {
	about := &d.Incident.ID
	if d.Reason == slack.Test {
		about = nil
	}
	n := &queries.NotificationSaveParams{ID: d.ID, IncidentID: about, Channel: d.Channel, Reason: string(d.Reason),
		State: d.State, Attempts: int32(d.Attempts), CreatedAt: d.At, Error: d.Error, ExternalRef: d.Ref}
	if !d.SentAt.IsZero() {
		n.SentAt = &d.SentAt
	}
	return n
}

func (m *monitor) newWatch() *watch {
	return &watch{
		inv: m.settings.inventory, hub: m.hub, rules: incident.DefaultRules(newID), policy: incident.DefaultPolicy(),
		wishes: m.wishes.now, put: m.tell, flush: m.poster.Outbox.Flush, keep: m.journal.addTransitions, answer: m.record.answer,
		log: m.log, path: filepath.Join(m.settings.state, "book.json"),
	}
}

// tell gives a message to the outbox; with nowhere to send it, it is logged.
func (m *monitor) tell(i incident.Incident, d incident.Decision, now time.Time) {
	if len(m.poster.Destinations()) > 0 {
		m.poster.Put(i, d, now)
		return
	}
	m.log.Info("would tell, had it been told where: "+d.Text, "reason", d.Reason, "severity", i.Severity, "incident", i.ID)
}

func (m *monitor) pending() map[string]int {
	out := map[string]int{}
	for _, name := range m.poster.Destinations() {
		out[name], _ = m.poster.Outbox.Waiting(name)
	}
	return out
}

// dropped is what was owed to somebody and given up since the monitor started. What PostgreSQL refuses for good
// is set aside, and is not lost.
func (m *monitor) dropped() map[string]int64 {
	return map[string]int64{"messages": m.refused.Load(), "samples": m.journal.dropped.Load()}
}

// run works until ctx ends, and leaves everything on disk.
func (m *monitor) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c := collector{hub: m.hub, seen: m.watch.seen.Load, journal: m.journal, pending: m.pending, dropped: m.dropped, inventory: inventory.Checksum(m.settings.inventory.YAML())}
	server := &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(m.log.Handler(), slog.LevelWarn)}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := server.Serve(m.listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve /healthz and /metrics: %w", err))
		}
	})
	m.parts.Doubts = func() bool { return m.watch.seen.Load().Book.Doubts(time.Now()) }
	wg.Go(func() { m.parts.Poll(ctx, func(r fleet.Reading) { m.hub.Apply(r) }) })
	wg.Go(func() { m.watch.run(ctx) })
	wg.Go(func() { m.poster.Run(ctx) })
	wg.Go(func() { m.record.run(ctx) })
	wg.Go(func() { m.record.retain(ctx) })
	wg.Go(func() { m.wishes.run(ctx, m.record.ready) })
	wg.Go(func() { sampling(ctx, m.hub, m.journal, m.log) })
	wg.Go(func() { expirePauses(ctx, m.runbook, m.log) })
	if m.settings.heartbeat != "" {
		fresh := func() bool { return c.health(time.Now()).Status == "ok" }
		wg.Go(func() { heartbeat(ctx, m.settings.heartbeat, m.client, fresh, m.log) })
	}
	m.log.Info("monitor watches", "version", version, "cluster", m.settings.inventory.Cluster, "listen", m.listener.Addr(),
		"tells", m.poster.Destinations(), "continues", openOf(m.watch.seen.Load().Book))

	<-ctx.Done()
	server.Close()
	wg.Wait()
	m.close()
	m.log.Info("monitor ended")
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

func openOf(b incident.Book) (n int) {
	for _, i := range b.Incidents() {
		if i.Open() {
			n++
		}
	}
	return n
}

// close lets go of everything. Whoever does not let go in turn is not waited for: the process ends.
func (m *monitor) close() {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	var wg sync.WaitGroup
	if m.parts != nil {
		wg.Go(func() { m.parts.Close(ctx) })
	}
	for _, c := range m.consoles {
		wg.Go(func() { c.Close(ctx) })
	}
	if m.pool != nil {
		wg.Go(m.pool.Close)
	}
	if m.listener != nil {
		m.listener.Close()
	}
	m.client.CloseIdleConnections()
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	select {
	case <-all:
	case <-ctx.Done():
	}
	if m.journal != nil {
		if err := m.journal.close(); err != nil {
			m.log.Error("journal is not closed as it should be", "error", err)
		}
	}
}

// sampling takes samples at whole multiples of sampleEvery until ctx ends.
func sampling(ctx context.Context, hub *fleet.Hub, j *journal, log *slog.Logger) {
	var before *fleet.Snapshot
	for dropped := int64(0); ; {
		at := time.Now().Truncate(sampleEvery).Add(sampleEvery)
		if !pause(ctx, time.Until(at)) {
			return
		}
		now, _ := hub.Now()
		if err := j.addTick(tick{At: at.UTC(), Samples: Samples(before, now)}); err != nil {
			log.Error("samples are not on disk yet", "error", err)
		}
		if now := j.dropped.Load(); dropped == 0 && now > 0 {
			log.Error("too many samples wait: the oldest are dropped from now on")
			dropped = now
		}
		before = now
	}
}
