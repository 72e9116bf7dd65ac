package runbook

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"weir/ops/fault"
)

func TestTheEndOfAPauseIsSavedBeforeItBegins(t *testing.T) {
	world := newChain()
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Pause, Reason: "minor upgrade"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(world.log[:3], []string{"saved pause of pgb1 ", "saved pause of pgb2 ", "saved pause of pgb3 "}) || len(world.log) != 6 {
		t.Errorf("%q", world.log)
	}
	for _, p := range world.pauses.list {
		if p.By != operator.Name || p.Reason != "minor upgrade" || p.Expires.Sub(p.At) != DefaultPause || !p.Expires.Equal(out.Expires) ||
			!p.At.Equal(p.At.Truncate(time.Microsecond)) {
			t.Errorf("%+v", p)
		}
	}
}

func TestPoolsWhosePauseWouldHaveNoEndAreNotPaused(t *testing.T) {
	world := newChain()
	world.pauses.err = errDead
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
	if fault.CodeOf(err) != fault.Unavailable || out.Result != Failed || len(world.log) > 0 {
		t.Errorf("%+v %v %q", out, err, world.log)
	}
}

func TestAPauseThatOnePoolerCannotFollowIsUndoneEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, database := range []string{"", "app"} {
			world := newChain()
			world.poolers["pgb2"].gate = make(chan struct{})
			began := time.Now()
			out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Pause, Database: database, Reason: "a test"})
			if err == nil || out.Result != Failed || !out.Expires.IsZero() || time.Since(began) != pauseWait {
				t.Fatalf("after %s: %+v %v", time.Since(began), out, err)
			}
			for name, p := range world.poolers {
				if p.whole || p.databases["app"] {
					t.Errorf("%s is paused", name)
				}
			}
			if len(world.pauses.list) > 0 {
				t.Errorf("records stay: %v", world.pauses.list)
			}
			if got := fault.MessageOf(err); !strings.HasSuffix(got, "failed on pgb2. It was undone on pgb1, pgb2 and pgb3.") {
				t.Errorf("%q", got)
			}
		}
	})
}

func TestAPauseIsNotBelievedUntilItIsSeen(t *testing.T) {
	world := newChain()
	world.poolers["pgb2"].lies = true
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
	if fault.CodeOf(err) != fault.Unavailable || world.poolers["pgb1"].whole || len(world.pauses.list) > 0 {
		t.Errorf("%v", err)
	}
}

func TestAPoolerThatCannotBeResumedKeepsItsRecordForTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.poolers["pgb2"].gate = make(chan struct{})
		world.poolers["pgb3"].before = func() { // it pauses, and is then out of reach
			time.AfterFunc(time.Second, func() { world.mu.Lock(); world.poolers["pgb3"].dead = true; world.mu.Unlock() })
		}
		_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
		if got := fault.MessageOf(err); !strings.HasSuffix(got, "It could not be undone on pgb3, where it may be in force: look there.") {
			t.Errorf("%q", got)
		}
		if list := world.pauses.list; len(list) != 1 || list[0].Pooler != "pgb3" {
			t.Errorf("%v", list)
		}
	})
}

func TestAResumeEndsEveryPauseOfThePoolerAndGoesOnPastADeadOne(t *testing.T) {
	world := newChain()
	world.poolers["pgb1"].whole, world.poolers["pgb1"].databases["app"] = true, true
	world.poolers["pgb2"].dead = true
	world.poolers["pgb3"].databases["other"] = true
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Resume})
	if got := fault.MessageOf(err); got != "resume of every pooler failed on pgb2. On the other hosts it is done and stays." {
		t.Errorf("%q", got)
	}
	for _, p := range world.poolers {
		if p.whole || p.databases["app"] || p.databases["other"] {
			t.Errorf("%s is paused", p.name)
		}
	}
}

func TestAResumeRemovesTheRecords(t *testing.T) {
	world := newChain()
	r := world.runbook()
	for _, o := range []Order{{Verb: Pause, Database: "app", Reason: "a test"}, {Verb: Resume, Database: "app"}} {
		world.poll()
		if out, err := r.Do(t.Context(), operator, o); err != nil {
			t.Fatalf("%+v %v", out, err)
		}
	}
	if len(world.pauses.list) > 0 || world.poolers["pgb1"].databases["app"] {
		t.Errorf("%v", world.pauses.list)
	}
}

func TestOneDatabaseIsNotResumedWhileTheWholePoolerIsPaused(t *testing.T) {
	world := newChain()
	world.poolers["pgb1"].whole = true
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Resume, Host: "pgb1", Database: "app"})
	if fault.CodeOf(err) != fault.Conflict || !world.poolers["pgb1"].whole {
		t.Errorf("%v", err)
	}
}

