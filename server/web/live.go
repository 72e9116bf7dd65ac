package web

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/runbook"
	"weir/views/metric"
	"weir/views/ui"
)

// Fleet is the live state; fleet.Hub is one.
type Fleet interface {
	Now() (*fleet.Snapshot, <-chan struct{})
	Next(ctx context.Context, version uint64) (*fleet.Snapshot, error)
}

const (
	frameEvery = time.Second            // pages are drawn anew at most so often, unless something changed
	frameLeast = 150 * time.Millisecond // and at most so often if it did
	trendEvery = 10 * time.Second
	trendSpan  = 15 * time.Minute
)

// frame is what all pages of one moment are drawn from. It is never changed.
type frame struct {
	at       time.Time
	snapshot *fleet.Snapshot
	findings []incident.Finding
	open     []incident.Incident
	said     []string // what changed with it, for those who cannot see the page
	later    atomic.Pointer[frame]
	next     chan struct{} // closed when there is a later one
	kept     sync.Map      // what was made of it already: pages and streams that are alike share it
}

// once is something that is made once for a frame.
type once[T any] struct {
	sync.Once
	value T
	err   error
}

// shared makes something of a frame, or takes what another page has made of it. The key says all that
// it depends on besides the frame.
func shared[T any](f *frame, key string, make func() (T, error)) (T, error) {
	slot, _ := f.kept.LoadOrStore(key, &once[T]{})
	o := slot.(*once[T])
	o.Do(func() { o.value, o.err = make() })
	return o.value, o.err
}

// live draws one frame after the other. It judges the chain by the rules of the monitor, in memory:
// so pages know since when what is wrong also while the database that keeps incidents is away.
type live struct {
	fleet  Fleet
	inv    *inventory.Inventory
	rules  incident.Rules
	book   incident.Book
	trends trends
	now    atomic.Pointer[frame]
	wanted atomic.Uint64 // the version of the snapshot that somebody waits to see drawn
	hurry  chan struct{} // holds a token when wanted has grown

	// seen are the incidents of the book by id, the last seenMost of them: links to them stay good when they
	// are over. The monitor's rows have ids of their own.
	mu    sync.Mutex
	seen  map[string]incident.Incident
	order []string

	began  time.Time            // this program
	before map[string]time.Time // since when causes have been open by the monitor's rows, read soon after the start
}

// learnt is how long after its start a console takes what it finds open for older than itself.
const learnt = 30 * time.Second

// learn takes from the monitor since when what is open has been so: the book knows no time before its own.
func (l *live) learn(opened map[string]time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.before = opened
}

// older is an incident of the book that was open before the book, since then.
func (l *live) older(i incident.Incident) incident.Incident {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at, known := l.before[i.Cause]; known && at.Before(i.OpenedAt) && i.OpenedAt.Sub(l.began) < learnt {
		i.OpenedAt = at
		if i.Flaps == 0 {
			i.Since = at
		}
	}
	return i
}

const seenMost = 500

func (l *live) remember(i incident.Incident) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.seen[i.ID]; known || i.ID == "" {
		return
	}
	if l.seen == nil {
		l.seen = map[string]incident.Incident{}
	}
	if l.order = append(l.order, i.ID); len(l.order) > seenMost {
		delete(l.seen, l.order[0])
		l.order = l.order[1:]
	}
	l.seen[i.ID] = i
}

// of is the incident that had this id in the book.
func (l *live) of(id string) (incident.Incident, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, known := l.seen[id]
	return i, known
}

func newLive(f Fleet, inv *inventory.Inventory) *live {
	l := &live{fleet: f, inv: inv, hurry: make(chan struct{}, 1), rules: incident.DefaultRules(func() string { return uuid.Must(uuid.NewV7()).String() })}
	s, _ := f.Now()
	now := time.Now()
	l.began = now
	l.draw(s, now, incident.Findings(s, inv, now), nil)
	return l
}

