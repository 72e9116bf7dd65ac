package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// postOffice is a mail server that takes one message, and hands it on.
func postOffice(t *testing.T) (address string, message <-chan string) {
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

func TestALinkIsMailedToWhomItIsFor(t *testing.T) {
	address, message := postOffice(t)
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
