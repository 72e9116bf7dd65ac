package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/ops/inventory"
)

func TestAThousandSubscribersSeeVersionsRiseAndTheLastOne(t *testing.T) {
	const subscribers, versions = 1000, 200
	hub := NewHub(First(inventory.Default()))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i := range subscribers {
		wg.Go(func() {
			var seen uint64
			for seen < versions {
				s, err := hub.Next(ctx, seen)
				if err != nil {
					t.Errorf("subscriber %d stopped at version %d: %v", i, seen, err)
					return
				}
				if s.Version <= seen {
					t.Errorf("subscriber %d got version %d after %d", i, s.Version, seen)
					return
				}
				seen = s.Version
			}
		})
	}
	for range versions {
		hub.Apply(pooler("pgb1", 1, 1, 0))
	}
	wg.Wait()
}

func TestASlowSubscriberSkipsVersionsAndHoldsNobodyUp(t *testing.T) {
	hub := NewHub(First(inventory.Default()))
	for range 5 {
		hub.Apply(pooler("pgb1", 1, 1, 0)) // nobody reads meanwhile
	}
	s, err := hub.Next(t.Context(), 0)
	if err != nil || s.Version != 5 {
		t.Fatalf("got version %v, %v", s, err)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	hub := NewHub(First(inventory.Default()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := hub.Next(ctx, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// poll runs loops over made-up sources for a time, on a clock of its own.
func poll(t *testing.T, span time.Duration, probes ...probe) []Reading {
	t.Helper()
	parts := &Parts{inv: inventory.Default()}
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	var mu sync.Mutex
	var out []Reading
	var wg sync.WaitGroup
	alarm := newAlarm()
	for _, pr := range probes {
		wg.Go(func() {
			first := time.Duration(pr.phase * float64(time.Second))
			parts.loop(ctx, pr, first, alarm, func(r Reading) {
				mu.Lock()
				defer mu.Unlock()
				out = append(out, r)
			})
		})
	}
	wg.Wait()
	return out
}

func count(readings []Reading, name string) (n int) {
	for _, r := range readings {
		if r.Source.Name == name {
			n++
		}
	}
	return n
}

func TestASourceThatHangsDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := probe{source: Source{PoolerKind, "quick"}, every: time.Second,
			read: func(context.Context) (any, error) { return PoolerView{}, nil }}
		hangs := probe{source: Source{PoolerKind, "hangs"}, every: time.Second,
			read: func(ctx context.Context) (any, error) { <-ctx.Done(); return nil, ctx.Err() }}
		out := poll(t, 10*time.Second+100*time.Millisecond, quick, hangs)
		if n := count(out, "quick"); n != 11 {
			t.Errorf("the quick source was read %d times in 10 s", n)
		}
		for _, r := range out {
			if r.Source.Name == "hangs" && (r.Err == nil || r.Took != 900*time.Millisecond) {
				t.Errorf("the source that hangs: %v after %s", r.Err, r.Took)
			}
		}
	})
}

func TestNewsFromOneSourceHasTheOthersReadAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		breaks := probe{source: Source{PoolerKind, "breaks"}, every: time.Second, read: func(context.Context) (any, error) {
			if time.Since(began) >= 3*time.Second {
				return nil, errors.New("connection refused")
			}
			return PoolerView{}, nil
		}}
		var asked []time.Duration
		other := probe{source: Source{PoolerKind, "other"}, every: time.Second, phase: 0.5, read: func(context.Context) (any, error) {
			asked = append(asked, time.Since(began))
			return PoolerView{}, nil
		}}
		poll(t, 3*time.Second+400*time.Millisecond, breaks, other)
		at, again := false, false
		for _, d := range asked {
			at = at || d == 3*time.Second
			again = again || d == 3*time.Second+soon
		}
		if !at || !again {
			t.Errorf("the other source was read at %v, not at 3 s and %s later", asked, soon)
		}
	})
}

func TestASourceTooDearForAHurryKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		flips := 0
		noisy := probe{source: Source{PoolerKind, "noisy"}, every: time.Second, read: func(context.Context) (any, error) {
			if flips++; flips%2 == 0 {
				return nil, errors.New("connection refused")
			}
			return PoolerView{}, nil
		}}
		dear := probe{source: Source{PoolerKind, "dear"}, every: time.Minute, read: func(context.Context) (any, error) { return PoolerView{}, nil }}
		out := poll(t, 90*time.Second, noisy, dear)
		if n := count(out, "dear"); n != 2 {
			t.Errorf("it was read %d times in 90 s", n)
		}
	})
}
