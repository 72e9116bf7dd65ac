package haproxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"weir/ops/inventory"
	"weir/ops/inventory/golden"
)

// from connects with an address of the machine as the client's.
func (m *machine) from(a inventory.Addr) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (conn net.Conn, err error) {
		done := make(chan struct{})
		m.calls <- func() {
			defer close(done)
			conn, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: a.AsSlice()}}).DialContext(ctx, network, addr)
		}
		<-done
		return conn, err
	}
}

func TestTheConsoleLearnsWhoIsBehindAConnectionToAPooler(t *testing.T) {
	m := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := m.from(m.inv.Monitor.Address)(ctx, "tcp", m.inv.VIPEndpoint())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	edge := NewEdge(m.inv, 2, m.from(m.inv.Console.Address))
	delete(edge.processes, m.inv.HAProxy.Nodes[1].Name) // does not run here
	m.eventually(t, "the session is told", func(ctx context.Context) bool {
		clients, err := edge.Clients(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if *golden.Update {
			raw := m.told(ctx, t, m.inv.Console.Address, sessionQuestion)
			if err := os.WriteFile("testdata/sessions-3.0.txt", []byte(raw), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for own, from := range clients {
			if from == client.LocalAddr().String() && !strings.HasPrefix(own, m.inv.VIP.Address.String()) {
				return true
			}
		}
		return false
	})
}

// told is everything that comes back on a question.
func (m *machine) told(ctx context.Context, t *testing.T, from inventory.Addr, question string) string {
	t.Helper()
	at := net.JoinHostPort(m.node.Address.String(), "8504")
	conn, err := m.from(from)(ctx, "tcp", at)
	if err != nil {
		return "" // refused outright
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, question)
	said, err := io.ReadAll(conn)
	if os.IsTimeout(err) {
		t.Errorf("%q from %s: neither answered nor closed", question, from)
	}
	return string(said)
}

func TestNobodyElseLearnsItAndNothingElseIsToldOrDone(t *testing.T) {
	m := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if said := m.told(ctx, t, m.inv.Console.Address, sessionQuestion); !strings.HasPrefix(said, "0x") {
		t.Fatalf("the console's own question: %q", said)
	}
	for _, other := range []inventory.Addr{m.inv.Monitor.Address, m.node.Address, m.inv.Postgres.Address} {
		if said := m.told(ctx, t, other, sessionQuestion); said != "" {
			t.Errorf("%s is told %.80q", other, said)
		}
	}
	for _, question := range []string{"show info\n", "show env\n", "show sess all;show env\n", "show sess all\nshow info\n", "show sess all\n\n",
		"prompt\nshow info\n", "disable server pgbouncer/pgb1\n", "show sess all", "@1 show info\n", "expert-mode on;x\n"} {
		if said := m.told(ctx, t, m.inv.Console.Address, question); said != "" {
			t.Errorf("%q: %.80q", question, said)
		}
	}
}

// What follows the question is not read any more.
func TestASecondQuestionOnTheSameConnectionIsNotAnswered(t *testing.T) {
	m := start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	conn, err := m.from(m.inv.Console.Address)(ctx, "tcp", net.JoinHostPort(m.node.Address.String(), "8504"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(conn, sessionQuestion)
	first := make([]byte, 2)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "show info\n")
	if rest, _ := io.ReadAll(conn); bytes.Contains(rest, []byte("Uptime")) {
		t.Error("it was answered")
	}
}

func TestSessionsOfOtherFrontendsAreLeftOut(t *testing.T) {
	body, err := os.ReadFile("testdata/sessions-3.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	clients, err := parseSessions(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if all := bytes.Count(body, []byte("\n0x")) + 1; all < 2 || len(clients) != 1 {
		t.Errorf("of %d sessions those of clients are %v, want one", all, clients)
	}
}

func TestAnAnswerThatIsNoneIsAnError(t *testing.T) {
	for _, said := range []string{"", "Permission denied\n", "\n\n"} {
		if _, err := parseSessions(strings.NewReader(said)); err == nil {
			t.Errorf("%q is taken for no sessions", said)
		}
	}
}

func FuzzSessions(f *testing.F) {
	body, err := os.ReadFile("testdata/sessions-3.0.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(body)
	f.Add([]byte("0x1: source=1.2.3.4:5\n  backend=pgbouncer addr=unix:1\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		clients, _ := parseSessions(bytes.NewReader(body))
		for own, from := range clients {
			if !isEndpoint(own) || !isEndpoint(from) {
				t.Errorf("%q is behind %q", from, own)
			}
		}
	})
}
