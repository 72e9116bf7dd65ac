package graph_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"weir/graph"
	"weir/graph/noun"
	"weir/ops/fault"
)

// broken is a PostgreSQL whose statistics end in a mistake of ours.
type broken struct {
	nothing
	err   error
	panic bool
}

func (b broken) TopQueries(context.Context, string, int) ([]noun.TopQuery, error) {
	if b.panic {
		panic(b.err)
	}
	return nil, b.err
}

func TestAMistakeOfOursShowsNothingButAnIDThatTheLogHas(t *testing.T) {
	secret := &fault.Error{Code: fault.Internal, Message: "password=hunter2"}
	for _, b := range []broken{{err: secret}, {err: secret, panic: true}, {err: &fault.Error{Code: fault.Internal, Message: "m", Err: errors.New("hunter2")}}} {
		s := newServer(t, func(d *graph.Deps) { d.Statistics = b })
		a := s.ask(`{ topQueries { query } }`)
		id, _ := a.Errors[0].Extensions["id"].(string)
		if a.code() != "internal" || strings.Contains(a.raw, "hunter2") || len(id) != 12 || !strings.Contains(a.Errors[0].Message, id) {
			t.Errorf("answered %s", a.raw)
		}
		if log := s.log.String(); !strings.Contains(log, id) || !strings.Contains(log, "hunter2") || !strings.Contains(log, "topQueries") {
			t.Errorf("logged %s", log)
		}
	}
}

func TestEveryOtherFaultIsShownWithItsCode(t *testing.T) {
	for _, code := range fault.Codes {
		if code == fault.Internal {
			continue
		}
		s := newServer(t, func(d *graph.Deps) {
			d.Statistics = broken{err: fault.Wrap(code, errors.New("hunter2"), "A sentence.")}
		})
		if a := s.ask(`{ topQueries { query } }`); a.code() != string(code) || a.Errors[0].Message != "A sentence." || strings.Contains(a.raw, "hunter2") {
			t.Errorf("%s: %s", code, a.raw)
		}
	}
}

func TestWhilePostgreSQLIsAwayTheFleetIsKnownAndTheRestSaysWhyItIsNot(t *testing.T) {
	s := newServer(t, nil)
	s.as(&administrator)
	if a := s.ask(`{ fleet { version postgres { probe { value { version } error } } } viewer { name } }`); a.code() != "" {
		t.Errorf("from memory: %s", a.raw)
	}
	for _, field := range connections {
		if a := s.ask(`{ ` + field + `(first: 1) { edges { cursor } } }`); a.code() != "unavailable" || strings.Contains(a.raw, "hunter2") {
			t.Errorf("%s: %s", field, a.raw)
		}
	}
	if a := s.ask(`{ samples(metric: VIP_SERVING, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z") { subject } }`); a.code() != "unavailable" {
		t.Errorf("samples: %s", a.raw)
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %s", s.log)
	}
}

// Whatever is sent, it is somebody's mistake and not ours: a code, a sentence, nothing internal.
func TestBadInputIsNeverAMistakeOfOurs(t *testing.T) {
	db, _ := tables(t)
	s := newServer(t, func(d *graph.Deps) { d.DB = db })
	s.as(&administrator)
	long := strings.Repeat("x", 100_000)
	for _, row := range []struct {
		document string
		bad      []any
	}{
		{`query($v: DateTime!) { samples(metric: VIP_SERVING, from: $v, to: "2026-01-02T00:00:00Z") { subject } }`, []any{"", "yesterday", "2026-01-02", "2026-13-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", 1, true, nil, "2026-01-03T00:00:00Z", "2025-01-01T00:00:00Z", "2026-01-02T00:00:00Z"}},
		{`query($v: Int!) { samples(metric: VIP_SERVING, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z", points: $v) { subject } }`, []any{0, -1, 1001, 1 << 31, 1 << 62, 1.5, "x", nil}},
		{`query($v: Metric!) { samples(metric: $v, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z") { subject } }`, []any{"", "NOTHING", 1}},
		{`query($v: String) { samples(metric: VIP_SERVING, subject: $v, from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z") { subject } }`, []any{"a\x00b", long, 1, []any{"a", "b"}}},
		{`query($v: Int!) { topQueries(first: $v) { query } }`, []any{0, 101, -1, "x"}},
		{`query($v: String) { audit(first: 1, actor: $v) { edges { cursor } } }`, []any{"\x00", long}},
		{`query($v: ID!) { sessions(first: 1, user: $v) { edges { cursor } } }`, []any{"x", "", 7, long, noun.ID(noun.TokenKind, "1")}},
		{`mutation($v: Duration!) { pause(for: $v, reason: "because") { userErrors { code } } }`, []any{"", "30", "PT", "P1Y", "P1M", "PT0S", "-PT1S", "PT1M41S", "PT99999999999999999999S", "PT1e30S", "PTNaNS", 30, long}},
		{`mutation($v: Duration!) { silence(for: $v, reason: "because") { userErrors { code } } }`, []any{"PT59S", "P8D"}},
		{`mutation($v: String!) { silence(cause: $v, for: "PT1H", reason: "because") { userErrors { code } } }`, []any{"[", long, "a\nb\x00"}},
		{`mutation($v: Int!) { cancelBackend(pid: $v, reason: "because") { userErrors { code } } }`, []any{0, -1, 1 << 31}},
		{`mutation($v: String!) { drain(pooler: $v, reason: "because") { userErrors { code } } }`, []any{"", "pgb9", "haproxy1", long, "\u202e"}},
		{`mutation($v: String!) { drain(pooler: "pgb1", reason: $v) { userErrors { code } } }`, []any{"", "ab", strings.Repeat("x", 501), "\x07\x07\x07"}},
		{`query($v: String!) { config(host: $v) { host } nothing: node(id: $v) { id } }`, []any{"\x00"}},
	} {
		for _, v := range row.bad {
			a := s.ask(row.document, map[string]any{"v": v})
			told := len(a.Errors) > 0 && a.Errors[0].Message != "" || regexp.MustCompile(`"code":"[A-Z]`).MatchString(a.raw)
			if a.code() == "internal" || a.Status >= 500 || !told {
				t.Errorf("%s\nwith %.50v: %d %.300s", row.document, fmt.Sprintf("%q", v), a.Status, a.raw)
			}
		}
	}
	if s.log.Len() > 0 {
		t.Errorf("logged: %.2000s", s.log)
	}
}

func TestDurationsAndTimesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, d := range []time.Duration{0, time.Nanosecond, 250 * time.Millisecond, 90 * time.Minute, 7 * 24 * time.Hour, 366 * 24 * time.Hour, -90 * time.Second, 25*time.Hour + time.Minute + 1500*time.Microsecond} {
		var b strings.Builder
		noun.MarshalDuration(d).MarshalGQL(&b)
		back, err := noun.UnmarshalDuration(strings.Trim(b.String(), `"`))
		if err != nil || back != d {
			t.Errorf("%s is written %s and read %s, %v", d, b.String(), back, err)
		}
	}
}
