package main

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"weir/ops/incident"
	"weir/queries"
)

func newJournal(t *testing.T) *journal {
	t.Helper()
	j := must(openJournal(filepath.Join(t.TempDir(), "journal.db")))(t)
	t.Cleanup(func() { j.close() })
	return j
}

// transition is the seq-th of the n-th incident.
func transition(n int, seq int64, state incident.State) incident.Transition {
	t := incident.Transition{Kind: incident.Opened, From: incident.OK, To: state, At: start.Add(time.Duration(seq) * time.Second), Text: fmt.Sprint("event ", seq)}
	t.Incident = incident.Incident{ID: fmt.Sprintf("01930000-0000-7000-8000-%012x", n), State: state, Seq: seq, OpenedAt: start, Since: start, UpdatedAt: t.At,
		Finding: incident.Finding{Cause: "pooler-down/pgb2", Kind: incident.PoolerDown, Subject: "pgb2", Severity: incident.Warning,
			Title: fmt.Sprint("title ", seq), Impact: "2 of 3 poolers serving", Evidence: []string{"haproxy1: DOWN"}}}
	if state == incident.OK {
		t.Kind, t.Incident.ResolvedAt = incident.Resolved, t.At
	}
	return t
}

func TestTheJournalGivesRowsBackInOrderAlsoAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal.db")
	j := must(openJournal(path))(t)
	for seq := range int64(300) {
		try(t, j.addTransitions([]incident.Transition{transition(1, seq+1, incident.Firing)}))
	}
	rows := must(oldest[row](j, rowBucket, 10))(t)
	try(t, j.done(rows))
	try(t, j.close())
	j = must(openJournal(path))(t)
	defer j.close()
	try(t, j.addTransitions([]incident.Transition{transition(1, 301, incident.OK)}))
	if n := j.rows.Load(); n != 291 {
		t.Errorf("%d rows, want 291", n)
	}
	rows = must(oldest[row](j, rowBucket, 1000))(t)
	for i, k := range rows {
		if seq := k.value.Transition.Incident.Seq; seq != int64(i+11) {
			t.Fatalf("row %d is of seq %d", i, seq)
		}
	}
	if len(rows) != 291 {
		t.Errorf("%d rows came back", len(rows))
	}
}

func TestASecondMonitorDoesNotGetTheSameJournal(t *testing.T) {
	j := newJournal(t)
	_, err := openJournal(j.db.Path())
	if err == nil || !strings.Contains(err.Error(), "another monitor") {
		t.Errorf("error %v", err)
	}
}

func TestTheOldestSamplesGoWhenThereAreTooManyAndIncidentsNever(t *testing.T) {
	j := newJournal(t)
	j.db.NoSync = true
	try(t, j.db.Batch(func(tx *bbolt.Tx) error {
		for i := range samplesKept {
			if err := put(tx.Bucket(sampleBucket), uint64(start.Add(time.Duration(i)*sampleEvery).UnixNano()), tick{}); err != nil {
				return err
			}
		}
		return nil
	}))
	j.samples.Store(int64(samplesKept))
	try(t, j.addTransitions([]incident.Transition{transition(1, 1, incident.Firing)}))
	for i := range 3 {
		at := start.Add(time.Duration(samplesKept+i) * sampleEvery)
		for range 2 { // the second changes nothing
			try(t, j.addTick(tick{At: at}))
		}
	}
	ticks := must(oldest[tick](j, sampleBucket, 1))(t)
	if first := moment(ticks[0].key); !first.Equal(start.Add(3*sampleEvery)) || j.samples.Load() != int64(samplesKept) || j.rows.Load() != 1 {
		t.Errorf("first %s, %d samples, %d rows", first, j.samples.Load(), j.rows.Load())
	}
	if n := j.dropped.Load(); n != 3 {
		t.Errorf("%d counted as dropped", n)
	}
}

// full makes the disk of a journal full: what is long does not fit, until room is made.
func full(j *journal) (long string, room func()) {
	j.db.MaxSize = 64 << 10
	return strings.Repeat("x", 1<<20), func() { j.db.MaxSize = 0 }
}

// message is the n-th, about the first incident.
func message(n int, text string) *queries.NotificationSaveParams {
	about := transition(1, 1, incident.Firing).Incident.ID
	return &queries.NotificationSaveParams{ID: fmt.Sprintf("01930000-0000-7000-8000-%012x", 0xa0+n), IncidentID: &about, Channel: "slack", Reason: "first",
		State: "sent", Error: text, CreatedAt: start}
}

