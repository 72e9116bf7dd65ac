package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/pgbouncer"
	"weir/ops/word"
)

// postgres finds what is wrong with the database, and with the way to it.
func (e *examination) postgres() {
	e.down()
	e.cutOff()
	if e.s.Postgres.Probe.Known() {
		e.numbers()
	}
}

// moving says that clients' transactions end: whatever a probe says, they are served.
func (e *examination) moving() bool {
	for i := range e.s.Poolers {
		if p := &e.s.Poolers[i]; p.View.OK() && p.Rates.Xacts > 0 {
			return true
		}
	}
	return false
}

// down judges a probe that failed. A refusal is proof; a time-out counts when it repeats and no
// transaction ends anywhere; a server that answers with another error is not down.
func (e *examination) down() {
	probe, through := e.s.Postgres.Probe, e.s.VIP.Through
	if probe.Err == nil {
		return
	}
	name := e.s.Postgres.Name
	evidence := []string{name + ": " + word.Because(probe.Err), e.passage()}
	served := through.OK() && through.Seen.Add(-through.Took).After(probe.Since)
	repeated := probe.Failures >= failures && e.proven(probe.Since)
	answered := sqlState(probe.Err) != "" && !refused(probe.Err)
	if served || answered || !refused(probe.Err) && e.moving() {
		e.add(Finding{
			Cause: string(PostgresUnseen), Kind: PostgresUnseen, Subject: name, Severity: Warning,
			Title:    "PostgreSQL not readable",
			Impact:   "Clients are served. Its connections, transactions and age are not watched.",
			Evidence: evidence,
			Action:   "Check that " + e.inv.Monitor.Name + " may connect to " + e.s.Postgres.Address + " as weir_monitor: free connections, pg_hba.conf, password.",
			After:    gaugeAfter, Hold: gaugeAfter, Unsure: probe.Failures < moreFailures,
		})
		return
	}
	f := Finding{
		Cause: string(PostgresDown), Kind: PostgresDown, Subject: name, Severity: Critical,
		Title:    "PostgreSQL down",
		Impact:   fmt.Sprintf("No query is answered: those that ran are lost, new ones fail. %s clients are connected.", word.Count(e.clients())),
		Evidence: evidence,
		Action:   "On " + name + ": `systemctl status weir-postgres`, `journalctl -u weir-postgres -n 50`, then `systemctl restart weir-postgres`.",
		Explains: []string{string(PostgresUnreachable), string(PostgresUnseen), string(ClientsWaiting), string(ConnectionsHigh),
			string(TransactionLong), string(TransactionIdle), string(NoSpare), string(PlacesUsed)},
		Unsure: !refused(probe.Err) && !repeated,
	}
	if e.allPaused() {
		f.Planned, f.Severity, f.Title = true, Info, "PostgreSQL away behind paused pools"
		f.Impact = "Clients wait in the paused pools and notice nothing else, for at most 2 min."
	} else {
		f.Explains = append(f.Explains, string(PoolerDown)+"/", string(PoolerUnseen)+"/")
	}
	e.add(f)
}

// allPaused says that every client waits in a paused pool: every pooler that answers is paused as a
// whole, or in each database that applications use.
func (e *examination) allPaused() bool {
	return e.everywhere(func(v fleet.PoolerView) bool {
		used, paused := 0, 0
		for _, d := range v.Databases {
			if d.Console() || d.LookUps() || d.Name == fleet.OwnDatabase {
				continue
			}
			used++
			if d.Paused {
				paused++
			}
		}
		return v.State.Paused || used > 0 && paused == used
	})
}

// everywhere says that something is so of every pooler that answers, and that one does.
func (e *examination) everywhere(so func(fleet.PoolerView) bool) bool {
	answering := 0
	for i := range e.s.Poolers {
		v := e.s.Poolers[i].View
		if !v.OK() {
			continue
		}
		answering++
		if !so(v.Value) {
			return false
		}
	}
	return answering > 0
}

