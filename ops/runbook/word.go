package runbook

import (
	"fmt"
	"strings"
	"time"

	"weir/ops/word"
)

// is is the verb that goes with a number.
func is(n int64) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// ending is that of a verb that goes with a number: 1 waits, 2 wait.
func ending(n int64) string {
	if n == 1 {
		return "s"
	}
	return ""
}

// times writes once, twice, 6 times.
func times(n int64) string {
	switch n {
	case 1:
		return "once"
	case 2:
		return "twice"
	}
	return word.Count(n) + " times"
}

// list writes pgb1; pgb1 and pgb2; pgb1, pgb2 and pgb3.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// span writes a duration in whole seconds: 30 s, 1 min 40 s, 2 h 5 min.
func span(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600 && s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	case s < 3600:
		return fmt.Sprintf("%d min %d s", s/60, s%60)
	}
	return fmt.Sprintf("%d h %d min", s/3600, s/60%60)
}
