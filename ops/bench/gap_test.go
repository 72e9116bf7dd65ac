package bench

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// server is a PostgreSQL that does what a test says. In a synctest bubble its time is the bubble's,
// so that a measured gap is exact, and a goroutine left behind fails the test.
type server struct {
	mu     sync.Mutex
	open   chan struct{} // closed while it answers
	fatal  *pgproto3.ErrorResponse
	takes  time.Duration // a query
	down   bool          // refuses connections
	conns  map[net.Conn]bool
	logins int
}

func newServer() *server {
	s := &server{open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(s.open)
	return s
}

// dial is a DialFunc that needs no network.
func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	client, conn := net.Pipe()
	go s.serve(conn)
	return client, nil
}

func (s *server) serve(conn net.Conn) {
	defer s.forget(conn)
	s.mu.Lock()
	s.conns[conn] = true
	s.mu.Unlock()
	pg := pgproto3.NewBackend(conn, conn)
	if _, err := pg.ReceiveStartupMessage(); err != nil {
		return
	}
	<-s.gate()
	if s.fatal != nil {
		pg.Send(s.fatal)
		pg.Flush()
		return
	}
	s.mu.Lock()
	s.logins++
	s.mu.Unlock()
	pg.Send(&pgproto3.AuthenticationOk{})
	for {
		pg.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		if pg.Flush() != nil {
			return
		}
		if msg, err := pg.Receive(); err != nil || isTerminate(msg) {
			return
		}
		<-time.After(s.takes)
		<-s.gate()
		pg.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	}
}

func isTerminate(msg pgproto3.FrontendMessage) bool {
	_, is := msg.(*pgproto3.Terminate)
	return is
}

func (s *server) forget(conn net.Conn) {
	conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *server) gate() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open
}

func (s *server) freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = make(chan struct{})
}

func (s *server) thaw() { close(s.gate()) }

func (s *server) refuse(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *server) kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

func (s *server) start(t *testing.T, cfg GapConfig) *Gap {
	t.Helper()
	cfg.Dial, cfg.Target, cfg.User, cfg.Database = s.dial, "vip:5432", "app", "app"
	g, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// pass lets d pass on the bubble's clock. With the defaults attempts begin at 0, 10, 20 ms and so
// on, and held queries at every 2.5 ms, so faults come at odd times.
func pass(d time.Duration) { <-time.After(d) }

const ms = time.Millisecond

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestAPauseIsAGapOfItsLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		s.freeze()
		pass(500 * ms)
		s.thaw()
		pass(500 * ms)
		r := g.Stop()
		same(t, "gap", r.Longest, Millis(506*ms)) // the last success was at 1000
		same(t, "its beginning", r.LongestAt, Millis(1000*ms))
		same(t, "measured", r.Measured, Millis(2006*ms))
		same(t, "attempts", r.New.Attempts, 201)
		same(t, "ok", r.New.OK, 201)
		same(t, "p50", r.New.P50, Millis(0))
		same(t, "p99", r.New.P99, Millis(476*ms)) // the third slowest of 201
		same(t, "slowest", r.New.Slowest, Millis(496*ms))
		same(t, "broken", r.Held.Broken, 0)
		same(t, "longest stall", r.Held.LongestStall, Millis(498500*time.Microsecond))
		same(t, "late", r.Late, Millis(0))
	})
}

func TestARefusedConnectionIsCountedApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		s.refuse(true)
		pass(300 * ms)
		s.refuse(false)
		pass(100 * ms)
		r := g.Stop()
		same(t, "gap", r.Longest, Millis(310*ms))
		same(t, "attempts", r.New.Attempts, 141)
		same(t, "ok", r.New.OK, 111)
		same(t, "failed", r.New.Failed, 30)
		same(t, "refused", r.New.Refused, 30)
		same(t, "errors", r.New.Errors["connect: connection refused"], 30)
		same(t, "broken", r.Held.Broken, 0)
	})
}

func TestEveryHeldSessionThatBreaksIsCountedOnceAndConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		s.kill()
		s.refuse(true)
		pass(200 * ms)
		s.refuse(false)
		pass(200 * ms)
		r := g.Stop()
		same(t, "broken", r.Held.Broken, 20)
		same(t, "why", r.Held.Errors["query: connection closed"], 20)
		same(t, "failed reconnects", r.Held.FailedReconnects, r.Held.Errors["reconnect: connect: connection refused"])
		if n := r.Held.FailedReconnects; n < 60 || n > 80 {
			t.Errorf("%d failed reconnects of 20 holders that try every 50 ms for 200 ms", n)
		}
		synctest.Wait()
		same(t, "logins of holders, of the rehearsal and of attempts", s.logins, 20+1+r.New.OK+20)
	})
}

func TestAnOutageThatLastsUntilStopIsAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		s.freeze()
		pass(2000 * ms)
		asked := time.Now()
		r := g.Stop()
		same(t, "Stop took", time.Since(asked), grace)
		same(t, "gap", r.Longest, Millis(2006*ms))
		same(t, "its beginning", r.LongestAt, Millis(1000*ms))
		same(t, "ok", r.New.OK, 101)
		same(t, "unfinished", r.New.Unfinished, 200)
		same(t, "failed", r.New.Failed, 0)
		same(t, "unfinished held queries", r.Held.Unfinished, 20)
		same(t, "longest stall", r.Held.LongestStall, Millis(2998500*time.Microsecond))
		s.thaw()
	})
}

func TestAnAnswerAfterStopDoesNotMakeTheGapLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		s.freeze()
		time.AfterFunc(600*ms, s.thaw)
		pass(100 * ms)
		r := g.Stop()
		same(t, "gap", r.Longest, Millis(106*ms))
		same(t, "unfinished", r.New.Unfinished, 0)
		same(t, "ok", r.New.OK, r.New.Attempts)
	})
}

func TestAttemptsThatHangDoNotHoldUpTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{Openers: 1, Every: 10 * ms, Outstanding: 4, Deadline: 200 * ms, Holders: -1})
		pass(1006 * ms)
		s.freeze() // hang: 1010 to 1040 until 1210 to 1240, then 1210 to 1240 until 1410 to 1440
		pass(300 * ms)
		s.thaw()
		pass(100 * ms)
		r := g.Stop()
		same(t, "failed", r.New.Failed, 4)
		same(t, "why", r.New.Errors["log in: no answer in time"], 4)
		same(t, "attempts and slots without one", r.New.Attempts+r.New.Skipped, 141)
		if r.New.Skipped < 16+6 || r.New.Skipped > 16+6+4 { // a slot and an end at the same moment: either first
			t.Errorf("%d skipped", r.New.Skipped)
		}
		same(t, "held", r.Held.Connections, 0)
		s.kill()
	})
}

func TestAHeldQueryWithoutAnswerBreaksAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		g := s.start(t, GapConfig{Holders: 1, Deadline: 300 * ms})
		pass(106 * ms)
		s.freeze()
		pass(400 * ms)
		s.thaw()
		pass(100 * ms)
		r := g.Stop()
		same(t, "broken", r.Held.Broken, 1)
		same(t, "why", r.Held.Errors["query: no answer in time"], 1)
		same(t, "longest stall", r.Held.LongestStall, Millis(300*ms))
	})
}

func TestASlowServerIsSlowAndNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.takes = 33 * ms
		g := s.start(t, GapConfig{})
		pass(1006 * ms)
		r := g.Stop()
		same(t, "gap", r.Longest, Millis(33*ms)) // the first answer
		same(t, "its beginning", r.LongestAt, Millis(0))
		same(t, "p50", r.New.P50, Millis(33*ms))
		same(t, "slowest", r.New.Slowest, Millis(33*ms))
	})
}

func TestAServerThatSaysNoIsQuoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.fatal = &pgproto3.ErrorResponse{Severity: "FATAL", Code: "08P01", Message: "no more connections allowed (max_client_conn)"}
		_, err := Start(t.Context(), GapConfig{Dial: s.dial, Target: "vip:5432"})
		const want = "measure vip:5432: log in: FATAL: no more connections allowed (max_client_conn) (SQLSTATE 08P01)"
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	})
}

func TestATargetThatDoesNotServeIsAnErrorAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer()
		s.refuse(true)
		_, err := Start(t.Context(), GapConfig{Dial: s.dial, Target: "vip:5432"})
		if !errors.Is(err, syscall.ECONNREFUSED) || err.Error() != "measure vip:5432: connect: connection refused" {
			t.Errorf("got %v", err)
		}
		s.refuse(false)
		s.freeze()
		_, err = Start(t.Context(), GapConfig{Dial: s.dial, Target: "vip:5432"})
		if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "measure vip:5432: log in: no answer in time" {
			t.Errorf("got %v", err)
		}
		s.thaw()
	})
}

func TestStopMayBeCalledTwiceAndByTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := newServer()
		g, err := Start(ctx, GapConfig{Dial: s.dial, Target: "vip:5432"})
		if err != nil {
			t.Fatal(err)
		}
		pass(506 * ms)
		cancel()
		pass(time.Minute)
		r := g.Stop()
		same(t, "measured", r.Measured, Millis(506*ms))
		same(t, "attempts", r.New.Attempts, 51)
		same(t, "second result", g.Stop().JSON(), r.JSON())
	})
}

func TestTheResultReadsTheSameAsItsJSON(t *testing.T) {
	r := GapResult{
		Target: "vip:5432", Measured: Millis(10 * time.Second), Longest: Millis(812345 * time.Microsecond),
		LongestAt: Millis(3204 * ms), Late: Millis(1500 * time.Microsecond),
		New: NewConnections{Attempts: 100, OK: 90, Failed: 9, Refused: 8, Unfinished: 1, P50: Millis(2 * ms),
			Errors: map[string]int{"connect: connection refused": 8, "log in: connection closed": 1}},
		Held: HeldSessions{Connections: 20, Queries: 4000, Broken: 2, Errors: map[string]int{"query: connection reset by peer": 2}},
	}
	const want = `gap    812 ms without a new connection, from 3.20 s after the start (10.00 s measured, late by at most 1.50 ms)
new    100 attempts: 90 ok, 9 failed (8 refused), 1 unfinished, 0 skipped; p50 2.00 ms, p99 0.00 ms, slowest 0.00 ms
            8 x connect: connection refused
            1 x log in: connection closed
held   20 connections: 4000 queries, 2 broken, 0 unfinished, 0 failed to reconnect; longest stall 0.00 ms
            2 x query: connection reset by peer
`
	if r.String() != want {
		t.Errorf("got\n%swant\n%s", r, want)
	}
	var back GapResult
	if err := json.Unmarshal([]byte(r.JSON()), &back); err != nil || back.Longest != r.Longest || !maps.Equal(back.New.Errors, r.New.Errors) {
		t.Errorf("%v: %s", err, r.JSON())
	}
	if !strings.Contains(r.JSON(), `"gap_ms":812.345,"gap_at_ms":3204,"new":{"attempts":100,`) {
		t.Errorf("keys or units changed: %s", r.JSON())
	}
}

func TestEndlesslyDifferentErrorsStayFew(t *testing.T) {
	errs := map[string]int{}
	for i := range 100 {
		count(errs, errors.New(strings.Repeat("x", i)))
	}
	same(t, "kinds", len(errs), 21)
	same(t, "others", errs["other"], 80)
}

// TestARealListenerThatGoesAwayIsRefused meets the kernel's own errors.
func TestARealListenerThatGoesAwayIsRefused(t *testing.T) {
	s := newServer()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.accept(l)
	var refused, accepted atomic.Int64
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			refused.Add(1)
		} else {
			accepted.Add(1)
		}
		return conn, err
	}
	g, err := Start(t.Context(), GapConfig{Dial: dial, Target: l.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	reach(t, &accepted, 50)
	l.Close()
	s.kill()
	gone := time.Now()
	reach(t, &refused, 30)
	back, err := net.Listen("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	outage := time.Since(gone)
	go s.accept(back)
	reach(t, &accepted, accepted.Load()+50)
	r := g.Stop()

	const tolerance = 50 * ms
	if gap := time.Duration(r.Longest); gap < outage-tolerance || gap > outage+4*tolerance+time.Duration(r.Late) {
		t.Errorf("a gap of %s in an outage of %s\n%s", gap, outage, r)
	}
	same(t, "broken", r.Held.Broken, 20)
	same(t, "refused in all", r.New.Refused+r.Held.FailedReconnects, int(refused.Load()))
	same(t, "refused", r.New.Refused, r.New.Errors["connect: connection refused"])
	same(t, "the sum", r.New.OK+r.New.Failed+r.New.Unfinished, r.New.Attempts)
}

func (s *server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go s.serve(conn)
	}
}

// reach waits until n is at least want.
func reach(t *testing.T, n *atomic.Int64, want int64) {
	t.Helper()
	tick := time.NewTicker(ms)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for n.Load() < want {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d of %d after 20 s", n.Load(), want)
		}
	}
}
