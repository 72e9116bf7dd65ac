package incident

import "strings"

// State of a cause. An incident is one from Firing on, until it is OK again.
type State string

const (
	OK         State = "ok"
	Suspect    State = "suspect"    // seen, not believed yet; nobody is told
	Firing     State = "firing"     // believed
	Recovering State = "recovering" // gone, perhaps not for long
	Flapping   State = "flapping"   // comes and goes: told once
	Planned    State = "planned"    // an operator's doing: not an outage
)

// States are all of them, in the order in which a cause meets them.
var States = []State{OK, Suspect, Firing, Recovering, Flapping, Planned}

// Event is what one look at the chain means for one cause.
type Event string

const (
	Suspected Event = "suspected" // there, on thin evidence or not for long enough
	Found     Event = "found"     // there, and believed
	Often     Event = "often"     // found, and so often of late that it flaps
	Steady    Event = "steady"    // found, and without a break for a while
	Ordered   Event = "ordered"   // there, because an operator wants it so
	Clear     Event = "clear"     // not there
	Quiet     Event = "quiet"     // not there, for long enough
	Explained Event = "explained" // there, as a symptom of another incident
	Unknown   Event = "unknown"   // cannot be told: the monitor is blind
)

// Events are all of them.
var Events = []Event{Suspected, Found, Often, Steady, Ordered, Clear, Quiet, Explained, Unknown}

// edges decides every (state, event).
var edges = map[State]map[Event]State{
	OK: {
		Suspected: Suspect, Found: Firing, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: OK, Quiet: OK, Explained: Suspect, Unknown: OK,
	},
	Suspect: {
		Suspected: Suspect, Found: Firing, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: OK, Quiet: OK, Explained: Suspect, Unknown: Suspect,
	},
	Firing: {
		Suspected: Firing, Found: Firing, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: Recovering, Quiet: OK, Explained: Firing, Unknown: Firing,
	},
	Recovering: {
		Suspected: Recovering, Found: Firing, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: Recovering, Quiet: OK, Explained: Recovering, Unknown: Recovering,
	},
	Flapping: {
		Suspected: Flapping, Found: Flapping, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: Flapping, Quiet: OK, Explained: Flapping, Unknown: Flapping,
	},
	Planned: {
		Suspected: Planned, Found: Firing, Often: Flapping, Steady: Firing, Ordered: Planned,
		Clear: OK, Quiet: OK, Explained: Planned, Unknown: Planned,
	},
}

// Next is the state after an event.
func Next(s State, e Event) State { return edges[s][e] }

// Diagram draws the table for Mermaid; events that change nothing are left out.
func Diagram() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n    [*] --> ok\n")
	for _, from := range States {
		for _, to := range States {
			if from == to {
				continue
			}
			var on []string
			for _, e := range Events {
				if edges[from][e] == to {
					on = append(on, string(e))
				}
			}
			if len(on) > 0 {
				b.WriteString("    " + string(from) + " --> " + string(to) + ": " + strings.Join(on, ", ") + "\n")
			}
		}
	}
	return b.String()
}
