package runbook

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/ops/fault"
	"weir/ops/word"
)

// pauseWait is how long a PAUSE may wait for transactions to end. All clients wait meanwhile.
const pauseWait = 5 * time.Second

// Paused is one pause of one pooler, and when it ends even if nobody ends it.
type Paused struct {
	Pooler   string
	Database string // "" is all of them; the two kinds are apart: each needs its own RESUME
	By       string
	Reason   string
	At       time.Time // UTC, whole microseconds; with Pooler and Database it names this pause
	Expires  time.Time
}

// Pauses keeps pauses where the monitor finds them. It is asked while pools are paused, so it must
// not go through them: it connects to PostgreSQL directly.
type Pauses interface {
	// Save keeps all of them or none, each in place of an older one of the same pooler and database.
	Save(ctx context.Context, pauses []Paused) error
	// Forget removes one. One that was replaced, or is not there, is no error.
	Forget(ctx context.Context, p Paused) error
	List(ctx context.Context) ([]Paused, error)
}

// Paused lists the pauses that were ordered and are not over, with who, why and until when. Without PostgreSQL
// it is what was read or ordered last; the error is that nothing is known.
func (r *Runbook) Paused(ctx context.Context) ([]Paused, error) {
	m := &r.pauses
	m.Lock()
	defer m.Unlock()
	err := r.readPauses(ctx, m)
	if err != nil && !m.read {
		return nil, fault.Wrap(fault.Unavailable, err, "Who paused what cannot be read: PostgreSQL keeps it and does not answer.")
	}
	return slices.Clone(m.known), nil
}

// remember keeps what was just ordered: the next to ask may find PostgreSQL away, which is what many are paused for.
func (m *memory) remember(ordered []Paused) {
	m.Lock()
	defer m.Unlock()
	kept := slices.DeleteFunc(slices.Clone(m.known), func(k Paused) bool {
		return slices.ContainsFunc(ordered, func(o Paused) bool { return o.Pooler == k.Pooler && o.Database == k.Database })
	})
	m.known, m.read = append(kept, ordered...), true
}

func pauseOf(o Order) time.Duration {
	if o.For == 0 {
		return DefaultPause
	}
	return o.For
}

// pause saves the expiry first: from then on the monitor ends the pause, whatever becomes of this
// process. Pools of which no end could be saved are not paused.
func pause(ctx context.Context, r *Runbook, d *deed) error {
	at := time.Now().UTC().Truncate(time.Microsecond)
	d.expires = at.Add(pauseOf(d.Order)) // the wait for transactions counts: clients wait as well
	var records []Paused
	var p plan
	for _, name := range poolersOf(r.Inventory, d.Order) {
		pooler, record := r.Poolers[name], Paused{Pooler: name, Database: d.Database, By: d.actor.Name, Reason: d.Reason, At: at, Expires: d.expires}
		records = append(records, record)
		p.steps = append(p.steps, step{
			host: name,
			do:   func(ctx context.Context) error { return beginPause(ctx, pooler, d.Database, d.expires) },
			undo: func(ctx context.Context) error {
				if _, err := endPause(ctx, pooler, d.Database); err != nil {
					return err
				}
				_ = r.Pauses.Forget(ctx, record) // one that stays ends nothing, and then goes
				return nil
			},
		})
	}
	if err := r.Pauses.Save(ctx, records); err != nil {
		return fault.Wrap(fault.Unavailable, err, "Nothing was paused: the end of the pause could not be saved, and a pause that nobody ends is an outage.")
	}
	r.pauses.remember(records)
	if err := r.carryOut(ctx, d, p); err != nil {
		d.expires = time.Time{}
		return err
	}
	return nil
}

func beginPause(ctx context.Context, p Pooler, database string, expires time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, min(pauseWait, time.Until(expires)))
	defer cancel()
	if err := p.Pause(ctx, database); err != nil {
		return err
	}
	is, err := isPaused(ctx, p, database)
	if err == nil && !is {
		err = errors.New("it is not paused after the order")
	}
	return err
}

// resume ends every pause of the poolers it is for, whoever gave it, and never stops half-way.
func resume(ctx context.Context, r *Runbook, d *deed) error {
	var p plan
	for _, name := range poolersOf(r.Inventory, d.Order) {
		p.steps = append(p.steps, step{host: name, do: func(ctx context.Context) error {
			return endPauses(ctx, r.Poolers[name], d.Database)
		}})
	}
	err := r.carryOut(ctx, d, p)
	if err == nil {
		r.forget(ctx, d)
	}
	return err
}

