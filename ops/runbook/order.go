package runbook

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"weir/ops/fault"
	"weir/ops/inventory"
)

// Order is one thing to do. Which fields a verb reads stands beside them.
type Order struct {
	Verb     Verb
	Host     string        // a pooler; with pool verbs "" is every pooler. Relinquish, Reclaim: a HAProxy node. Silence: "" is every host
	Database string        // Pause, Resume, Reconnect: as clients call it, "" is every one
	For      time.Duration // Pause: 0 is DefaultPause. Silence
	PID      int           // Cancel, Terminate
	Started  time.Time     // Cancel, Terminate: when that backend started; zero is whichever has the PID now
	Incident string        // Acknowledge: its id
	Silence  int64         // Unsilence: its id
	Channel  string        // Test: slack or webhook
	Cause    string        // Silence: a glob over causes, "" is all
	Reason   string        // MinReason to MaxReason characters, where the verb asks for one
}

// Limits of an order.
const (
	MinReason, MaxReason = 3, 500 // characters

	DefaultPause, MinPause = 30 * time.Second, time.Second
	// MaxPause stays below PgBouncer's query_wait_timeout of 120 s, at which waiting clients are
	// disconnected, by what giving a pause and noticing its end may take.
	MaxPause = 100 * time.Second

	MinSilence, MaxSilence = time.Minute, 7 * 24 * time.Hour
)

// Subject is what the order is about, as the audit names it.
func (o Order) Subject() string {
	switch o.Verb {
	case Cancel, Terminate:
		return fmt.Sprintf("backend %d", o.PID)
	case Acknowledge:
		return o.Incident
	case Unsilence:
		return fmt.Sprintf("silence %d", o.Silence)
	case Test:
		return o.Channel
	case Silence:
		return strings.TrimSpace(orAll(o.Cause, "*") + " " + o.Host)
	case Pause, Resume, Reconnect, Reload:
		return orAll(o.Host, "every pooler") + inDatabase(o.Database)
	}
	return o.Host
}

func orAll(text, all string) string {
	if text == "" {
		return all
	}
	return text
}

func inDatabase(name string) string {
	if name == "" {
		return ""
	}
	return " database " + name
}

// checkReason looks at what is given even where none is needed: it goes into the audit.
func (o Order) checkReason(needed bool) error {
	n := utf8.RuneCountInString(o.Reason)
	switch {
	case o.Reason == "" && !needed:
		return nil
	case !plain(o.Reason):
		return fault.Field("reason", "The reason has characters that are no text.")
	case n < MinReason:
		return fault.Field("reason", "Say why, in %d characters or more: it stays in the audit.", MinReason)
	case n > MaxReason:
		return fault.Field("reason", "The reason has %d characters; %d are the most.", n, MaxReason)
	}
	return nil
}

// plain says that a text may go into a row and onto a page: UTF-8, no control characters but line ends.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(c rune) bool { return unicode.IsControl(c) && c != '\n' })
}

func aPooler(o Order, inv *inventory.Inventory) error {
	return oneOf(o.Host, inv.PgBouncer.PoolerNames(), "pooler")
}

func aNode(o Order, inv *inventory.Inventory) error {
	return oneOf(o.Host, inv.HAProxy.NodeNames(), "HAProxy node")
}

func oneOf(host string, names []string, what string) error {
	if !slices.Contains(names, host) {
		return fault.Field("host", "There is no %s %.60q. There are: %s.", what, host, strings.Join(names, ", "))
	}
	return nil
}

func pools(o Order, inv *inventory.Inventory) error {
	if o.Host != "" {
		if err := aPooler(o, inv); err != nil {
			return err
		}
	}
	switch {
	case len(o.Database) > 63 || !plain(o.Database) || strings.Contains(o.Database, "\n"):
		return fault.Field("database", "That is no name of a database.")
	case o.Database == "pgbouncer" || o.Database == "weir_auth":
		return fault.Field("database", "%s is the poolers' own.", o.Database)
	}
	return nil
}

func aReload(o Order, inv *inventory.Inventory) error {
	if o.Database != "" {
		return fault.Field("database", "A reload is of the whole pooler.")
	}
	return pools(o, inv)
}

func aPause(o Order, inv *inventory.Inventory) error {
	if err := pools(o, inv); err != nil {
		return err
	}
	if o.For != 0 && (o.For < MinPause || o.For > MaxPause) {
		return fault.Field("for", "A pause lasts from %s to %s: clients that wait for longer are disconnected.", span(MinPause), span(MaxPause))
	}
	return nil
}

func aBackend(o Order, _ *inventory.Inventory) error {
	if o.PID < 1 || o.PID > 1<<31-1 {
		return fault.Field("pid", "That is no process id of a backend.")
	}
	return nil
}

func anIncident(o Order, _ *inventory.Inventory) error {
	if !IsUUID(o.Incident) {
		return fault.Field("incident", "That is no id of an incident.")
	}
	return nil
}

// IsUUID reports whether a text is a UUID in its usual form, as PostgreSQL and the API have them.
func IsUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range []byte(text) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

func aSilence(o Order, inv *inventory.Inventory) error {
	if o.For < MinSilence || o.For > MaxSilence {
		return fault.Field("for", "A silence lasts from a minute to 7 days.")
	}
	if _, err := path.Match(o.Cause, ""); err != nil || len(o.Cause) > 100 || !plain(o.Cause) {
		return fault.Field("cause", "That is no pattern of causes, such as pooler-down/* or *.")
	}
	hosts := inv.Hosts()
	if o.Host != "" && !slices.ContainsFunc(hosts, func(n inventory.Node) bool { return n.Name == o.Host }) {
		return fault.Field("host", "There is no host %.60q.", o.Host)
	}
	return nil
}

func theSilence(o Order, _ *inventory.Inventory) error {
	if o.Silence < 1 {
		return fault.Field("silence", "That is no id of a silence.")
	}
	return nil
}

// channels are those that the monitor can have.
var channels = []string{"slack", "webhook"}

func aChannel(o Order, _ *inventory.Inventory) error {
	if !slices.Contains(channels, o.Channel) {
		return fault.Field("channel", "Say slack or webhook.")
	}
	return nil
}
