package incident

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/word"
)

// nodes finds HAProxy nodes that do not answer, or cannot take the VIP.
func (e *examination) nodes() {
	failing, away := 0, 0
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		if n.State.Err != nil && n.Stats.Err != nil {
			failing++
			if e.gone(n) {
				away++
			}
		}
	}
	all := failing == len(e.s.Nodes)
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		if n.State.Err != nil && n.Stats.Err != nil {
			// While the other one is in doubt as well it may be both, which is another incident.
			e.unreachable(n, !e.gone(n) || all && away < failing)
		}
		e.unread(n)
		e.keepalived(n)
		e.redundancy(n)
	}
	switch through := e.s.VIP.Through; {
	case all:
		e.noHAProxy(away < failing)
	case through.Err != nil && e.now.Sub(e.back()) < vipAfter:
		e.noHAProxy(true) // it is not over before somebody has taken the VIP, and a query passes
	}
}

// back is since when a node answers without a break: of several, the first of them.
func (e *examination) back() time.Time {
	var first time.Time
	for i := range e.s.Nodes {
		if state := e.s.Nodes[i].State; state.OK() && (first.IsZero() || state.Since.Before(first)) {
			first = state.Since
		}
	}
	return first
}

// gone reports whether a node that does not answer is believed to be gone.
func (e *examination) gone(n *fleet.Node) bool {
	return n.State.Failures >= failures && e.proven(n.State.Since)
}

// unreachable has one cause for a node that is silent, however it is.
func (e *examination) unreachable(n *fleet.Node, unsure bool) {
	f := Finding{
		Cause: about(HAProxyUnreachable, n.Name), Kind: HAProxyUnreachable, Subject: n.Name, Severity: Warning,
		Title:    n.Name + " unreachable",
		Impact:   "No redundancy: if the other HAProxy fails as well, no client can connect.",
		Evidence: e.holding(),
		Action:   "Nothing comes back from " + n.Address + ": the host or its network is down. Look at " + n.Name + " on its console.",
		Explains: []string{string(RedundancyLost), about(HAProxyUnread, n.Name), about(KeepalivedDead, n.Name)},
		Unsure:   unsure,
	}
	switch state, stats := n.State.Err, n.Stats.Err; {
	case refused(state) && refused(stats):
		f.Kind, f.Title = HAProxyDown, n.Name+" down"
		f.Action = "HAProxy does not run. On " + n.Name + ": `systemctl status haproxy`, then `systemctl restart haproxy`."
	case errors.Is(state, haproxy.ErrSilent) && errors.Is(stats, haproxy.ErrSilent):
		f.Kind, f.Title = HAProxyHung, n.Name+" hung"
		f.Action = "HAProxy accepts connections and does not answer. On " + n.Name + ": `systemctl kill -s KILL haproxy`; systemd starts it again."
	}
	e.add(f)
}

func (e *examination) noHAProxy(unsure bool) {
	f := Finding{
		Cause: string(NoHAProxy), Kind: NoHAProxy, Severity: Critical, Title: "No HAProxy answers",
		Impact: "No client can connect.", Unsure: unsure,
		Action:   "`systemctl restart haproxy keepalived` on " + strings.Join(e.inv.HAProxy.NodeNames(), " and ") + ".",
		Explains: []string{string(HAProxyUnreachable) + "/", string(VIPNobody), string(RedundancyLost), string(PostgresUnreachable), string(KeepalivedDead) + "/"},
	}
	for i := range e.s.Nodes {
		f.Evidence = append(f.Evidence, e.s.Nodes[i].Name+": "+word.Because(e.s.Nodes[i].State.Err))
	}
	f.Evidence = append(f.Evidence, e.passage())
	through := e.s.VIP.Through
	newer := true // than the nodes' silence
	for i := range e.s.Nodes {
		newer = newer && through.Seen.Add(-through.Took).After(e.s.Nodes[i].State.Since)
	}
	f.Unsure = f.Unsure || through.OK() && !newer
	if through.OK() {
		f.Severity, f.Title, f.Impact = Warning, "HAProxies not readable", "Clients are served through the VIP, but neither node answers the monitor: nothing is known of the poolers' state."
		f.Action = "Check that " + e.inv.Monitor.Name + " reaches the statistics port of both nodes."
	}
	e.add(f)
}

