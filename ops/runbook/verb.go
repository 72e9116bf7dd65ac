package runbook

import (
	"context"

	"weir/ops/haproxy"
	"weir/ops/inventory"
)

// Verb is what an order asks for.
type Verb string

const (
	Drain       Verb = "drain"       // a pooler gets no new clients; those it has stay
	Maint       Verb = "maint"       // a pooler gets no clients; those it has are disconnected
	Ready       Verb = "ready"       // a pooler gets clients again
	Pause       Verb = "pause"       // pools finish what runs and start nothing: clients wait, until For is over at the latest
	Resume      Verb = "resume"      // ends a pause
	Reconnect   Verb = "reconnect"   // pools replace every server connection as its transaction ends
	Reload      Verb = "reload"      // poolers read their files again
	Relinquish  Verb = "relinquish"  // the HAProxy node that holds the VIP gives it up, and stays without while the other can hold it
	Reclaim     Verb = "reclaim"     // a node that relinquished may hold the VIP again. It is not moved back: that would cut everybody off once more
	Cancel      Verb = "cancel"      // a backend gives up its query
	Terminate   Verb = "terminate"   // a backend ends, and its client is disconnected
	Acknowledge Verb = "acknowledge" // an incident: no more reminders
	Silence     Verb = "silence"     // nobody is told about some causes, until For is over
	Unsilence   Verb = "unsilence"   // ends a silence
	Test        Verb = "test"        // a test message to a channel
)

// verb is everything that Do needs to know about one verb, so that none can forget a step.
type verb struct {
	role      Role
	reason    bool // must be given: it touches traffic, or keeps somebody from being told
	alone     bool // changes the chain: one at a time, judged by a snapshot that saw the one before
	check     func(Order, *inventory.Inventory) error
	preflight func(context.Context, *Runbook, Order) (Preflight, error) // an error is that it could not tell
	act       func(context.Context, *Runbook, *deed) error              // on all hosts or on none, or saying which
}

// verbs is every verb. What restores (ready, resume, reclaim) needs no reason and is never undone:
// whoever ends an outage at night shall not be asked why, nor lose the half that worked.
var verbs = map[Verb]verb{
	Drain: {Operator, true, true, aPooler, judged(takeOut(haproxy.Drain)), setServer(haproxy.Drain)},
	Maint: {Operator, true, true, aPooler, judged(takeOut(haproxy.Maint)), setServer(haproxy.Maint)},
	Ready: {Operator, false, true, aPooler, judged((*judge).putBack), ready},

	Pause:     {Operator, true, true, aPause, judged((*judge).wouldBlock), pause},
	Resume:    {Operator, false, true, pools, told((*judge).goOn), resume},
	Reconnect: {Operator, true, true, pools, judged((*judge).needsPostgres), reconnect},
	Reload:    {Operator, true, true, aReload, judged((*judge).readsAgain), reload},

	Relinquish: {Operator, true, true, aNode, judged((*judge).moveVIP), relinquish},
	Reclaim:    {Operator, false, true, aNode, judged((*judge).isHeld), reclaim},

	Cancel:    {Operator, true, false, aBackend, mayCancel, cancel},
	Terminate: {Operator, true, false, aBackend, mayTerminate, terminate},

	Acknowledge: {Operator, false, false, anIncident, harmless, acknowledge},
	Silence:     {Operator, true, false, aSilence, harmless, silence},
	Unsilence:   {Operator, false, false, theSilence, harmless, unsilence},
	Test:        {Operator, false, false, aChannel, harmless, test},
}

// Verbs lists every verb with the role it needs and whether it asks for a reason, for those who
// draw buttons.
func Verbs() map[Verb]Requirement {
	out := make(map[Verb]Requirement, len(verbs))
	for name, v := range verbs {
		out[name] = Requirement{Role: v.role, Reason: v.reason}
	}
	return out
}

// Requirement is what a verb asks of the actor.
type Requirement struct {
	Role   Role
	Reason bool
}
