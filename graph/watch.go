package graph

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/ops/fault"
	"weir/queries"
)

// Incidents tells what happens to incidents; Watch is one.
type Incidents interface {
	// Changes are all from now on, until ctx ends: then, or after a Lost, the channel is closed.
	Changes(ctx context.Context) (<-chan Change, error)
}

// Change is one transition, or an acknowledgement.
type Change struct {
	Incident queries.Incident
	Event    *queries.IncidentEvent // nil: somebody acknowledged it
	Lost     error                  // the last one: the reader was too slow, and some would be missing
}

const (
	watchEvery = time.Second
	watchLimit = 5 * time.Second
	watchNewer = 50  // incidents looked at besides the open ones: what was resolved is among the newest, or was open before
	backlog    = 256 // changes that wait for one slow reader
)

// Watch reads what the monitor writes: it is another process, and PostgreSQL's NOTIFY does not pass
// a pooler. While PostgreSQL is away nothing is told; what happened meanwhile is, once it is back.
type Watch struct {
	db queries.DBTX
	q  *queries.Queries

	mu      sync.Mutex
	known   map[string]seen // nil before the first look, whose findings are the past
	readers map[chan Change]bool
}

// seen is how far an incident was told.
type seen struct {
	seq          int64
	acknowledged bool
	open         bool
}

var errStopping = fault.Errorf(fault.Unavailable, "The server is stopping. Subscribe again in a moment.")

// NewWatch reads Weir's tables; Run makes it do so.
func NewWatch(db queries.DBTX) *Watch {
	return &Watch{db: db, q: queries.New(), readers: map[chan Change]bool{}}
}

// Run looks every second until ctx ends, and then ends all readers.
func (w *Watch) Run(ctx context.Context) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	defer w.end()
	for {
		_ = w.Look(ctx) // what it missed it finds the next time
		if !wait(ctx, tick.C) {
			return
		}
	}
}

func (w *Watch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for r := range w.readers {
		close(r)
	}
	w.readers = nil
}

// Changes implements Incidents.
func (w *Watch) Changes(ctx context.Context) (<-chan Change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readers == nil {
		return nil, errStopping
	}
	r := make(chan Change, backlog+1) // one more, for Lost
	w.readers[r] = true
	context.AfterFunc(ctx, func() { w.leave(r) })
	return r, nil
}

func (w *Watch) leave(r chan Change) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.readers[r] {
		delete(w.readers, r)
		close(r)
	}
}

// Look reads once, and tells what is new.
func (w *Watch) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchLimit)
	defer cancel()
	rows, err := w.rows(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	known := w.known
	w.mu.Unlock()
	var changed []string
	for _, i := range rows {
		if was, ok := known[i.ID]; known != nil && (!ok || was.seq < i.Seq) {
			changed = append(changed, i.ID)
		}
	}
	var events []queries.IncidentEvent
	if len(changed) > 0 {
		if events, err = w.q.IncidentEventListByIncident(ctx, w.db, changed); err != nil {
			return err
		}
	}
	w.tell(rows, events)
	return nil
}

// rows are the open incidents, the newest ones, and those that were open when last seen.
func (w *Watch) rows(ctx context.Context) ([]queries.Incident, error) {
	rows, err := w.q.IncidentListOpen(ctx, w.db)
	if err != nil {
		return nil, err
	}
	newest, err := w.q.IncidentPageForward(ctx, w.db, queries.IncidentPageForwardParams{Size: watchNewer})
	if err != nil {
		return nil, err
	}
	have := map[string]bool{}
	for _, i := range rows {
		have[i.ID] = true
	}
	for _, i := range newest {
		if !have[i.ID] {
			have[i.ID] = true
			rows = append(rows, i)
		}
	}
	for _, id := range w.wereOpen(have) {
		i, err := w.q.IncidentGet(ctx, w.db, id)
		switch {
		case errors.Is(err, pgx.ErrNoRows): // PostgreSQL is another than it was: made anew, or from a backup
			w.forget(id)
			continue
		case err != nil:
			return nil, err
		}
		rows = append(rows, i)
	}
	return rows, nil
}

func (w *Watch) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.known, id)
}

func (w *Watch) wereOpen(have map[string]bool) (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, was := range w.known {
		if was.open && !have[id] {
			ids = append(ids, id)
		}
	}
	return ids
}

// tell gives every reader what is new since the last look, in the order in which it happened.
func (w *Watch) tell(rows []queries.Incident, events []queries.IncidentEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	first := w.known == nil
	if first {
		w.known = make(map[string]seen, len(rows))
	}
	var news []Change
	for _, i := range rows {
		was := w.known[i.ID]
		now := seen{was.seq, i.AcknowledgedAt != nil, i.ResolvedAt == nil}
		for _, e := range events {
			if e.IncidentID == i.ID && e.Seq > was.seq {
				news = append(news, Change{Incident: i, Event: &e})
				now.seq = max(now.seq, e.Seq)
			}
		}
		if now.acknowledged && !was.acknowledged {
			news = append(news, Change{Incident: i})
		}
		if first {
			now.seq = i.Seq
		}
		w.known[i.ID] = now // stays when it is over: it may come back
	}
	if first {
		return
	}
	slices.SortStableFunc(news, func(a, b Change) int { return a.at().Compare(b.at()) })
	for _, c := range news {
		w.send(c)
	}
}

func (c Change) at() time.Time {
	if c.Event != nil {
		return c.Event.At
	}
	return *c.Incident.AcknowledgedAt
}

// send waits for nobody: who has fallen behind is told so, and has to look anew.
func (w *Watch) send(c Change) {
	for r := range w.readers {
		if len(r) < backlog {
			r <- c
			continue
		}
		r <- Change{Lost: fault.Errorf(fault.Unavailable, "You read too slowly, and some changes would be missing. Look at the incidents and subscribe again.")}
		delete(w.readers, r)
		close(r)
	}
}

// Readers is how many read.
func (w *Watch) Readers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.readers)
}
