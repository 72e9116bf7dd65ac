package lab_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/ops/inventory"
	"weir/ops/lab"
)

const (
	loadRate    = 200 // requests a second
	loadBefore  = 4 * time.Second
	loadAfter   = 8 * time.Second // from the chain's return on
	fullService = 3 * time.Second // after the chain's return
	quietLimit  = 45 * time.Second

	residentLimit = 80 << 20
)

// TestServer asks the server of one lab 200 times a second, over its API, while parts of the chain die:
// it neither ends nor leaks, each request is answered, and what was acknowledged was done once.
func TestServer(t *testing.T) {
	inv := inventory.Default()
	w := startWorldOf(t, "server", lab.Config{Inventory: inv, Console: map[string]string{"PUBLIC_URL": "http://console.example.org"}})
	c := newCaller(t, w)
	c.storm(t, "", nil) // connections, caches and prepared statements, so that the level before is that of a server at work
	level := c.level(t)
	t.Logf("before: %s", level)
	if level.resident > residentLimit {
		t.Errorf("at rest it takes %.1f MiB", level.resident/(1<<20))
	}
	t.Run("every mutation is refused to nobody, and to those whose role is not enough", c.refuses)
	for _, fault := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"PostgreSQL is killed", func(ctx context.Context) error {
			return w.lab.Order(ctx, "kill", inv.Postgres.Name, "postgres", false)
		}},
		{"a pooler is killed", func(ctx context.Context) error { return w.lab.Order(ctx, "kill", "pgb2", "pgbouncer", false) }},
		{"the HAProxy that holds the VIP is killed", func(ctx context.Context) error {
			holder, _, err := w.holderAndStandby(ctx)
			if err != nil {
				return err
			}
			return w.lab.Order(ctx, "kill", holder, "haproxy", false)
		}},
	} {
		t.Run(fault.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
			defer cancel()
			if err := w.settle(ctx); err != nil {
				t.Fatalf("the chain is not whole before: %v", err)
			}
			c.storm(t, fault.name, fault.do)
			c.settled(t, level)
		})
	}
}

// caller is a program that uses the API with a token.
type caller struct {
	*world
	at     string
	client *http.Client
	token  string
}

func newCaller(t *testing.T, w *world) *caller {
	t.Helper()
	c := &caller{world: w, at: "http://" + net.JoinHostPort(w.inv.Console.Address.String(), strconv.Itoa(w.inv.Console.Port)),
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DialContext: w.dial, MaxIdleConnsPerHost: 2 * loadRate}}}
	t.Cleanup(c.client.CloseIdleConnections)
	c.token = c.makeToken(t, "operator")
	return c
}

func (c *caller) makeToken(t *testing.T, role string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, "--home", c.lab.Home, "--lab", c.lab.Name, "token", "create", "--role", role, "--expires", "1h")
	var why strings.Builder
	cmd.Stderr = &why
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("weir token create: %v: %s", err, why.String())
	}
	return strings.TrimSpace(string(out))
}