// unread is a node of which only half answers.
func (e *examination) unread(n *fleet.Node) {
	err := n.Stats.Err
	if err == nil {
		err = n.State.Err
	}
	if err == nil {
		return
	}
	e.add(Finding{
		Cause: about(HAProxyUnread, n.Name), Kind: HAProxyUnread, Subject: n.Name, Severity: Warning,
		Title:    n.Name + " not readable",
		Impact:   "Clients are served. What " + n.Name + " knows of the poolers or the VIP is not watched.",
		Evidence: []string{"monitor: " + word.Because(err)},
		Action:   "On " + n.Name + ": `systemctl status 'haproxy*'`. Check the statistics password.",
		After:    gaugeAfter, Hold: gaugeAfter,
		Unsure: max(n.Stats.Failures, n.State.Failures) < failures || n.Stats.Err != nil && n.State.Err != nil,
	})
}

func (e *examination) keepalived(n *fleet.Node) {
	state := n.State.Value
	if !n.State.Known() || state.Lives() {
		return
	}
	f := Finding{
		Cause: about(KeepalivedDead, n.Name), Kind: KeepalivedDead, Subject: n.Name, Severity: Warning,
		Title:    "keepalived dead on " + n.Name,
		Impact:   "Redundancy lost: if the other HAProxy fails, nobody takes the VIP. Clients are served.",
		Evidence: append([]string{n.Name + ": keepalived's check was not heard for 3 s, last word " + state.VRRP}, e.holding()...),
		Action:   "On " + n.Name + ": `systemctl restart keepalived`.",
		Explains: []string{string(RedundancyLost)},
		Unsure:   n.State.Err != nil,
	}
	if state.VIP {
		f.Impact = "It holds the VIP and cannot give it up: the other node takes it as well, and connections end."
	}
	switch {
	case state.VRRP == "UNKNOWN":
		f.After = settleAfter // HAProxy has just started, and forgot
	case state.Keepalived:
		f.After = restartAfter
		f.Evidence[0] = n.Name + ": keepalived has ended, last word STOP"
	}
	e.add(f)
}

// redundancy finds a reason why a node without the VIP could not take it.
func (e *examination) redundancy(n *fleet.Node) {
	state := n.State.Value
	if state.Hold && n.State.Known() {
		e.add(Finding{
			Cause: about(VIPOrdered, n.Name), Kind: VIPOrdered, Subject: n.Name, Severity: Info, Planned: true,
			Title:    n.Name + " held back from the VIP",
			Impact:   "By an operator's order. If the other HAProxy fails, " + n.Name + " takes the VIP all the same.",
			Evidence: append([]string{n.Name + ": hold is on"}, e.holding()...),
			Action:   "When the work is done, release the hold on " + n.Name + ".",
		})
		return
	}
	if !n.State.Known() || state.VIP || !state.Lives() {
		return
	}
	why := ""
	switch {
	case !state.Ready:
		why = cmp.Or(state.Why, "it says that it is not ready")
	case state.VRRP == "FAULT" || state.VRRP == "STOP":
		why = "keepalived is in " + state.VRRP
	case state.Poolers == 0:
		why = "it sees no pooler UP"
	}
	if why == "" {
		return
	}
	e.add(Finding{
		Cause: string(RedundancyLost), Kind: RedundancyLost, Subject: n.Name, Severity: Warning,
		Title:    "Redundancy lost: " + n.Name + " could not take the VIP",
		Impact:   "Clients are served. If the other HAProxy fails, they are not.",
		Evidence: append([]string{n.Name + ": " + why}, e.holding()...),
		Action:   "On " + n.Name + ": `systemctl status haproxy keepalived`, and its network to the poolers.",
		After:    settleAfter, Hold: settleAfter, Unsure: n.State.Err != nil,
	})
}

