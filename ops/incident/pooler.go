package incident

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/word"
)

// verdict is what is to be believed about one pooler.
type verdict uint8

const (
	serves  verdict = iota
	doubted         // something says it does not serve, not enough to believe it
	ordered         // to take no new connections, or none
	gone            // does not serve
)

// sight is what one HAProxy node says about a pooler.
type sight struct {
	node *fleet.Node
	row  *haproxy.Row
}

func (v sight) serves() bool { return v.row.State.Serving() && v.row.Admin == haproxy.Ready }

// down says that the node sends no connections there for another reason than an order.
func (v sight) down() bool { return !v.row.State.Serving() && v.row.Admin == haproxy.Ready }

// failing says that the last check failed, whether or not the verdict is given already.
func (v sight) failing() bool {
	return v.row.State == haproxy.UpGoingDown || v.down()
}

// poolers finds what is wrong with each pooler, and whether any is left.
func (e *examination) poolers() {
	verdicts := make([]verdict, len(e.s.Poolers))
	sights := make([][]sight, len(e.s.Poolers))
	for i := range e.s.Poolers {
		p := &e.s.Poolers[i]
		sights[i] = e.sights(p.Name)
		verdicts[i] = e.judge(p, sights[i])
		if verdicts[i] == serves || verdicts[i] == doubted {
			e.serving = append(e.serving, p)
		}
	}
	for i, v := range verdicts {
		p := &e.s.Poolers[i]
		if v != serves {
			e.poolerFinding(p, sights[i], v)
		}
		e.unseen(p, v, sights[i])
		e.disputed(p, sights[i])
		e.moments(p)
	}
	if len(e.serving) == 0 {
		e.noPooler(verdicts)
	}
}

// sights are what the nodes say about a pooler: those that answer, or if none does, the last words
// of all.
func (e *examination) sights(pooler string) []sight {
	sights := make([]sight, 0, len(e.s.Nodes))
	fresh := 0
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		row := server(n.Stats.Value.Rows, pooler)
		if row == nil {
			continue
		}
		sights = append(sights, sight{n, row})
		if n.Stats.OK() {
			sights[fresh], sights[len(sights)-1] = sights[len(sights)-1], sights[fresh]
			fresh++
		}
	}
	if fresh > 0 {
		return sights[:fresh]
	}
	return sights
}

// server finds a row without copying those before it, as every look asks for every pooler.
func server(rows []haproxy.Row, pooler string) *haproxy.Row {
	for i := range rows {
		if rows[i].Name == pooler && rows[i].Proxy == fleet.PoolerBackend {
			return &rows[i]
		}
	}
	return nil
}

// judge weighs what the HAProxies say against the monitor's own question to the pooler. One
// witness can be wrong about another; two that agree are believed at once.
func (e *examination) judge(p *fleet.Pooler, sights []sight) verdict {
	var downs, failing int
	fresh := false
	for _, v := range sights {
		if v.row.Admin != haproxy.Ready {
			return ordered // one node is enough: DOWN hides an order on the other
		}
		fresh = fresh || v.node.Stats.OK()
		if v.down() {
			downs++
		}
		if v.failing() {
			failing++
		}
	}
	// A console that has been mute for long while HAProxy was content is no witness to anything new.
	mute := p.View.Failures > 0 && e.now.Sub(p.View.Since) < muteFresh
	silent := p.View.Failures >= failures && e.proven(p.View.Since)
	switch {
	case fresh && downs == len(sights):
		return gone
	case fresh && failing > 0 && mute:
		return gone
	case !fresh && silent && !p.View.OK():
		return gone // no HAProxy answers: direct evidence is all there is
	case failing > 0:
		return doubted // also when the console answers: the other checks on their way may have met it mute
	}
	return serves
}

// poolerFinding has one cause for all that can be wrong with a pooler: one that hangs and is then
// killed is one incident.
func (e *examination) poolerFinding(p *fleet.Pooler, sights []sight, v verdict) {
	f := Finding{
		Cause: about(PoolerDown, p.Name), Subject: p.Name, Kind: PoolerDown, Severity: Warning,
		Title: p.Name + " down", Impact: e.capacity(), Unsure: v == doubted,
		Evidence: e.poolerEvidence(p, sights),
		Action:   "On " + p.Name + ": `systemctl status pgbouncer`, then `systemctl restart pgbouncer`.",
		Explains: []string{about(PoolerUnseen, p.Name)}, Falls: e.falls(p),
	}
	if v == ordered {
		e.add(f.ordered(p, sights))
		return
	}
	switch check := worstCheck(sights); {
	case strings.HasSuffix(check, "OK") && slices.ContainsFunc(sights, sight.down):
		f.Fading = true // HAProxy wants another check to pass
	case check == "L7TOUT":
		f.Kind, f.Title = PoolerHung, p.Name+" hung"
		f.Action = "PgBouncer accepts connections and does not answer. On " + p.Name + ": `systemctl kill -s KILL pgbouncer`; systemd starts it again."
	case check == "L4TOUT", slices.ContainsFunc(sights, func(v sight) bool { return v.failing() && noRoute(v.row.LastCheck) }):
		f.Kind, f.Title = PoolerUnreachable, p.Name+" unreachable"
		f.Action = "Nothing comes back from " + p.Address + ": the host is off, its network is cut, or PgBouncer hangs with a full queue. Look at " + p.Name + " on its console."
	}
	e.add(f)
}

