// Package incident judges a snapshot: what is wrong (Findings), what came of it (Advance), and
// whether to say so (Speak). All of it is pure: time is an argument, and nothing waits or reads.
package incident

import (
	"strings"
	"time"

	"weir/ops/fleet"
	"weir/ops/inventory"
)

// Finding is one thing that is wrong in one snapshot, or an operator's doing that looks like it.
type Finding struct {
	Cause    string   `json:"cause"` // what is told apart: at most one incident of a cause is open, pooler-down/pgb2
	Kind     Kind     `json:"kind"`
	Subject  string   `json:"subject"` // host of the inventory; "" is the chain as a whole
	Severity Severity `json:"severity"`
	Planned  bool     `json:"planned"`  // an operator ordered it
	Title    string   `json:"title"`    // a few words without numbers or a verb: "pgb2 down"
	Impact   string   `json:"impact"`   // what it means for clients, with numbers
	Evidence []string `json:"evidence"` // a line for each source, which it begins with
	Action   string   `json:"action"`   // what to do
	Explains []string `json:"-"`        // causes that are symptoms of this one; a / at the end takes all that begin so

	// Unsure is evidence too thin to open an incident, and enough to keep one open: one failed poll.
	Unsure bool `json:"-"`
	// Fading is evidence that does not tell any more what kind it was: an open incident keeps its own words.
	Fading bool `json:"-"`
	// After is how long it must have been seen before it counts; 0 counts at once.
	After time.Duration `json:"-"`
	// Basis is when the oldest reading that it stands on was made; zero is now. After ends with it:
	// readings of two nodes a second apart are no proof that both are so at once.
	Basis time.Time `json:"-"`
	// Hold is how long it must be gone before it is over.
	Hold time.Duration `json:"-"`
	// Moment is when a thing happened that was over before anybody looked; zero for all others.
	Moment time.Time `json:"-"`
	// Falls are the times it went down of late, as the witness counted who saw most of them: one that
	// comes and goes faster than it is looked at is seen less often than it falls. Oldest first.
	Falls []time.Time `json:"-"`
}

// Kind of a finding.
type Kind string

const (
	PoolerDown          Kind = "pooler-down"          // refuses connections
	PoolerHung          Kind = "pooler-hung"          // accepts and does not answer
	PoolerUnreachable   Kind = "pooler-unreachable"   // nothing comes back: host off, or network cut
	PoolerDrained       Kind = "pooler-drained"       // ordered: no new connections
	PoolerMaint         Kind = "pooler-maint"         // ordered: no connections
	PoolerUnseen        Kind = "pooler-unseen"        // HAProxy serves it; its console does not answer the monitor
	PoolerDisputed      Kind = "pooler-disputed"      // the HAProxy processes do not agree about it
	NoPooler            Kind = "no-pooler"            // none takes new connections
	HAProxyDown         Kind = "haproxy-down"         // a node refuses connections
	HAProxyUnreachable  Kind = "haproxy-unreachable"  // nothing comes back: host off, or network cut
	HAProxyHung         Kind = "haproxy-hung"         // a node accepts connections and does not answer
	HAProxyUnread       Kind = "haproxy-unread"       // a node answers; its statistics cannot be read
	NoHAProxy           Kind = "no-haproxy"           // none answers, while other parts do
	VIPNobody           Kind = "vip-nobody"           // held by no node
	VIPTwice            Kind = "vip-twice"            // held by more than one
	VIPMoved            Kind = "vip-moved"            // happened; made by Advance
	VIPOrdered          Kind = "vip-ordered"          // ordered: a node is not to hold it
	KeepalivedDead      Kind = "keepalived-dead"      // its check script is not heard
	RedundancyLost      Kind = "redundancy-lost"      // the node without the VIP could not take it
	PostgresDown        Kind = "postgres-down"        // serves nobody
	PostgresUnseen      Kind = "postgres-unseen"      // serves clients; the monitor cannot probe it
	PostgresUnreachable Kind = "postgres-unreachable" // answers directly, and no query gets through the VIP
	ClientsWaiting      Kind = "clients-waiting"      // for a server connection
	PlacesUsed          Kind = "places-used"          // client places
	NoSpare             Kind = "no-spare"             // one more lost pooler would turn clients away
	PoolPaused          Kind = "pool-paused"          // ordered
	PauseForgotten      Kind = "pause-forgotten"      // nobody ended it
	ConnectionsHigh     Kind = "connections-high"     // of PostgreSQL
	TransactionLong     Kind = "transaction-long"     // open for too long
	TransactionIdle     Kind = "idle-in-transaction"  // open, and nothing is done in it
	XIDAge              Kind = "xid-age"              // PostgreSQL runs out of transaction numbers
	MonitorBlind        Kind = "monitor-blind"        // nothing answers: the monitor itself is cut off
)

// Severity says how loudly. The order is that of loudness.
type Severity string

const (
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
)

var loudness = map[Severity]int{Info: 1, Warning: 2, Critical: 3}

