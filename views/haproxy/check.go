package haproxy

import (
	"strings"
	"time"

	"weir/views/ui"
)

// outcomes are what HAProxy's codes for the outcome of a check mean, for a check that logs in to a pooler.
var outcomes = map[string]string{
	"INI":     "not checked yet",
	"SOCKERR": "HAProxy could not open a socket",
	"L4OK":    "passed",
	"L4TOUT":  "no answer",
	"L4CON":   "cannot connect",
	"L7OK":    "passed",
	"L7TOUT":  "connects, then no answer",
	"L7RSP":   "connects, then a wrong answer",
	"L7STS":   "connects, then an error",
}

// Check is the outcome of a check in words, with HAProxy's code for those who look it up: passed, 2 ms (L7OK).
func Check(code, said string, took time.Duration) string {
	if code == "" {
		return "not checked"
	}
	text := outcomes[code]
	if text == "" {
		return strings.Trim(code+": "+details(said), ": ")
	}
	switch d := details(said); {
	case strings.HasSuffix(code, "OK") && took > 0:
		text += ", " + ui.Took(took)
	case d != "" && !strings.HasSuffix(code, "OK"):
		text += ": " + d
	}
	return text + " (" + code + ")"
}

// details is what HAProxy says of a check beyond its code. At which step of the check it was says no more
// than the code.
func details(said string) string {
	said, _, _ = strings.Cut(said, " at step ")
	return strings.TrimSpace(said)
}
