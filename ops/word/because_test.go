package word

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
)

// starting is PostgreSQL's answer while it starts, as the driver has it.
type starting struct{}

func (starting) Error() string {
	return "FATAL: the database system is starting up (SQLSTATE 57P03)"
}
func (starting) SQLState() string { return "57P03" }

func TestAReasonEndsWithTheCause(t *testing.T) {
	connect := func(cause error) error {
		return fmt.Errorf("SHOW VERSION on pgb2: %w", fmt.Errorf("failed to connect to `user=weir_monitor database=pgbouncer`: 192.168.1.22:6432 (192.168.1.22): dial error: %w", cause))
	}
	for _, row := range []struct {
		err  error
		want string
	}{
		{nil, "no error"},
		{connect(syscall.ECONNREFUSED), "SHOW VERSION on pgb2: connection refused"},
		{connect(starting{}), "SHOW VERSION on pgb2: FATAL: the database system is starting up (SQLSTATE 57P03)"},
		{fmt.Errorf("no answer within 1s: %w", connect(errors.New("context deadline exceeded"))), "no answer within 1s: SHOW VERSION on pgb2"},
		{fmt.Errorf("no answer within 900ms: %w", fmt.Errorf("get /vrrp of haproxy on haproxy1: accepted the connection, then silent: %w", context.DeadlineExceeded)),
			"no answer within 900ms: get /vrrp of haproxy on haproxy1: accepted the connection, then silent"},
		{connect(io.ErrUnexpectedEOF), "SHOW VERSION on pgb2: unexpected EOF"},
		{connect(errors.Join(errors.New("192.168.1.22: no TLS"), io.EOF)), "SHOW VERSION on pgb2: EOF"},
		{fmt.Errorf("failed to connect to `user=weir database=weir`: %w", io.EOF), "EOF"},
		{fmt.Errorf("get /vrrp of haproxy on haproxy2: dial tcp 192.168.1.11:8404: connect: %w", syscall.ECONNREFUSED), "get /vrrp of haproxy on haproxy2: connection refused"},
		{errors.New("read statistics: a page\nof many lines"), "read statistics: a page"},
		{errors.New(strings.Repeat("ä", 200)), strings.Repeat("ä", 160) + "…"},
	} {
		if got := Because(row.err); got != row.want {
			t.Errorf("%v: %q, want %q", row.err, got, row.want)
		}
	}
}
