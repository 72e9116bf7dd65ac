package haproxy

import (
	"fmt"
	"strings"
)

// State is the operational state: what the checks say, whatever an operator ordered.
type State uint8

const (
	Up          State = iota + 1
	UpGoingDown       // "UP 1/3": checks fail, not often enough yet
	Down
	DownGoingUp // "DOWN 1/2": checks pass again, not often enough yet
	NoCheck     // a server without a check, or whose check is switched off: keeps its state, nobody looks
	NotChecked  // in maint HAProxy stops checking: unknown, not down
	Open        // a frontend that accepts connections
	Full        // a frontend at its maxconn
	Stopped     // a frontend that stopped
)

var stateNames = map[State]string{Up: "UP", UpGoingDown: "UP going down", Down: "DOWN", DownGoingUp: "DOWN going up",
	NoCheck: "no check", NotChecked: "not checked", Open: "OPEN", Full: "FULL", Stopped: "STOP"}

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return "unknown"
}

// badness orders states for several processes that see the same server: the worst is the node's.
var badness = map[State]int{Open: 0, NoCheck: 0, Up: 1, UpGoingDown: 2, NotChecked: 3, Full: 4, DownGoingUp: 5, Down: 6, Stopped: 7}

// Serving says that HAProxy sends connections to a server in this state, if it is Ready as well.
func (s State) Serving() bool { return s == Up || s == UpGoingDown || s == NoCheck }

// Admin is the administrative state: what an operator ordered. HAProxy's statistics do not tell
// whether a server that is DOWN was ordered to drain: it then reads as Ready.
type Admin uint8

const (
	Ready Admin = iota + 1
	Drain       // no new connections, those that are there stay
	Maint       // no connections, no checks; sessions are shut down
)

var adminNames = map[Admin]string{Ready: "ready", Drain: "drain", Maint: "maint"}

func (a Admin) String() string {
	if name, ok := adminNames[a]; ok {
		return name
	}
	return "unknown"
}

// Health is how far a server is between DOWN and UP: 1/3 in "UP 1/3". Zero when it is not between.
type Health struct{ Passed, Of int }

// parseStatus takes the status column apart (stats.c of HAProxy 3.0).
func parseStatus(kind Kind, status string) (State, Admin, Health, error) {
	word, rest, _ := strings.Cut(status, " ")
	if kind != Server {
		state, ok := map[string]State{"OPEN": Open, "FULL": Full, "STOP": Stopped, "UP": Up, "DOWN": Down}[word]
		if !ok {
			return 0, 0, Health{}, fmt.Errorf("unknown status %q", status)
		}
		return state, Ready, Health{}, nil
	}
	if word == "MAINT" { // also "MAINT (via backend/server)" and "MAINT (resolution)"
		return NotChecked, Maint, Health{}, nil
	}
	var h Health
	if strings.Contains(rest, "/") {
		if _, err := fmt.Sscanf(rest, "%d/%d", &h.Passed, &h.Of); err != nil {
			return 0, 0, Health{}, fmt.Errorf("unknown status %q", status)
		}
	}
	admin := Ready
	if word == "DRAIN" {
		admin = Drain
	}
	switch {
	case status == "no check":
		return NoCheck, admin, h, nil
	case word == "UP" || word == "DRAIN" || word == "NOLB": // NOLB: a check asked for no new connections
		if h.Of > 0 {
			return UpGoingDown, admin, h, nil
		}
		return Up, admin, h, nil
	case word == "DOWN": // also "DOWN (agent)"
		if h.Of > 0 {
			return DownGoingUp, admin, h, nil
		}
		return Down, admin, h, nil
	}
	return 0, 0, Health{}, fmt.Errorf("unknown status %q", status)
}
