package runbook

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/ops/fault"
	"weir/ops/haproxy"
)

// orders has a good one for every verb; a verb without one fails the test below.
var orders = map[Verb]Order{
	Drain: {Host: "pgb2"}, Maint: {Host: "pgb2"}, Ready: {Host: "pgb2"},
	Pause: {}, Resume: {}, Reconnect: {}, Reload: {},
	Relinquish: {Host: "haproxy1"}, Reclaim: {Host: "haproxy2"},
	Cancel: {PID: 42}, Terminate: {PID: 42},
	Acknowledge: {Incident: "0190a5f0-0000-7000-8000-000000000001"},
	Silence:     {For: time.Hour}, Unsilence: {Silence: 5}, Test: {Channel: "slack"},
}

func TestEveryVerbAuthorisesValidatesAndAudits(t *testing.T) {
	viewer := operator
	viewer.Role = Viewer
	for name, v := range verbs {
		order, ok := orders[name]
		if !ok {
			t.Errorf("%s: the test has no order for it", name)
			continue
		}
		order.Verb, order.Reason = name, "a test"
		if v.check == nil || v.preflight == nil || v.act == nil || ranks[v.role] < ranks[Operator] {
			t.Errorf("%s: a step is missing in %+v", name, v)
			continue
		}
		t.Run(string(name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				world := newChain()
				world.backends[42] = Backend{PID: 42, Type: "client backend", User: "app", State: "active"}
				world.nodes["haproxy2"].state.Hold = name == Reclaim
				world.poll()
				r := world.runbook()

				if _, err := r.Do(t.Context(), Actor{}, order); fault.CodeOf(err) != fault.Unauthenticated || len(world.journal.entries) > 0 {
					t.Errorf("nobody: %v, %d entries", err, len(world.journal.entries))
				}
				if _, err := r.DryRun(t.Context(), viewer, order); fault.CodeOf(err) != fault.Forbidden {
					t.Errorf("a viewer's dry run: %v", err)
				}
				world.journal.entries = nil
				if _, err := r.Do(t.Context(), viewer, order); fault.CodeOf(err) != fault.Forbidden {
					t.Errorf("a viewer: %v", err)
				}
				refused(t, world, viewer, order)
				wrong := Order{Verb: name, Host: "nobody", PID: -1, Incident: "none", Silence: -1, For: -1, Reason: "a test"}
				if _, err := r.Do(t.Context(), operator, wrong); fault.CodeOf(err) != fault.Invalid {
					t.Errorf("a wrong order: %v", err)
				}
				silent := order
				silent.Reason = ""
				if _, err := r.Do(t.Context(), operator, silent); v.reason != (fault.FieldOf(err) == "reason") {
					t.Errorf("without a reason: %v, and one is needed: %t", err, v.reason)
				}
			})
			synctest.Test(t, func(t *testing.T) { succeeds(t, name, order) })
		})
	}
	if len(orders) != len(verbs) {
		t.Error("the test has orders for verbs that are not there")
	}
}

// refused looks for the one entry that tells of an attempt.
func refused(t *testing.T, world *chain, actor Actor, o Order) {
	t.Helper()
	if len(world.journal.entries) != 1 || len(world.log) > 0 || len(world.told) > 0 {
		t.Fatalf("%d entries, and %q %q was done", len(world.journal.entries), world.log, world.told)
	}
	if e := world.journal.entries[0]; e.Result != RefusedResult || e.Actor != actor || e.Verb != o.Verb || e.Subject != o.Subject() {
		t.Errorf("the audit says %+v", e)
	}
	world.journal.entries = nil
}

