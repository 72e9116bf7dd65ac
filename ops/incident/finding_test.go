package incident

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
	"weir/ops/postgres"
)

// Each row is one sentence about the chain, and the causes that are certain after it has been so
// for six seconds.
func TestFindings(t *testing.T) {
	tests := []struct {
		sentence string
		make     func(*chain)
		want     string
	}{
		{"nothing is wrong", func(c *chain) {}, ""},
		{"a killed pooler is down", func(c *chain) { c.kill("pgb2") }, "pooler-down/pgb2"},
		{"a frozen pooler has the same cause as a killed one", func(c *chain) { c.freeze("pgb2") }, "pooler-down/pgb2"},
		{"a pooler that one HAProxy cannot reach is disputed, not down", func(c *chain) {
			c.haproxySays("pgb2", haproxy.Down, haproxy.Ready, "L4TOUT", "haproxy2")
		}, "pooler-disputed/pgb2"},
		{"a pooler that one HAProxy calls DOWN and that is mute to the monitor is down", func(c *chain) {
			c.haproxySays("pgb2", haproxy.Down, haproxy.Ready, "L4CON", "haproxy2")
			c.pool["pgb2"].err = errRefused
		}, "pooler-disputed/pgb2 pooler-down/pgb2"},
		{"two processes of one node that differ are a dispute", func(c *chain) {
			row := c.node["haproxy1"].rows["pgb1"]
			row.Disagree = []haproxy.Opinion{{Process: "haproxy", State: haproxy.Up}, {Process: "haproxy-2", State: haproxy.Down}}
			c.node["haproxy1"].rows["pgb1"] = row
		}, "pooler-disputed/pgb1"},
		{"a pooler in drain is an order", func(c *chain) { c.haproxySays("pgb1", haproxy.Up, haproxy.Drain, "L7OK") }, "pooler-down/pgb1"},
		{"a pooler in maint on one node only is an order and a dispute", func(c *chain) {
			c.haproxySays("pgb1", haproxy.NotChecked, haproxy.Maint, "", "haproxy1")
		}, "pooler-disputed/pgb1 pooler-down/pgb1"},
		{"a console that the monitor cannot read is not a pooler that is down", func(c *chain) { c.pool["pgb3"].err = errTimeout }, "pooler-unseen/pgb3"},
		{"no pooler left is a finding of its own", func(c *chain) { c.kill("pgb1"); c.kill("pgb2"); c.kill("pgb3") },
			"no-pooler pooler-down/pgb1 pooler-down/pgb2 pooler-down/pgb3"},
		{"draining the last pooler is no planned work", func(c *chain) {
			c.kill("pgb1")
			c.kill("pgb2")
			c.haproxySays("pgb3", haproxy.Up, haproxy.Drain, "L7OK")
		}, "no-pooler pooler-down/pgb1 pooler-down/pgb2 pooler-down/pgb3"},
		{"with no HAProxy left a pooler is judged by its own console", func(c *chain) {
			c.node["haproxy1"].err, c.node["haproxy2"].err = errRefused, errRefused
			c.pool["pgb2"].err = errRefused
		}, "haproxy-unreachable/haproxy1 haproxy-unreachable/haproxy2 no-haproxy pooler-down/pgb2"},
		{"a HAProxy node that does not answer is unreachable", func(c *chain) { c.node["haproxy2"].err = errTimeout }, "haproxy-unreachable/haproxy2"},
		{"a garbled statistics page is not all fine", func(c *chain) { c.node["haproxy2"].stats = errTimeout }, "haproxy-unread/haproxy2"},
		{"a dead keepalived loses redundancy", func(c *chain) { c.node["haproxy2"].state.Keepalived = false }, "keepalived-dead/haproxy2"},
		{"a standby in FAULT could not take over", func(c *chain) { c.node["haproxy2"].state.VRRP = "FAULT" }, "redundancy-lost"},
		{"a standby that is not ready could not take over", func(c *chain) { c.node["haproxy2"].state.Ready = false }, "redundancy-lost"},
		{"a standby that sees no pooler could not take over", func(c *chain) { c.node["haproxy2"].state.Poolers = 0 }, "redundancy-lost"},
		{"a node that an operator holds back is an order", func(c *chain) {
			c.node["haproxy2"].state.Hold, c.node["haproxy2"].state.Ready = true, false
		}, "vip-ordered/haproxy2"},
		{"a VIP that nobody holds is found", func(c *chain) { c.node["haproxy1"].state.VIP, c.through = false, errTimeout }, "vip-nobody"},
		{"a VIP that two hold is found", func(c *chain) { c.node["haproxy2"].state.VIP = true }, "vip-twice"},
		{"a VIP that answers is held by somebody, whatever the nodes say", func(c *chain) {
			c.node["haproxy1"].err = errTimeout
		}, "haproxy-unreachable/haproxy1"},
		{"PostgreSQL that refuses is down", func(c *chain) { c.killPostgres() }, "postgres-down"},
		{"PostgreSQL behind paused pools is planned work", func(c *chain) {
			c.killPostgres()
			for _, p := range c.pool {
				p.view.State = pgbouncer.State{Paused: true}
			}
		}, "pause-forgotten pool-paused postgres-down"},
		{"nothing gets through the VIP where Weir's own database is paused", func(c *chain) {
			c.through, c.idle = errTimeout, true
			c.pause([]string{"weir"}, "app")
		}, "pause-forgotten pool-paused"},
		{"a probe that times out while transactions end is not an outage", func(c *chain) { c.probeErr = errTimeout }, "postgres-unseen"},
		{"nor when a query through the VIP is too slow as well", func(c *chain) { c.probeErr, c.through = errTimeout, errTimeout }, "postgres-unseen"},
		{"a probe that times out while nothing ends is an outage", func(c *chain) {
			c.probeErr, c.through, c.idle = errTimeout, errTimeout, true
		}, "postgres-down"},
		{"a query that does not get through parts that all answer is found", func(c *chain) {
			c.through = errTimeout
			c.idle = true
		}, "postgres-unreachable"},
		{"a slow query through the VIP is nothing while transactions end", func(c *chain) { c.through = errTimeout }, ""},
		{"a client that waits for 6 s is found", func(c *chain) {
			c.pool["pgb1"].view.Pools[0].ClWaiting, c.pool["pgb1"].view.Pools[0].MaxWait = 3, 6*time.Second
		}, "clients-waiting"},
		{"a client that waits for 4 s is not", func(c *chain) { c.pool["pgb1"].view.Pools[0].MaxWait = 4 * time.Second }, ""},
		{"clients that wait in a paused pool are the pause's", func(c *chain) {
			c.pool["pgb1"].view.Pools[0].MaxWait, c.pool["pgb1"].view.State = time.Minute, pgbouncer.State{Paused: true}
		}, "pause-forgotten pool-paused"},
		{"so are those of a paused database", func(c *chain) {
			c.pause([]string{"app"}, "reports", "weir")
			c.pool["pgb1"].view.Pools[0].MaxWait = time.Minute
		}, "pause-forgotten pool-paused"},
		{"those of its other databases are not", func(c *chain) {
			c.pause([]string{"reports"}, "app", "weir")
			c.pool["pgb1"].view.Pools[0].ClWaiting, c.pool["pgb1"].view.Pools[0].MaxWait = 3, 6*time.Second
		}, "clients-waiting pause-forgotten pool-paused"},
		{"more clients than two poolers take is a lack of spare", func(c *chain) { c.pool["pgb1"].view.Pools[0].ClActive = 7900 }, "no-spare"},
		{"80 per cent of the places is found", func(c *chain) { c.pool["pgb1"].view.Pools[0].ClActive = 9400 }, "no-spare places-used"},
		{"80 per cent of the connections is found", func(c *chain) { c.probe.Connections = 200 }, "connections-high"},
		{"80 per cent that the poolers use, as the budget lets them, is not", func(c *chain) {
			c.probe.Connections = 220
			for _, p := range c.pool {
				p.view.Pools[0].SvActive = 70
			}
		}, ""},
		{"one less is not", func(c *chain) { c.probe.Connections = 199 }, ""},
		{"a transaction of five minutes is found", func(c *chain) { c.probe.LongestXact = 5 * time.Minute }, "transaction-long"},
		{"a session idle in transaction for a minute is found", func(c *chain) { c.probe.LongestIdleInXact = time.Minute }, "idle-in-transaction"},
		{"an old database is found", func(c *chain) { c.probe.OldestXIDAge = 1_000_000_000 }, "xid-age"},
		{"nothing that answers is a blind monitor, and nothing else", func(c *chain) { c.cutMonitor(errTimeout) }, "monitor-blind"},
	}
	for _, test := range tests {
		t.Run(test.sentence, func(t *testing.T) {
			c := healthy()
			c.look()
			c.look()
			test.make(c)
			for range 6 {
				c.look()
			}
			var got []string
			for cause, f := range c.certain() {
				if f.Moment.IsZero() {
					got = append(got, cause)
				}
			}
			slices.Sort(got)
			if strings.Join(got, " ") != test.want {
				t.Errorf("found %q, want %q", strings.Join(got, " "), test.want)
			}
		})
	}
}

