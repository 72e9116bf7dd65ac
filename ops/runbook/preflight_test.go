package runbook

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"weir/ops/fault"
	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
)

// stats changes what a node's statistics say about one pooler.
func stats(s *fleet.Snapshot, node, pooler string, change func(*haproxy.Row)) {
	for i := range s.Nodes {
		for k := range s.Nodes[i].Stats.Value.Rows {
			row := &s.Nodes[i].Stats.Value.Rows[k]
			if (node == "" || s.Nodes[i].Name == node) && row.Name == pooler {
				change(row)
			}
		}
	}
}

func view(s *fleet.Snapshot, pooler string, change func(*fleet.PoolerView)) {
	for i := range s.Poolers {
		if s.Poolers[i].Name == pooler {
			change(&s.Poolers[i].View.Value)
		}
	}
}

func state(s *fleet.Snapshot, node string, change func(*haproxy.NodeState)) {
	for i := range s.Nodes {
		if s.Nodes[i].Name == node {
			change(&s.Nodes[i].State.Value)
		}
	}
}

func down(r *haproxy.Row)    { r.State = haproxy.Down }
func drained(r *haproxy.Row) { r.Admin = haproxy.Drain }
func crowded(r *haproxy.Row) { r.Sessions = 3000 }

func TestThePreflightGivesEveryReasonWhyAnOrderWouldHurt(t *testing.T) {
	drain, maint := Order{Verb: Drain, Host: "pgb2"}, Order{Verb: Maint, Host: "pgb2"}
	putBack, pauseAll := Order{Verb: Ready, Host: "pgb2"}, Order{Verb: Pause}
	move, reclaim := Order{Verb: Relinquish, Host: "haproxy1"}, Order{Verb: Reclaim, Host: "haproxy1"}
	for _, c := range []struct {
		sentence string
		order    Order
		change   func(*fleet.Snapshot)
		reasons  []string
	}{
		{"one of three healthy poolers may be drained", drain, nil, nil},
		{"a pooler that is DOWN may be taken out while others serve", maint,
			func(s *fleet.Snapshot) { stats(s, "", "pgb2", down) }, nil},
		{"the last pooler that serves is not drained", drain,
			func(s *fleet.Snapshot) { stats(s, "", "pgb1", down); stats(s, "", "pgb3", drained) },
			[]string{"No other pooler serves clients of haproxy1.", "No other pooler serves clients of haproxy2."}},
		{"the last pooler that one HAProxy sees is not put into maintenance", maint,
			func(s *fleet.Snapshot) { stats(s, "haproxy2", "pgb1", down); stats(s, "haproxy2", "pgb3", down) },
			[]string{"No other pooler serves clients of haproxy2."}},
		{"a paused pooler does not count as one that is left", drain,
			func(s *fleet.Snapshot) {
				stats(s, "", "pgb1", down)
				view(s, "pgb3", func(v *fleet.PoolerView) { v.State = pgbouncer.State{Paused: true} })
			},
			[]string{"No other pooler serves clients of haproxy1.", "No other pooler serves clients of haproxy2."}},
		{"clients that would find no place stand in the way", drain,
			func(s *fleet.Snapshot) {
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					view(s, p, func(v *fleet.PoolerView) { v.Pools[0].ClActive = 2667 })
				}
			},
			[]string{"8,001 clients are connected, and the poolers that remain have 8,000 client places."}},
		{"clients that fit exactly do not", drain,
			func(s *fleet.Snapshot) {
				view(s, "pgb1", func(v *fleet.PoolerView) { v.Pools[0].ClActive = 3900 })
				view(s, "pgb2", func(v *fleet.PoolerView) { v.Pools[0].ClActive = 200 })
				view(s, "pgb3", func(v *fleet.PoolerView) { v.Pools[0].ClActive = 3900 })
			}, nil},
		{"HAProxy's own places are counted too", drain,
			func(s *fleet.Snapshot) {
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					stats(s, "haproxy1", p, func(r *haproxy.Row) { r.Sessions, r.SessionsLimit = 1000, 1400 })
				}
			},
			[]string{"haproxy1 has 3,000 connections, and can have only 2,800 to pgb1 and pgb3."}},
		{"a HAProxy that does not answer would not obey", drain,
			func(s *fleet.Snapshot) { s.Nodes[1].Stats.Err = errDead },
			[]string{"haproxy2 does not answer."}},
		{"old statistics are not health", drain,
			func(s *fleet.Snapshot) { s.Nodes[0].Stats.Seen = s.Nodes[0].Stats.Seen.Add(-12 * time.Second) },
			[]string{"haproxy1 was last heard 12 s ago: too old to judge."}},
		{"statistics that never came are not health", drain,
			func(s *fleet.Snapshot) { s.Nodes[0].Stats = fleet.Observation[haproxy.Stats]{} },
			[]string{"haproxy1 has not answered yet."}},
		{"a pooler that is left must be known not to be paused", drain,
			func(s *fleet.Snapshot) { s.Poolers[2].View.Err = errDead },
			[]string{"pgb3 does not answer."}},
		{"a HAProxy that was never told of the pooler is another cluster's", drain,
			func(s *fleet.Snapshot) { stats(s, "haproxy2", "pgb2", func(r *haproxy.Row) { r.Name = "pgb9" }) },
			[]string{"haproxy2 does not know pgb2: its configuration is not that of the inventory."}},
		{"draining what drains already changes nothing, whoever is left", drain,
			func(s *fleet.Snapshot) {
				stats(s, "", "pgb2", drained)
				stats(s, "", "pgb1", down)
				stats(s, "", "pgb3", down)
			}, nil},

		{"a pooler that answers is put back", putBack, func(s *fleet.Snapshot) { stats(s, "", "pgb2", drained) }, nil},
		{"a dead pooler is not put back while others serve", putBack,
			func(s *fleet.Snapshot) { stats(s, "", "pgb2", drained); s.Poolers[1].View.Err = errDead },
			[]string{"pgb2 does not answer."}},
		{"a paused pooler is not put back", putBack,
			func(s *fleet.Snapshot) {
				stats(s, "", "pgb2", drained)
				view(s, "pgb2", func(v *fleet.PoolerView) { v.State = pgbouncer.State{Paused: true} })
			},
			[]string{"pgb2 is paused: clients sent there would wait. Resume it first."}},
		{"when nobody serves, any pooler may be put back", putBack,
			func(s *fleet.Snapshot) {
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					stats(s, "", p, drained)
				}
				s.Poolers[1].View.Err = errDead
				s.Nodes[1].Stats.Err = errDead
			}, nil},

		{"active pools may be paused", pauseAll, nil, nil},
		{"one pooler may be paused whatever the others do", Order{Verb: Pause, Host: "pgb1"},
			func(s *fleet.Snapshot) { s.Poolers[1].View.Err = errDead }, nil},
		{"a pooler that does not answer cannot be paused", pauseAll,
			func(s *fleet.Snapshot) { s.Poolers[1].View.Err = errDead },
			[]string{"pgb2 does not answer."}},
		{"a paused pooler is not paused again", pauseAll,
			func(s *fleet.Snapshot) {
				view(s, "pgb1", func(v *fleet.PoolerView) { v.State = pgbouncer.State{Paused: true} })
			},
			[]string{"pgb1 is paused already (every database)."}},
		{"a pooler with one database paused is not paused as a whole", pauseAll,
			func(s *fleet.Snapshot) { view(s, "pgb3", func(v *fleet.PoolerView) { v.Databases[0].Paused = true }) },
			[]string{"pgb3 is paused already (app)."}},
		{"another database may be paused beside it", Order{Verb: Pause, Database: "other"},
			func(s *fleet.Snapshot) { view(s, "pgb3", func(v *fleet.PoolerView) { v.Databases[0].Paused = true }) }, nil},
		{"a suspended pooler is not paused", pauseAll,
			func(s *fleet.Snapshot) {
				view(s, "pgb3", func(v *fleet.PoolerView) { v.State = pgbouncer.State{Suspended: true} })
			},
			[]string{"pgb3 is suspended."}},
		{"a misspelt database is found out before PgBouncer makes it", Order{Verb: Pause, Database: "ap"}, nil,
			[]string{"No client has used a database ap yet, so there is nothing to pause. Is its name right?"}},
		{"a session idle in a transaction would block the pause", pauseAll,
			func(s *fleet.Snapshot) {
				s.Postgres.Probe.Value.IdleInTransaction, s.Postgres.Probe.Value.LongestIdleInXact = 1, 40*time.Second
			},
			[]string{"A session has been idle in a transaction for 40 s, and a pause waits for it. End it first, or have its application commit."}},
		{"a moment between two statements does not", pauseAll,
			func(s *fleet.Snapshot) {
				s.Postgres.Probe.Value.IdleInTransaction, s.Postgres.Probe.Value.LongestIdleInXact = 20, time.Second
			}, nil},
		{"nor does a session that came through no pooler", pauseAll,
			func(s *fleet.Snapshot) {
				s.Postgres.Probe.Value.IdleInTransaction, s.Postgres.Probe.Value.LongestIdleInXact = 1, 40*time.Second
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					view(s, p, func(v *fleet.PoolerView) { v.Pools[0].SvActive = 0 })
				}
			}, nil},
		{"nor does one in another database", Order{Verb: Pause, Database: "other"},
			func(s *fleet.Snapshot) {
				s.Postgres.Probe.Value.IdleInTransaction, s.Postgres.Probe.Value.LongestIdleInXact = 1, 40*time.Second
			}, nil},
		{"without PostgreSQL's word nobody knows what blocks a pause", pauseAll,
			func(s *fleet.Snapshot) { s.Postgres.Probe.Err = errDead },
			[]string{"postgres does not answer."}},
		{"all reasons are given at once", pauseAll,
			func(s *fleet.Snapshot) {
				s.Poolers[0].View.Err = errDead
				s.Postgres.Probe.Err = errDead
			},
			[]string{"pgb1 does not answer.", "postgres does not answer."}},
		{"what is known to be bad never stops a resume", Order{Verb: Resume},
			func(s *fleet.Snapshot) { *s = *fleet.First(inv) }, nil},

		{"connections are not given up while PostgreSQL is away", Order{Verb: Reconnect},
			func(s *fleet.Snapshot) { s.Postgres.Probe.Err = errDead },
			[]string{"postgres does not answer."}},
		{"a reload reaches every pooler or none", Order{Verb: Reload},
			func(s *fleet.Snapshot) { s.Poolers[2].View.Err = errDead },
			[]string{"pgb3 does not answer."}},

		{"the VIP moves to a healthy node", move, nil, nil},
		{"the node must be the one that holds it", Order{Verb: Relinquish, Host: "haproxy2"}, nil,
			[]string{"haproxy2 does not hold the VIP: haproxy1 does."}},
		{"with two holders a move ends nothing", move,
			func(s *fleet.Snapshot) { state(s, "haproxy2", func(n *haproxy.NodeState) { n.VIP = true }) },
			[]string{"haproxy1 and haproxy2 both hold the VIP: a move does not end that. Restart keepalived on the one that should not."}},
		{"with no holder there is nothing to move", move,
			func(s *fleet.Snapshot) { state(s, "haproxy1", func(n *haproxy.NodeState) { n.VIP = false }) },
			[]string{"Nobody holds the VIP."}},
		{"a holder whose address somebody else answers is no holder", move,
			func(s *fleet.Snapshot) { s.VIP.Answers.Value = "haproxy2" },
			[]string{"haproxy1 says it holds the VIP, but haproxy2 answers there."}},
		{"a dead keepalived on the holder would make two", move,
			func(s *fleet.Snapshot) { state(s, "haproxy1", func(n *haproxy.NodeState) { n.Keepalived = false }) },
			[]string{"keepalived is dead on haproxy1: it could not give the VIP up, and both would hold it."}},
		{"a dead keepalived on the other would make none", move,
			func(s *fleet.Snapshot) { state(s, "haproxy2", func(n *haproxy.NodeState) { n.Keepalived = false }) },
			[]string{"keepalived is dead on haproxy2: it could not take the VIP."}},
		{"a node in FAULT cannot take it", move,
			func(s *fleet.Snapshot) { state(s, "haproxy2", func(n *haproxy.NodeState) { n.VRRP = "FAULT" }) },
			[]string{"keepalived on haproxy2 is in state FAULT: it could not take the VIP."}},
		{"a node that is not ready cannot take it", move,
			func(s *fleet.Snapshot) {
				state(s, "haproxy2", func(n *haproxy.NodeState) { n.Ready, n.Why = false, "its disk burns" })
			},
			[]string{"haproxy2 is not ready: its disk burns."}},
		{"a node that is held back cannot take it", move,
			func(s *fleet.Snapshot) {
				state(s, "haproxy2", func(n *haproxy.NodeState) { n.Hold, n.Ready = true, false })
			},
			[]string{"haproxy2 is held back from the VIP itself. Release it first (reclaim)."}},
		{"a node that sees no pooler could serve nobody", move,
			func(s *fleet.Snapshot) {
				state(s, "haproxy2", func(n *haproxy.NodeState) { n.Poolers, n.Ready = 0, false })
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					stats(s, "haproxy2", p, down)
				}
			},
			[]string{"haproxy2 sees no pooler."}},
		{"the clients must fit on what the other node sees", move,
			func(s *fleet.Snapshot) {
				for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
					stats(s, "haproxy1", p, crowded)
				}
				stats(s, "haproxy2", "pgb3", down)
			},
			[]string{"haproxy1 has 9,000 connections, and haproxy2 can have only 8,000."}},
		{"both nodes must have been heard", move,
			func(s *fleet.Snapshot) { s.Nodes[0].State.Err = errDead; s.Nodes[1].Stats.Err = errDead },
			[]string{"haproxy1 does not answer.", "The statistics page of haproxy2 does not answer."}},

		{"a held node may be let back", reclaim,
			func(s *fleet.Snapshot) { state(s, "haproxy1", func(n *haproxy.NodeState) { n.Hold = true }) }, nil},
		{"a node that is not held back has nothing to reclaim", reclaim, nil,
			[]string{"haproxy1 is not held back from the VIP."}},
	} {
		world := newChain()
		s, _ := world.hub.Now()
		if c.change != nil {
			c.change(s)
		}
		flight, err := world.runbook().DryRun(t.Context(), operator, c.order)
		if err != nil {
			t.Errorf("%s: %v", c.sentence, err)
		}
		if !slices.Equal(flight.Reasons, c.reasons) {
			t.Errorf("%s:\n got %q\nwant %q", c.sentence, flight.Reasons, c.reasons)
		}
		if len(world.log) > 0 || len(world.journal.entries) > 0 {
			t.Errorf("%s: a dry run did %q and wrote %d entries", c.sentence, world.log, len(world.journal.entries))
		}
	}
}

