package haproxy

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Kind is what a row of the statistics is about.
type Kind uint8

const (
	Frontend Kind = iota
	Backend
	Server
	listener // of no interest here: `option socket-stats` would list them
)

// Row is one line of the statistics: a frontend, a backend or a server.
type Row struct {
	Proxy string // name of the frontend or backend
	Name  string // of the server; FRONTEND or BACKEND otherwise
	Kind  Kind

	State  State
	Admin  Admin // of servers
	Health Health
	Addr   string // of servers, host:port

	Sessions, SessionsMax, SessionsLimit, SessionsTotal int64 // limit 0 is none
	BytesIn, BytesOut                                   int64 // from clients, to clients
	ErrConn, ErrResp, Retries, Redispatches             int64
	Queue, QueueMax                                     int64
	QueueTime, ConnectTime, ResponseTime, TotalTime     time.Duration // means of the last 1,024 sessions
	Rate                                                int64         // new sessions in the last second

	Check         string        // outcome of the last check: L7OK, L4CON, L7TOUT, ...; "" when the server is not checked
	CheckCode     int64         // of HTTP checks
	CheckDuration time.Duration // of the last check
	LastCheck     string        // what the component said, for people
	CheckFails    int64         // failed checks since HAProxy started, those while it is DOWN or in maint left out
	CheckDowns    int64         // times it went DOWN or to maint since HAProxy started: finds a flap between two polls
	Downs, Fails  []int64       // CheckDowns and CheckFails of each process of the node, in their order
	LastChange    time.Duration // ago, of UP or DOWN
	Downtime      time.Duration // sum since HAProxy started

	// Disagree is what each process of the node says, in their order, where they do not say the
	// same: State and Admin are then the worst of them. Empty when they agree.
	Disagree []Opinion
}

// Opinion is what one process of a node says about a server.
type Opinion struct {
	Process string // haproxy, haproxy-2
	State   State
	Admin   Admin
	Health  Health
}

// number is a column that holds a whole number, and where it goes. Empty is 0.
type number struct {
	column string
	to     func(*Row, int64)
}

func count(column string, field func(*Row) *int64) number {
	return number{column, func(r *Row, v int64) { *field(r) = v }}
}

func span(column string, unit time.Duration, field func(*Row) *time.Duration) number {
	return number{column, func(r *Row, v int64) { *field(r) = time.Duration(v) * unit }}
}

// numbers are the columns by the names of HAProxy's management guide, section 9.1.
var numbers = []number{
	count("scur", func(r *Row) *int64 { return &r.Sessions }),
	count("smax", func(r *Row) *int64 { return &r.SessionsMax }),
	count("slim", func(r *Row) *int64 { return &r.SessionsLimit }),
	count("stot", func(r *Row) *int64 { return &r.SessionsTotal }),
	count("bin", func(r *Row) *int64 { return &r.BytesIn }),
	count("bout", func(r *Row) *int64 { return &r.BytesOut }),
	count("econ", func(r *Row) *int64 { return &r.ErrConn }),
	count("eresp", func(r *Row) *int64 { return &r.ErrResp }),
	count("wretr", func(r *Row) *int64 { return &r.Retries }),
	count("wredis", func(r *Row) *int64 { return &r.Redispatches }),
	count("qcur", func(r *Row) *int64 { return &r.Queue }),
	count("qmax", func(r *Row) *int64 { return &r.QueueMax }),
	count("rate", func(r *Row) *int64 { return &r.Rate }),
	count("check_code", func(r *Row) *int64 { return &r.CheckCode }),
	count("chkfail", func(r *Row) *int64 { return &r.CheckFails }),
	count("chkdown", func(r *Row) *int64 { return &r.CheckDowns }),
	span("qtime", time.Millisecond, func(r *Row) *time.Duration { return &r.QueueTime }),
	span("ctime", time.Millisecond, func(r *Row) *time.Duration { return &r.ConnectTime }),
	span("rtime", time.Millisecond, func(r *Row) *time.Duration { return &r.ResponseTime }),
	span("ttime", time.Millisecond, func(r *Row) *time.Duration { return &r.TotalTime }),
	span("check_duration", time.Millisecond, func(r *Row) *time.Duration { return &r.CheckDuration }),
	span("lastchg", time.Second, func(r *Row) *time.Duration { return &r.LastChange }),
	span("downtime", time.Second, func(r *Row) *time.Duration { return &r.Downtime }),
}

var texts = []string{"pxname", "svname", "type", "status", "addr", "check_status", "last_chk"}

// parseStats reads one process's statistics as CSV, by the names in its header: columns differ by
// version. An HTML page, a page that ends early and a missing column are errors; it never returns
// a part.
func parseStats(body []byte) ([]Row, error) {
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("<")) {
		return nil, errors.New("an HTML page, not CSV")
	}
	if !bytes.HasSuffix(body, []byte("\n")) {
		return nil, errors.New("it ends in the middle of a line")
	}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(body, []byte("# "))))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	at, err := columns(header)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			if err := complete(rows); err != nil {
				return nil, err
			}
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		row, err := parseRow(record, at)
		if err != nil {
			line, _ := r.FieldPos(0)
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if row.Kind != listener {
			rows = append(rows, row)
		}
	}
}

// columns finds the place of each column that is read, and names all that are missing.
func columns(header []string) (map[string]int, error) {
	at := make(map[string]int, len(header))
	for i, name := range header {
		at[name] = i
	}
	var missing []string
	for _, name := range texts {
		if _, ok := at[name]; !ok {
			missing = append(missing, name)
		}
	}
	for _, n := range numbers {
		if _, ok := at[n.column]; !ok {
			missing = append(missing, n.column)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("column missing: %s", strings.Join(missing, ", "))
	}
	return at, nil
}

func parseRow(record []string, at map[string]int) (Row, error) {
	text := func(column string) string { return strings.Clone(record[at[column]]) }
	row := Row{Proxy: text("pxname"), Name: text("svname"), Addr: text("addr"), Check: text("check_status"), LastCheck: text("last_chk")}
	if row.Proxy == "" || row.Name == "" {
		return row, errors.New("without a name")
	}
	kind, err := strconv.Atoi(text("type"))
	if err != nil || kind < 0 || kind > int(listener) {
		return row, fmt.Errorf("%s/%s: column type: %q", row.Proxy, row.Name, text("type"))
	}
	row.Kind = Kind(kind)
	if row.Kind == listener {
		return row, nil
	}
	for _, n := range numbers {
		v, err := parseNumber(record[at[n.column]])
		if err != nil {
			return row, fmt.Errorf("%s/%s: column %s: %w", row.Proxy, row.Name, n.column, err)
		}
		n.to(&row, v)
	}
	row.State, row.Admin, row.Health, err = parseStatus(row.Kind, text("status"))
	if err != nil {
		return row, fmt.Errorf("%s/%s: %w", row.Proxy, row.Name, err)
	}
	return row, nil
}

func parseNumber(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// complete refuses a page that ended between two lines: HAProxy writes the servers of a backend
// first and the backend itself last.
func complete(rows []Row) error {
	backends := map[string]bool{}
	for _, r := range rows {
		if r.Kind == Backend {
			backends[r.Proxy] = true
		}
	}
	if len(backends) == 0 {
		return errors.New("no backend in it: it ends early")
	}
	for _, r := range rows {
		if r.Kind == Server && !backends[r.Proxy] {
			return fmt.Errorf("backend %s is missing after its servers: it ends early", r.Proxy)
		}
	}
	return nil
}