// refuses asks the running server what mutations it has, so that none can be forgotten.
func (c *caller) refuses(t *testing.T) {
	type typ struct {
		Kind, Name string
		OfType     *struct {
			Kind, Name string
			OfType     *struct{ Name string }
		}
	}
	var schema struct {
		MutationType struct {
			Fields []struct {
				Name, Description string
				Type              typ
				Args              []struct {
					Name         string
					DefaultValue *string
					Type         typ
				}
			}
		}
	}
	r, data := c.ask("schema", "", `{ __schema { mutationType { fields { name description type { kind name ofType { kind name } }
		args { name defaultValue type { kind name ofType { kind name ofType { name } } } } } } } }`, nil)
	if err := json.Unmarshal(data["__schema"], &schema); err != nil || r.became != "done" {
		t.Fatalf("the schema: %s, %v", r.became, err)
	}
	given := map[string]string{"ID": `"x"`, "String": `"x"`, "Int": "1", "Boolean": "false", "Duration": `"PT1H"`, "DateTime": `"2026-01-01T00:00:00Z"`, "Role": "VIEWER"}
	viewer, refused := *c, 0
	nobody := *c
	nobody.token, viewer.token = "", c.makeToken(t, "viewer")
	for _, f := range schema.MutationType.Fields {
		var args []string
		for _, a := range f.Args {
			if a.Type.Kind == "NON_NULL" && a.DefaultValue == nil {
				value, ok := given[a.Type.OfType.Name]
				if a.Name == "email" { // one that is none is the caller's mistake before it is anything else
					value = `"bob@example.org"`
				}
				if !ok {
					t.Fatalf("%s(%s): nothing to give for %+v", f.Name, a.Name, a.Type.OfType)
				}
				args = append(args, a.Name+": "+value)
			}
		}
		document := "mutation { " + f.Name
		if len(args) > 0 {
			document += "(" + strings.Join(args, ", ") + ")"
		}
		document += " { __typename } }"
		if strings.Contains(f.Description, "For anybody.") {
			continue
		}
		if r, _ := nobody.ask(f.Name, "", document, nil); !strings.Contains(r.became, `"code":"unauthenticated"`) {
			t.Errorf("%s, asked by nobody, became %s", f.Name, r.became)
		}
		if strings.Contains(f.Description, "Needs the role viewer") {
			continue
		}
		refused++
		if r, _ := viewer.ask(f.Name, "", document, nil); !strings.Contains(r.became, `"code":"forbidden"`) {
			t.Errorf("%s, asked by a viewer, became %s", f.Name, r.became)
		}
		if !strings.Contains(f.Description, "Needs the role administrator") {
			continue
		}
		if r, _ := c.ask(f.Name, "", document, nil); !strings.Contains(r.became, `"code":"forbidden"`) {
			t.Errorf("%s, asked by an operator, became %s", f.Name, r.became)
		}
	}
	t.Logf("%d mutations; %d of them need more than the role viewer", len(schema.MutationType.Fields), refused)
	if refused < 15 {
		t.Errorf("%d mutations were refused to a viewer", refused)
	}
}

// reply is what became of one request. Every request has one.
type reply struct {
	kind   string
	sent   time.Time
	took   time.Duration
	became string // done, unavailable, timeout, or what it should not have become
	entry  string // of the audit, when an order was acknowledged
	reason string // of an order: it marks its rows
}

