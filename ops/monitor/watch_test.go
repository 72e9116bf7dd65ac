package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/ops/fleet"
	"weir/ops/incident"
	"weir/ops/slack"
)

var start = time.Date(2026, 11, 23, 14, 0, 0, 0, time.UTC)

// desk is a watch whose messages and rows go nowhere but into lists.
type desk struct {
	*watch
	c     *chain
	said  []string // keys
	kept  []incident.Transition
	onPut func()
	fail  error // of keep
}

func newDesk(t *testing.T, path string, c *chain) *desk {
	t.Helper()
	d := &desk{c: c}
	d.watch = &watch{inv: c.inv, hub: c.hub, rules: incident.DefaultRules(newID), policy: incident.DefaultPolicy(),
		wishes: func() incident.Wishes { return incident.Wishes{} }, answer: func() {}, log: quiet(), path: path,
		put: func(_ incident.Incident, decision incident.Decision, _ time.Time) {
			if d.onPut != nil {
				d.onPut()
			}
			d.said = append(d.said, decision.Key)
		},
		flush: func() error { return nil },
		keep: func(changes []incident.Transition) error {
			if d.fail == nil {
				d.kept = append(d.kept, changes...)
			}
			return d.fail
		}}
	try(t, d.open())
	return d
}

// after looks at the chain so many seconds, once a second.
func (d *desk) after(seconds int) {
	for range seconds {
		s := d.c.look()
		d.look(s, d.c.now)
	}
}

// settles is after how many looks at a whole chain what is found counts.
const settles = int(wholeFor/time.Second) + 1

// nothingAskedYet is the first look of a monitor.
func (d *desk) nothingAskedYet() { d.look(fleet.First(d.c.inv), d.c.now) }

func bookPath(t *testing.T) string { return filepath.Join(t.TempDir(), "book.json") }

func TestAChainThatStartsWithItsMonitorIsNoOutageYet(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.nothingAskedYet()
	d.c.down["pgb2"] = true
	d.after(int(startGrace/time.Second) - 1)
	if len(d.said) != 0 {
		t.Errorf("said %v within the grace", d.said)
	}
	d.after(2)
	if len(d.said) != 1 {
		t.Errorf("said %v after it", d.said)
	}
}

func TestAChainThatLooksWholeForAMomentIsNotTakenForOneThatStarted(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(1) // a HAProxy that has checked nobody yet says UP
	d.c.down["pgb2"] = true
	d.after(3)
	d.c.down["pgb2"] = false
	d.after(20)
	if len(d.said) != 0 {
		t.Errorf("said %v", d.said)
	}
}

func TestTheBookIsOnDiskBeforeAnythingIsSent(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	var onDisk memory
	d.onPut = func() { try(t, load(d.path, &onDisk)) }
	d.c.down["pgb2"] = true
	d.after(1)
	if len(d.said) != 1 || len(onDisk.Book.Incidents()) != 1 || len(onDisk.Owed) != 1 {
		t.Errorf("said %v, while the file had incidents %v and owed %v", d.said, onDisk.Book.Incidents(), onDisk.Owed)
	}
}

func TestAMonitorKilledBetweenSendingAndNotingDecidesTheSameAgain(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	killed := bookPath(t)
	d.onPut = func() { copyFile(t, d.path, killed) } // what a kill -9 right now would leave
	d.c.down["pgb2"] = true
	d.after(1)
	next := newDesk(t, killed, d.c)
	next.after(3)
	if !slices.Equal(next.said, d.said) {
		t.Errorf("the next one says %v, want %v once more: the outbox takes a key once", next.said, d.said)
	}
	if len(next.kept) != 1 || next.kept[0].Incident.ID != d.kept[0].Incident.ID || next.kept[0].Incident.Seq != 1 {
		t.Errorf("the next one keeps %+v, want the same row once more", next.kept)
	}
}

func TestTheEndIsSaidWhenTheMonitorWasKilledBeforeItNotedTheBeginning(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	killed := bookPath(t)
	d.onPut = func() { copyFile(t, d.path, killed) }
	d.c.down["pgb2"] = true
	d.after(1)
	d.c.down["pgb2"] = false
	next := newDesk(t, killed, d.c)
	next.after(10)
	if len(next.said) != 1 || slices.Equal(next.said, d.said) {
		t.Errorf("the next one says %v after %v: the outbox takes that for what was said already", next.said, d.said)
	}
}

func TestARestartInTheMiddleContinuesTheSameIncidentAndSaysNothingTwice(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	d.c.down["pgb2"] = true
	d.after(3)
	next := newDesk(t, d.path, d.c)
	next.nothingAskedYet()
	next.after(5)
	if len(d.said) != 1 || len(next.said) != 0 {
		t.Fatalf("said %v, and after the restart %v", d.said, next.said)
	}
	last := newDesk(t, d.path, d.c)
	last.nothingAskedYet()
	last.c.down["pgb2"] = false
	last.c.down["pgb3"] = true
	last.after(1)
	if len(last.said) != 2 {
		t.Errorf("at the first look it says %v, want the end of one and the beginning of another", last.said)
	}
	next.c.down["pgb2"], next.c.down["pgb3"] = false, false
	next.after(10)
	open, over := d.kept[0].Incident, next.kept[len(next.kept)-1].Incident
	if len(next.said) != 1 || over.State != incident.OK || over.ID != open.ID {
		t.Errorf("said %v; incident %s ended as %s in state %s", next.said, open.ID, over.ID, over.State)
	}
}

