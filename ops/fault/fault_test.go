package fault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"weir/ops/fault"
)

func TestEveryErrorHasACodeAndAMessageThatMayBeShown(t *testing.T) {
	secret := errors.New("dial 192.168.1.30: password=hunter2")
	for _, c := range []struct {
		sentence string
		err      error
		code     fault.Code
		field    string
		message  string
	}{
		{"no error has no code", nil, "", "", ""},
		{"an error made here keeps its words", fault.Errorf(fault.Conflict, "pgb%d is busy", 2), fault.Conflict, "", "pgb2 is busy"},
		{"a wrong field is named", fault.Field("reason", "is missing"), fault.Invalid, "reason", "is missing"},
		{"a cause is not shown", fault.Wrap(fault.Unavailable, secret, "PostgreSQL does not answer"), fault.Unavailable, "", "PostgreSQL does not answer"},
		{"an error wrapped further out keeps its code", fmt.Errorf("drain: %w", fault.Field("host", "is unknown")), fault.Invalid, "host", "is unknown"},
		{"a stranger's error is internal and says nothing", secret, fault.Internal, "", "Something went wrong here. The log says what."},
		{"an internal error says nothing, whatever its message", fault.Wrap(fault.Internal, secret, "hunter2"), fault.Internal, "", "Something went wrong here. The log says what."},
		{"time that ran out is a timeout", fmt.Errorf("read: %w", context.DeadlineExceeded), fault.Timeout, "", "It took too long. Try again."},
	} {
		if got := fault.CodeOf(c.err); got != c.code {
			t.Errorf("%s: code %q", c.sentence, got)
		}
		if got := fault.FieldOf(c.err); got != c.field {
			t.Errorf("%s: field %q", c.sentence, got)
		}
		got := fault.MessageOf(c.err)
		if got != c.message || strings.Contains(got, "hunter2") {
			t.Errorf("%s: message %q", c.sentence, got)
		}
		if c.err != nil && c.code != fault.Internal && !slices.Contains(fault.Codes, c.code) {
			t.Errorf("%s: code %q is not in the list", c.sentence, c.code)
		}
	}
}

func TestTheLogSeesTheCause(t *testing.T) {
	cause := errors.New("connection refused")
	err := fault.Wrap(fault.Unavailable, cause, "haproxy2 did not obey")
	if err.Error() != "haproxy2 did not obey: connection refused" || !errors.Is(err, cause) {
		t.Errorf("the log would read %q", err)
	}
}
