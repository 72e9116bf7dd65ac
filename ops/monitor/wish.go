package main

import (
	"context"
	"log/slog"
	"reflect"
	"sync/atomic"
	"time"

	"weir/ops/incident"
	"weir/queries"
)

const (
	wishEvery = 3 * time.Second
	wishLimit = 2 * time.Second
)

// wishes are the silences and acknowledgements that people gave. While PostgreSQL is away, and
// after a restart, they are those that were read last.
type wishes struct {
	path string
	db   queries.DBTX
	log  *slog.Logger
	last atomic.Pointer[incident.Wishes]

	unsaved error // why they are not on disk; nil: they are

	// test sends a test message that somebody asked for; tested are those that were given to it.
	test   func(id, channel string, at time.Time)
	tested map[string]bool
}

func (w *wishes) open() error {
	var last incident.Wishes
	if err := load(w.path, &last); err != nil {
		return err
	}
	w.last.Store(&last)
	return nil
}

func (w *wishes) now() incident.Wishes { return *w.last.Load() }

// run reads them again and again until ctx ends, once the tables are there.
func (w *wishes) run(ctx context.Context, ready <-chan struct{}) {
	select {
	case <-ready:
	case <-ctx.Done():
		return
	}
	for again := true; again; again = pause(ctx, wishEvery) {
		w.read(ctx) // failing, it keeps those of before; that PostgreSQL is away is said by others
	}
}

func (w *wishes) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, wishLimit)
	defer cancel()
	// What fell into a silence that is over since may still be looked at.
	silences, err := query.SilenceListSince(ctx, w.db, time.Now().Add(-incident.DefaultPolicy().Late))
	if err != nil {
		return err
	}
	open, err := query.IncidentListOpen(ctx, w.db)
	if err != nil {
		return err
	}
	if err := w.tests(ctx); err != nil {
		return err
	}
	next := asWishes(silences, open)
	if w.unsaved == nil && reflect.DeepEqual(next, w.now()) {
		return nil
	}
	w.last.Store(&next)
	if w.unsaved = save(w.path, next); w.unsaved != nil {
		w.log.Error("silences and acknowledgements are not on disk", "error", w.unsaved)
	}
	return w.unsaved
}

func asWishes(silences []queries.Silence, open []queries.Incident) incident.Wishes {
	var w incident.Wishes
	for _, s := range silences {
		until := s.EndsAt
		if s.EndedAt != nil {
			until = *s.EndedAt
		}
		w.Silences = append(w.Silences, incident.Silence{Cause: s.Cause, Subject: s.Subject, From: s.StartsAt.UTC(), Until: until.UTC()})
	}
	for _, i := range open {
		if i.AcknowledgedAt == nil {
			continue
		}
		if w.Acknowledged == nil {
			w.Acknowledged = map[string]bool{}
		}
		w.Acknowledged[i.ID] = true
	}
	return w
}

// testWait is for how long somebody waits for a test message.
const testWait = 5 * time.Minute

// tests gives the test messages that people asked for to whoever sends them, each once: the outbox
// and the row know what became of it before long.
func (w *wishes) tests(ctx context.Context) error {
	asked, err := query.NotificationTestList(ctx, w.db, time.Now().Add(-testWait))
	if err != nil {
		return err
	}
	for _, t := range asked {
		if w.tested[t.ID] {
			continue
		}
		w.test(t.ID, t.Channel, t.CreatedAt)
		if w.tested == nil {
			w.tested = map[string]bool{}
		}
		w.tested[t.ID] = true
	}
	return nil
}
