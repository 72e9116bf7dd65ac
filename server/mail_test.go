package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// postOffice is a mail server that takes one message once it is open, and hands it on.
func postOffice(t *testing.T, open <-chan struct{}) (address string, message <-chan string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	got := make(chan string, 1)
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		select {
		case <-open:
		case <-t.Context().Done():
			return
		}
		fmt.Fprint(conn, "220 post office\r\n")
		var text strings.Builder
		reading := false
		for in := bufio.NewScanner(conn); in.Scan(); {
			line := in.Text()
			switch {
			case reading && line == ".":
				reading = false
				fmt.Fprint(conn, "250 taken\r\n")
				got <- text.String()
			case reading:
				text.WriteString(line + "\n")
			case line == "DATA":
				reading = true
				fmt.Fprint(conn, "354 go on\r\n")
			case line == "QUIT":
				fmt.Fprint(conn, "221 bye\r\n")
				return
			default:
				text.WriteString(line + "\n")
				fmt.Fprint(conn, "250 ok\r\n")
			}
		}
	}()
	return ln.Addr().String(), got
}

// open is a post office that always was.
func open() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func TestALinkIsMailedToWhomItIsFor(t *testing.T) {
	address, message := postOffice(t, open())
	m, err := readMail("smtp://" + address + "?from=weir@example.org&tls=none")
	if err != nil {
		t.Fatal(err)
	}
	if err := m.send(t.Context(), "bob@example.org", "You are invited to Weir", "http://weir.example.org/invitation/abc\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-message:
		for _, want := range []string{"RCPT TO:<bob@example.org>", "MAIL FROM:<weir@example.org>", "Subject: You are invited to Weir", "invitation/abc"} {
			if !strings.Contains(got, want) {
				t.Errorf("%q is not in\n%s", want, got)
			}
		}
	case <-time.After(10 * time.Second):
		t.Error("nothing arrived")
	}
}

func TestAWrongMailAddressIsNamedWithoutItsPassword(t *testing.T) {
	for _, text := range []string{"mail.example.org", "http://u:geheim@mail.example.org?from=a@b.c", "smtp://u:geheim@mail.example.org", "smtp://u:geheim@mail.example.org?from=nobody"} {
		if _, err := readMail(text); err == nil || !strings.Contains(err.Error(), "SMTP_URL") || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if m, err := readMail(""); m != nil || err != nil {
		t.Errorf("unset: %v, %v", m, err)
	}
}

func TestAServerThatStopsWaitsForTheLinkThatIsBeingMailed(t *testing.T) {
	opens := make(chan struct{})
	address, message := postOffice(t, opens)
	s := newPlace(t, "SMTP_URL=smtp://"+address+"?from=weir@example.org&tls=none").start()
	s.ready()
	s.signUp()
	if said := s.ask(`mutation { invite(email: "bob@example.org", role: OPERATOR) { token userErrors { message } } }`, nil); !strings.Contains(said, `"token":"`) {
		t.Fatal(said)
	}
	code := make(chan int)
	go func() { code <- s.stop() }()
	s.until("it stops", func() bool { return strings.Contains(s.log.String(), "server stops") })
	close(opens)
	if is := <-code; is != exitOK || strings.Contains(s.log.String(), "mailed") {
		t.Errorf("exit %d\n%s", is, s.log)
	}
	select {
	case got := <-message:
		if !strings.Contains(got, "RCPT TO:<bob@example.org>") {
			t.Error(got)
		}
	default:
		t.Error("it ended before the link was mailed")
	}
}

func TestAMessageThatIsStillUnderWayAtTheEndIsNamed(t *testing.T) {
	address, _ := postOffice(t, nil)
	m, err := readMail("smtp://" + address + "?from=weir@example.org&tls=none")
	if err != nil {
		t.Fatal(err)
	}
	m.post(t.Context(), "bob@example.org", "You are invited to Weir", "http://weir.example.org/invitation/abc\n", func(error) {})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if left := m.wait(ctx); !slices.Equal(left, []string{"bob@example.org"}) {
		t.Errorf("left %v", left)
	}
	if left := (*mailer)(nil).wait(ctx); left != nil {
		t.Errorf("without mail: %v", left)
	}
}