// noRoute says that a check failed because the host does not answer for its address: after some seconds
// of time-outs the kernel of the node says so (EHOSTUNREACH), and HAProxy 3.0 calls that L4CON, as a
// refusal.
func noRoute(lastCheck string) bool {
	return strings.Contains(lastCheck, "No route to host") || strings.Contains(lastCheck, "unreachable")
}

// ordered makes it an operator's doing.
func (f Finding) ordered(p *fleet.Pooler, sights []sight) Finding {
	f.Kind, f.Title, f.Severity, f.Planned = PoolerDrained, p.Name+" in drain", Info, true
	for _, v := range sights {
		if v.row.Admin == haproxy.Maint {
			f.Kind, f.Title = PoolerMaint, p.Name+" in maintenance"
		}
	}
	f.Action = "When the work is done, set " + p.Name + " ready on both HAProxies."
	return f
}

// worstCheck is the outcome of the check on the node that thinks worst of the pooler. HAProxy puts
// "* " before it while the next check runs.
func worstCheck(sights []sight) string {
	check := ""
	for _, v := range sights {
		if v.failing() || check == "" {
			check = strings.TrimPrefix(v.row.Check, "* ")
		}
	}
	return check
}

func (e *examination) noPooler(verdicts []verdict) {
	f := Finding{
		Cause: string(NoPooler), Kind: NoPooler, Severity: Critical, Title: "No pooler serving",
		Impact:   fmt.Sprintf("0 of %d poolers serve: no client can connect or query.", len(e.s.Poolers)),
		Explains: []string{string(PoolerDown) + "/", string(RedundancyLost), string(PostgresUnreachable), string(ClientsWaiting), string(PoolerUnseen) + "/"},
	}
	var held, dead []string
	for i := range e.s.Poolers {
		p := &e.s.Poolers[i]
		f.Evidence = append(f.Evidence, e.poolerEvidence(p, e.sights(p.Name))...)
		// To restart one that an operator took out would cut off the clients that it still has.
		if verdicts[i] == ordered {
			held = append(held, p.Name)
		} else {
			dead = append(dead, p.Name)
		}
	}
	if len(held) > 0 {
		f.Impact = fmt.Sprintf("0 of %d poolers serve: no new client can connect.", len(e.s.Poolers))
		f.Action = "Set " + strings.Join(held, ", ") + " ready on both HAProxies. "
	}
	if len(dead) > 0 {
		f.Action += "`systemctl restart pgbouncer` on " + strings.Join(dead, ", ") + "."
	}
	f.Action = strings.TrimSpace(f.Action)
	e.add(f)
}

// capacity says what the poolers that serve are good for.
func (e *examination) capacity() string {
	n, all := len(e.serving), len(e.s.Poolers)
	if n == 0 {
		return fmt.Sprintf("0 of %d poolers serving: no client place left.", all)
	}
	return fmt.Sprintf("%d of %d poolers serving, %s client places left, %s in use.",
		n, all, word.Count(n*e.inv.PgBouncer.MaxClientConn), word.Count(e.clients()))
}

func (e *examination) clients() int {
	var used int
	for i := range e.serving {
		active, waiting, _ := e.serving[i].View.Value.Clients()
		used += int(active + waiting)
	}
	return used
}

func (e *examination) poolerEvidence(p *fleet.Pooler, sights []sight) []string {
	var lines []string
	for _, v := range sights {
		line := v.node.Name + ": " + p.Name + " " + status(v.row)
		if !v.node.Stats.OK() {
			line += ", read " + ago(e.now, v.node.Stats.Seen)
		}
		lines = append(lines, line)
		for _, o := range v.row.Disagree {
			lines = append(lines, v.node.Name+", process "+o.Process+": "+p.Name+" "+o.State.String()+" "+o.Admin.String())
		}
	}
	if p.View.OK() {
		return append(lines, "monitor: "+p.Name+" answers on its console")
	}
	return append(lines, "monitor: "+word.Because(p.View.Err))
}

// status is a server in the words of HAProxy's own page.
func status(r *haproxy.Row) string {
	words := []string{r.State.String()}
	switch r.Admin {
	case haproxy.Maint:
		words = []string{"MAINT"}
	case haproxy.Drain: // HAProxy does not count from the order: the time is that of UP or DOWN
		words = append([]string{"DRAIN,"}, words...)
	}
	if r.Health.Of > 0 {
		words = append(words, fmt.Sprintf("%d/%d", r.Health.Passed, r.Health.Of))
	}
	text := strings.Join(words, " ") + " for " + whole(r.LastChange)
	if r.Check != "" {
		text += ", " + checked(r)
	}
	return text
}

