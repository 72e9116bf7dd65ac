package session

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// memory holds what PostgreSQL last said, by hash. What is older than Fresh is asked again; what
// cannot be asked is believed as long as it is alive. It is bounded: the least recently used goes.
type memory[T any] struct {
	now   func() time.Time
	load  func(ctx context.Context, hash string) (T, bool, error)
	alive func(T, time.Time) bool

	mu      sync.Mutex
	entries map[string]*list.Element // of *entry[T]
	recent  *list.List               // front: used last
	askAt   time.Time                // PostgreSQL did not answer: until then, what is known is believed unasked
}

type entry[T any] struct {
	hash  string
	value T
	asked time.Time // when the question was put: the answer is not younger
}

func newMemory[T any](now func() time.Time, load func(context.Context, string) (T, bool, error), alive func(T, time.Time) bool) *memory[T] {
	return &memory[T]{now: now, load: load, alive: alive, entries: map[string]*list.Element{}, recent: list.New()}
}

// get answers from memory or asks. The error is load's, when nothing is known either.
func (m *memory[T]) get(ctx context.Context, hash string) (value T, found bool, err error) {
	now := m.now()
	known, value, believed := m.recall(hash, now)
	if believed {
		return value, true, nil
	}
	asking, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	fresh, found, err := m.load(asking, hash)
	if err != nil {
		if known && ctx.Err() == nil {
			m.waitUntil(now.Add(Fresh))
			return value, true, nil
		}
		return value, false, err
	}
	m.waitUntil(time.Time{})
	if !found || !m.alive(fresh, now) {
		m.drop(hash)
		return value, false, nil
	}
	m.keep(&entry[T]{hash, fresh, now})
	return fresh, true, nil
}

// recall is what is known and alive, and whether it may be believed without asking.
func (m *memory[T]) recall(hash string, now time.Time) (known bool, value T, believed bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	el, ok := m.entries[hash]
	if !ok {
		return false, value, false
	}
	e := el.Value.(*entry[T])
	if !m.alive(e.value, now) {
		return false, value, false
	}
	m.recent.MoveToFront(el)
	if now.Sub(e.asked) < Fresh || now.Before(m.askAt) {
		return true, e.value, true
	}
	if !m.askAt.IsZero() {
		m.askAt = now.Add(Fresh) // this one asks whether PostgreSQL is back; the others need not wait for it
	}
	return true, e.value, false
}

func (m *memory[T]) waitUntil(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.askAt = at
}

func (m *memory[T]) keep(e *entry[T]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.entries[e.hash]; ok {
		el.Value = e
		m.recent.MoveToFront(el)
		return
	}
	m.entries[e.hash] = m.recent.PushFront(e)
	if m.recent.Len() > remembered {
		oldest := m.recent.Remove(m.recent.Back()).(*entry[T])
		delete(m.entries, oldest.hash)
	}
}

// update changes what is remembered, if it is.
func (m *memory[T]) update(hash string, change func(T) T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.entries[hash]; ok {
		e := *el.Value.(*entry[T])
		e.value = change(e.value)
		el.Value = &e
	}
}

// drop forgets one: PostgreSQL is asked the next time.
func (m *memory[T]) drop(hash string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.entries[hash]; ok {
		m.recent.Remove(el)
		delete(m.entries, hash)
	}
}
