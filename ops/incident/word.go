package incident

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"weir/ops/haproxy"
	"weir/ops/word"
)

// Span writes a duration as a person says it: 0.4 s, 42 s, 3 min 5 s, 2 h 10 min, 3 d 4 h.
func Span(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}

func ago(now, then time.Time) string { return Span(now.Sub(then)) + " ago" }

// refused says that an error is proof that nothing serves: the host answered that nobody listens,
// or PostgreSQL that it starts or stops (SQLSTATE 57P01 to 57P03). A time-out proves nothing.
func refused(err error) bool {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return true
	}
	state := sqlState(err)
	return state == "57P01" || state == "57P02" || state == "57P03"
}

// sqlState is the code that a PostgreSQL server answered with; "" when none did.
func sqlState(err error) string {
	var e interface{ SQLState() string }
	if errors.As(err, &e) {
		return e.SQLState()
	}
	return ""
}

// whyAgain is what to do about a part that comes back by itself, and goes again: to start it once more
// is no help.
func (f Finding) whyAgain() string {
	units := map[Kind]string{PoolerDown: "pgbouncer", PoolerHung: "pgbouncer", PoolerUnreachable: "pgbouncer",
		HAProxyUnreachable: "haproxy -u keepalived", HAProxyDown: "haproxy", HAProxyHung: "haproxy", PostgresDown: "weir-postgres"}
	unit, known := units[f.Kind]
	if !known {
		return f.Action
	}
	return "Find out why it goes down again and again. On " + f.Subject + ": `journalctl -u " + unit + " -n 50`."
}

// times says how often it was there, when that is more than once.
func (i Incident) times() string {
	if i.Flaps == 0 {
		return ""
	}
	return ", " + word.Counted(i.Flaps+1, "time") + " in all"
}

// checked is the outcome of a server's last check: what it means, with HAProxy's own code.
func checked(r *haproxy.Row) string { return haproxy.Checked(r.Check, r.LastCheck) }

// whole is the time of a counter that counts seconds.
func whole(d time.Duration) string {
	if d < time.Second {
		return "under 1 s"
	}
	if d < 10*time.Second {
		return strconv.Itoa(int(d.Seconds())) + " s"
	}
	return Span(d)
}
