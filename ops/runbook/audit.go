package runbook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Result of an order.
type Result string

const (
	OK            Result = "ok"
	RefusedResult Result = "refused" // by role or pre-flight: nothing was done
	Failed        Result = "failed"  // Detail says what was undone, and what was not
)

// Entry is one line of the audit.
type Entry struct {
	ID      string    // UUID version 7
	At      time.Time // when the order was admitted, UTC, whole microseconds as PostgreSQL keeps them
	Actor   Actor
	Verb    Verb
	Subject string
	Reason  string
	Result  Result
	Detail  []string
	Took    time.Duration
}

// Journal is the audit where everybody reads it: rows in PostgreSQL.
type Journal interface {
	// Record adds one entry. The same ID again adds nothing and is no error.
	Record(ctx context.Context, e Entry) error
}

// Spool keeps entries on this machine until the Journal has them. An operator is at work just when
// PostgreSQL is away: that must neither stop the work nor lose who did it. Each process has its own.
type Spool interface {
	// Save keeps an entry, in place of one with the same ID. It returns once a power cut would not lose it.
	Save(e Entry) error
	// Remove forgets an entry; one that is not there is no error.
	Remove(id string) error
	// List is every entry, oldest first. With an error it is those that could be read.
	List() ([]Entry, error)
}

// journalLimit is how long an order waits for PostgreSQL to take its entry: behind paused pools it
// would wait for the end of the pause.
const journalLimit = 2 * time.Second

// begin makes the entry of an order. As it stands it says what is true should this process end now.
func (r *Runbook) begin(actor Actor, o Order) Entry {
	e := Entry{ID: r.NewID(), At: time.Now().UTC().Truncate(time.Microsecond), Actor: actor, Verb: o.Verb, Subject: o.Subject(),
		Reason: o.Reason, Result: Failed, Detail: []string{"Weir ended while this was carried out: how it went is unknown"}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.underway[e.ID] = true
	return e
}

func (r *Runbook) end(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underway, id)
	close(r.ended)
	r.ended = make(chan struct{})
}

// close writes down how an order ended: on this machine first, then where everybody reads it.
func (r *Runbook) close(ctx context.Context, e Entry, out Outcome) Outcome {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalLimit)
	defer cancel()
	out.ID, out.Took = e.ID, max(0, time.Since(e.At))
	e.Result, e.Took = out.Result, out.Took
	e.Detail = append(append([]string{}, out.Reasons...), out.Detail...)
	spooled := r.Spool.Save(e)
	if err := r.Journal.Record(ctx, e); err != nil {
		out.AuditPending = true
		if spooled != nil {
			out.Detail = append(out.Detail, "the audit could be written neither to PostgreSQL nor on this machine")
		}
		return out
	}
	// What stays is delivered once more, and the Journal knows it.
	_ = r.Spool.Remove(e.ID)
	return out
}

// DeliverAudit brings entries that PostgreSQL could not take into the Journal, those of a process
// that ended in the middle included. Call it at start and every few seconds. The error is the last
// of those that stay.
func (r *Runbook) DeliverAudit(ctx context.Context) (delivered int, err error) {
	entries, err := r.finished()
	for _, e := range entries {
		if failed := r.Journal.Record(ctx, e); failed != nil {
			err = fmt.Errorf("record audit entry %s: %w", e.ID, failed)
			if ctx.Err() != nil {
				return delivered, err
			}
			continue
		}
		if failed := r.Spool.Remove(e.ID); failed != nil {
			err = failed
		}
		delivered++
	}
	return delivered, err
}

// finished lists the spooled entries that nobody is writing any more. Both are read under one lock:
// an entry listed before its order ended, and looked up after, would be delivered without its end.
func (r *Runbook) finished() ([]Entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entries, err := r.Spool.List()
	return slices.DeleteFunc(entries, func(e Entry) bool { return r.underway[e.ID] }), err
}

// DirSpool is a Spool of one file an entry.
type DirSpool struct{ dir string }

// NewDirSpool uses a directory of this process alone, and makes it when it is not there.
func NewDirSpool(dir string) (DirSpool, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return DirSpool{}, fmt.Errorf("make audit spool: %w", err)
	}
	return DirSpool{dir}, nil
}

const spoolSuffix = ".audit.json"

func (s DirSpool) path(id string) string { return filepath.Join(s.dir, id+spoolSuffix) }

// Save implements Spool.
func (s DirSpool) Save(e Entry) error {
	body, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("spool audit entry %s: %w", e.ID, err)
	}
	if err := s.replace(s.path(e.ID), body); err != nil {
		return fmt.Errorf("spool audit entry %s: %w", e.ID, err)
	}
	return nil
}

// replace writes aside, renames, and has both on the disk.
func (s DirSpool) replace(path string, body []byte) error {
	aside, err := os.CreateTemp(s.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(aside.Name())
	_, err = aside.Write(body)
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return err
	}
	if err := os.Rename(aside.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove implements Spool.
func (s DirSpool) Remove(id string) error {
	if err := os.Remove(s.path(id)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove spooled audit entry: %w", err)
	}
	return nil
}

// List implements Spool.
func (s DirSpool) List() ([]Entry, error) {
	files, err := os.ReadDir(s.dir) // by name: ids of version 7 are in the order of time
	if err != nil {
		return nil, fmt.Errorf("read audit spool: %w", err)
	}
	var out []Entry
	var errs []error
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), spoolSuffix) {
			continue
		}
		body, err := os.ReadFile(filepath.Join(s.dir, f.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue // delivered just now
		}
		var e Entry
		if err == nil {
			err = json.Unmarshal(body, &e)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read spooled audit entry %s: %w", f.Name(), err))
			continue
		}
		out = append(out, e)
	}
	return out, errors.Join(errs...)
}