// forget removes the records of what was resumed. What cannot be removed now ends by its expiry:
// the monitor finds nothing paused, has the pooler reload, and removes it.
func (r *Runbook) forget(ctx context.Context, d *deed) {
	ctx, cancel := context.WithTimeout(ctx, journalLimit)
	defer cancel()
	records, err := r.Pauses.List(ctx)
	for _, p := range records {
		concerned := slices.Contains(poolersOf(r.Inventory, d.Order), p.Pooler) && (d.Database == "" || d.Database == p.Database)
		if concerned && !p.At.After(d.at) {
			err = errors.Join(err, r.Pauses.Forget(ctx, p))
		}
	}
	if err != nil {
		d.say("the records of the pauses stay until they expire: " + word.Because(err))
	}
}

// endPauses ends the pause of one database, or with "" the pooler's own and that of each database.
func endPauses(ctx context.Context, p Pooler, database string) error {
	if database != "" {
		if whole, err := isPaused(ctx, p, ""); err != nil || whole {
			return errors.Join(err, resumeWhole(whole))
		}
		_, err := endPause(ctx, p, database)
		return err
	}
	if _, err := endPause(ctx, p, ""); err != nil {
		return err
	}
	databases, err := p.Databases(ctx)
	for _, db := range databases {
		if db.Paused {
			_, ended := endPause(ctx, p, db.Name)
			err = errors.Join(err, ended)
		}
	}
	return err
}

func resumeWhole(paused bool) error {
	if !paused {
		return nil
	}
	return fault.Errorf(fault.Conflict, "the pooler is paused as a whole: resume every database")
}

// endPause ends one pause and makes sure of it. That nothing was paused is no error; but who gave the
// order may have died before PAUSE, with the pools at the size at which they do not grow. Resume takes
// that back, and where there is nothing to resume a reload does.
func endPause(ctx context.Context, p Pooler, database string) (ended bool, err error) {
	is, err := isPaused(ctx, p, database)
	if err != nil {
		return false, err
	}
	if !is {
		return false, p.Reload(ctx)
	}
	ordered := p.Resume(ctx, database) // an error when somebody else was quicker
	is, err = isPaused(ctx, p, database)
	if err == nil && is {
		err = errors.Join(errors.New("it is paused still"), ordered)
	}
	return err == nil, err
}

// isPaused asks the pooler itself. A pause of the whole and one of a database are two things.
func isPaused(ctx context.Context, p Pooler, database string) (bool, error) {
	if database == "" {
		s, err := p.State(ctx)
		return s.Paused, err
	}
	databases, err := p.Databases(ctx)
	for _, db := range databases {
		if db.Name == database {
			return db.Paused, err
		}
	}
	return false, err
}

// reconnect and reload cannot be undone; the pre-flight has seen every pooler answer.
func reconnect(ctx context.Context, r *Runbook, d *deed) error {
	return r.onPoolers(ctx, d, func(ctx context.Context, p Pooler) error { return p.Reconnect(ctx, d.Database) })
}

func reload(ctx context.Context, r *Runbook, d *deed) error {
	return r.onPoolers(ctx, d, func(ctx context.Context, p Pooler) error { return p.Reload(ctx) })
}

func (r *Runbook) onPoolers(ctx context.Context, d *deed, order func(context.Context, Pooler) error) error {
	var p plan
	for _, name := range poolersOf(r.Inventory, d.Order) {
		p.steps = append(p.steps, step{host: name, do: func(ctx context.Context) error { return order(ctx, r.Poolers[name]) }})
	}
	return r.carryOut(ctx, d, p)
}

// ended says how a pause ended by itself: in its time, or late because the monitor or the pooler was away.
func (p Paused) ended(now time.Time) string {
	how := "it ended by itself when its time was over"
	if late := now.Sub(p.Expires); late >= endedLate {
		how = "it ended by itself, " + span(late) + " late"
	}
	return p.String() + ": " + how
}

// endedLate is from when on the end of a pause is late: the monitor looks every second, and a round may take some.
const endedLate = 5 * time.Second

func (p Paused) String() string {
	return fmt.Sprintf("pause of %s%s by %s at %s", p.Pooler, inDatabase(p.Database), p.By, p.At.Format(time.DateTime))
}