func TestWhatCouldNotBeKeptIsOwedAlsoAfterARestart(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	d.fail = errDisk
	d.c.down["pgb2"] = true
	d.after(2)
	next := newDesk(t, d.path, d.c)
	next.after(2)
	if len(next.kept) != 1 || next.kept[0].Kind != incident.Opened || len(d.said) != 1 || len(next.said) != 0 {
		t.Errorf("kept %+v, said %v, and after the restart %v", next.kept, d.said, next.said)
	}
	next.after(1)
	if len(next.kept) != 1 {
		t.Errorf("kept again: %+v", next.kept)
	}
}

// TestADiskThatTakesNothingKeepsNobodySilent has the real outbox beside the book; only the other side is a fake.
func TestADiskThatTakesNothingKeepsNobodySilent(t *testing.T) {
	slacks, state := newFakeSlack(t), filepath.Join(t.TempDir(), "state")
	try(t, os.Mkdir(state, 0o700))
	d := newDesk(t, filepath.Join(state, "book.json"), healthy(time.Now()))
	box := must(slack.OpenOutbox(filepath.Join(state, "outbox.json")))(t)
	poster := must(slack.NewPoster(box, slack.Settings{SlackWebhookURL: slacks.URL}, slacks.Client(), newID, quiet()))(t)
	d.put, d.flush = poster.Put, box.Flush
	told := func(n int) {
		t.Helper()
		until(t, deadline(t), "all is delivered", func() bool { waiting, _ := box.Waiting("slack"); return waiting == 0 })
		if texts := slacks.told(); len(texts) != n {
			t.Errorf("told %q, want %d messages", texts, n)
		}
	}
	status := func(code int, want string) health {
		t.Helper()
		seen := *d.seen.Load()
		seen.At = time.Now()
		is, body := get(t, newCollector(t, d.c.hub, &seen), "/healthz")
		var h health
		if try(t, json.Unmarshal([]byte(body), &h)); is != code || h.Status != want || (h.Unsaved == "") != (want == "ok") {
			t.Errorf("HTTP %d %s, want %d %s", is, body, code, want)
		}
		return h
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); poster.Run(ctx) }()
	defer func() { stop(); <-done }()
	d.after(settles)
	status(200, "ok")

	try(t, os.Rename(state, state+".away"))
	d.c.down["pgb2"] = true
	d.after(20)
	told(1)
	if h := status(503, "unsaved"); !strings.Contains(h.Unsaved, "no such file") {
		t.Errorf("it says %q, and not why", h.Unsaved)
	}
	d.c.down["pgb2"] = false
	d.after(40)
	told(2)

	try(t, os.Rename(state+".away", state))
	d.after(int(saveEvery / time.Second))
	status(200, "ok")
	next := newDesk(t, d.path, d.c)
	next.after(20)
	if len(next.said) != 0 {
		t.Errorf("after a restart it says %v", next.said)
	}
}

func TestABookOnDiskNeverSaysMoreThanTheOutboxThere(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	d.onPut = func() { d.flush = func() error { return errDisk } }
	d.c.down["pgb2"] = true
	d.after(20)
	next := newDesk(t, d.path, d.c)
	next.after(1)
	if !slices.Equal(next.said, d.said) || len(d.said) != 1 {
		t.Errorf("said %v, and after a restart that lost the outbox %v: want the same once more", d.said, next.said)
	}
}

func TestAJournalThatTakesNothingIsAStateThatCannotBeWritten(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	d.after(settles)
	d.fail = errDisk
	d.c.down["pgb2"] = true
	d.after(1)
	if err := d.seen.Load().Unsaved; !errors.Is(err, errDisk) {
		t.Errorf("error %v", err)
	}
	d.fail = nil
	d.after(1)
	if err := d.seen.Load().Unsaved; err != nil {
		t.Errorf("the journal takes all again: %v", err)
	}
}

func TestABookThatCannotBeReadIsAnErrorAndNotAnEmptyBook(t *testing.T) {
	path := bookPath(t)
	try(t, os.WriteFile(path, []byte(`{"book":`), 0o600))
	if err := (&watch{path: path}).open(); err == nil {
		t.Error("no error")
	}
}

func TestPostgreSQLAnsweringAgainIsToldOnce(t *testing.T) {
	d := newDesk(t, bookPath(t), healthy(start))
	times := 0
	d.answer = func() { times++ }
	d.after(settles)
	d.c.probe = errRefused
	d.after(2)
	d.c.probe = nil
	d.after(3)
	if times != 2 {
		t.Errorf("told %d times, want at start and after the outage", times)
	}
}

func TestLooksAreNeitherTooManyNorTooFew(t *testing.T) {
	for _, test := range []struct {
		sentence    string
		readings    time.Duration // between two
		least, most int           // looks in 10 s
	}{
		{"without readings it still looks four times a second", time.Hour, 40, 41},
		{"readings every 100 ms are all looked at", 100 * time.Millisecond, 100, 201},
		{"a flood of readings is looked at every 50 ms", time.Millisecond, 190, 201},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(t, bookPath(t), healthy(time.Now()))
			d.settled = true
			looks := 0
			d.wishes = func() incident.Wishes { looks++; return incident.Wishes{} }
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			go func() {
				for pause(ctx, test.readings) {
					d.c.now = time.Now()
					d.c.look()
				}
			}()
			d.run(ctx)
			if looks < test.least || looks > test.most {
				t.Errorf("%s: %d looks", test.sentence, looks)
			}
		})
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	body, err := os.ReadFile(from)
	try(t, err)
	try(t, os.WriteFile(to, body, 0o600))
}
