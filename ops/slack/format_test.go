package slack

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"weir/ops/incident"
)

var update = flag.Bool("update", false, "write the golden files anew")

// cases are the messages a person meets, in the words of Findings.
func cases() map[string]struct {
	incident.Incident
	incident.Reason
} {
	type c = struct {
		incident.Incident
		incident.Reason
	}
	told := incident.Said{Count: 1, First: sample().Since, State: incident.Firing, Severity: incident.Warning}
	change := func(r incident.Reason, with func(*incident.Incident)) c {
		i := sample()
		with(&i)
		return c{i, r}
	}
	return map[string]c{
		"opened": change(incident.First, func(*incident.Incident) {}),
		"resolved": change(incident.RecoverOK, func(i *incident.Incident) {
			i.State, i.ResolvedAt, i.Said = incident.OK, i.Since.Add(42*time.Second), told
		}),
		"flapping": change(incident.Unsteady, func(i *incident.Incident) {
			i.State, i.Flaps, i.Said = incident.Flapping, 2, told
		}),
		"flapping-resolved": change(incident.RecoverOK, func(i *incident.Incident) {
			i.State, i.Flaps, i.Said, i.ResolvedAt = incident.OK, 19, told, i.Since.Add(2*time.Minute)
		}),
		"reopened-resolved": change(incident.RecoverOK, func(i *incident.Incident) {
			i.State, i.Flaps, i.Said, i.ResolvedAt, i.Well = incident.OK, 1, told, i.OpenedAt.Add(2*time.Minute), 105*time.Second
		}),
		"reopened": change(incident.Again, func(i *incident.Incident) {
			i.Flaps, i.Said, i.Since = 1, told, i.OpenedAt.Add(50*time.Second)
		}),
		"planned": change(incident.Intended, func(i *incident.Incident) {
			i.State, i.Title, i.Said = incident.Planned, "pgb2 in maintenance", told
			i.Action = "When the work is done, set pgb2 ready on both HAProxies."
		}),
		"reminder": change(incident.Remind, func(i *incident.Incident) { i.Said = told }),
		"vip-moved": change(incident.First, func(i *incident.Incident) {
			i.State, i.ResolvedAt = incident.OK, i.Since
			i.Finding = incident.Finding{Cause: "vip-moved", Kind: incident.VIPMoved, Subject: "haproxy2", Severity: incident.Info,
				Title:    "VIP moved from haproxy1 to haproxy2",
				Impact:   "Nobody was seen holding it for at most 1.1 s. Sessions through haproxy1 ended; new ones go to haproxy2.",
				Evidence: []string{"haproxy2: holds the VIP", "haproxy1: held it until 14:03:10.9 UTC"},
				Action:   "Nothing for clients. See why haproxy1 gave it up: `journalctl -u keepalived -u haproxy` there."}
		}),
		"vip-moved-back": change(incident.Again, func(i *incident.Incident) {
			i.State, i.Flaps, i.Said, i.Since, i.ResolvedAt, i.Well = incident.OK, 1, told, i.OpenedAt.Add(30*time.Second), i.OpenedAt.Add(30*time.Second), 30*time.Second
			i.Finding = incident.Finding{Cause: "vip-moved", Kind: incident.VIPMoved, Subject: "haproxy1", Severity: incident.Info,
				Title:  "VIP moved from haproxy2 to haproxy1",
				Impact: "Nobody was seen holding it for at most 0.4 s. Sessions through haproxy2 ended; new ones go to haproxy1.",
				Action: "Nothing for clients. See why haproxy2 gave it up: `journalctl -u keepalived -u haproxy` there."}
		}),
		"postgres-down": change(incident.Louder, func(i *incident.Incident) {
			i.Said, i.Symptoms = told, []string{"clients-waiting", "postgres-unreachable"}
			i.Finding = incident.Finding{Cause: "postgres-down", Kind: incident.PostgresDown, Subject: "postgres", Severity: incident.Critical,
				Title:    "PostgreSQL down",
				Impact:   "No query is answered: those that ran are lost, new ones fail. 2,000 clients are connected.",
				Evidence: []string{"postgres: probe postgres 192.168.1.30:5432: connection refused <nobody & nothing>", "monitor: no answer within 900ms"},
				Action:   "On postgres: `systemctl restart weir-postgres`."}
		}),
	}
}

func TestMessagesAreTheGoldenOnes(t *testing.T) {
	for name, c := range cases() {
		now := sample().Since.Add(time.Minute)
		m := Format(c.Incident, c.Reason, now)
		golden(t, name+".slack.json", struct {
			Text   string       `json:"text"`
			Blocks slack.Blocks `json:"blocks"`
			Thread string       `json:"thread"`
			Loud   bool         `json:"loud"`
		}{m.Text, slack.Blocks{BlockSet: m.Blocks}, m.Thread, m.Loud})
		golden(t, name+".alert.json", Plain(c.Incident, c.Reason, "key", now))
	}
}

func golden(t *testing.T, name string, value any) {
	t.Helper()
	var got bytes.Buffer
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(value); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got.Bytes(), want)
	}
}

func TestTheFirstLineSaysWhatAndSinceWhenInTheReadersZone(t *testing.T) {
	first := Format(sample(), incident.First, sample().Since).Blocks[0].(*slack.SectionBlock).Text.Text
	if want := "*WARNING  pgb2 down*\nsince <!date^1795442592^{date_short_pretty} {time_secs}|2026-11-23 14:03:12 UTC>"; first != want {
		t.Errorf("first line %q, want %q", first, want)
	}
}

func TestAnErrorCannotMentionTheChannelOrBeTooLong(t *testing.T) {
	i := sample()
	i.Evidence = []string{"postgres: <!channel> & <https://evil|link>", strings.Repeat("x", 5000)}
	for _, b := range Format(i, incident.First, i.Since).Blocks {
		body, _ := json.Marshal(b)
		if strings.Contains(string(body), "!channel>") || strings.Contains(string(body), `\u003c!channel`) || len(body) > 3200 {
			t.Errorf("%d bytes: %.200s", len(body), body)
		}
	}
}
