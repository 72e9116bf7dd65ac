// Package bench measures what clients see: how long nobody could connect while something broke
// (gap), and how much the chain costs beside PostgreSQL itself (headline).
package bench

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// GapConfig says whom to measure. Only Dial, Target, User and Database are needed; a number left at
// 0 takes the default that stands beside it.
//
// The defaults open 100 connections and run 400 queries a second, which took a tenth of a core
// (measured on two cores with PostgreSQL 17 and SCRAM, server not counted).
type GapConfig struct {
	Dial     DialFunc
	Target   string // host:port
	User     string
	Password string // letters, digits, - and _ only, as inventory.Secrets has them: no SASLprep here
	Database string

	Openers     int           // 8
	Every       time.Duration // 80 ms, between the attempts of one opener
	Outstanding int           // 64 attempts of one opener may hang at a time
	Holders     int           // 20; less than 0 is none
	HoldEvery   time.Duration // 50 ms, between the queries of one holder
	Deadline    time.Duration // 5 s, for an attempt from dial to answer, and for a held query
}

// grace is what attempts under way get to finish after Stop: the healthy ones need no more. Where some
// may wait for longer and be served still, StopWithin says for how long.
const grace = time.Second

// GapResult is what the clients saw. The JSON keys are stable; times are milliseconds.
type GapResult struct {
	Target   string `json:"target"`
	Measured Millis `json:"measured_ms"` // from Start to Stop
	// Longest is the longest time without a successful new connection: between the completion of one
	// success and of the next, from Start and to Stop included.
	Longest   Millis         `json:"gap_ms"`
	LongestAt Millis         `json:"gap_at_ms"` // when it began, counted from Start
	New       NewConnections `json:"new"`
	Held      HeldSessions   `json:"held"`
	// Late is the most that the measure itself was late with an attempt. A gap not much longer than
	// this may be its own: the machine was too busy to measure.
	Late Millis `json:"late_ms"`
}

// NewConnections counts attempts to connect, log in and run one query.
// Attempts = OK + Failed + Unfinished.
type NewConnections struct {
	Attempts   int            `json:"attempts"`
	OK         int            `json:"ok"`
	Failed     int            `json:"failed"`
	Refused    int            `json:"refused"`    // of Failed: ECONNREFUSED, nobody listened
	Unfinished int            `json:"unfinished"` // hung when Stop came, and after its grace still
	Skipped    int            `json:"skipped"`    // not made: too many hung, or the machine was too busy
	P50        Millis         `json:"p50_ms"`     // P50, P99 and Slowest are of OK, from when they were due
	P99        Millis         `json:"p99_ms"`
	Slowest    Millis         `json:"slowest_ms"`
	Errors     map[string]int `json:"errors"` // why Failed, by the first line of the error
}

// HeldSessions counts connections that stay open and query all the time.
type HeldSessions struct {
	Connections      int            `json:"connections"`
	Queries          int            `json:"queries"`          // answered
	Broken           int            `json:"broken"`           // sessions lost, by the error of a query; each connects again
	Unfinished       int            `json:"unfinished"`       // queries that hung when Stop came, and after its grace still
	LongestStall     Millis         `json:"longest_stall_ms"` // of one query, answered or not
	FailedReconnects int            `json:"failed_reconnects"`
	Errors           map[string]int `json:"errors"` // why Broken and FailedReconnects
}

// Gap is a running measure.
type Gap struct {
	cfg      GapConfig
	login    *login
	tally    *tally
	ctx      context.Context // ends what is under way
	cancel   context.CancelFunc
	stopping chan struct{} // closed: start nothing any more
	work     sync.WaitGroup
	once     sync.Once
	result   GapResult
}

// Start opens the held connections, makes one attempt, and then measures until Stop, or until ctx
// ends. An error says that the target did not serve to begin with.
func Start(ctx context.Context, cfg GapConfig) (*Gap, error) {
	cfg = cfg.withDefaults()
	g := &Gap{
		cfg:      cfg,
		login:    &login{dial: cfg.Dial, address: cfg.Target, user: cfg.User, password: cfg.Password, database: cfg.Database},
		stopping: make(chan struct{}),
	}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	sessions, err := g.rehearse(ctx)
	if err != nil {
		g.cancel()
		return nil, fmt.Errorf("measure %s: %w", cfg.Target, err)
	}
	g.tally = newTally(cfg, time.Now())
	for i := range cfg.Openers {
		first := g.tally.started.Add(cfg.Every * time.Duration(i) / time.Duration(cfg.Openers))
		g.work.Go(func() { g.opener(first) })
	}
	for i, s := range sessions {
		wait := cfg.HoldEvery * time.Duration(i) / time.Duration(len(sessions))
		g.work.Go(func() { g.holder(s, wait) })
	}
	go g.stopWith(ctx)
	return g, nil
}

