package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/inventory"
)

const (
	lookRest  = 50 * time.Millisecond  // between two looks at least: readings that come together are judged together
	lookEvery = 250 * time.Millisecond // at least, for what depends on time alone
	saveEvery = 10 * time.Second       // the clocks of the book, when nothing else changes it
)

// watch turns snapshots into incidents, and incidents into messages and rows.
type watch struct {
	inv    *inventory.Inventory
	hub    *fleet.Hub
	rules  incident.Rules
	policy incident.Policy
	wishes func() incident.Wishes
	put    func(incident.Incident, incident.Decision, time.Time) // keeps a message until it is delivered; the same key twice is one
	flush  func() error                                          // writes the messages that the disk did not take
	keep   func([]incident.Transition) error                     // keeps rows until PostgreSQL has them; twice is once
	answer func()                                                // PostgreSQL answers again
	log    *slog.Logger

	settled  bool      // what is found counts
	until    time.Time // when it counts at the latest
	whole    time.Time // since when nothing was found, while it is not settled
	path     string    // of memory
	memory   memory
	saved    time.Time
	answered bool // PostgreSQL, in the snapshot before
	moaned   time.Time
	unsaved  error // why what it knows is not on disk; nil: it is
	owing    error // why the journal does not take what it is owed
	seen     atomic.Pointer[sight]
}

// sight is what the last look left, for whoever asks.
type sight struct {
	At       time.Time
	Book     incident.Book
	Starting bool  // it looks, and does not judge yet: see isSettled
	Unsaved  error // why its state cannot be written; nil: it can
}

// open reads what the monitor before this one knew: it continues the same incidents.
func (w *watch) open() error {
	if err := load(w.path, &w.memory); err != nil {
		return err
	}
	w.seen.Store(&sight{Book: w.memory.Book})
	// What was open is not forgotten for a moment; and one that was away for a moment only, as when it
	// is updated, does not find a chain that is just starting.
	w.settled = len(w.memory.Book.Incidents()) > 0 || w.lastSaved().After(time.Now().Add(-shortAway))
	return nil
}

// lastSaved is when the monitor before this one wrote down what it knew, which it does every saveEvery.
func (w *watch) lastSaved() time.Time {
	info, err := os.Stat(w.path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// A monitor that starts gives a chain that is starting as well its time, as when a whole site gets
// its power back: that is no outage yet. And one that was blind sees the parts come back one by one.
const (
	startGrace = 15 * time.Second
	shortAway  = 30 * time.Second
	wholeFor   = 3 * time.Second // a HAProxy that has just started takes every pooler for UP until its checks fail
	blindGrace = 5 * time.Second
)

// isSettled reports whether what is found counts: from when the chain was whole, or had its time.
func (w *watch) isSettled(s *fleet.Snapshot, found []incident.Finding, now time.Time) bool {
	// Before every part was asked once it is unsure whether it is blind: that is no blindness to come back from.
	if slices.ContainsFunc(found, func(f incident.Finding) bool { return f.Kind == incident.MonitorBlind && !f.Unsure }) {
		w.settled, w.until = false, now.Add(blindGrace)
		return true
	}
	if w.until.IsZero() {
		w.until = now.Add(startGrace)
	}
	if !w.settled {
		whole := len(found) == 0 && s.VIP.Through.OK() && s.Postgres.Probe.OK() && len(s.Heard()) == len(s.Nodes)
		switch {
		case !whole:
			w.whole = time.Time{}
		case w.whole.IsZero():
			w.whole = now
		}
		w.settled = whole && now.Sub(w.whole) >= wholeFor || !now.Before(w.until)
	}
	return w.settled
}

// run looks at every change until ctx ends, and writes down what it knows.
func (w *watch) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, changed := w.hub.Now()
		w.look(s, time.Now())
		if !pause(ctx, lookRest) {
			break
		}
		due := time.NewTimer(lookEvery - lookRest)
		select {
		case <-changed:
		case <-due.C:
		case <-ctx.Done():
		}
		due.Stop()
	}
	w.save(time.Now())
}

// look judges one snapshot. What was decided is on disk before anything is sent; dying anywhere in
// here, the next monitor decides the same again, and both the outbox and the rows know it.
func (w *watch) look(s *fleet.Snapshot, now time.Time) {
	found := incident.Findings(s, w.inv, now)
	if !w.isSettled(s, found, now) {
		w.seen.Store(&sight{At: now, Book: w.memory.Book, Starting: true, Unsaved: errors.Join(w.unsaved, w.owing)})
		return
	}
	book, changes := w.rules.Advance(w.memory.Book, incident.Holder(s), found, now)
	w.memory.Book = book
	if len(changes) > 0 {
		w.memory.Owed = append(w.memory.Owed, changes...)
		w.save(now)
		for _, c := range changes {
			w.log.Info(c.Text, "incident", c.Incident.ID, "cause", c.Incident.Cause, "change", c.Kind, "severity", c.Incident.Severity)
		}
	}
	w.handOver()
	if w.speak(now) || now.Sub(w.saved) >= saveEvery {
		w.save(now)
	}
	if answers := s.Postgres.Probe.OK(); answers != w.answered {
		w.answered = answers
		if answers {
			w.answer()
		}
	}
	w.seen.Store(&sight{At: now, Book: w.memory.Book, Unsaved: errors.Join(w.unsaved, w.owing)})
}

// handOver gives the transitions to the journal. When it cannot take them they stay owed.
func (w *watch) handOver() {
	if len(w.memory.Owed) == 0 {
		return
	}
	if w.owing = w.keep(w.memory.Owed); w.owing != nil {
		w.complain("transitions are not in the journal yet", w.owing)
		return
	}
	w.memory.Owed = nil
}

// speak hands on what is to be said, and notes it in the book. It reports whether it did.
func (w *watch) speak(now time.Time) (said bool) {
	wishes := w.wishes()
	for _, i := range w.memory.Book.Incidents() {
		d := w.policy.Speak(i, wishes, now)
		if d.Reason == incident.None {
			continue
		}
		w.put(i, d, now)
		w.memory.Book = w.memory.Book.Note(i, d, now)
		said = true
	}
	return said
}

// save writes the memory. A disk that cannot take it is no reason to keep silent: better told twice
// after a restart than not at all. So the book on disk never says more than the outbox there.
func (w *watch) save(now time.Time) {
	w.saved = now
	if w.unsaved = w.flush(); w.unsaved == nil {
		w.unsaved = save(w.path, w.memory)
	}
	if w.unsaved != nil {
		w.log.Error("what the monitor knows is not on disk", "error", w.unsaved)
	}
}

// complain logs what is tried again with every look, and not with every look.
func (w *watch) complain(what string, err error) {
	if time.Since(w.moaned) >= saveEvery {
		w.moaned = time.Now()
		w.log.Error(what, "error", err)
	}
}

// pause waits, and reports whether it was to the end.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