func succeeds(t *testing.T, name Verb, order Order) {
	world := newChain()
	world.backends[42] = Backend{PID: 42, Type: "client backend", User: "app", State: "active"}
	world.nodes["haproxy2"].state.Hold = name == Reclaim
	world.poll()
	time.Sleep(1234 * time.Nanosecond) // of the bubble's time, which is whole
	out, err := world.runbook().Do(t.Context(), operator, order)
	if err != nil || out.Result != OK || out.AuditPending {
		t.Fatalf("%+v %v", out, err)
	}
	if name != Resume && len(world.log) == 0 && len(world.told) == 0 { // nothing was paused
		t.Error("nothing happened")
	}
	if len(world.journal.entries) != 1 || len(world.spool.entries) > 0 {
		t.Fatalf("%d entries, %d left in the spool", len(world.journal.entries), len(world.spool.entries))
	}
	e := world.journal.entries[0]
	if e.ID != out.ID || e.Actor != operator || e.Verb != name || e.Subject != order.Subject() || e.Reason != "a test" ||
		e.Result != OK || e.Took != out.Took || e.At.IsZero() || !e.At.Equal(e.At.Truncate(time.Microsecond)) {
		t.Errorf("the audit says %+v", e)
	}
}

func TestAForbiddenOrderLeavesNoUncheckedTextInTheAudit(t *testing.T) {
	world := newChain()
	viewer := operator
	viewer.Role = Viewer
	_, err := world.runbook().Do(t.Context(), viewer, Order{Verb: Drain, Host: "\x00", Reason: "\xff\x00"})
	if fault.CodeOf(err) != fault.Forbidden {
		t.Fatal(err)
	}
	if e := world.journal.entries[0]; e.Subject != "" || e.Reason != "" {
		t.Errorf("%+v", e)
	}
}

func TestAnActorIsKnownOrRefused(t *testing.T) {
	for _, a := range []Actor{
		{}, {Kind: User, Name: "x", Role: Operator}, {Kind: User, ID: 1, Role: Operator}, {Kind: User, ID: 1, Name: "x"},
		{Kind: User, ID: 1, Name: "x", Role: "root"}, {Kind: "ghost", ID: 1, Name: "x", Role: Operator},
	} {
		if err := a.check(); fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%+v: %v", a, err)
		}
	}
	for _, a := range []Actor{
		{Kind: Token, ID: 1, Name: "deploy", Role: Viewer, Address: netip.MustParseAddr("192.168.1.9")},
		{Kind: System, Name: "root", Role: Administrator},
	} {
		if err := a.check(); err != nil {
			t.Errorf("%+v: %v", a, err)
		}
	}
	if err := (Actor{Role: Administrator}).may(Operator); err != nil {
		t.Errorf("an administrator may less than an operator: %v", err)
	}
}

func TestAPreflightsRefusalIsAuditedAndDoesNothing(t *testing.T) {
	world := newChain()
	world.nodes["haproxy1"].down = map[string]bool{"pgb1": true, "pgb3": true}
	world.poll()
	order := Order{Verb: Maint, Host: "pgb2", Reason: "a test"}
	out, err := world.runbook().Do(t.Context(), operator, order)
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(fault.MessageOf(err), "No other pooler serves clients of haproxy1.") {
		t.Errorf("%v", err)
	}
	if out.Result != RefusedResult || len(out.Reasons) != 1 {
		t.Errorf("%+v", out)
	}
	refused(t, world, operator, order)
}

func TestADrainIsGivenToBothHAProxies(t *testing.T) {
	world := newChain()
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range world.nodes {
		if n.admin["pgb2"] != haproxy.Drain || n.admin["pgb1"] != haproxy.Ready {
			t.Errorf("%s: %v", name, n.admin)
		}
	}
	if !slices.Equal(out.Detail, []string{"haproxy1: drain done", "haproxy2: drain done"}) {
		t.Errorf("%q", out.Detail)
	}
}