func TestOneFailedPollIsNothingCertain(t *testing.T) {
	for name, fail := range map[string]func(*chain){
		"pooler":  func(c *chain) { c.pool["pgb1"].err = errRefused },
		"node":    func(c *chain) { c.node["haproxy2"].err = errRefused },
		"stats":   func(c *chain) { c.node["haproxy2"].stats = errTimeout },
		"probe":   func(c *chain) { c.probeErr = errTimeout },
		"through": func(c *chain) { c.through = errTimeout },
		"all":     func(c *chain) { c.cutMonitor(errTimeout) },
	} {
		c := healthy()
		c.look()
		fail(c)
		c.look()
		if got := c.certain(); len(got) > 0 {
			t.Errorf("one failed poll of %s: %v", name, got)
		}
	}
}

func TestFailuresAreTheMonitorsOwnUntilAnotherSourceHasAnsweredSince(t *testing.T) {
	c := healthy()
	c.look()
	fail := func() {
		c.now = c.now.Add(900 * time.Millisecond)
		for _, kind := range []fleet.Kind{fleet.NodeStateKind, fleet.NodeStatsKind} {
			c.s = fleet.Fold(c.s, fleet.Reading{Source: fleet.Source{Kind: kind, Name: "haproxy2"}, At: c.now, Err: errTimeout})
		}
	}
	fail()
	fail()
	if got := c.certain(); len(got) > 0 {
		t.Errorf("certain before anything else answered: %v", got)
	}
	c.s = fleet.Fold(c.s, fleet.Reading{Source: fleet.Source{Kind: fleet.AnswerKind}, At: c.now, Value: "haproxy1"})
	if _, ok := c.certain()["haproxy-unreachable/haproxy2"]; !ok {
		t.Errorf("not certain after another source answered: %v", c.certain())
	}
}

