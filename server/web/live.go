package web

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
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
}

func newLive(f Fleet, inv *inventory.Inventory) *live {
	l := &live{fleet: f, inv: inv, rules: incident.DefaultRules(func() string { return uuid.Must(uuid.NewV7()).String() })}
	s, _ := f.Now()
	l.draw(s, time.Now(), nil)
	return l
}

// run draws until ctx ends.
func (l *live) run(ctx context.Context) {
	var said []string
	drawn := time.Now()
	for ctx.Err() == nil {
		s, changed := l.fleet.Now()
		now := time.Now()
		said = append(said, l.judge(s, now)...)
		l.trends.keep(s, now)
		if wait := now.Sub(drawn); wait >= frameEvery || len(said) > 0 && wait >= frameLeast {
			l.draw(s, now, said)
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
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// judge takes the book one look further, and says what changed.
func (l *live) judge(s *fleet.Snapshot, now time.Time) (said []string) {
	book, changes := l.rules.Advance(l.book, incident.Holder(s), incident.Findings(s, l.inv, now), now)
	l.book = book
	for _, c := range changes {
		said = append(said, c.Text)
	}
	return said
}

func (l *live) draw(s *fleet.Snapshot, now time.Time, said []string) {
	f := &frame{at: now, snapshot: s, findings: lasting(incident.Findings(s, l.inv, now)), said: said, next: make(chan struct{})}
	for _, i := range l.book.Incidents() {
		if i.Open() {
			f.open = append(f.open, i)
		}
	}
	if before := l.now.Swap(f); before != nil {
		before.later.Store(f)
		close(before.next)
	}
}

// lasting leaves out what was over before anybody looked: pages show what is, and the changes what was.
func lasting(found []incident.Finding) []incident.Finding {
	return slices.DeleteFunc(found, func(f incident.Finding) bool { return !f.Moment.IsZero() })
}

// trends are the numbers of the last 15 minutes, from memory.
type trends struct {
	mu     sync.Mutex
	last   time.Time
	series map[trend]ui.Series
}

// trend names one of them; host is "" where there is one only.
type trend struct{ metric, host string }

const (
	passageTrend     = "passage"
	sessionsTrend    = "sessions"
	clientsTrend     = "clients"
	waitingTrend     = "waiting"
	serversTrend     = "servers"
	xactsTrend       = "xacts"
	connectionsTrend = "connections"
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

// of is a series, as it is now; what was before the start of this program is a gap.
func (t *trends) of(metric, host string) ui.Series {
	t.mu.Lock()
	defer t.mu.Unlock()
	have := t.series[trend{metric, host}]
	out := make(ui.Series, trendPoints)
	for i := range out {
		out[i] = math.NaN()
	}
	copy(out[trendPoints-len(have):], have)
	return out
}

func (t *trends) hosts(metric string, of []string) map[string]ui.Series {
	out := make(map[string]ui.Series, len(of))
	for _, host := range of {
		out[host] = t.of(metric, host)
	}
	return out
}