// clients gives a pooler that many clients, by its own count and HAProxy's.
func clients(s *fleet.Snapshot, pooler string, n int64) {
	stats(s, "", pooler, func(r *haproxy.Row) { r.Sessions = 0 })
	stats(s, "haproxy1", pooler, func(r *haproxy.Row) { r.Sessions = n })
	view(s, pooler, func(v *fleet.PoolerView) { v.Pools[0].ClActive = n })
}

func paused(s *fleet.Snapshot, pooler string, waiting int64) {
	view(s, pooler, func(v *fleet.PoolerView) { v.State, v.Pools[0].ClWaiting = pgbouncer.State{Paused: true}, waiting })
}

func TestTheDryRunSaysWhatWillHappenToWhomAndWhatIsLeft(t *testing.T) {
	drain, maint := Order{Verb: Drain, Host: "pgb2"}, Order{Verb: Maint, Host: "pgb2"}
	left := "2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places for the 300 clients of now and up to 140 server connections."
	pause, pauseAll, ready := Order{Verb: Pause, Host: "pgb1"}, Order{Verb: Pause}, Order{Verb: Ready, Host: "pgb2"}
	move := Order{Verb: Relinquish, Host: "haproxy1"}
	const undisturbed = "A setting that was changed in the files works at once, except for those that need a restart. Weir cannot see the files from here: the page Configuration shows what runs afterwards."
	for _, c := range []struct {
		sentence string
		order    Order
		change   func(*fleet.Snapshot)
		effects  []string
	}{
		{"a drain leaves its clients alone", drain, nil, []string{
			"The 100 clients of pgb2 stay until they leave; new ones go to pgb1 and pgb3.", left}},
		{"one client is one", drain, func(s *fleet.Snapshot) { clients(s, "pgb2", 1) }, []string{
			"The one client of pgb2 stays until it leaves; new ones go to pgb1 and pgb3.",
			"2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places for the 201 clients of now and up to 140 server connections."}},
		{"no client is none, and thousands have commas", drain, func(s *fleet.Snapshot) { clients(s, "pgb2", 0); clients(s, "pgb1", 1533) }, []string{
			"pgb2 has no clients now; new ones go to pgb1 and pgb3.",
			"2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places for the 1,633 clients of now and up to 140 server connections."}},
		{"a chain without clients says so", drain, func(s *fleet.Snapshot) { clients(s, "pgb1", 0); clients(s, "pgb2", 0); clients(s, "pgb3", 0) }, []string{
			"pgb2 has no clients now; new ones go to pgb1 and pgb3.",
			"2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places (no client is connected now) and up to 140 server connections."}},
		{"only who serves is left", drain, func(s *fleet.Snapshot) { stats(s, "", "pgb1", down) }, []string{
			"The 100 clients of pgb2 stay until they leave; new ones go to pgb3.",
			"1 of 3 poolers is left: pgb3, with 4,000 client places for the 300 clients of now and up to 70 server connections."}},
		{"who is paused serves nobody", drain, func(s *fleet.Snapshot) { paused(s, "pgb3", 0) }, []string{
			"The 100 clients of pgb2 stay until they leave; new ones go to pgb1.",
			"1 of 3 poolers is left: pgb1, with 4,000 client places for the 300 clients of now and up to 70 server connections."}},
		{"who fell lately is no rock, and two HAProxies that count the same fall are one fall", drain, func(s *fleet.Snapshot) {
			for i := range s.Nodes {
				s.Nodes[i].Falls = []fleet.Fall{{Pooler: "pgb3", Times: 4, At: time.Now()}, {Pooler: "pgb3", Times: 2, At: time.Now()},
					{Pooler: "pgb3", Process: 1, Times: 3, At: time.Now()}, {Pooler: "pgb1", Times: 1, At: time.Now().Add(-lately - time.Second)}}
			}
		}, []string{"The 100 clients of pgb2 stay until they leave; new ones go to pgb1 and pgb3.", left,
			"pgb3 fell 6 times in the last 5 min, and may fall again."}},
		{"nor is who was started again, which no check saw", drain, func(s *fleet.Snapshot) {
			s.Poolers[0].Restarts = []time.Time{time.Now().Add(-time.Hour), time.Now(), time.Now()}
		}, []string{"The 100 clients of pgb2 stay until they leave; new ones go to pgb1 and pgb3.", left,
			"pgb1 fell twice in the last 5 min, and may fall again."}},
		{"what is drained already stays so", drain, func(s *fleet.Snapshot) { stats(s, "", "pgb2", drained) },
			[]string{"Nothing changes: pgb2 is in drain already."}},
		{"a drain cannot be read back where the pooler is DOWN", drain, func(s *fleet.Snapshot) { stats(s, "haproxy2", "pgb2", down) }, []string{
			"The 100 clients of pgb2 stay until they leave; new ones go to pgb1 and pgb3.", left,
			"pgb2 is DOWN on haproxy2, where a drain cannot be read back."}},
		{"maint cuts clients off, and what they do", maint, nil, []string{
			"The 100 clients of pgb2 are disconnected within 3 s and can connect again at once, to another pooler.",
			"3 transactions run now; what has not ended by then is rolled back.", left}},
		{"maint of a pooler without clients cuts nobody off", maint, func(s *fleet.Snapshot) { clients(s, "pgb2", 0) }, []string{
			"pgb2 has no clients now: nobody is disconnected.",
			"2 of 3 poolers are left: pgb1 and pgb3, with 8,000 client places for the 200 clients of now and up to 140 server connections."}},

		{"a pooler that is ready stays so", ready, nil, []string{"Nothing changes: pgb2 is ready already."}},
		{"a drained pooler comes back", ready, func(s *fleet.Snapshot) { stats(s, "", "pgb2", drained) }, []string{
			"pgb2 gets new clients again on both HAProxies. Clients of other poolers stay where they are.",
			"Then 3 of 3 poolers serve, with 12,000 client places for the 300 clients of now."}},
		{"the last resort may be dead", ready, func(s *fleet.Snapshot) {
			for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
				stats(s, "", p, drained)
			}
			s.Poolers[1].View.Err = errDead
			s.Nodes[1].Stats.Err = errDead
		}, []string{"haproxy2 does not answer. It may not obey.",
			"pgb2 gets new clients again on both HAProxies. Clients of other poolers stay where they are.",
			"pgb2 does not answer. HAProxy sends clients there until its check has failed."}},

		{"a pause of one pooler meets those who come as well, and says nothing of how long", pause,
			func(s *fleet.Snapshot) {
				view(s, "pgb1", func(v *fleet.PoolerView) { v.Pools[0].ClActive, v.Pools[0].ClWaiting = 40, 2 })
			}, []string{
				"First the 3 transactions that run now come to an end. If that takes more than 5 s, nothing is paused.",
				"Then the 42 clients of pgb1 get no answer until the pause ends: by resume, or by itself after the time ordered. Nobody is disconnected.",
				"HAProxy goes on sending new clients to pgb1, and they wait as well. To spare them, drain it first."}},
		{"a pause of a drained pooler meets one client", pause,
			func(s *fleet.Snapshot) {
				stats(s, "", "pgb1", drained)
				view(s, "pgb1", func(v *fleet.PoolerView) { v.Pools[0].ClActive, v.Pools[0].SvActive = 1, 1 })
			}, []string{
				"First the one transaction that runs now comes to an end. If that takes more than 5 s, nothing is paused.",
				"Then the one client of pgb1 gets no answer until the pause ends: by resume, or by itself after the time ordered. Nobody is disconnected."}},
		{"a pause of all lets no query through", pauseAll, func(s *fleet.Snapshot) {
			for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
				view(s, p, func(v *fleet.PoolerView) { v.Pools[0].SvActive = 0 })
			}
		}, []string{
			"No query gets through the VIP while the pause lasts.",
			"There are no clients of pgb1, pgb2 and pgb3 now. Those who come wait until the pause ends: by resume, or by itself after the time ordered."}},
		{"a pause of one database meets its clients only", Order{Verb: Pause, Database: "other"}, func(s *fleet.Snapshot) {
			view(s, "pgb2", func(v *fleet.PoolerView) {
				v.Pools = append(v.Pools, pgbouncer.Pool{Database: "other", User: "app", ClActive: 1200})
			})
		}, []string{"No query of database other gets through the VIP while the pause lasts.",
			"The 1,200 clients of pgb1, pgb2 and pgb3, database other get no answer until the pause ends: by resume, or by itself after the time ordered. Nobody is disconnected."}},

		{"a resume of what is not paused reloads", Order{Verb: Resume}, nil, []string{"Nothing is paused: the files are read again, and nothing else happens."}},
		{"a resume serves those who wait", Order{Verb: Resume}, func(s *fleet.Snapshot) { paused(s, "pgb1", 12); paused(s, "pgb3", 1) },
			[]string{"The pause of pgb1 and pgb3 ends: the 13 clients waiting are served."}},
		{"a resume may have nobody to serve", Order{Verb: Resume, Host: "pgb1"}, func(s *fleet.Snapshot) { paused(s, "pgb1", 0) },
			[]string{"The pause of pgb1 ends. No client waits."}},
		{"a resume does not know of those who do not answer, and goes ahead", Order{Verb: Resume}, func(s *fleet.Snapshot) { s.Poolers[1].View.Err = errDead },
			[]string{"pgb2 does not answer. Whether it is paused is not known."}},
		{"one database cannot be resumed under a pause of all", Order{Verb: Resume, Host: "pgb1", Database: "app"}, func(s *fleet.Snapshot) { paused(s, "pgb1", 2) },
			[]string{"pgb1 is paused as a whole: this order will fail there. Resume every database."}},

		{"a reconnect replaces idle connections at once and busy ones later", Order{Verb: Reconnect, Host: "pgb1"}, func(s *fleet.Snapshot) {
			view(s, "pgb1", func(v *fleet.PoolerView) {
				v.Pools[0].ClActive, v.Pools[0].SvIdle = 42, 9
				v.Pools = append(v.Pools, pgbouncer.Pool{Database: "weir_auth", SvIdle: 2}, pgbouncer.Pool{Database: "pgbouncer", ClActive: 1})
			})
		}, []string{"The 12 server connections of pgb1 are replaced: 9 idle at once, 3 in use as their transactions end.",
			"The 42 clients stay connected, and may wait a moment for a new login to PostgreSQL."}},
		{"a reconnect of all counts all", Order{Verb: Reconnect}, nil, []string{
			"The 9 server connections of pgb1, pgb2 and pgb3 are replaced, each as its transaction ends."}},
		{"a reconnect of idle connections is done at once", Order{Verb: Reconnect, Host: "pgb1"}, func(s *fleet.Snapshot) {
			view(s, "pgb1", func(v *fleet.PoolerView) { v.Pools[0].SvActive, v.Pools[0].SvIdle = 0, 1 })
		}, []string{"The one server connection of pgb1 is replaced at once: none is in use."}},
		{"a reconnect without connections changes nothing", Order{Verb: Reconnect, Database: "other"}, nil, []string{
			"Nothing changes: there are no server connections of pgb1, pgb2 and pgb3, database other."}},
		{"a reload disturbs nobody", Order{Verb: Reload, Host: "pgb1"}, func(s *fleet.Snapshot) { clients(s, "pgb1", 1) }, []string{
			"pgb1 reads the configuration files again. Nobody is disconnected: 1 client and 3 server connections stay.", undisturbed}},

		{"a move cuts those connected", move, nil, []string{
			"The 300 connections through haproxy1 are cut: transactions that run are rolled back. Clients can connect again through haproxy2, after about 0.2 s.",
			"haproxy2 sees 3 of 3 poolers serve: 12,000 client places.",
			"haproxy1 stays without the VIP until it is released (reclaim), unless haproxy2 fails."}},
		{"a move of nobody cuts nobody", move, func(s *fleet.Snapshot) {
			for _, p := range []string{"pgb1", "pgb2", "pgb3"} {
				clients(s, p, 0)
			}
			stats(s, "haproxy2", "pgb3", down)
		}, []string{"Nobody is connected through haproxy1 now. New connections go through haproxy2, after about 0.2 s.",
			"haproxy2 sees 2 of 3 poolers serve: 8,000 client places.",
			"haproxy1 stays without the VIP until it is released (reclaim), unless haproxy2 fails."}},
		{"a reclaim moves nothing", Order{Verb: Reclaim, Host: "haproxy2"}, func(s *fleet.Snapshot) {
			state(s, "haproxy2", func(n *haproxy.NodeState) { n.Hold = true })
		}, []string{"haproxy2 may hold the VIP again. The VIP stays on haproxy1: nobody is disconnected."}},
	} {
		world := newChain()
		s, _ := world.hub.Now()
		if c.change != nil {
			c.change(s)
		}
		flight, err := world.runbook().DryRun(t.Context(), operator, c.order)
		if err != nil || !slices.Equal(flight.Effects, c.effects) {
			t.Errorf("%s: %v\n got %q\nwant %q", c.sentence, err, flight.Effects, c.effects)
		}
	}
}