func TestAKilledPoolerIsToldFromAHungAndAnUnreachableOne(t *testing.T) {
	for check, want := range map[string]Kind{"L4CON": PoolerDown, "L7TOUT": PoolerHung, "* L7TOUT": PoolerHung, "L4TOUT": PoolerUnreachable, "L7RSP": PoolerDown} {
		c := healthy()
		c.look()
		c.haproxySays("pgb2", haproxy.Down, haproxy.Ready, check)
		c.look()
		if got := c.certain()["pooler-down/pgb2"]; got.Kind != want || got.Planned {
			t.Errorf("check %s: kind %s, planned %t, want %s", check, got.Kind, got.Planned, want)
		}
	}
	for said, want := range map[string]Kind{"Connection refused": PoolerDown, "No route to host": PoolerUnreachable, "Network is unreachable": PoolerUnreachable} {
		c := healthy()
		c.look()
		c.haproxySays("pgb2", haproxy.Down, haproxy.Ready, "L4CON")
		for _, n := range c.node {
			row := n.rows["pgb2"]
			row.LastCheck = said
			n.rows["pgb2"] = row
		}
		c.look()
		if got := c.certain()["pooler-down/pgb2"]; got.Kind != want {
			t.Errorf("%s: kind %s, want %s", said, got.Kind, want)
		}
	}
}

