package haproxy

import (
	"strings"
	"time"

	"weir/ops/haproxy"
	"weir/views/ui"
)

// Check is the outcome of a check in words, and how long it took: passed, 2 ms (L7OK).
func Check(code, said string, took time.Duration) string {
	if code == "" {
		return "not checked"
	}
	text := strings.TrimPrefix(haproxy.Checked(code, said), "check ")
	if words, rest, found := strings.Cut(text, " ("); found && strings.HasSuffix(code, "OK") && took > 0 {
		text = words + ", " + ui.Took(took) + " (" + rest
	}
	return text
}