func TestOverduePausesEnd(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		sentence string
		paused   map[string]string // pooler -> database, "" is the whole
		records  []Paused
		dead     string
		ended    []string
		still    []string // paused after it
		left     int      // records
		err      bool
	}{
		{"one that is overdue ends", map[string]string{"pgb1": ""}, []Paused{{Pooler: "pgb1", Expires: now}}, "", []string{"pgb1"}, nil, 0, false},
		{"one that has time left does not", map[string]string{"pgb1": ""}, []Paused{{Pooler: "pgb1", Expires: now.Add(time.Millisecond)}}, "", nil, []string{"pgb1"}, 1, false},
		{"of every pooler, all that are overdue", map[string]string{"pgb1": "", "pgb2": "", "pgb3": ""},
			[]Paused{{Pooler: "pgb1", Expires: now}, {Pooler: "pgb2", Expires: now}, {Pooler: "pgb3", Expires: now.Add(time.Second)}},
			"", []string{"pgb1", "pgb2"}, []string{"pgb3"}, 1, false},
		{"that of one database", map[string]string{"pgb1": "app"}, []Paused{{Pooler: "pgb1", Database: "app", Expires: now}}, "", []string{"pgb1"}, nil, 0, false},
		{"that of one database ends nobody else's", map[string]string{"pgb1": "other"}, []Paused{{Pooler: "pgb1", Database: "app", Expires: now}}, "", nil, []string{"pgb1"}, 0, false},
		{"one that somebody ended is forgotten", nil, []Paused{{Pooler: "pgb1", Expires: now}}, "", nil, nil, 0, false},
		{"a pooler out of reach holds nobody else up, and keeps its record", map[string]string{"pgb1": "", "pgb2": ""},
			[]Paused{{Pooler: "pgb1", Expires: now}, {Pooler: "pgb2", Expires: now}}, "pgb1", []string{"pgb2"}, []string{"pgb1"}, 1, true},
		{"a pooler that left the inventory is forgotten", nil, []Paused{{Pooler: "pgb9", Expires: now}}, "", nil, nil, 0, false},
	} {
		world := newChain()
		for pooler, database := range c.paused {
			if err := world.poolers[pooler].order("PAUSE", database, true); err != nil {
				t.Fatal(err)
			}
		}
		world.pauses.list = c.records
		if c.dead != "" {
			world.poolers[c.dead].dead = true
		}
		r := world.runbook()
		got, err := r.ExpirePauses(t.Context(), now)
		var ended, still []string
		for _, p := range got.Ended {
			ended = append(ended, p.Pooler)
		}
		for _, name := range inv.PgBouncer.PoolerNames() {
			if p := world.poolers[name]; p.whole || p.databases["app"] || p.databases["other"] {
				still = append(still, name)
			}
		}
		if (err != nil) != c.err || !slices.Equal(ended, c.ended) || !slices.Equal(still, c.still) || len(world.pauses.list) != c.left {
			t.Errorf("%s: ended %v, still paused %v, %d records, %v", c.sentence, ended, still, len(world.pauses.list), err)
		}
		if len(world.journal.entries) != len(c.ended) {
			t.Errorf("%s: %d audit entries", c.sentence, len(world.journal.entries))
		}
		for _, e := range world.journal.entries {
			if !strings.HasSuffix(e.Detail[0], ": it ended by itself when its time was over") {
				t.Errorf("%s: the audit says %q", c.sentence, e.Detail)
			}
		}
		again, _ := r.ExpirePauses(t.Context(), now)
		if len(again.Ended) > 0 || len(world.journal.entries) != len(c.ended) {
			t.Errorf("%s: the second time it ended %v", c.sentence, again.Ended)
		}
	}
}

func TestAPauseThatNeverBeganIsForgottenOnlyOnceThePoolerHasReloaded(t *testing.T) {
	world := newChain()
	now := time.Now()
	world.pauses.list = []Paused{{Pooler: "pgb1", Expires: now}}
	r := world.runbook()
	for _, c := range []struct {
		sentence string
		stuck    bool
		left     int // records
	}{{"while it does not, its record stays", true, 1}, {"then it goes", false, 0}} {
		world.poolers["pgb1"].stuck = c.stuck
		if _, err := r.ExpirePauses(t.Context(), now); (err != nil) != c.stuck || len(world.pauses.list) != c.left {
			t.Errorf("%s: %v, %v", c.sentence, world.pauses.list, err)
		}
	}
}

