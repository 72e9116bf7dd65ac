package slack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/ops/incident"
)

// Entry is one thing to be said in one place.
type Entry struct {
	ID       string            `json:"id"`  // of its row in notification: a UUID version 7
	Key      string            `json:"key"` // incident.Decision.Key
	Reason   incident.Reason   `json:"reason"`
	Incident incident.Incident `json:"incident"` // as it was when that was decided
	At       time.Time         `json:"at"`
	Attempts int               `json:"attempts,omitempty"`
	After    time.Time         `json:"after,omitzero"`   // not to be tried before
	Error    string            `json:"error,omitempty"`  // of the last attempt
	Edited   bool              `json:"edited,omitempty"` // the message is, its thread is still to be told
}

// Post is where Slack keeps the message of an incident.
type Post struct {
	Channel string    `json:"channel"` // its ID
	TS      string    `json:"ts"`
	At      time.Time `json:"at"`
}

// queue is what one destination is still to be told.
type queue struct {
	Waiting []Entry              `json:"waiting"`
	Posts   map[string]Post      `json:"posts,omitempty"` // by incident ID
	Keys    map[string]time.Time `json:"keys,omitempty"`  // taken in, also those that were delivered since

	busy string // key of the entry that is being delivered: not to be replaced
}

// remember is how long keys and posts are kept: an incident that is older gets a new message.
const remember = 30 * 24 * time.Hour

// Outbox is a file that holds what is to be said until it was accepted. It is written aside and
// renamed with every change, so a process that dies finds it as it was. A disk that cannot take it keeps
// nothing from being delivered. Its content is small: what waits for one incident collapses.
type Outbox struct {
	path string

	mu      sync.Mutex
	queues  map[string]*queue
	wake    map[string]chan struct{}
	unsaved error // why the file is not what is here; nil: it is
}

// OpenOutbox reads the file at path, which need not be there yet.
func OpenOutbox(path string) (*Outbox, error) {
	o := &Outbox{path: path, queues: map[string]*queue{}, wake: map[string]chan struct{}{}}
	body, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	if err := json.Unmarshal(body, &o.queues); err != nil {
		return nil, fmt.Errorf("read outbox %s: %w", path, err)
	}
	return o, nil
}

// Waiting is how many entries a destination has, and since when the oldest waits.
func (o *Outbox) Waiting(destination string) (int, time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(destination)
	if len(q.Waiting) == 0 {
		return 0, time.Time{}
	}
	return len(q.Waiting), q.Waiting[0].At
}

func (o *Outbox) queue(destination string) *queue {
	q := o.queues[destination]
	if q == nil {
		q = &queue{}
		o.queues[destination] = q
	}
	if q.Posts == nil {
		q.Posts = map[string]Post{}
	}
	if q.Keys == nil {
		q.Keys = map[string]time.Time{}
	}
	if o.wake[destination] == nil {
		o.wake[destination] = make(chan struct{}, 1)
	}
	return q
}

// Flush writes the file if that failed before, and says why it still does.
func (o *Outbox) Flush() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.unsaved == nil {
		return nil
	}
	return o.save(time.Now())
}

// put takes an entry in, once for each key, and returns those that it replaces: of one incident,
// the opening and the latest word are kept. On an error it has it in memory alone.
func (o *Outbox) put(destination string, e Entry) (taken bool, replaced []Entry, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(destination)
	if q.knows(e) {
		return false, nil, nil
	}
	kept := make([]Entry, 0, len(q.Waiting)+1)
	for _, w := range q.Waiting {
		if w.Incident.ID == e.Incident.ID && w.Reason != incident.First && w.Key != q.busy {
			replaced = append(replaced, w)
			continue
		}
		kept = append(kept, w)
	}
	q.Waiting = append(kept, e)
	q.Keys[e.Key] = e.At
	err = o.save(e.At)
	select {
	case o.wake[destination] <- struct{}{}:
	default:
	}
	return true, replaced, err
}

// knows says that an entry was taken in before. Ends had the keys of beginnings once: what was taken in
// under such a key since the end is that end.
func (q *queue) knows(e Entry) bool {
	if _, known := q.Keys[e.Key]; known {
		return true
	}
	number, end := strings.CutSuffix(e.Key, incident.EndKey)
	at, known := q.Keys[number]
	return end && known && !at.Before(e.Incident.ResolvedAt)
}

// next says whether something waits and until when it is to wait, and signals another entry.
func (o *Outbox) next(destination string) (after time.Time, ok bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(destination)
	if len(q.Waiting) == 0 {
		return time.Time{}, false, o.wake[destination]
	}
	return q.Waiting[0].After, true, o.wake[destination]
}

// begin is the oldest entry, which nothing replaces until settle, and the post of its incident.
// Something must be waiting, as next said: an entry is only ever replaced by another.
func (o *Outbox) begin(destination string) (Entry, Post) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(destination)
	e := q.Waiting[0]
	q.busy = e.Key
	return e, q.Posts[e.Incident.ID]
}

// settle writes down what came of an attempt: the entry is done, or stays as it is now.
func (o *Outbox) settle(destination string, e Entry, post Post, done bool, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.queue(destination)
	if post.TS != "" {
		q.Posts[e.Incident.ID] = post
	}
	q.busy = ""
	q.Waiting = slices.Clone(q.Waiting)
	if q.Waiting[0] = e; done {
		q.Waiting = q.Waiting[1:]
	}
	return o.save(now)
}

// save writes the file aside, makes sure of it, and renames it.
func (o *Outbox) save(now time.Time) error {
	for _, q := range o.queues {
		for key, at := range q.Keys {
			if now.Sub(at) > remember {
				delete(q.Keys, key)
			}
		}
		for id, post := range q.Posts {
			if now.Sub(post.At) > remember {
				delete(q.Posts, id)
			}
		}
	}
	body, err := json.Marshal(o.queues)
	if err == nil {
		err = writeAside(o.path, body)
	}
	if err != nil {
		err = fmt.Errorf("write outbox: %w", err)
	}
	o.unsaved = err
	return err
}

func writeAside(path string, body []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the rename there is nothing to remove
	_, err = f.Write(body)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
