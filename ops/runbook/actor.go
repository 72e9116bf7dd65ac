package runbook

import (
	"net/netip"

	"weir/ops/fault"
)

// Role is what an actor may do; each may do what those before it may.
type Role string

const (
	Viewer        Role = "viewer"        // looks
	Operator      Role = "operator"      // operates the chain, acknowledges
	Administrator Role = "administrator" // people, tokens, settings
)

var ranks = map[Role]int{Viewer: 1, Operator: 2, Administrator: 3}

// Kind of an actor.
type Kind string

const (
	User   Kind = "user"
	Token  Kind = "token"
	System Kind = "system" // Weir itself, or root on its machine
)

// Actor is who gives an order, as the audit will name it.
type Actor struct {
	Kind    Kind
	ID      int64 // of the user or token; 0 for System
	Name    string
	Role    Role
	Address netip.Addr // where the order came from; the zero Addr when from this machine
}

// check refuses an actor that nobody has made sure of: the zero Actor above all.
func (a Actor) check() error {
	known := a.Kind == System || (a.Kind == User || a.Kind == Token) && a.ID > 0
	if !known || a.Name == "" || ranks[a.Role] == 0 {
		return fault.Errorf(fault.Unauthenticated, "Sign in first.")
	}
	return nil
}

func (a Actor) may(needed Role) error {
	if ranks[a.Role] < ranks[needed] {
		return fault.Errorf(fault.Forbidden, "This needs the role %s; yours is %s.", needed, a.Role)
	}
	return nil
}
