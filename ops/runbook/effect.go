package runbook

import (
	"slices"
	"time"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/pgbouncer"
	"weir/ops/word"
)

// Whoever reads an effect may be half asleep: who is met, how many, what happens to them, what is left.

// lets says what a drain does to the clients of a pooler.
func (j *judge) lets(host string) {
	p := j.pooler(host)
	if p == nil {
		return
	}
	others := "no other pooler"
	if names := j.servingBut(host); len(names) > 0 {
		others = list(names)
	}
	if n := j.clientsOf(p); n > 0 {
		j.will("The %s of %s stay%s until %s; new ones go to %s.", orOne(n, "client"), host, ending(n), they(n, "leave"), others)
	} else {
		j.will("%s has no clients now; new ones go to %s.", host, others)
	}
}

// cutsOff says what maint does to them.
func (j *judge) cutsOff(host string) {
	p := j.pooler(host)
	if p == nil {
		return
	}
	n := j.clientsOf(p)
	if n == 0 {
		j.will("%s has no clients now: nobody is disconnected.", host)
		return
	}
	j.will("The %s of %s %s disconnected within 3 s and can connect again at once, to another pooler.", orOne(n, "client"), host, is(n))
	if busy, _ := serversOf(p.View.Value, ""); busy > 0 && p.View.OK() {
		j.will("%s run%s now; what has not ended by then is rolled back.", word.Counted(busy, "transaction"), ending(busy))
	}
}

// leaves says who still serves without one pooler, and how steady they are.
func (j *judge) leaves(without string) {
	names := j.servingBut(without)
	if len(names) == 0 {
		return // that is a reason against the order, node by node
	}
	n := int64(len(names))
	j.will("%d of %d poolers %s left: %s, with %s %s and up to %s.", n, len(j.s.Poolers), is(n), list(names),
		word.Counted(n*int64(j.inv.PgBouncer.MaxClientConn), "client place"), j.whomFor(),
		word.Counted(n*int64(j.inv.PgBouncer.PoolSize), "server connection"))
	for _, name := range names {
		if fell := j.falls(name); fell > 0 {
			j.will("%s fell %s in the last %s, and may fall again.", name, times(fell), span(lately))
		}
	}
}

// lately is for how long a fall makes somebody unsteady; a snapshot remembers no longer.
const lately = 5 * time.Minute

// falls is how often a pooler fell lately, by whoever counted most: processes of HAProxy count the
// same falls, each for itself, and the pooler's own restarts are among them.
func (j *judge) falls(pooler string) int64 {
	type counter struct{ node, process int }
	counted := map[counter]int64{}
	for i, n := range j.s.Nodes {
		for _, f := range n.Falls {
			if f.Pooler == pooler && j.now.Sub(f.At) <= lately {
				counted[counter{i, f.Process}] += f.Times
			}
		}
	}
	var most int64
	for _, n := range counted {
		most = max(most, n)
	}
	for _, p := range j.s.Poolers {
		if p.Name == pooler {
			restarts := slices.DeleteFunc(slices.Clone(p.Restarts), func(at time.Time) bool { return j.now.Sub(at) > lately })
			most = max(most, int64(len(restarts)))
		}
	}
	return most
}

// returns says what ready does.
func (j *judge) returns(p *fleet.Pooler) {
	already := true
	for i := range j.s.Nodes {
		n := &j.s.Nodes[i]
		if why := unknown(j, n.Name, n.Stats); why != "" {
			j.will("%s It may not obey.", why)
			already = false
			continue
		}
		row, ok := n.Server(p.Name)
		already = already && ok && serves(row) && len(row.Disagree) == 0
	}
	if already {
		j.will("Nothing changes: %s is ready already.", p.Name)
		return
	}
	j.will("%s gets new clients again on both HAProxies. Clients of other poolers stay where they are.", p.Name)
	if why := unknown(j, p.Name, p.View); why != "" {
		j.will("%s HAProxy sends clients there until its check has failed.", why)
		return
	}
	n := int64(len(j.servingBut(p.Name))) + 1
	j.will("Then %d of %d poolers serve%s, with %s %s.", n, len(j.s.Poolers), ending(n),
		word.Counted(n*int64(j.inv.PgBouncer.MaxClientConn), "client place"), j.whomFor())
}