func TestWhatTheJournalDoesNotTakeFailsHealthAndIsThereWhenItDoes(t *testing.T) {
	for _, test := range []struct {
		sentence string
		add      func(j *journal, text string) error
		rows     int64
		samples  int64
	}{
		{"the state of a message", func(j *journal, text string) error { return j.addNotification(message(1, text)) }, 2, 1},
		{"samples", func(j *journal, text string) error {
			return j.addTick(tick{At: start, Samples: []Sample{{Subject: text}}})
		}, 1, 2},
	} {
		c := newCollector(t, healthy(start).hub, &sight{At: time.Now()})
		j := c.journal
		status := func(code int, want string) {
			t.Helper()
			is, body := get(t, c, "/healthz")
			var h health
			if try(t, json.Unmarshal([]byte(body), &h)); is != code || h.Status != want || (h.Unsaved == "") != (want == "ok") {
				t.Errorf("%s: HTTP %d %s, want %d %s", test.sentence, is, body, code, want)
			}
		}
		status(200, "ok")
		long, room := full(j)
		if err := test.add(j, long); err == nil {
			t.Fatalf("%s: no error", test.sentence)
		}
		status(503, "unsaved")
		if err := j.addNotification(message(2, "")); err == nil {
			t.Errorf("%s: what comes after it is taken before it", test.sentence)
		}
		room()
		try(t, j.addTick(tick{At: start.Add(sampleEvery)}))
		status(200, "ok")
		if j.rows.Load() != test.rows || j.samples.Load() != test.samples || len(must(oldest[row](j, rowBucket, 9))(t)) != int(test.rows) ||
			len(must(oldest[tick](j, sampleBucket, 9))(t)) != int(test.samples) {
			t.Errorf("%s: %d rows, the samples of %d times", test.sentence, j.rows.Load(), j.samples.Load())
		}
	}
}

func TestAMessageIsNotWrittenBeforeTheIncidentThatItIsAbout(t *testing.T) {
	j := newJournal(t)
	long, room := full(j)
	opened := transition(1, 1, incident.Firing)
	opened.Text = long
	if err := j.addTransitions([]incident.Transition{opened}); err == nil {
		t.Fatal("no error")
	}
	for n := range 2 {
		if err := j.addNotification(message(n, "")); err == nil {
			t.Error("a message about an incident that is not there is taken")
		}
		room()
	}
	try(t, j.addTick(tick{At: start}))
	try(t, j.addTransitions([]incident.Transition{opened}))
	rows := must(oldest[row](j, rowBucket, 9))(t)
	if len(rows) != 3 || rows[0].value.Transition == nil || rows[1].value.Notification.ID != message(0, "").ID || rows[2].value.Notification.ID != message(1, "").ID {
		t.Errorf("rows %+v", rows)
	}
}

func TestAJournalThatIsClosedWritesWhatIsLateOrSaysThatItIsLost(t *testing.T) {
	for _, has := range []bool{true, false} {
		path := filepath.Join(t.TempDir(), "journal.db")
		j := must(openJournal(path))(t)
		long, room := full(j)
		if err := j.addNotification(message(1, long)); err == nil {
			t.Fatal("no error")
		}
		if has {
			room()
		}
		err := j.close()
		if said := err != nil && strings.Contains(err.Error(), "1 rows and the samples of 0 times are lost"); said == has {
			t.Errorf("with room %v: error %v", has, err)
		}
		j = must(openJournal(path))(t)
		if rows := j.rows.Load(); (rows == 1) != has {
			t.Errorf("with room %v: %d rows", has, rows)
		}
		j.close()
	}
}

func TestSamplesThatAreDroppedAreCounted(t *testing.T) {
	j := newJournal(t)
	long, room := full(j)
	for i := range lateTicks + 5 {
		at := start.Add(time.Duration(i) * sampleEvery)
		if err := j.addTick(tick{At: at, Samples: []Sample{{Subject: long[:20<<10]}}}); i > 10 && err == nil {
			t.Fatal("no error")
		}
	}
	waiting, dropped := len(j.ticks), j.dropped.Load()
	if j.samples.Load()+int64(waiting)+dropped != int64(lateTicks+5) || waiting != lateTicks || dropped == 0 {
		t.Errorf("the samples of %d times are on disk, %d wait, %d are dropped", j.samples.Load(), waiting, dropped)
	}
	room()
	try(t, j.addTick(tick{At: start}))
	if err := j.addTick(tick{At: start, Samples: []Sample{{Value: math.NaN()}}}); err == nil {
		t.Error("no JSON, and no error")
	}
	try(t, j.addTick(tick{At: start}))
}

func TestAnHourIsRolledUpAfterItsLastSampleWhateverEndsInBetween(t *testing.T) {
	j := newJournal(t)
	write := func(hour int) {
		at := start.Add(time.Duration(hour) * time.Hour)
		try(t, j.doneTicks([]kept[tick]{{key: number(1), value: tick{At: at}}}))
	}
	begins := func(sentence string, hour int) {
		t.Helper()
		since := must(j.rollBegin())(t)
		if want := start.Add(time.Duration(hour) * time.Hour); !since.Equal(want) {
			t.Errorf("%s: since %s, want %s", sentence, since, want)
		}
	}
	if since := must(j.rollBegin())(t); !since.IsZero() {
		t.Errorf("with nothing written: since %s", since)
	}
	write(5)
	begins("what was written", 5)
	begins("again, when it failed", 5)
	write(3)
	try(t, j.rollDone())
	begins("late samples that were written meanwhile", 3)
	write(9)
	begins("it failed, and there are newer ones", 3)
	try(t, j.rollDone())
	if since := must(j.rollBegin())(t); !since.IsZero() {
		t.Errorf("when all is done: since %s", since)
	}
}
