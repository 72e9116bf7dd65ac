package fleet

import (
	"context"
	"sync"
)

// Hub hands out what is now and what comes next. A snapshot is never changed once it is here;
// a slow reader skips versions and holds nobody up.
type Hub struct {
	mu      sync.Mutex
	now     *Snapshot
	changed chan struct{} // closed and replaced with every snapshot
}

// NewHub starts with a first snapshot, in which nothing need be known.
func NewHub(first *Snapshot) *Hub {
	return &Hub{now: first, changed: make(chan struct{})}
}

// Now is the newest snapshot, and a channel that is closed when there is a newer one.
// Both come from under one lock, so that no version is missed between them.
func (h *Hub) Now() (*Snapshot, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now, h.changed
}

// Next waits for a snapshot newer than version. The error is ctx's.
func (h *Hub) Next(ctx context.Context, version uint64) (*Snapshot, error) {
	for {
		now, changed := h.Now()
		if now.Version > version {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Apply folds a reading in and wakes whoever waits.
func (h *Hub) Apply(r Reading) *Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = Fold(h.now, r)
	close(h.changed)
	h.changed = make(chan struct{})
	return h.now
}
