package runbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// resumeLimit is what one overdue pooler gets in one round; the next round tries again.
	resumeLimit = 3 * time.Second
	// strayGrace is how long a pause without a record may last before it is reported: its record may
	// be on the way.
	strayGrace = 10 * time.Second
)

// memory is what ExpirePauses keeps from round to round.
type memory struct {
	sync.Mutex
	known  []Paused // as last read: pauses end in time while PostgreSQL is away
	read   bool     // at least once
	strays map[Paused]time.Time
}

// Expired is what one round of ExpirePauses found.
type Expired struct {
	Ended  []Paused // overdue, and resumed
	Strays []Stray  // paused by somebody who left no record. They are left alone: nobody knows what depends on them
}

// Stray is a pause without a record.
type Stray struct {
	Pooler   string
	Database string // "*" is the whole pooler
	Since    time.Time
}

// ExpirePauses resumes every pooler whose pause is overdue at now. The monitor calls it every
// second; several may call it at once, and repeating it does no harm. Without PostgreSQL it goes by
// the records it read last. The error names what could not be read or resumed, and is tried again.
func (r *Runbook) ExpirePauses(ctx context.Context, now time.Time) (Expired, error) {
	m := &r.pauses
	m.Lock()
	defer m.Unlock()
	err := r.readPauses(ctx, m)
	var out Expired
	var overdue []Paused
	for _, p := range m.known {
		if !p.Expires.After(now) {
			overdue = append(overdue, p)
		}
	}
	ended := make([]bool, len(overdue))
	errs := each(indexes(overdue), func(i int) (err error) {
		ended[i], err = r.expire(ctx, overdue[i], now)
		return err
	})
	for i, p := range overdue {
		if errs[i] != nil {
			continue
		}
		m.known = slices.DeleteFunc(m.known, func(k Paused) bool { return k == p })
		if ended[i] {
			out.Ended = append(out.Ended, p)
		}
	}
	if m.read {
		out.Strays = r.strays(m, overdue, now)
	}
	return out, errors.Join(append(errs, err)...)
}

func (r *Runbook) readPauses(ctx context.Context, m *memory) error {
	ctx, cancel := context.WithTimeout(ctx, journalLimit)
	defer cancel()
	list, err := r.Pauses.List(ctx)
	if err != nil {
		return fmt.Errorf("read pauses: %w", err)
	}
	m.known, m.read = list, true
	return nil
}

// expire ends one overdue pause and says so in the audit. When it cannot be removed from the
// records, the next round finds nothing paused, has the pooler reload, and removes it.
func (r *Runbook) expire(ctx context.Context, p Paused, now time.Time) (ended bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, resumeLimit)
	defer cancel()
	if pooler := r.Poolers[p.Pooler]; pooler != nil { // else it has left the inventory
		if ended, err = endPause(ctx, pooler, p.Database); err != nil {
			return false, fmt.Errorf("end the overdue %s: %w", p, err)
		}
	}
	if ended {
		o := Order{Verb: Resume, Host: p.Pooler, Database: p.Database}
		e := r.begin(Actor{Kind: System, Name: "monitor", Role: Operator}, o)
		defer r.end(e.ID)
		r.close(ctx, e, Outcome{Result: OK, Detail: []string{p.ended(now)}})
	}
	_ = r.Pauses.Forget(ctx, p)
	return ended, nil
}

// strays finds pauses that nobody recorded, by the newest snapshot.
func (r *Runbook) strays(m *memory, overdue []Paused, now time.Time) []Stray {
	s, _ := r.Fleet.Now()
	seen := map[Paused]time.Time{}
	var out []Stray
	for i := range s.Poolers {
		p := &s.Poolers[i]
		if !p.View.Known() {
			continue
		}
		for _, database := range p.View.Value.Paused() {
			key := Paused{Pooler: p.Name, Database: database}
			if recorded(m.known, key) || recorded(overdue, key) {
				continue
			}
			since, before := m.strays[key]
			if !before {
				since = p.View.Seen
			}
			seen[key] = since
			if now.Sub(since) > strayGrace {
				out = append(out, Stray{p.Name, database, since})
			}
		}
	}
	m.strays = seen
	return out
}

func recorded(list []Paused, key Paused) bool {
	return slices.ContainsFunc(list, func(p Paused) bool {
		return p.Pooler == key.Pooler && orAll(p.Database, "*") == key.Database
	})
}

// String is the stray in words.
func (s Stray) String() string {
	return fmt.Sprintf("%s (%s) paused since %s, and nobody left a record of it: resume it if nobody is at work", s.Pooler, s.Database, s.Since.Format(time.TimeOnly))
}