// holds says what a pause does. For how long is not said: on the page that asks, that can still be chosen.
func (j *judge) holds(o Order, clients, busy int64) {
	switch {
	case o.Host == "" && o.Database == "":
		j.will("No query gets through the VIP while the pause lasts.")
	case o.Host == "":
		j.will("No query of database %s gets through the VIP while the pause lasts.", o.Database)
	}
	the := "The"
	if busy > 0 {
		the = "Then the"
		j.will("First the %s that run%s now come%s to an end. If that takes more than %s, nothing is paused.", orOne(busy, "transaction"), ending(busy), ending(busy), span(pauseWait))
	}
	whose := ofThose(poolersOf(j.inv, o), o.Database)
	if clients > 0 {
		j.will("%s %s %s get%s no answer until the pause ends: by resume, or by itself after the time ordered. Nobody is disconnected.",
			the, orOne(clients, "client"), whose, ending(clients))
	} else {
		j.will("There are no clients %s now. Those who come wait until the pause ends: by resume, or by itself after the time ordered.", whose)
	}
	if o.Host != "" && j.servesEverywhere(o.Host) {
		j.will("HAProxy goes on sending new clients to %s, and they wait as well. To spare them, drain it first.", o.Host)
	}
}

// goOn says what a resume does. It is never refused: nothing that is old or unknown may stand in the
// way of ending a pause.
func (j *judge) goOn(o Order) {
	var paused, silent []string
	var waiting int64
	for _, p := range j.targets(o) {
		if why := unknown(j, p.Name, p.View); why != "" {
			silent = append(silent, why+" Whether it is paused is not known.")
			continue
		}
		in := p.View.Value.Paused()
		switch {
		case o.Database != "" && slices.Contains(in, "*"):
			silent = append(silent, p.Name+" is paused as a whole: this order will fail there. Resume every database.")
			continue
		case len(in) == 0 || o.Database != "" && !slices.Contains(in, o.Database):
			continue
		}
		paused = append(paused, p.Name)
		for _, pool := range poolsOf(p.View.Value, o.Database) {
			waiting += pool.ClWaiting
		}
	}
	n := int64(len(paused))
	switch {
	case n > 0 && waiting > 0:
		j.will("The pause of %s ends: the %s waiting %s served.", list(paused), orOne(waiting, "client"), is(waiting))
	case n > 0:
		j.will("The pause of %s ends. No client waits.", list(paused))
	case len(silent) == 0:
		j.will("Nothing is paused: the files are read again, and nothing else happens.")
	}
	j.Effects = append(j.Effects, silent...)
}

// replaces says what a reconnect does.
func (j *judge) replaces(poolers []*fleet.Pooler, database string) {
	var clients, busy, all int64
	for _, p := range poolers {
		b, n := serversOf(p.View.Value, database)
		busy, all = busy+b, all+n
		for _, pool := range poolsOf(p.View.Value, database) {
			clients += pool.ClActive + pool.ClWaiting
		}
	}
	whose := ofThose(names(poolers), database)
	switch {
	case all == 0:
		j.will("Nothing changes: there are no server connections %s.", whose)
		return
	case busy == 0:
		j.will("The %s %s %s replaced at once: none is in use.", orOne(all, "server connection"), whose, is(all))
	case busy == all:
		j.will("The %s %s %s replaced, each as its transaction ends.", orOne(all, "server connection"), whose, is(all))
	default:
		j.will("The %s %s %s replaced: %s idle at once, %s in use as their transactions end.", orOne(all, "server connection"), whose, is(all),
			word.Count(all-busy), word.Count(busy))
	}
	if clients > 0 {
		j.will("The %s stay%s connected, and may wait a moment for a new login to PostgreSQL.", orOne(clients, "client"), ending(clients))
	}
}