// run draws until ctx ends.
func (l *live) run(ctx context.Context) {
	var said []string
	drawn := time.Now()
	for ctx.Err() == nil {
		s, changed := l.fleet.Now()
		now := time.Now()
		found, changes := l.judge(s, now)
		said = append(said, changes...)
		l.trends.keep(s, now)
		soon := len(said) > 0 || l.now.Load().snapshot.Version < l.wanted.Load()
		if wait := now.Sub(drawn); wait >= frameEvery || soon && wait >= frameLeast {
			l.draw(s, now, found, said)
			drawn, said = now, nil
		}
		timer := time.NewTimer(frameLeast)
		select {
		case <-timer.C: // not sooner, however fast readings come
		case <-ctx.Done():
		}
		timer.Reset(frameEvery)
		select {
		case <-changed:
		case <-l.hurry:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// settleLimit is how long whoever gave an order waits to see it: a part that does not answer is not waited for.
const settleLimit = 1500 * time.Millisecond

// settle waits until a frame is drawn in which every part was asked after a moment, or for settleLimit; after the
// zero moment each was, and that is the next frame. The polls are not hurried: one meets what was ordered within
// their interval, and what is news wakes the others.
func (l *live) settle(ctx context.Context, since time.Time) {
	ctx, cancel := context.WithTimeout(ctx, settleLimit)
	defer cancel()
	s, changed := l.fleet.Now()
	for !runbook.AskedSince(s, since) {
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		s, changed = l.fleet.Now()
	}
	for {
		if is := l.wanted.Load(); is >= s.Version || l.wanted.CompareAndSwap(is, s.Version) {
			break
		}
	}
	select {
	case l.hurry <- struct{}{}:
	default: // it hurries already
	}
	for f := l.now.Load(); f.snapshot.Version < s.Version; f = l.now.Load() {
		select {
		case <-f.next:
		case <-ctx.Done():
			return
		}
	}
}

// judge takes the book one look further; said is what changed.
func (l *live) judge(s *fleet.Snapshot, now time.Time) (found []incident.Finding, said []string) {
	found = incident.Findings(s, l.inv, now)
	book, changes := l.rules.Advance(l.book, incident.Holder(s), found, now)
	l.book = book
	for _, c := range changes {
		said = append(said, c.Text)
		l.remember(c.Incident)
	}
	return found, said
}

func (l *live) draw(s *fleet.Snapshot, now time.Time, found []incident.Finding, said []string) {
	f := &frame{at: now, snapshot: s, findings: lasting(found), said: said, next: make(chan struct{})}
	for _, i := range l.book.Incidents() {
		if i.Open() {
			f.open = append(f.open, l.older(i))
		}
	}
	if before := l.now.Swap(f); before != nil {
		before.later.Store(f)
		close(before.next)
	}
}

// lasting leaves out what was over before anybody looked: pages show what is, and the changes what was.
func lasting(found []incident.Finding) []incident.Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f incident.Finding) bool { return !f.Moment.IsZero() })
}

// trends are the numbers of the last 15 minutes, from memory.
type trends struct {
	mu     sync.Mutex
	last   time.Time
	series map[trend]ui.Series

	asked   time.Time                   // when samples were asked for last
	sampled map[trend]map[int64]float64 // by slot; nil: they were not read yet
}

// trend names one of them; host is "" where there is one only.
type trend struct{ metric, host string }

const (
	passageTrend     = "passage"
	sessionsTrend    = "sessions"
	newTrend         = "new sessions"
	clientsTrend     = "clients"
	waitingTrend     = "waiting"
	serversTrend     = "servers"
	xactsTrend       = "xacts"
	connectionsTrend = "connections"
	serverXactsTrend = "server xacts"
	longestTrend     = "longest xact"
	blockedTrend     = "blocked"
)

// keep takes one point of each, every 10 s. What is not known now is a gap.
func (t *trends) keep(s *fleet.Snapshot, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) < trendEvery {
		return
	}
	t.last = now
	if t.series == nil {
		t.series = map[trend]ui.Series{}
	}
	t.add(passageTrend, "", s.VIP.Through.Value.Elapsed.Seconds(), s.VIP.Through.OK())
	for _, n := range s.Nodes {
		front, ok := n.Stats.Value.Find("postgres", "FRONTEND")
		t.add(sessionsTrend, n.Name, float64(front.Sessions), ok && n.Stats.OK())
		t.add(newTrend, n.Name, n.Rates.Sessions, n.Stats.OK())
	}
	for _, p := range s.Poolers {
		active, waiting, _ := p.View.Value.Clients()
		_, servers := p.View.Value.Servers()
		t.add(clientsTrend, p.Name, float64(active+waiting), p.View.OK())
		t.add(waitingTrend, p.Name, float64(waiting), p.View.OK())
		t.add(serversTrend, p.Name, float64(servers), p.View.OK())
		t.add(xactsTrend, p.Name, p.Rates.Xacts, p.View.OK() && p.Rates.Over > 0)
	}
	probe, ok := s.Postgres.Probe.Value, s.Postgres.Probe.OK()
	t.add(connectionsTrend, "", float64(probe.Connections), ok)
	t.add(serverXactsTrend, "", s.Postgres.Rates.Xacts, ok && s.Postgres.Rates.Over > 0)
	t.add(longestTrend, "", probe.LongestXact.Seconds(), ok)
	t.add(blockedTrend, "", float64(probe.Blocked), ok)
}

