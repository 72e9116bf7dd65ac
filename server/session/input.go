package session

import (
	"net/mail"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"weir/ops/fault"
	"weir/ops/runbook"
)

// checkEmail answers the address as accounts have it: lower case.
func checkEmail(email string) (string, error) {
	wrong := fault.Field("email", "Write an e-mail address, like ada@example.org.")
	if len(email) > 254 || !utf8.ValidString(email) || strings.ContainsFunc(email, unicode.IsControl) {
		return "", wrong
	}
	email = strings.ToLower(strings.TrimSpace(email))
	if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email {
		return "", wrong
	}
	return email, nil
}

// checkText is what is asked of what people read: something, not too long, on one line.
func checkText(field, text string, most int) error {
	if strings.TrimSpace(text) == "" || !utf8.ValidString(text) || utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, unicode.IsControl) {
		return fault.Field(field, "Write 1 to %d characters on one line.", most)
	}
	return nil
}

func checkRole(role runbook.Role) error {
	if !may(role, runbook.Viewer) {
		return fault.Field("role", "The roles are viewer, operator and administrator.")
	}
	return nil
}

var operationName = regexp.MustCompile(`^[_A-Za-z][_0-9A-Za-z]{0,99}$`) // of GraphQL

// checkOperations: nil is all of them, and none would be a token for nothing.
func checkOperations(operations []string) error {
	if operations != nil && (len(operations) == 0 || len(operations) > 100) {
		return fault.Field("operations", "Name 1 to 100 operations, or leave it out for all that the role may do.")
	}
	for _, o := range operations {
		if !operationName.MatchString(o) {
			return fault.Field("operations", "%.40q is not the name of an operation.", o)
		}
	}
	return nil
}
