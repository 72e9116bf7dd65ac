package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"weir/ops/incident"
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