func TestTheDryRunSaysWhoseBackendEndsAndWhoGoesOn(t *testing.T) {
	b := Backend{PID: 42, Type: "client backend", User: "app", Application: "report", State: "active", Address: inv.PgBouncer.Poolers[0].Address.String()}
	for _, c := range []struct {
		verb    Verb
		change  func(*Backend)
		effects []string
	}{
		{Terminate, func(b *Backend) { b.State, b.Xact, b.Waiting = "idle in transaction", 422*time.Second, 2 }, []string{
			"Backend 42 (user app, report, through pgb1) is disconnected; its transaction, open for 7 min 2 s, is rolled back.",
			"2 sessions that wait for its locks can go on."}},
		{Terminate, func(b *Backend) { b.State, b.Application, b.Address = "idle", "", "" }, []string{
			"Backend 42 (user app, no application name, on PostgreSQL's own machine) is disconnected."}},
		{Cancel, func(b *Backend) { b.Xact, b.Waiting, b.Address = time.Millisecond, 1, "192.168.1.50" }, []string{
			"Backend 42 (user app, report, from 192.168.1.50) stays connected. The query that runs ends with an error; its transaction is rolled back.",
			"1 session that waits for its locks can go on."}},
		{Cancel, func(b *Backend) { b.State = "idle" }, nil},
	} {
		world, b := newChain(), b
		c.change(&b)
		world.backends[42] = b
		flight, err := world.runbook().DryRun(t.Context(), operator, Order{Verb: c.verb, PID: 42})
		if err != nil || !slices.Equal(flight.Effects, c.effects) {
			t.Errorf("%s of %+v: %v\n got %q\nwant %q", c.verb, b, err, flight.Effects, c.effects)
		}
	}
}