func TestPausesEndInTimeWhilePostgreSQLIsAway(t *testing.T) {
	world := newChain()
	r := world.runbook()
	out, err := r.Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	monitor := world.runbook() // another program: it knows what the records say
	if _, err := monitor.ExpirePauses(t.Context(), out.Expires.Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	world.pauses.err, world.journal.err = errDead, errDead
	got, err := monitor.ExpirePauses(t.Context(), out.Expires)
	if !errors.Is(err, errDead) || len(got.Ended) != 3 {
		t.Errorf("%+v %v", got, err)
	}
	if world.poolers["pgb2"].whole {
		t.Error("pgb2 is paused")
	}
	world.poolers["pgb2"].whole = true // by hand: the record that ended is not this one's
	if again, _ := monitor.ExpirePauses(t.Context(), out.Expires.Add(time.Second)); len(again.Ended) > 0 || !world.poolers["pgb2"].whole {
		t.Errorf("it ended them again: %v", again.Ended)
	}
	world.poolers["pgb2"].whole = false
	world.pauses.err = nil
	if _, err := monitor.ExpirePauses(t.Context(), out.Expires.Add(2*time.Second)); err != nil || len(world.pauses.list) > 0 {
		t.Errorf("the records stay when PostgreSQL is back: %v %v", world.pauses.list, err)
	}
	if len(world.spool.entries) != 3 {
		t.Errorf("%d entries wait for the audit", len(world.spool.entries))
	}
}

func TestAPauseNobodyRecordedIsReportedAndLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.poolers["pgb2"].whole = true
		world.poolers["pgb3"].databases["app"] = true
		world.pauses.list = []Paused{{Pooler: "pgb3", Database: "app", Expires: time.Now().Add(time.Hour)}}
		world.poll()
		r := world.runbook()
		began := time.Now()
		for _, c := range []struct {
			at     time.Duration
			strays int
		}{{0, 0}, {strayGrace, 0}, {strayGrace + time.Second, 1}, {strayGrace + 2*time.Second, 1}} {
			got, err := r.ExpirePauses(t.Context(), began.Add(c.at))
			if err != nil || len(got.Strays) != c.strays {
				t.Fatalf("after %s: %+v %v", c.at, got, err)
			}
			if c.strays == 1 && got.Strays[0] != (Stray{"pgb2", "*", began}) {
				t.Errorf("after %s: %+v", c.at, got.Strays)
			}
		}
		if !world.poolers["pgb2"].whole {
			t.Error("pgb2 was resumed")
		}
		world.poolers["pgb2"].whole = false
		world.poll()
		if got, _ := r.ExpirePauses(t.Context(), began.Add(time.Minute)); len(got.Strays) > 0 {
			t.Errorf("ended, and still reported: %v", got.Strays)
		}
	})
}

func TestAPauseThatCouldNotBeEndedInTimeIsLateInTheAudit(t *testing.T) {
	world := newChain()
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	if err := world.poolers["pgb1"].order("PAUSE", "", true); err != nil {
		t.Fatal(err)
	}
	world.pauses.list = []Paused{{Pooler: "pgb1", By: "ada@example.org", At: now.Add(-time.Minute), Expires: now.Add(-30 * time.Second)}}
	if _, err := world.runbook().ExpirePauses(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got := world.journal.entries[0].Detail[0]; got != "pause of pgb1 by ada@example.org at 2026-05-01 11:59:00: it ended by itself, 30 s late" {
		t.Errorf("%q", got)
	}
}

func TestWhoPausedWhatIsKnownWhilePostgreSQLIsAway(t *testing.T) {
	world := newChain()
	r := world.runbook()
	world.pauses.err = errDead
	if _, err := r.Paused(t.Context()); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("before anything was read: %v", err)
	}
	world.pauses.err = nil
	if _, err := r.Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"}); err != nil {
		t.Fatal(err)
	}
	world.pauses.err = errDead
	list, err := r.Paused(t.Context())
	if err != nil || len(list) != 3 || list[0].By != operator.Name || list[0].Reason != "a test" || list[0].Expires.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWhyAPoolerDidNotObeyIsSaidWithoutTheDriversWords(t *testing.T) {
	world := newChain()
	world.poolers["pgb2"].why = fmt.Errorf("RELOAD on pgb2: %w",
		fmt.Errorf("failed to connect to `user=weir_admin database=pgbouncer`: 192.168.1.22:6432 (192.168.1.22): dial error: %w", syscall.ECONNREFUSED))
	world.poll()
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Reload, Host: "pgb2", Reason: "a test"})
	if err == nil || !slices.Contains(out.Detail, "pgb2: reload failed: RELOAD on pgb2: connection refused") {
		t.Errorf("%q, %v", out.Detail, err)
	}
}