// Between is how far the attempts of all openers together lie apart.
func (g *Gap) Between() time.Duration { return g.cfg.Every / time.Duration(g.cfg.Openers) }

func (c GapConfig) withDefaults() GapConfig {
	c.Openers = cmp.Or(max(c.Openers, 0), 8)
	c.Every = cmp.Or(c.Every, 80*time.Millisecond)
	c.Outstanding = cmp.Or(c.Outstanding, 64)
	c.Holders = max(cmp.Or(c.Holders, 20), 0)
	c.HoldEvery = cmp.Or(c.HoldEvery, 50*time.Millisecond)
	c.Deadline = cmp.Or(c.Deadline, 5*time.Second)
	return c
}

// rehearse proves that the target serves, and returns the sessions to hold.
func (g *Gap) rehearse(ctx context.Context) (held []*session, err error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Deadline)
	defer cancel()
	defer func() {
		if err != nil {
			for _, s := range held {
				s.close(ctx)
			}
		}
	}()
	for range g.cfg.Holders {
		s, err := g.login.open(ctx)
		if err != nil {
			return held, err
		}
		held = append(held, s)
	}
	return held, g.login.once(ctx)
}

// once opens a session, runs a query and closes the session.
func (l *login) once(ctx context.Context) error {
	s, err := l.open(ctx)
	if err != nil {
		return err
	}
	if err := s.query(ctx); err != nil {
		return err
	}
	s.close(ctx)
	return nil
}

// Stop ends the measure and returns what it found, within grace and little more. It may be called
// again, and returns the same.
func (g *Gap) Stop() GapResult { return g.StopWithin(grace) }

// StopWithin is Stop for whoever wants to know who hangs for good: it starts nothing any more and
// waits, at most for as long as it is told, until all that is under way has ended.
func (g *Gap) StopWithin(grace time.Duration) GapResult {
	g.once.Do(func() {
		g.tally.stop(time.Now())
		close(g.stopping)
		end := time.AfterFunc(grace, g.cancel)
		g.work.Wait()
		end.Stop()
		g.cancel()
		g.result = g.tally.total()
	})
	return g.result
}

func (g *Gap) stopWith(ctx context.Context) {
	select {
	case <-ctx.Done():
		g.Stop()
	case <-g.stopping:
	}
}

// opener starts an attempt whenever one is due, whatever became of the earlier ones: if it waited
// for them, a lost SYN, which the kernel sends again only after a second, would hide the recovery.
func (g *Gap) opener(due time.Time) {
	free := make(chan struct{}, g.cfg.Outstanding)
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	for {
		select {
		case <-g.stopping:
			return
		case <-timer.C:
		}
		now := time.Now()
		select {
		case free <- struct{}{}:
			at := due
			g.tally.begin(now.Sub(at))
			g.work.Go(func() {
				defer func() { <-free }()
				g.attempt(at)
			})
		default:
			g.tally.skip()
		}
		for due = due.Add(g.cfg.Every); due.Before(now); due = due.Add(g.cfg.Every) {
			g.tally.skip()
		}
		timer.Reset(time.Until(due))
	}
}

func (g *Gap) attempt(due time.Time) {
	ctx, cancel := context.WithTimeout(g.ctx, g.cfg.Deadline)
	defer cancel()
	s, err := g.login.open(ctx)
	if err == nil {
		err = s.query(ctx)
	}
	g.tally.attempted(due, err, g.ctx.Err() != nil)
	if err == nil {
		s.close(ctx)
	}
}

func (g *Gap) holder(s *session, wait time.Duration) {
	for g.pause(wait) {
		wait = g.cfg.HoldEvery
		if s != nil {
			s = g.queryHeld(s)
		} else {
			s = g.reconnect()
		}
	}
	if s != nil {
		s.close(g.ctx)
	}
}

// pause waits for d, and reports whether the measure still runs.
func (g *Gap) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-g.stopping:
		return false
	case <-timer.C:
		return true
	}
}

// queryHeld returns the session, or nil when it broke.
func (g *Gap) queryHeld(s *session) *session {
	ctx, cancel := context.WithTimeout(g.ctx, g.cfg.Deadline)
	defer cancel()
	began := time.Now()
	err := s.query(ctx)
	g.tally.queried(time.Since(began), err, g.ctx.Err() != nil)
	if err != nil {
		return nil
	}
	return s
}

