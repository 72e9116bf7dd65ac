package word

import (
	"errors"
	"strings"
	"syscall"
)

// Because is an error in one line that fits a phone. A connection that failed says in many words where
// to and as whom, and the cause last: what was asked and the cause are enough.
func Because(err error) string {
	if err == nil {
		return "no error"
	}
	var errno syscall.Errno
	text, _, _ := strings.Cut(err.Error(), "\n")
	if asked, _, failed := strings.Cut(text, "failed to connect to `"); failed {
		asked = strings.TrimSuffix(asked, ": ")
		var answer interface {
			error
			SQLState() string
		}
		switch {
		case errors.As(err, &answer):
			text = because(asked, answer)
		case errors.As(err, &errno):
			text = because(asked, errno)
		case strings.HasPrefix(asked, "no answer"):
			text = asked
		default:
			text = because(asked, innermost(err))
		}
	}
	if asked, _, dialled := strings.Cut(text, ": dial tcp "); dialled && errors.As(err, &errno) {
		text = because(asked, errno)
	}
	if asked, timedOut := strings.CutSuffix(text, ": context deadline exceeded"); timedOut && strings.HasPrefix(asked, "no answer") {
		text = asked
	}
	const longest = 160
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return text
}

func because(asked string, cause error) string {
	return strings.TrimPrefix(asked+": "+cause.Error(), ": ")
}

// innermost is the cause of an error; of several the last, as of several attempts.
func innermost(err error) error {
	for {
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			if e.Unwrap() == nil {
				return err
			}
			err = e.Unwrap()
		case interface{ Unwrap() []error }:
			all := e.Unwrap()
			if len(all) == 0 {
				return err
			}
			err = all[len(all)-1]
		default:
			return err
		}
	}
}
