package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"weir/ops/incident"
	"weir/queries"
)

// row is one thing to write to PostgreSQL; one of its fields is set.
type row struct {
	Transition   *incident.Transition            `json:"transition,omitempty"`
	Notification *queries.NotificationSaveParams `json:"notification,omitempty"`
}

// tick is the chain's numbers of one time.
type tick struct {
	At      time.Time `json:"at"`
	Samples []Sample  `json:"samples"`
}

// samplesKept is how many ticks wait for PostgreSQL at most, three days of them: beyond, the oldest
// are dropped. Incidents and notifications are kept however long it takes.
const samplesKept = int(3 * 24 * time.Hour / sampleEvery)

// Buckets of the journal, each in the order of its keys.
var (
	rowBucket    = []byte("row")    // number -> row
	sampleBucket = []byte("sample") // unix nanoseconds -> tick
	asideBucket  = []byte("aside")  // number -> what PostgreSQL will never take, kept to be looked at
	rollBucket   = []byte("roll")   // since when hours must be rolled up: see rollBegin
)

// lateTick is a tick as the journal has it.
type lateTick struct {
	at   time.Time
	body json.RawMessage
}

// lateTicks is how many ticks wait for the disk at most, an hour of them: they are in memory.
const lateTicks = int(time.Hour / sampleEvery)

// journal keeps on disk what PostgreSQL is to have, in order, until it has it. What is taken out
// was committed there; what was committed and not taken out is written again, which changes nothing.
// What the disk does not take waits in memory, and is written with the next change.
type journal struct {
	db      *bbolt.DB
	added   chan struct{} // something was, since last time
	rows    atomic.Int64
	samples atomic.Int64
	aside   atomic.Int64
	dropped atomic.Int64 // ticks, for being too many

	mu      sync.Mutex
	late    []row
	ticks   []lateTick
	behind  bool  // transitions are owed: late rows come after those, for they are about the same incidents
	unsaved error // why the last change of the file failed; nil: it did not
}

// openJournal opens or makes the file. Only one process can: the others get an error after a second.
func openJournal(path string) (*journal, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open journal %s: another monitor uses it", path)
	}
	if err != nil {
		return nil, fmt.Errorf("open journal %s: %w", path, err)
	}
	j := &journal{db: db, added: make(chan struct{}, 1)}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{rowBucket, sampleBucket, asideBucket, rollBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		j.rows.Store(int64(tx.Bucket(rowBucket).Stats().KeyN))
		j.samples.Store(int64(tx.Bucket(sampleBucket).Stats().KeyN))
		j.aside.Store(int64(tx.Bucket(asideBucket).Stats().KeyN))
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal %s: %w", path, err), db.Close())
	}
	return j, nil
}

// close writes what is late if it can. The error says what is lost.
func (j *journal) close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	var err error
	if len(j.late)+len(j.ticks) > 0 {
		j.behind = false
		if err = j.write(nil); err != nil {
			err = fmt.Errorf("%d rows and the samples of %d times are lost: %w", len(j.late), len(j.ticks), err)
		}
	}
	return errors.Join(err, j.db.Close())
}

// unwritten is why the file does not take what it is given; nil: it does.
func (j *journal) unwritten() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unsaved
}

// update changes the file.
func (j *journal) update(do func(*bbolt.Tx) error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.change(do)
}

// change is update for who has the lock.
func (j *journal) change(do func(*bbolt.Tx) error) error {
	j.unsaved = j.db.Update(do)
	return j.unsaved
}

// addTransitions keeps transitions. When it returns nil they will be written; otherwise the caller has them still.
func (j *journal) addTransitions(changes []incident.Transition) error {
	rows := make([]row, len(changes))
	for i := range changes {
		rows[i].Transition = &changes[i]
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.behind = false
	err := j.write(rows)
	j.behind = err != nil
	return err
}

var errBehind = errors.New("transitions that come first are not in the journal yet")

// addNotification keeps the state of a message. An error says that it is in memory alone.
func (j *journal) addNotification(n *queries.NotificationSaveParams) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.late = append(j.late, row{Notification: n})
	if j.behind {
		return errBehind
	}
	return j.write(nil)
}

// addTick keeps the numbers of one time; a second tick of the same time takes the first one's place. An error
// says that they are in memory alone.
func (j *journal) addTick(t tick) error {
	body, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("samples that are no JSON: %w", err) // kept, they would be in the way of all that come after
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ticks = append(j.ticks, lateTick{t.At, body})
	if over := len(j.ticks) - lateTicks; over > 0 {
		j.ticks = j.ticks[over:]
		j.dropped.Add(int64(over))
	}
	return j.write(nil)
}