// unseen is a pooler that HAProxy serves and the monitor cannot read.
func (e *examination) unseen(p *fleet.Pooler, v verdict, sights []sight) {
	if p.View.Failures == 0 || len(sights) == 0 {
		return
	}
	e.add(Finding{
		Cause: about(PoolerUnseen, p.Name), Kind: PoolerUnseen, Subject: p.Name, Severity: Warning,
		Title:    p.Name + " not readable",
		Impact:   "Clients are served. Its clients, waits and pauses are not watched.",
		Evidence: e.poolerEvidence(p, sights),
		Action:   "Check that " + e.inv.Monitor.Name + " may connect to " + p.Address + " as weir_monitor: network, pg_hba.conf, password.",
		After:    gaugeAfter, Hold: gaugeAfter,
		Unsure: v != serves || p.View.Failures < failures || !e.proven(p.View.Since),
	})
}

// disputed is a pooler about which two nodes, or two processes of one, do not agree for longer
// than they need to notice.
func (e *examination) disputed(p *fleet.Pooler, sights []sight) {
	same := true
	for _, v := range sights {
		same = same && len(v.row.Disagree) == 0 && v.serves() == sights[0].serves() && v.row.Admin == sights[0].row.Admin
	}
	if same {
		return
	}
	e.add(Finding{
		Cause: about(PoolerDisputed, p.Name), Kind: PoolerDisputed, Subject: p.Name, Severity: Warning,
		Title:    "HAProxies disagree about " + p.Name,
		Impact:   "Its share of clients depends on the HAProxy they come through, and changes when the VIP moves. " + e.capacity(),
		Evidence: e.poolerEvidence(p, sights),
		Action:   "If one was given an order, give it to the other as well. If not, look at the network from the one that says DOWN to " + p.Address + ".",
		After:    disputeAfter, Hold: settleAfter, Unsure: !allFresh(sights),
	})
}

func allFresh(sights []sight) bool {
	for _, v := range sights {
		if !v.node.Stats.OK() {
			return false
		}
	}
	return true
}

// moments are the times a pooler went down and came back that no poll saw: HAProxy counted it, or
// the pooler's own totals began again.
func (e *examination) moments(p *fleet.Pooler) {
	for i := range e.s.Nodes {
		n := &e.s.Nodes[i]
		for _, flap := range n.Flaps {
			if flap.Pooler == p.Name {
				e.moment(p, flap.At, fmt.Sprintf("%s: %s went DOWN and came back between two polls, %d×", n.Name, p.Name, flap.Times))
			}
		}
	}
	if !p.Restarted.IsZero() {
		e.moment(p, p.Restarted, "monitor: "+p.Name+" closed its connection and its totals began again: it was restarted")
	}
	if falls := e.falls(p); len(falls) >= fallsWorthTelling {
		e.moment(p, falls[len(falls)-1], fmt.Sprintf("HAProxy or its totals: %s went down %d× in %s", p.Name, len(falls), Span(e.now.Sub(falls[0]))))
	}
}

// fallsWorthTelling is from how many falls on they are told of even if each was seen too briefly to
// be believed.
const fallsWorthTelling = 3

// falls are the times that a pooler went down, by the witness who saw most of them: the witnesses, each
// process of each node and the monitor itself, tell of the same falls, and none of them sees all.
func (e *examination) falls(p *fleet.Pooler) []time.Time {
	most := p.Restarts
	for i := range e.s.Nodes {
		if len(e.s.Nodes[i].Falls) == 0 {
			continue
		}
		by := map[int][]time.Time{}
		for _, fall := range e.s.Nodes[i].Falls {
			for range min(fall.Times, 10) {
				if fall.Pooler == p.Name {
					by[fall.Process] = append(by[fall.Process], fall.At)
				}
			}
		}
		for _, process := range slices.Sorted(maps.Keys(by)) {
			if len(by[process]) > len(most) {
				most = by[process]
			}
		}
	}
	return most
}

func (e *examination) moment(p *fleet.Pooler, at time.Time, evidence string) {
	if e.now.Sub(at) > momentLate {
		return
	}
	e.add(Finding{
		Cause: about(PoolerDown, p.Name), Subject: p.Name, Kind: PoolerDown, Severity: Warning, Moment: at, Falls: e.falls(p),
		Title:    p.Name + " went down and came back",
		Impact:   "It was away for less than it takes to notice. The clients it had were disconnected. " + e.capacity(),
		Evidence: []string{evidence},
		Action:   "On " + p.Name + ": `journalctl -u pgbouncer -n 50` says why.",
	})
}
