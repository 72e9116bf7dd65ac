package bench

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// PgbenchReport is what pgbench 17 printed about one run: its last report, the progress lines of
// -P and its errors. Older versions, from 15 on, print the same lines.
type PgbenchReport struct {
	Version     string `json:"version"`     // 17.12
	Transaction string `json:"transaction"` // <builtin: TPC-B (sort of)>
	Scale       int    `json:"scale"`
	QueryMode   string `json:"query_mode"`
	Clients     int    `json:"clients"` // asked for; pgbench starts with all of them or not at all
	Threads     int    `json:"threads"`
	Processed   int64  `json:"processed"`
	// Failed transactions are those that ended in a serialization failure or a deadlock: pgbench
	// counts no other. Any other error ends its client: see Aborted.
	Failed            int64      `json:"failed"`
	LatencyAverage    Millis     `json:"latency_average_ms"`
	LatencyStddev     Millis     `json:"latency_stddev_ms"` // 0 where neither -T nor -P was given
	InitialConnection Millis     `json:"initial_connection_ms"`
	TPS               float64    `json:"tps"` // without the initial connection time
	Progress          []Progress `json:"progress,omitempty"`
	Aborted           int        `json:"aborted"`          // clients that gave up before the end
	Incomplete        bool       `json:"incomplete"`       // pgbench said so itself
	Errors            []string   `json:"errors,omitempty"` // the first ten
}

// Progress is one line of pgbench -P.
type Progress struct {
	At      Millis  `json:"at_ms"`
	TPS     float64 `json:"tps"`
	Latency Millis  `json:"latency_ms"`
	Stddev  Millis  `json:"stddev_ms"`
	Failed  int64   `json:"failed"`
}

// ErrNoReport says that pgbench ended without a report: it did not start, because a client could
// not connect, or was ended from outside.
var ErrNoReport = errors.New("pgbench gave no report")

const number = `(-?(?:[0-9.]+|nan|inf))`

var (
	versionLine  = regexp.MustCompile(`^pgbench \(([0-9][0-9a-z.]*)`)
	progressLine = regexp.MustCompile(`^progress: ` + number + ` s, ` + number + ` tps, lat ` + number + ` ms stddev ` + number + `(?:, (\d+) failed)?`)
	abortedLine  = regexp.MustCompile(`^pgbench: error: client (\d+) (?:.* )?aborted`)
	processed    = regexp.MustCompile(`^(\d+)(?:/\d+)?$`)
	leading      = regexp.MustCompile(`^` + number)
)

// ParsePgbench reads what pgbench wrote to standard output and standard error, in any mixture of
// lines. With ErrNoReport the report holds the version and the errors that were printed.
func ParsePgbench(r io.Reader) (PgbenchReport, error) {
	var report PgbenchReport
	reported := false
	aborted := map[string]bool{}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if m := abortedLine.FindStringSubmatch(line); m != nil {
			aborted[m[1]] = true
		}
		if text, is := strings.CutPrefix(line, "pgbench: error: "); is {
			report.fault(text)
			continue
		}
		if m := progressLine.FindStringSubmatch(line); m != nil {
			p, err := parseProgress(m[1:])
			if err != nil {
				return report, fmt.Errorf("read pgbench line %q: %w", line, err)
			}
			report.Progress = append(report.Progress, p)
			continue
		}
		if m := versionLine.FindStringSubmatch(line); m != nil {
			report.Version = m[1]
			continue
		}
		key, value, _ := strings.Cut(line, ": ")
		if left, right, is := strings.Cut(line, " = "); is {
			key, value = left, right
		}
		if err := report.set(key, value); err != nil {
			return report, fmt.Errorf("read pgbench line %q: %w", line, err)
		}
		reported = reported || key == "number of transactions actually processed"
	}
	report.Aborted = len(aborted)
	if err := lines.Err(); err != nil {
		return report, fmt.Errorf("read pgbench output: %w", err)
	}
	if !reported {
		return report, ErrNoReport
	}
	return report, nil
}

func (r *PgbenchReport) fault(text string) {
	if strings.HasPrefix(text, "Run was aborted") {
		r.Incomplete = true
	}
	if len(r.Errors) < 10 {
		r.Errors = append(r.Errors, text)
	}
}

// set takes one line of the report; lines it does not know are not its business.
func (r *PgbenchReport) set(key, value string) (err error) {
	switch key {
	case "transaction type":
		r.Transaction = value
	case "query mode":
		r.QueryMode = value
	case "scaling factor":
		r.Scale, err = strconv.Atoi(value)
	case "number of clients":
		r.Clients, err = strconv.Atoi(value)
	case "number of threads":
		r.Threads, err = strconv.Atoi(value)
	case "number of transactions actually processed":
		m := processed.FindStringSubmatch(value)
		if m == nil {
			return errors.New("not a number of transactions")
		}
		r.Processed, err = strconv.ParseInt(m[1], 10, 64)
	case "number of failed transactions":
		count, _, _ := strings.Cut(value, " ")
		r.Failed, err = strconv.ParseInt(count, 10, 64)
	case "latency average":
		r.LatencyAverage, err = parseMillis(value)
	case "latency stddev":
		r.LatencyStddev, err = parseMillis(value)
	case "initial connection time":
		r.InitialConnection, err = parseMillis(value)
	case "tps":
		if strings.HasSuffix(value, "(including reconnection times)") {
			return errors.New("pgbench -C is not what is measured here")
		}
		r.TPS, err = parseNumber(value)
	}
	return err
}

func parseProgress(m []string) (p Progress, err error) {
	var at float64
	var errs [5]error
	at, errs[0] = parseNumber(m[0])
	p.At = millis(at * 1000)
	p.TPS, errs[1] = parseNumber(m[1])
	p.Latency, errs[2] = parseMillis(m[2])
	p.Stddev, errs[3] = parseMillis(m[3])
	if m[4] != "" {
		p.Failed, errs[4] = strconv.ParseInt(m[4], 10, 64)
	}
	return p, errors.Join(errs[:]...)
}

func parseMillis(text string) (Millis, error) {
	v, err := parseNumber(text)
	return millis(v), err
}

// parseNumber reads the number that text begins with. pgbench prints nan where there was nothing
// to divide by: that is 0 here, because JSON has no such number.
func parseNumber(text string) (float64, error) {
	m := leading.FindString(text)
	if strings.HasSuffix(m, "nan") {
		return 0, nil
	}
	v, err := strconv.ParseFloat(m, 64)
	if err == nil && (v < 0 || v > math.MaxInt64/1e9) {
		return 0, fmt.Errorf("%s is out of range", m)
	}
	return v, err
}