// cutOff finds that every part answers and yet no query gets through.
func (e *examination) cutOff() {
	through := e.s.VIP.Through
	waits := e.everywhere(func(v fleet.PoolerView) bool { return v.PausedIn(fleet.OwnDatabase) })
	if through.Err == nil || e.moving() || waits || e.allPaused() {
		return
	}
	rest := e.s.Postgres.Probe.OK() && len(e.serving) > 0 && len(e.holders) > 0
	host, _, _ := strings.Cut(e.s.Postgres.Address, ":")
	e.add(Finding{
		Cause: string(PostgresUnreachable), Kind: PostgresUnreachable, Subject: e.s.Postgres.Name, Severity: Critical,
		Title:    "No query gets through the VIP",
		Impact:   fmt.Sprintf("PostgreSQL is up, %d of %d poolers are up, and no client is answered.", len(e.serving), len(e.s.Poolers)),
		Evidence: append([]string{e.passage(), e.s.Postgres.Name + ": answers the monitor directly"}, e.holding()...),
		Action:   "On a pooler: `psql -h " + host + "` and `journalctl -u pgbouncer -n 50`: network to PostgreSQL, passwords, max_connections.",
		Explains: []string{string(ClientsWaiting)},
		Unsure:   !rest || through.Failures < moreFailures || !e.proven(through.Since),
	})
}

// numbers are the limits of PostgreSQL itself.
func (e *examination) numbers() {
	failing := e.s.Postgres.Probe.Err != nil
	p, name := e.s.Postgres.Probe.Value, e.s.Postgres.Name
	gauge := func(kind Kind, severity Severity, title, impact, evidence, action string) {
		e.add(Finding{Cause: string(kind), Kind: kind, Subject: name, Severity: severity, Title: title, Impact: impact,
			Evidence: []string{name + ": " + evidence}, Action: action, After: gaugeAfter, Hold: gaugeHold, Unsure: failing})
	}
	// Poolers that use what the budget gives them are what it is for: only others can be too many.
	budget := e.inv.Budget()
	others, room := p.Connections-e.pooled(), p.MaxConnections-budget.Superuser-budget.Servers
	if p.Connections*100 >= p.MaxConnections*connectionsWarning && others*100 >= room*connectionsWarning {
		gauge(ConnectionsHigh, Warning, "PostgreSQL connections nearly used up",
			fmt.Sprintf("%s left; without any, poolers cannot open those they are entitled to.", word.Counted(max(0, p.MaxConnections-p.Connections), "connection")),
			fmt.Sprintf("%d of %d connections, %d of them past the poolers, which leave room for %d", p.Connections, p.MaxConnections, others, room),
			"Find who connects past the poolers: `SELECT usename, client_addr, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC`.")
	}
	if p.LongestXact >= TransactionLimit {
		gauge(TransactionLong, Warning, "Transaction open for over 5 min",
			"It holds its locks and one server connection, and keeps vacuum from cleaning up.",
			fmt.Sprintf("backend %d, open for %s", p.LongestXactPID, Span(p.LongestXact)),
			fmt.Sprintf("`SELECT query FROM pg_stat_activity WHERE pid = %d`; to end it, `SELECT pg_terminate_backend(%[1]d)`.", p.LongestXactPID))
	}
	if p.LongestIdleInXact >= IdleLimit {
		gauge(TransactionIdle, Warning, "Session idle in transaction",
			fmt.Sprintf("%s a server connection and its locks while doing nothing; %s blocked.", either(p.IdleInTransaction == 1, "It holds", "Each holds"), word.Counted(p.Blocked, "session")),
			fmt.Sprintf("%s idle in a transaction, the longest for %s", word.Counted(p.IdleInTransaction, "session"), Span(p.LongestIdleInXact)),
			"`SELECT pid, usename, query FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' ORDER BY state_change`; the application forgot to commit.")
	}
	if p.OldestXIDAge >= xidWarning {
		severity := Warning
		if p.OldestXIDAge >= xidCritical {
			severity = Critical
		}
		gauge(XIDAge, severity, "Transaction numbers run out",
			fmt.Sprintf("After %s more transactions PostgreSQL refuses every write.", word.Count(max(0, 1<<31-int(p.OldestXIDAge)))),
			fmt.Sprintf("database %s is %s transactions old", p.OldestXIDDatabase, word.Count(int(p.OldestXIDAge))),
			"End old transactions and unused replication slots, then `vacuumdb --freeze "+p.OldestXIDDatabase+"`.")
	}
}

// pooled is how many connections the poolers have to PostgreSQL.
func (e *examination) pooled() int {
	var n int
	for i := range e.s.Poolers {
		_, all := e.s.Poolers[i].View.Value.Servers()
		n += int(all)
	}
	return n
}

// load finds what the poolers are short of, and pauses.
func (e *examination) load() {
	e.paused()
	e.waiting()
	e.places()
}

