package runbook

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// thousands writes 12345 as 12,345.
func thousands(n int64) string {
	text := strconv.FormatInt(n, 10)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// count writes a number with its noun: 1 client, 1,833 clients.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}

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
	return thousands(n) + " times"
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