func TestWhenOneHAProxyDoesNotObeyTheOtherIsPutBackAsItWas(t *testing.T) {
	world := newChain()
	world.nodes["haproxy1"].admin["pgb2"] = haproxy.Drain // it was so before
	world.nodes["haproxy2"].deaf = true
	world.poll()
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Maint, Host: "pgb2", Reason: "a test"})
	if fault.CodeOf(err) != fault.Unavailable || out.Result != Failed {
		t.Fatalf("%+v %v", out, err)
	}
	if is := world.nodes["haproxy1"].admin["pgb2"]; is != haproxy.Drain {
		t.Errorf("haproxy1 has it in %s", is)
	}
	want := "maint of pgb2 failed on haproxy2. It was undone on haproxy1. It could not be undone on haproxy2, where it may be in force: look there."
	if got := fault.MessageOf(err); got != want {
		t.Errorf("%q", got)
	}
	if e := world.journal.entries[0]; e.Result != Failed || !slices.Contains(e.Detail, "haproxy1: undone") ||
		!slices.Contains(e.Detail, "haproxy2: maint failed: connection refused") {
		t.Errorf("%+v", e)
	}
}

func TestAProgramThatEndsWaitsForTheOrderThatHasBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.nodes["haproxy2"].hung = true
		r := world.runbook()
		if err := r.Wait(t.Context()); err != nil {
			t.Errorf("with no order: %v", err)
		}
		began := time.Now()
		go r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
		synctest.Wait()
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := r.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("while it is carried out: %v", err)
		}
		if err := r.Wait(t.Context()); err != nil || time.Since(began) != actLimit+undoLimit {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		if is := world.nodes["haproxy1"].admin["pgb2"]; is != haproxy.Ready {
			t.Errorf("haproxy1 has it in %s", is)
		}
	})
}

func TestWhenOneHAProxyTakesForEverTheOtherIsPutBackAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.nodes["haproxy2"].hung = true
		began := time.Now()
		_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
		if fault.CodeOf(err) != fault.Unavailable || time.Since(began) != actLimit+undoLimit {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		if is := world.nodes["haproxy1"].admin["pgb2"]; is != haproxy.Ready {
			t.Errorf("haproxy1 has it in %s", is)
		}
	})
}

func TestNothingIsOrderedWhenAHAProxyDiedAfterTheLastPoll(t *testing.T) {
	world := newChain()
	world.nodes["haproxy2"].dead = true
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
	if fault.CodeOf(err) != fault.Unavailable || out.Result != Failed || len(world.log) > 0 {
		t.Errorf("%+v %v %q", out, err, world.log)
	}
}

func TestADrainIsUndoneWhenTheLastOfTheOthersLeavesMeanwhile(t *testing.T) {
	world := newChain()
	world.nodes["haproxy1"].down = map[string]bool{"pgb1": true}
	world.poll()
	n := world.nodes["haproxy1"]
	n.after = func() { n.down["pgb3"] = true }
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
	if fault.CodeOf(err) != fault.Refused || !strings.Contains(fault.MessageOf(err), "no other pooler serves clients of haproxy1 any more") {
		t.Errorf("%v", err)
	}
	for name, n := range world.nodes {
		if n.admin["pgb2"] != haproxy.Ready {
			t.Errorf("%s: %s", name, n.admin["pgb2"])
		}
	}
}

func TestReadyKeepsTheHalfThatWorked(t *testing.T) {
	world := newChain()
	for _, n := range world.nodes {
		n.admin["pgb2"] = haproxy.Maint
	}
	world.nodes["haproxy2"].dead = true
	world.poll()
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Ready, Host: "pgb2"})
	if fault.CodeOf(err) != fault.Unavailable || fault.MessageOf(err) != "ready of pgb2 failed on haproxy2. On the other hosts it is done and stays." {
		t.Errorf("%v", err)
	}
	if is := world.nodes["haproxy1"].admin["pgb2"]; is != haproxy.Ready {
		t.Errorf("haproxy1 has it in %s", is)
	}
}

func TestTheSecondOfTwoDrainsSeesTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.nodes["haproxy1"].down = map[string]bool{"pgb1": true}
		world.poll()
		time.Sleep(500 * time.Millisecond) // half a poll later the snapshot is as it was; the time is the bubble's
		world.polls(t)
		r := world.runbook()
		if _, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
		_, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb3", Reason: "a test"})
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "No other pooler serves clients of haproxy1.") {
			t.Errorf("%v", err)
		}
	})
}

func TestAfterAnOrderNothingIsJudgedByWhatWasSeenBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain() // nobody polls
		r := world.runbook()
		time.Sleep(time.Second)
		if _, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		_, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb3", Reason: "a test"})
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "too old to judge") || time.Since(began) != maxAge(inv) {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestWhoeverCannotWaitForTheNextPollIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain() // nobody polls
		r := world.runbook()
		time.Sleep(time.Second)
		if _, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Do(ctx, operator, Order{Verb: Drain, Host: "pgb3", Reason: "a test"})
		if fault.CodeOf(err) != fault.Refused || !strings.Contains(err.Error(), "haproxy1 was not heard since the order before this one.") {
			t.Errorf("%v", err)
		}
	})
}

func TestOrdersWaitForEachOtherAndNotForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		gate := make(chan struct{})
		world.poolers["pgb1"].gate = gate
		r := world.runbook()
		paused := make(chan error, 1)
		go func() {
			_, err := r.Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
			paused <- err
		}()
		synctest.Wait()
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Do(impatient, operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"}); fault.CodeOf(err) != fault.Conflict {
			t.Errorf("a drain while pools are being paused: %v", err)
		}
		world.backends[42] = Backend{PID: 42, Type: "client backend", User: "app", State: "idle in transaction"}
		if _, err := r.Do(t.Context(), operator, Order{Verb: Terminate, PID: 42, Reason: "it blocks the pause"}); err != nil {
			t.Errorf("what a pause waits for is ended while it waits: %v", err)
		}
		close(gate)
		if err := <-paused; err != nil {
			t.Error(err)
		}
	})
}

func TestWhoeverHangsUpLeavesNothingHalfDone(t *testing.T) {
	world := newChain()
	ctx, hangUp := context.WithCancel(t.Context())
	world.poolers["pgb1"].before = hangUp
	out, err := world.runbook().Do(ctx, operator, Order{Verb: Pause, Reason: "a test"})
	if err != nil || out.Result != OK || len(world.journal.entries) != 1 {
		t.Errorf("%+v %v, %d entries", out, err, len(world.journal.entries))
	}
	for name, p := range world.poolers {
		if !p.whole {
			t.Errorf("%s is not paused", name)
		}
	}
}

func TestTheVIPMovesAndTheHoldStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Relinquish, Host: "haproxy1", Reason: "new kernel"})
		if err != nil || !slices.Equal(out.Detail, []string{"haproxy1: relinquish done", "haproxy2: holds the VIP, 1.00 s after the order"}) {
			t.Errorf("%+v %v", out, err)
		}
		if n := world.nodes["haproxy1"].state; n.VIP || !n.Hold || !world.nodes["haproxy2"].state.VIP {
			t.Errorf("%+v", n)
		}
	})
}

func TestAVIPThatDoesNotMoveIsLeftWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		world.moves = false
		began := time.Now()
		out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Relinquish, Host: "haproxy1", Reason: "new kernel"})
		if fault.CodeOf(err) != fault.Timeout || out.Result != Failed || time.Since(began) != moveLimit {
			t.Errorf("after %s: %+v %v", time.Since(began), out, err)
		}
		if got := fault.MessageOf(err); got != "relinquish of haproxy1 failed: haproxy2 did not take the VIP within 5s. It was undone on haproxy1." {
			t.Errorf("%q", got)
		}
		if n := world.nodes["haproxy1"].state; !n.VIP || n.Hold {
			t.Errorf("%+v", n)
		}
	})
}

