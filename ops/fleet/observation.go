package fleet

import "time"

// Observation is the last word of one source, and how old it is. A reading that failed keeps the
// value of the one before: absence is not health, and not failure either.
type Observation[T any] struct {
	Value    T
	Seen     time.Time     // when Value was read; zero when the source has never answered
	Tried    time.Time     // when the source was last asked
	Took     time.Duration // of the last attempt
	Err      error         // of the last attempt; nil when it brought Value
	Failures int           // attempts in a row that failed
	Since    time.Time     // when the present run of successes or failures began
}

// Known reports whether the source has answered at least once.
func (o Observation[T]) Known() bool { return !o.Seen.IsZero() }

// OK reports whether the last attempt brought the value.
func (o Observation[T]) OK() bool { return o.Known() && o.Err == nil }

// Asked reports whether the source was asked at all.
func (o Observation[T]) Asked() bool { return !o.Tried.IsZero() }

// Age is how old the value is; 0 when there is none.
func (o Observation[T]) Age(now time.Time) time.Duration {
	if !o.Known() {
		return 0
	}
	return now.Sub(o.Seen)
}

// Reading is one attempt to read one source.
type Reading struct {
	Source Source
	At     time.Time // when the answer was there, or the attempt was given up
	Took   time.Duration
	Value  any // of the type that the source's kind has; nil with Err
	Err    error
}

// Source names where a reading comes from.
type Source struct {
	Kind Kind
	Name string // of the node or pooler; "" for the kinds there is one of
}

func (s Source) String() string {
	if s.Name == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + " " + s.Name
}

// Kind of a source, and with it the type of its value.
type Kind string

const (
	NodeStatsKind Kind = "haproxy statistics" // haproxy.Stats
	NodeStateKind Kind = "haproxy node"       // haproxy.NodeState
	PoolerKind    Kind = "pgbouncer"          // PoolerView
	ThroughKind   Kind = "through the vip"    // postgres.Passage
	DirectKind    Kind = "postgres"           // postgres.Probe
	SizesKind     Kind = "database sizes"     // []postgres.Size
	AnswerKind    Kind = "who answers"        // string: the node's name
)

// next is the observation after one more reading.
func next[T any](o Observation[T], r Reading) Observation[T] {
	failed, before := r.Err != nil, o.Failures > 0
	if !o.Asked() || failed != before {
		o.Since = r.At
	}
	o.Tried, o.Took, o.Err = r.At, r.Took, r.Err
	if failed {
		o.Failures++
		return o
	}
	o.Failures = 0
	o.Value, o.Seen = r.Value.(T), r.At
	return o
}
