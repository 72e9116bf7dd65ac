package graph

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"weir/graph/noun"
	"weir/queries"
)

// Statistics is what PostgreSQL says of itself; Monitor is one.
type Statistics interface {
	// Backends are the client sessions, the oldest open transaction first.
	Backends(ctx context.Context) ([]noun.Backend, error)
	// TopQueries are n kinds of queries; by is total_time, mean_time, calls or rows.
	TopQueries(ctx context.Context, by string, n int) ([]noun.TopQuery, error)
	// Settings are those that differ from PostgreSQL's own.
	Settings(ctx context.Context) ([]noun.Setting, error)
}

// Monitor reads PostgreSQL's own views as the role weir_monitor, directly and in the database postgres,
// where pg_stat_statements is (ops/postgres/bootstrap.sql).
type Monitor struct{ DB queries.DBTX }

// withheld replaces texts that may hold a password: ALTER ROLE and the like are kept as they were typed.
const withheld = `CASE WHEN %[1]s ~* 'password|secret|identified' THEN '(withheld: it may hold a password)' ELSE left(%[1]s, 4000) END`

// Backends implements Statistics (columns of PostgreSQL 17). Who blocks is asked for those only that
// wait for a lock: it looks at the whole lock table.
func (m Monitor) Backends(ctx context.Context) ([]noun.Backend, error) {
	rows, err := m.DB.Query(ctx, `
		SELECT pid, backend_start, coalesce(usename::text, ''), coalesce(datname::text, ''), coalesce(application_name, ''),
		       coalesce(nullif(state, ''), 'unknown'), state_change, xact_start, query_start, wait_event_type, wait_event,
		       CASE WHEN wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END,
		       `+fmt.Sprintf(withheld, "coalesce(query, '')")+`, host(client_addr) || ':' || client_port
		  FROM pg_stat_activity
		 WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
		 ORDER BY xact_start NULLS LAST, backend_start, pid`)
	if err != nil {
		return nil, fmt.Errorf("read sessions of postgres: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (b noun.Backend, err error) {
		var blockers []int32
		err = row.Scan(&b.PID, &b.Started, &b.User, &b.Database, &b.Application, &b.State, &b.StateSince, &b.XactSince, &b.QuerySince,
			&b.WaitType, &b.Wait, &blockers, &b.Query, &b.Address)
		b.BlockedBy = []int{}
		for _, pid := range blockers {
			b.BlockedBy = append(b.BlockedBy, int(pid))
		}
		return b, err
	})
}

var topOrder = map[string]string{"total_time": "total_exec_time", "mean_time": "mean_exec_time", "calls": "calls", "rows": "rows"}

// TopQueries implements Statistics (pg_stat_statements 1.11, as PostgreSQL 17 has it).
func (m Monitor) TopQueries(ctx context.Context, by string, n int) ([]noun.TopQuery, error) {
	rows, err := m.DB.Query(ctx, `
		SELECT s.queryid::text, coalesce(r.rolname::text, ''), coalesce(d.datname::text, ''), `+fmt.Sprintf(withheld, "s.query")+`,
		       s.calls, s.rows, s.total_exec_time, s.mean_exec_time, s.max_exec_time, s.shared_blks_hit, s.shared_blks_read
		  FROM pg_stat_statements s LEFT JOIN pg_roles r ON r.oid = s.userid LEFT JOIN pg_database d ON d.oid = s.dbid
		 WHERE s.queryid IS NOT NULL
		 ORDER BY s.`+topOrder[by]+` DESC, s.queryid, s.userid, s.dbid, s.toplevel
		 LIMIT $1`, n)
	if err != nil {
		return nil, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t noun.TopQuery, err error) {
		var total, mean, longest float64 // ms
		err = row.Scan(&t.QueryID, &t.User, &t.Database, &t.Query, &t.Calls, &t.Rows, &total, &mean, &longest, &t.BlocksHit, &t.BlocksRead)
		t.TotalTime, t.MeanTime, t.MaxTime = millis(total), millis(mean), millis(longest)
		return t, err
	})
}

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

// Settings implements Statistics. Those in which people write passwords are left out. The two paths count as
// overridden, although postgresql.conf sets them.
func (m Monitor) Settings(ctx context.Context) ([]noun.Setting, error) {
	rows, err := m.DB.Query(ctx, `
		SELECT name, current_setting(name), coalesce(boot_val, '') FROM pg_settings
		 WHERE (source NOT IN ('default', 'client', 'session', 'override') OR name IN ('data_directory', 'hba_file'))
		   AND name NOT IN ('primary_conninfo', 'ssl_passphrase_command', 'archive_command', 'restore_command')
		 ORDER BY name`)
	if err != nil {
		return nil, fmt.Errorf("read settings of postgres: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[noun.Setting])
}
