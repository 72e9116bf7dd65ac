package slack

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/ops/incident"
)

const (
	webhookURL = "https://hooks.slack.test/services/T00/B00/secretwebhookpath"
	alertURL   = "https://alerts.test/in/secretalertpath?key=secretquery"
	botToken   = "xoxb-secrettoken"
)

// fakeSlack answers without a network, so that time in a synctest bubble stands still while it does.
type fakeSlack struct {
	mu    sync.Mutex
	seen  []string // one line for each request that was accepted
	tried []time.Time
	next  []func(http.ResponseWriter, *http.Request) error // answers, in place of "ok"
	posts int
}

// RoundTrip records and answers.
func (f *fakeSlack) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.tried = append(f.tried, time.Now())
	var answer func(http.ResponseWriter, *http.Request) error
	if len(f.next) > 0 {
		answer, f.next = f.next[0], f.next[1:]
	}
	f.mu.Unlock()
	w := httptest.NewRecorder()
	if answer == nil {
		f.accept(w, r, body)
		return w.Result(), nil
	}
	if err := answer(w, r); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (f *fakeSlack) accept(w http.ResponseWriter, r *http.Request, body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	form, _ := url.ParseQuery(string(body))
	line := strings.TrimPrefix(r.URL.Path, "/api/") + " " + firstLine(form, body)
	if ts := form.Get("thread_ts"); ts != "" {
		line = "thread " + ts + " " + form.Get("text")
		if form.Get("reply_broadcast") == "true" {
			line = "loud " + line
		}
	}
	if strings.HasSuffix(r.URL.Path, "chat.postMessage") {
		f.posts++
	}
	f.seen = append(f.seen, line)
	fmt.Fprintf(w, `{"ok":true,"channel":"C1","ts":"%d.0"}`, f.posts)
}

func firstLine(form url.Values, body []byte) string {
	if text := form.Get("text"); text != "" {
		return form.Get("ts") + " " + text[:strings.IndexAny(text, ".(")]
	}
	for _, field := range []string{`"text":"`, `"event":"`} {
		if _, rest, ok := bytes.Cut(body, []byte(field)); ok {
			return string(rest[:bytes.IndexAny(rest, `."(`)])
		}
	}
	return ""
}

func (f *fakeSlack) answers(answer func(http.ResponseWriter, *http.Request) error, times int) {
	for range times {
		f.next = append(f.next, answer)
	}
}

func code(status int, retryAfter string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if retryAfter != "" {
			w.Header().Set("Retry-After", retryAfter)
		}
		w.WriteHeader(status)
		return nil
	}
}

func says(body string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error { _, err := io.WriteString(w, body); return err }
}

func hangs(_ http.ResponseWriter, r *http.Request) error {
	<-r.Context().Done()
	return r.Context().Err()
}

// refuses fails as net/http does, with the URL in the error.
func refuses(_ http.ResponseWriter, r *http.Request) error {
	return fmt.Errorf("dial %s with %s: connection refused", r.URL, r.Header.Get("Authorization"))
}

// office is a poster with everything it writes.
type office struct {
	*Poster
	fake       *fakeSlack
	log        *bytes.Buffer
	deliveries []string
	path       string
	mu         sync.Mutex
}

func open(t *testing.T, s Settings, fake *fakeSlack, path string) *office {
	t.Helper()
	box, err := OpenOutbox(path)
	if err != nil {
		t.Fatal(err)
	}
	o := &office{fake: fake, log: &bytes.Buffer{}, path: path}
	id := 0
	s.SlackAPIURL = "https://slack.test/api/"
	o.Poster, err = NewPoster(box, s, &http.Client{Transport: fake}, func() string { id++; return fmt.Sprintf("n-%d", id) },
		slog.New(slog.NewTextHandler(o.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	o.OnDelivery = func(d Delivery) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.deliveries = append(o.deliveries, fmt.Sprintf("%s %s %s", d.Key, d.State, d.Error))
	}
	return o
}

func newOffice(t *testing.T, s Settings) *office {
	return open(t, s, &fakeSlack{}, filepath.Join(t.TempDir(), "outbox.json"))
}

// run delivers for as long as d, of the bubble's time.
func (o *office) run(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	o.Run(ctx)
}

// say puts one more thing about an incident.
func (o *office) say(t *testing.T, id string, n int, r incident.Reason) {
	t.Helper()
	i := sample()
	i.ID, i.Title = id, "pgb2 down"
	if r == incident.RecoverOK {
		i.State, i.ResolvedAt = incident.OK, i.Since.Add(42*time.Second)
	}
	if n > 1 {
		i.Said = incident.Said{Count: n - 1, First: i.Since}
	}
	o.Put(i, incident.Decision{Reason: r, Key: fmt.Sprintf("%s/%d", id, n)}, time.Now())
}

func sample() incident.Incident {
	since := time.Date(2026, 11, 23, 14, 3, 12, 0, time.UTC)
	return incident.Incident{
		ID: "019ab0c1-7c00-7000-8000-000000000001", State: incident.Firing, Seq: 1, OpenedAt: since, Since: since,
		Finding: incident.Finding{
			Cause: "pooler-down/pgb2", Kind: incident.PoolerDown, Subject: "pgb2", Severity: incident.Warning, Title: "pgb2 down",
			Impact:   "2 of 3 poolers serving, 8,000 client places left, 1,234 in use.",
			Evidence: []string{"haproxy1: pgb2 DOWN L4CON for 3.0 s", "haproxy2: pgb2 DOWN L4CON for 2.0 s", "monitor: connection refused"},
			Action:   "On pgb2: `systemctl status pgbouncer`, then `systemctl restart pgbouncer`.",
		},
	}
}
