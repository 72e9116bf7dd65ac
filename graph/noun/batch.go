package noun

import (
	"context"
	"sync"
)

// Batch loads something for all rows of a page at once, when the first row asks for it. What it
// loads is kept by key: a query answers in its own order, and says nothing of keys that have nothing.
type Batch[K comparable, V any] struct {
	keys  []K
	load  func(ctx context.Context, keys []K) ([]V, error)
	keyOf func(V) K

	once  sync.Once
	found map[K][]V
	err   error
}

// NewBatch is of these keys; nothing is loaded yet. Keys may repeat.
func NewBatch[K comparable, V any](keys []K, load func(context.Context, []K) ([]V, error), keyOf func(V) K) *Batch[K, V] {
	return &Batch[K, V]{keys: keys, load: load, keyOf: keyOf}
}

// Of is what belongs to a key, in the order of the query.
func (b *Batch[K, V]) Of(ctx context.Context, key K) ([]V, error) {
	b.once.Do(func() {
		var all []V
		if all, b.err = b.load(ctx, b.distinct()); b.err != nil {
			return
		}
		b.found = make(map[K][]V, len(b.keys))
		for _, v := range all {
			b.found[b.keyOf(v)] = append(b.found[b.keyOf(v)], v)
		}
	})
	return b.found[key], b.err
}

func (b *Batch[K, V]) distinct() []K {
	seen := make(map[K]bool, len(b.keys))
	out := make([]K, 0, len(b.keys))
	for _, k := range b.keys {
		if !seen[k] {
			seen[k] = true
			out = append(out, k)
		}
	}
	return out
}
