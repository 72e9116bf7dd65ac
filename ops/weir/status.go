package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"weir/ops/fleet"
	"weir/ops/haproxy"
	"weir/ops/incident"
	"weir/ops/inventory"
	"weir/ops/lab"
	"weir/ops/pgbouncer"
)

// errNotServing is the exit status of status for scripts: no query through the VIP answers.
var errNotServing = errors.New("no query through the VIP answers")

func (c *command) status() *cobra.Command {
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use: "status", GroupID: "look", Args: cobra.NoArgs,
		Short: "Draw the chain as it is; exit status 1 when no query through the VIP answers",
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, inv, err := c.labAndInventory()
			if err != nil {
				return err
			}
			parts, err := connectParts(l, inv)
			if err != nil {
				return err
			}
			defer parts.Close(context.WithoutCancel(cmd.Context()))
			if watch {
				return watchStatus(cmd.Context(), cmd.OutOrStdout(), l, inv, parts)
			}
			s := parts.Once(cmd.Context())
			if asJSON {
				return printJSON(cmd.OutOrStdout(), chainOf(s, inv))
			}
			d := newDrawing(cmd.OutOrStdout(), inv)
			d.chain(s, time.Now())
			d.lab(cmd.Context(), l)
			if err := d.flush(); err != nil {
				return err
			}
			if !s.VIP.Through.OK() {
				return errNotServing
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON; the keys are stable, and described in README.md")
	cmd.Flags().BoolVar(&watch, "watch", false, "draw it anew as it changes, until interrupted")
	cmd.MarkFlagsMutuallyExclusive("json", "watch")
	return cmd
}

// watchStatus draws at most five times a second, over the drawing before.
func watchStatus(ctx context.Context, out io.Writer, l *lab.Lab, inv *inventory.Inventory, parts *fleet.Parts) error {
	hub := fleet.NewHub(fleet.First(inv))
	go parts.Poll(ctx, func(r fleet.Reading) { hub.Apply(r) })
	var version uint64
	for {
		s, err := hub.Next(ctx, version)
		if err != nil {
			return nil // interrupted
		}
		version = s.Version
		d := newDrawing(out, inv)
		d.chain(s, time.Now())
		d.lab(ctx, l)
		d.overwrite()
		if err := d.flush(); err != nil {
			return err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// drawing is one picture of the chain. Every state is a word; colour only repeats it.
type drawing struct {
	out    io.Writer
	inv    *inventory.Inventory
	text   strings.Builder
	colour bool
}

func newDrawing(out io.Writer, inv *inventory.Inventory) *drawing {
	f, isFile := out.(*os.File)
	return &drawing{out: out, inv: inv,
		colour: isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (d *drawing) flush() error {
	_, err := io.WriteString(d.out, d.text.String())
	return err
}

// overwrite turns the picture into one that replaces what the terminal shows, without a flicker.
func (d *drawing) overwrite() {
	const home, clearLine, clearBelow = "\x1b[H", "\x1b[K\n", "\x1b[J"
	body := strings.ReplaceAll(d.text.String(), "\n", clearLine)
	d.text.Reset()
	d.text.WriteString(home + body + clearBelow)
}

func (d *drawing) line(format string, args ...any) { fmt.Fprintf(&d.text, format+"\n", args...) }

// How sure a word is of itself.
const (
	good    = "32" // green
	warning = "33" // yellow
	bad     = "31;1"
	dim     = "2"
)

func (d *drawing) paint(colour, text string) string {
	if !d.colour || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// cell paints a word and pads it to width; the paint has no width.
func (d *drawing) cell(width int, colour, text string) string {
	return d.paint(colour, text) + strings.Repeat(" ", max(1, width-len([]rune(text))))
}

func (d *drawing) chain(s *fleet.Snapshot, now time.Time) {
	d.line("%s  %s", d.paint("1", "cluster "+d.inv.Cluster), d.paint(dim, now.Format("2006-01-02 15:04:05 MST")))
	d.line("")
	d.findings(s, now)
	d.line("")
	d.vip(s)
	d.line("   │")
	for _, n := range s.Nodes {
		d.node(s, n, now)
	}
	d.line("   │")
	d.poolers(s, now)
	d.line("   │")
	d.postgres(s.Postgres, now)
}

// findings says first what is wrong, what it means for clients and what to do: the words that the
// monitor tells as well. What another one explains is left out.
func (d *drawing) findings(s *fleet.Snapshot, now time.Time) {
	found := slices.DeleteFunc(incident.Findings(s, d.inv, now), func(f incident.Finding) bool {
		// One look does not tell for how long; and somebody answered at the VIP in this one.
		return f.Kind == incident.PauseForgotten || f.Kind == incident.VIPNobody && f.Unsure && s.VIP.Through.OK()
	})
	explained := func(cause string) bool {
		return slices.ContainsFunc(found, func(f incident.Finding) bool { return f.Accounts(cause) })
	}
	said := false
	var thin []string
	for _, f := range found {
		if f.Unsure && f.Moment.IsZero() && !f.Planned && !explained(f.Cause) {
			thin = append(thin, f.Title)
		}
		if f.Unsure || !f.Moment.IsZero() || explained(f.Cause) {
			continue // too thin, over, or only a symptom
		}
		said = true
		word, colour := strings.ToUpper(string(f.Severity)), map[incident.Severity]string{incident.Critical: bad, incident.Warning: warning}[f.Severity]
		if f.Planned {
			word, colour = "PLANNED", dim
		}
		d.line("%s%s: %s", d.cell(9, colour, word), d.paint("1", f.Title), f.Impact)
		if f.Action != "" {
			d.line("         %s", f.Action)
		}
	}
	switch {
	case said:
	case s.VIP.Through.OK() && len(thin) > 0: // one look tells no more; the monitor takes another
		d.line("%s", d.paint(warning, "a query through the VIP answers; look again, it may be: "+strings.Join(thin, ", ")))
	case s.VIP.Through.OK():
		d.line("%s", d.paint(good, "everything serves"))
	case s.VIP.Through.Asked():
		d.line("%s: %s", d.paint(bad, "no query through the VIP answers"), oneLine(s.VIP.Through.Err))
	default:
		d.line("nothing is known yet")
	}
}

func (d *drawing) vip(s *fleet.Snapshot) {
	holder, colour := "held by "+strings.Join(s.Holders(), " AND "), good
	switch n := len(s.Holders()); {
	case n > 1:
		holder, colour = "TWO HOLDERS: "+strings.Join(s.Holders(), " and "), bad
	case n == 0 && len(s.Heard()) == len(s.Nodes):
		holder, colour = "HELD BY NOBODY", bad
	case n == 0:
		holder, colour = "holder unknown: not every node answers", warning
	}
	d.line("clients → %s  %s", d.paint("1", "VIP "+s.VIP.Address), d.paint(colour, holder))
	through := s.VIP.Through
	switch {
	case through.OK():
		d.line("   │      a new connection and a query: %s", d.paint(good, "answered in "+brief(through.Value.Elapsed)))
	case errors.Is(through.Err, fleet.ErrPaused):
		d.line("   │      a new connection and a query: %s", d.paint(warning, fleet.ErrPaused.Error()))
	case through.Asked():
		d.line("   │      a new connection and a query: %s", d.paint(bad, "FAILED: "+oneLine(through.Err)))
	}
}

func (d *drawing) node(s *fleet.Snapshot, n fleet.Node, now time.Time) {
	st := n.State
	if !st.Known() || st.Err != nil {
		d.line("   ├─ %s%s%s", d.cell(10, "1", n.Name), d.cell(16, "", n.Address), d.silence(st.Known(), st.Age(now), st.Err))
		return
	}
	v := st.Value
	vrrp, vrrpColour := v.VRRP, good
	if v.VRRP != "MASTER" && v.VRRP != "BACKUP" {
		vrrpColour = bad
	}
	keepalived, keepColour := "keepalived alive", good
	if !v.Lives() {
		keepalived, keepColour = "KEEPALIVED DEAD", bad
		vrrp, vrrpColour = v.VRRP+"?", warning // a dead one does not take its last word back
	}
	role, roleColour := nodeRole(v)
	d.line("   ├─ %s%s%s%s%s%s", d.cell(10, "1", n.Name), d.cell(16, "", n.Address), d.cell(9, vrrpColour, vrrp),
		d.cell(18, keepColour, keepalived), d.cell(28, roleColour, role), sessions(n))
}

func nodeRole(v haproxy.NodeState) (text, colour string) {
	switch {
	case v.VIP && v.Hold:
		return "HOLDS THE VIP, should not", warning
	case v.VIP:
		return "holds the VIP", good
	case v.Hold:
		return "on hold: " + v.Why, warning
	case !v.Ready:
		return "NOT READY: " + v.Why, bad
	case !v.Lives(), v.VRRP == "FAULT":
		return "COULD NOT TAKE OVER", bad
	}
	return "could take over", good
}

func sessions(n fleet.Node) string {
	front, ok := n.Stats.Value.Find("postgres", "FRONTEND")
	if !ok {
		return ""
	}
	return fmt.Sprintf("%d clients, %d/s new", front.Sessions, front.Rate)
}

// silence says that a source does not answer, and how old what it said last is.
func (d *drawing) silence(known bool, age time.Duration, err error) string {
	text := "NO ANSWER"
	if known {
		text = "NO ANSWER for " + brief(age)
	}
	return d.paint(bad, text) + d.paint(dim, "  "+oneLine(err))
}

func (d *drawing) poolers(s *fleet.Snapshot, now time.Time) {
	head := "   │  " + d.cell(10, dim, "")
	for _, n := range s.Nodes {
		head += d.cell(22, dim, "as "+n.Name+" sees it")
	}
	d.line("%s", strings.TrimRight(head+d.paint(dim, "clients        waiting   pool in use  transactions/s"), " "))
	for _, p := range s.Poolers {
		row := "   ├─ " + d.cell(10, "1", p.Name)
		for _, n := range s.Nodes {
			text, colour := opinion(n, p.Name)
			row += d.cell(22, colour, text)
		}
		d.line("%s%s", row, d.pooler(p, now))
	}
}

// opinion is what one node thinks of a pooler: the operational state, then the administrative one.
func opinion(n fleet.Node, pooler string) (text, colour string) {
	row, ok := n.Server(pooler)
	if !ok {
		return "unknown", warning
	}
	text, colour = row.State.String(), good
	switch {
	case !n.Stats.OK():
		text, colour = text+" (old)", dim
	case row.State == haproxy.Down || row.State == haproxy.DownGoingUp:
		text, colour = text+" "+strings.TrimPrefix(row.Check, "* "), bad // the mark is that the next check runs
	case row.State != haproxy.Up:
		colour = warning
	}
	if row.Health.Of > 0 {
		text += fmt.Sprintf(" %d/%d", row.Health.Passed, row.Health.Of)
	}
	if row.Admin == haproxy.Drain || row.Admin == haproxy.Maint {
		text, colour = text+" "+strings.ToUpper(row.Admin.String()), warning
	}
	return text, colour
}

func (d *drawing) pooler(p fleet.Pooler, now time.Time) string {
	v := p.View
	if !v.OK() {
		return d.silence(v.Known(), v.Age(now), v.Err)
	}
	_, waiting, longest := v.Value.Clients()
	used, size := d.fullest(v.Value)
	waits, waitColour := fmt.Sprint(waiting), ""
	if waiting > 0 {
		waits, waitColour = fmt.Sprintf("%d (%s)", waiting, brief(longest)), warning
	}
	rate := "-"
	if p.Rates.Over > 0 {
		rate = fmt.Sprintf("%.0f", p.Rates.Xacts)
	}
	out := d.cell(15, "", fmt.Sprintf("%d of %d", v.Value.Lists["used_clients"], d.inv.PgBouncer.MaxClientConn)) +
		d.cell(10, waitColour, waits) + d.cell(13, "", fmt.Sprintf("%d of %d", used, size)) + rate
	if paused := v.Value.Paused(); len(paused) > 0 {
		out += "  " + d.paint(warning, "PAUSED "+strings.Join(paused, ", "))
	}
	return out
}

// fullest is how many server connections the pool has in use that uses most of what it may. Limits are those of a
// pool: another database, and what looks passwords up, has its own. A pool past its size draws on its reserve.
func (d *drawing) fullest(v fleet.PoolerView) (used, size int64) {
	size = int64(d.inv.PgBouncer.PoolSize)
	for _, q := range v.Pools {
		if !q.Serves() {
			continue
		}
		limit := int64(d.inv.PgBouncer.PoolSize)
		reserve := int64(d.inv.PgBouncer.ReservePoolSize)
		if i := slices.IndexFunc(v.Databases, func(o pgbouncer.Database) bool { return o.Name == q.Database }); i >= 0 {
			limit, reserve = v.Databases[i].PoolSize, v.Databases[i].ReservePoolSize
		}
		if q.SvActive > limit {
			limit += reserve
		}
		if q.SvActive*size > used*limit {
			used, size = q.SvActive, limit
		}
	}
	return used, size
}

func (d *drawing) postgres(p fleet.Postgres, now time.Time) {
	name := d.cell(10, "1", p.Name) + d.cell(21, "", p.Address)
	if !p.Probe.OK() {
		d.line("   └─ %s%s", name, d.silence(p.Probe.Known(), p.Probe.Age(now), p.Probe.Err))
		return
	}
	v := p.Probe.Value
	colour := ""
	if v.Connections*5 >= v.MaxConnections*4 {
		colour = warning
	}
	d.line("   └─ %s%s%s%s", name, d.cell(26, good, "up since "+v.StartTime.Local().Format("15:04:05 Jan 2")),
		d.cell(27, colour, fmt.Sprintf("%d of %d connections", v.Connections, v.MaxConnections)),
		fmt.Sprintf("longest transaction %s, %d blocked", brief(v.LongestXact), v.Blocked))
}

// lab adds what only the lab knows: which process is down on purpose, which line is cut.
func (d *drawing) lab(ctx context.Context, l *lab.Lab) {
	var notes []string
	if hosts, err := l.Hosts(ctx); err == nil {
		for _, h := range hosts {
			switch {
			case !h.Up:
				notes = append(notes, h.Name+" is off")
			case h.Cut:
				notes = append(notes, h.Name+" is cut off the network")
			case len(h.CutFrom) > 0:
				notes = append(notes, h.Name+" is cut off from "+strings.Join(h.CutFrom, ", "))
			case h.Slow != "":
				notes = append(notes, h.Name+" has a slow line: "+h.Slow)
			}
		}
	}
	if processes, err := l.Processes(ctx); err == nil {
		for _, p := range processes {
			if p.State != lab.Running && p.Name != "host" {
				notes = append(notes, fmt.Sprintf("%s on %s is %s", p.Name, p.Host, p.State))
			}
		}
	}
	if len(notes) > 0 {
		d.line("")
		d.line("in this lab: %s", d.paint(warning, strings.Join(notes, "; ")))
	}
}

// oneLine is what an error comes down to: "connection refused", for all that stands around it.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return "no answer in time"
	}
	text, _, _ := strings.Cut(innermost(err).Error(), "\n")
	if r := []rune(text); len(r) > 80 {
		return string(r[:79]) + "…"
	}
	return text
}

func innermost(err error) error {
	for {
		switch e := err.(type) {
		case *pgconn.PgError:
			return e
		case interface{ Unwrap() []error }:
			err = e.Unwrap()[0]
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		default:
			return err
		}
	}
}

// brief is a duration for people: 3.8ms, 1.2s, 4m10s, 26h0m0s.
func brief(t time.Duration) string {
	switch {
	case t < 10*time.Millisecond:
		return t.Round(100 * time.Microsecond).String()
	case t < time.Second:
		return t.Round(time.Millisecond).String()
	case t < time.Minute:
		return t.Round(100 * time.Millisecond).String()
	}
	return t.Round(time.Second).String()
}