// body is what the API answers.
type body struct {
	Data   map[string]json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

// ask sends one document and says what became of it. Nothing is left out: what cannot be read has a name too.
func (c *caller) ask(kind, reason, document string, variables map[string]any) (r reply, data map[string]json.RawMessage) {
	r = reply{kind: kind, reason: reason, sent: time.Now()}
	defer func() { r.took = time.Since(r.sent) }()
	sent, err := json.Marshal(map[string]any{"query": document, "variables": variables})
	if err != nil {
		r.became = err.Error()
		return r, nil
	}
	req, err := http.NewRequest(http.MethodPost, c.at+"/graphql", bytes.NewReader(sent))
	if err != nil {
		r.became = err.Error()
		return r, nil
	}
	req.Header.Set("Content-Type", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		r.became = "no answer: " + err.Error()
		return r, nil
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		r.became = "half an answer: " + err.Error()
		return r, nil
	}
	var b body
	if err := json.Unmarshal(raw, &b); err != nil {
		r.became = fmt.Sprintf("%d without JSON: %.80s", resp.StatusCode, raw)
		return r, nil
	}
	r.became, r.entry = b.became(resp.StatusCode, raw)
	return r, b.Data
}

// became sorts an answer.
func (b body) became(status int, raw []byte) (became, entry string) {
	code := ""
	if len(b.Errors) > 0 {
		code = b.Errors[0].Extensions.Code
	}
	for _, field := range b.Data {
		var order struct {
			Outcome    *struct{ Entry string }
			UserErrors []struct{ Code string }
		}
		if json.Unmarshal(field, &order) != nil {
			continue
		}
		if order.Outcome != nil {
			entry = order.Outcome.Entry
		}
		if len(order.UserErrors) > 0 {
			code = strings.ToLower(order.UserErrors[0].Code)
		}
	}
	switch {
	case code == "unavailable" && (status == http.StatusOK || status == http.StatusServiceUnavailable):
		return "unavailable", entry
	case code == "timeout" && status == http.StatusOK:
		return "timeout", entry
	case status == http.StatusOK && (code == "" || code == "conflict" || code == "refused"):
		return "done", entry
	}
	return fmt.Sprintf("%d %s: %.200s", status, code, raw), entry
}

// request is the n-th of the storm: queries, dry runs and orders.
func (c *caller) request(name string, n int) reply {
	switch {
	case n%40 == 0: // five a second
		reason := fmt.Sprintf("storm %s %d", name, n)
		r, _ := c.ask("silence", reason, `mutation($r: String!) { silence(cause: "storm-*", for: "PT1M", reason: $r) { outcome { entry result } userErrors { code message } } }`, map[string]any{"r": reason})
		return r
	case n%40 == 20:
		r, _ := c.ask("dry run", "", `mutation { drain(pooler: "pgb1", reason: "a dry run", dryRun: true) { preflight { reasons } userErrors { code } } }`, nil)
		return r
	case n%200 == 10: // once a second
		return c.acknowledge(fmt.Sprintf("storm %s %d", name, n))
	case n%4 == 1:
		r, _ := c.ask("incidents", "", `{ incidents(first: 20) { edges { node { id title events { seq text } } } } }`, nil)
		return r
	case n%4 == 2:
		r, _ := c.ask("audit", "", `{ audit(first: 10) { edges { node { verb outcome } } } silences(first: 5) { edges { node { cause } } } }`, nil)
		return r
	}
	r, _ := c.ask("fleet", "", `{ viewer { name } fleet { version vip { holders } poolers { name view { age error value { state } } } postgres { probe { age error } } } }`, nil)
	return r
}

// acknowledge takes the oldest incident that is open, if there is one that nobody is at.
func (c *caller) acknowledge(reason string) reply {
	r, data := c.ask("open", "", `{ incidents(open: true, last: 20) { edges { node { id acknowledgedAt } } } }`, nil)
	var page struct {
		Edges []struct {
			Node struct {
				ID             string
				AcknowledgedAt *time.Time
			}
		}
	}
	if r.became != "done" || json.Unmarshal(data["incidents"], &page) != nil {
		return r
	}
	for _, e := range page.Edges {
		if e.Node.AcknowledgedAt == nil {
			r, _ = c.ask("acknowledge", reason, `mutation($i: ID!, $r: String!) { acknowledge(incident: $i, reason: $r) { outcome { entry result } userErrors { code } } }`, map[string]any{"i": e.Node.ID, "r": reason})
			return r
		}
	}
	return r
}

// storm asks at a steady rate, whatever becomes of it, and judges what became of it. fault strikes in its midst.
func (c *caller) storm(t *testing.T, name string, fault func(ctx context.Context) error) {
	t.Helper()
	pid := c.server(t)
	probe := c.probe()
	replies := make(chan reply, 1<<14)
	var all []reply
	var collected sync.WaitGroup
	collected.Go(func() {
		for r := range replies {
			all = append(all, r)
		}
	})
	var under sync.WaitGroup
	sent, struck := 0, time.Time{}
	began := time.Now()
	for {
		if fault != nil && struck.IsZero() && time.Since(began) > loadBefore {
			struck = time.Now()
			under.Go(func() {
				if err := fault(t.Context()); err != nil {
					t.Errorf("it cannot be done: %v", err)
				}
			})
		}
		if fault == nil && time.Since(began) > loadBefore || !struck.IsZero() && time.Since(struck) > time.Second && time.Since(probe.back(struck)) > loadAfter {
			break
		}
		if time.Since(began) > time.Minute {
			t.Errorf("the chain does not return: %v", probe.last())
			break
		}
		n := sent
		sent++
		under.Go(func() { replies <- c.request(name, n) })
		// By the clock: a ticker leaves out what a busy machine made it miss, and those would look like lost requests.
		wait(t.Context(), time.Until(began.Add(time.Duration(sent)*time.Second/loadRate)))
	}
	under.Wait()
	close(replies)
	collected.Wait()
	probe.stop()
	back := probe.back(struck)
	c.judge(t, name, all, sent, began, struck, back)
	if is := c.server(t); is != pid {
		t.Errorf("the server is another process: %s was %s", is, pid)
	}
	if fault != nil {
		c.auditIsWhole(t, all)
	}
}

// judge draws what became of the requests, second by second, and says what may not be.
func (c *caller) judge(t *testing.T, name string, all []reply, sent int, began, struck, back time.Time) {
	t.Helper()
	if len(all) != sent {
		t.Errorf("%d requests were sent, and %d became something", sent, len(all))
	}
	seconds := map[int]map[string]int{}
	slowest := map[int]time.Duration{}
	last := 0
	for _, r := range all {
		s := int(r.sent.Sub(began) / time.Second)
		last = max(last, s)
		if seconds[s] == nil {
			seconds[s] = map[string]int{}
		}
		column := r.became
		if column != "done" && column != "unavailable" && column != "timeout" {
			column = "wrong"
		}
		seconds[s][column]++
		slowest[s] = max(slowest[s], r.took)
	}
	if !struck.IsZero() {
		t.Logf("%s after %.1f s, and the chain was back %.2f s later", name, struck.Sub(began).Seconds(), back.Sub(struck).Seconds())
	}
	t.Logf("second  done  unavailable  timeout  wrong  slowest")
	for s := range last + 1 {
		t.Logf("%6d %5d %12d %8d %6d  %s", s, seconds[s]["done"], seconds[s]["unavailable"], seconds[s]["timeout"], seconds[s]["wrong"], slowest[s].Round(time.Millisecond))
	}
	wrong, late := 0, 0
	for _, r := range all {
		if wrong < 5 && r.became != "done" && r.became != "unavailable" && r.became != "timeout" {
			wrong++
			t.Errorf("%s, sent after %.2f s, became after %s: %s", r.kind, r.sent.Sub(began).Seconds(), r.took.Round(time.Millisecond), r.became)
		}
		if late < 5 && r.became != "done" && (struck.IsZero() || r.sent.After(back.Add(fullService))) {
			late++
			t.Errorf("%s, sent %.2f s after the chain's return, became after %s: %s", r.kind, r.sent.Sub(back).Seconds(), r.took.Round(time.Millisecond), r.became)
		}
	}
}

// auditIsWhole: what was acknowledged has one entry, and was done once; what was not has one at most.
func (c *caller) auditIsWhole(t *testing.T, all []reply) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	conn := connectAs(t, ctx, c.world, "weir", c.secrets.Console, "weir")
	count := func(reason string) (entries, good, rows int) {
		err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM audit WHERE reason = $1), (SELECT count(*) FROM audit WHERE reason = $1 AND outcome = 'ok'),
			(SELECT count(*) FROM silence WHERE reason = $1) + (SELECT count(*) FROM incident WHERE acknowledged_reason = $1)`, reason).Scan(&entries, &good, &rows)
		if err != nil {
			t.Fatal(err)
		}
		return entries, good, rows
	}
	kept, unsure := 0, 0
	for _, r := range all {
		if r.reason == "" {
			continue
		}
		acknowledged := r.became == "done" && r.entry != ""
		entries, good, rows := count(r.reason)
		for acknowledged && entries == 0 && ctx.Err() == nil { // it was written on the machine, and is brought within seconds
			wait(ctx, look)
			entries, good, rows = count(r.reason)
		}
		switch {
		case acknowledged && (entries != 1 || good != 1 || rows != 1):
			t.Errorf("%s %q was acknowledged, and has %d entries, %d of them ok, and was done %d times", r.kind, r.reason, entries, good, rows)
		case entries > 1 || rows > 1 || good > rows:
			t.Errorf("%s %q became %s, and has %d entries, %d of them ok, and was done %d times", r.kind, r.reason, r.became, entries, good, rows)
		case acknowledged:
			kept++
		case rows > 0:
			unsure++ // the connection died between the commit and its word: the entry says that it failed
		}
	}
	t.Logf("%d orders were acknowledged, each done once with one entry; %d were done without anybody hearing of it", kept, unsure)
	if kept == 0 {
		t.Error("no order was acknowledged")
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// server names the server's process.
func (c *caller) server(t *testing.T) string {
	t.Helper()
	all, err := c.lab.Processes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(all, func(p lab.ProcessStatus) bool { return p.Host == c.inv.Console.Name && p.Name == "server" })
	if i < 0 || all[i].State != lab.Running {
		t.Fatalf("no server runs: %+v", all)
	}
	return fmt.Sprintf("process %d, %d restarts", all[i].PID, all[i].Restarts)
}

// prober asks again and again, by a new connection through the VIP, whether the chain serves.
type prober struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	first  time.Time // the first good answer since the last bad one
	failed error
}

func (w *world) probe() *prober {
	ctx, cancel := context.WithCancel(w.t.Context())
	p := &prober{cancel: cancel}
	p.done.Go(func() {
		for ctx.Err() == nil {
			err := w.answers(ctx)
			p.mu.Lock()
			if err != nil && ctx.Err() == nil {
				p.first, p.failed = time.Time{}, err
			} else if p.first.IsZero() {
				p.first = time.Now()
			}
			p.mu.Unlock()
			wait(ctx, look)
		}
	})
	return p
}

func (p *prober) stop() { p.cancel(); p.done.Wait() }

// back is since when it serves: now while it does not, and since then when it never stopped.
func (p *prober) back(since time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.first.IsZero():
		return time.Now()
	case p.first.Before(since):
		return since
	}
	return p.first
}

func (p *prober) last() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// level is what a server that does nothing holds.
type level struct{ goroutines, files, resident float64 }

func (l level) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f open files, %.1f MiB", l.goroutines, l.files, l.resident/(1<<20))
}

// read asks /metrics.
func (c *caller) read(ctx context.Context) (l level, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.at+"/metrics", nil)
	if err != nil {
		return l, err
	}
	req.Close = true
	resp, err := c.client.Do(req)
	if err != nil {
		return l, err
	}
	defer resp.Body.Close()
	found := map[string]*float64{"go_goroutines": &l.goroutines, "process_open_fds": &l.files, "process_resident_memory_bytes": &l.resident}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if into := found[name]; into != nil {
			if *into, err = strconv.ParseFloat(value, 64); err != nil {
				return l, err
			}
		}
	}
	if l.goroutines == 0 || l.files == 0 {
		return l, fmt.Errorf("/metrics does not say how many goroutines and files there are")
	}
	return l, nil
}

// level is the lowest within some seconds without requests.
func (c *caller) level(t *testing.T) (lowest level) {
	t.Helper()
	c.client.CloseIdleConnections()
	lowest = level{math.Inf(1), math.Inf(1), math.Inf(1)}
	for range 30 {
		l, err := c.read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		lowest = level{min(lowest.goroutines, l.goroutines), min(lowest.files, l.files), min(lowest.resident, l.resident)}
		wait(t.Context(), look)
	}
	return lowest
}

// settled waits until the server holds no more than before: what a new connection of a pool or a poll
// under way takes is not a leak.
func (c *caller) settled(t *testing.T, before level) {
	t.Helper()
	const slack = 6
	c.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), quietLimit)
	defer cancel()
	for {
		l, err := c.read(ctx)
		if err == nil && l.goroutines <= before.goroutines+slack && l.files <= before.files+slack {
			t.Logf("after: %s", l)
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("it holds %s (%v), before it was %s", l, err, before)
		}
		wait(ctx, look)
	}
}