// rereads says what a reload does. What the files hold now cannot be seen from here.
func (j *judge) rereads(poolers []*fleet.Pooler) {
	var clients, all int64
	for _, p := range poolers {
		clients += j.clientsOf(p)
		_, n := serversOf(p.View.Value, "")
		all += n
	}
	who := names(poolers)
	j.will("%s read%s the configuration files again. Nobody is disconnected: %s and %s stay.", list(who), ending(int64(len(who))),
		word.Counted(clients, "client"), word.Counted(all, "server connection"))
	j.will("A setting that was changed in the files works at once, except for those that need a restart. Weir cannot see the files from here: the page Configuration shows what runs afterwards.")
}

// moves says what a relinquish does to those connected, and what is left.
func (j *judge) moves(from, to *fleet.Node, connections int64) {
	if connections > 0 {
		j.will("The %s through %s %s cut: transactions that run are rolled back. Clients can connect again through %s, after about 0.2 s.",
			orOne(connections, "connection"), from.Name, is(connections), to.Name)
	} else {
		j.will("Nobody is connected through %s now. New connections go through %s, after about 0.2 s.", from.Name, to.Name)
	}
	n := int64(0)
	for _, row := range to.Stats.Value.Servers(haproxy.Poolers) {
		if serves(row) && !j.paused(row.Name) {
			n++
		}
	}
	j.will("%s sees %d of %d poolers serve: %s.", to.Name, n, len(j.s.Poolers), word.Counted(n*int64(j.inv.PgBouncer.MaxClientConn), "client place"))
	j.will("%s stays without the VIP until it is released (reclaim), unless %s fails.", from.Name, to.Name)
}

// letsBack says what a reclaim does.
func (j *judge) letsBack(n *fleet.Node) {
	where := "where it is"
	if holders := j.s.Holders(); len(holders) == 1 {
		where = "on " + holders[0]
	}
	j.will("%s may hold the VIP again. The VIP stays %s: nobody is disconnected.", n.Name, where)
}

// servingBut are the other poolers that serve behind both HAProxies and are not paused.
func (j *judge) servingBut(without string) []string {
	var out []string
	for _, p := range j.s.Poolers {
		if p.Name != without && j.servesEverywhere(p.Name) && !j.paused(p.Name) {
			out = append(out, p.Name)
		}
	}
	return out
}

// whomFor says whom client places are for: the clients of all poolers.
func (j *judge) whomFor() string {
	var n int64
	for i := range j.s.Poolers {
		n += j.clientsOf(&j.s.Poolers[i])
	}
	if n == 0 {
		return "(no client is connected now)"
	}
	return "for the " + orOne(n, "client") + " of now"
}

// poolsOf are the pools of clients: all, or those of one database.
func poolsOf(v fleet.PoolerView, database string) []pgbouncer.Pool {
	return slices.DeleteFunc(slices.Clone(v.Pools), func(p pgbouncer.Pool) bool {
		return p.Database == "pgbouncer" || p.Database == "weir_auth" || database != "" && p.Database != database
	})
}

// serversOf counts the server connections of those pools: in use, and all.
func serversOf(v fleet.PoolerView, database string) (busy, all int64) {
	for _, p := range poolsOf(v, database) {
		busy += p.SvActive
		all += p.SvActive + p.SvIdle + p.SvUsed + p.SvTested + p.SvLogin
	}
	return busy, all
}

func names(poolers []*fleet.Pooler) []string {
	var out []string
	for _, p := range poolers {
		out = append(out, p.Name)
	}
	return out
}

// pausedIn names what of a pooler is paused.
func pausedIn(databases []string) string {
	if slices.Contains(databases, "*") {
		return "every database"
	}
	return list(databases)
}

// ofThose writes of pgb1; of pgb1 and pgb2, database app.
func ofThose(poolers []string, database string) string {
	if database != "" {
		database = ", database " + database
	}
	return "of " + list(poolers) + database
}

// orOne is count after "the": the client, the 1,833 clients.
func orOne(n int64, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return word.Counted(n, noun)
}

// they is a pronoun with its verb.
func they(n int64, verb string) string {
	if n == 1 {
		return "it " + verb + "s"
	}
	return "they " + verb
}