// vip finds an address that nobody holds, or two. The last words of nodes that do not answer keep
// a finding alive, and make none.
func (e *examination) vip() {
	var last []string
	for i := range e.s.Nodes {
		if n := &e.s.Nodes[i]; n.State.Known() && n.State.Value.VIP {
			last = append(last, n.Name)
		}
	}
	switch {
	case len(last) > 1:
		e.vipTwice(last)
	case len(e.holders) == 0:
		e.vipNobody()
	}
}

func (e *examination) vipTwice(holders []string) {
	f := Finding{
		Cause: string(VIPTwice), Kind: VIPTwice, Severity: Critical, Title: "VIP held by " + strings.Join(holders, " and "),
		Impact:   "Two nodes answer at " + e.inv.VIP.Address.String() + ": new connections go to either, and break when the network changes its mind.",
		Evidence: e.holding(),
		Explains: []string{string(RedundancyLost)},
		After:    vipTwiceAfter, Unsure: len(e.holders) < len(holders),
	}
	stop := holders[len(holders)-1]
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		if !n.State.Value.VIP {
			continue
		}
		if f.Basis.IsZero() || n.State.Seen.Before(f.Basis) {
			f.Basis = n.State.Seen
		}
		f.Explains = append(f.Explains, about(KeepalivedDead, n.Name))
		if !n.State.Value.Keepalived || n.State.Value.VRRP != "MASTER" {
			stop = n.Name
		}
	}
	f.Action = "On " + stop + ": `systemctl restart keepalived`. If both stay MASTER they do not hear each other's adverts: look at the network between them."
	e.add(f)
}

func (e *examination) vipNobody() {
	unsure := e.s.VIP.Answers.OK() || e.s.VIP.Through.OK() || len(e.s.Heard()) == 0
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		unsure = unsure || !n.State.OK() && n.State.Failures < failures
	}
	e.add(Finding{
		Cause: string(VIPNobody), Kind: VIPNobody, Severity: Critical, Title: "VIP held by nobody",
		Impact:   "No client can connect to " + e.s.VIP.Address + ", and sessions hang.",
		Evidence: append(e.holding(), e.passage()),
		Action:   "`systemctl restart haproxy keepalived` on " + strings.Join(e.inv.HAProxy.NodeNames(), " and ") + ".",
		Explains: []string{string(HAProxyUnreachable) + "/", string(KeepalivedDead) + "/", string(RedundancyLost), string(PostgresUnreachable)},
		After:    vipNobodyAfter, Unsure: unsure,
	})
}

// holding is what each node says about the VIP.
func (e *examination) holding() []string {
	var lines []string
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		if !n.State.OK() {
			lines = append(lines, n.Name+": "+word.Because(n.State.Err))
			continue
		}
		state := n.State.Value
		lines = append(lines, fmt.Sprintf("%s: %s, keepalived %s, VRRP %s, %d of %d poolers UP", n.Name,
			either(state.VIP, "holds the VIP", "without the VIP"), either(state.Keepalived, "alive", "dead"),
			state.VRRP, state.Poolers, state.PoolersTotal))
	}
	return lines
}

// passage is how a query through the VIP fared.
func (e *examination) passage() string {
	through := e.s.VIP.Through
	if through.OK() {
		return "monitor: a query through the VIP was answered in " + through.Value.Elapsed.Round(time.Millisecond).String()
	}
	return "monitor: " + word.Because(through.Err)
}

func either(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// Holding is who holds the VIP, as far as all nodes that answer agree.
type Holding struct {
	Node    string    // "" when unknown, nobody or two
	Seen    time.Time // of the reading that says so
	Ordered bool      // an operator holds another node back
}

// Holder reads from a snapshot what Advance compares to notice that the VIP moved.
func Holder(s *fleet.Snapshot) Holding {
	var h Holding
	holders := s.Holders()
	if len(holders) != 1 {
		return h
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.Name == holders[0] {
			h.Node, h.Seen = n.Name, n.State.Seen
			continue
		}
		h.Ordered = h.Ordered || n.State.Known() && n.State.Value.Hold
	}
	return h
}