// Limits beyond which a number is a finding. What a limit means for clients stands in the finding.
const (
	WaitWarning, WaitCritical     = 5 * time.Second, 15 * time.Second
	placesWarning, placesCritical = 80, 95 // per cent of the client places of serving poolers
	connectionsWarning            = 80     // per cent of max_connections
	TransactionLimit              = 5 * time.Minute
	IdleLimit                     = time.Minute                  // idle in a transaction
	pauseLimit                    = 105 * time.Second            // an ordered pause ends by itself after 100 s; PgBouncer disconnects clients at 120 s
	xidWarning, xidCritical       = 1_000_000_000, 1_600_000_000 // of 2^31; at the latter vacuum drops everything else (vacuum_failsafe_age, PostgreSQL 14)

	gaugeAfter, gaugeHold = 5 * time.Second, 30 * time.Second // a number about its limit must not ring twice
	disputeAfter          = 5 * time.Second                   // two HAProxies notice the same up to 3 s apart
	settleAfter           = 3 * time.Second                   // a HAProxy that has just started does not know keepalived yet
	restartAfter          = 2 * time.Second                   // a keepalived that ended is started again within one
	vipAfter              = 5 * time.Second                   // HAProxies that return have the VIP, and serve, within so long
	vipNobodyAfter        = 2 * time.Second                   // a move takes less than one
	vipTwiceAfter         = 500 * time.Millisecond            // a network that heals has two for a moment, until one hears the other
	muteFresh             = 10 * time.Second                  // how long a console that fell silent speaks for a pooler that just went down
	momentLate            = 30 * time.Second                  // a moment older than this was told, or is history
	failures              = 2                                 // failed polls in a row until a source is believed to be gone
	moreFailures          = 4                                 // where clients may still be served
)

// Findings is everything that is wrong in a snapshot, roots first: what a root explains is in the
// list as well, and named in its Explains. While the monitor itself may be blind that is the only
// finding, as nothing else can be known.
func Findings(s *fleet.Snapshot, inv *inventory.Inventory, now time.Time) []Finding {
	e := examination{s: s, inv: inv, now: now, newest: newest(s), holders: s.Holders()}
	if e.blind() {
		return e.found
	}
	e.poolers()
	e.nodes()
	e.vip()
	e.postgres()
	e.load()
	return e.found
}

// examination is one walk over one snapshot.
type examination struct {
	s       *fleet.Snapshot
	inv     *inventory.Inventory
	now     time.Time
	newest  time.Time // when any source answered last
	holders []string
	serving []*fleet.Pooler // that take new connections, as far as is known
	found   []Finding
}

func (e *examination) add(f Finding) { e.found = append(e.found, f) }

// proven says that a run of failures is not the monitor's own: something else has answered since.
func (e *examination) proven(since time.Time) bool { return e.newest.After(since) }

// blind finds the monitor itself cut off: nothing answers. Until every source was asked once, and
// while all of them fail but not for long enough, it is unsure, which keeps all else as it was.
func (e *examination) blind() bool {
	asked, answering := pulse(e.s)
	deaf := e.inv.Poll.Interval.Duration*2 + e.inv.Poll.Timeout.Duration
	if asked && answering && e.now.Sub(e.newest) < deaf {
		return false
	}
	last, evidence := e.newest, "monitor: last answer of any source "+ago(e.now, e.newest)
	if last.IsZero() {
		last, evidence = e.s.Postgres.Probe.Since, "monitor: no source has answered since it started"
	}
	e.add(Finding{
		Cause: string(MonitorBlind), Kind: MonitorBlind, Subject: e.inv.Monitor.Name, Severity: Critical,
		Title:    "Monitor blind",
		Impact:   "No part of the chain answers the monitor. Whether clients are served is unknown, and so is everything else.",
		Evidence: []string{evidence},
		Action:   "Try a query through " + e.s.VIP.Address + " from another machine. If it works, look at the network of " + e.inv.Monitor.Name + ".",
		Unsure:   !asked || e.now.Sub(last) < deaf,
	})
	return true
}

// pulse says whether every source was asked, and whether any answered when it was last asked.
// Database sizes, asked once a minute, do not count.
func pulse(s *fleet.Snapshot) (asked, answering bool) {
	asked = s.VIP.Answers.Asked() && s.VIP.Through.Asked() && s.Postgres.Probe.Asked()
	answering = s.VIP.Answers.OK() || s.VIP.Through.OK() || s.Postgres.Probe.OK()
	for i := range s.Nodes {
		n := &s.Nodes[i]
		asked = asked && n.State.Asked() && n.Stats.Asked()
		answering = answering || n.State.OK() || n.Stats.OK()
	}
	for i := range s.Poolers {
		asked = asked && s.Poolers[i].View.Asked()
		answering = answering || s.Poolers[i].View.OK()
	}
	return asked, answering
}

// newest is when any source answered last; zero is never.
func newest(s *fleet.Snapshot) time.Time {
	var last time.Time
	see := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	see(s.VIP.Answers.Seen)
	see(s.VIP.Through.Seen)
	see(s.Postgres.Probe.Seen)
	for i := range s.Nodes {
		see(s.Nodes[i].State.Seen)
		see(s.Nodes[i].Stats.Seen)
	}
	for i := range s.Poolers {
		see(s.Poolers[i].View.Seen)
	}
	return last
}

// fallsAfter is how often the witness saw it go down again after it went down at a moment.
func (f Finding) fallsAfter(t time.Time) int {
	after, then := 0, 0
	for _, at := range f.Falls {
		switch {
		case at.After(t):
			after++
		case at.Equal(t):
			then++
		}
	}
	return after + max(then-1, 0)
}

// about makes the cause of a kind and a host.
func about(kind Kind, host string) string { return string(kind) + "/" + host }

// explains reports whether a symptom as Finding.Explains names it means a cause.
func explains(symptom, cause string) bool {
	return symptom == cause || strings.HasSuffix(symptom, "/") && strings.HasPrefix(cause, symptom)
}
