package haproxy

import "testing"

func TestTheOutcomeOfACheckInWords(t *testing.T) {
	for _, row := range []struct{ sentence, code, said, want string }{
		{"it passed", "L7OK", "PgBouncer 1.24.1", "check passed (L7OK)"},
		{"nobody listens", "L4CON", "Connection refused", "connection refused (L4CON)"},
		{"nothing comes back", "L4TOUT", " at step 1 of tcp-check (send)", "no answer (L4TOUT)"},
		{"it hangs, and the next check runs already", "* L7TOUT", " at step 6 of tcp-check (expect string)", "accepted, then silent (L7TOUT)"},
		{"it passed, and the next check runs already", "* L7OK", "", "check passed (L7OK)"},
		{"it says something else", "L7RSP", "unexpected reply", "wrong answer: unexpected reply (L7RSP)"},
		{"a code that nobody knows", "L6RSP", "no TLS", "L6RSP: no TLS"},
		{"nothing was checked", "", "", ""},
	} {
		if got := Checked(row.code, row.said); got != row.want {
			t.Errorf("%s: %q, not %q", row.sentence, got, row.want)
		}
	}
}