const trendPoints = int(trendSpan / trendEvery)

func (t *trends) add(metric, host string, value float64, known bool) {
	if !known {
		value = math.NaN()
	}
	of := trend{metric, host}
	list := append(t.series[of], value)
	t.series[of] = list[max(0, len(list)-trendPoints):]
}

// of is a series, as it is now. What was before the start of this program comes from the monitor's samples,
// once they are read; else it is a gap.
func (t *trends) of(metric, host string) ui.Series {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, sampled := t.series[trend{metric, host}], t.sampled[trend{metric, host}]
	out := make(ui.Series, trendPoints)
	for i := range out {
		out[i] = math.NaN()
		if v, ok := sampled[slot(t.last.Add(-time.Duration(trendPoints-1-i)*trendEvery))]; ok {
			out[i] = v
		}
	}
	copy(out[trendPoints-len(have):], have)
	return out
}

// slot is the stretch of trendEvery that a moment lies in.
func slot(at time.Time) int64 { return at.UnixNano() / int64(trendEvery) }

// samples are the metrics of the monitor that are the same as a trend.
var samples = map[metric.Metric]string{metric.Passage: passageTrend, metric.Sessions: sessionsTrend, metric.SessionRate: newTrend, metric.Clients: clientsTrend,
	metric.Waiting: waitingTrend, metric.Servers: serversTrend, metric.XactRate: xactsTrend, metric.Connections: connectionsTrend, metric.LongestXact: longestTrend, metric.Blocked: blockedTrend}

// alone are trends that have no host, whatever their samples are of.
var alone = []string{passageTrend, connectionsTrend, longestTrend, blockedTrend}

// take keeps what was sampled before this program began.
func (t *trends) take(of metricSeries) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sampled = map[trend]map[int64]float64{}
	for m, list := range of {
		for _, s := range list {
			key := trend{samples[m], s.Subject}
			if slices.Contains(alone, key.metric) {
				key.host = ""
			}
			t.sampled[key] = map[int64]float64{}
			for _, p := range s.Points {
				t.sampled[key][slot(p.At)] = p.Mean
			}
		}
	}
}

const fillAgain = 5 * time.Second

// trends are the numbers of the last 15 minutes. The first who looks has the samples read, and since when what
// is open has been so: without them a console that has just started would show empty lines for as long, and every
// fault as new. Nobody waits for them.
func (w *Web) trends(a *asked) *trends {
	t := &w.live.trends
	if a.stream || !t.wants(time.Now()) {
		return t
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(a.Context()), fillAgain)
		defer cancel()
		rows, err := w.openRows(a)
		if err != nil {
			return
		}
		opened := make(map[string]time.Time, len(rows))
		for cause, i := range rows {
			opened[cause] = i.OpenedAt
		}
		w.live.learn(opened)
		now := time.Now()
		series, err := w.series(ctx, slices.Collect(maps.Keys(samples)), metric.Range{From: now.Add(-trendSpan), To: now})
		if err == nil {
			t.take(series)
		}
	}()
	return t
}

// wants reports whether samples are to be read now: once, and again while they cannot be.
func (t *trends) wants(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.sampled != nil || now.Sub(t.asked) < fillAgain {
		return false
	}
	t.asked = now
	return true
}

func (t *trends) hosts(metric string, of []string) map[string]ui.Series {
	out := make(map[string]ui.Series, len(of))
	for _, host := range of {
		out[host] = t.of(metric, host)
	}
	return out
}