func TestABackendIsJudgedByWhatItIs(t *testing.T) {
	began := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	client := Backend{Type: "client backend", Started: began, User: "app", State: "active"}
	with := func(change func(*Backend)) Backend {
		b := client
		change(&b)
		return b
	}
	for _, c := range []struct {
		sentence string
		order    Order
		backend  Backend
		reasons  []string
		code     fault.Code
	}{
		{"a query is cancelled", Order{Verb: Cancel}, client, nil, ""},
		{"an idle session has nothing to cancel", Order{Verb: Cancel}, with(func(b *Backend) { b.State = "idle in transaction" }),
			[]string{"Backend 42 runs no query: it is idle in transaction. To end its session, terminate it."}, ""},
		{"an idle session is ended", Order{Verb: Terminate}, with(func(b *Backend) { b.State = "idle in transaction" }), nil, ""},
		{"PostgreSQL's own processes are left alone", Order{Verb: Terminate}, with(func(b *Backend) { b.Type = "walwriter" }),
			[]string{"Backend 42 is PostgreSQL's own (walwriter)."}, ""},
		{"a superuser's session is out of Weir's reach", Order{Verb: Terminate}, with(func(b *Backend) { b.User, b.Superuser = "postgres", true }),
			[]string{"Backend 42 is of the superuser postgres, whom only a superuser may touch: do it with psql."}, ""},
		{"Weir does not end itself", Order{Verb: Terminate}, with(func(b *Backend) { b.User = "weir" }),
			[]string{"Backend 42 is Weir's own (weir)."}, ""},
		{"the backend that was meant is the one", Order{Verb: Terminate, Started: began}, client, nil, ""},
		{"another one with the same number is not", Order{Verb: Terminate, Started: began.Add(-time.Second)}, client, nil, fault.NotFound},
	} {
		world := newChain()
		world.backends[42] = c.backend
		c.order.PID = 42
		flight, err := world.runbook().DryRun(t.Context(), operator, c.order)
		if fault.CodeOf(err) != c.code || !slices.Equal(flight.Reasons, c.reasons) {
			t.Errorf("%s: %q %v", c.sentence, flight.Reasons, err)
		}
	}
	if _, err := newChain().runbook().DryRun(t.Context(), operator, Order{Verb: Cancel, PID: 1}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a backend that has ended: %v", err)
	}
}

