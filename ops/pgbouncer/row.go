package pgbouncer

import (
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// row reads one row of the console by column name, for the columns differ from version to version.
// The first thing that is missing or cannot be read stays in err; after it everything is zero.
type row struct {
	columns map[string]int
	values  [][]byte
	err     error
}

// decode reads every row of a result. Columns that read does not ask for are left alone.
func decode[T any](result *pgconn.Result, read func(*row) T) ([]T, error) {
	columns := make(map[string]int, len(result.FieldDescriptions))
	for i, f := range result.FieldDescriptions {
		columns[f.Name] = i
	}
	out := make([]T, 0, len(result.Rows))
	for _, values := range result.Rows {
		r := row{columns: columns, values: values}
		v := read(&r)
		if r.err != nil {
			return nil, r.err
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *row) text(column string) string {
	i, ok := r.columns[column]
	if !ok || i >= len(r.values) {
		r.fail(fmt.Errorf("column %s is missing", column))
		return ""
	}
	return string(r.values[i])
}

func (r *row) count(column string) int64 {
	text := r.text(column)
	if r.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		r.fail(fmt.Errorf("column %s: %q is not a whole number", column, text))
	}
	return n
}

// limit is count where the console leaves a limit that is not set empty; that is 0 here.
func (r *row) limit(column string) int64 {
	if r.text(column) == "" {
		return 0
	}
	return r.count(column)
}

// micros is a duration that the console gives in microseconds.
func (r *row) micros(column string) time.Duration {
	return time.Duration(r.count(column)) * time.Microsecond
}

// wait is a duration that the console gives in two columns: whole seconds, and the microseconds above them.
func (r *row) wait(seconds, micros string) time.Duration {
	return time.Duration(r.count(seconds))*time.Second + r.micros(micros)
}

// yes is a switch: 1 or yes, 0 or no.
func (r *row) yes(column string) bool {
	text := r.text(column)
	switch text {
	case "1", "yes":
		return true
	case "0", "no":
	default:
		r.fail(fmt.Errorf("column %s: %q is neither yes nor no", column, text))
	}
	return false
}

// moment is a time; zero when it is empty or not in UTC, for the abbreviations of other zones are
// ambiguous. Weir runs PgBouncer in UTC.
func (r *row) moment(column string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05 UTC", r.text(column))
	if err != nil {
		return time.Time{}
	}
	return t
}

func (r *row) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