func TestANodeThatHangsIsToldFromOneThatIsGone(t *testing.T) {
	hangs := fmt.Errorf("get /vrrp of haproxy on haproxy1: %w", haproxy.ErrSilent)
	for err, want := range map[error]string{errTimeout: "haproxy1 unreachable", errRefused: "haproxy1 down", hangs: "haproxy1 hung"} {
		c := healthy()
		c.look()
		c.node["haproxy1"].err = err
		c.look()
		c.look()
		f := c.certain()["haproxy-unreachable/haproxy1"]
		if f.Title != want || strings.Contains(f.Action, "kill -s KILL haproxy") != (err == hangs) || strings.Contains(f.Action, "the host") != (err == errTimeout) {
			t.Errorf("%v: %s, %s", err, f.Title, f.Action)
		}
	}
}

func TestAQueryOfBeforeDoesNotProveThatClientsAreServedWithoutAnyHAProxy(t *testing.T) {
	c := healthy()
	c.look()
	for range 2 {
		c.now = c.now.Add(250 * time.Millisecond)
		for _, kind := range []fleet.Kind{fleet.NodeStateKind, fleet.NodeStatsKind} {
			for _, n := range c.inv.HAProxy.NodeNames() {
				c.s = fleet.Fold(c.s, fleet.Reading{Source: fleet.Source{Kind: kind, Name: n}, At: c.now, Err: errRefused})
			}
		}
		c.s = fleet.Fold(c.s, fleet.Reading{Source: fleet.Source{Kind: fleet.DirectKind}, At: c.now.Add(time.Millisecond), Value: c.probe})
	}
	if f, certain := c.certain()[string(NoHAProxy)]; certain {
		t.Errorf("certain before the VIP was tried again: %s", f.Title)
	}
	for err, want := range map[error]string{nil: "HAProxies not readable", errRefused: "No HAProxy answers"} {
		s := c.s
		c.s = fleet.Fold(s, fleet.Reading{Source: fleet.Source{Kind: fleet.ThroughKind}, At: c.now.Add(20 * time.Millisecond), Took: 3 * time.Millisecond, Value: postgres.Passage{}, Err: err})
		if f := c.certain()[string(NoHAProxy)]; f.Title != want {
			t.Errorf("through the VIP: %v: %q", err, f.Title)
		}
		c.s = s
	}
}

func TestWaitingIsCountedFromTheEndOfAPause(t *testing.T) {
	for _, test := range []struct {
		sentence string
		paused   bool
		want     string
	}{
		{"clients that waited for a pool that was paused until now", true, ""},
		{"clients that waited for a pool that was not", false, "clients-waiting"},
	} {
		c := healthy()
		c.pool["pgb1"].view.State.Paused = test.paused
		c.look()
		c.look()
		c.pool["pgb1"].view.State.Paused = false
		c.pool["pgb1"].view.Pools[0].ClWaiting, c.pool["pgb1"].view.Pools[0].MaxWait = 40, 30*time.Second
		c.look()
		c.look()
		if got := c.certain()["clients-waiting"].Cause; got != test.want {
			t.Errorf("%s: %q", test.sentence, got)
		}
		for range 5 {
			c.look()
		}
		if f := c.certain()["clients-waiting"]; f.Cause == "" || f.Severity == Critical && test.paused {
			t.Errorf("%s, and wait on for 7 s: %q, %s", test.sentence, f.Cause, f.Severity)
		}
	}
}