func (g *Gap) reconnect() *session {
	ctx, cancel := context.WithTimeout(g.ctx, g.cfg.Deadline)
	defer cancel()
	s, err := g.login.open(ctx)
	if err != nil && g.ctx.Err() == nil {
		g.tally.notReconnected(err)
	}
	return s
}

// tally counts. Its methods may be called from any goroutine.
type tally struct {
	mu               sync.Mutex
	started, stopped time.Time // stopped is zero while the measure runs
	lastOK           time.Time
	latencies        []time.Duration
	r                GapResult
}

func newTally(cfg GapConfig, now time.Time) *tally {
	return &tally{started: now, lastOK: now, r: GapResult{
		Target: cfg.Target,
		New:    NewConnections{Errors: map[string]int{}},
		Held:   HeldSessions{Connections: cfg.Holders, Errors: map[string]int{}},
	}}
}

func (t *tally) begin(late time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.New.Attempts++
	t.r.Late = max(t.r.Late, Millis(late))
}

func (t *tally) skip() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.New.Skipped++
}

func (t *tally) attempted(due time.Time, err error, stopped bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		t.r.New.OK++
		t.latencies = append(t.latencies, now.Sub(due))
		t.success(now)
	case stopped:
		t.r.New.Unfinished++
	default:
		t.r.New.Failed++
		if errors.Is(err, syscall.ECONNREFUSED) {
			t.r.New.Refused++
		}
		count(t.r.New.Errors, err)
	}
}

// success ends the gap that the success before it began. What comes after Stop counts as at Stop.
func (t *tally) success(now time.Time) {
	if !t.stopped.IsZero() && now.After(t.stopped) {
		now = t.stopped
	}
	if gap := Millis(now.Sub(t.lastOK)); gap > t.r.Longest {
		t.r.Longest, t.r.LongestAt = gap, Millis(t.lastOK.Sub(t.started))
	}
	t.lastOK = now
}

func (t *tally) queried(took time.Duration, err error, stopped bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Held.LongestStall = max(t.r.Held.LongestStall, Millis(took))
	switch {
	case err == nil:
		t.r.Held.Queries++
	case stopped:
		t.r.Held.Unfinished++
	default:
		t.r.Held.Broken++
		count(t.r.Held.Errors, err)
	}
}

func (t *tally) notReconnected(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.r.Held.FailedReconnects++
	count(t.r.Held.Errors, fmt.Errorf("reconnect: %w", err))
}

func (t *tally) stop(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = now
}

func (t *tally) total() GapResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.success(t.stopped)
	t.r.Measured = Millis(t.stopped.Sub(t.started))
	slices.Sort(t.latencies)
	t.r.New.P50, t.r.New.P99 = percentile(t.latencies, 50), percentile(t.latencies, 99)
	t.r.New.Slowest = percentile(t.latencies, 100)
	return t.r
}

// percentile is the nearest rank in sorted values; 0 when there are none.
func percentile(sorted []time.Duration, p int) Millis {
	if len(sorted) == 0 {
		return 0
	}
	return Millis(sorted[max(0, (len(sorted)*p+99)/100-1)])
}

// count keeps the map small whatever a server puts into its messages.
func count(errs map[string]int, err error) {
	text := err.Error()
	if _, known := errs[text]; !known && len(errs) >= 20 {
		text = "other"
	}
	errs[text]++
}

// JSON is the result as one line.
func (r GapResult) JSON() string {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and strings only
	}
	return string(b)
}

// String is the result for people, a few lines.
func (r GapResult) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "gap    %s without a new connection, from %s after the start (%s measured, late by at most %s)\n",
		r.Longest, r.LongestAt, r.Measured, r.Late)
	n := r.New
	fmt.Fprintf(&b, "new    %d attempts: %d ok, %d failed (%d refused), %d unfinished, %d skipped; p50 %s, p99 %s, slowest %s\n",
		n.Attempts, n.OK, n.Failed, n.Refused, n.Unfinished, n.Skipped, n.P50, n.P99, n.Slowest)
	writeErrors(&b, n.Errors)
	h := r.Held
	fmt.Fprintf(&b, "held   %d connections: %d queries, %d broken, %d unfinished, %d failed to reconnect; longest stall %s\n",
		h.Connections, h.Queries, h.Broken, h.Unfinished, h.FailedReconnects, h.LongestStall)
	writeErrors(&b, h.Errors)
	return b.String()
}

func writeErrors(b *strings.Builder, errs map[string]int) {
	for _, text := range slices.Sorted(maps.Keys(errs)) {
		fmt.Fprintf(b, "       %6d x %s\n", errs[text], text)
	}
}
