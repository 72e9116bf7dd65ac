package lab_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"weir/ops/haproxy"
	"weir/ops/inventory"
	"weir/ops/slack"
)

// TestMonitor runs the faults against a monitor that tells a Slack of ours, inside the lab's network.
func TestMonitor(t *testing.T) {
	inv := inventory.Default()
	w := startWorldWith(t, "monitor", inv, func(gateway string) map[string]string {
		at := "http://" + net.JoinHostPort(gateway, slackPort)
		return map[string]string{"SLACK_BOT_TOKEN": "xoxb-secret-of-the-test", "SLACK_CHANNEL": "C0WEIR",
			"SLACK_API_URL": at + "/api/", "ALERT_WEBHOOK_URL": at + "/alert"}
	})
	w.slack = newFakeSlack()
	ln, err := w.lab.Listen(t.Context(), net.JoinHostPort(w.gateway, slackPort))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: w.slack}
	go srv.Serve(ln)
	t.Cleanup(func() { srv.Close() })
	testscript.RunT(oneByOne{t}, testscript.Params{Dir: "testdata/monitor", Cmds: w.verbs(), Setup: w.setup})

	told := w.slack.latencies
	slices.Sort(told)
	if len(told) > 0 {
		p95 := told[(len(told)*95+99)/100-1]
		t.Logf("%d changes told; from the change to the request sent: median %s, p95 %s, longest %s",
			len(told), told[len(told)/2].Round(time.Millisecond), p95.Round(time.Millisecond), told[len(told)-1].Round(time.Millisecond))
		if p95 > 1500*time.Millisecond {
			t.Errorf("p95 is over 1.5 s: %v", told)
		}
	}
}

const slackPort = "8065"

// fakeSlack answers as Slack's API and as a plain webhook do, and remembers what it was told.
type fakeSlack struct {
	mu        sync.Mutex
	mode      string // ok, 429, 500, hang
	alerts    []alert
	told      int                // alerts that a script has looked at
	ignored   []string           // causes that the script does not care for
	posts     map[string]message // by ts
	refused   int                // requests not accepted
	n         int
	latencies []time.Duration
	changed   chan struct{}
}

type alert struct {
	slack.Alert
	at time.Time
}

type message struct {
	text, thread string
	edits        int
}

func newFakeSlack() *fakeSlack {
	return &fakeSlack{mode: "ok", posts: map[string]message{}, changed: make(chan struct{})}
}

func (f *fakeSlack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch f.mode {
	case "429":
		f.refused++
		w.Header().Set("Retry-After", "2")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	case "500":
		f.refused++
		w.WriteHeader(http.StatusInternalServerError)
		return
	case "hang":
		f.refused++
		f.mu.Unlock()
		<-r.Context().Done()
		f.mu.Lock()
		return
	}
	if r.URL.Path == "/alert" {
		var a alert
		if err := json.Unmarshal(body, &a.Alert); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		a.at = time.Now()
		f.alerts = append(f.alerts, a)
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		ts := form.Get("ts")
		if ts == "" {
			f.n++
			ts = fmt.Sprintf("1700000000.%06d", f.n)
		}
		m := f.posts[ts]
		if m.text != "" {
			m.edits++
		}
		m.text, m.thread = form.Get("text"), form.Get("thread_ts")
		f.posts[ts] = m
		fmt.Fprintf(w, `{"ok":true,"channel":"C0WEIR","ts":%q}`, ts)
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

// doSlack sets how the Slack of ours answers: slack ok|429|500|hang.
func (s *script) doSlack(_ context.Context, args []string) error {
	f := s.world.slack
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mode = args[1]
	s.logf("Slack answers %s; %d requests were refused so far", args[1], f.refused)
	return nil
}

// tells LIMIT EVENT CAUSE [EVENT CAUSE ...] waits for the next things told, which have to be those, in
// any order; EVENT may name several, first|reopened. With "late" at the end, how long it took is not
// counted: it was held back on purpose.
func (s *script) tells(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	want := args[2:]
	late := want[len(want)-1] == "late"
	if late {
		want = want[:len(want)-1]
	}
	for len(want) > 0 {
		a, err := s.world.slack.next(ctx)
		if err != nil {
			return fmt.Errorf("%v was not told within %s: %w", want, limit, err)
		}
		took := a.at.Sub(s.acted)
		s.logf("told after %s: %s %s: %s. %s", took.Round(time.Millisecond), a.Event, a.Cause, a.Title, a.Impact)
		i := 0
		for i < len(want) && !(slices.Contains(strings.Split(want[i], "|"), string(a.Event)) && a.Cause == want[i+1]) {
			i += 2
		}
		if i >= len(want) {
			return fmt.Errorf("told %s %s instead of %v", a.Event, a.Cause, want)
		}
		want = slices.Delete(slices.Clone(want), i, i+2)
		if !late {
			s.world.slack.note(took)
		}
	}
	return nil
}

// eventually LIMIT EVENT CAUSE waits until that is told, or told as the state of the incident; what is
// told before has to be of the same cause.
func (s *script) eventually(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		a, err := s.world.slack.next(ctx)
		if err != nil {
			return fmt.Errorf("not told within %s: %w", limit, err)
		}
		s.logf("told: %s %s", a.Event, a.Cause)
		if a.Cause != args[3] {
			return fmt.Errorf("told %s %s", a.Event, a.Cause)
		}
		if a.Event == args[2] || a.State == args[2] {
			return nil
		}
	}
}

func (f *fakeSlack) note(took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latencies = append(f.latencies, took)
}

// forget waits until the monitor has no incident open and nothing left to tell, and goes on from there.
func (w *world) forget(ctx context.Context) error {
	err := w.waitHealth(ctx, func(h monitorHealth) bool {
		return h.Status == "ok" && !h.Starting && h.Open == 0 && h.waiting() == 0
	})
	if err == nil {
		w.slack.mu.Lock()
		w.slack.told, w.slack.ignored = len(w.slack.alerts), nil
		w.slack.mu.Unlock()
	}
	return err
}

// delivered waits until the monitor has written down that everything was accepted. One that is killed
// before it could sends that again, under the same key.
func (s *script) delivered(ctx context.Context, _ []string) error {
	return s.waitHealth(ctx, func(h monitorHealth) bool { return h.waiting() == 0 })
}

// monitorHealth is what the monitor's /healthz says.
type monitorHealth struct {
	Status   string         `json:"status"`
	Starting bool           `json:"starting"`
	Open     int            `json:"incidents_open"`
	Pending  map[string]int `json:"notifications_pending"`
}

func (h monitorHealth) waiting() (n int) {
	for _, each := range h.Pending {
		n += each
	}
	return n
}

func (w *world) waitHealth(ctx context.Context, want func(monitorHealth) bool) error {
	client := http.Client{Transport: &http.Transport{DialContext: w.dial, DisableKeepAlives: true}}
	at := "http://" + net.JoinHostPort(w.inv.Monitor.Address.String(), strconv.Itoa(w.inv.Monitor.Port)) + "/healthz"
	for {
		var h monitorHealth
		err := getJSON(ctx, &client, at, &h)
		if err == nil && want(h) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the monitor is not at rest: %+v, %w", h, err)
		case <-time.After(look):
		}
	}
}