func TestAFindingSaysWhatItMeansForClientsWithNumbers(t *testing.T) {
	c := healthy()
	c.look()
	c.kill("pgb2")
	c.look()
	f := c.certain()["pooler-down/pgb2"]
	if want := "2 of 3 poolers serving, 8,000 client places left, 200 in use."; f.Impact != want {
		t.Errorf("impact %q, want %q", f.Impact, want)
	}
	want := []string{"haproxy1: pgb2 DOWN for 1 s, no connection (L4CON)", "haproxy2: pgb2 DOWN for 1 s, no connection (L4CON)", "monitor: dial tcp 192.168.1.22:6432: connection refused"}
	if !slices.Equal(f.Evidence, want) {
		t.Errorf("evidence %q", f.Evidence)
	}
}

func TestEveryFindingIsCompleteForAPersonAtNight(t *testing.T) {
	c := healthy()
	c.look()
	c.kill("pgb1")
	c.kill("pgb2")
	c.kill("pgb3")
	c.killPostgres()
	c.node["haproxy1"].state.Keepalived, c.node["haproxy2"].state.VIP = false, true
	c.probe.LongestXact, c.probe.LongestIdleInXact, c.probe.OldestXIDAge, c.probe.Connections = time.Hour, time.Hour, 2e9, 250
	for range 5 {
		c.look()
	}
	found := Findings(c.s, c.inv, c.now)
	if len(found) < 9 {
		t.Fatalf("%d findings only", len(found))
	}
	for _, f := range found {
		if f.Cause == "" || f.Kind == "" || f.Title == "" || f.Impact == "" || f.Action == "" || len(f.Evidence) == 0 || loudness[f.Severity] == 0 {
			t.Errorf("incomplete: %+v", f)
		}
	}
}

func TestAPoolerThatAnOperatorTookOutIsSetReadyAndNotRestarted(t *testing.T) {
	c := healthy()
	c.kill("pgb1")
	c.haproxySays("pgb2", haproxy.Up, haproxy.Drain, "L7OK")
	c.haproxySays("pgb3", haproxy.NotChecked, haproxy.Maint, "")
	for range 6 {
		c.look()
	}
	f := c.certain()[string(NoPooler)]
	if want := "Set pgb2, pgb3 ready on both HAProxies. `systemctl restart pgbouncer` on pgb1."; f.Action != want || !strings.Contains(f.Impact, "no new client") {
		t.Errorf("%q, %q", f.Action, f.Impact)
	}
	c = healthy()
	for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
		c.kill(p)
	}
	for range 6 {
		c.look()
	}
	f = c.certain()[string(NoPooler)]
	if want := "`systemctl restart pgbouncer` on pgb1, pgb2, pgb3."; f.Action != want {
		t.Errorf("%q", f.Action)
	}
}

// HAProxy counts since when a server is UP, and not since when it drains.
func TestADrainIsNotAsOldAsWhatItDrains(t *testing.T) {
	for _, row := range []struct {
		state haproxy.State
		admin haproxy.Admin
		want  string
	}{
		{haproxy.Up, haproxy.Drain, "DRAIN, UP for 2 h 0 min"}, {haproxy.Down, haproxy.Drain, "DRAIN, DOWN for 2 h 0 min"},
		{haproxy.NotChecked, haproxy.Maint, "MAINT for 2 h 0 min"}, {haproxy.Up, haproxy.Ready, "UP for 2 h 0 min"},
	} {
		if got := status(&haproxy.Row{State: row.state, Admin: row.admin, LastChange: 2 * time.Hour}); got != row.want {
			t.Errorf("%q, not %q", got, row.want)
		}
	}
}
