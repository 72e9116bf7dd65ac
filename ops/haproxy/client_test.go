package haproxy

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"weir/ops/inventory"
)

// A kernel accepts for a program that hangs; a host that is off, or cut off, lets the connection time out.
func TestANodeThatAcceptsAndIsSilentIsToldFromOneThatIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // nobody accepts
	for _, test := range []struct {
		sentence string
		dial     func(ctx context.Context, network, addr string) (net.Conn, error)
		silent   bool
	}{
		{"a program that hangs", func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		}, true},
		{"a host that is gone", func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}, false},
	} {
		inv := inventory.Default()
		c := New(inv.HAProxy.Nodes[0], inv, testSecrets.HAProxyStats, 2, test.dial)
		defer c.Close()
		for what, ask := range map[string]func(context.Context) error{
			"state": func(ctx context.Context) error { _, err := c.Node(ctx); return err },
			"stats": func(ctx context.Context) error { _, err := c.Stats(ctx); return err },
		} {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			if err := ask(ctx); errors.Is(err, ErrSilent) != test.silent || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s, asked for its %s: %v", test.sentence, what, err)
			}
			cancel()
		}
	}
}