func TestAnOrderIsCheckedFieldByField(t *testing.T) {
	long := string(slices.Repeat([]rune{'ä'}, MaxReason+1))
	for _, c := range []struct {
		sentence string
		order    Order
		field    string // "" is accepted
	}{
		{"a verb that is not in the table", Order{Verb: "explode", Host: "pgb1"}, "verb"},
		{"a pooler that is not in the inventory", Order{Verb: Drain, Host: "pgb9", Reason: "test"}, "host"},
		{"a HAProxy node where a pooler is asked for", Order{Verb: Drain, Host: "haproxy1", Reason: "test"}, "host"},
		{"a pooler where a HAProxy node is asked for", Order{Verb: Relinquish, Host: "pgb1", Reason: "test"}, "host"},
		{"no reason where traffic is touched", Order{Verb: Drain, Host: "pgb1"}, "reason"},
		{"a reason of spaces", Order{Verb: Drain, Host: "pgb1", Reason: "      "}, "reason"},
		{"a reason too short", Order{Verb: Drain, Host: "pgb1", Reason: "ab"}, "reason"},
		{"a reason just long enough", Order{Verb: Drain, Host: "pgb1", Reason: "abc"}, ""},
		{"the longest reason", Order{Verb: Drain, Host: "pgb1", Reason: long[:len(long)-2]}, ""},
		{"a reason too long", Order{Verb: Drain, Host: "pgb1", Reason: long}, "reason"},
		{"a reason that is not UTF-8", Order{Verb: Drain, Host: "pgb1", Reason: "abc\xff"}, "reason"},
		{"a reason with a NUL, which PostgreSQL cannot keep", Order{Verb: Drain, Host: "pgb1", Reason: "abc\x00"}, "reason"},
		{"a reason that is wrong where none is needed", Order{Verb: Resume, Reason: "a"}, "reason"},
		{"a pause longer than clients wait", Order{Verb: Pause, For: MaxPause + 1, Reason: "test"}, "for"},
		{"a pause shorter than a second", Order{Verb: Pause, For: MinPause - 1, Reason: "test"}, "for"},
		{"the longest pause", Order{Verb: Pause, For: MaxPause, Reason: "test"}, ""},
		{"a pause of the pooler's own database", Order{Verb: Pause, Database: "weir_auth", Reason: "test"}, "database"},
		{"a database name with a line end", Order{Verb: Pause, Database: "a\nb", Reason: "test"}, "database"},
		{"a reload of one database", Order{Verb: Reload, Database: "app", Reason: "test"}, "database"},
		{"no backend", Order{Verb: Cancel, Reason: "test"}, "pid"},
		{"a number that is no backend's", Order{Verb: Cancel, PID: 1 << 31, Reason: "test"}, "pid"},
		{"an incident's id that is none", Order{Verb: Acknowledge, Incident: "0190a5f0-0000-7000-8000-00000000000g"}, "incident"},
		{"a silence for ever", Order{Verb: Silence, For: MaxSilence + 1, Reason: "test"}, "for"},
		{"a silence for no time", Order{Verb: Silence, Reason: "test"}, "for"},
		{"a pattern that is broken", Order{Verb: Silence, Cause: "pooler-down/[", For: time.Hour, Reason: "test"}, "cause"},
		{"a silence about a host that does not exist", Order{Verb: Silence, Host: "pgb9", For: time.Hour, Reason: "test"}, "host"},
		{"a silence without an id to end", Order{Verb: Unsilence}, "silence"},
	} {
		_, err := newChain().runbook().Do(t.Context(), operator, c.order)
		var f *fault.Error
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v", c.sentence, err)
		case c.field != "" && (!errors.As(err, &f) || f.Code != fault.Invalid || f.Field != c.field):
			t.Errorf("%s: %v, not a word about %s", c.sentence, err, c.field)
		}
	}
}

func TestTheVerbsAreListedForThoseWhoDrawButtons(t *testing.T) {
	if got := Verbs(); len(got) != len(verbs) || got[Drain] != (Requirement{Operator, true}) || got[Resume] != (Requirement{Operator, false}) {
		t.Errorf("%v", slices.Collect(maps.Keys(got)))
	}
}