func getJSON(ctx context.Context, client *http.Client, url string, to any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(to)
}

func (f *fakeSlack) next(ctx context.Context) (alert, error) {
	for {
		f.mu.Lock()
		for f.told < len(f.alerts) {
			a := f.alerts[f.told]
			f.told++
			if slices.Contains(f.ignored, a.Cause) {
				continue
			}
			f.mu.Unlock()
			return a, nil
		}
		changed := f.changed
		f.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return alert{}, ctx.Err()
		}
	}
}

// quiet DURATION fails when anything is told in that time.
func (s *script) quiet(ctx context.Context, args []string) error {
	span, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, max(span, quietAtLeast()))
	defer cancel()
	if a, err := s.world.slack.next(ctx); err == nil {
		return fmt.Errorf("told %s %s: %s. %s", a.Event, a.Cause, a.Title, a.Impact)
	}
	return nil
}

// quietAtLeast lengthens every quiet: WEIR_QUIET=60s for the whole proof, which takes an hour.
func quietAtLeast() time.Duration {
	d, _ := time.ParseDuration(os.Getenv("WEIR_QUIET"))
	return d
}

// posts N fails unless the channel has got N messages of its own since the script began, those in
// threads not counted.
func (s *script) posts(_ context.Context, args []string) error {
	want, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if have := s.world.slack.channel(); have-s.postsBefore != want {
		return fmt.Errorf("the channel got %d messages", have-s.postsBefore)
	}
	return nil
}

// channel counts the messages in the channel itself.
func (f *fakeSlack) channel() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.posts {
		if m.thread == "" {
			n++
		}
	}
	return n
}

// ignore CAUSE leaves out, for the rest of the script, what may be told and need not be.
func (s *script) ignore(_ context.Context, args []string) error {
	f := s.world.slack
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ignored = args[1:]
	return nil
}

// channel LIMIT TEXT waits until a message in the channel begins so.
func (s *script) channelSays(ctx context.Context, args []string) error {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	f, want := s.world.slack, strings.Join(args[2:], " ")
	for {
		f.mu.Lock()
		changed, said := f.changed, []string{}
		for _, m := range f.posts {
			if m.thread == "" {
				said = append(said, m.text)
			}
		}
		f.mu.Unlock()
		if slices.ContainsFunc(said, func(text string) bool { return strings.HasPrefix(text, want) }) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("the channel says %q", said)
		}
	}
}

// server ready|drain|maint POOLER is an operator's order, on both nodes.
func (s *script) server(ctx context.Context, args []string) error {
	to := map[string]haproxy.Admin{"ready": haproxy.Ready, "drain": haproxy.Drain, "maint": haproxy.Maint}[args[1]]
	for _, n := range s.inv.HAProxy.Nodes {
		if err := s.parts.Nodes[n.Name].SetServer(ctx, haproxy.Poolers, args[2], to); err != nil {
			return err
		}
	}
	return nil
}

// rows QUERY fails unless the query, in Weir's own database, returns "t".
func (s *script) rows(ctx context.Context, args []string) error {
	for {
		ok, err := s.rowsOnce(ctx, strings.Join(args[1:], " "))
		if ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not true: %w", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *script) rowsOnce(ctx context.Context, query string) (ok bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cfg, err := s.configAt(s.inv.VIPEndpoint(), "weir", s.secrets.Console)
	if err != nil {
		return false, err
	}
	cfg.Database = "weir"
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	return ok, conn.QueryRow(ctx, query).Scan(&ok)
}
