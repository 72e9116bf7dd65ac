package incident

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

// Each row is one sentence: what happens to the chain, and exactly what is said, in this order.
func TestWhatIsSaid(t *testing.T) {
	tests := []struct {
		sentence string
		happens  func(*watch)
		want     []string
	}{
		{"a pooler killed and back is opened and resolved", func(w *watch) {
			w.kill("pgb2")
			w.pass(10 * time.Second)
			w.mend("pgb2")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2"}},
		{"a pooler that hangs and is then killed is one incident by another title", func(w *watch) {
			w.freeze("pgb2")
			w.pass(5 * time.Second)
			w.kill("pgb2")
			w.pass(5 * time.Second)
			w.mend("pgb2")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb2", "changed pooler-down/pgb2", "resolved pooler-down/pgb2"}},
		{"a pooler that restarts every 3 s for a minute is one incident that flaps", func(w *watch) {
			for range 20 {
				w.kill("pgb2")
				w.pass(time.Second)
				w.mend("pgb2")
				w.pass(2 * time.Second)
			}
			w.pass(3 * time.Minute)
		}, []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2", "reopened pooler-down/pgb2", "flapping pooler-down/pgb2", "resolved pooler-down/pgb2"}},
		{"a pooler that flaps and then stays away is told again", func(w *watch) {
			for range 5 {
				w.kill("pgb2")
				w.pass(time.Second)
				w.mend("pgb2")
				w.pass(2 * time.Second)
			}
			w.kill("pgb2")
			w.pass(2 * time.Minute)
		}, []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2", "reopened pooler-down/pgb2", "flapping pooler-down/pgb2", "escalated pooler-down/pgb2"}},
		{"a flap that no poll saw is said once, though both HAProxies counted it", func(w *watch) {
			for _, n := range w.node {
				row := n.rows["pgb2"]
				row.CheckDowns, row.CheckFails = row.CheckDowns+1, row.CheckFails+2
				n.rows["pgb2"] = row
			}
			w.pass(2 * time.Minute)
		}, []string{"first pooler-down/pgb2"}},
		{"a pooler that flaps between all polls flaps", func(w *watch) {
			for range 4 {
				row := w.node["haproxy1"].rows["pgb2"]
				row.CheckDowns, row.CheckFails = row.CheckDowns+1, row.CheckFails+2
				w.node["haproxy1"].rows["pgb2"] = row
				w.pass(10 * time.Second)
			}
			w.pass(2 * time.Minute)
		}, []string{"first pooler-down/pgb2", "reopened pooler-down/pgb2", "resolved pooler-down/pgb2"}},
		{"a pooler that dies faster than it is looked at flaps by HAProxy's count", func(w *watch) {
			for i := range int64(4) { // the first look is what the others are compared with
				row := w.node["haproxy1"].rows["pgb2"]
				row.CheckDowns, row.CheckFails, row.Downs, row.Fails = i, 2*i, []int64{i}, []int64{2 * i}
				w.node["haproxy1"].rows["pgb2"] = row
				w.pass(time.Second)
			}
			w.pass(3 * time.Second)
			if i := w.incident("pooler-down/pgb2"); i.State != Flapping {
				w.t.Errorf("state %s", i.State)
			}
			w.pass(2 * time.Minute)
		}, []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2"}},
		{"an outage soon after planned work is an incident of its own", func(w *watch) {
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK", "haproxy1", "haproxy2")
			w.pass(20 * time.Second)
			w.haproxySays("pgb1", haproxy.Up, haproxy.Ready, "L7OK", "haproxy1", "haproxy2")
			w.pass(20 * time.Second)
			w.kill("pgb1")
			w.pass(10 * time.Second)
			if i := w.incident("pooler-down/pgb1"); w.ids != 2 || i.Flaps != 0 || w.now.Sub(i.OpenedAt) > 15*time.Second {
				w.t.Errorf("%d incidents; this one opened %s ago, and came back %d times", w.ids, w.now.Sub(i.OpenedAt), i.Flaps)
			}
			w.mend("pgb1")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb1", "resolved pooler-down/pgb1"}},
		{"planned work soon after an outage, or long after, is an incident of its own", func(w *watch) {
			for i, quiet := range []time.Duration{20 * time.Second, 10 * time.Minute} {
				w.kill("pgb1")
				w.pass(10 * time.Second)
				w.mend("pgb1")
				w.pass(quiet)
				over := w.incident("pooler-down/pgb1")
				w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK", "haproxy1", "haproxy2")
				w.pass(20 * time.Second)
				work := w.incident("pooler-down/pgb1")
				if over.Open() || over.Planned || work.ID == over.ID || w.ids != 2*i+2 || !work.Planned || w.now.Sub(work.OpenedAt) > 30*time.Second {
					w.t.Errorf("%d incidents; the outage is %+v, the work %+v", w.ids, over, work)
				}
				w.haproxySays("pgb1", haproxy.Up, haproxy.Ready, "L7OK", "haproxy1", "haproxy2")
				w.pass(10 * time.Minute)
			}
		}, []string{"first pooler-down/pgb1", "resolved pooler-down/pgb1", "first pooler-down/pgb1", "resolved pooler-down/pgb1"}},
		{"moves of the VIP that were ordered are not part of one that was not, and no flapping", func(w *watch) {
			w.moveVIP("haproxy1", "haproxy2")
			w.pass(10 * time.Second)
			first := w.incident(string(VIPMoved))
			for _, way := range [][2]string{{"haproxy2", "haproxy1"}, {"haproxy1", "haproxy2"}, {"haproxy2", "haproxy1"}} {
				w.node[way[0]].state.Hold, w.node[way[1]].state.Hold = true, false
				w.moveVIP(way[0], way[1])
				w.pass(10 * time.Second)
				if i := w.incident(string(VIPMoved)); i.Open() || !i.Planned || i.ID == first.ID {
					w.t.Errorf("%+v", i)
				}
			}
			w.pass(3 * time.Minute)
		}, []string{"first vip-moved"}},
		{"a VIP that moves there and back is told both times, and an end that is told is not told again", func(w *watch) {
			w.moveVIP("haproxy1", "haproxy2")
			w.pass(30 * time.Second)
			w.moveVIP("haproxy2", "haproxy1")
			w.pass(5 * time.Minute)
		}, []string{"first vip-moved", "reopened vip-moved"}},
		{"both HAProxies dead, one noticed a moment before the other, is one incident", func(w *watch) {
			w.node["haproxy2"].err = errRefused
			w.pass(time.Second)
			w.node["haproxy1"].err = errRefused
			w.through = errRefused
			w.pass(20 * time.Second)
			w.node["haproxy1"].err, w.node["haproxy2"].err, w.through = nil, nil, nil
			w.pass(time.Minute)
		}, []string{"first no-haproxy", "resolved no-haproxy"}},
		{"putting a pooler into maint and back again and again is no alarm, also faster than it is looked at", func(w *watch) {
			count := func(state haproxy.State, admin haproxy.Admin, more int64) {
				w.haproxySays("pgb1", state, admin, "L7OK")
				for _, n := range w.node {
					row := n.rows["pgb1"]
					row.CheckDowns += more
					row.Downs, row.Fails = []int64{row.CheckDowns}, []int64{row.CheckFails}
					n.rows["pgb1"] = row
				}
			}
			count(haproxy.Up, haproxy.Ready, 0)
			for range 4 {
				w.pass(5 * time.Second)
				count(haproxy.NotChecked, haproxy.Maint, 0)
				w.pass(5 * time.Second)
				count(haproxy.Up, haproxy.Ready, 0)
				w.pass(5 * time.Second)
				count(haproxy.Up, haproxy.Ready, 1)
			}
			w.pass(time.Minute)
			if i := w.incident("pooler-down/pgb1"); i.State != OK || i.Flaps != 0 || !i.Planned {
				w.t.Errorf("%+v", i)
			}
		}, nil},
		{"draining a pooler and setting it ready is no alarm", func(w *watch) {
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK", "haproxy1")
			w.pass(time.Second)
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK")
			w.pass(time.Minute)
			w.haproxySays("pgb1", haproxy.Up, haproxy.Ready, "L7OK")
			w.pass(time.Minute)
		}, nil},
		{"restarting a drained pooler is no alarm, though DOWN hides the drain", func(w *watch) {
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK")
			w.pass(10 * time.Second)
			w.kill("pgb1")
			w.pass(10 * time.Second)
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK")
			w.pool["pgb1"].err, w.pool["pgb1"].total = nil, 0
			w.pass(10 * time.Second)
			w.mend("pgb1")
			w.pass(time.Minute)
		}, nil},
		{"a drained pooler that stays away for a quarter of an hour is told", func(w *watch) {
			w.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK")
			w.pass(10 * time.Second)
			w.kill("pgb1")
			w.passSlowly(16 * time.Minute)
		}, []string{"first pooler-down/pgb1"}},
		{"a pooler that went down and is then taken into maintenance says so", func(w *watch) {
			w.kill("pgb1")
			w.pass(10 * time.Second)
			w.haproxySays("pgb1", haproxy.NotChecked, haproxy.Maint, "")
			w.pass(time.Minute)
			w.mend("pgb1")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb1", "planned pooler-down/pgb1", "resolved pooler-down/pgb1"}},
		{"PostgreSQL killed and back is one incident, with the clients that wait as symptoms", func(w *watch) {
			w.killPostgres()
			for _, p := range w.pool {
				p.view.Pools[0].ClWaiting, p.view.Pools[0].MaxWait = 50, 20*time.Second
			}
			w.pass(20 * time.Second)
			w.startPostgres()
			w.pass(2 * time.Second)
			for _, p := range w.pool {
				p.view.Pools[0].ClWaiting, p.view.Pools[0].MaxWait = 0, 0
			}
			w.pass(2 * time.Minute)
		}, []string{"first postgres-down", "resolved postgres-down"}},
		{"PostgreSQL restarted behind paused pools is no alarm", func(w *watch) {
			for _, p := range w.pool {
				p.view.State = pgbouncer.State{Paused: true}
			}
			w.pass(2 * time.Second)
			w.killPostgres()
			w.pass(2 * time.Second)
			w.startPostgres()
			w.pass(2 * time.Second)
			for _, p := range w.pool {
				p.view.State = pgbouncer.State{Active: true}
			}
			w.pass(time.Minute)
		}, nil},
		{"nor is it behind pools of which every application's is paused", func(w *watch) {
			w.pause([]string{"app", "reports"}, "weir")
			w.pass(2 * time.Second)
			w.killPostgres()
			w.pass(5 * time.Second)
			w.startPostgres()
			w.pass(2 * time.Second)
			w.pause(nil, "app", "reports", "weir")
			w.pass(time.Minute)
		}, nil},
		{"PostgreSQL killed while one database of two is paused is told", func(w *watch) {
			w.pause([]string{"reports"}, "app", "weir")
			w.pass(2 * time.Second)
			w.killPostgres()
			w.pass(20 * time.Second)
		}, []string{"first postgres-down"}},
		{"so it is while only Weir's own is", func(w *watch) {
			w.pause([]string{"weir"}, "app")
			w.pass(2 * time.Second)
			w.killPostgres()
			w.pass(20 * time.Second)
		}, []string{"first postgres-down"}},
		{"a pause that nobody ends is told before its clients are disconnected", func(w *watch) {
			w.pool["pgb1"].view.State = pgbouncer.State{Paused: true}
			w.pass(115 * time.Second)
		}, []string{"first pause-forgotten"}},
		{"a pause of 100 s, the longest that can be ordered, is no alarm", func(w *watch) {
			w.pool["pgb1"].view.State = pgbouncer.State{Paused: true}
			w.pass(100 * time.Second)
			w.pool["pgb1"].view.State = pgbouncer.State{Active: true}
			w.pass(30 * time.Second)
		}, nil},
		{"HAProxy killed on the holder and restarted is a VIP that moved, and nothing else", func(w *watch) {
			w.node["haproxy1"].err = errRefused
			w.pass(time.Second)
			w.moveVIP("haproxy1", "haproxy2")
			w.node["haproxy1"].err = nil
			w.node["haproxy1"].state.VRRP = "FAULT"
			w.pass(time.Second)
			w.node["haproxy1"].state.VRRP = "BACKUP"
			w.pass(2 * time.Minute)
		}, []string{"first vip-moved"}},
		{"an ordered move of the VIP is no alarm", func(w *watch) {
			w.node["haproxy1"].state.Hold = true
			w.pass(time.Second)
			w.moveVIP("haproxy1", "haproxy2")
			w.pass(5 * time.Second)
			w.node["haproxy1"].state.Hold = false
			w.pass(time.Minute)
		}, nil},
		{"two nodes read half a move apart are not two holders", func(w *watch) {
			w.node["haproxy2"].state.VIP = true
			w.pass(time.Second)
			w.moveVIP("haproxy1", "haproxy2")
			w.pass(time.Minute)
		}, []string{"first vip-moved"}},
		{"two holders are told once, with the dead keepalived as a symptom", func(w *watch) {
			w.node["haproxy2"].state.VIP, w.node["haproxy2"].state.VRRP = true, "MASTER"
			w.pass(3 * time.Second)
			w.node["haproxy1"].state.Keepalived = false
			w.pass(20 * time.Second)
			w.node["haproxy1"].state.VIP, w.node["haproxy1"].state.Keepalived = false, true
			w.pass(time.Minute)
		}, []string{"first vip-twice", "resolved vip-twice", "first vip-moved"}},
		{"keepalived killed on the standby is redundancy lost, once", func(w *watch) {
			w.node["haproxy2"].state.Keepalived = false
			w.pass(20 * time.Second)
			w.node["haproxy2"].state.Keepalived = true
			w.pass(time.Minute)
		}, []string{"first keepalived-dead/haproxy2", "resolved keepalived-dead/haproxy2"}},
		{"a HAProxy that has just started and does not know keepalived yet is no alarm", func(w *watch) {
			w.node["haproxy2"].state.Keepalived, w.node["haproxy2"].state.VRRP = false, "UNKNOWN"
			w.pass(2 * time.Second)
			w.node["haproxy2"].state.Keepalived, w.node["haproxy2"].state.VRRP = true, "BACKUP"
			w.pass(time.Minute)
		}, nil},
		{"a VIP that nobody holds for long is told, and its end says where it went", func(w *watch) {
			w.node["haproxy1"].state.VIP, w.through = false, errTimeout
			w.pass(10 * time.Second)
			w.moveVIP("haproxy1", "haproxy2")
			w.through = nil
			w.pass(time.Minute)
		}, []string{"first vip-nobody", "resolved vip-nobody"}},
		{"a monitor whose network is cut is blind, and forgets nothing that was wrong before", func(w *watch) {
			w.kill("pgb2")
			w.pass(5 * time.Second)
			w.cutMonitor(errTimeout)
			w.pass(30 * time.Second)
			w.cutMonitor(nil)
			w.pool["pgb2"].err = errRefused
			w.pass(5 * time.Second)
			w.mend("pgb2")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb2", "first monitor-blind", "resolved monitor-blind", "resolved pooler-down/pgb2"}},
		{"all poolers down is one incident more, and theirs end with it", func(w *watch) {
			w.kill("pgb1")
			w.pass(5 * time.Second)
			w.kill("pgb2")
			w.kill("pgb3")
			w.pass(10 * time.Second)
			w.mend("pgb1")
			w.mend("pgb2")
			w.mend("pgb3")
			w.pass(time.Minute)
		}, []string{"first pooler-down/pgb1", "first no-pooler", "resolved pooler-down/pgb1", "resolved no-pooler"}},
		{"a wait that grows is escalated once", func(w *watch) {
			pool := w.pool["pgb1"].view.Pools
			for wait := 4 * time.Second; wait < 20*time.Second; wait += time.Second {
				pool[0].MaxWait = wait
				w.pass(time.Second)
			}
			pool[0].MaxWait = 0
			w.pass(time.Minute)
		}, []string{"first clients-waiting", "escalated clients-waiting", "resolved clients-waiting"}},
		{"a number that dances about its limit is one incident", func(w *watch) {
			for i := range 60 {
				w.probe.Connections = 199 + i%20/10
				w.pass(time.Second)
			}
			if i := w.incident("connections-high"); i.Flaps != 0 || !i.Since.Equal(i.OpenedAt) {
				w.t.Errorf("it came back %d times, since %s, opened %s", i.Flaps, i.Since, i.OpenedAt)
			}
			w.probe.Connections = 10
			w.pass(2 * time.Minute)
		}, []string{"first connections-high", "resolved connections-high"}},
		{"what lasts is called back to mind three times", func(w *watch) {
			w.kill("pgb2")
			w.pass(time.Minute)
			w.passSlowly(24 * time.Hour)
		}, []string{"first pooler-down/pgb2", "reminder pooler-down/pgb2", "reminder pooler-down/pgb2", "reminder pooler-down/pgb2"}},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			w := watching(t)
			test.happens(w)
			if !slices.Equal(w.said, test.want) {
				t.Errorf("said\n  %s\nwant\n  %s", strings.Join(w.said, "\n  "), strings.Join(test.want, "\n  "))
			}
		})
	}
}

func TestAPoolerThatRestartsEveryThreeSecondsIsOneIncident(t *testing.T) {
	w := watching(t)
	for range 20 {
		w.kill("pgb2")
		w.pass(time.Second)
		w.mend("pgb2")
		w.pass(2 * time.Second)
	}
	i := w.incident("pooler-down/pgb2")
	if w.ids != 1 || i.State != Flapping || i.Flaps != 19 {
		t.Errorf("%d incidents, state %s, %d flaps; want one that flaps, and came back 19 times", w.ids, i.State, i.Flaps)
	}
	for n, tr := range w.did {
		if tr.Incident.Seq != int64(n+1) {
			t.Fatalf("transition %d (%s) has number %d", n+1, tr.Kind, tr.Incident.Seq)
		}
	}
}

func TestAFlappingIncidentSaysSinceWhenItIsThereAgainOrGone(t *testing.T) {
	w := watching(t)
	for range 4 {
		w.kill("pgb2")
		w.pass(time.Second)
		w.mend("pgb2")
		w.pass(2 * time.Second)
	}
	i := w.incident("pooler-down/pgb2")
	if up := w.now.Sub(i.Gone); i.State != Flapping || up <= 0 || up > 2*time.Second {
		t.Errorf("state %s; it was gone at %s, which is %s ago, and came back 2 s ago", i.State, i.Gone, up)
	}
	w.kill("pgb2")
	fell := w.now
	w.pass(2 * time.Second)
	if i = w.incident("pooler-down/pgb2"); !i.Gone.IsZero() || i.Since.Before(fell) {
		t.Errorf("it fell again at %s: since %s, gone %s", fell, i.Since, i.Gone)
	}
	if !strings.Contains(i.Action, "journalctl -u pgbouncer") {
		t.Errorf("to start it again is no help: %s", i.Action)
	}
	w.mend("pgb2")
	w.pass(3 * time.Minute)
	if i = w.incident("pooler-down/pgb2"); i.Open() || !i.Gone.IsZero() {
		t.Errorf("state %s, gone %s; want it resolved", i.State, i.Gone)
	}
}

func TestWhatFallsFasterThanItIsLookedAtCameBackAsOftenAsHAProxyCounts(t *testing.T) {
	w := watching(t)
	for i := range int64(5) {
		row := w.node["haproxy1"].rows["pgb2"]
		row.CheckDowns, row.CheckFails, row.Downs, row.Fails = 2*i, 4*i, []int64{2 * i}, []int64{4 * i}
		w.node["haproxy1"].rows["pgb2"] = row
		w.pass(time.Second)
	}
	w.pass(5 * time.Second)
	if i := w.incident("pooler-down/pgb2"); i.State != Flapping || i.Flaps < 5 {
		t.Errorf("HAProxy counted 8 falls: state %s, came back %d times", i.State, i.Flaps)
	}
}

func TestHowLongAnIncidentLastedIsWithoutTheTimeWhenItWasOver(t *testing.T) {
	const part, rest = 5 * time.Second, 100 * time.Second
	w := watching(t)
	for range 3 {
		w.kill("pgb2")
		w.pass(part)
		w.mend("pgb2")
		w.pass(rest)
	}
	i := w.incident("pooler-down/pgb2")
	if w.ids != 1 || i.Open() || i.Flaps != 2 {
		t.Fatalf("%d incidents, state %s, came back %d times", w.ids, i.State, i.Flaps)
	}
	// It comes and goes 1.5 s after the pooler does; the second and third end is believed after some seconds.
	if lasted := i.Lasted(w.now); lasted < 3*part || lasted > 3*part+20*time.Second || i.ResolvedAt.Sub(i.OpenedAt) < 2*rest {
		t.Errorf("thrice for 5 s, from %s to %s: lasted %s", i.OpenedAt, i.ResolvedAt, lasted)
	}
	w.kill("pgb2")
	w.pass(part)
	if i = w.incident("pooler-down/pgb2"); !i.Open() || i.Lasted(w.now) > 4*part+20*time.Second {
		t.Errorf("state %s, has lasted %s", i.State, i.Lasted(w.now))
	}
}

func TestAnIncidentThatFlapsLastsFromItsFirstTimeToItsLast(t *testing.T) {
	w := watching(t)
	for range 20 {
		w.kill("pgb2")
		w.pass(time.Second)
		w.mend("pgb2")
		w.pass(2 * time.Second)
	}
	w.pass(3 * time.Minute)
	// It was resolved once, before it was known to flap.
	if i := w.incident("pooler-down/pgb2"); i.Open() || i.Lasted(w.now) < 55*time.Second || i.Well > 3*time.Second || i.Lasted(w.now)+i.Well != i.ResolvedAt.Sub(i.OpenedAt) {
		t.Errorf("state %s, from %s to %s: lasted %s, was over for %s", i.State, i.OpenedAt, i.ResolvedAt, i.Lasted(w.now), i.Well)
	}
}

// What a monitor of before wrote knows of no time between.
func TestAnIncidentOfAnOlderBookLastedAsAWhole(t *testing.T) {
	var i Incident
	if err := json.Unmarshal([]byte(`{"id": "x", "state": "ok", "flaps": 1, "opened_at": "2026-11-23T10:00:00Z", "since": "2026-11-23T10:01:50Z", "resolved_at": "2026-11-23T10:02:00Z"}`), &i); err != nil {
		t.Fatal(err)
	}
	if i.Lasted(time.Now()) != 2*time.Minute {
		t.Errorf("lasted %s", i.Lasted(time.Now()))
	}
}

func TestAnIncidentAfterAQuietWhileIsANewOne(t *testing.T) {
	w := watching(t)
	for range 2 {
		w.kill("pgb2")
		w.pass(5 * time.Second)
		w.mend("pgb2")
		w.pass(3 * time.Minute)
	}
	if w.ids != 2 {
		t.Errorf("%d incidents, want 2", w.ids)
	}
}

func TestPostgresDownNamesItsSymptoms(t *testing.T) {
	w := watching(t)
	w.killPostgres()
	w.pool["pgb1"].view.Pools[0].MaxWait = 20 * time.Second
	w.pass(10 * time.Second)
	if got := w.incident("postgres-down").Symptoms; !slices.Equal(got, []string{"clients-waiting"}) {
		t.Errorf("symptoms %v", got)
	}
	if w.ids != 1 {
		t.Errorf("%d incidents", w.ids)
	}
}

func TestASymptomThatOutlivesItsRootIsToldOnItsOwn(t *testing.T) {
	w := watching(t)
	w.killPostgres()
	w.kill("pgb1")
	w.pass(10 * time.Second)
	w.startPostgres()
	w.pass(4 * time.Second)
	if want := []string{"first postgres-down", "resolved postgres-down"}; !slices.Equal(w.said, want) {
		t.Fatalf("said %q before the grace was over", w.said)
	}
	w.pass(4 * time.Second)
	if last := w.said[len(w.said)-1]; last != "first pooler-down/pgb1" {
		t.Errorf("said %q", w.said)
	}
}

func TestTheVIPMoveSaysHowLongNobodyHeldIt(t *testing.T) {
	w := watching(t)
	w.node["haproxy1"].state.VIP = false
	w.pass(time.Second)
	w.moveVIP("haproxy1", "haproxy2")
	w.pass(time.Second)
	i := w.incident("vip-moved")
	if i.Title != "VIP moved from haproxy1 to haproxy2" || !strings.HasPrefix(i.Impact, "Nobody was seen holding it for at most 2.0 s.") {
		t.Errorf("%s: %s", i.Title, i.Impact)
	}
}

func TestAVIPThatTwoHeldOnItsWayWasHeld(t *testing.T) {
	w := watching(t)
	w.node["haproxy2"].state.VIP, w.node["haproxy2"].state.VRRP = true, "MASTER"
	w.pass(4 * time.Second)
	w.moveVIP("haproxy1", "haproxy2")
	w.pass(2 * time.Second)
	if i := w.incident("vip-moved"); !strings.HasPrefix(i.Impact, "Both held it for at most 5.0 s.") {
		t.Error(i.Impact)
	}
}

func TestAnOrderedMoveOfTheVIPAsksNobodyWhyItMoved(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		w := watching(t)
		w.node["haproxy1"].state.Hold = ordered
		w.pass(time.Second)
		w.moveVIP("haproxy1", "haproxy2")
		w.pass(time.Second)
		if i := w.incident("vip-moved"); strings.Contains(i.Action, "release the hold on haproxy1") != ordered || strings.Contains(i.Action, "See why") == ordered {
			t.Errorf("ordered %t: %s", ordered, i.Action)
		}
	}
}

func TestAPoolerThatComesBackIsStillCalledWhatItWas(t *testing.T) {
	w := watching(t)
	w.freeze("pgb2")
	w.pass(5 * time.Second)
	w.pool["pgb2"].err = nil
	w.haproxySays("pgb2", haproxy.Down, haproxy.Ready, "* L7OK")
	w.pass(2 * time.Second)
	if i := w.incident("pooler-down/pgb2"); i.Title != "pgb2 hung" || i.Kind != PoolerHung {
		t.Errorf("%s, %s", i.Kind, i.Title)
	}
	w.mend("pgb2")
	w.pass(10 * time.Second)
	if want := []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2"}; !slices.Equal(w.said, want) {
		t.Errorf("said %q", w.said)
	}
}

func TestAPoolerThatIsSeenOnlyWhenItComesBackIsToldAllTheSame(t *testing.T) {
	w := watching(t)
	w.haproxySays("pgb2", haproxy.Down, haproxy.Ready, "L7OK")
	w.pass(time.Second)
	w.mend("pgb2")
	w.pass(10 * time.Second)
	if want := []string{"first pooler-down/pgb2", "resolved pooler-down/pgb2"}; !slices.Equal(w.said, want) {
		t.Errorf("said %q", w.said)
	}
}

func TestNoHAProxyIsOverWhenAQueryPasses(t *testing.T) {
	w := watching(t)
	w.node["haproxy1"].err, w.node["haproxy2"].err, w.through = errRefused, errRefused, errTimeout
	w.pass(5 * time.Second)
	w.node["haproxy1"].err, w.node["haproxy2"].err = nil, nil
	w.node["haproxy1"].state.VIP = false
	w.pass(2 * time.Second)
	if want := []string{"first no-haproxy"}; !slices.Equal(w.said, want) {
		t.Errorf("while nobody holds the VIP: said %q", w.said)
	}
	w.node["haproxy1"].state.VIP = true
	w.pass(2 * time.Second)
	w.through = nil
	w.pass(time.Minute)
	if want := []string{"first no-haproxy", "resolved no-haproxy"}; !slices.Equal(w.said, want) {
		t.Errorf("said %q", w.said)
	}
}

func TestHAProxiesThatReturnWithoutTheVIPAreAnotherIncident(t *testing.T) {
	w := watching(t)
	w.node["haproxy1"].err, w.node["haproxy2"].err, w.through = errRefused, errRefused, errTimeout
	w.pass(5 * time.Second)
	w.node["haproxy1"].err, w.node["haproxy2"].err = nil, nil
	w.node["haproxy1"].state.VIP = false
	w.pass(20 * time.Second)
	if want := []string{"first no-haproxy", "resolved no-haproxy", "first vip-nobody"}; !slices.Equal(w.said, want) {
		t.Errorf("said %q", w.said)
	}
}

func TestAKeepalivedThatEndedIsBelievedBeforeItsHeartbeatRunsOut(t *testing.T) {
	for _, row := range []struct {
		sentence string
		ended    time.Duration
		want     []string
	}{
		{"one that is started again at once is nothing", time.Second, nil},
		{"one that stays away is", 3 * time.Second, []string{"first keepalived-dead/haproxy2", "resolved keepalived-dead/haproxy2"}},
	} {
		w := watching(t)
		w.node["haproxy2"].state.VRRP = "STOP"
		began := w.now.Add(time.Second)
		w.pass(row.ended)
		if e := w.book.Entries["keepalived-dead/haproxy2"]; row.want != nil && !e.Incident.OpenedAt.Equal(began) {
			t.Errorf("%s: since %s, not %s", row.sentence, e.Incident.OpenedAt, began)
		}
		w.node["haproxy2"].state.VRRP = "BACKUP"
		w.pass(time.Minute)
		if !slices.Equal(w.said, row.want) {
			t.Errorf("%s: said %q", row.sentence, w.said)
		}
	}
}

func TestAHAProxyThatHangsIsHungForAsLongAsItIsSilent(t *testing.T) {
	w := watching(t)
	w.node["haproxy2"].err = fmt.Errorf("get /vrrp of haproxy on haproxy2: %w", haproxy.ErrSilent)
	w.pass(5 * time.Second)
	w.node["haproxy2"].err = errTimeout // its queue is full
	w.pass(5 * time.Second)
	if i := w.incident("haproxy-unreachable/haproxy2"); i.Title != "haproxy2 hung" || !i.Open() {
		t.Errorf("%s, open %t", i.Title, i.Open())
	}
	w.node["haproxy2"].err = errRefused // somebody has killed it
	w.pass(2 * time.Second)
	if i := w.incident("haproxy-unreachable/haproxy2"); i.Title != "haproxy2 down" {
		t.Error(i.Title)
	}
}

func TestWhatWasThereLongBeforeIsNoSymptom(t *testing.T) {
	for after, want := range map[time.Duration][]string{15 * time.Second: nil, 3 * time.Second: {"pooler-down/pgb2"}} {
		w := watching(t)
		w.kill("pgb2")
		w.pass(after)
		w.killPostgres()
		w.pass(5 * time.Second)
		if i := w.incident("postgres-down"); !slices.Equal(i.Symptoms, want) {
			t.Errorf("%s after pgb2: symptoms %q", after, i.Symptoms)
		}
	}
}

func TestARestartedMonitorContinuesTheSameIncidentsAndSaysNothingTwice(t *testing.T) {
	w := watching(t)
	w.kill("pgb2")
	w.pass(3 * time.Second)
	w.killPostgres()
	w.pass(10 * time.Second)
	said := len(w.said)

	saved, err := json.Marshal(w.book)
	if err != nil {
		t.Fatal(err)
	}
	w.book = Book{}
	if err := json.Unmarshal(saved, &w.book); err != nil {
		t.Fatal(err)
	}
	w.s = healthy().s // nothing has been read yet
	w.decide()
	w.pass(20 * time.Second)
	if w.ids != 2 || len(w.said) != said {
		t.Errorf("%d incidents, said %q", w.ids, w.said)
	}
	w.mend("pgb2")
	w.startPostgres()
	w.pass(10 * time.Second)
	if !slices.Equal(w.said[said:], []string{"resolved pooler-down/pgb2", "resolved postgres-down"}) {
		t.Errorf("said %q after the end", w.said[said:])
	}
}

func TestABookSurvivesItsFile(t *testing.T) {
	w := watching(t)
	w.kill("pgb2")
	w.pass(3 * time.Second)
	saved, _ := json.Marshal(w.book)
	var back Book
	if err := json.Unmarshal(saved, &back); err != nil {
		t.Fatal(err)
	}
	again, _ := json.Marshal(back)
	if string(again) != string(saved) {
		t.Errorf("wrote\n%s\nread\n%s", saved, again)
	}
}

func TestAdvanceChangesNothingOfTheBookBefore(t *testing.T) {
	w := watching(t)
	w.kill("pgb2")
	w.pass(3 * time.Second)
	before := w.book
	copied := Book{Entries: maps.Clone(before.Entries), Holder: before.Holder}
	text, _ := json.Marshal(before)
	w.mend("pgb2")
	w.pass(30 * time.Second)
	after, _ := json.Marshal(before)
	if !reflect.DeepEqual(before, copied) || string(text) != string(after) {
		t.Error("the book of before has changed")
	}
}

func TestTheEndOfAnIncidentIsSaidAlsoWhereAnotherOfItsCauseCameDuringASilence(t *testing.T) {
	for _, test := range []struct {
		sentence string
		again    func(*watch)
		want     []string // after the silence
	}{
		{"it went down again", func(w *watch) { w.kill("pgb2") }, []string{"resolved pooler-down/pgb2", "first pooler-down/pgb2"}},
		{"an operator took it out", func(w *watch) { w.haproxySays("pgb2", haproxy.Up, haproxy.Drain, "L7OK", "haproxy1", "haproxy2") }, []string{"resolved pooler-down/pgb2"}},
	} {
		w := watching(t)
		w.kill("pgb2")
		w.pass(5 * time.Second)
		first := w.incident("pooler-down/pgb2")
		w.wishes.Silences = []Silence{{Cause: "*", From: w.now, Until: w.now.Add(time.Hour)}}
		w.mend("pgb2")
		w.pass(5 * time.Minute)
		test.again(w)
		w.pass(10 * time.Second)
		saved, _ := json.Marshal(w.book)
		w.book = Book{}
		if err := json.Unmarshal(saved, &w.book); err != nil {
			t.Fatal(err)
		}
		said := len(w.said)
		w.wishes.Silences = nil
		w.pass(2 * time.Second)
		if got := w.said[said:]; !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(test.want))) {
			t.Errorf("%s: said %q, want %q", test.sentence, got, test.want)
		}
		for _, i := range w.book.Incidents() {
			if i.ID == first.ID {
				t.Errorf("%s: the book still has %+v", test.sentence, i)
			}
		}
	}
}

func TestAResolvedIncidentLeavesTheBookOnlyWhenItWasSaid(t *testing.T) {
	w := watching(t)
	w.kill("pgb2")
	w.pass(5 * time.Second)
	w.wishes.Silences = []Silence{{Cause: "*", From: w.now, Until: w.now.Add(time.Hour)}}
	w.mend("pgb2")
	w.passSlowly(30 * time.Minute)
	if len(w.said) != 1 {
		t.Fatalf("said %q in a silence", w.said)
	}
	w.passSlowly(31 * time.Minute)
	if len(w.said) != 2 || w.said[1] != "resolved pooler-down/pgb2" {
		t.Errorf("said %q after the silence; the resolution is owed", w.said)
	}
	w.passSlowly(11 * time.Minute)
	if len(w.book.Entries) != 0 {
		t.Errorf("the book still has %v", w.book.Entries)
	}
}