// write writes rows, and what is late.
func (j *journal) write(rows []row) error {
	if !j.behind {
		rows = append(rows, j.late...)
	}
	var more, dropped int64
	err := j.change(func(tx *bbolt.Tx) error {
		more, dropped = 0, 0
		for _, r := range rows {
			b := tx.Bucket(rowBucket)
			n, err := b.NextSequence()
			if err != nil {
				return err
			}
			if err := put(b, n, r); err != nil {
				return err
			}
		}
		for _, t := range j.ticks {
			b, key := tx.Bucket(sampleBucket), uint64(t.at.UnixNano())
			if b.Get(number(key)) == nil {
				more++
			}
			for ; j.samples.Load()+more-dropped > int64(samplesKept); dropped++ {
				oldest, _ := b.Cursor().First()
				if err := b.Delete(oldest); err != nil {
					return err
				}
			}
			if err := put(b, key, t.body); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("add to journal: %w", err)
	}
	j.rows.Add(int64(len(rows)))
	j.samples.Add(more - dropped)
	j.dropped.Add(dropped)
	if j.ticks = nil; !j.behind {
		j.late = nil
	}
	j.signal()
	return nil
}

func (j *journal) signal() {
	select {
	case j.added <- struct{}{}:
	default:
	}
}

// kept is one value of a bucket. Bad says why it cannot be read.
type kept[T any] struct {
	key   []byte
	value T
	bad   error
}

// oldest reads up to n values of a bucket, in order.
func oldest[T any](j *journal, bucket []byte, n int) (out []kept[T], err error) {
	err = j.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for key, body := c.First(); key != nil && len(out) < n; key, body = c.Next() {
			k := kept[T]{key: append([]byte{}, key...)}
			k.bad = json.Unmarshal(body, &k.value)
			out = append(out, k)
		}
		return nil
	})
	return out, err
}

// done takes rows out that PostgreSQL has.
func (j *journal) done(rows []kept[row]) error {
	err := j.update(func(tx *bbolt.Tx) error {
		for _, k := range rows {
			if err := tx.Bucket(rowBucket).Delete(k.key); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		j.rows.Add(-int64(len(rows)))
	}
	return err
}

// doneTicks takes samples out that PostgreSQL has, and remembers that their hours changed.
func (j *journal) doneTicks(ticks []kept[tick]) error {
	var fewer int64
	err := j.update(func(tx *bbolt.Tx) error {
		fewer = 0
		b := tx.Bucket(sampleBucket)
		for _, k := range ticks {
			if b.Get(k.key) != nil { // it may have been dropped for being the oldest
				fewer++
			}
			if err := b.Delete(k.key); err != nil {
				return err
			}
			if err := earliest(tx, rollLate, k.value.At); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		j.samples.Add(-fewer)
	}
	return err
}

// setAside moves one value out of the way of those behind it.
func (j *journal) setAside(bucket, key []byte) error {
	err := j.update(func(tx *bbolt.Tx) error {
		b, to := tx.Bucket(bucket), tx.Bucket(asideBucket)
		n, err := to.NextSequence()
		if err != nil {
			return err
		}
		if err := to.Put(number(n), append([]byte{}, b.Get(key)...)); err != nil {
			return err
		}
		return b.Delete(key)
	})
	if err != nil {
		return fmt.Errorf("set a row of the journal aside: %w", err)
	}
	j.aside.Add(1)
	if string(bucket) == string(rowBucket) {
		j.rows.Add(-1)
	} else {
		j.samples.Add(-1)
	}
	return nil
}

// Keys of rollBucket. Samples that were written since the last roll-up began make rollLate earlier;
// a roll-up takes it over into rollNow, and removes that only when it is done. So an hour is rolled
// up after its last sample was written, whenever that comes and whatever ends in between.
var (
	rollLate = []byte("late")
	rollNow  = []byte("now")
)

// rollBegin is since when hours are to be rolled up; zero when nothing was written since.
func (j *journal) rollBegin() (since time.Time, err error) {
	err = j.update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(rollBucket)
		if late := b.Get(rollLate); late != nil {
			if err := earliest(tx, rollNow, moment(late)); err != nil {
				return err
			}
			if err := b.Delete(rollLate); err != nil {
				return err
			}
		}
		if now := b.Get(rollNow); now != nil {
			since = moment(now)
		}
		return nil
	})
	return since, err
}

// rollDone is for after a roll-up of everything since rollBegin.
func (j *journal) rollDone() error {
	return j.update(func(tx *bbolt.Tx) error { return tx.Bucket(rollBucket).Delete(rollNow) })
}

func earliest(tx *bbolt.Tx, key []byte, at time.Time) error {
	b := tx.Bucket(rollBucket)
	if is := b.Get(key); is != nil && !at.Before(moment(is)) {
		return nil
	}
	return b.Put(key, number(uint64(at.UnixNano())))
}

func put(b *bbolt.Bucket, key uint64, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(number(key), body)
}

// number is a key whose order as bytes is that of the number.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func moment(key []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(key))).UTC() }