func (e *examination) waiting() {
	var longest time.Duration
	var clients int64
	var lines []string
	unsure := true
	for i := range e.s.Poolers {
		p := &e.s.Poolers[i]
		v := p.View.Value
		v.Pools = slices.DeleteFunc(slices.Clone(v.Pools), func(pool pgbouncer.Pool) bool {
			return v.PausedIn(pool.Database) // a paused pool is a finding of its own
		})
		_, waiting, wait := v.Clients()
		if !p.Resumed.IsZero() {
			wait = min(wait, p.View.Seen.Sub(p.Resumed)) // what somebody waited during a pause is the pause's
		}
		clients += waiting
		longest = max(longest, wait)
		if wait >= WaitWarning {
			unsure = unsure && p.View.Err != nil
			lines = append(lines, fmt.Sprintf("%s: %s waiting, the longest for %s", p.Name, word.Counted(int(waiting), "client"), Span(wait)))
		}
	}
	if longest < WaitWarning {
		return
	}
	severity := Warning
	if longest >= WaitCritical {
		severity = Critical
	}
	e.add(Finding{
		Cause: string(ClientsWaiting), Kind: ClientsWaiting, Severity: severity, Title: "Clients wait for a server connection",
		Impact:   fmt.Sprintf("%s waiting, the longest for %s. At 2 min they are disconnected.", word.Counted(int(clients), "client"), Span(longest)),
		Evidence: lines,
		Action:   "Look for what holds the server connections: `SELECT pid, state, wait_event, now() - xact_start, query FROM pg_stat_activity ORDER BY xact_start`.",
		Hold:     2 * gaugeAfter, Unsure: unsure,
	})
}

func (e *examination) places() {
	each := e.inv.PgBouncer.MaxClientConn
	n, used := len(e.serving), e.clients()
	if n == 0 || each <= 0 {
		return
	}
	places := n * each
	evidence := []string{fmt.Sprintf("monitor: %s of %s client places used on %s", word.Count(used), word.Count(places), word.Counted(n, "pooler"))}
	var explained []string
	if used*100 >= places*placesWarning {
		severity := Warning
		if used*100 >= places*placesCritical {
			severity = Critical
		}
		explained = []string{string(NoSpare)}
		e.add(Finding{
			Cause: string(PlacesUsed), Kind: PlacesUsed, Severity: severity, Title: "Client places nearly used up",
			Impact:   fmt.Sprintf("%s client places are left. Without any, new clients are turned away.", word.Count(max(0, places-used))),
			Evidence: evidence,
			Action:   "Find the application with too many connections: `SHOW CLIENTS` on a pooler. Else raise max_client_conn.",
			Explains: explained, After: gaugeAfter, Hold: gaugeHold,
		})
	}
	if left := (n - 1) * each; n > 1 && used > left {
		e.add(Finding{
			Cause: string(NoSpare), Kind: NoSpare, Severity: Warning, Title: "One more lost pooler would turn clients away",
			Impact:   fmt.Sprintf("All clients are served now. With one pooler less, %s of them have no place.", word.Count(used-left)),
			Evidence: evidence,
			Action:   "Bring back what is down, or lower the number of clients, or raise max_client_conn.",
			After:    gaugeAfter, Hold: gaugeHold,
		})
	}
}

// paused finds pools that an operator paused, and after a minute that nobody ended it.
func (e *examination) paused() {
	var lines []string
	unsure := true
	for i := range e.s.Poolers {
		p := &e.s.Poolers[i]
		if databases := p.View.Value.Paused(); p.View.Known() && len(databases) > 0 {
			unsure = unsure && !p.View.OK()
			lines = append(lines, p.Name+": paused "+strings.Replace(strings.Join(databases, ", "), "*", "altogether", 1))
		}
	}
	if len(lines) == 0 {
		return
	}
	f := Finding{
		Cause: string(PoolPaused), Kind: PoolPaused, Severity: Info, Planned: true, Title: "Pools paused",
		Impact:   fmt.Sprintf("Clients of %d of %d poolers wait until it is ended; after 2 min they are disconnected.", len(lines), len(e.s.Poolers)),
		Evidence: lines,
		Action:   "One that was ordered with Weir ends by itself. To end it now: Resume on the console's page Poolers, or `RESUME` on the console of each pooler.",
		Unsure:   unsure,
	}
	e.add(f)
	f.Cause, f.Kind, f.Severity, f.Planned = string(PauseForgotten), PauseForgotten, Critical, false
	f.Action = "Resume on the console's page Poolers, or `RESUME` on the console of each pooler."
	f.Title, f.After, f.Explains = "Pause that nobody ended", pauseLimit, []string{string(PoolPaused), string(ClientsWaiting)}
	e.add(f)
}