func TestTwoHoldersAreNoMoveAndNeitherIsNone(t *testing.T) {
	for name, holds := range map[string]bool{"haproxy2": true, "haproxy1": false} {
		synctest.Test(t, func(t *testing.T) {
			world := newChain()
			world.moves = false
			time.AfterFunc(time.Second, func() {
				world.mu.Lock()
				defer world.mu.Unlock()
				world.nodes[name].state.VIP = holds
			})
			_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Relinquish, Host: "haproxy1", Reason: "new kernel"})
			if fault.CodeOf(err) != fault.Timeout || world.nodes["haproxy1"].state.Hold {
				t.Errorf("%s holds it: %t: %v, hold %t", name, holds, err, world.nodes["haproxy1"].state.Hold)
			}
		})
	}
}

func TestWhilePostgreSQLIsAwayTheChainIsOperatedAndTheAuditFollows(t *testing.T) {
	world := newChain()
	r := world.runbook()
	world.journal.err = errors.New("connection refused")
	out, err := r.Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
	if err != nil || !out.AuditPending || len(world.spool.entries) != 1 {
		t.Fatalf("%+v %v, %d spooled", out, err, len(world.spool.entries))
	}
	if n, err := r.DeliverAudit(t.Context()); err == nil || n != 0 || len(world.spool.entries) != 1 {
		t.Errorf("delivered %d, %v, while PostgreSQL is away", n, err)
	}
	world.journal.err = nil
	if n, err := r.DeliverAudit(t.Context()); err != nil || n != 1 || len(world.spool.entries) != 0 {
		t.Errorf("delivered %d, %v", n, err)
	}
	if e := world.journal.entries[0]; e.Result != OK || e.ID != out.ID || !slices.Equal(e.Detail, []string{"haproxy1: drain done", "haproxy2: drain done"}) {
		t.Errorf("%+v", e)
	}
}

func TestWhatNobodyCouldAccountForIsNotBegun(t *testing.T) {
	world := newChain()
	world.spool.err = errors.New("no space left on device")
	_, err := world.runbook().Do(t.Context(), operator, Order{Verb: Drain, Host: "pgb2", Reason: "a test"})
	if fault.CodeOf(err) != fault.Unavailable || len(world.log) > 0 {
		t.Errorf("%v, and %q was done", err, world.log)
	}
}

func TestAnOrderThatIsStillCarriedOutIsNotDeliveredAndOneThatWasCutOffIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		world := newChain()
		gate := make(chan struct{})
		world.poolers["pgb1"].gate = gate
		r := world.runbook()
		done := make(chan error, 1)
		go func() {
			_, err := r.Do(t.Context(), operator, Order{Verb: Pause, Reason: "a test"})
			done <- err
		}()
		synctest.Wait()
		if n, err := r.DeliverAudit(t.Context()); n != 0 || err != nil {
			t.Errorf("delivered %d, %v", n, err)
		}
		// Another Runbook over the same spool is this program started again after it was killed.
		spooled := maps.Clone(world.spool.entries)
		after := newChain()
		after.spool.entries = spooled
		if n, err := after.runbook().DeliverAudit(t.Context()); n != 1 || err != nil {
			t.Errorf("delivered %d, %v", n, err)
		}
		if e := after.journal.entries[0]; e.Result != Failed || !strings.Contains(e.Detail[0], "unknown") || e.Verb != Pause || e.Actor != operator {
			t.Errorf("%+v", e)
		}
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestASilenceGoesWhereTheMonitorReadsIt(t *testing.T) {
	world := newChain()
	out, err := world.runbook().Do(t.Context(), operator, Order{Verb: Silence, Host: "pgb1", For: time.Hour, Reason: "new disk"})
	if err != nil || !slices.Equal(world.told, []string{"silence * pgb1 for 1h0m0s: new disk"}) || out.Expires.IsZero() {
		t.Errorf("%q %+v %v", world.told, out, err)
	}
}
